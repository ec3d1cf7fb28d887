"""Figures show the numbers of the histories, say what they are, and leave pyplot as it was."""

import math
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import same_color, to_rgba
from matplotlib.image import imread

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from blg561 import plotting


def history(**lists) -> dict:
    names = ("step", "gradient_norm", "epoch", "train_loss", "validation_epoch", "validation_loss")
    return {name: list(lists.get(name, ())) for name in names}


@pytest.fixture
def histories() -> dict:
    """Two networks; the second is evaluated after every second epoch only."""
    return {
        "RNN": history(
            step=[10, 20, 30, 40],
            gradient_norm=[0.5, 3.0, 0.3, 0.1],
            epoch=[1, 2, 3],
            train_loss=[6.0, 5.2, 4.9],
            validation_epoch=[1, 2, 3],
            validation_loss=[5.6, 5.1, 4.8],
        ),
        "LSTM": history(
            step=[10, 20],
            gradient_norm=[0.3, 0.4],
            epoch=[1, 2],
            train_loss=[5.9, 5.0],
            validation_epoch=[2],
            validation_loss=[4.7],
        ),
    }


def curves(figure) -> list:
    """The lines that have a marker, in the order drawn: training, validation, training, …"""
    return [line for line in figure.axes[0].lines if line.get_marker() != "None"]


def levels(figure) -> dict:
    """The first line of each label in the margin → the height of the horizontal line there."""
    heights = {line.get_ydata()[0] for line in figure.axes[0].lines if line.get_marker() == "None"}
    texts = {text.get_text().split("\n")[0]: text for text in figure.axes[0].texts}
    assert heights == {text.get_position()[1] for text in texts.values()}
    return {name: text.get_position()[1] for name, text in texts.items()}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


# Loss and perplexity


def test_loss_curves_show_every_loss_at_its_epoch(histories):
    drawn = [line.get_xydata().tolist() for line in curves(plotting.loss_curves(histories))]
    assert drawn == [
        [[1, 6.0], [2, 5.2], [3, 4.9]],
        [[1, 5.6], [2, 5.1], [3, 4.8]],
        [[1, 5.9], [2, 5.0]],
        [[2, 4.7]],
    ]


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 20), min_size=1, max_size=6))
def test_perplexity_is_exp_of_the_loss_on_a_logarithmic_axis(losses):
    epochs = range(1, len(losses) + 1)
    figure = plotting.perplexity_curves(
        {
            "RNN": history(
                epoch=epochs,
                train_loss=losses,
                validation_epoch=epochs,
                validation_loss=losses[::-1],
            )
        }
    )
    train, valid = curves(figure)
    np.testing.assert_allclose(train.get_ydata(), [math.exp(loss) for loss in losses])
    np.testing.assert_allclose(valid.get_ydata(), [math.exp(loss) for loss in losses[::-1]])
    assert figure.axes[0].get_yscale() == "log"


def test_networks_differ_in_colour_and_marker_and_parts_in_line_style(histories):
    train, valid, other_train, other_valid = curves(plotting.loss_curves(histories))
    assert train.get_linestyle() == other_train.get_linestyle() == "--"
    assert valid.get_linestyle() == other_valid.get_linestyle() == "-"
    assert same_color(train.get_color(), valid.get_color())
    assert not same_color(valid.get_color(), other_valid.get_color())
    assert train.get_marker() == valid.get_marker() != other_valid.get_marker()


def test_axes_say_what_they_show(histories):
    (loss,) = plotting.loss_curves(histories, title="A book").axes
    (perplexity,) = plotting.perplexity_curves(histories).axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss (nats per token)")
    assert (perplexity.get_xlabel(), perplexity.get_ylabel()) == ("epoch", "perplexity")
    assert loss.figure.get_suptitle() == "A book"


def test_legend_gives_the_last_validation_value_of_each_network(histories):
    assert legend(plotting.loss_curves(histories)) == [
        "RNN: 4.800 in validation",
        "LSTM: 4.700 in validation",
        "in training",
    ]
    assert legend(plotting.perplexity_curves(histories))[:2] == [
        "RNN: 121.5 in validation",  # exp(4.8) = 121.51
        "LSTM: 109.9 in validation",  # exp(4.7) = 109.947
    ]


def test_lines_at_the_target_the_unigram_model_and_the_floor_are_labelled(histories):
    figure = plotting.perplexity_curves(histories, target=120, unigram=472.3, floor=16.9)
    assert levels(figure) == {"target": 120, "unigram model": 472.3, "entropy floor": 16.9}
    assert levels(plotting.perplexity_curves(histories, target=120)) == {"target": 120}
    assert levels(plotting.perplexity_curves(histories)) == {}


@pytest.mark.parametrize("style", [plotting.STYLE, matplotlib.rcParamsDefault])
def test_labels_in_the_margin_lie_within_the_figure(histories, style):
    with plt.rc_context():
        plt.rcParams.update({name: style[name] for name in plotting.STYLE})
        figure = plotting.perplexity_curves(histories, target=120, unigram=472.3, floor=16.9)
        figure.draw_without_rendering()
    for text in figure.axes[0].texts:
        corners = figure.transFigure.inverted().transform(text.get_window_extent())
        assert (corners >= 0).all() and (corners <= 1).all(), text.get_text()


@pytest.mark.parametrize("losses", [(4.6, 5.6), (2.0, 9.0), (4.75, 4.8)])
def test_perplexity_ticks_are_a_few_plain_numbers(losses):
    run = history(epoch=[1, 2], train_loss=losses)
    (axes,) = plotting.perplexity_curves({"RNN": run}).axes
    low, high = axes.get_ylim()
    labels = [
        label.get_text()
        for label, tick in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
        if low <= tick <= high
    ]
    assert 2 <= len(labels) <= 12
    assert all(float(label) > 0 and "e" not in label for label in labels), labels


def test_epoch_ticks_are_whole_numbers(histories):
    histories["RNN"] = {name: values[:1] for name, values in histories["RNN"].items()}
    del histories["LSTM"]
    ticks = plotting.loss_curves(histories).axes[0].get_xticks()
    assert 1 in ticks and all(tick == round(tick) for tick in ticks)


def test_a_history_without_validation_shows_its_training(histories):
    histories["LSTM"] |= {"validation_epoch": [], "validation_loss": []}
    figure = plotting.perplexity_curves(histories)
    assert legend(figure)[1] == "LSTM"
    assert len(curves(figure)[2].get_ydata()) == 2


# Gradient norms


def test_each_network_has_a_panel_with_its_norms(histories):
    panels = plotting.gradient_norms(histories).axes
    assert [panel.lines[0].get_xydata().tolist() for panel in panels] == [
        [[10, 0.5], [20, 3.0], [30, 0.3], [40, 0.1]],
        [[10, 0.3], [20, 0.4]],
    ]
    assert [panel.get_title("left") for panel in panels] == ["RNN", "LSTM"]
    assert {panel.get_yscale() for panel in panels} == {"log"}
    assert panels[-1].get_xlabel() == "step"
    assert "gradient norm" in panels[0].figure.get_supylabel()


def test_only_the_clipped_network_shows_a_threshold_and_how_often_it_cut(histories):
    clipped, free = plotting.gradient_norms(histories, clip_val={"RNN": 0.25}).axes
    assert set(clipped.lines[1].get_ydata()) == {0.25}
    assert "cut to 0.25" in clipped.get_title("left")
    assert "75% of the points" in clipped.get_title("left")  # three of four norms
    assert len(free.lines) == 1 and free.get_title("left") == "LSTM"


# Gates


@pytest.fixture
def gates() -> dict:
    """Two gates of three steps, of two units and of one."""
    return {
        "update": np.array([[0.0, 0.1], [0.5, 0.25], [1.0, 0.75]]),
        "reset": np.array([[0.2], [0.4], [0.6]]),
    }


def test_each_gate_has_a_panel_with_a_row_for_each_unit_and_a_column_for_each_step(gates):
    *panels, bar = plotting.gate_heat_map(gates, title="A GRU").axes
    assert [panel.get_title("left") for panel in panels] == ["update", "reset"]
    update, reset = (panel.images[0] for panel in panels)
    assert update.get_array().tolist() == [[0.0, 0.5, 1.0], [0.1, 0.25, 0.75]]
    assert reset.get_array().tolist() == [[0.2, 0.4, 0.6]]
    left, right, bottom, top = update.get_extent()
    assert (left, right) == (0.5, 3.5)  # steps 1 to 3, the first on the left
    assert (bottom, top) == (2.5, 0.5)  # units 1 and 2, the first on top
    assert panels[0].get_ylim() == (2.5, 0.5)
    assert (panels[-1].get_xlabel(), panels[0].get_ylabel()) == ("time step", "unit")
    assert bar.get_ylabel() == "gate value"
    assert bar.figure.get_suptitle() == "A GRU"


def test_all_gates_have_the_colours_of_one_scale_from_0_to_1(gates):
    gates = {name: 0.4 + 0.2 * values for name, values in gates.items()}
    *panels, bar = plotting.gate_heat_map(gates).axes
    for panel in panels:
        assert panel.images[0].get_clim() == (0, 1)
        assert panel.images[0].get_cmap().name == "viridis"
    assert bar.get_ylim() == (0, 1)


def test_step_labels_stand_below_their_steps(gates):
    figure = plotting.gate_heat_map(gates, step_labels=["it", "is", "universally"])
    figure.draw_without_rendering()
    *_, axes, _ = figure.axes
    assert axes.get_xticks().tolist() == [1, 2, 3]
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == ["it", "is", "universally"]
    for label in labels:
        box = label.get_window_extent().transformed(figure.transFigure.inverted())
        assert box.y0 >= 0 and box.y1 <= 1


# Mistakes


@pytest.mark.parametrize(
    "draw", [plotting.loss_curves, plotting.perplexity_curves, plotting.gradient_norms]
)
def test_nothing_to_draw_is_an_error_that_names_the_history(draw):
    with pytest.raises(ValueError, match="at least one history"):
        draw({})
    with pytest.raises(ValueError, match="history of GRU"):
        draw({"GRU": history()})
    with pytest.raises(ValueError, match="history of 'GRU' has no "):
        draw({"GRU": {}})


def test_losses_that_have_no_epoch_are_an_error(histories):
    histories["RNN"]["validation_loss"].append(4.7)  # `evaluate` with the log of `train` does this
    with pytest.raises(ValueError, match=r"'RNN' has \[3, 4\] entries in .*validation_loss"):
        plotting.loss_curves(histories)


def test_a_threshold_for_nobody_or_below_zero_is_an_error(histories):
    with pytest.raises(ValueError, match="'GRU', expected one of"):
        plotting.gradient_norms(histories, clip_val={"GRU": 0.25})
    with pytest.raises(ValueError, match="must be positive, got 0"):
        plotting.gradient_norms(histories, clip_val={"RNN": 0})


def test_gates_that_cannot_be_drawn_are_an_error_that_says_why(gates):
    for mistake, message in [
        ({}, "at least one gate"),
        ({"update": np.zeros(3)}, r"'update' must be \(T, H\), .* got \(3,\)"),
        ({"update": np.zeros((3, 0))}, r"'update' .* got \(3, 0\)"),
        (gates | {"reset": gates["reset"] * 2}, r"'reset' must lie in \[0, 1\], got 0.4 to 1.2"),
        (gates | {"reset": gates["reset"] - 0.3}, r"'reset' .* got -0.1 to 0.3"),
        (gates | {"reset": gates["reset"] * np.nan}, r"'reset' .* got nan"),
        (gates | {"reset": gates["reset"].T}, "same T, got {'update': 3, 'reset': 1}"),
    ]:
        with pytest.raises(ValueError, match=message):
            plotting.gate_heat_map(mistake)
    with pytest.raises(ValueError, match="T = 3 steps, got 2 step_labels"):
        plotting.gate_heat_map(gates, step_labels=["it", "is"])


# Files, style, pyplot


def test_path_saves_a_png_and_makes_its_folder(histories, tmp_path):
    for name, draw in {
        "loss": plotting.loss_curves,
        "perplexity": plotting.perplexity_curves,
        "norms": plotting.gradient_norms,
    }.items():
        path = tmp_path / "figures" / f"{name}.png"
        draw(histories, path=path)
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_style_is_opaque_white_whatever_the_reader_had(histories, tmp_path):
    with plt.rc_context({"figure.facecolor": "none", "savefig.facecolor": "none"}):
        plotting.use_style()
        plotting.loss_curves(histories, path=tmp_path / "loss.png")
    pixels = imread(tmp_path / "loss.png")
    assert pixels[0, 0].tolist() == list(to_rgba("white"))
    assert (pixels[..., 3] == 1).all()


def test_style_tells_lines_apart_without_colour():
    with plt.rc_context():
        plotting.use_style()
        cycle = list(plt.rcParams["axes.prop_cycle"])
    assert len({str(look["linestyle"]) for look in cycle}) == len(cycle) == 7
    assert len({look["color"] for look in cycle}) == 7


def test_the_figure_that_the_reader_was_drawing_stays_current(histories, gates):
    own = plt.figure()
    try:
        plotting.loss_curves(histories)
        plotting.gradient_norms(histories)
        plotting.gate_heat_map(gates)
        assert plt.gcf() is own and plt.get_fignums() == [own.number]
    finally:
        plt.close(own)


def test_plotting_needs_no_torch():
    command = "import sys, blg561.plotting; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook would show: the arguments of each call of `display`."""
    calls = []
    monkeypatch.setattr(
        "IPython.display.display", lambda *args, **named: calls.append((args, named))
    )
    return calls


def test_show_displays_the_figure_once_with_its_alternative_text(displayed):
    figure = plt.figure()
    plotting.show(figure, alt="Two lines that cross.")
    assert displayed == [((figure,), {"metadata": {"image/png": {"alt": "Two lines that cross."}}})]
    assert not plt.get_fignums(), "pyplot would show it again at the end of the cell"


def test_show_wants_an_alternative_text(displayed, histories):
    with pytest.raises(ValueError, match="alternative text"):
        plotting.show(plotting.loss_curves(histories), alt=" ")
    assert displayed == []
