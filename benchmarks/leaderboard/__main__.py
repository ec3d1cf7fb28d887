"""Build a board of the leaderboard and show it.

    python -m benchmarks.leaderboard --list                       # what is there, what is missing
    python -m benchmarks.leaderboard --write                      # builds all that is missing
    python -m benchmarks.leaderboard --write --books pride_prejudice --rows 'kneser_ney*' lstm
    python -m benchmarks.leaderboard --board three_books --write  # the same for the other board

There are two boards, and a command works on one of them. --board own_book, which is the default:
rows that read the training part of the book and nothing else; they are kept in
results/leaderboard.json. --board three_books: rows that may also read the other two books whole;
they are kept in results/three_books.json. --list shows the rows of the board that is chosen.

A row that the board's file has with the very same recipes and settings is not built again, and of
one that it has with fewer seeds the others alone are built.
What is interrupted goes on where it was: trained networks and the scores of each part of a mixture
are kept in models/leaderboard/, so that a row can be scored again without training. Several
processes may build rows at the same time. --fresh scores the chosen rows again, as is needed when
the code of scoring has changed; to train a network anew, delete its folder there too. Progress goes
to standard error, the table to standard output.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from fnmatch import fnmatch

from benchmarks.leaderboard import networks, rows, scores, table
from benchmarks.leaderboard.parts import Part, Provided
from benchmarks.leaderboard.rows import Board, Row
from benchmarks.leaderboard.scores import say
from benchmarks.leaderboard.text import pooled as pooled_text
from benchmarks.leaderboard.text import read_text
from blg561.language_model.recipes import Recipe

TRAINING_SPEED = 2e10  # multiplications a second, measured where `Part.cost` was


def expected_minutes(row: Row) -> float:
    """Roughly what building the row takes, given the networks that are there, but no scores."""
    text = read_text(row.book)
    scoring = sum(map(seconds_a_pass, row.parts())) * len(text.targets) * text.ntoken
    training = 0.0
    for recipe in row.recipes():
        is_there = isinstance(recipe, Provided) or networks.network_file(recipe, row.book).exists()
        if not is_there:
            training += multiplications(recipe, text.ntoken, len(text.training)) / TRAINING_SPEED
            if recipe.first is not None:
                pooled = len(pooled_text(row.book))
                training += multiplications(recipe.first, text.ntoken, pooled) / TRAINING_SPEED
    return (scoring + training) / 60


def multiplications(recipe: Recipe, ntoken: int, words: int) -> float:
    """Roughly those of a training on so many words."""
    size = recipe.hidden_size
    return recipe.epochs * words * (size * ntoken + 8 * recipe.hidden_layers * size**2)


def seconds_a_pass(part: Part) -> float:
    """For the whole once, and half of it for each of several settings that are tried."""
    one = part.cost + (part.base.cost if hasattr(part, "base") else 0)
    tried = len(part.tried())
    return one * (1 + tried / 2 if tried > 1 else 1)


def listing(chosen: Sequence[Row], board: Board) -> str:
    lines = []
    for row in chosen:
        stored = table.find_stored(row, board)
        if table.is_current(stored, row):
            mean = statistics.mean(result["perplexity"] for result in stored["results"])
            state = f"perplexity {mean:.1f}"
        else:
            state = "missing" if stored is None else "stored with other settings"
            state += f", about {expected_minutes(row):.1f} minutes"
        lines.append(f"{row.book:24} {row.name:20} {state}")
    return "\n".join(lines)


def build(row: Row, board: Board, keep: bool, stored: dict | None) -> dict:
    say(f"{row.book}, {row.name}: at most about {expected_minutes(row):.1f} minutes")
    built = scores.build(row, stored)
    if keep:
        table.write(built, board)
    say(f"{row.book}, {row.name}: {built['seconds']:.0f} s, {built['results']}")
    return built


def main(argv: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.leaderboard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--board",
        choices=rows.BOARDS,
        default="own_book",
        help="which board: own_book if none is named",
    )
    parser.add_argument("--books", nargs="+", choices=rows.BOOKS, default=rows.BOOKS)
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="PATTERN", help="names of rows")
    parser.add_argument("--list", action="store_true", help="say what is there and what is missing")
    parser.add_argument("--write", action="store_true", help="keep them in the file of the board")
    parser.add_argument("--fresh", action="store_true", help="score the chosen rows again")
    arguments = parser.parse_args(argv)

    board = rows.BOARDS[arguments.board]
    named = [row for row in board.rows if any(fnmatch(row.name, p) for p in arguments.rows)]
    if not named:
        names = " or ".join(arguments.rows)
        parser.error(f"no row of {arguments.board} is named {names}; --list shows the names")
    chosen = [row for row in named if row.book in arguments.books]
    if arguments.list:
        print(listing(chosen, board))
        return
    scores.rewritten = set() if arguments.fresh else None
    shown = []
    for row in chosen:
        stored = table.find_stored(row, board)
        if table.is_current(stored, row) and not arguments.fresh:
            shown.append(stored)
        else:
            kept = None if arguments.fresh else stored
            shown.append(build(row, board, arguments.write, kept))
    print(table.table(shown, board))


if __name__ == "__main__":
    main()
