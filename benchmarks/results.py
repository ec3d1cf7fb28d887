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
    """Put `value` into results/NAME.json, which is whole whenever the process ends."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
