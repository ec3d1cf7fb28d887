"""What several test files need, and the rule that a test writes to its temporary folder alone."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from blg561.language_model.books import CATALOGUE

ROOT = Path(__file__).resolve().parents[1]
# Books are fetched for whoever asks, also for a lesson that runs at the same time.
FETCHED = {str(ROOT / "data" / book.file_name) for book in CATALOGUE.values()}
# Here tools keep what they know, and people edit while tests run.
CACHES = {".git", ".venv", "build", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__"}
SOURCES = {".py", ".md", ".ipynb", ".toml", ".yml", ".cfg", ""}

# A busy machine is no fault of the code: what takes long is seen in benchmarks.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


def files_and_times() -> dict[str, int]:
    """Every file of the checkout that is no source, book or cache, with its time of change."""
    found = {}
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [n for n in folders if n not in CACHES and not n.startswith(".new-")]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1] not in SOURCES and path not in FETCHED:
                found[path] = os.stat(path).st_mtime_ns
    return found


@pytest.fixture(autouse=True, scope="module")
def nothing_is_written_to_the_checkout() -> Iterator[None]:
    """Neither models/ nor data/ nor figures/ is a place for a test: a user's files lie there."""
    before = files_and_times()
    yield
    changed = [path for path, _ in files_and_times().items() ^ before.items()]
    assert not changed, f"written while these tests ran: {sorted(set(changed))}"


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
