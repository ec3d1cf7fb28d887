"""The drawn diagrams: every label can be read, every arrow ends where it points, facts hold."""

from functools import partial
from itertools import combinations
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from nbclient import NotebookClient

from blg561.diagrams import (
    VERMILION,
    Diagram,
    encoder_decoder,
    language_model_unrolled,
    rows_and_batches,
    teacher_forcing,
)
from blg561.language_model.dataset import ContinuingRows

DRAWINGS = {
    "language model": language_model_unrolled,
    "language model, two steps": partial(language_model_unrolled, ["no", "one", "came"]),
    "rows and batches": rows_and_batches,
    "teacher forcing": teacher_forcing,
    "encoder-decoder": encoder_decoder,
    "attention": partial(encoder_decoder, attention=True),
}


def labels_and_extents(diagram):
    renderer = FigureCanvasAgg(diagram).get_renderer()
    return {text: text.get_window_extent(renderer) for text in diagram.page.texts}


def words_of(diagram):
    return [text.get_text() for text in diagram.page.texts]


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


@pytest.fixture(scope="module", params=DRAWINGS.values(), ids=DRAWINGS.keys())
def diagram(request):
    return request.param()


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
        ("attention", r"$\alpha_{2,s}$ 0.05 0.20 0.70 $c_2$ $h_4$ $s_2$"),
    ],
)
def test_required_labels_are_there(drawing, required):
    words = {label.replace(" ", "") for label in words_of(DRAWINGS[drawing]())}
    assert set(required.split()) <= words


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
        touched = sum(path.intersects_bbox(box.padded(8), filled=False) for box in extents)
        assert touched >= (1 if open_ended else 2)


def test_words_that_do_not_fit_their_box_are_refused():
    with pytest.raises(ValueError, match=r"'incomprehensibilities' takes \d+ × \d+ pixels"):
        Diagram(300, 100).box(150, 50, 60, 30, "incomprehensibilities")


def test_a_style_of_the_reader_does_not_move_labels():
    with matplotlib.rc_context({"font.family": "serif", "font.size": 20, "axes.grid": True}):
        extents = labels_and_extents(teacher_forcing())
    usual = labels_and_extents(teacher_forcing())
    assert [e.bounds for e in extents.values()] == [e.bounds for e in usual.values()]


@pytest.fixture(scope="module")
def notebook():
    """What a fresh kernel shows for each of four cells."""
    imports = "import sys; from blg561.diagrams import teacher_forcing"
    loaded = "sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    sources = [f"{imports}\n{loaded}", "teacher_forcing()"]
    sources += ["import matplotlib.pyplot as plt", "teacher_forcing()"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    return NotebookClient(notebook, kernel_name="python3").execute()


def test_importing_diagrams_imports_neither_torch_nor_pyplot(notebook):
    assert notebook.cells[0].outputs[0].data["text/plain"] == "[]"


@pytest.mark.parametrize("cell", [1, 3], ids=["without pyplot", "with pyplot"])
def test_a_cell_that_ends_in_a_diagram_shows_it_once(notebook, cell):
    (output,) = notebook.cells[cell].outputs
    assert "image/png" in output.data
