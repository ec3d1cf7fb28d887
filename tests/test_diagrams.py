"""The drawn diagrams: every label can be read, every arrow ends where it points, facts hold."""

import re
from functools import cache, partial, reduce
from itertools import combinations, pairwise
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from blg561.diagrams import (
    VERMILION,
    Diagram,
    encoder_decoder,
    gru_cell,
    gru_unrolled,
    language_model_unrolled,
    lstm_cell,
    lstm_unrolled,
    parallel_scan,
    rnn_cell,
    rnn_unrolled,
    rows_and_batches,
    teacher_forcing,
)
from blg561.language_model.dataset import ContinuingRows
from blg561.layer import GRULayer, LSTMLayer, RNNLayer
from blg561.layer.minimal_gru import scan
from blg561.layer.recurrent_layers import sigmoid

CELLS = {
    "RNN cell": rnn_cell,
    "RNN unrolled": rnn_unrolled,
    "RNN backward": partial(rnn_unrolled, backward=True),
    "LSTM cell": lstm_cell,
    "LSTM unrolled": lstm_unrolled,
    "GRU cell": gru_cell,
    "GRU unrolled": gru_unrolled,
}
DRAWINGS = {
    **CELLS,
    "language model": language_model_unrolled,
    "language model, two steps": partial(language_model_unrolled, ["no", "one", "came"]),
    "rows and batches": rows_and_batches,
    "teacher forcing": teacher_forcing,
    "encoder-decoder": encoder_decoder,
    "attention": partial(encoder_decoder, attention=True),
    "parallel scan": parallel_scan,
}


@cache
def labels_and_extents(diagram):
    renderer = FigureCanvasAgg(diagram).get_renderer()
    return {text: text.get_window_extent(renderer) for text in diagram.page.texts}


def words_of(diagram):
    return [text.get_text() for text in diagram.page.texts]


@cache
def outline(patch):
    """The lines of a patch in pixels, as drawn."""
    path = patch.get_transform().transform_path(patch.get_path())
    return Path.make_compound_path(*map(Path, path.to_polygons(closed_only=False)))


def pixels_of(diagram):
    canvas = FigureCanvasAgg(diagram)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def arrows(diagram):
    return [patch for patch in diagram.page.patches if isinstance(patch, FancyArrowPatch)]


def boxes(diagram):
    return [patch for patch in diagram.page.patches if isinstance(patch, FancyBboxPatch)]


def dots(diagram):
    return [line.get_xydata()[0] for line in diagram.page.lines if line.get_marker() == "o"]


@cache
def draw_once(name):
    return DRAWINGS[name]()


@pytest.fixture(scope="module", params=DRAWINGS)
def diagram(request):
    return draw_once(request.param)


def test_it_is_a_figure_of_the_lessons_width_on_opaque_white(diagram):
    assert isinstance(diagram, Figure)
    pixels = pixels_of(diagram)
    assert pixels.shape[1] == 700
    assert (pixels[:, :, 3] == 255).all()
    for border in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (border == 255).all()


def test_every_label_lies_on_the_page(diagram):
    for text, extent in labels_and_extents(diagram).items():
        assert extent.x0 >= 4 and extent.x1 <= diagram.bbox.width - 4, text
        assert extent.y0 >= 4 and extent.y1 <= diagram.bbox.height - 4, text


def test_no_two_labels_overlap(diagram):
    for (a, a_extent), (b, b_extent) in combinations(labels_and_extents(diagram).items(), 2):
        assert not a_extent.overlaps(b_extent), (a, b)


def test_no_arrow_or_box_edge_runs_through_a_label(diagram):
    outlines = {patch: outline(patch) for patch in diagram.page.patches}
    for text, extent in labels_and_extents(diagram).items():
        for patch, path in outlines.items():
            assert not path.intersects_bbox(extent, filled=False), (text, patch)


def test_no_dot_lies_on_a_label(diagram):
    for text, extent in labels_and_extents(diagram).items():
        assert not any(extent.padded(4).contains(*dot) for dot in dots(diagram)), text


def test_no_two_boxes_overlap(diagram):
    # Half a pixel less on each side, as the windows of the strip of text share an edge.
    extents = [outline(box).get_extents().padded(-0.5) for box in boxes(diagram)]
    for a, b in combinations(extents, 2):
        assert not a.overlaps(b), (a, b)


@pytest.mark.parametrize(
    ("drawing", "required"),
    [
        (
            "language model",
            "it is a truth that embedding recurrent output softmax $h_0$ $h_4$ (N,T) (N,T,E) "
            "(N,T,H) (N,T,V) (N,T,V)logits",
        ),
        ("rows and batches", "row1 row3 batch1 batch4 $h$"),
        ("teacher forcing", "trueword draws network reads"),
        ("encoder-decoder", "le chat noir dort <bos> <eos> $c$ $h_4$ $s_1$"),
        (
            "RNN cell",
            r"$x_t$ $h_{t-1}$ $x_t\,W_x$ $h_{t-1}\,W_h$ $b$ + tanh $h_t$ (N,H) "
            "$W_x$:(D,H) $W_h$:(H,H)",
        ),
        ("RNN unrolled", "$h_0$ $h_1$ $h_4$ $x_1$ $x_4$"),
        (
            "RNN backward",
            r"$dh_0$ $dh_1^{\mathrm{out}}$ $dh_4^{\mathrm{out}}$ $dh_3^{\mathrm{next}}$ $dx_4$ 0 +",
        ),
        (
            "LSTM cell",
            "x prev_h prev_c next_h next_c (N,4H) forget⊙prev_c input⊙candidate tanh(next_c)",
        ),
        ("LSTM unrolled", "$c_0$ $c_3$ $dc_0$ $dc_3$ $h_0$ $h_3$ forget output unchanged"),
        ("GRU cell", "x prev_h next_h reset_h (N,2H) update⊙prev_h (1−update)\n⊙candidate"),
        ("attention", r"$\alpha_{2,j}$ 0.05 0.20 0.70 $c_2$ $h_4$ $s_2$"),
    ],
)
def test_required_labels_are_there(drawing, required):
    words = {label.replace(" ", "") for label in words_of(draw_once(drawing))}
    assert set(required.split(" ")) <= words


def test_each_step_has_the_next_word_as_its_target():
    words = ["it", "is", "a", "truth", "that"]
    columns = {}
    for text in language_model_unrolled(words).page.texts:
        if text.get_text() in words:
            x, y = text.get_position()
            columns.setdefault(x, []).append((y, text.get_text()))
    pairs = [tuple(word for _, word in sorted(columns[x])) for x in sorted(columns)]
    assert pairs == [("it", "is"), ("is", "a"), ("a", "truth"), ("truth", "that")]


@pytest.mark.parametrize("words", [["one", "two"], ["a", "b", "c", "d", "e", "f"]])
def test_another_number_of_words_is_refused(words):
    with pytest.raises(ValueError, match=f"expected 3 to 5 words, got {len(words)}"):
        language_model_unrolled(words)


def test_the_windows_are_those_of_continuing_rows():
    # 225 words to read, and one more as the last one's target.
    batches = ContinuingRows(SimpleNamespace(data=range(226), seq_length=20), batch_size=3)
    expected = [[f"{window.start + 1}–{window.stop}" for window in batch] for batch in batches]
    texts = [text for text in rows_and_batches().page.texts if "–" in text.get_text()]
    rows = sorted({text.get_position()[1] for text in texts}, reverse=True)
    drawn = [[t.get_text() for t in texts if t.get_position()[1] == y] for y in rows]
    assert drawn == [list(row) for row in zip(*expected, strict=True)]


def test_attention_weights_sum_to_one_and_give_the_arrows_their_widths():
    diagram = encoder_decoder(attention=True)
    weights = [float(label) for label in words_of(diagram) if label.startswith("0.")]
    assert sum(weights) == pytest.approx(1)
    into_sum = [a for a in arrows(diagram) if a.get_edgecolor() == to_rgba(VERMILION)][:4]
    widths = [arrow.get_linewidth() for arrow in into_sum]
    assert np.corrcoef(widths, weights)[0, 1] == pytest.approx(1)


def test_a_notebook_gets_an_alternative_text_with_every_drawing(diagram):
    assert len(diagram.alt.split()) >= 20
    assert diagram.alt[-1] == "."


@pytest.mark.parametrize("width", [1, 4])
def test_an_arrow_runs_from_the_edge_of_one_box_to_that_of_another(width):
    diagram = Diagram(300, 100)
    a, b = diagram.box(60, 50, 60, 30, "a"), diagram.box(220, 50, 80, 30, "b")
    page = Diagram(300, 100)
    page.arrow(a.right, b.left, width=width)
    ink = np.flatnonzero((pixels_of(page)[:, :, 0] < 128).any(axis=0))
    left, right = (outline(box).get_extents() for box in boxes(diagram))
    assert ink[0] == pytest.approx(left.x1, abs=1)
    assert ink[-1] == pytest.approx(right.x0, abs=3)


def test_arrows_join_boxes_and_run_through_none(request, diagram):
    # In these two a state comes from, or goes to, where there is no box.
    open_ended = any(name in request.node.callspec.id for name in ("language model", "rows"))
    extents = [outline(box).get_extents() for box in boxes(diagram)]
    for arrow in arrows(diagram):
        path = outline(arrow)
        assert not any(path.intersects_bbox(box.padded(-4), filled=False) for box in extents)
        # A wide arrow's outline ends up to 8 pixels before the tip of its inked head.
        places = extents + [Bbox([dot, dot]) for dot in dots(diagram)]
        touched = sum(path.intersects_bbox(place.padded(8), filled=False) for place in places)
        assert touched >= (1 if open_ended else 2)


@pytest.mark.parametrize("drawing", CELLS)
def test_in_a_cell_two_arrows_meet_only_at_a_box_or_a_dot(drawing):
    diagram = draw_once(drawing)
    places = [outline(box).get_extents() for box in boxes(diagram)]
    places += [Bbox([dot, dot]) for dot in dots(diagram)]
    for a, b in combinations(map(outline, arrows(diagram)), 2):
        if a.intersects_path(b, filled=False):
            ends = [place.padded(8) for place in places]
            assert any(all(arrow.intersects_bbox(end) for arrow in (a, b)) for end in ends)


class Flow:
    """A drawing as its boxes and arrows: what is written in a box, and where it gets it from."""

    def __init__(self, draw):
        self.boxes, self.arrows, self.dots = [], [], []

        def noting(method, notes, note):
            def noted(diagram, *args, **options):
                drawn = method(diagram, *args, **options)
                notes.append(note(drawn, args))
                return drawn

            return noted

        with pytest.MonkeyPatch.context() as patch:
            for name, notes, note in [
                ("box", self.boxes, lambda box, args: (box, args[4])),
                ("arrow", self.arrows, lambda _, points: points),
                ("dot", self.dots, lambda dot, _: dot),
            ]:
                patch.setattr(Diagram, name, noting(getattr(Diagram, name), notes, note))
            draw()

    def at(self, point):
        """The box on whose edge a point lies."""
        x, y = point
        for box, words in self.boxes:
            if abs(x - box.x) <= box.width / 2 + 0.1 and abs(y - box.y) <= box.height / 2 + 0.1:
                return box, words
        return None

    def origin(self, point):
        """The box where an arrow's tail is, or that of the arrow from which it branches off."""
        if box := self.at(point):
            return box
        assert point in self.dots
        (tail,) = {
            arrow[0]
            for arrow in self.arrows
            for (x0, y0), (x1, y1) in pairwise(arrow)
            if point != arrow[0]
            and min(x0, x1) <= point[0] <= max(x0, x1)
            and min(y0, y1) <= point[1] <= max(y0, y1)
        }
        return self.origin(tail)

    def edges(self):
        return [(self.origin(arrow[0]), self.at(arrow[-1])) for arrow in self.arrows]

    def value(self, target, given, formulas):
        """What arrives at a box, from the `given` values of the boxes where the arrows begin."""
        sources = [source for source, tip in self.edges() if tip == target]
        words = target[1]
        if not sources:
            return given[words]
        values = [self.value(source, given, formulas) for source in sources]
        if words in formulas:
            names = [re.split(r"\s*[\n=]", words)[0] for _, words in sources]
            return formulas[words](dict(zip(names, values, strict=True)))
        operators = {"⊙": np.multiply, "+": np.add}
        if words in operators:
            return reduce(operators[words], values)
        (value,) = values
        return np.tanh(value) if words == "tanh" else value

    def results(self, words, given, formulas):
        """The value of every box with these words that an arrow leads to."""
        targets = dict.fromkeys(tip for _, tip in self.edges() if tip[1] == words)
        return [self.value(target, given, formulas) for target in targets]


@pytest.fixture
def sequence():
    """x (N, D), and two states (N, H)."""
    return np.random.default_rng(0).normal(size=(3, 2, 4))


def randomly(layer):
    """The layer with biases that are not 0."""
    for name, parameter in layer.parameters.items():
        setattr(layer, name, np.random.default_rng(1).normal(size=parameter.shape))
    return layer


def test_who_follows_the_arrows_of_the_rnn_cell_computes_its_step(sequence):
    x, h, _ = sequence
    layer = randomly(RNNLayer(4, 4))
    formulas = {
        r"$x_t\,W_x$": lambda s: s["$x_t$"] @ layer.Wx,
        r"$h_{t-1}\,W_h$": lambda s: s["$h_{t-1}$"] @ layer.Wh,
    }
    given = {"$x_t$": x, "$h_{t-1}$": h, "$b$": layer.b}
    results = Flow(rnn_cell).results("$h_t$", given, formulas)
    assert len(results) == 2  # to the next step, and the output
    for next_h in results:
        np.testing.assert_allclose(next_h, layer.forward_step(x, h)[0])


def test_who_follows_the_arrows_of_the_lstm_cell_computes_its_step(sequence):
    x, h, c = sequence
    layer = randomly(LSTMLayer(4, 4))
    formulas = {
        "a = x Wx + prev_h Wh + b": lambda s: s["x"] @ layer.Wx + s["prev_h"] @ layer.Wh + layer.b,
        "input\nσ($a_i$)": lambda s: sigmoid(s["a"][:, :4]),
        "forget\nσ($a_f$)": lambda s: sigmoid(s["a"][:, 4:8]),
        "output\nσ($a_o$)": lambda s: sigmoid(s["a"][:, 8:12]),
        "candidate\ntanh($a_g$)": lambda s: np.tanh(s["a"][:, 12:]),
    }
    given = {"x": x, "prev_h": h, "prev_c": c}
    flow = Flow(lstm_cell)
    (next_h,) = flow.results("next_h", given, formulas)
    (next_c,) = flow.results("next_c", given, formulas)
    expected_h, expected_c, _ = layer.forward_step(x, h, c)
    np.testing.assert_allclose(next_h, expected_h)
    np.testing.assert_allclose(next_c, expected_c)


def test_who_follows_the_arrows_of_the_gru_cell_computes_its_step(sequence):
    x, h, _ = sequence
    layer = randomly(GRULayer(4, 4))
    formulas = {
        "a = x Wx\n+ prev_h Wh + b": lambda s: s["x"] @ layer.Wx + s["prev_h"] @ layer.Wh + layer.b,
        "ai = x Wxi\n+ reset_h Whi + bi": lambda s: (
            s["x"] @ layer.Wxi + s["⊙"] @ layer.Whi + layer.bi
        ),
        "update\nσ($a_z$)": lambda s: sigmoid(s["a"][:, :4]),
        "reset\nσ($a_r$)": lambda s: sigmoid(s["a"][:, 4:]),
        "1 − update": lambda s: 1 - s["update"],
        "candidate\ntanh(ai)": lambda s: np.tanh(s["ai"]),
    }
    (next_h,) = Flow(gru_cell).results("next_h", {"x": x, "prev_h": h}, formulas)
    np.testing.assert_allclose(next_h, layer.forward_step(x, h)[0])


@pytest.mark.parametrize("backward", [False, True])
def test_an_unrolled_rnn_passes_states_to_the_right_and_gradients_to_the_left(backward):
    flow = Flow(partial(rnn_unrolled, backward=backward))
    cells = sorted((box.x, words) for box, words in flow.boxes if words.startswith("$W_x$"))
    sums = sorted((box.x, words) for box, words in flow.boxes if words == "+")
    names = {(x, words): f"cell {t}" for t, (x, words) in enumerate(cells, start=1)}
    names |= {(x, words): f"sum {t}" for t, (x, words) in enumerate(sums, start=1)}
    edges = [
        tuple(names.get((box.x, words), words.strip("$")) for box, words in edge)
        for edge in flow.edges()
    ]
    expected = [("h_0", "cell 1"), ("cell 4", "h_4")]
    expected += [(f"cell {t}", f"cell {t + 1}") for t in (1, 2, 3)]
    for t in (1, 2, 3, 4):
        expected += [(f"x_{t}", f"cell {t}"), (f"cell {t}", f"h_{t}")]
    if backward:
        expected += [("0", "sum 4"), ("cell 1", "dh_0")]
        expected += [(f"cell {t + 1}", f"sum {t}") for t in (1, 2, 3)]
        for t in (1, 2, 3, 4):
            expected += [(rf"dh_{t}^{{\mathrm{{out}}}}", f"sum {t}"), (f"sum {t}", f"cell {t}")]
            expected += [(f"cell {t}", f"dx_{t}")]
    assert sorted(edges) == sorted(expected)


@pytest.mark.parametrize(
    ("begin", "path"),
    [
        ("$c_0$", ["⊙", "+"] * 3 + ["$c_3$"]),
        ("$dc_3$", ["⊙", "$dc_2$", "⊙", "$dc_1$", "⊙", "$dc_0$"]),
    ],
)
def test_the_direct_path_of_the_cell_state_and_of_its_gradient_in_the_unrolled_lstm(begin, path):
    flow = Flow(lstm_unrolled)
    (place,) = [place for place in flow.boxes if place[1] == begin]
    height = place[0].y
    for words in path:
        # Of the ways on from here, the one that stays on the same height.
        (place,) = [tip for tail, tip in flow.edges() if tail == place and tip[0].y == height]
        assert place[1] == words


def test_words_that_do_not_fit_their_box_are_refused():
    with pytest.raises(ValueError, match=r"'incomprehensibilities' takes \d+ × \d+ pixels"):
        Diagram(300, 100).box(150, 50, 60, 30, "incomprehensibilities")


def test_a_style_of_the_reader_does_not_move_labels():
    with matplotlib.rc_context({"font.family": "serif", "font.size": 20, "axes.grid": True}):
        extents = labels_and_extents(teacher_forcing())
    usual = labels_and_extents(teacher_forcing())
    assert [e.bounds for e in extents.values()] == [e.bounds for e in usual.values()]


def test_the_drawn_scan_is_that_of_the_layer():
    """Each step writes a bit of its own and keeps all: a place's sum has the bits of its steps."""
    drawn = [words for words in words_of(parallel_scan()) if re.fullmatch(r"\d(–\d)?", words)]
    _, written = scan(np.ones((8, 1)), 2.0 ** np.arange(8)[:, None])
    for label, total in zip(drawn[-8:], written[:, 0], strict=True):
        first, last = int(label[0]), int(label[-1])
        assert total == sum(2 ** (step - 1) for step in range(first, last + 1))
    assert drawn[:8] == [str(t) for t in range(1, 9)]
