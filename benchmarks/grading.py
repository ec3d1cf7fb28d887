"""Seconds to grade the layers of one submission, and all its parts.

    python -m benchmarks.grading [--write]

Grades the perfect submission, made from the package, twice: the layers alone, and everything with
the three provided networks on Pride and Prejudice. With --write the seconds on the clock go to
results/grading.json; run it on a machine that does nothing else.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from made_submissions import solutions, submission  # noqa: E402

from blg561.assignment import grade, handout, settings  # noqa: E402
from blg561.language_model import books  # noqa: E402

NETWORKS = {"rnn": "rnn", "rnn_clipped": "rnn_clipped", "gated": "lstm"}


def perfect(folder: Path) -> Path:
    made = submission(folder, fill=solutions())
    provided = handout.PACKAGE / "language_model/pretrained"
    for name, recipe in NETWORKS.items():
        (made / "networks").mkdir(exist_ok=True)
        shutil.copy(provided / f"pride_prejudice-{recipe}.pt", made / f"networks/{name}.pt")
    (made / "figures").mkdir()
    for name in ("loss", "perplexity"):
        shutil.copy(ROOT / "figures/perplexity.png", made / f"figures/{name}.png")
    return made


def measure(path: Path, parts: list[str], book: str) -> dict:
    said = settings.load() | {"parts": parts}
    start = time.perf_counter()
    graded = grade.grade_one(path, said, 1, book, {})
    return {
        "parts": parts,
        "score": graded.score,
        "seconds": round(time.perf_counter() - start, 1),
    }


def main():
    book = books.read_text(books.find("pride_prejudice"))
    with tempfile.TemporaryDirectory() as folder:
        path = perfect(Path(folder) / "perfect")
        layers = ["RNN", "LSTM", "GRU"]
        measure(path, layers, book)  # what is imported and asked of the system but once
        rows = [measure(path, parts, book) for parts in (layers, [*layers, "LM", "Q"])]
    for row in rows:
        print(row)
    if "--write" in sys.argv[1:]:
        text = json.dumps(rows, indent=1) + "\n"
        (ROOT / "results/grading.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
