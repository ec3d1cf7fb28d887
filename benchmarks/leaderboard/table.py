"""The files of results and the tables that are made from them: needs no PyTorch.

Each board has its own file, so that none of its rows can be shown among those of another.
"""

from __future__ import annotations

import statistics

from benchmarks import results
from benchmarks.leaderboard import files
from benchmarks.leaderboard.parts import describe
from benchmarks.leaderboard.rows import OWN_BOOK, THREE_BOOKS, Board, Row
from blg561.language_model.books import CATALOGUE

COLUMNS = (
    "perplexity",
    "first_half",
    "second_half",
    "bits_per_character",
    "unseen_share",
    "perplexity_unk",
)
HEADER = (
    "| system | perplexity | lowest to highest | standard deviation | first half | second half "
    "| bits per character | loss on unseen words | with `<unk>` |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def read(board: Board = OWN_BOOK) -> list[dict]:
    """All rows of the board's file."""
    return results.read(board.file) or []


def write(new: dict, board: Board = OWN_BOOK):
    """Put one row into the file as it is now, which another process may have changed meanwhile."""
    order = [(row.book, row.name) for row in board.rows]
    with files.locked(files.MODELS / "results.lock"):
        rows = {(row["book"], row["name"]): row for row in [*read(board), new]}
        known = [rows.pop(key) for key in order if key in rows]
        results.write(board.file, [*known, *rows.values()])


def find_stored(row: Row, board: Board = OWN_BOOK) -> dict | None:
    for stored in read(board):
        if (stored["book"], stored["name"]) == (row.book, row.name):
            return stored
    return None


def is_current(stored: dict | None, row: Row) -> bool:
    return stored is not None and stored["systems"] == describe(row.systems)


def perplexities(rows: list[dict]) -> dict[str, dict[str, list[float]]]:
    """For each book and each row those of its runs."""
    return {
        book: {row["name"]: [run["perplexity"] for run in row["results"]] for row in mine}
        for book, mine in by_book(rows).items()
    }


def by_book(rows: list[dict]) -> dict[str, list[dict]]:
    books_in_order = dict.fromkeys(row["book"] for row in rows)
    return {book: [row for row in rows if row["book"] == book] for book in books_in_order}


def table(rows: list[dict], board: Board = OWN_BOOK) -> str:
    """Markdown: for each book a line about it and its rows, means where there are several seeds."""
    titles = {(row.book, row.name): row.title for row in board.rows}
    parts = []
    for book, mine in by_book(rows).items():
        parts.append(about(book, mine[0]))
        lines = (line(titles[book, row["name"]], row["results"]) for row in mine)
        parts.append("\n".join([HEADER, *lines]))
    return "\n\n".join(parts)


def about(book: str, row: dict) -> str:
    title = f"**{CATALOGUE[book].title}**"
    elsewhere = ""
    if "unseen_in_other_books" in row:
        title = f"**{THREE_BOOKS.title}: {CATALOGUE[book].title}**"
        elsewhere = f", though {row['unseen_in_other_books']:,} of them do in the other two books"
    return (
        f"{title} (lexicon of {row['lexicon']:,} words, of which "
        f"{row['unseen_in_lexicon']:,} never occur in training{elsewhere}; "
        f"they are {row['unseen_words']:.1%} of the validation part)"
    )


def line(title: str, results: list[dict]) -> str:
    mean = {name: statistics.mean(result[name] for result in results) for name in COLUMNS}
    values = [result["perplexity"] for result in results]
    several = len(values) > 1
    cells = [
        title,
        f"{mean['perplexity']:.1f}",
        f"{min(values):.1f} to {max(values):.1f}" if several else "",
        f"{statistics.stdev(values):.2f}" if several else "",
        f"{mean['first_half']:.1f}",
        f"{mean['second_half']:.1f}",
        f"{mean['bits_per_character']:.3f}",
        f"{mean['unseen_share']:.1%}",
        f"{mean['perplexity_unk']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"
