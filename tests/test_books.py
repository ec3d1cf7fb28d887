"""Books: every test uses small made-up books, but for the last ones, which read the real files."""

import dataclasses
import hashlib
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from blg561.language_model import books, practice
from blg561.language_model.books import CATALOGUE, BookError, BookUnavailable, Edition
from tools.repository import slug

KEY = "pride_prejudice"
STORY = (
    "Chapter 1\n\nThe lamp was lit before the boats came in; nobody had asked for it.\n\n"
    "Chapter 2\n\nIn the morning it still burned, and the keeper slept beside it.\n"
)
CONTENTS = "CONTENTS\n\n   Chapter 1\n\n   Chapter 2\n\n\n\n"


def as_published(
    story: str = CONTENTS + STORY,
    title: str = "Pride and Prejudice",
    marker: str = "*** {} OF THE PROJECT GUTENBERG EBOOK {} ***",
) -> str:
    start, end = (marker.format(which, title.upper()) for which in ("START", "END"))
    return (
        f"The Project Gutenberg eBook of {title}\n\nThis eBook is for anyone.\n\nTitle: {title}\n\n"
        f"{start}\n\n\nProduced by A. Volunteer\n\n{title}\n\n{story}\n\n{end}\n\n"
        "FULL LICENSE: Project Gutenberg and its terms.\n"
    )


KNOWN = as_published().encode()
OTHER_EDITION = as_published(CONTENTS + STORY.replace("nobody", "no one")).encode()
TRUNCATED = KNOWN[: KNOWN.index(b"Chapter 2\n\nIn the")]
HTML = b"<!DOCTYPE html>\n<html><body>Please log in to the network.</body></html>" * 5


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The project's own folder, empty; the fake edition is the known one; the network is this
    machine, asked directly and without pauses."""
    monkeypatch.setattr(books, "_own_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(books, "PAUSES", (0, 0))
    monkeypatch.delenv("BLG561_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(books, "KNOWN_FOLDERS", ())
    publish(monkeypatch)
    return tmp_path / "own"


def publish(monkeypatch, *addresses: str) -> books.Book:
    book = dataclasses.replace(
        CATALOGUE[KEY],
        addresses=addresses,
        sha256=hashlib.sha256(KNOWN).hexdigest(),
        size=len(KNOWN),
    )
    monkeypatch.setitem(CATALOGUE, KEY, book)
    return book


class Handler(BaseHTTPRequestHandler):
    """/good, /other, /html and /truncated give what they say, /half breaks off, /flaky fails
    once, /slow does not answer, any number is that HTTP status."""

    def do_GET(self):
        self.server.asked.append(self.path.strip("/"))
        what = self.path.split("/")[1]
        bodies = {
            "good": KNOWN, "flaky": KNOWN, "half": KNOWN,
            "other": OTHER_EDITION, "html": HTML, "truncated": TRUNCATED,
        }  # fmt: skip
        if what == "slow":
            self.server.go_on.wait(5)
            return None
        if what.isdigit() or (what == "flaky" and len(self.server.asked) == 1):
            return self.send_error(int(what) if what.isdigit() else 503)
        self.send_response(200)
        self.send_header("Content-Length", str(len(bodies[what])))
        self.end_headers()
        self.wfile.write(bodies[what][:200] if what == "half" else bodies[what])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.go_on = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody() -> str:
    """An address where no server listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/book"


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ---------------------------------------------------------------------------------- find


def test_explicit_path_comes_before_the_environment_before_the_own_folder(
    folder, tmp_path, monkeypatch
):
    own = write(folder / CATALOGUE[KEY].file_name, KNOWN)
    named = write(tmp_path / "named" / CATALOGUE[KEY].file_name, KNOWN)
    explicit = write(tmp_path / "elsewhere.txt", KNOWN)
    assert books.find(KEY) == own
    monkeypatch.setenv("BLG561_DATA", str(named.parent))
    assert books.find(KEY) == named
    assert books.find(KEY, explicit) == explicit
    assert books.find(KEY, folder) == own  # a folder stands for the book's file in it
    named.unlink()
    assert books.find(KEY) == own


def test_environment_that_names_no_folder_is_an_error(folder, monkeypatch):
    monkeypatch.setenv("BLG561_DATA", "/no/such/folder")
    with pytest.raises(BookError, match=r"BLG561_DATA .*'/no/such/folder'"):
        books.find_or_practice(KEY)


def test_environment_that_names_an_unreadable_folder_is_an_error(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BLG561_DATA", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)  # a test that runs as root may read it
    with pytest.raises(BookError, match=r"BLG561_DATA must name a folder .* can be read"):
        books.find(KEY)


def test_unknown_book_says_which_exist_and_which_is_closest(folder):
    with pytest.raises(BookError) as error:
        books.find("pride_and_prejudice")
    assert "did you mean 'pride_prejudice'?" in str(error.value)
    assert all(key in str(error.value) for key in CATALOGUE)


def test_find_without_download_says_where_it_looked(folder):
    with pytest.raises(BookUnavailable, match=str(folder)):
        books.find(KEY, download=False)


def test_a_damaged_file_is_an_error_and_not_replaced_by_practice(folder):
    write(folder / CATALOGUE[KEY].file_name, TRUNCATED)
    with pytest.raises(BookError, match="truncated"):
        books.find_or_practice(KEY)


@pytest.mark.parametrize("path", ["nothing_here.txt", "."])
def test_a_bad_explicit_path_is_an_error_and_not_replaced_by_practice(folder, tmp_path, path):
    with pytest.raises(BookError, match="no such file") as error:
        books.find_or_practice(KEY, tmp_path / path)
    assert not isinstance(error.value, BookUnavailable)


# ---------------------------------------------------------------------------------- verify


def check(tmp_path, content: bytes) -> Edition:
    return books.verify(write(tmp_path / "book.txt", content), CATALOGUE[KEY])


def test_the_known_edition_is_known_with_either_line_end(folder, tmp_path):
    assert check(tmp_path, KNOWN) is Edition.KNOWN
    assert check(tmp_path, KNOWN.replace(b"\n", b"\r\n")) is Edition.KNOWN
    assert check(tmp_path, OTHER_EDITION) is Edition.OTHER


def test_another_edition_is_accepted_with_a_visible_note(folder, capsys):
    write(folder / CATALOGUE[KEY].file_name, OTHER_EDITION)
    books.find(KEY)
    assert "another edition" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n\t\n", "is empty"),
        (HTML, "is an HTML page"),
        (TRUNCATED, "truncated: .* END marker"),
        (KNOWN[KNOWN.index(b"Chapter 1\n\nThe") :], "truncated: .* START marker"),
        (STORY.encode() * 3, "without its START and END markers"),
        (as_published(STORY * 3).encode(), r"about \d+ bytes of Pride and Prejudice, got \d+"),
        (as_published("Chapter 1\n\nShort.").encode(), r"about \d+ bytes of .*, got \d+"),
        (as_published(title="Emma").encode(), "expected Pride and Prejudice, got 'Title: Emma'"),
    ],
)
def test_verify_says_what_was_expected_and_what_came(folder, tmp_path, content, message):
    with pytest.raises(BookError, match=message):
        check(tmp_path, content)


def test_not_utf8_names_the_byte_offset_counted_from_the_start_of_the_file(tmp_path):
    content = b"\xef\xbb\xbf" + "déjà vu".encode("latin-1")
    path = write(tmp_path / "latin.txt", content)
    with pytest.raises(BookError, match=f"0xe9 at offset {content.index(0xE9)}"):
        books.read_text(path)


# ---------------------------------------------------------------------------------- read


@pytest.mark.parametrize(
    "marker",
    [
        "*** {} OF THE PROJECT GUTENBERG EBOOK {} ***",
        "*** {} OF THIS PROJECT GUTENBERG EBOOK {} ***",
        "***{} OF THE PROJECT GUTENBERG EBOOK {}***",
        "*** {} OF THIS PROJECT GUTENBERG ETEXT {} ***",
    ],
)
@pytest.mark.parametrize("closing", ["", "\nEnd of the Project Gutenberg EBook of it\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_only_the_story_is_kept_whatever_the_spelling(tmp_path, marker, closing, line_end, bom):
    text = bom + as_published(CONTENTS + STORY + closing, marker=marker).replace("\n", line_end)
    assert books.read_text(write(tmp_path / "book.txt", text.encode())) == STORY


@pytest.mark.parametrize(
    "front",
    [
        "Contents\n\n Part I\n Book I. Lamps\n Chapter I. Oil\n Chapter II. Wick\n\n Epilogue\n",
        " Book the First--Lamps\n\n Chapter I   Oil\n Chapter II  Wick\n\n"
        " Book the Second--Boats\n\n Chapter I   Oars\n Chapter II  Sails\n",
        "PREFACE.\n\nLamps are praised here,\nat some length.\n\n[Illustration: A lamp [_lit_]]\n\n"
        "List of Illustrations\n\nHeading to Chapter I.     1\n",
        "[Transcriber's Note: two words were\ncorrected.]\n\ncover\n",
    ],
)
@pytest.mark.parametrize(
    "opening",
    [
        "PART I\n\n\nBook I. Lamps\n\nChapter I. Oil\n\n",
        "Book the First--Lamps\n\n\nI. Oil\n\n",
        "CHAPTER I.\nOil\n\n",
        "      Chapter 1\n\n",
        "VOLUME I\n\nChapter 1\n\n",
    ],
)
def test_the_story_begins_with_its_first_heading_after_contents_and_preface(
    tmp_path, front, opening
):
    story = opening + "The lamp was lit.\nPart the curtains, she said; it was dark.\n\nHe did.\n"
    path = write(tmp_path / "book.txt", as_published(front + "\n\n\n" + story).encode())
    assert books.read_text(path) == story.lstrip().replace("CHAPTER I.\n", "Chapter 1\n")


def test_a_heading_drawn_as_an_illustration_is_kept_and_other_captions_are_not(tmp_path):
    story = (
        "[Illustration:\n\n·A LAMP·\n\n\n        Chapter I.]\n\nThe lamp was lit.\n\n"
        "[Illustration:\n\n“A caption.”\n\n[_Copyright by N. N._]]\n\nThe keeper slept.\n"
    )
    text = books.read_text(write(tmp_path / "book.txt", as_published(story).encode()))
    assert " ".join(text.split()) == "Chapter 1 The lamp was lit. The keeper slept."


def test_headings_have_one_spelling(tmp_path):
    numerals = {2: "II.", 4: "IV", 9: "IX.", 14: "XIV.", 40: "XL.", 61: "LXI.", 99: "XCIX."}
    story = "Chapter I. Oil\n\nMuch was said of Chapter II.\n\n" + "".join(
        f"{word} {numeral}\n\nThe lamp burned.\n\n"
        for word, numeral in zip(["CHAPTER", "Chapter"] * 4, numerals.values(), strict=False)
    )
    text = books.read_text(write(tmp_path / "book.txt", as_published(story).encode()))
    first, second, *rest = text.strip().split("\n\n")
    assert (first, second) == ("Chapter I. Oil", "Much was said of Chapter II.")
    assert rest[::2] == [f"Chapter {number}" for number in numerals]


@pytest.mark.parametrize(
    ("ending", "kept"),
    [
        ("\n\n\n   LAMP PRESS:--N. N. AND CO.\n     BOAT COURT, OLD LANE, TOWN.\n", ""),
        ("\n\n[Illustration:\n\n THE\n END\n ]\n\n\nPRINTED BY N. N., TOWN\n", ""),
        ("\n\nTHE END\n\nLAMP PRESS, TOWN\n", "\n\nTHE END"),
        ("\n\nTHE END\n", "\n\nTHE END"),
        ("\n\nThe Press was silent.\n", "\n\nThe Press was silent."),
        ("\n\nIt said: PRESS HERE.\n", "\n\nIt said: PRESS HERE."),
    ],
)
def test_the_printers_line_does_not_belong_to_the_story(tmp_path, ending, kept):
    path = write(tmp_path / "book.txt", as_published(STORY.rstrip() + ending).encode())
    assert books.read_text(path) == STORY.rstrip() + kept + "\n"


def test_footnotes_go_together_with_their_marks(tmp_path):
    story = (
        "Chapter 1\n\nA lamp,(1) lit.[2]\n\nTHE END\n\n\nFOOTNOTES\n\n  1 Of oil.\n\n  2 At six.\n"
    )
    path = write(tmp_path / "book.txt", as_published(story).encode())
    assert books.read_text(path) == "Chapter 1\n\nA lamp, lit.\n\nTHE END\n"


def test_a_text_without_chapters_begins_behind_its_credits(tmp_path):
    path = write(tmp_path / "book.txt", as_published("The lamp was lit.").encode())
    assert books.read_text(path) == "Pride and Prejudice\n\nThe lamp was lit.\n"


@pytest.mark.parametrize("name", ["my.txt", "folder/notes", "notes"])
def test_a_path_of_ones_own_text_stands_for_a_key(folder, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(Path(name), STORY.encode())
    book, path = books.find_or_practice(name)
    assert path == Path(name)
    assert (book.key, book.title) == (f"text-{path.stem}", path.name)
    assert book.target_perplexity is None and book.key not in CATALOGUE
    assert books.find_or_practice(Path(name)) == (book, path)
    assert is_empty(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("my.txt", None, "no such file: my.txt"),
        ("my.txt", b" \n", "my.txt is empty"),
        ("my.txt", STORY.encode("utf-16"), "my.txt is UTF-16 .*: expected UTF-8"),
        ("my.txt", STORY.encode("utf-16-le"), "my.txt is UTF-16 .*: expected UTF-8"),
        ("my.txt", STORY.encode("utf-16-be"), "my.txt is UTF-16 .*: expected UTF-8"),
        ("my.txt", HTML, "HTML page"),
        ("https://example.org/my.txt", None, "path of a file, got the address https://example"),
        ("folder/none", None, "no such file: folder/none"),
        ("folder.d", None, "folder.d cannot be read: Is a directory"),
        ("pride_and_prejudice", None, "unknown book 'pride_and_prejudice'"),
    ],
)
def test_a_bad_text_of_ones_own_is_a_clear_error(
    folder, tmp_path, monkeypatch, name, content, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.d").mkdir()
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(BookError, match=message):
        books.find_or_practice(name)
    assert is_empty(folder)


def test_a_readers_own_text_is_taken_whole(tmp_path):
    own = "Produced by myself.\n\nContents: one line. See chapter 1 (1).\n"
    assert books.read_text(write(tmp_path / "own.txt", own.encode())) == own


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"\n \n", "is empty"),
        (HTML, "is an HTML page"),
        (TRUNCATED, "truncated"),
        (as_published("").replace("Produced by A. Volunteer\n\nPride and Prejudice", "").encode(),
         "nothing between"),
    ],
)  # fmt: skip
def test_what_read_text_refuses(tmp_path, content, message):
    path = tmp_path / "book.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BookError, match=message):
        books.read_text(path)


# ---------------------------------------------------------------------------------- download


def test_download_says_so_in_one_line_and_happens_once(folder, server, monkeypatch, capfd):
    publish(monkeypatch, f"{server.url}/good")
    path = books.find(KEY)
    assert path == folder / CATALOGUE[KEY].file_name
    assert path.read_bytes() == KNOWN
    host = server.url.removeprefix("http://")
    assert capfd.readouterr() == ("", f"downloading Pride and Prejudice from {host}\n")
    assert books.find(KEY) == path
    assert server.asked == ["good"]


def test_each_address_is_tried_in_turn(folder, server, monkeypatch, nobody):
    bad = ("404", "html", "truncated", "half")
    publish(monkeypatch, nobody, *(f"{server.url}/{what}" for what in (*bad, "good")))
    assert books.find(KEY).read_bytes() == KNOWN
    assert server.asked == [*bad, "good"]


def test_the_known_files_are_asked_for_before_project_gutenberg(
    folder, server, monkeypatch, capsys
):
    publish(monkeypatch, f"{server.url}/other")
    monkeypatch.setattr(books, "KNOWN_FOLDERS", (f"{server.url}/404", f"{server.url}/good"))
    assert books.find(KEY).read_bytes() == KNOWN
    assert server.asked == [f"404/{KEY}.txt", f"good/{KEY}.txt"]
    assert "another edition" not in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["other", "404", "half", "html"])
def test_where_the_known_files_were_only_these_are_taken(
    folder, server, monkeypatch, capsys, wrong
):
    publish(monkeypatch, f"{server.url}/other")
    monkeypatch.setattr(books, "KNOWN_FOLDERS", (f"{server.url}/{wrong}",))
    assert books.find(KEY).read_bytes() == OTHER_EDITION
    assert server.asked == [f"{wrong}/{KEY}.txt", "other"]
    assert "another edition" in capsys.readouterr().err


def test_the_addresses_of_the_known_files_are_pinned():
    first, release = CATALOGUE[KEY].known_addresses
    assert first == (
        "https://raw.githubusercontent.com/duyguse/LanguageModelling/"
        "0ed59f9259261cc2eba134c3fb0be4859e538750/data/pride_prejudice.txt"
    )
    repository = slug()
    assert release == f"https://github.com/{repository}/releases/download/books/{KEY}.txt"


def test_a_downloaded_other_edition_is_noted(folder, server, monkeypatch, capsys):
    publish(monkeypatch, f"{server.url}/other")
    assert books.find(KEY).read_bytes() == OTHER_EDITION
    assert "another edition" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "reason", "times"),
    [
        ("404", "HTTP 404 Not Found", 1),
        ("500", "HTTP 500 Internal Server Error", 3),
        ("html", "HTML page", 1),
        ("truncated", "truncated", 1),
        ("half", "broke off", 1),
    ],
)
def test_a_failed_download_is_a_clear_error_and_leaves_nothing(
    folder, server, monkeypatch, what, reason, times
):
    publish(monkeypatch, f"{server.url}/{what}")
    with pytest.raises(BookUnavailable, match=reason) as error:
        books.find(KEY)
    assert "set the environment variable BLG561_DATA" in str(error.value)
    assert server.asked == [what] * times
    assert is_empty(folder)


def test_a_servers_passing_error_is_tried_again(folder, server, monkeypatch):
    publish(monkeypatch, f"{server.url}/flaky")
    assert books.find(KEY).read_bytes() == KNOWN
    assert server.asked == ["flaky", "flaky"]


def test_a_server_that_does_not_answer_is_asked_once(folder, server, monkeypatch):
    monkeypatch.setattr(books, "READ_TIMEOUT", 0.1)
    publish(monkeypatch, f"{server.url}/slow", f"{server.url}/good")
    with pytest.raises(BookUnavailable, match="does not answer"):
        books.find(KEY)
    assert server.asked == ["slow"]
    assert is_empty(folder)


def test_without_a_network_a_host_is_tried_once_and_practice_is_announced(
    folder, monkeypatch, nobody, capsys
):
    publish(monkeypatch, nobody, nobody + "2", nobody + "3")
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("retried without a network"))
    book, path = books.find_or_practice(KEY)
    said = capsys.readouterr().err.splitlines()
    assert (book, path) == (CATALOGUE["practice"], folder / "practice.txt")
    assert [line.split()[0] for line in said] == ["downloading", "Pride"]
    assert "no connection" in said[1] and "practice corpus" in said[1]


def test_a_host_name_that_does_not_resolve_is_no_connection(folder, monkeypatch):
    publish(monkeypatch, "http://books.invalid/book.txt")
    with pytest.raises(BookUnavailable, match=r"no connection to books\.invalid"):
        books.find(KEY)


def test_find_or_practice_prefers_the_book(folder):
    path = write(folder / CATALOGUE[KEY].file_name, KNOWN)
    assert books.find_or_practice(KEY) == (CATALOGUE[KEY], path)


def test_a_folder_that_cannot_be_written_says_what_can_be_done(
    folder, server, tmp_path, monkeypatch
):
    """Below a regular file, since nothing else stops a test that runs as root."""
    file = write(tmp_path / "file", b"in the way")
    monkeypatch.setattr(books, "_own_folder", lambda: file / "cache")
    publish(monkeypatch, f"{server.url}/good")
    with pytest.raises(BookUnavailable, match="cannot be written to") as error:
        books.find(KEY)
    assert "set the environment variable BLG561_DATA" in str(error.value)


# ---------------------------------------------------------------------------------- practice


def test_practice_is_written_once_and_repaired(folder):
    path = books.find("practice")
    assert path.read_text(encoding="utf-8") == practice.text()
    written = path.stat().st_mtime_ns
    assert books.find("practice").stat().st_mtime_ns == written
    path.write_text("half of it")
    assert books.find("practice").read_text(encoding="utf-8") == practice.text()
    assert os.listdir(folder) == ["practice.txt"]


def test_practice_is_known_by_its_size(folder):
    assert books.find("practice").stat().st_size == CATALOGUE["practice"].size


def test_practice_needs_no_folder_of_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(books, "_own_folder", lambda: write(tmp_path / "file", b"") / "cache")
    assert books.read_text(books.find("practice")) == practice.text()


def test_another_text_under_the_path_of_the_practice_corpus_is_an_error(folder, tmp_path):
    with pytest.raises(BookError, match="is not The practice corpus"):
        books.find("practice", write(tmp_path / "other.txt", b"Other words."))


# ---------------------------------------------------------------------------------- known editions

# Where the story begins and ends in the known editions, as lines of the raw file.
KNOWN_EDITIONS = {
    "pride_prejudice": ("      Chapter 1\n", "End of the Project Gutenberg"),
    "tale_of_two_cities": ("Book the First--Recalled to Life\n", "End of the Project Gutenberg"),
    "the_brothers_karamazov": ("PART I\n", "\nFOOTNOTES\n"),
}


@pytest.fixture(params=KNOWN_EDITIONS)
def edition(request) -> tuple[books.Book, Path]:
    book = CATALOGUE[request.param]
    path = Path(os.environ.get("BLG561_DATA", "")) / book.file_name
    if "BLG561_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"no {book.file_name} in $BLG561_DATA")
    if books.verify(path, book) is not Edition.KNOWN:
        pytest.skip(f"{book.file_name} in $BLG561_DATA is another edition")
    return book, path


def test_the_known_edition_gives_exactly_the_story(edition):
    book, path = edition
    begin, end = KNOWN_EDITIONS[book.key]
    raw = path.read_text(encoding="utf-8-sig")
    expected = raw[raw.rindex(begin) : raw.index(end)].strip() + "\n"
    for number in range(1, 10):  # the marks of the footnotes of the one book that has them
        expected = expected.replace(f"({number})", "")
    assert books.read_text(path) == expected
    assert path.stat().st_size == book.size


def test_the_known_edition_has_the_tokens_of_the_catalogue(edition):
    from blg561.language_model.dataset import tokenize

    book, path = edition
    assert len(tokenize(books.read_text(path))) == book.tokens


def test_the_library_that_fetches_warns_of_nothing_in_a_notebook():
    source = "from blg561.language_model.books import import_pooch\nimport_pooch().__name__"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    (output,) = NotebookClient(notebook, kernel_name="python3").execute().cells[0].outputs
    assert output.data["text/plain"] == "'pooch'"
