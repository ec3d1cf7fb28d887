"""The lessons that read a book, whole, where the known edition is not what is found.

`make elsewhere`, half an hour. Outputs are not compared, since another text has other
numbers; each cell must end without an error, and what a lesson asserts must hold there too.
"""

import random
import re
from pathlib import Path

import editions
import nbformat
import pytest

from blg561.language_model import books, practice
from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]
LESSONS = [next((ROOT / "notebooks").glob(f"{number}*.ipynb")) for number in ("04", "05", "06")]
BOOK = books.CATALOGUE["pride_prejudice"]
UNREACHABLE = "http://127.0.0.1:9"


def run(lesson: Path, folder: Path, monkeypatch, **settings: str) -> str:
    """Run the lesson with the books of `folder` alone and other `settings`; what it printed."""
    monkeypatch.setenv("BLG561_DATA", str(folder))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, UNREACHABLE)
    lesson = nbformat.read(lesson, as_version=4)
    for name, value in settings.items():
        places = 0
        for cell in notebooks.code_cells(lesson):
            cell.source, found = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", cell.source)
            places += found
        assert places == 1, f"{places} cells set {name}"
    notebooks.execute(lesson, folder, folder)
    outputs = [output for cell in notebooks.code_cells(lesson) for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture(scope="module")
def chapters() -> list[str]:
    path = books.find(BOOK.key)
    assert books.verify(path, BOOK) is books.Edition.KNOWN, "the known edition is needed"
    return re.split(r"\s*^ *Chapter \d+$\s*", books.read_text(path), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("edition", ["illustrated", "one word", "a twentieth"])
def test_a_lesson_on_another_edition(lesson, edition, chapters, tmp_path, monkeypatch):
    """Its headings, pictures and printer's lines; or the known one, respelled here and there."""
    if edition == "illustrated":
        content = editions.illustrated(BOOK.title, chapters)
    else:
        text = "\f".join(chapters)
        words = 1 if edition == "one word" else len(re.findall(r"\w+", text)) // 20
        content = editions.plain(BOOK.title, editions.respelled(text, words).split("\f"))
    path = tmp_path / BOOK.file_name
    path.write_text(content, encoding="utf-8")
    assert books.verify(path, BOOK) is books.Edition.OTHER
    settings = {"TRAIN": "False"} if lesson.stem.startswith("04") else {}
    printed = run(lesson, tmp_path, monkeypatch, **settings)
    assert "Using the practice corpus" not in printed


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_on_the_practice_corpus(lesson, tmp_path, monkeypatch):
    run(lesson, tmp_path, monkeypatch)


def test_lesson_04_on_a_text_of_ones_own(tmp_path, monkeypatch):
    words = practice.text(20_000).split()
    random.Random(0).shuffle(words)
    (tmp_path / "my.txt").write_text(" ".join(words), encoding="utf-8")
    printed = run(LESSONS[0], tmp_path, monkeypatch, BOOK='"my.txt"')
    assert "my.txt, your own text" in printed
