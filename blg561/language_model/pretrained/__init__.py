"""The trained networks that come with the package.

A network trained on BOOK by the recipe NAME is two files beside this one, which `tools/provide.py`
writes: BOOK-NAME.pt has the weights as float16 and the lexicon, BOOK-NAME.json says how they were
trained and what they score.
"""

from __future__ import annotations

import json
from pathlib import Path

from blg561.language_model import checkpoints
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.models import LanguageModel

FOLDER = Path(__file__).parent


def available() -> list[tuple[str, str]]:
    """(book, name) of every network that comes with the package, sorted."""
    return sorted(tuple(path.stem.split("-", 1)) for path in FOLDER.glob("*-*.json"))


def load(book: str, name: str, device="cpu") -> tuple[LanguageModel, list[str]]:
    """The network, float32 and ready to evaluate, and its lexicon.

    Raises CheckpointError for a network that does not come with the package (says which do).
    """
    return checkpoints.load_model(_file(book, name, ".pt"), device)


def card(book: str, name: str) -> dict:
    """How the network was trained and what it scores: what the JSON file says.

    `validation_loss` (nats per token) and `validation_perplexity` are those of the provided file;
    `validation_loss_before_rounding` is that of the float32 weights. `training_perplexity` is the
    mean over the last epoch, with dropout. `seconds` are those of the training epochs alone;
    `seconds_of_first` those of the recipe's `first`, where it has one.
    `history` is the training's, as in `training.new_log`.

    Raises CheckpointError as `load`.
    """
    return json.loads(_file(book, name, ".json").read_text(encoding="utf-8"))


def _file(book: str, name: str, suffix: str) -> Path:
    if (book, name) not in available():
        there = ", ".join(f"{name} on {book}" for book, name in available()) or "none"
        raise CheckpointError(
            f"no network {name} on {book} comes with the package; those that do: {there}"
        )
    return FOLDER / f"{book}-{name}{suffix}"
