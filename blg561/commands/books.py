"""`books`: list the books and where they are, or download one."""

from blg561.language_model import books


def add_to(add):
    parser = add(
        list_or_fetch,
        "books",
        "list the books and where they are, or download one",
        "",
        "--fetch tale_of_two_cities",
    )
    parser.add_argument(
        "--fetch", metavar="KEY", help="download this book unless it is here; prints its path"
    )


def list_or_fetch(arguments) -> int:
    if arguments.fetch is not None:
        print(books.find(arguments.fetch))
        return 0
    rows = [("KEY", "TITLE", "AUTHOR", "GUTENBERG", "TOKENS", "TARGET", "FILE")]
    for book in books.CATALOGUE.values():
        number, target = (str(x or "-") for x in (book.gutenberg, book.target_perplexity))
        tokens = f"{book.tokens:,}"
        rows.append((book.key, book.title, book.author, number, tokens, target, where(book)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print("TARGET: the validation perplexity that the assignment asks for, at most.")
    return 0


def where(book: books.Book) -> str:
    try:
        return str(books.find(book.key, download=False))
    except books.BookUnavailable:
        return "not here yet"
    except books.BookError as error:  # a damaged file must not hide the other rows
        return str(error)
