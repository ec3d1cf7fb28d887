"""The teacher's file, assignment.toml: points, thresholds, parts, limits."""

from __future__ import annotations

import tomllib
from pathlib import Path

from blg561.errors import InputError

DEFAULT = Path(__file__).with_name("assignment.toml")
PARTS = {
    "RNN": "the RNN layer",
    "LSTM": "the LSTM layer",
    "GRU": "the GRU layer",
    "LM": "the language model",
    "Q": "the questions",
}


def load(path: Path = DEFAULT) -> dict:
    """What the file says. Raises InputError for a file that is not TOML or lacks something."""
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a TOML file such as {DEFAULT.name}: {error}") from error
    asked = tomllib.loads(DEFAULT.read_text(encoding="utf-8"))
    for name in asked:
        if type(found.get(name)) is not type(asked[name]):
            raise InputError(f"{path}: expected {name} as in {DEFAULT.name}")
    unknown = set(found["parts"]) - set(PARTS)
    if unknown:
        raise InputError(f"{path}: parts are {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    for part in found["parts"]:
        if found["points"].get(part, {}).keys() != asked["points"][part].keys():
            raise InputError(
                f"{path}: [points.{part}] must have {', '.join(asked['points'][part])}"
            )
    for name in asked["limits"]:
        if type(found["limits"].get(name)) not in (int, float) or found["limits"][name] <= 0:
            raise InputError(f"{path}: expected a number above 0 for {name} in [limits]")
    if found["book"] not in found["thresholds"]:
        raise InputError(f"{path}: [thresholds] has no {found['book']}, which is the book")
    return found
