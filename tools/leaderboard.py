"""The boards of the leaderboard as figures of the site, made from their files in results/.

It is a list: a browser reads out names and numbers, and draws a dot on an axis beside them. So
it needs no alternative text, follows the theme and the width of the page, and needs no scripts.
"""

from __future__ import annotations

import math
from html import escape
from statistics import mean

from benchmarks.leaderboard import table
from benchmarks.leaderboard.rows import OWN_BOOK, Board
from blg561.language_model.books import CATALOGUE

# the axis ends at this row's perplexity where a board has it: what is worse, the baselines without
# context, is told beside an arrow
LAST_ON_THE_AXIS = "kneser_ney_2"
STEP = 10  # the axis begins and ends at multiples of it
SHORT = (
    *("kneser_ney_2", "kneser_ney_5", "lstm", "averaged", "endings"),
    *("dynamic", "all_one", "all_one_endings", "all_three_endings"),
)
CAPTION = (
    "Validation perplexity on <cite>{title}</cite>, less is better. Where there are three seeds, "
    "the dot is their mean and the line goes from the lowest to the highest."
)


def figure(book: str, names: tuple[str, ...] | None = None, board: Board = OWN_BOOK) -> str:
    """HTML: the rows of `book`, in the order of the table; those of `names` alone, if given."""
    stored = table.perplexities(table.read(board))[book]
    shown = [row for row in board.rows if row.book == book and row.name in (names or stored)]
    low, high = axis(stored)
    place = Axis(low, high)
    items = [place.item(row.plain_title if names else row.title, stored[row.name]) for row in shown]
    caption = CAPTION.format(title=escape(CATALOGUE[book].title))
    parts = [
        '<figure class="leaderboard">',
        f"<figcaption>{caption}</figcaption>",
        f"<ol>{''.join(items)}</ol>",
        place.ticks(),
        "</figure>",
    ]
    return "\n".join(parts) + "\n"


def axis(stored: dict[str, list[float]]) -> tuple[int, int]:
    """Where the axis of a book begins and ends: round numbers around all rows but the worst."""
    end = max(map(mean, stored.values()))
    if LAST_ON_THE_AXIS in stored:
        end = mean(stored[LAST_ON_THE_AXIS])
    lowest = min(min(values) for values in stored.values())
    return math.floor(lowest / STEP) * STEP, math.ceil(end / STEP) * STEP


class Axis:
    """Draws perplexities from `low` to `high`; all places are shares of the axis, in per cent."""

    def __init__(self, low: int, high: int):
        self.low, self.high = low, high

    def share(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def item(self, title: str, values: list[float]) -> str:
        value = mean(values)
        told = f"{value:.1f}"
        if len(values) > 1:
            spread = f"{min(values):.1f} to {max(values):.1f}"
            told += f'<span class="visually-hidden">, {len(values)} seeds: {spread}</span>'
        name = f'<span class="system">{escape(title)}</span>'
        drawn = f'<span class="axis" aria-hidden="true">{self.marks(value, values)}</span>'
        return f'<li>{name} {drawn} <span class="value">{told}</span></li>'

    def marks(self, value: float, values: list[float]) -> str:
        if value > self.high:
            return '<span class="beyond">→</span>'
        start, end = self.share(min(values)), self.share(max(values))
        spread = (
            f'<span class="spread" style="left: {start:.2f}%; width: {end - start:.2f}%"></span>'
        )
        return spread + f'<span class="dot" style="left: {self.share(value):.2f}%"></span>'

    def ticks(self) -> str:
        """The numbers below the axis: its ends and what lies between them in even steps."""
        step = 2 * STEP
        numbers = range(math.ceil(self.low / step) * step, self.high + 1, step)
        spans = (f'<span style="left: {self.share(n):.2f}%">{n}</span>' for n in numbers)
        return f'<p class="ticks" aria-hidden="true"><span class="axis">{"".join(spans)}</span></p>'
