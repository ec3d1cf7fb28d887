"""Checks: of a gradient against finite differences, and of a reader's answer in a lesson."""

import copy
import dis
import inspect
import re
from collections import Counter
from dataclasses import replace

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

tries = Counter()  # of each question, how many wrong answers have been given in this session


class Wrong(Exception):
    """What is off with an answer, in words that do not tell the right one.

    item: of an answer of several items the name of the first wrong one, "" if none is right.
    """

    def __init__(self, said, item=""):
        super().__init__(said)
        self.item = item


class WrongKind(Wrong):
    """The answer is not of the kind that is asked for: no hint to the question would help."""


class Unfinished(WrongKind):
    """Some items are right and the others are not answered yet."""


def check(question, answer, *given):
    """Prints whether `answer` is right, and if not, what is off and a hint. It never raises.

    A second wrong answer is told the second hint, and so on; where each item of the answer has a
    hint, the one that fits. An answer of another kind than the one asked for, such as a string for
    a number, is told so, without a hint.

    question: the number of a question in `blg561.answers.QUESTIONS`, such as "01.1". An unknown
        one is the lesson's mistake, and a ValueError.
    given: what the question's `expected` needs to compute the right answer, if it is a function.
    """
    if question not in QUESTIONS:
        raise ValueError(f"no question {question!r}, there are: {', '.join(QUESTIONS) or 'none'}")
    asked = QUESTIONS[question]
    try:
        print(f"{question}: {_judge(asked, answer, given)}")
    except WrongKind as fault:
        print(f"{question}: {fault}")
    except Wrong as fault:
        print(f"{question}: {fault}")
        if hint := _hint(asked.hint, fault.item, tries[question]):
            print(f"Hint: {hint}")
        tries[question] += 1


def _hint(hint, item, tried):
    if isinstance(hint, dict):
        return hint[item]
    return hint if isinstance(hint, str) else hint[min(tried, len(hint) - 1)]


def _judge(asked, answer, given):
    """CORRECT or NOT_ANSWERED; raises Wrong with what is off."""
    if _is_blank(answer):
        return NOT_ANSWERED
    if asked.cases:
        return _judge_function(asked, answer)
    try:
        expected = asked.expected(*given) if callable(asked.expected) else asked.expected
    except Exception as error:
        raise WrongKind(f"cannot be checked with these values: {_describe(error)}") from None
    _compare(answer, expected, asked)
    return CORRECT


def _judge_function(asked, answer):
    if not callable(answer):
        raise WrongKind(f"expected a function, got {type(answer).__name__}")
    if _has_no_body(answer):
        return NOT_ANSWERED
    names = [*inspect.signature(asked.expected).parameters]
    changed = set()
    for case in asked.cases:
        where = f", for\n{_as_code(names, case)}"
        expected = asked.expected(*copy.deepcopy(case))
        handed = copy.deepcopy(case)
        try:
            returned = answer(*handed)
        except Exception as error:
            raise Wrong(f"your function raised {_describe(error)}{where}") from None
        if returned is None:
            raise WrongKind("your function returned None: does it end without a `return`?")
        if _is_blank(returned):
            return NOT_ANSWERED
        try:
            _compare(returned, expected, asked)
        except Unfinished:
            raise
        except Wrong as fault:
            raise type(fault)(f"{fault}{where}", fault.item) from None
        named = zip(names, handed, case, strict=True)
        changed |= {name for name, now, before in named if not _same(now, before)}
    if changed:
        which = " and ".join(name for name in names if name in changed)
        return f"{CORRECT}, but it changes its argument {which}: what the caller has is changed too"
    return CORRECT


def _same(one, other):
    """Whether two arguments are equal: numbers, arrays or tuples and lists of them."""
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    return np.array_equal(one, other)


def _has_no_body(function):
    """Whether there is nothing in a function but `...`, `pass`, a constant or a docstring."""
    trivial = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    code = getattr(function, "__code__", None)
    if code is None or any(step.opname not in trivial for step in dis.get_instructions(code)):
        return False
    constants = [step.argval for step in dis.get_instructions(code) if "CONST" in step.opname]
    return all(constant is None or constant is ... for constant in constants)


def _as_code(names, arguments):
    """The arguments of a call as lines that can be pasted into a cell: `x = np.array(...)`."""
    named = zip(names, arguments, strict=True)
    return "\n".join(f"{name} = {_literal(value)}" for name, value in named)


def _literal(value):
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
    if not isinstance(value, np.ndarray):
        return repr(value)
    with np.printoptions(floatmode="unique", threshold=value.size + 1, linewidth=90):
        text = f"np.{value!r}"
    return re.sub(r"\b(inf|nan)\b", r"np.\1", text)


def _compare(answer, expected, asked):
    """Raises Wrong or WrongKind where `answer` is not `expected`."""
    if isinstance(expected, tuple | list):
        _compare_items(answer, expected, asked)
    elif isinstance(expected, set | frozenset):
        _compare_sets(answer, expected, asked.choices)
    elif isinstance(expected, str):
        _compare_strings(answer, expected, asked.choices)
    elif isinstance(expected, bool | np.bool_):
        if not isinstance(answer, bool | np.bool_):
            raise WrongKind(f"expected True or False, got {type(answer).__name__}")
        if answer != expected:
            raise Wrong("not right")
    else:
        _compare_numbers(answer, np.asarray(expected), asked)


def _compare_items(answer, expected, asked):
    if not isinstance(answer, tuple | list | np.ndarray):
        raise WrongKind(f"expected a tuple of {len(expected)}, got {type(answer).__name__}")
    if isinstance(answer, np.ndarray) and not answer.ndim:
        raise WrongKind(f"expected a tuple of {len(expected)}, got one number")
    if len(answer) != len(expected):
        raise WrongKind(f"expected a tuple of {len(expected)}, got one of {len(answer)}")
    faults, blank = {}, []
    for number, (item, right) in enumerate(zip(answer, expected, strict=True)):
        name = _name(asked, number)
        if _is_blank(item):
            blank.append(name)
            continue
        try:
            _compare(item, right, replace(asked, items=()))
        except Wrong as fault:
            faults[name] = fault
    right_ones = len(expected) - len(faults) - len(blank)
    said = [f"{name}: {fault}" for name, fault in faults.items()]
    said += [f"{NOT_ANSWERED}: {', '.join(blank)}"] if blank else []
    told = "; ".join(said) + (f" ({right_ones} of {len(expected)} right)" if right_ones else "")
    wrong = [name for name, fault in faults.items() if not isinstance(fault, WrongKind)]
    if wrong:
        raise Wrong(told, wrong[0] if right_ones else "")
    if faults:
        raise WrongKind(told)
    if blank:
        raise Unfinished(told)


def _name(asked, number):
    return asked.items[number] if asked.items else f"item {number + 1}"


def _compare_strings(answer, expected, choices):
    if not isinstance(answer, str):
        raise WrongKind(f"expected a string, got {type(answer).__name__}")
    if len(expected) == 1:
        answer = _letter(answer, choices)
    if _plain(answer) != _plain(expected):
        raise Wrong("not right")


def _compare_sets(answer, expected, choices):
    letters = all(len(item) == 1 for item in expected)
    if letters and isinstance(answer, str):
        answer = _letters(answer, choices)
    if not isinstance(answer, set | frozenset | tuple | list | np.ndarray):
        raise WrongKind(f"expected a set of strings, got {type(answer).__name__}")
    if not all(isinstance(item, str) for item in answer):
        raise WrongKind("expected a set of strings, got other things in it")
    try:
        came = {_letter(item, choices) if letters else _plain(item) for item in answer}
    except WrongKind as fault:
        raise WrongKind(f"{fault} among your items") from None
    right = {_plain(item) for item in expected}
    if came != right:
        raise Wrong(f"{len(came - right)} of yours do not belong, {len(right - came)} are missing")


LETTER = re.compile(r"(?<![^\W_])[^\W\d_](?![^\W_])")  # one that stands alone: (b), b., **b**


def _letters(text, choices):
    """The letters that a reader means by "a, b", "{a, b}" or "ab"."""
    text = _plain(text)
    if text and set(text) <= set(choices):
        return list(text)
    return LETTER.findall(text)


def _letter(text, choices):
    """The letter that a reader means by "b", "(b)", "**b**" or "line b"."""
    found = set(LETTER.findall(text.casefold()))
    meant = found & set(choices) if choices else found
    if len(meant) == 1:
        return meant.pop()
    among = f" from {choices[0]} to {choices[-1]}" if choices else ""
    if len(found) == 1:
        raise WrongKind(f"there is no choice {found.pop()!r}, expected a letter{among}")
    raise WrongKind(f"expected one letter{among}, got {text!r}")


def _compare_numbers(answer, expected, asked):
    listed = expected.ndim == 1 and isinstance(asked.expected, np.ndarray)  # a list of answers
    wanted = _list_of(asked, len(expected)) if listed else f"an array of shape {expected.shape}"
    wanted = wanted if expected.ndim else "a number"
    try:
        numbers = np.asarray(answer)
    except Exception:
        raise WrongKind(f"expected {wanted}, got {type(answer).__name__}") from None
    if numbers.dtype.kind not in "iuf" and numbers.dtype != expected.dtype:
        if isinstance(answer, tuple | list) and expected.shape == (len(answer),):
            return _compare_items(answer, tuple(expected), asked)  # says which are no numbers
        array = isinstance(answer, np.ndarray)
        came = numbers.dtype if array else type(answer).__name__
        raise WrongKind(f"expected {wanted}, got {came}")
    if numbers.shape != expected.shape:
        came = f"shape {numbers.shape}"
        if listed and numbers.ndim < 2:
            came = numbers.size if numbers.ndim else "one number"
        # a function's result of another shape is a wrong turn on the way, and wants its hint
        raise (Wrong if asked.cases else WrongKind)(f"expected {wanted}, got {came}")
    if np.array_equal(numbers, expected):
        return
    if not np.isfinite(numbers).all():
        raise Wrong("not finite (nan or infinity)")
    if expected.ndim and expected.dtype.kind == "i" and not listed:
        raise Wrong(_wrong_entries(numbers, expected))
    numbers, expected = numbers.astype(float), expected.astype(float)
    with np.errstate(invalid="ignore"):  # expected may be infinite
        error = rel_error(numbers, expected)
        if error <= asked.rtol:
            return
        if not expected.ndim:
            raise Wrong(_too(numbers, expected))
        if listed:
            raise Wrong(_faults_of_list(numbers, expected, asked))
        if alike := _off_alike(numbers, expected, asked.rtol):
            raise Wrong(alike)
        off = np.abs(numbers - expected) / np.maximum(1e-8, np.abs(numbers) + np.abs(expected))
    place = ", ".join(map(str, np.unravel_index(np.argmax(off), off.shape)))
    raise Wrong(
        f"the largest relative error is {error:.1e}, at [{place}]; "
        f"at most {asked.rtol:.0e} is right"
    )


def _list_of(asked, length):
    return f"a list of {length} numbers" + (f" ({', '.join(asked.items)})" if asked.items else "")


def _wrong_entries(numbers, expected):
    """Where integers, such as indices, first differ: how far apart they are says nothing."""
    differ = numbers != expected
    place = ", ".join(map(str, np.argwhere(differ)[0]))
    return f"{differ.sum()} of {differ.size} numbers are wrong, the first of them at [{place}]"


def _off_alike(numbers, expected, rtol):
    """What all entries have in common, if it is one mistake in all of them."""
    if rel_error(-numbers, expected) <= rtol:
        return "right but for the sign"
    square = expected.ndim == 2 and expected.shape[0] == expected.shape[1]
    if square and rel_error(numbers.T, expected) <= rtol:
        return "right, but transposed"
    if expected.size > 1 and expected.any():
        factor = np.sum(numbers * expected) / np.sum(expected * expected)
        if factor and abs(factor - 1) > 0.01 and rel_error(numbers, factor * expected) <= rtol:
            return f"each number is {factor:.3g} times the right one"
    return None


def _faults_of_list(numbers, expected, asked):
    return "; ".join(
        f"{_name(asked, number)}: {_too(came, right)}"
        for number, (came, right) in enumerate(zip(numbers, expected, strict=True))
        if rel_error(came, right) > asked.rtol
    )


def _too(number, expected):
    return "too large" if number > expected else "too small"


def _is_blank(answer):
    if isinstance(answer, tuple | list) and len(answer):
        return all(map(_is_blank, answer))
    return answer is None or answer is ...


def _plain(text):
    return text.strip().casefold()


def _describe(error):
    return f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
