"""Where the leaderboard keeps what took long, and how processes share it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from filelock import FileLock

MODELS = Path(__file__).resolve().parents[2] / "models" / "leaderboard"


def digest(description) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


def locked(path: Path) -> FileLock:
    """Within it no other process is within the same `path`, which is made for the purpose."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)
