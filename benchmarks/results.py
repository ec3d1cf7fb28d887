"""The files in results/: what the scripts in benchmarks/ measured, as JSON.

The lessons and results/README.md show them, and tests hold these to the files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "results"


def read(name: str):
    """What results/NAME.json holds, None where there is no such file."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(name: str, value):
    """Put `value` into results/NAME.json."""
    FOLDER.mkdir(exist_ok=True)
    write_json(FOLDER / f"{name}.json", value)


def write_json(path: Path, value):
    """The old file or the new one is there whole, whenever the process ends."""
    partial = path.with_suffix(".partial")
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
