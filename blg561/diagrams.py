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

from blg561.plotting import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

DPI = 100
WIDTH = 700  # pixels, about the width of a notebook's output
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
    not know the figure, so a cell that ends in a diagram shows it once. `alt` says in words what is
    drawn: the alternative text that a notebook stores with the image.
    """

    def __init__(self, width: float, height: float, alt: str = ""):
        super().__init__(
            figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white", layout="none"
        )
        self.alt = alt
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

        Raises ValueError when the words do not fit into the box.
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

    def operator(self, x, y, sign: str) -> Box:
        """Draw a circle around a `sign` such as ⊙ or +, which acts on what the arrows bring."""
        return self.box(x, y, 24, 24, sign, size=13, rounding=12)

    def dot(self, x, y, *, color=INK) -> Point:
        """Mark (x, y) as a place where a value goes on in more than one direction."""
        self.page.plot([x], [y], color=color, marker="o", markersize=6)
        return x, y

    def _ipython_display_(self):
        # Otherwise IPython shows a figure as text until pyplot has drawn its first one, and from
        # then on with a margin and without the alternative text.
        from IPython.display import display  # only a notebook needs it

        png = BytesIO()
        self.savefig(png, format="png", dpi=DPI)
        data = {"image/png": png.getvalue(), "text/plain": repr(self)}
        display(data, metadata={"image/png": {"alt": self.alt}}, raw=True)


def language_model_unrolled(words: Sequence[str] = ("it", "is", "a", "truth", "that")) -> Diagram:
    """The language model over T = len(words) - 1 time steps, from input words to their targets.

    Below each step stands the word that it reads, above it the next word, on which it is scored.
    The shapes beside the arrows are those of all steps of a batch together.

    Raises ValueError for fewer than 3 or more than 5 words, or a word too long for its box.
    """
    if not 3 <= len(words) <= 5:
        raise ValueError(f"expected 3 to 5 words, got {len(words)}: {words!r}")
    steps = len(words) - 1
    alt = (
        "From below to above, the same column of boxes at every time step: input word, embedding, "
        "recurrent layer, output layer, softmax, the distribution of the next word, target word. "
        "Arrows between the recurrent boxes carry the hidden state to the next step. The words "
        f"read are {', '.join(words[:-1])}; the targets are {', '.join(words[1:])}."
    )
    diagram = Diagram(WIDTH, 470, alt)
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
    alt = (
        "A text of 225 words is cut into three rows of 75. The rows lie below each other and are "
        "cut into windows of 20 words: batch 1 holds words 1 to 20, 76 to 95 and 151 to 170; batch "
        "2 the next 20 of each row; batch 4 the last 15. Arrows carry each row's hidden state from "
        "one batch to the next."
    )
    diagram = Diagram(WIDTH, 374, alt)

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
    alt = (
        "The same four steps of a network twice. Above, teacher forcing: the network draws a wrong "
        "second word, but each step reads the true word before it. Below, free running: each step "
        "reads the word just drawn, and after the wrong word the following words are wrong too."
    )
    diagram = Diagram(WIDTH, 536, alt)
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
    alt = (
        "An encoder reads the source words le, chat, noir, dort, one state each; a decoder, from "
        "the start symbol and its own last word, writes the, black, cat, sleeps and the end symbol."
    )
    alt += (
        " The decoder's second step receives a weighted sum of the four encoder states, with the "
        "weights 0.05, 0.20, 0.70 and 0.05; its state before that step decides the weights."
        if attention
        else " All that the decoder knows of the source is one vector, the encoder's last state."
    )
    diagram = Diagram(WIDTH, output_y + 36, alt)
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
        middle, 230, 248, 40, r"$c_2 = \sum_j\,\alpha_{2,j}\,h_j$", color=VERMILION
    )
    diagram.label(encoder[0].x - 8, 170, r"$\alpha_{2,j}$", align="right")
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


def rnn_cell() -> Diagram:
    """One step of the simple recurrent layer, h_t = tanh(x_t Wx + h_{t-1} Wh + b) (Elman 1990).

    Notation and shapes are those of `RNNLayer`: vectors are rows, N sequences, D features, H units.
    """
    alt = (
        "One step of the simple recurrent layer. The state of the step before times Wh, the input "
        "times Wx and the bias b meet in a sum; tanh of the sum is the new state, which goes out "
        "as the step's output and on to the next step."
    )
    diagram = Diagram(WIDTH, 316, alt)
    line_y, width = 160, 84
    state_line = {"color": BLUE, "width": 2}
    prev_h = diagram.box(44, line_y, 60, 30, "$h_{t-1}$", color=BLUE)
    from_h = diagram.box(178, line_y, width, 34, r"$h_{t-1}\,W_h$")
    plus = diagram.operator(308, line_y, "+")
    x = diagram.box(plus.x, 26, 60, 30, "$x_t$")
    from_x = diagram.box(plus.x, 92, width, 34, r"$x_t\,W_x$")
    b = diagram.box(plus.x, 228, 44, 30, "$b$")
    tanh = diagram.box(440, line_y, 64, 34, "tanh", color=PURPLE)
    branch = diagram.dot(536, line_y, color=BLUE)
    output = diagram.box(branch[0], 290, 60, 30, "$h_t$", color=BLUE)
    next_h = diagram.box(656, line_y, 60, 30, "$h_t$", color=BLUE)

    diagram.arrow(x.top, from_x.bottom)
    diagram.arrow(from_x.top, plus.bottom)
    diagram.arrow(b.bottom, plus.top)
    diagram.arrow(prev_h.right, from_h.left, **state_line)
    diagram.arrow(from_h.right, plus.left)
    diagram.arrow(plus.right, tanh.left)
    diagram.arrow(tanh.right, next_h.left, **state_line)
    diagram.arrow(branch, output.bottom, **state_line)

    for x, y, note in [
        (14, line_y - 46, "(N, H)\nfrom the\nstep before"),
        (from_h.left[0], line_y + 32, "$W_h$: (H, H)"),
        (236, line_y + 14, "(N, H)"),
        (plus.x + 38, 26, "(N, D), input of step t"),
        (from_x.right[0] + 8, 92, "$W_x$: (D, H)"),
        (plus.x + 10, 126, "(N, H)"),
        (b.right[0] + 8, 228, "(H,), added to each row"),
        (330, line_y + 14, "$a_t$: (N, H)"),
        (480, line_y + 14, "(N, H)"),
        (output.right[0] + 8, 290, "(N, H), output of\nstep t"),
        (next_h.left[0], line_y - 46, "(N, H)\nto the\nnext step"),
    ]:
        diagram.label(x, y, note, size=9.5, align="left")
    return diagram


def rnn_unrolled(backward: bool = False) -> Diagram:
    """Four steps of the simple recurrent layer; every step has the same Wx, Wh and b.

    With `backward`, the gradients of `RNNLayer.backward` are added. They run against the arrows of
    the forward pass and have the names of the lesson's equations: what enters step t is dh_t, the
    sum of dh_t^out from the output (`dh[:, t]` in the code) and of the dh_t^next that step t + 1
    hands back (`dprev_h`).
    """
    alt = (
        "Four steps of the simple recurrent layer in a row, each a box with the same Wx, Wh and b. "
        "Inputs enter from below, states leave above and to the right, into the next step."
    )
    if backward:
        alt += (
            " Gradients run against these arrows: into each step goes the sum of the gradient from "
            "its output above and of the gradient that the step to its right hands back; out of it "
            "go the gradient of its input, below, and one for the step to its left."
        )
    diagram = Diagram(WIDTH, 374 if backward else 338, alt)
    steps, shift = 4, 22 if backward else 0  # makes room for a gradient beside each value
    x_y, cell_y, h_y = (100, 212, 346) if backward else (74, 178, 310)
    state_y = cell_y - 26
    forward = {"color": GREY} if backward else {"color": BLUE, "width": 2}

    places = 122 + 152 * np.arange(steps)
    words = "$W_x$\n$W_h$\n$b$"
    cells = [diagram.box(x, cell_y, 72, 96, words, color=PURPLE) for x in places]
    first = diagram.box(28, state_y, 40, 28, "$h_0$", color=BLUE)
    last = diagram.box(672, state_y, 40, 28, f"$h_{steps}$", color=BLUE)
    for step, (before, after) in enumerate(pairwise([first, *cells, last])):
        diagram.arrow((before.right[0], state_y), (after.left[0], state_y), **forward)
        if 0 < step < steps:
            x = (before.x + after.x) / 2
            diagram.label(x, state_y - 14, f"$h_{step}$", color=BLUE)
    for step, cell in enumerate(cells, start=1):
        x = diagram.box(cell.x - shift, x_y, 38, 28, f"$x_{step}$")
        h = diagram.box(cell.x - shift, h_y, 38, 28, f"$h_{step}$", color=BLUE)
        diagram.arrow(x.top, (x.x, cell.bottom[1]), color=GREY if backward else INK)
        diagram.arrow((h.x, cell.top[1]), h.bottom, **forward)
    if backward:
        _draw_gradients(diagram, cells, x_y, h_y, shift)
        parts = r"$dh_t^{\mathrm{out}}$ + $dh_t^{\mathrm{next}}$"
        note = f"+ gives $dh_t$ = {parts}, which enters step t from above"
        diagram.label(WIDTH / 2, 20, note, size=10, color=VERMILION)
    note = "Every step has the same $W_x$, $W_h$ and $b$.   Each x: (N, D), each h: (N, H)"
    diagram.label(WIDTH / 2, x_y - 54, note, size=10)
    return diagram


def _draw_gradients(
    diagram: Diagram, cells: list[Box], x_y: float, h_y: float, shift: float
) -> None:
    """Draw the backward pass through unrolled `cells`, from the last one to the first."""
    gradient_y, sum_y = cells[0].y + 22, cells[0].top[1] + 36
    look = {"color": VERMILION, "width": 2}
    zero = diagram.box(672, sum_y, 40, 28, "0", color=VERMILION)
    from_next = [zero.left]
    for step, cell in reversed(list(enumerate(cells, start=1))):
        x = cell.x + shift
        plus = diagram.operator(x, sum_y, "+")
        out = rf"$dh_{step}^{{\mathrm{{out}}}}$"
        dh = diagram.box(x + 5, h_y, 48, 28, out, color=VERMILION)
        dx = diagram.box(x, x_y, 38, 28, f"$dx_{step}$", color=VERMILION)
        diagram.arrow((x, dh.bottom[1]), plus.top, **look)
        diagram.arrow(*from_next, plus.right, **look)
        diagram.arrow(plus.bottom, (x, cell.top[1]), **look)
        diagram.arrow((x, cell.bottom[1]), dx.top, **look)
        start, corner_x = (cell.left[0], gradient_y), cell.left[0] - 54
        from_next = [start, (corner_x, gradient_y), (corner_x, sum_y)]
        if step > 1:
            diagram.label(
                cell.left[0] - 4,
                gradient_y - 13,
                rf"$dh_{step - 1}^{{\mathrm{{next}}}}$",
                size=10,
                color=VERMILION,
                align="right",
            )
    dh0 = diagram.box(28, gradient_y, 40, 28, "$dh_0$", color=VERMILION)
    diagram.arrow(start, dh0.right, **look)


def lstm_cell() -> Diagram:
    """One step of the LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

    The names are those of `LSTMLayer`. The cell state runs straight along the top.
    """
    alt = (
        "One step of the LSTM. The cell state runs straight along the top: times the forget gate, "
        "plus the input gate times the candidate. The new hidden state is tanh of the new cell "
        "state times the output gate. All four gates are made from one sum of the input times Wx, "
        "the last hidden state times Wh and b."
    )
    diagram = Diagram(WIDTH, 440, alt)
    state_y, product_y, gate_y, sum_y = 398, 312, 224, 134
    cell_line, hidden_line = {"color": GREEN, "width": 2.5}, {"color": BLUE, "width": 2}

    prev_c = diagram.box(42, state_y, 64, 30, "prev_c", color=GREEN)
    prev_h = diagram.box(42, sum_y, 64, 30, "prev_h", color=BLUE)
    a = diagram.box(312, sum_y, 400, 34, "a = x Wx + prev_h Wh + b")
    x = diagram.box(a.x, 68, 64, 30, "x")
    forget = _draw_gate(diagram, 154, gate_y, "forget", "σ($a_f$)")
    input_gate = _draw_gate(diagram, 252, gate_y, "input", "σ($a_i$)")
    candidate = _draw_gate(diagram, 372, gate_y, "candidate", "tanh($a_g$)", color=PURPLE)
    output = _draw_gate(diagram, 470, gate_y, "output", "σ($a_o$)")
    keep = diagram.operator(forget.x, state_y, "⊙")
    add = diagram.operator(a.x, state_y, "+")
    write = diagram.operator(a.x, product_y, "⊙")
    branch = diagram.dot(574, state_y, color=GREEN)
    tanh = diagram.box(branch[0], product_y, 56, 30, "tanh", color=PURPLE)
    show = diagram.operator(branch[0], gate_y, "⊙")
    next_c = diagram.box(658, state_y, 64, 30, "next_c", color=GREEN)
    next_h = diagram.box(658, gate_y, 64, 30, "next_h", color=BLUE)

    diagram.arrow(prev_h.right, a.left, **hidden_line)
    diagram.arrow(x.top, a.bottom)
    for gate, part in [(forget, "a_f"), (input_gate, "a_i"), (candidate, "a_g"), (output, "a_o")]:
        diagram.arrow((gate.x, a.top[1]), gate.bottom)
        diagram.label(gate.x - 14, 176, f"${part}$")
    diagram.arrow(prev_c.right, keep.left, **cell_line)
    diagram.arrow(forget.top, keep.bottom)
    diagram.arrow(keep.right, add.left, **cell_line)
    diagram.arrow(input_gate.top, (input_gate.x, write.y), write.left)
    diagram.arrow(candidate.top, (candidate.x, write.y), write.right)
    diagram.arrow(write.top, add.bottom)
    diagram.arrow(add.right, next_c.left, **cell_line)
    diagram.arrow(branch, tanh.top, **cell_line)
    diagram.arrow(tanh.bottom, show.top)
    diagram.arrow(output.right, show.left)
    diagram.arrow(show.right, next_h.left, **hidden_line)

    for x, y, note in [
        (20, state_y - 25, "(N, H)"),
        (180, state_y + 15, "forget ⊙ prev_c"),
        (add.x + 9, (product_y + state_y) / 2, "input ⊙ candidate"),
        (20, sum_y - 25, "(N, H)"),
        (a.right[0] + 8, sum_y, "(N, 4H)"),
        (a.x + 40, 68, "(N, D)"),
        (branch[0] + 9, 266, "tanh(next_c)"),
        (next_c.left[0], state_y - 25, "(N, H)"),
        (next_h.left[0], gate_y - 42, "(N, H)\nalso the\noutput"),
        (112, 32, "a is cut into [$a_i$, $a_f$, $a_o$, $a_g$], each (N, H)"),
        (112, 12, "Wx: (D, 4H)    Wh: (H, 4H)    b: (4H,)"),
    ]:
        diagram.label(x, y, note, size=9.5, align="left")
    return diagram


def _draw_gate(
    diagram: Diagram, x: float, y: float, name: str, formula: str, *, color: str = ORANGE
) -> Box:
    return diagram.box(x, y, 84, 42, f"{name}\n{formula}", size=10, color=color)


def lstm_unrolled() -> Diagram:
    """Three steps of the LSTM, with the cell state's path apart from the hidden state's.

    Above them the direct path of the gradient along the cell state: each step multiplies it by its
    forget gate and nothing else, since + hands a gradient on unchanged. Along the hidden state the
    way leads through the output gate, tanh, the gates' slopes and Wh in every step.
    """
    alt = (
        "Three steps of the LSTM. The cell states form a straight path along which each step "
        "multiplies by its forget gate and adds; the hidden states form another, through gates, "
        "tanh and a product in every step. Above, the gradient's direct path along the cell "
        "states, backwards: it meets the forget gates and nothing else."
    )
    diagram = Diagram(WIDTH, 464, alt)
    steps, pitch = 3, 200
    gradient_y, state_y, tanh_y, gate_y, x_y = 394, 316, 240, 156, 86
    cell_line, hidden_line = {"color": GREEN, "width": 3}, {"color": BLUE, "width": 2}
    gradient = {"color": VERMILION, "width": 3}

    before_c = diagram.box(26, state_y, 36, 28, "$c_0$", color=GREEN)
    before_h = diagram.box(26, gate_y, 36, 28, "$h_0$", color=BLUE)
    before_dc = diagram.box(26, gradient_y, 36, 28, "$dc_0$", color=VERMILION)
    for step, gates_x in enumerate(118 + pitch * np.arange(steps), start=1):
        gates = diagram.box(gates_x, gate_y, 76, 40, "gates", color=ORANGE)
        x = diagram.box(gates.x, x_y, 36, 28, f"$x_{step}$")
        keep = diagram.operator(gates.x - 22, state_y, "⊙")
        add = diagram.operator(gates.x + 22, state_y, "+")
        c = diagram.dot(gates.x + 100, state_y, color=GREEN)
        tanh = diagram.box(c[0], tanh_y, 48, 28, "tanh", color=PURPLE)
        show = diagram.operator(c[0], gate_y, "⊙")
        dc = diagram.box(c[0], gradient_y, 36, 28, f"$dc_{step}$", color=VERMILION)
        scale = diagram.operator(keep.x, gradient_y, "⊙")

        diagram.arrow(x.top, gates.bottom)
        diagram.arrow(before_h.right, gates.left, **hidden_line)
        diagram.arrow((keep.x, gates.top[1]), keep.bottom)
        diagram.arrow((add.x, gates.top[1]), add.bottom)
        diagram.arrow(gates.right, show.left)
        diagram.arrow(before_c.right, keep.left, **cell_line)
        diagram.arrow(keep.right, add.left, **cell_line)
        diagram.arrow(c, tanh.top)
        diagram.arrow(tanh.bottom, show.top)
        diagram.arrow(dc.left, scale.right, **gradient)
        diagram.arrow(scale.left, before_dc.right, **gradient)
        if step < steps:
            diagram.label(c[0], state_y + 16, f"$c_{step}$", color=GREEN)
            diagram.label(c[0] + 34, gate_y + 14, f"$h_{step}$", color=BLUE)
        for x, y, note in [
            (keep.x - 20, gradient_y + 23, "forget"),
            (add.x - 20, gradient_y - 16, "unchanged"),
            (keep.x - 48, tanh_y, "forget"),
            (add.x + 7, gate_y + 40, "input ⊙\ncandidate"),
            (gates.right[0] + 4, gate_y - 14, "output"),
        ]:
            diagram.label(x, y, note, size=9.5, align="left")
        before_c, before_h, before_dc = add, show, dc
    last_c = diagram.box(674, state_y, 36, 28, f"$c_{steps}$", color=GREEN)
    last_h = diagram.box(674, gate_y, 36, 28, f"$h_{steps}$", color=BLUE)
    diagram.arrow(add.right, last_c.left, **cell_line)
    diagram.arrow(show.right, last_h.left, **hidden_line)

    for y, note, color in [
        (
            446,
            "The gradient's direct path along c meets the forget gates and nothing else",
            VERMILION,
        ),
        (
            36,
            "The path along h meets output, tanh, the slopes of the gates and Wh in every step",
            BLUE,
        ),
        (14, "gates: forget, input, output and candidate, made from $x_t$ and $h_{t-1}$", INK),
    ]:
        diagram.label(8, y, note, size=10, color=color, align="left")
    return diagram


def gru_cell() -> Diagram:
    """One step of the gated recurrent unit (Cho et al. 2014), the reset gate before the product.

    The names are those of `GRULayer`.
    """
    alt = (
        "One step of the gated recurrent unit. The last state runs along the top, times the update "
        "gate, plus one minus the update gate times the candidate. The candidate is tanh of a sum "
        "of the input and of the last state times the reset gate, each times its own weights. Both "
        "gates come from the input and the last state."
    )
    diagram = Diagram(WIDTH, 476, alt)
    state_y, gate_y, candidate_y = 434, 304, 144
    state_line = {"color": BLUE, "width": 2}

    prev_h = diagram.box(42, state_y, 64, 30, "prev_h", color=BLUE)
    a = diagram.box(206, gate_y, 136, 42, "a = x Wx\n+ prev_h Wh + b", size=10)
    x = diagram.box(166, 224, 32, 30, "x")
    reset = _draw_gate(diagram, 238, 224, "reset", "σ($a_r$)")
    update = _draw_gate(diagram, 362, gate_y, "update", "σ($a_z$)")
    rest = diagram.box(486, gate_y, 88, 34, "1 − update", size=10, color=ORANGE)
    see = diagram.operator(reset.x, candidate_y, "⊙")
    ai = diagram.box(406, candidate_y, 144, 42, "ai = x Wxi\n+ reset_h Whi + bi", size=10)
    xi = diagram.box(ai.x, 78, 32, 30, "x")
    candidate = _draw_gate(diagram, 586, candidate_y, "candidate", "tanh(ai)", color=PURPLE)
    keep = diagram.operator(update.x, state_y, "⊙")
    write = diagram.operator(candidate.x, gate_y, "⊙")
    add = diagram.operator(candidate.x, state_y, "+")
    next_h = diagram.box(660, state_y, 64, 30, "next_h", color=BLUE)
    to_mixture = diagram.dot(106, state_y, color=BLUE)
    to_gates = diagram.dot(106, gate_y, color=BLUE)

    diagram.arrow(prev_h.right, keep.left, **state_line)
    diagram.arrow(to_mixture, to_gates, a.left, **state_line)
    diagram.arrow(to_gates, (to_gates[0], see.y), see.left, **state_line)
    diagram.arrow(x.top, (x.x, a.bottom[1]))
    diagram.arrow(a.right, update.left)
    diagram.arrow((reset.x, a.bottom[1]), reset.top)
    diagram.arrow(reset.bottom, see.top)
    diagram.arrow(see.right, ai.left)
    diagram.arrow(xi.top, ai.bottom)
    diagram.arrow(ai.right, candidate.left)
    diagram.arrow(update.top, keep.bottom)
    diagram.arrow(update.right, rest.left)
    diagram.arrow(rest.right, write.left)
    diagram.arrow(candidate.top, write.bottom)
    diagram.arrow(keep.right, add.left, **state_line)
    diagram.arrow(write.top, add.bottom)
    diagram.arrow(add.right, next_h.left, **state_line)

    for x, y, note in [
        (20, state_y - 25, "(N, H)"),
        (a.left[0], gate_y + 32, "(N, 2H)"),
        (288, gate_y + 14, "$a_z$"),
        (246, 264, "$a_r$"),
        (152, 198, "(N, D)"),
        (264, candidate_y + 14, "reset_h"),
        (ai.left[0], candidate_y + 32, "(N, H)"),
        (xi.right[0] + 8, xi.y, "(N, D)"),
        (add.x - 164, state_y + 15, "update ⊙ prev_h"),
        (add.x + 9, (gate_y + state_y) / 2, "(1 − update)\n⊙ candidate"),
        (next_h.left[0], state_y - 25, "(N, H)"),
        (106, 32, "a is cut into [$a_z$, $a_r$], each (N, H)"),
        (
            106,
            12,
            "Wx: (D, 2H)    Wh: (H, 2H)    b: (2H,)    Wxi: (D, H)    Whi: (H, H)    bi: (H,)",
        ),
    ]:
        diagram.label(x, y, note, size=9.5, align="left")
    return diagram


def gru_unrolled() -> Diagram:
    """Three steps of the GRU, the state's own way through the mixtures apart from all other ways.

    The gradients run against the arrows: along the top each step multiplies by its update gate, and
    what comes back through the gates and the candidate joins it.
    """
    alt = (
        "Three steps of the gated recurrent unit. The states form a straight path along which each "
        "step multiplies by its update gate and adds its share of the candidate. Below, a box for "
        "each step makes the gates and the candidate from the input and the state before. The "
        "gradients run backwards: along the states they meet the update gates alone, and from each "
        "box below a second arrow comes back to the state before."
    )
    diagram = Diagram(WIDTH, 392, alt)
    steps, pitch = 3, 204
    gradient_y, state_y, box_y, x_y = 330, 246, 140, 72
    state_line, gradient = {"color": BLUE, "width": 3}, {"color": VERMILION, "width": 3}

    before = diagram.box(28, state_y, 38, 28, "$h_0$", color=BLUE)
    before_dh = diagram.box(28, gradient_y, 38, 28, "$dh_0$", color=VERMILION)
    branch = before.right[0] + 16, state_y
    for step, middle in enumerate(132 + pitch * np.arange(steps), start=1):
        inner = diagram.box(middle, box_y, 104, 44, "gates,\ncandidate", size=10, color=ORANGE)
        x = diagram.box(middle, x_y, 38, 28, f"$x_{step}$")
        keep = diagram.operator(middle - 24, state_y, "⊙")
        add = diagram.operator(middle + 28, state_y, "+")
        state = diagram.box(middle + 100, state_y, 38, 28, f"$h_{step}$", color=BLUE)
        dh = diagram.box(state.x, gradient_y, 44, 28, f"$dh_{step}$", color=VERMILION)
        scale = diagram.operator(keep.x, gradient_y, "⊙")

        diagram.dot(*branch, color=BLUE)
        diagram.arrow(before.right, keep.left, **state_line)
        diagram.arrow(branch, (branch[0], box_y), inner.left, color=BLUE)
        diagram.arrow(x.top, inner.bottom)
        diagram.arrow((keep.x, inner.top[1]), keep.bottom)
        diagram.arrow((add.x, inner.top[1]), add.bottom)
        diagram.arrow(keep.right, add.left, **state_line)
        diagram.arrow(add.right, state.left, **state_line)
        diagram.arrow(dh.left, scale.right, **gradient)
        diagram.arrow(scale.left, before_dh.right, **gradient)
        back_x = branch[0] - 12
        diagram.arrow(
            (inner.left[0], box_y - 14), (back_x, box_y - 14), (back_x, gradient_y - 16),
            color=VERMILION, dashed=True,
        )  # fmt: skip
        for x_of_note, y, note in [
            (scale.x - 14, gradient_y + 22, "z"),
            (keep.x - 14, state_y - 30, "z"),
            (add.x + 8, state_y - 44, "(1 − z)\n⊙ candidate"),
        ]:
            diagram.label(x_of_note, y, note, size=9.5, align="left")
        before, before_dh = state, dh
        branch = state.right[0] + 16, state_y
    for y, note, color in [
        (374, "The gradient's direct path meets the update gates z and nothing else", VERMILION),
        (34, "Dashed: what comes back through the candidate and through the two gates", VERMILION),
        (14, "gates, candidate: made from $x_t$ and $h_{t-1}$, the same parameters each time", INK),
    ]:
        diagram.label(8, y, note, size=10, color=color, align="left")
    return diagram


def parallel_scan() -> Diagram:
    """`minimal_gru.scan` on eight steps: after each round a place has twice as many behind it."""
    T, reaches, pitch, left, top_y, drop = 8, (1, 2, 4), 66, 158, 268, 80
    alt = (
        "Eight boxes in a row, one for each step of a sequence, and three rows below it, one for "
        "each round of the scan. In the first round every box but the first takes in its left "
        "neighbour, in the second the box two places to the left, in the third the box four places "
        "to the left. In the last row box t reads: steps 1 to t."
    )
    diagram = Diagram(WIDTH, 310, alt)
    boxes = []
    for row in range(len(reaches) + 1):
        y = top_y - drop * row
        label = "the steps" if row == 0 else f"round {row}, reach {reaches[row - 1]}"
        diagram.label(14, y, label, align="left")
        before, boxes = boxes, []
        for t in range(T):
            first = max(1, t + 2 - 2**row)
            words = f"{t + 1}" if first == t + 1 else f"{first}–{t + 1}"
            color = GREEN if first == 1 else SKY
            boxes.append(diagram.box(left + 24 + pitch * t, y, 48, 30, words, color=color))
        for t, box in enumerate(boxes if row else []):
            diagram.arrow(before[t].bottom, box.top, color=GREY)
            if t >= reaches[row - 1]:
                diagram.arrow(before[t - reaches[row - 1]].bottom, box.top, color=BLUE)
    return diagram
