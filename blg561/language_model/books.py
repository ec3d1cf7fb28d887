"""The three books, the practice corpus and a text of one's own: find a file, fetch it, verify it.

A file is looked for in this order, and verified wherever it is found:

1. the path that the caller names;
2. the folder that $BLG561_DATA names, which is only ever read;
3. `data/` in a checkout of the project, otherwise the user's cache folder;
4. the addresses that serve exactly the known edition, then Project Gutenberg, whose present edition
   may be another one: what is downloaded goes to the folder of step 3.

How the text of a file is read is in `gutenberg`.

What this module has to say to the reader (a download, another edition, no network) goes to the
standard error stream as one plain line: visible in a notebook and in a terminal, without the path
of the source file that `warnings` would print, and out of the way of results on standard output.
"""

import contextlib
import difflib
import enum
import functools
import hashlib
import logging
import os
import re
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from blg561.language_model import gutenberg, practice
from blg561.language_model.gutenberg import BookError, read_text

CONNECT_TIMEOUT, READ_TIMEOUT = 4.0, 8.0  # seconds
PAUSES = 0.5, 1.0  # seconds before a new try, where a server has an error of its own, HTTP 5xx
SIZES = 0.75, 1.5  # an edition's bytes over the known one's: prefaces, illustrations, line ends
# Folders with exactly the known files. The second is a release of this repository, which
# `make release-books` prepares and whose address `make repository` changes.
KNOWN_FOLDERS = (
    "https://raw.githubusercontent.com/duyguse/LanguageModelling/"
    "0ed59f9259261cc2eba134c3fb0be4859e538750/data",
    "https://github.com/blg561/blg561/releases/download/books",
)


class BookUnavailable(BookError):
    """The book is in no folder and cannot be downloaded; `reason` is that in a few words."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


class Edition(enum.Enum):
    """Which text of a book a file holds."""

    KNOWN = "the known edition, from which the stored results come"
    OTHER = "another edition"


@dataclass(frozen=True)
class Book:
    """What the catalogue knows of a book; hash, size and tokens are those of the known edition.

    gutenberg: its number at Project Gutenberg; None for the practice corpus and one's own text.
    addresses: Project Gutenberg's, which give its present edition.
    sha256: of the file with "\\n" line ends, so that a copy with "\\r\\n" is known too.
    size: bytes, with "\\n" line ends.
    tokens: how many `dataset.tokenize(read_text(path))` gives; None for one's own text.
    target_perplexity: what the assignment asks for on the validation part, if it does.
    """

    key: str
    title: str
    author: str
    file_name: str
    sha256: str
    size: int
    tokens: int | None = None
    gutenberg: int | None = None
    addresses: tuple[str, ...] = ()
    target_perplexity: float | None = None

    @property
    def known_addresses(self) -> tuple[str, ...]:
        """Where exactly the known edition is served; they are tried first."""
        return tuple(f"{folder}/{self.file_name}" for folder in KNOWN_FOLDERS)


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
            file_name="practice.txt",
            sha256="bb3d79e6acb1a9cf57f51753e5e97e6ce3ffa8cf5cd7abdb297b47a58c5a7ad4",
            size=306_656,
            tokens=practice.DEFAULT_TOKENS,
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
        if os.path.exists(folder / book.file_name):  # not Path's, which may raise PermissionError
            return _accept(folder / book.file_name, book)
    if not download:
        raise BookUnavailable(
            f"{book.file_name} is not in {' or '.join(map(str, folders))}", "not downloaded yet"
        )
    return _download(book, folders[-1])


def find_novels(besides: str) -> list[Path]:
    """The files of the books of the `CATALOGUE` that Project Gutenberg has, but for one key.

    Raises BookError as `find` does.
    """
    return [find(key) for key, book in CATALOGUE.items() if book.gutenberg and key != besides]


def find_or_practice(
    key: str | os.PathLike, path: str | os.PathLike | None = None
) -> tuple[Book, Path]:
    """The book and its file, or the practice corpus where the book is not to be had.

    The second case is announced in one line. A mistake of the caller's (an unknown key, a bad
    `path`) and a damaged file are errors here as in `find`: they can be put right.

    `key` may also be the path of a text of one's own, "my.txt": see `own_text`.
    """
    if _is_path(key):
        return own_text(key), Path(key)
    try:
        return _look_up(key), find(key, path)
    except BookUnavailable as error:
        _say(f"{_look_up(key).title}: {error.reason}. Using the practice corpus instead.")
        return CATALOGUE["practice"], find("practice")


def own_text(path: str | os.PathLike) -> Book:
    """What is known of a reader's own text, in place of an entry of the `CATALOGUE`.

    Its key, under which trainings are kept, is "text-" and the file's name without its ending; no
    key of the catalogue is like that. Raises BookError for a pipe, and for a file that `read_text`
    refuses.
    """
    if Path(path).is_fifo():
        raise BookError(f"{path} is a pipe, which can be read once: save the text in a file first")
    read_text(path)
    path = Path(path)
    content = path.read_bytes()
    return Book(
        key=f"text-{path.stem}",
        title=path.name,
        author="your own text",
        file_name=path.name,
        sha256=_digest(content),
        size=len(content),
    )


def _is_path(key: str | os.PathLike) -> bool:
    """Whether it names a file, and is not the key of a book, be it misspelled."""
    name = os.fspath(key)
    return key not in CATALOGUE and (
        Path(name).name != name or Path(name).suffix != "" or Path(name).is_file()
    )


def _look_up(key: str) -> Book:
    if key in CATALOGUE:
        return CATALOGUE[key]
    close = difflib.get_close_matches(str(key).lower(), CATALOGUE, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise BookError(f"unknown book {key!r}: expected one of {', '.join(CATALOGUE)}{hint}")


def _folders() -> list[Path]:
    """Where books are looked for; the last folder is where they are downloaded to."""
    named = os.environ.get("BLG561_DATA")
    if named and not (os.path.isdir(named) and os.access(named, os.R_OK | os.X_OK)):
        raise BookError(
            f"BLG561_DATA must name a folder that has the books and can be read, got {named!r}"
        )
    return [*([Path(named)] if named else []), _own_folder()]


def _own_folder() -> Path:
    checkout = Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    return Path(import_pooch().os_cache("blg561"))


def import_pooch():
    """pooch, which takes a while to import, and which only a few callers need.

    It looks for progress bars, and in a notebook without ipywidgets warns that it finds none.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import pooch
    return pooch


def _accept(path: Path, book: Book) -> Path:
    _note(verify(path, book), book)
    return path


def _note(edition: Edition, book: Book) -> None:
    if edition is Edition.OTHER:
        _say(
            f"{book.title}: this is another edition than the known one, so results differ a little "
            "from the stored ones."
        )


def _find_practice(book: Book) -> Path:
    """The generated text: written anew unless a folder has exactly it, for it cannot be wrong."""
    for folder in (folders := _folders()):
        path = folder / book.file_name
        if os.path.isfile(path) and _digest(gutenberg.read(path)) == book.sha256:
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
    for address in (*book.known_addresses, *book.addresses):
        host = urlsplit(address).netloc
        if host in unreachable:  # without a network the reader should not wait three times
            continue
        _say(f"downloading {book.title} from {host}")
        try:
            path = _retrieve(address, workspace)
            edition = _edition(path.read_bytes(), address, book)
            if edition is Edition.OTHER and address in book.known_addresses:
                raise BookError(f"{address} gives another edition than the known one")
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
            _note(edition, book)
            return path
    raise BookUnavailable(
        "\n  ".join([f"{book.title} cannot be downloaded:", *failures])
        + f"\nTry again later, or {_by_hand(book)}",
        failures[-1],
    )


def _by_hand(book: Book) -> str:
    address, *_ = *book.known_addresses, *book.addresses
    return (
        f"get {address} with a browser, save it as {book.file_name}, and set the "
        "environment variable BLG561_DATA to the folder it is in."
    )


def _retrieve(address: str, workspace: Path) -> Path:
    """One file, with new tries only where a server has an error of its own (HTTP 5xx)."""
    import requests

    pooch = import_pooch()
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


def verify(path: str | os.PathLike, book: Book) -> Edition:
    """Which edition of the book the file holds.

    Another edition has Project Gutenberg's START and END markers, the title above the story, and
    0.75 to 1.5 times the known size. Anything else is a BookError that says what was expected
    and what came.
    """
    return _edition(gutenberg.read(path), str(path), book)


def _edition(content: bytes, name: str, book: Book) -> Edition:
    if _digest(content) == book.sha256:
        return Edition.KNOWN
    if book.gutenberg is None:
        raise BookError(f"{name} is not {book.title}: its SHA-256 is not {book.sha256}")
    text = gutenberg.decode(content, name)
    story = gutenberg.between_markers(text, name)
    if story is None:
        raise BookError(
            f"{name}: expected {book.title} of Project Gutenberg, got a text without its "
            "START and END markers"
        )
    head = text[: gutenberg.START_MARKER.search(text).end()]
    if book.title.lower() not in " ".join(head.lower().split()):
        title = re.search(r"^Title:.*$", head, re.MULTILINE)
        came = title.group() if title else head.strip().splitlines()[-1]
        raise BookError(f"{name}: expected {book.title}, got {came!r}")
    size = len(content)
    if not SIZES[0] <= size / book.size <= SIZES[1]:
        raise BookError(f"{name}: expected about {book.size:,} bytes of {book.title}, got {size:,}")
    return Edition.OTHER


def _digest(content: bytes) -> str:
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
