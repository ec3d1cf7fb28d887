"""Gradient checks against derivatives by hand, and what a reader's answer is told."""

import copy
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blg561 import checks
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
    """told(answer, expected, ...) is what `check` prints for it, but for number and hint."""

    def ask(answer, expected, *given, **arguments):
        arguments = {"hint": "Look again."} | arguments
        monkeypatch.setitem(QUESTIONS, "01.1", Question(expected, **arguments))
        assert check("01.1", answer, *given) is None
        said = capsys.readouterr().out.removesuffix("\n")
        assert said.startswith("01.1: ")
        return said.removeprefix("01.1: ").removesuffix("\nHint: Look again.")

    return ask


class Odd:
    def __array__(self, *_, **__):
        raise RuntimeError


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
        (" Forget ", "forget"),
        ({"Forget", "input"}, {"input", "forget"}),
        (["input", "forget"], {"input", "forget"}),
        (np.array(["input", "forget"]), {"input", "forget"}),
        (("one", "Two"), ("One", "two")),
        ((2, 3), (2, 3)),
        (np.array([2, 3]), (2, 3)),
        ([[1.0, 2.0]], np.array([[1, 2]])),
        (np.array([0.0, np.inf]), np.array([0.0, np.inf])),
        ((np.ones(2), np.ones((2, 3))), (np.ones(2), np.ones((2, 3)))),
    ],
)
def test_a_right_answer_is_told_so(told, answer, expected):
    assert told(answer, expected, rtol=1e-6) == "correct"


@pytest.mark.parametrize(
    "answer", ["b", " B ", "(b)", "b.", "b)", "**b**", "`b`", "line b", "Answer: B!"]
)
def test_a_letter_may_wear_any_dress(told, answer):
    assert told(answer, "b", choices="abc") == "correct"
    assert told(answer, "b") == "correct"
    assert told(answer, "c", choices="abc") == "not right"
    assert told([answer, "(c)"], {"c", "b"}, choices="abc") == "correct"


@pytest.mark.parametrize("answer", ["a, c", "ac", " CA ", " A C ", "**a** and **c**"])
def test_letters_may_come_in_one_string(told, answer):
    assert told(answer, {"c", "a"}, choices="abc") == "correct"


def test_a_word_is_no_list_of_its_letters(told):
    assert told("each", {"c", "a"}, choices="abc") != "correct"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("e", "there is no choice 'e', expected a letter from a to c"),
        ("line e", "there is no choice 'e', expected a letter from a to c"),
        ("a or b", "expected one letter from a to c, got 'a or b'"),
        ("the second", "expected one letter from a to c, got 'the second'"),
        ("", "expected one letter from a to c, got ''"),
        (2, "expected a string, got int"),
    ],
)
def test_what_is_none_of_the_letters_is_told_so(told, answer, said):
    assert told(answer, "b", choices="abc") == said


@pytest.mark.parametrize(
    ("answer", "expected", "said"),
    [
        (None, 3, "not answered yet"),
        (..., 3, "not answered yet"),
        ((None, ...), (2, 3), "not answered yet"),
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
        ("input", "forget", "not right"),
        (2, "forget", "expected a string, got int"),
        ({"a", "c"}, {"a", "b", "d"}, "1 of yours do not belong, 2 are missing"),
        ({1}, {"a"}, "expected a set of strings, got other things in it"),
        ("one", {"one", "two"}, "expected a set of strings, got str"),
        (("one", "two"), ("two", "two"), "item 1: not right (1 of 2 right)"),
        ((2, 4), (2, 3), "item 2: too large (1 of 2 right)"),
        ((2, None), (2, 3), "not answered yet: item 2 (1 of 2 right)"),
        ((None, None, 2), (2, 3, 4), "item 3: too small; not answered yet: item 1, item 2"),
        ((2,), (2, 3), "expected a tuple of 2, got one of 1"),
        (2, (2, 3), "expected a tuple of 2, got int"),
        (np.array(2), (2, 3), "expected a tuple of 2, got one number"),
        (
            (np.ones(2), 4),
            (np.ones(3), 3),
            "item 1: expected an array of shape (3,), got shape (2,); item 2: too large",
        ),
        (np.zeros(3), np.zeros(4), "expected a list of 4 numbers, got 3"),
        (3, np.zeros(4), "expected a list of 4 numbers, got one number"),
        ([[1], [2]], np.zeros(2), "expected a list of 2 numbers, got shape (2, 1)"),
        (np.zeros(4, complex), np.zeros(4), "expected a list of 4 numbers, got complex128"),
        (np.zeros(3), np.zeros((1, 3)), "expected an array of shape (1, 3), got shape (3,)"),
        ([1, 3, 0], np.array([1, 1, 1]), "item 2: too large; item 3: too small"),
        ([1, 1, None], np.array([1, 1, 1]), "not answered yet: item 3 (2 of 3 right)"),
        (
            (1, "x", 3, None),
            np.array([1, 1, 1, 1]),
            "item 2: expected a number, got str; item 3: too large; not answered yet: item 4 "
            "(1 of 4 right)",
        ),
        (
            [[1, 3]],
            np.array([[1, 1.0]]),
            "the largest relative error is 5.0e-01, at [0, 1]; at most 1e-06 is right",
        ),
        (
            [[0, 1], [2, 0]],
            np.array([[0, 1], [0, 2]]),
            "2 of 4 numbers are wrong, the first of them at [1, 0]",
        ),
        ([[-1.0, 2.0]], np.array([[1.0, -2.0]]), "right but for the sign"),
        ([[1.0, 3.0], [2.0, 4.0]], np.array([[1.0, 2.0], [3.0, 4.0]]), "right, but transposed"),
        ([[2.0, 4.0]], np.array([[1.0, 2.0]]), "each number is 2 times the right one"),
        (
            [[1.0, 9.0], [3.0, 4.0]],
            np.array([[1.0, 1.0], [3.0, 4.0]]),
            "the largest relative error is 8.0e-01, at [0, 1]; at most 1e-06 is right",
        ),
        (Odd(), 3, "expected a number, got Odd"),
        (Odd(), np.zeros(2), "expected a list of 2 numbers, got Odd"),
        (
            {"abd"},
            {"a", "b", "d"},
            "expected one letter, got 'abd' among your items",
        ),
    ],
)
def test_a_wrong_answer_is_told_what_is_off(told, answer, expected, said):
    assert told(answer, expected) == said


def test_an_item_is_called_by_its_name(told):
    said = told((2, 4), (2, 3), items=("c", "h"))
    assert said == "h: too large (1 of 2 right)"
    assert told([2, 4], np.array([2, 3]), items=("c", "h")) == "h: too large"


def test_hints_come_one_after_the_other_and_not_for_another_kind_of_answer(monkeypatch, capsys):
    monkeypatch.setitem(QUESTIONS, "01.1", Question(3, hint=("First.", "Second.")))
    monkeypatch.setattr(checks, "tries", Counter())
    for answer in (None, 4, "x", 5, [3], 6, 3):
        check("01.1", answer)
    assert capsys.readouterr().out.splitlines() == [
        "01.1: not answered yet",
        "01.1: too large",
        "Hint: First.",
        "01.1: expected a number, got str",
        "01.1: too large",
        "Hint: Second.",
        "01.1: expected a number, got shape (1,)",
        "01.1: too large",
        "Hint: Second.",
        "01.1: correct",
    ]


def test_the_hint_is_that_of_the_first_wrong_item(told):
    hints = {"": "None is right.", "c": "Of c.", "h": "Of h."}

    def hinted(*answer):
        said = told(answer, (1, 2), items=("c", "h"), hint=hints).splitlines()
        return said[1] if len(said) > 1 else None

    assert hinted(1, 3) == "Hint: Of h."
    assert hinted(3, 2) == "Hint: Of c."
    assert hinted(3, 3) == hinted(3, None) == "Hint: None is right."
    assert hinted(1, None) is None


def test_tolerance_is_the_question_s_own(told):
    assert told(1.01, 1.0) == "too large"
    assert told(1.01, 1.0, rtol=0.1) == "correct"


def test_expected_may_be_computed_from_what_the_lesson_gives(told):
    assert told(5, lambda a, b: a + b, 2, 3) == "correct"
    assert told(6, lambda a, b: a + b, 2, 3) == "too large"
    assert told(None, lambda a, b: a + b, None, 3) == "not answered yet"
    said = told(6, lambda a, b: a + b, None, 3)
    assert said.startswith("cannot be checked with these values: TypeError (unsupported operand")


def minus(first, second):
    return first - second


CASES = ((1, 2), (5, 3))


def test_a_function_is_compared_on_every_case(told):
    assert told(lambda a, b: a - b, minus, cases=CASES) == "correct"
    said = told(lambda a, b: abs(a - b), minus, cases=CASES)
    assert said == "too large, for\nfirst = 1\nsecond = 2"
    said = told(lambda a, b: -1, minus, cases=CASES)
    assert said == "too small, for\nfirst = 5\nsecond = 3"
    assert told(3, minus, cases=CASES) == "expected a function, got int"


def empty(a, b): ...


def only_a_docstring(a, b):
    """Nothing yet."""


def forgot(a, b):
    a - b


@pytest.mark.parametrize("function", [empty, only_a_docstring, lambda a, b: ...])
def test_a_function_without_a_body_is_not_answered_yet(told, function):
    assert told(function, minus, cases=CASES) == "not answered yet"


def test_a_forgotten_return_is_named(told):
    said = "your function returned None: does it end without a `return`?"
    assert told(forgot, minus, cases=CASES) == said


def test_the_arguments_that_fail_can_be_pasted(told):
    case = (np.array([[1 / 3, np.inf]]), (np.arange(2), np.float64(0.5)), "x")
    said = told(lambda *_: 4, lambda a, b, c: 3, cases=(case,))
    pasted = {}
    exec(said.removeprefix("too large, for\n"), {"np": np}, pasted)
    np.testing.assert_array_equal(pasted["a"], case[0])
    np.testing.assert_array_equal(pasted["b"][0], case[1][0])
    assert (pasted["b"][1], pasted["c"]) == (0.5, "x")


def test_what_the_reader_s_function_raises_is_reported(told):
    said = told(lambda a, b: a / (a - 5), lambda a, b: -0.25, cases=CASES)
    assert said == ("your function raised ZeroDivisionError (division by zero), for\na = 5\nb = 3")
    said = told(lambda a: a, minus, cases=CASES)
    assert said.startswith("your function raised TypeError (")


def test_a_function_that_changes_its_arguments_spoils_no_other_check(told):
    case = (np.ones(2),)

    def doubles(x):
        x *= 2
        return x

    for _ in range(2):
        said = told(doubles, lambda x: 2 * x, cases=(case, case))
        assert said == (
            "correct, but it changes its argument x: what the caller has is changed too"
        )
    np.testing.assert_array_equal(case[0], 1)
    nested = ((np.ones(2), 3), 1)
    assert told(lambda p, n: doubles(p[0]), lambda p, n: 2 * p[0], cases=(nested,)).startswith(
        "correct, but it changes its argument p:"
    )
    assert told(lambda x: 2 * x, lambda x: 2 * x, cases=(case, case)) == "correct"


def test_a_function_s_result_of_another_shape_is_told_the_hint(capsys, monkeypatch):
    question = Question(lambda x: x.sum(0), hint="Add up the rows.", cases=((np.ones((2, 3)),),))
    monkeypatch.setitem(QUESTIONS, "01.1", question)
    check("01.1", lambda x: x)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "01.1: expected an array of shape (3,), got shape (2, 3), for"
    assert last == "Hint: Add up the rows."


def test_a_function_that_answers_in_part_is_told_no_case(told):
    said = told(lambda a, b: (a - b, None), lambda a, b: (a - b, a), cases=CASES)
    assert said == "not answered yet: item 2 (1 of 2 right)"


WRONG_FUNCTIONS = {
    "01.2 rows of the batch in another order": (
        "01.2",
        lambda x, h0, Wx, Wh, b: run(x.reshape(x.shape[1], x.shape[0], -1), h0, Wx, Wh, b),
    ),
    "07.7 the two best symbols of each beginning": (
        "07.7",
        lambda totals, log_p, width: best_pairs(
            [(k, s) for k, row in enumerate(log_p) for s in np.argsort(-row)[:2]],
            totals,
            log_p,
            width,
        ),
    ),
    "07.7 the best of each beginning before all others": (
        "07.7",
        lambda totals, log_p, width: best_first(totals, log_p, width),
    ),
}


def run(steps, h, Wx, Wh, b):
    for x in steps:
        h = np.tanh(x @ Wx + h @ Wh + b)
    return h


def best_pairs(pairs, totals, log_p, width):
    ordered = sorted(pairs, key=lambda pair: -(totals[pair[0]] + log_p[pair]))
    return np.array(ordered[:width])


def best_first(totals, log_p, width):
    firsts = [(k, int(np.argmax(row))) for k, row in enumerate(log_p)]
    others = [pair for pair in np.ndindex(log_p.shape) if pair not in firsts]
    first = best_pairs(firsts, totals, log_p, width)
    return np.array([*first, *best_pairs(others, totals, log_p, width)])[:width]


@pytest.mark.parametrize("name", WRONG_FUNCTIONS)
def test_a_function_that_is_wrong_in_a_likely_way_is_not_accepted(name, capsys, monkeypatch):
    number, function = WRONG_FUNCTIONS[name]
    check(number, function)
    assert "correct" not in capsys.readouterr().out


def test_an_unknown_question_is_the_lesson_s_mistake():
    with pytest.raises(ValueError, match=r"no question '01\.99'"):
        check("01.99", 3)


@pytest.mark.parametrize("number", QUESTIONS)
def test_a_question_has_what_it_needs(number):
    question = QUESTIONS[number]
    for case in question.cases:
        question.expected(*copy.deepcopy(case))
    if isinstance(question.hint, dict):
        assert question.hint.keys() == {"", *question.items}
    letters = question.expected if isinstance(question.expected, str | set) else ""
    assert set(letters) <= set(question.choices or letters)
