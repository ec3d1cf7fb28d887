"""Drawn diagrams of the lessons, and the boxes, arrows and labels that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.text import Text

DPI = 100
WIDTH = 700  # pixels, about the width of a notebook's output

# Okabe and Ito's colours, which readers with any colour vision tell apart.
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
INK, GREY = "#222222", "#999999"

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Where a box lies: its centre (x, y), its size, and the middles of its four edges."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        return self.x, self.y - self.height / 2


class Diagram(Figure):
    """A white sheet of `width` × `height` pixels at 100 dpi, measured from its lower left corner.

    `page` is its only axes, in pixels too, for what box, arrow and label do not draw. pyplot does
    not know the figure, so a cell that ends in a diagram shows it once.
    """

    def __init__(self, width: float, height: float):
        super().__init__(
            figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", layout="none"
        )
        FigureCanvasAgg(self)  # measures labels, as the plain canvas of a figure cannot
        self.page = self.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.page.set_axis_off()

    def label(self, x, y, words, *, size=11, color=INK, align="center", bold=False) -> Text:
        """Write `words` at (x, y), which `align` makes their left end, centre or right end.

        The fonts are those that come with matplotlib, so a label is as wide everywhere.
        """
        return self.page.text(
            x,
            y,
            words,
            size=size,
            color=color,
            ha=align,
            va="center",
            weight="bold" if bold else "normal",
            family="DejaVu Sans",
            math_fontfamily="dejavusans",
        )

    def box(
        self, x, y, width, height, words="", *, color=GREY, size=11, rounding=6, dashed=False
    ) -> Box:
        """Draw a rounded box around (x, y), filled with a light shade of `color`.

        Raises
        ------
        ValueError : the words do not fit into the box.
        """
        box = Box(x, y, width, height)
        self.page.add_artist(
            FancyBboxPatch(
                (box.left[0], box.bottom[1]),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={rounding}",
                facecolor=0.75 + 0.25 * np.array(to_rgb(color)),
                edgecolor=color,
                linewidth=1.4,
                linestyle="--" if dashed else "-",
            )
        )
        if words:
            extent = self.label(x, y, words, size=size).get_window_extent()
            if extent.width > width or extent.height > height:
                raise ValueError(
                    f"{words!r} takes {extent.width:.0f} × {extent.height:.0f} pixels at size "
                    f"{size}, its box has {width:.0f} × {height:.0f}"
                )
        return box

    def arrow(self, *points: Point, color=INK, width=1.3, dashed=False) -> FancyArrowPatch:
        """Draw an arrow along `points`; its tip is the last one, the others are its corners."""
        return self.page.add_artist(
            FancyArrowPatch(
                path=Path(points),
                arrowstyle="-|>,head_length=0.45,head_width=0.2",
                mutation_scale=14,
                color=color,
                linewidth=width,
                linestyle="--" if dashed else "-",
                joinstyle="miter",  # round joins would end before the tip's place
                capstyle="butt",
            )
        )

    def _repr_png_(self) -> bytes:
        # Without this, IPython shows a figure as text until a notebook has imported pyplot.
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()


def language_model_unrolled(words: Sequence[str] = ("it", "is", "a", "truth", "that")) -> Diagram:
    """The language model over T = len(words) - 1 time steps, from input words to their targets.

    Below each step stands the word that it reads, above it the next word, on which it is scored.
    The shapes beside the arrows are those of all steps of a batch together.

    Raises
    ------
    ValueError : fewer than 3 or more than 5 words, or a word too long for its box.
    """
    if not 3 <= len(words) <= 5:
        raise ValueError(f"expected 3 to 5 words, got {len(words)}: {words!r}")
    steps = len(words) - 1
    diagram = Diagram(WIDTH, 470)
    state = None
    for step, (word, target_word) in enumerate(pairwise(words)):
        x = 90 + (step + 0.5) * 528 / steps
        column = _draw_model_step(diagram, x, step, word, target_word)
        cell = column[2]
        diagram.arrow(state or (cell.left[0] - 36, cell.y), cell.left, color=BLUE)
        diagram.label(cell.left[0] - 21, cell.y + 14, f"$h_{step}$", color=BLUE)
        state = cell.right
    diagram.arrow(state, (state[0] + 36, cell.y), color=BLUE)
    diagram.label(state[0] + 15, cell.y + 14, f"$h_{steps}$", color=BLUE)

    shapes = ["(N, T)", "(N, T, E)", "(N, T, H)", "(N, T, V) logits", "(N, T, V)"]
    beside_arrows = [(x + 10, box.top[1] + 14) for box in column[:-1]]
    input_word, embedding, _, _, _, target = column
    side, bars_y = x + target.width / 2 + 8, 382
    for place, note in [
        *zip(beside_arrows, shapes, strict=True),
        ((8, input_word.y), "input word"),
        ((8, embedding.y), "a row of the\n(V, E) table"),
        ((8, cell.y - 16), "each h: (N, H)"),
        ((8, bars_y), "next word's\ndistribution"),
        ((side, bars_y), "loss: −log p\nof the target"),
        ((8, target.y), "target word"),
        ((side, target.y), "(N, T)"),
        (
            (80, 22),
            "N rows of text,  T time steps,  E embedding size,  H hidden units,  V lexicon size",
        ),
    ]:
        diagram.label(*place, note, size=9.5, align="left")
    return diagram


def _draw_model_step(
    diagram: Diagram, x: float, step: int, word: str, target_word: str
) -> list[Box]:
    """Draw one step of the language model, and return its boxes from the input to the target."""
    width, bars_y = 96, 362
    column = [diagram.box(x, 62, width, 28, word)]
    layers = {"embedding": GREEN, "recurrent": BLUE, "output": PURPLE, "softmax": ORANGE}
    for number, (name, color) in enumerate(layers.items()):
        layer = diagram.box(x, 125 + 64 * number, width, 34, name, size=10.3, color=color)
        diagram.arrow(column[-1].top, layer.bottom)
        column.append(layer)
    diagram.arrow(layer.top, (x, bars_y - 2))
    target = diagram.box(x, 446, width, 28, target_word, color=VERMILION)

    heights = np.roll([12, 30, 8, 42, 8], step)
    places = x + 15 * np.arange(-2, 3)
    right_bar = (2 * step + 1) % 5
    colors = [VERMILION if bar == right_bar else GREY for bar in range(5)]
    diagram.page.bar(places, heights, bottom=bars_y, width=11, color=colors)
    x = places[right_bar]
    diagram.arrow((x, target.bottom[1]), (x, bars_y + 45), color=VERMILION, dashed=True)
    return [*column, target]


def rows_and_batches() -> Diagram:
    """How `ContinuingRows` cuts a text of 225 words into N = 3 rows and windows of T = 20 words.

    A batch is the same window of every row, in one colour here. Row i's next window continues
    its last one, so the hidden state that a batch leaves for row i is where the next batch begins.
    """
    rows, row_length, window_length = 3, 75, 20
    colors = [SKY, ORANGE, GREEN, PURPLE]
    windows = [
        (begin, min(begin + window_length, row_length), color)
        for begin, color in zip(range(0, row_length, window_length), colors, strict=True)
    ]
    diagram = Diagram(WIDTH, 374)

    left, scale, y = 26, 648 / (rows * row_length), 306
    diagram.label(left, 354, "The text, 225 words in their order", align="left", bold=True)
    for row in range(rows):
        for begin, end, color in windows:
            x = left + scale * (row * row_length + (begin + end) / 2)
            diagram.box(x, y, scale * (end - begin), 26, color=color, rounding=0)
        diagram.label(left + scale * (row + 0.5) * row_length, y - 27, f"row {row + 1}")
    for row in range(rows + 1):
        x = left + scale * row * row_length
        diagram.page.plot([x, x], [y - 36, y + 24], color=INK, linewidth=1.8)

    left, gap, scale, top_y = 76, 37, 6, 162
    title = "The same words as N = 3 rows, cut into windows of T = 20"
    diagram.label(26, 236, title, align="left", bold=True)
    for row in range(rows):
        x, y = left, top_y - 44 * row
        diagram.label(26, y, f"row {row + 1}", align="left")
        for number, (begin, end, color) in enumerate(windows, start=1):
            width = scale * (end - begin)
            words = f"{row * row_length + begin + 1}–{row * row_length + end}"
            window = diagram.box(x + gap + width / 2, y, width, 30, words, color=color)
            diagram.arrow((x, y), window.left)
            diagram.label(x + gap / 2 - 4, y + 13, "0" if number == 1 else "$h$", size=10)
            if row == 0:
                diagram.label(window.x, y + 36, f"batch {number}")
            x = window.right[0]
    diagram.label(
        WIDTH / 2,
        24,
        "$h$: the hidden state of row i after batch k is its state before batch k + 1",
        size=10,
    )
    return diagram


def teacher_forcing() -> Diagram:
    """Teacher forcing above (Williams and Zipser 1989), free running below, on the same sentence.

    The boxes are the same; what differs is the blue arrow into the next step's input. In both,
    the network draws a wrong second word. With teacher forcing the next step reads the true word
    anyway; running freely it reads the wrong one, and the steps after it go astray too.
    """
    true_words = ["the", "old", "king", "slept", "well"]
    diagram = Diagram(WIDTH, 536)
    diagram.label(
        10, 517, "Teacher forcing: each step reads the true word", align="left", bold=True
    )
    _draw_steps(diagram, 318, true_words, ["old", "queen", "slept", "well"], forced=True)
    diagram.label(
        10, 259, "Free running: each step reads the word drawn before it", align="left", bold=True
    )
    _draw_steps(diagram, 60, true_words, ["old", "queen", "spoke", "softly"], forced=False)
    diagram.label(
        WIDTH / 2, 18, "Dashed boxes: not the word that the text has at this place", size=10
    )
    return diagram


def _draw_steps(
    diagram: Diagram, y: float, true_words: list[str], drawn_words: list[str], *, forced: bool
) -> None:
    """Draw a network's steps, inputs at height `y`; words that are not the text's have dashes."""
    left, pitch, width, height, rise = 172, 150, 84, 28, 54
    source_words = true_words[1:] if forced else drawn_words
    for row, name in enumerate(["reads", "network", "draws", "true word"]):
        diagram.label(10, y + rise * row, name, size=10.5, align="left")

    def word_box(row, word, true_word):
        wrong = word != true_word
        return diagram.box(
            x, y + rise * row, width, height, word, color=VERMILION if wrong else GREY, dashed=wrong
        )

    source = before = None
    for step, drawn_word in enumerate(drawn_words):
        x = left + pitch * step
        read_word = source_words[step - 1] if step else true_words[0]
        read = word_box(0, read_word, true_words[step])
        network = diagram.box(x, y + rise, width, height, f"$h_{step + 1}$", color=GREEN)
        drawn = word_box(2, drawn_word, true_words[step + 1])
        true = word_box(3, true_words[step + 1], true_words[step + 1])
        diagram.arrow(read.top, network.bottom)
        diagram.arrow(network.top, drawn.bottom)
        if step:
            diagram.arrow(before.right, network.left)
            middle = x - pitch / 2
            corners = [(middle, source.y), (middle, read.y)]
            diagram.arrow(source.right, *corners, read.left, color=BLUE, width=2)
        before, source = network, true if forced else drawn


def encoder_decoder(attention: bool = False) -> Diagram:
    """An encoder-decoder network (Sutskever et al. 2014) at work on a four-word French sentence.

    The encoder's last state is the one vector c from which the decoder writes the translation.
    With `attention` (Bahdanau et al. 2015) the decoder's second step is shown as it also
    receives c_2, the sum of all encoder states weighted by α_{2,s}.
    """
    source_words = ["le", "chat", "noir", "dort"]
    target_words = ["the", "black", "cat", "sleeps", "<eos>"]
    word_y, state_y, output_y = 72, 132, 270 if attention else 192
    diagram = Diagram(WIDTH, output_y + 36)
    pitch, width, height = 66, 50, 28
    places = 53 + pitch * np.arange(10)

    def boxes_at(y, xs, words, color):
        return [
            diagram.box(x, y, width, height, word, size=9.5, color=color)
            for x, word in zip(xs, words, strict=True)
        ]

    source = boxes_at(word_y, places[:4], source_words, GREY)
    encoder = boxes_at(state_y, places[:4], [f"$h_{s}$" for s in range(1, 5)], BLUE)
    target = boxes_at(word_y, places[5:], ["<bos>", *target_words[:-1]], GREY)
    decoder = boxes_at(state_y, places[5:], [f"$s_{t}$" for t in range(1, 6)], GREEN)
    output = boxes_at(output_y, places[5:], target_words, GREY)
    for below, above in zip(source + target + decoder, encoder + decoder + output, strict=True):
        diagram.arrow(below.top, above.bottom)
    for states in (encoder, decoder):
        for before, after in pairwise(states):
            diagram.arrow(before.right, after.left)
    diagram.label(places[:4].mean(), 24, "encoder: reads the source", bold=True)
    diagram.label(places[5:].mean(), 24, "decoder: writes the target", bold=True)

    if attention:
        diagram.arrow(encoder[-1].right, decoder[0].left)
        _draw_attention(diagram, encoder, decoder)
    else:
        vector = diagram.box(places[4], state_y, 30, 30, "$c$", color=VERMILION, rounding=15)
        diagram.arrow(encoder[-1].right, vector.left, color=VERMILION, width=2)
        diagram.arrow(vector.right, decoder[0].left, color=VERMILION, width=2)
        diagram.label(
            28, output_y, "$c = h_4$: one vector for the whole sentence", size=10, align="left"
        )
    return diagram


def _draw_attention(diagram: Diagram, encoder: list[Box], decoder: list[Box]) -> None:
    """Draw how the second decoder step asks with s_1 and receives the weighted sum c_2."""
    middle = (encoder[0].x + encoder[-1].x) / 2
    context = diagram.box(
        middle, 230, 248, 40, r"$c_2 = \sum_s\,\alpha_{2,s}\,h_s$", color=VERMILION
    )
    diagram.label(encoder[0].x - 8, 170, r"$\alpha_{2,s}$", align="right")
    for state, weight in zip(encoder, [0.05, 0.20, 0.70, 0.05], strict=True):
        diagram.arrow(
            state.top, (state.x, context.bottom[1]), color=VERMILION, width=0.8 + 5 * weight
        )
        diagram.label(state.x + 9, 170, f"{weight:.2f}", size=9.5, align="left")
    asking, receiving = decoder[:2]
    ask_x, receive_x = asking.x - 14, receiving.x - 14
    right = context.right[0]
    diagram.label((right + ask_x) / 2, 204, "$s_1$ asks", size=10, color=BLUE)
    diagram.label((right + ask_x) / 2, 253, "$c_2$", color=VERMILION)
    diagram.arrow((ask_x, asking.top[1]), (ask_x, 218), (right, 218), color=BLUE, dashed=True)
    diagram.arrow(
        (right, 240), (receive_x, 240), (receive_x, receiving.top[1]), color=VERMILION, width=2
    )
