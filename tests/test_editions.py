"""A network and another edition of its book: nothing stops, what it does not know is counted."""

import dataclasses
import os
import re
from pathlib import Path

import editions
import pytest

from blg561.__main__ import main
from blg561.language_model import books
from blg561.language_model.dataset import tokenize

BOOK = books.CATALOGUE["pride_prejudice"]


def test_of_an_illustrated_edition_exactly_the_story_is_read(tmp_path):
    chapters = [f"Lamp {i} was lit, _and_ boats came in.\n\n“Nobody slept!”" for i in range(49)]
    content = editions.illustrated(BOOK.title, chapters)
    path = tmp_path / "book.txt"
    path.write_text(content, encoding="utf-8")
    book = dataclasses.replace(BOOK, size=len(content.encode()))
    assert books.verify(path, book) is books.Edition.OTHER
    expected = [f"Chapter {i} {chapter}" for i, chapter in enumerate(chapters, start=1)]
    assert books.read_text(path).split() == " ".join(expected).split()


# with a network that comes with the package, on the last quarter of its book


@pytest.fixture(scope="module")
def chapters() -> list[str]:
    path = Path(os.environ.get("BLG561_DATA", "")) / BOOK.file_name
    if not path.is_file() or books.verify(path, BOOK) is not books.Edition.KNOWN:
        pytest.skip("needs the known edition in $BLG561_DATA")
    return re.split(r"\s*^ *Chapter \d+$\s*", books.read_text(path), flags=re.MULTILINE)[-15:]


def score(content: str, folder: Path, capsys) -> tuple[float, int]:
    """What `evaluate` prints of it: perplexity, tokens left out."""
    path = folder / "book.txt"
    path.write_text(content, encoding="utf-8")
    assert main(["evaluate", "--recipe", "rnn", "--text", str(path)]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    perplexity, left_out = re.fullmatch(
        r"validation perplexity ([\d.]+), .* bits a token(?:; ([\d,]+) tokens left out)?", line
    ).groups()
    return float(perplexity), int((left_out or "0").replace(",", ""))


@pytest.fixture(scope="module")
def known(chapters, tmp_path_factory):
    """The score on the known edition."""
    from blg561.language_model import pretrained, scoring

    path = tmp_path_factory.mktemp("known") / "book.txt"
    path.write_text(editions.plain(BOOK.title, chapters), encoding="utf-8")
    found = scoring.score(*pretrained.load(BOOK.key, "rnn"), path)
    assert found["tokens_left_out"] == 0 and found["tokens_scored"] > 5000
    return found["perplexity"]


def test_the_same_words_in_another_typesetting_score_the_same(chapters, known, tmp_path, capsys):
    content = editions.illustrated(BOOK.title, chapters)
    assert score(content, tmp_path, capsys) == (pytest.approx(known, abs=0.006), 0)


@pytest.mark.parametrize(("words", "seed"), [(1, 9), (100, 0), ("5 %", 0)])
def test_respelled_words_are_left_out_and_the_others_score_much_as_before(
    chapters, known, tmp_path, capsys, words, seed
):
    """Words matched by their place in a lexicon would score in the thousands."""
    text = "\f".join(chapters)
    words = len(tokenize(text)) // 20 if words == "5 %" else words
    chapters = editions.respelled(text, words, seed).split("\f")
    perplexity, left_out = score(editions.plain(BOOK.title, chapters), tmp_path, capsys)
    tokens = tokenize(books.read_text(tmp_path / "book.txt"))
    validation = tokens[int(0.8 * len(tokens)) - 1 :]
    assert left_out == sum(bool(re.search(r"xe\b", word)) for word in validation) > 0
    assert perplexity == pytest.approx(known, rel=0.02)
