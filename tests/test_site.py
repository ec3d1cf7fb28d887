"""What the site is put together from; the pages themselves are tested in site_in_a_browser.py."""

import json
import math

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from benchmarks.leaderboard import table
from benchmarks.leaderboard.rows import BOARDS, THREE_BOOKS
from blg561.language_model import pretrained
from blg561.language_model.conversion import to_numpy
from blg561.layer import NumpyLanguageModel
from docs._extensions import styles
from tools import leaderboard, live, site

LESSON = r"""# A title

[![Open in Colab](https://x/badge.svg)](https://colab/01_A.ipynb)

By the sum:

$$a = x W \tag{RNN.1}$$

| sign | in the code | meaning |
| --- | --- | --- |
| $a$ | `a` | the sum |

See [B](02_B.ipynb#part).
"""


@pytest.fixture
def lessons():
    picture = new_output(
        "display_data", data={"image/png": "aGk="}, metadata={"image/png": {"alt": "a line"}}
    )
    cells = [new_markdown_cell(LESSON), new_code_cell("show()", outputs=[picture])]
    return {"01_A": new_notebook(cells=cells)}


def test_an_equation_knows_its_page_and_the_lines_that_compute_it(lessons):
    (label, equation), *others = site.find_equations(lessons).items()
    assert (label, equation["page"], others) == ("RNN.1", "lessons/01_A", [])
    assert equation["lines"]
    for module, number in equation["lines"]:
        path = site.ROOT.joinpath(*module.split(".")).with_suffix(".py")
        assert "(RNN.1)" in path.read_text(encoding="utf-8").splitlines()[number - 1]


def test_a_line_of_several_equations_counts_for_each(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "PACKAGE", tmp_path / "p")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "m.py").write_text("y = 1\nh = o * u  # (X.1), (X.2)\nz = 2  # as X.1\n")
    text = r"$$h \tag{X.1}$$ $$u \tag{X.2}$$"
    found = site.find_equations({"a": new_notebook(cells=[new_markdown_cell(text)])})
    assert [e["lines"] for e in found.values()] == [[("p.m", 2)]] * 2


def test_a_lesson_on_the_site_has_links_for_its_badge_and_texts_for_its_figures(lessons):
    prepared = site.prepare(lessons["01_A"], "01_A")
    first, second = prepared.cells
    assert "badge.svg" not in first.source, "an image from elsewhere needs the network"
    links = "[Open in Colab](https://colab/01_A.ipynb) · [source](https://github.com/"
    assert links in first.source
    assert first.source.startswith("# 1. A title\n")
    assert second.metadata["mystnb"] == {"image": {"alt": "a line"}}
    nbformat.validate(prepared)


def test_many_measured_numbers_are_folded_and_a_few_are_not(lessons):
    cells = [new_code_cell("X = [\n" + "1,\n" * lines + "]") for lines in (5, 500)]
    for cell in cells:
        cell.metadata["tags"] = ["results:x"]
    lessons["01_A"].cells += cells
    few, many = site.prepare(lessons["01_A"], "01_A").cells[-2:]
    assert few.metadata.tags == ["results:x"] and "hide-input" in many.metadata.tags


def test_indexes_hold_every_equation_and_every_table_of_signs(lessons):
    equations = site.find_equations(lessons)
    page = site.equations_page(equations, lessons)
    assert "RNN.1\n\n$$a = x W$$\n\n" in page and "[1. A title](lessons/01_A.ipynb)" in page
    assert "| $a$ | `a` | the sum |" in site.symbols_page(lessons)


def test_the_list_of_lessons_says_what_the_readme_says(lessons):
    readme = "| [01 A](notebooks/01_A.ipynb) | see it; do it | 3 | [![Open](b)](c) |\n"
    last = site.lessons_table(lessons, readme).splitlines()[-1]
    assert last == "| 1 | [A title](01_A.ipynb) | see it; do it | 3 |"


def test_a_part_is_put_behind_its_section(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "docs" / "_parts").mkdir(parents=True)
    (tmp_path / "docs" / "_parts" / "more.md").write_text("more", encoding="utf-8")
    cells = ["## One", "text\n\n### Two\n", "of two", "### Three"]
    notebook = new_notebook(cells=[new_markdown_cell(cell) for cell in cells])
    site.add_part(notebook, "### Two", "more.md")
    assert [cell.source for cell in notebook.cells] == [*cells[:3], "more", cells[3]]
    with pytest.raises(ValueError, match="expected a section '### Four'"):
        site.add_part(notebook, "### Four", "more.md")


def test_the_lessons_have_the_sections_that_parts_are_put_behind():
    lessons = site.read_lessons(site.LESSONS)
    for name, added in site.ADDED.items():
        before = len(lessons[name].cells)
        site.add_part(lessons[name], *added)
        assert len(lessons[name].cells) == before + 1


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a](../notebooks/01_RNN.ipynb#b)", "[a](lessons/01_RNN.ipynb#b)"),
        ("[a](docs/teaching.md)", "[a](teaching.md)"),
        ("[a](../results/README.md#b)", "[a](results.md#b)"),
        ("[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
    ],
)
def test_what_is_a_page_of_the_site_is_linked_to_there(written, shown):
    assert site.on_the_site(written) == shown


def test_a_figure_of_the_leaderboard_has_each_row_at_its_place():
    """On an axis from 70 to 150 a mean of 90 is at a quarter."""
    axis = leaderboard.Axis(70, 150)
    item = axis.item("a & b", [88.0, 90.0, 92.0])
    assert 'left: 25.00%"' in item and "left: 22.50%; width: 5.00%" in item
    assert "a &amp; b" in item and "3 seeds: 88.0 to 92.0" in item
    assert "→" in axis.item("far", [151.0]) and "left" not in axis.item("far", [151.0])


def test_the_axis_of_the_leaderboard_has_all_rows_but_those_without_context():
    for book, stored in table.perplexities(table.read()).items():
        low, high = leaderboard.axis(stored)
        beyond = {name for name, values in stored.items() if max(values) > high}
        assert beyond == {"uniform", "unigram"}, book
        assert all(low <= value for values in stored.values() for value in values)


def test_the_axis_of_the_other_board_has_all_rows():
    for book, stored in table.perplexities(table.read(THREE_BOOKS)).items():
        low, high = leaderboard.axis(stored)
        assert low <= min(map(min, stored.values())), book
        assert max(map(max, stored.values())) <= high < max(map(max, stored.values())) + 10, book


def test_each_table_of_the_boards_has_its_figure_before_it():
    text = site.with_figures((site.ROOT / "results/README.md").read_text(encoding="utf-8"))
    for board in BOARDS.values():
        for book, stored in table.perplexities(table.read(board)).items():
            drawn = leaderboard.figure(book, board=board)
            assert text.count(drawn) == 1 and drawn.count("<li>") == len(stored)
            assert text[text.index(drawn) + len(drawn) :].lstrip().startswith("| system |"), book


def test_rules_of_classes_that_no_page_has_are_left_out():
    sheet = (
        "@media print{.gone{a:b}}.gone,.used{c:d}.used .gone{e:f}a:not(.gone){g:h}"
        "@media screen{.used{i:j}}p{k:l}.gone:is(.used,.used){m:n}"
    )
    kept = ".gone,.used{c:d}a:not(.gone){g:h}@media screen{.used{i:j}}p{k:l}"
    assert styles.without_unused(sheet, {"used"}) == kept


# The network of the page


def unpacked(packed: bytes, V: int, H: int) -> dict[str, np.ndarray]:
    """The matrices that live.bin describes, from its description alone."""
    floats = np.frombuffer(packed, "<f4", 2 * V + 12 * H)
    rows, x, h, bias, b = np.split(floats, np.cumsum([V, 4 * H, 4 * H, V]))
    integers = np.frombuffer(packed, np.int8, offset=4 * len(floats))
    embedding, Wx, Wh = np.split(integers, np.cumsum([V * H, 4 * H * H]))
    return {
        "embedding": embedding.reshape(V, H) * rows[:, None],
        "Wx": Wx.reshape(H, 4 * H) * x,
        "Wh": Wh.reshape(H, 4 * H) * h,
        "output.b": bias,
        "b": b,
    }


def test_packed_weights_are_the_network_s_to_half_a_step():
    model, _ = pretrained.load(live.BOOK, live.NAME)
    model = to_numpy(model)
    (layer,) = model.layers
    found = unpacked(live.pack(model), *model.embedding.W.shape)
    true = {"embedding": model.embedding.W, "Wx": layer.Wx, "Wh": layer.Wh}
    for name, weights in true.items():
        steps = np.abs(weights).max(axis=1 if name == "embedding" else 0, keepdims=True) / 127
        assert (np.abs(found[name] - weights) <= 0.5001 * steps).all(), name
    np.testing.assert_array_equal(found["output.b"], model.output.b)
    np.testing.assert_array_equal(found["b"], layer.b)


def test_packed_weights_of_another_network_are_refused():
    model = NumpyLanguageModel(7, 4, 4, hidden_layers=2, tie_weights=True, dtype=np.float32)
    with pytest.raises(ValueError, match="a tied LSTM of one layer"):
        live.pack(model)


def test_what_is_written_is_small_and_the_same_from_a_file(tmp_path):
    live.write(tmp_path)
    size = sum((tmp_path / name).stat().st_size for name in ("live.bin", "live.json"))
    assert size <= 2_500_000
    about = json.loads((tmp_path / "live.json").read_text(encoding="utf-8"))
    assert json.dumps(about["words"], ensure_ascii=False, separators=(",", ":")) in (
        tmp_path / "live-from-file.js"
    ).read_text(encoding="utf-8")


def test_the_stated_loss_by_8_bits_is_small_and_of_the_shipped_network():
    told = json.loads(live.RESULTS.read_text(encoding="utf-8"))
    card = pretrained.card(live.BOOK, live.NAME)
    assert math.isclose(told["perplexity"], card["validation_perplexity"], abs_tol=0.01)
    assert told["perplexity_8_bit"] - told["perplexity"] <= 0.2
