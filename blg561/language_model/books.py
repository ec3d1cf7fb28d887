"""The three books and the practice corpus: find a file, fetch it, verify it, keep its story.

A file is looked for in this order, and verified wherever it is found:

1. the path that the caller names;
2. the folder that $BLG561_DATA names, which is only ever read;
3. `data/` in a checkout of the project, otherwise the user's cache folder;
4. Project Gutenberg: what is downloaded goes to the folder of step 3.

What this module has to say to the reader (a download, another edition, no network) goes to the
standard error stream as one plain line: visible in a notebook and in a terminal, without the path
of the source file that `warnings` would print, and out of the way of results on standard output.
"""

import contextlib
import difflib
import functools
import hashlib
import logging
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from blg561.language_model import practice

CONNECT_TIMEOUT, READ_TIMEOUT = 4.0, 8.0  # seconds
PAUSES = 0.5, 1.0  # seconds before a new try, where a server has an error of its own, HTTP 5xx
SIZES = 0.75, 1.5  # an edition's bytes over the known one's: prefaces, illustrations, line ends


class BookError(Exception):
    """A book that cannot be used, and what to do about it."""


class BookUnavailable(BookError):
    """The book is in no folder and cannot be downloaded; `reason` is that in a few words."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Book:
    """What the catalogue knows of a book; hash, size and tokens are those of the known edition."""

    key: str
    title: str
    author: str
    gutenberg: int | None
    addresses: tuple[str, ...]
    file_name: str
    sha256: str  # of the file with "\n" line ends, so that a copy with "\r\n" is known too
    size: int  # bytes, with "\n" line ends
    tokens: int  # of `dataset.tokenize(read_text(path))`
    target_perplexity: float | None


def _gutenberg(number: int) -> tuple[str, ...]:
    site = "https://www.gutenberg.org"
    return (
        f"{site}/cache/epub/{number}/pg{number}.txt",
        f"{site}/files/{number}/{number}-0.txt",
        f"{site}/ebooks/{number}.txt.utf-8",
    )


CATALOGUE = {
    book.key: book
    for book in (
        Book(
            key="pride_prejudice",
            title="Pride and Prejudice",
            author="Jane Austen",
            gutenberg=1342,
            addresses=_gutenberg(1342),
            file_name="pride_prejudice.txt",
            sha256="55b1a5ef2bc8acb6eec39b59d03ce00f19beb47a448377b99700651788de49bb",
            size=785_144,
            tokens=140_142,
            target_perplexity=120,
        ),
        Book(
            key="tale_of_two_cities",
            title="A Tale of Two Cities",
            author="Charles Dickens",
            gutenberg=98,
            addresses=_gutenberg(98),
            file_name="tale_of_two_cities.txt",
            sha256="425123d3edbceaa393cf10f28af34061ba9ae8def342443dfa5577897e4823ef",
            size=788_063,
            tokens=160_090,
            target_perplexity=125,
        ),
        Book(
            key="the_brothers_karamazov",
            title="The Brothers Karamazov",
            author="Fyodor Dostoyevsky",
            gutenberg=28054,
            addresses=_gutenberg(28054),
            file_name="the_brothers_karamazov.txt",
            sha256="2100eb53ab255461f31a21065e2510011eaf5e3ecd030d6ba984803c20b45282",
            size=2_007_713,
            tokens=412_148,
            target_perplexity=125,
        ),
        Book(
            key="practice",
            title="The practice corpus",
            author="blg561.language_model.practice",
            gutenberg=None,
            addresses=(),
            file_name="practice.txt",
            sha256="bb3d79e6acb1a9cf57f51753e5e97e6ce3ffa8cf5cd7abdb297b47a58c5a7ad4",
            size=306_656,
            tokens=practice.DEFAULT_TOKENS,
            target_perplexity=None,
        ),
    )
}


# ------------------------------------------------------------------------------------------------
# Find
# ------------------------------------------------------------------------------------------------


def find(key: str, path: str | os.PathLike | None = None, download: bool = True) -> Path:
    """The verified file of a book of the `CATALOGUE`; see the module for where it is looked for.

    `path` is the file itself or a folder that has it under the book's file name. The practice
    corpus is written where a download would go.

    Raises BookError for an unknown key, a `path` without the book, or a file that is not the
    book (see `verify`), and its subclass BookUnavailable where the book is nowhere to be had.
    """
    book = _look_up(key)
    if path is not None:
        given = Path(path)
        return _accept(given / book.file_name if given.is_dir() else given, book)
    if book.gutenberg is None:
        return _find_practice(book)
    folders = _folders()
    for folder in folders:
        if (folder / book.file_name).exists():
            return _accept(folder / book.file_name, book)
    if not download:
        raise BookUnavailable(
            f"{book.file_name} is not in {' or '.join(map(str, folders))}", "not downloaded yet"
        )
    return _download(book, folders[-1])


def find_or_practice(key: str, path: str | os.PathLike | None = None) -> tuple[Book, Path]:
    """The book and its file, or the practice corpus where the book is not to be had.

    The second case is announced in one line. A mistake of the caller's (an unknown key, a bad
    `path`) and a damaged file are errors here as in `find`: they can be put right.
    """
    try:
        return _look_up(key), find(key, path)
    except BookUnavailable as error:
        _say(f"{_look_up(key).title}: {error.reason}. Using the practice corpus instead.")
        return CATALOGUE["practice"], find("practice")


def _look_up(key: str) -> Book:
    if key in CATALOGUE:
        return CATALOGUE[key]
    close = difflib.get_close_matches(str(key).lower(), CATALOGUE, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise BookError(f"unknown book {key!r}: expected one of {', '.join(CATALOGUE)}{hint}")


def _folders() -> list[Path]:
    """Where books are looked for; the last folder is where they are downloaded to."""
    named = os.environ.get("BLG561_DATA")
    if named and not Path(named).is_dir():
        raise BookError(f"BLG561_DATA must name a folder that has the books, got {named!r}")
    return [*([Path(named)] if named else []), _own_folder()]


def _own_folder() -> Path:
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    import pooch  # slow to import, and only a few callers need it

    return Path(pooch.os_cache("blg561"))


def _accept(path: Path, book: Book) -> Path:
    note = verify(path, book)
    if note:
        _say(note)
    return path


def _find_practice(book: Book) -> Path:
    """The generated text: written anew unless a folder has exactly it, for it cannot be wrong."""
    for folder in (folders := _folders()):
        path = folder / book.file_name
        if path.is_file() and _digest(path.read_bytes()) == book.sha256:
            return path
    content = practice.text().encode()
    try:
        return _write(folders[-1] / book.file_name, content)
    except OSError:  # the corpus is what a reader without any means falls back to
        return _write(Path(_temporary_folder().name) / book.file_name, content)


def _write(path: Path, content: bytes) -> Path:
    """Under its own name only once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".new-") as workspace:
        complete = Path(workspace) / path.name
        complete.write_bytes(content)
        return complete.replace(path)


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory:
    """One for the whole process, at the end of which it is removed."""
    return tempfile.TemporaryDirectory(prefix="blg561-")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


# ------------------------------------------------------------------------------------------------
# Download
# ------------------------------------------------------------------------------------------------


def _download(book: Book, folder: Path) -> Path:
    """A file gets its name in `folder` only after it was verified, all else is thrown away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as workspace:
            return _fetch(book, Path(workspace)).replace(folder / book.file_name)
    except OSError as error:
        raise BookUnavailable(
            f"{book.title} cannot be written to {folder} ({error.strerror or error}). Make that "
            f"folder writable, or {_by_hand(book)}",
            f"cannot be written to {folder}",
        ) from error


def _fetch(book: Book, workspace: Path) -> Path:
    """The first of the book's addresses that gives the book."""
    import requests

    failures, unreachable = [], set()
    for address in book.addresses:
        host = urlsplit(address).netloc
        if host in unreachable:  # without a network the reader should not wait three times
            continue
        _say(f"downloading {book.title} from {host}")
        try:
            path = _retrieve(address, workspace)
            note = _check(path.read_bytes(), address, book)
        except requests.HTTPError as error:
            failures.append(
                f"{address} gives HTTP {error.response.status_code} {error.response.reason}"
            )
        except requests.Timeout:
            failures.append(f"{host} does not answer")
            unreachable.add(host)
        except requests.ConnectionError:
            failures.append(f"no connection to {host}")
            unreachable.add(host)
        except requests.RequestException:
            failures.append(f"{address} broke off")
        except BookError as error:
            failures.append(str(error))
        else:
            if note:
                _say(note)
            return path
    raise BookUnavailable(
        "\n  ".join([f"{book.title} cannot be downloaded:", *failures])
        + f"\nTry again later, or {_by_hand(book)}",
        failures[-1],
    )


def _by_hand(book: Book) -> str:
    return (
        f"get {book.addresses[0]} with a browser, save it as {book.file_name}, and set the "
        "environment variable BLG561_DATA to the folder it is in."
    )


def _retrieve(address: str, workspace: Path) -> Path:
    """One file, with new tries only where a server has an error of its own (HTTP 5xx)."""
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(timeout=(CONNECT_TIMEOUT, READ_TIMEOUT))
    for pause in (*PAUSES, None):
        try:
            with _quiet(pooch.get_logger()):
                file = pooch.retrieve(address, None, path=workspace, downloader=downloader)
            return Path(file)
        except requests.HTTPError as error:
            if error.response.status_code < 500 or pause is None:
                raise
        time.sleep(pause)


@contextlib.contextmanager
def _quiet(logger: logging.Logger):
    """Pooch reports paths and hashes that mean nothing in a lesson."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


# ------------------------------------------------------------------------------------------------
# Verify
# ------------------------------------------------------------------------------------------------

MARKER = r"^\*{{3}}[ \t]*{} OF (?:THE|THIS) PROJECT GUTENBERG E(?:BOOK|TEXT)\b.*$"
START_MARKER = re.compile(MARKER.format("START"), re.IGNORECASE | re.MULTILINE)
END_MARKER = re.compile(MARKER.format("END"), re.IGNORECASE | re.MULTILINE)


def verify(path: str | os.PathLike, book: Book) -> str | None:
    """None for the known edition, a note to the reader for another edition of the same book.

    Another edition has Project Gutenberg's START and END markers, the title above the story, and
    0.75 to 1.5 times the known size. Anything else is a BookError that says what was expected
    and what came.
    """
    return _check(_read(path), str(path), book)


def _check(content: bytes, name: str, book: Book) -> str | None:
    if _digest(content) == book.sha256:
        return None
    if book.gutenberg is None:
        raise BookError(f"{name} is not {book.title}: its SHA-256 is not {book.sha256}")
    text = _decode(content, name)
    story = _between_markers(text, name)
    if story is None:
        raise BookError(
            f"{name}: expected {book.title} of Project Gutenberg, got a text without its "
            "START and END markers"
        )
    head = text[: START_MARKER.search(text).end()]
    if book.title.lower() not in " ".join(head.lower().split()):
        title = re.search(r"^Title:.*$", head, re.MULTILINE)
        came = title.group() if title else head.strip().splitlines()[-1]
        raise BookError(f"{name}: expected {book.title}, got {came!r}")
    size = len(content)
    if not SIZES[0] <= size / book.size <= SIZES[1]:
        raise BookError(f"{name}: expected about {book.size:,} bytes of {book.title}, got {size:,}")
    return (
        f"{book.title}: this is another edition ({size:,} bytes) than the known one "
        f"({book.size:,}), so results differ a little from the stored ones."
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


# ------------------------------------------------------------------------------------------------
# Read
# ------------------------------------------------------------------------------------------------

# A heading: "Chapter 3", "BOOK II. A Title", "Book the First--A Title", "III. A Title".
NUMERAL = r"(?:\d+|[ivxlc]+|the [a-z]+)"
HEADING = re.compile(rf"\s*(?:(?i:chapter|book|part|volume) (?i:{NUMERAL})\b|[IVXLC]+\. )")
FIRST_HEADING = re.compile(r"\s*(?:(?i:chapter|book|part|volume) (?i:1|i|the first)\b|I\. )")
PARAGRAPH = re.compile(r"(?:^.*\S.*\n?)+", re.MULTILINE)
CREDITS = re.compile(
    r"\s*(?:produced by|e-?text prepared|this e(?:book|text) was|transcribed|\W*transcriber.s note"
    r"|there is an illustrated edition|cover$)",
    re.IGNORECASE | re.MULTILINE,
)
# "[Illustration: a caption [with a note in it]]", over several lines.
BRACKETED = re.compile(
    r"\[(?:Illustration|Transcriber.s note)\b(?:[^\[\]]|\[[^\[\]]*\])*\]", re.IGNORECASE
)
END_LINE = re.compile(r"^\W*End of (?:the |this )?Project Gutenberg", re.IGNORECASE | re.MULTILINE)
FOOTNOTES = re.compile(r"^[ \t]*FOOTNOTES:?[ \t]*$", re.MULTILINE)
FOOTNOTE_MARK = re.compile(r"\(\d{1,3}\)|\[\d{1,3}\]")


def read_text(path: str | os.PathLike) -> str:
    """The story: from the heading of the first chapter to its last line, with "\\n" line ends.

    What Project Gutenberg and the edition add is left out: licence, credits, title page, contents,
    illustrations' captions, footnotes. A text without Project Gutenberg's markers is the reader's
    own and is taken whole.

    Raises BookError for a file that is missing or empty, not UTF-8 (with the byte offset), an HTML
    page, or has only one of the two markers, which means that a part of it is missing.
    """
    text = _decode(_read(path), str(path))
    story = _between_markers(text, str(path))
    if story is None:
        return text
    story = _without_back_matter(_without_front_matter(BRACKETED.sub(_heading_within, story)))
    if not story:
        raise BookError(f"{path} has nothing between its START and END markers")
    return story + "\n"


def _read(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise BookError(f"no such file: {path}") from None
    except OSError as error:
        raise BookError(f"{path} cannot be read: {error.strerror or error}") from error


def _decode(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BookError(
            f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at offset {error.start}; "
            "save it as UTF-8"
        ) from None
    if not text.strip():
        raise BookError(f"{name} is empty: expected the text of a book")
    if re.match(r"\s*<(?:!doctype html|html|\?xml)", text, re.IGNORECASE):
        raise BookError(f"{name} is an HTML page: expected plain text")
    return text.replace("\r", "\n")


def _between_markers(text: str, name: str) -> str | None:
    """What stands between the markers, or None for a text that has neither."""
    start, end = START_MARKER.search(text), END_MARKER.search(text)
    if start is None and end is None:
        return None
    if start is None or end is None or end.start() < start.end():
        missing = "START" if start is None else "END"
        raise BookError(
            f"{name} is truncated: Project Gutenberg's {missing} marker is not where it belongs; "
            "delete the file and get it again"
        )
    return text[start.end() : end.start()]


def _heading_within(bracketed: re.Match) -> str:
    """Some editions draw a chapter's heading: then it is in the illustration's caption."""
    lines = bracketed.group().rstrip("]").splitlines()
    return "\n".join(line for line in lines if HEADING.match(line))


def _without_front_matter(story: str) -> str:
    """From the first heading that a story follows.

    A table of contents has the same headings, but there a heading is followed by the next one. So
    the story begins where one or more headings with the number one (of a part, a book, a chapter)
    come directly before a paragraph that is not a heading.
    """
    begin = None
    for paragraph in PARAGRAPH.finditer(story):
        lines = paragraph.group().splitlines()
        if not HEADING.match(lines[0]):
            if begin is not None:
                return story[begin:]
        elif FIRST_HEADING.match(lines[0]) and not any(map(HEADING.match, lines[1:])):
            begin = paragraph.start() if begin is None else begin
        else:
            begin = None
    return _without_credits(story)


def _without_credits(story: str) -> str:
    """A text without chapters begins behind its credits."""
    for paragraph in PARAGRAPH.finditer(story):
        if not CREDITS.match(paragraph.group()):
            return story[paragraph.start() :]
    return ""


def _without_back_matter(story: str) -> str:
    if end := END_LINE.search(story):
        story = story[: end.start()]
    if notes := FOOTNOTES.search(story):  # without the notes, their marks are stray numbers
        story = FOOTNOTE_MARK.sub("", story[: notes.start()])
    return story.strip()
