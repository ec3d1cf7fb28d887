"""The release of the known editions: what is prepared is what `books.find` takes from it."""

import dataclasses
import hashlib
import shutil
import subprocess

import pytest

from blg561.language_model import books
from tools import release_books

TEXTS = {key: f"{key}: lamps and boats.\n".encode() for key, book in books.CATALOGUE.items()}


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Small files are the known editions, in $BLG561_DATA, one of them with other line ends."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BLG561_DATA", str(folder))
    for key, text in TEXTS.items():
        digest = hashlib.sha256(text).hexdigest()
        book = dataclasses.replace(books.CATALOGUE[key], sha256=digest)
        monkeypatch.setitem(books.CATALOGUE, key, book)
        content = text.replace(b"\n", b"\r\n") if key == "pride_prejudice" else text
        (folder / book.file_name).write_bytes(content)
    return folder


def test_the_known_editions_are_prepared_with_their_hashes(known, tmp_path, capsys):
    assert release_books.main(["--folder", str(tmp_path / "out")]) == 0
    out = tmp_path / "out"
    names = ["pride_prejudice.txt", "tale_of_two_cities.txt", "the_brothers_karamazov.txt"]
    assert sorted(path.name for path in out.iterdir()) == ["SHA256SUMS", *names]
    assert [(out / name).read_bytes() for name in names] == [TEXTS[name[:-4]] for name in names]
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    # the release has the address that `find` asks
    said = capsys.readouterr().out
    *_, owner, name, releases, download, tag = books.KNOWN_FOLDERS[-1].split("/")
    assert (releases, download) == ("releases", "download")
    assert f"gh release create {tag} --repo {owner}/{name} " in said
    assert all(str(out / name) in said for name in names)


def test_another_edition_is_not_released(known, tmp_path, capsys):
    book = books.CATALOGUE["tale_of_two_cities"]
    (known / book.file_name).write_text(
        f"Title: {book.title}\n*** START OF THE PROJECT GUTENBERG EBOOK ***\n"
        f"{'Lamps. ' * (book.size // 7)}\n*** END OF THE PROJECT GUTENBERG EBOOK ***\n"
    )
    assert release_books.main(["--folder", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{book.file_name} is not the known edition of {book.title}" in error
    assert not (tmp_path / "out" / "SHA256SUMS").exists()
