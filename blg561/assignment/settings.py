"""The teacher's file, assignment.toml: points, thresholds, parts, limits."""

from __future__ import annotations

import reprlib
import tomllib
from pathlib import Path

from blg561.errors import InputError
from blg561.language_model.books import CATALOGUE

DEFAULT = Path(__file__).with_name("assignment.toml")
PARTS = {
    "RNN": "the RNN layer",
    "LSTM": "the LSTM layer",
    "GRU": "the GRU layer",
    "LM": "the language model",
    "Q": "the questions",
}
KINDS = {str: "text", list: "a list", dict: "a table"}
MOST = 1_000_000  # of any number: what is far above overflows a system call for each student anew


def load(path: Path = DEFAULT) -> dict:
    """What the file says, from which every student can be graded.

    Raises InputError for a file that is not TOML, and for what is missing or cannot be meant.
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a TOML file such as {DEFAULT.name}: {error}") from error
    asked = tomllib.loads(DEFAULT.read_text(encoding="utf-8"))
    try:
        for name in asked:
            check_kind(name, found.get(name), type(asked[name]))
        check_parts(found["parts"])
        check_points(found, asked["points"])
        check_thresholds(found["thresholds"], found["book"])
        for name in asked["limits"]:
            check_number(f"{name} in [limits]", found["limits"].get(name))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return found


def shown(value) -> str:
    return "nothing" if value is None else reprlib.repr(value)


def check_kind(name: str, value, kind: type):
    if type(value) is not kind:
        raise InputError(
            f"{name}: expected {KINDS[kind]}, as in {DEFAULT.name}, got {shown(value)}"
        )


def check_number(name: str, value, above: float = 0, or_equal: bool = False):
    # bool is an int, and nan is neither above nor below anything
    number = type(value) in (int, float)
    if not number or not (above < value <= MOST or (or_equal and value == above)):
        least = f"of {above} or more" if or_equal else f"above {above}"
        raise InputError(f"{name}: expected a number {least}, up to {MOST:,}, got {shown(value)}")


def check_parts(parts: list):
    unknown = [part for part in parts if type(part) is not str or part not in PARTS]
    if unknown or not parts:
        got = ", ".join(map(shown, unknown)) or "none"
        raise InputError(f"parts: expected some of {', '.join(PARTS)}, got {got}")
    if len(set(parts)) < len(parts):
        raise InputError(f"parts: expected each part once, got {', '.join(parts)}")


def check_points(found: dict, asked: dict):
    """Of the parts that are asked."""
    total = 0
    for part in found["parts"]:
        points = found["points"].get(part)
        check_kind(f"[points.{part}]", points, dict)
        if points.keys() != asked[part].keys():
            raise InputError(
                f"[points.{part}]: expected {', '.join(asked[part])}, "
                f"got {', '.join(points) or 'nothing'}"
            )
        for name, worth in points.items():
            check_number(f"{name} in [points.{part}]", worth, or_equal=True)
        total += sum(points.values())
    if not total:
        raise InputError(
            f"points: expected some above 0 for {', '.join(found['parts'])}, got 0 for all"
        )


def check_thresholds(thresholds: dict, book: str):
    thresholds = dict(thresholds)
    # points fall between the threshold and this many times it: between equal numbers they cannot
    check_number("nothing_from in [thresholds]", thresholds.pop("nothing_from", None), above=1)
    for key, threshold in thresholds.items():
        if key not in CATALOGUE:
            raise InputError(f"[thresholds]: expected books of {', '.join(CATALOGUE)}, got {key!r}")
        check_number(f"{key} in [thresholds]", threshold)
    if book not in thresholds:
        raise InputError(
            f"[thresholds]: expected one for the book, {shown(book)}, "
            f"got {', '.join(thresholds) or 'none'}"
        )
