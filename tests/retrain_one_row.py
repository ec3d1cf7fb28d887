"""A row of the leaderboard, trained anew: about a minute on two cores.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it at
the end. Lesson 4 trains the network of the row `lstm`, so it is one of the others, and of those one
of the quickest to train.
"""

import pytest

from benchmarks import leaderboard
from blg561.language_model import books

ROW = next(row for row in leaderboard.ROWS if (row.book, row.name) == ("pride_prejudice", "tied"))


def is_here(book: str) -> bool:
    try:
        path = books.find(book, download=False)
        return books.verify(path, books.CATALOGUE[book]) is books.Edition.KNOWN
    except books.BookError:
        return False


@pytest.mark.skipif(not is_here(ROW.book), reason="needs the known edition of the book")
def test_a_row_trained_anew_comes_out_within_the_stated_spread(tmp_path):
    rows = leaderboard.networks_of(ROW.book)
    low, high = leaderboard.spread(leaderboard.find_stored(ROW), rows)
    found = leaderboard.retrain(ROW, tmp_path)
    print(f"{found:.2f}, expected from {low:.2f} to {high:.2f}")
    assert low <= found <= high
