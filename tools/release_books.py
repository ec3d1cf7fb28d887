"""Prepare the release that serves the known editions of the books: `make release-books`.

`books.find` asks it for a book before Project Gutenberg, whose present edition may be another one.
"""

import argparse
import sys
from pathlib import Path

from blg561.errors import InputError
from blg561.language_model import books
from tools.repository import slug

FOLDER = Path("build/books")


def prepare(folder: Path) -> list[Path]:
    """Write the known edition of each book, with "\\n" line ends, and SHA256SUMS; all their paths.

    Raises BookError where a book is not to be had in its known edition.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written, sums = [], ""
    for book in books.CATALOGUE.values():
        if book.gutenberg is None:
            continue
        found = books.find(book.key)
        if books.verify(found, book) is not books.Edition.KNOWN:
            raise books.BookError(f"{found} is not the known edition of {book.title}")
        written.append(folder / book.file_name)
        written[-1].write_bytes(found.read_bytes().replace(b"\r\n", b"\n"))
        sums += f"{book.sha256}  {book.file_name}\n"
    written.append(folder / "SHA256SUMS")
    written[-1].write_text(sums, encoding="utf-8", newline="\n")
    return written


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release_books", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    try:
        written = prepare(parser.parse_args(argv).folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    files = " ".join(map(str, written))
    print(f"""Written: {files}
Publish them as the release "books", once:
  gh release create books --repo {slug()} --title "Books" \\
    --notes "The editions that the stored results come from." {files}
or attach them by hand at https://github.com/{slug()}/releases/new?tag=books
`sha256sum --check SHA256SUMS` beside the files tells whether they arrived whole.""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
