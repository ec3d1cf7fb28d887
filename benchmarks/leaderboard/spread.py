"""What one more training of a row's network may come to, and that training itself."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from benchmarks.leaderboard import networks, text
from benchmarks.leaderboard.parts import NetworkPart
from benchmarks.leaderboard.rows import ROWS, Row
from benchmarks.leaderboard.table import find_stored
from blg561.language_model.systems import Network
from blg561.language_model.training import perplexity

T_QUANTILE = 2.074  # Student's t, 97.5 %, with the 22 degrees of freedom of eleven rows of three


def networks_of(book: str) -> list[dict]:
    """The stored rows of a book that are a single network and nothing else."""
    alone = (
        row
        for row in ROWS
        if row.book == book and all([*map(type, parts)] == [NetworkPart] for parts in row.systems)
    )
    return [stored for row in alone if (stored := find_stored(row))]


def spread(row: dict, rows: list[dict]) -> tuple[float, float]:
    """Where one more run of `row` comes out in 95 of 100 cases, if runs are normal.

    The prediction interval of Student's t, mean ± t · s · √(1 + 1/3). s² is the mean over `rows`,
    the eleven networks of one book, of the variance between three seeds: the three of one row alone
    would say little about their own spread.

    Raises ValueError for other rows than eleven of three runs.
    """
    runs = [[result["perplexity"] for result in stored["results"]] for stored in rows]
    if [*map(len, runs)] != [3] * 11:
        raise ValueError(f"eleven rows of three runs are needed, got runs {[*map(len, runs)]}")
    s = math.sqrt(statistics.mean(map(statistics.variance, runs)))
    margin = T_QUANTILE * s * math.sqrt(1 + 1 / 3)
    mean = statistics.mean(result["perplexity"] for result in row["results"])
    return mean - margin, mean + margin


def retrain(row: Row, folder: Path) -> float:
    """The perplexity of the row's first network, trained anew in `folder`."""
    (part,) = row.systems[0]
    model = networks.train(part.recipe, row.book, folder)
    validation = text.read_text(row.book).validation
    return perplexity(Network(model).score(validation).mean().item())
