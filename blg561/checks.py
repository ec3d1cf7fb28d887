"""Checks: of a gradient against finite differences, and of a reader's answer in a lesson."""

import copy
import reprlib

import numpy as np

from blg561.answers import QUESTIONS


def rel_error(x, y):
    """The largest element-wise relative error, |x - y| / max(1e-8, |x| + |y|).

    Raises ValueError if x and y have different shapes.
    """
    x = np.asarray(x)
    y = np.asarray(y)
    if x.shape != y.shape:
        raise ValueError(f"expected two arrays of one shape, got {x.shape} and {y.shape}")
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0)


def grad_check(f, x, df=None, h=1e-5):
    """The gradient of sum(f(x) * df) with respect to x, by central differences.

    Each entry of x is moved by ±h in place and then restored, so f may also read x from where it
    lies, such as a layer's parameter, and ignore its argument. Use float64: in float32 the
    differences drown in rounding.

    f: a function of x that returns an array or a number. df: of the shape of f(x), ones if None.
    Raises TypeError if x is not an array of floats, ValueError if df has another shape than f(x).
    """
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating):
        came = f"dtype {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"x: expected a NumPy array of floats, got {came}")

    def loss():
        y = np.asarray(f(x))
        if df is not None and np.shape(df) != y.shape:
            raise ValueError(f"df: expected the shape of f(x), {y.shape}, got {np.shape(df)}")
        return np.sum(y if df is None else y * df)

    grad = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        value = x[index]
        try:
            x[index] = value + h
            above = loss()
            x[index] = value - h
            below = loss()
        finally:
            x[index] = value
        grad[index] = (above - below) / (2 * h)
    return grad


def compare(name, ours, reference):
    """Prints a row of a gradient-check table: whether equal, whether nearly, how far apart."""
    ours = np.asarray(ours)
    reference = np.asarray(reference)
    if ours.shape != reference.shape:
        print(f"{name:8} | shape {ours.shape} against {reference.shape}")
        return
    exact = np.array_equal(ours, reference)
    near = np.allclose(ours, reference)
    largest = np.max(np.abs(ours - reference), initial=0.0)
    print(
        f"{name:8} | exact: {exact!s:5} | approximate: {near!s:5} "
        f"| largest difference: {largest:.1e}"
    )


NOT_ANSWERED = "not answered yet"
CORRECT = "correct"


def check(question, answer, *given):
    """Prints whether `answer` is right, and if not, what is off and a hint. It never raises.

    question: the number of a question in `blg561.answers.QUESTIONS`, such as "RNN.1". An unknown
        one is the lesson's mistake, and a ValueError.
    given: what the question's `expected` needs to compute the right answer, if it is a function.
    """
    if question not in QUESTIONS:
        raise ValueError(f"no question {question!r}, there are: {', '.join(QUESTIONS) or 'none'}")
    asked = QUESTIONS[question]
    verdict = _judge(asked, answer, given)
    print(f"{question}: {verdict}")
    if asked.hint and verdict not in (CORRECT, NOT_ANSWERED):
        print(f"Hint: {asked.hint}")


def _judge(asked, answer, given):
    if _is_blank(answer):
        return NOT_ANSWERED
    if asked.cases:
        return _judge_function(asked, answer)
    try:
        expected = asked.expected(*given) if callable(asked.expected) else asked.expected
    except Exception as error:
        return f"cannot be checked with these values: {_describe(error)}"
    return _fault(answer, expected, asked.rtol) or CORRECT


def _judge_function(asked, answer):
    if not callable(answer):
        return f"expected a function, got {type(answer).__name__}"
    for case in asked.cases:
        where = f"for the arguments {reprlib.repr(case)}"
        expected = asked.expected(*copy.deepcopy(case))
        try:
            returned = answer(*copy.deepcopy(case))
        except Exception as error:
            return f"your function raised {_describe(error)}, {where}"
        if _is_blank(returned):
            return NOT_ANSWERED
        fault = _fault(returned, expected, asked.rtol)
        if fault:
            return f"{fault}, {where}"
    return CORRECT


def _fault(answer, expected, rtol):
    """What is off with `answer`, in words that do not tell `expected`; "" if nothing is."""
    if isinstance(expected, tuple | list):
        return _fault_of_items(answer, expected, rtol)
    if isinstance(expected, set | frozenset):
        return _fault_of_set(answer, expected)
    if isinstance(expected, str):
        if not isinstance(answer, str):
            return f"expected a string, got {type(answer).__name__}"
        return "" if _plain(answer) == _plain(expected) else "not right"
    if isinstance(expected, bool | np.bool_):
        if not isinstance(answer, bool | np.bool_):
            return f"expected True or False, got {type(answer).__name__}"
        return "" if answer == expected else "not right"
    return _fault_of_numbers(answer, np.asarray(expected), rtol)


def _fault_of_items(answer, expected, rtol):
    if not isinstance(answer, tuple | list):
        return f"expected a tuple of {len(expected)}, got {type(answer).__name__}"
    if len(answer) != len(expected):
        return f"expected a tuple of {len(expected)}, got one of {len(answer)}"
    for number, (item, right) in enumerate(zip(answer, expected, strict=True), start=1):
        fault = _fault(item, right, rtol)
        if fault:
            return f"item {number}: {fault}"
    return ""


def _fault_of_set(answer, expected):
    if not isinstance(answer, set | frozenset | tuple | list):
        return f"expected a set of strings, got {type(answer).__name__}"
    if not all(isinstance(item, str) for item in answer):
        return "expected a set of strings, got other things in it"
    came = {_plain(item) for item in answer}
    right = {_plain(item) for item in expected}
    if came == right:
        return ""
    return f"{len(came - right)} of yours do not belong, {len(right - came)} are missing"


def _fault_of_numbers(answer, expected, rtol):
    wanted = f"an array of shape {expected.shape}" if expected.ndim else "a number"
    try:
        numbers = np.asarray(answer)
    except Exception:
        return f"expected {wanted}, got {type(answer).__name__}"
    if numbers.dtype.kind not in "iuf" and numbers.dtype != expected.dtype:
        array = isinstance(answer, np.ndarray)
        return f"expected {wanted}, got {numbers.dtype if array else type(answer).__name__}"
    if numbers.shape != expected.shape:
        return f"expected {wanted}, got shape {numbers.shape}"
    if np.array_equal(numbers, expected):
        return ""
    if not np.isfinite(numbers).all():
        return "not finite (nan or infinity)"
    with np.errstate(invalid="ignore"):  # expected may be infinite
        error = rel_error(numbers.astype(float), expected.astype(float))
    if error <= rtol:
        return ""
    if expected.ndim:
        return f"the largest relative error is {error:.1e}, at most {rtol:.0e} is right"
    return "too large" if numbers > expected else "too small"


def _is_blank(answer):
    return answer is None or answer is ...


def _plain(text):
    return text.strip().casefold()


def _describe(error):
    return f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
