"""A row of each board of the leaderboard, trained anew: some minutes on one core.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it in
its second part. Lesson 4 trains the network of the row `lstm`, so it is one of the others, and of
those one of the quickest to train, and so is the row of the other board. Where the known editions
of the books are not to be had, it fails: a test that is left out looks like one that passed.
"""

import pytest

from benchmarks.leaderboard import spread, table
from benchmarks.leaderboard.rows import OWN_BOOK, THREE_BOOKS

BOOK = "pride_prejudice"


@pytest.mark.parametrize(("board", "name"), [(OWN_BOOK, "tied"), (THREE_BOOKS, "lstm_three_books")])
def test_a_row_trained_anew_comes_out_within_the_stated_spread(board, name, tmp_path):
    row = next(row for row in board.rows if (row.book, row.name) == (BOOK, name))
    low, high = spread.spread(table.find_stored(row, board), spread.networks_of(BOOK))
    found = spread.retrain(row, tmp_path)
    print(f"{found:.2f}, expected from {low:.2f} to {high:.2f}")
    assert low <= found <= high
