"""Gradient checks against derivatives by hand, and what a reader's answer is told."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blg561.answers import QUESTIONS, Question
from blg561.checks import check, compare, grad_check, rel_error

# rel_error


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([1.0, 3.0], [1.0, 1.0], 0.5),
        ([1.0, -1.0], [1.0, 1.0], 1),
        (0.0, 1e-9, 0.1),  # 1e-9 / 1e-8: below 1e-8 it is absolute
        (3, 1, 0.5),
        ([], [], 0),
    ],
)
def test_rel_error_by_hand(x, y, error):
    assert rel_error(x, y) == pytest.approx(error)


def test_rel_error_of_nan_passes_no_bound():
    assert not rel_error([1.0, np.nan], [1.0, 1.0]) < 1


def test_rel_error_does_not_broadcast():
    with pytest.raises(ValueError, match=r"one shape, got \(3,\) and \(1, 3\)"):
        rel_error(np.zeros(3), np.zeros((1, 3)))


# grad_check


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=6))
def test_grad_check_of_a_function_with_a_known_derivative(values):
    x = np.array(values)
    df = np.arange(1.0, len(x) + 1)
    np.testing.assert_allclose(grad_check(np.sin, x, df), np.cos(x) * df, atol=1e-8)
    np.testing.assert_allclose(grad_check(np.sin, x), np.cos(x), atol=1e-8)


def test_grad_check_is_the_central_difference_of_its_h():
    # ((x + h)³ - (x - h)³) / 2h = 3x² + h²
    assert grad_check(lambda x: x**3, np.array([2.0]), h=0.5)[0] == pytest.approx(12.25)


def test_grad_check_of_a_matrix_product_and_of_a_number():
    rng = np.random.default_rng(0)
    x, W, df = rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    np.testing.assert_allclose(grad_check(lambda x: x @ W, x, df), df @ W.T, rtol=1e-7)
    np.testing.assert_allclose(grad_check(lambda x: float(np.sum(x**2)), x), 2 * x, rtol=1e-7)


def test_grad_check_moves_x_where_it_lies_and_restores_it():
    x = np.array([0.1, 0.2, 0.3])
    before = x.copy()
    np.testing.assert_allclose(grad_check(lambda _: x**2, x), 2 * before, rtol=1e-8)
    np.testing.assert_array_equal(x, before)

    def fails(x):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        grad_check(fails, x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("x", [np.array([1, 2]), [1.0, 2.0], 1.0])
def test_grad_check_needs_an_array_of_floats(x):
    with pytest.raises(TypeError, match="x: expected a NumPy array of floats, got"):
        grad_check(np.sin, x)


def test_grad_check_does_not_broadcast_df():
    with pytest.raises(ValueError, match=r"df: expected the shape of f\(x\), \(2, 3\), got \(3,\)"):
        grad_check(np.sin, np.zeros((2, 3)), np.zeros(3))


# compare


@pytest.mark.parametrize(
    ("ours", "reference", "row"),
    [
        (
            [1.0],
            [1.0],
            "dWx      | exact: True  | approximate: True  | largest difference: 0.0e+00",
        ),
        (1, 1 + 1e-9, "dWx      | exact: False | approximate: True  | largest difference: 1.0e-09"),
        (
            [1, 2],
            [1, 4],
            "dWx      | exact: False | approximate: False | largest difference: 2.0e+00",
        ),
        ([1, 2], [[1, 2]], "dWx      | shape (2,) against (1, 2)"),
    ],
)
def test_compare_prints_a_row(capsys, ours, reference, row):
    compare("dWx", ours, reference)
    assert capsys.readouterr().out == row + "\n"


# check


@pytest.fixture
def told(monkeypatch, capsys):
    """told(answer, expected, ...) is what `check` prints for a question with that answer."""

    def ask(answer, expected, *given, **arguments):
        question = Question(expected, **({"hint": "Look again."} | arguments))
        monkeypatch.setitem(QUESTIONS, "RNN.1", question)
        assert check("RNN.1", answer, *given) is None
        lines = capsys.readouterr().out.splitlines()
        right_or_blank = lines[0] in ("RNN.1: correct", "RNN.1: not answered yet")
        assert lines[1:] == ([] if right_or_blank else ["Hint: Look again."])
        assert lines[0].startswith("RNN.1: ")
        return lines[0].removeprefix("RNN.1: ")

    return ask


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (3, 3),
        (3.0, 3),
        (np.float32(0.1), 0.1),
        (np.array(2), 2),
        (1.0000000001, 1),
        (True, True),
        (np.True_, True),
        (" B ", "b"),
        ({"Forget", "input"}, {"input", "forget"}),
        (["input", "forget"], {"input", "forget"}),
        (("a", "B"), ("A", "b")),
        ((2, 3), (2, 3)),
        ([[1.0, 2.0]], np.array([[1, 2]])),
        (np.array([0.0, np.inf]), np.array([0.0, np.inf])),
        ((np.ones(2), np.ones((2, 3))), (np.ones(2), np.ones((2, 3)))),
    ],
)
def test_a_right_answer_is_told_so(told, answer, expected):
    assert told(answer, expected, rtol=1e-6) == "correct"


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, 3, "not answered yet"),
        (..., 3, "not answered yet"),
        (4, 3, "too large"),
        (-4, 3, "too small"),
        (3, np.inf, "too small"),
        (np.nan, 3, "not finite (nan or infinity)"),
        (True, 3, "expected a number, got bool"),
        ("3", 3, "expected a number, got str"),
        ([3, 4], 3, "expected a number, got shape (2,)"),
        ([[1], [1, 2]], 3, "expected a number, got list"),
        (False, True, "not right"),
        (1, True, "expected True or False, got int"),
        ("a", "b", "not right"),
        (2, "b", "expected a string, got int"),
        ({"a", "c"}, {"a", "b", "d"}, "1 of yours do not belong, 2 are missing"),
        ({1}, {"a"}, "expected a set of strings, got other things in it"),
        ("a", {"a"}, "expected a set of strings, got str"),
        (("a", "b"), ("b", "a"), "item 1: not right"),
        ((2, 4), (2, 3), "item 2: too large"),
        ((2,), (2, 3), "expected a tuple of 2, got one of 1"),
        (2, (2, 3), "expected a tuple of 2, got int"),
        (np.zeros(3), np.zeros(4), "expected an array of shape (4,), got shape (3,)"),
        (3, np.zeros(4), "expected an array of shape (4,), got shape ()"),
        (np.zeros(4, complex), np.zeros(4), "expected an array of shape (4,), got complex128"),
        ([1, 3], np.array([1, 1]), "the largest relative error is 5.0e-01, at most 1e-06 is right"),
    ],
)
def test_a_wrong_answer_is_told_what_is_off(told, answer, expected, said):
    assert told(answer, expected) == said


def test_tolerance_is_the_question_s_own(told):
    assert told(1.01, 1.0) == "too large"
    assert told(1.01, 1.0, rtol=0.1) == "correct"


def test_expected_may_be_computed_from_what_the_lesson_gives(told):
    assert told(5, lambda a, b: a + b, 2, 3) == "correct"
    assert told(6, lambda a, b: a + b, 2, 3) == "too large"
    assert told(None, lambda a, b: a + b, None, 3) == "not answered yet"
    said = told(6, lambda a, b: a + b, None, 3)
    assert said.startswith("cannot be checked with these values: TypeError (unsupported operand")


CASES = ((1, 2), (5, 3))


def test_a_function_is_compared_on_every_case(told):
    assert told(lambda a, b: a - b, np.subtract, cases=CASES) == "correct"
    said = told(lambda a, b: abs(a - b), np.subtract, cases=CASES)
    assert said == "too large, for the arguments (1, 2)"
    said = told(lambda a, b: -1, np.subtract, cases=CASES)
    assert said == "too small, for the arguments (5, 3)"
    assert told(lambda a, b: None, np.subtract, cases=CASES) == "not answered yet"
    assert told(3, np.subtract, cases=CASES) == "expected a function, got int"


def test_what_the_reader_s_function_raises_is_reported(told):
    said = told(lambda a, b: a / (a - 5), lambda a, b: -0.25, cases=CASES)
    assert said == (
        "your function raised ZeroDivisionError (division by zero), for the arguments (5, 3)"
    )
    said = told(lambda a: a, np.subtract, cases=CASES)
    assert said.startswith("your function raised TypeError (")


def test_a_function_that_changes_its_arguments_spoils_no_other_check(told):
    case = (np.ones(2),)

    def doubles(x):
        x *= 2
        return x

    for _ in range(2):
        assert told(doubles, lambda x: 2 * x, cases=(case, case)) == "correct"
    np.testing.assert_array_equal(case[0], 1)


def test_an_odd_answer_is_reported_not_raised(told):
    class Odd:
        def __array__(self, *_, **__):
            raise RuntimeError

    assert told(Odd(), 3) == "expected a number, got Odd"
    assert told(Odd(), np.zeros(2)) == "expected an array of shape (2,), got Odd"


def test_an_unknown_question_is_the_lesson_s_mistake():
    with pytest.raises(ValueError, match=r"no question 'RNN\.99'"):
        check("RNN.99", 3)


def test_the_registered_questions_can_be_checked():
    for number, question in QUESTIONS.items():
        assert isinstance(question, Question), number
        for case in question.cases:
            question.expected(*copy.deepcopy(case))
