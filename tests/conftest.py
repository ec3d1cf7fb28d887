"""What several test files need: a small text of random words, as a file."""

import random
from pathlib import Path

import pytest


@pytest.fixture
def text_file(tmp_path) -> Path:
    """700 tokens of a lexicon of 40 words, frequencies falling like 1/rank, seeded."""
    rng = random.Random(7)
    words = [f"w{rank}" for rank in range(1, 41)]
    tokens = rng.choices(words, [1 / rank for rank in range(1, 41)], k=700)
    path = tmp_path / "random.txt"
    path.write_text(" ".join(tokens), encoding="utf-8")
    return path


@pytest.fixture
def float32(monkeypatch):
    """Trainings choose this precision, whatever the processor is: what is compared is compared to
    float32's digits."""
    name = "blg561.language_model.training.default_precision"
    monkeypatch.setattr(name, lambda device: "float32")
