"""Figures of the lessons, in one style; they take histories and arrays, not models.

Every function returns a figure that pyplot no longer manages, so that the next `plt.plot` cannot
draw into it by accident. `show` shows it in a notebook, once, with its alternative text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Okabe and Ito, "Color Universal Design" (2008), without the yellow, which is too pale for a line.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKERS = "os^DvPX"
GREY = "#555555"

STYLE = {
    "figure.figsize": (7.0, 4.2),
    "figure.dpi": 100,  # 700 pixels: the width of a cell in Colab
    "savefig.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "figure.titlesize": 12,
    "figure.labelsize": 11,
    "legend.fontsize": 10,
    "legend.handlelength": 2.8,  # long enough to tell dashed from solid
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "axes.prop_cycle": cycler(color=COLOURS, linestyle=LINE_STYLES),
}


def use_style():
    """Draw every later figure of this process in the style of the lessons."""
    plt.rcParams.update(STYLE)


def show(figure: Figure, *, alt: str):
    """Show `figure` in a notebook, with an alternative text for a reader who cannot see it.

    alt: what the figure shows and what is to be seen in it, as a sentence or two of plain text

    The text lies beside the image, where `IPython.display.Image(alt=...)` puts its own too: in the
    output's metadata, under image/png. Raises ValueError when it is empty.
    """
    from IPython.display import display  # only a notebook needs it

    if not alt.strip():
        raise ValueError("expected an alternative text that says what is to be seen, got none")
    plt.close(figure)  # otherwise the notebook shows the figures that pyplot manages once more
    display(figure, metadata={"image/png": {"alt": alt}})


def loss_curves(histories: Mapping[str, dict], *, title=None, path=None) -> Figure:
    """Training and validation loss of every network against the epoch.

    `histories` has a network's name → its history as `training.new_log` describes it: losses in
    nats per token. The legend gives each network's last validation loss. With `path` the figure
    is also written to that file, whose suffix chooses the format.

    Raises ValueError when there is no history, or one is empty or does not fit together.
    """
    check_epochs(histories)
    figure, axes = new_figure()
    draw_curves(axes, histories, np.asarray, "{:.3f}")
    axes.set_ylabel("loss (nats per token)")
    return finish(figure, title, path)


def perplexity_curves(
    histories: Mapping[str, dict], *, target=None, unigram=None, floor=None, title=None, path=None
) -> Figure:
    """Training and validation perplexity, exp(loss), of every network on a logarithmic axis.

    Horizontal lines mark the perplexity to be reached (`target`), that of the unigram model, and
    the exponential of the text's entropy rate (`floor`), which no model can go below. All else
    is as in `loss_curves`.
    """
    check_epochs(histories)
    figure, axes = new_figure()
    draw_curves(axes, histories, np.exp, "{:.1f}")
    draw_level(axes, unigram, "unigram model\n{:.0f}", "-.", "center")
    draw_level(axes, target, "target\n{:g}", "-", "bottom")
    draw_level(axes, floor, "entropy floor\n{:.1f}", ":", "top")  # it may lie close to the target
    axes.set_ylabel("perplexity")
    plain_log_axis(axes, most_ticks=10)
    return finish(figure, title, path)


def gradient_norms(
    histories: Mapping[str, dict],
    *,
    clip_val: Mapping[str, float] | None = None,
    title=None,
    path=None,
) -> Figure:
    """The gradient's norm before clipping against the step, one panel for each network.

    A history has one entry per `log_interval` steps, the largest norm among them. `clip_val` has
    the threshold of each network that was clipped: its panel shows the threshold, shades what
    clipping cut away, and says in which share of the entries it did.

    Raises ValueError when there is no history, one is empty or does not fit together, or
    `clip_val` names a network without one or a threshold that is not positive.
    """
    clip_val = clip_val or {}
    check_histories(histories, "step", "gradient_norm")
    for label, threshold in clip_val.items():
        if label not in histories:
            raise ValueError(f"clip_val names {label!r}, expected one of {list(histories)}")
        if not threshold > 0:
            raise ValueError(f"clip_val of {label!r} must be positive, got {threshold}")
    if empty := [label for label, history in histories.items() if len(history["step"]) == 0]:
        raise ValueError(f"no gradient norms in the history of {', '.join(empty)}")

    count = len(histories)
    figure, panels = new_figure(
        count, sharex=True, sharey=True, squeeze=False, figsize=(7.0, 0.9 + 1.6 * count)
    )
    for number, (axes, (label, history)) in enumerate(
        zip(panels[:, 0], histories.items(), strict=True)
    ):
        steps, norms = np.asarray(history["step"]), np.asarray(history["gradient_norm"])
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(steps, norms, color=colour, linestyle="-", linewidth=1.0)
        if label in clip_val:
            label += draw_threshold(axes, steps, norms, clip_val[label], colour)
        axes.set_title(label, loc="left")
    plain_log_axis(axes, most_ticks=6)
    axes.set_xlabel("step")
    figure.supylabel("gradient norm (largest since the last point)")
    return finish(figure, title, path)


def gate_heat_map(
    gates: Mapping[str, np.ndarray], *, step_labels: Sequence[str] | None = None, title=None
) -> Figure:
    """What every unit's gate does at every step, one panel for each gate, all in one colour scale.

    `gates` has a gate's name → its values (T, H) in [0, 1]. Steps run to the right and units
    downwards, both counted from 1. `step_labels`, such as the symbols that the network read,
    stand below the T steps instead of their numbers.

    Raises ValueError when there is no gate, one is not (T, H), is empty or leaves [0, 1], or the
    gates and the labels do not have the same T.
    """
    gates = {name: np.asarray(values) for name, values in gates.items()}
    steps = check_gates(gates)
    if step_labels is not None and len(step_labels) != steps:
        raise ValueError(f"the gates have T = {steps} steps, got {len(step_labels)} step_labels")

    count = len(gates)
    figure, panels = new_figure(count, sharex=True, squeeze=False, figsize=(7.0, 1.1 + 1.8 * count))
    for axes, (name, values) in zip(panels[:, 0], gates.items(), strict=True):
        image = axes.imshow(
            values.T, cmap="viridis", vmin=0, vmax=1, aspect="auto", interpolation="nearest",
            extent=(0.5, steps + 0.5, values.shape[1] + 0.5, 0.5),
        )  # fmt: skip
        axes.grid(False)
        axes.set_title(name, loc="left")
        axes.set_ylabel("unit")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("time step")
    if step_labels is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    else:
        longest = max(len(str(label)) for label in step_labels)
        axes.set_xticks(
            np.arange(steps) + 1, step_labels, rotation=90 if longest > 2 else 0, fontsize=10
        )
    figure.colorbar(image, ax=panels, label="gate value", ticks=[0, 0.5, 1])
    return finish(figure, title, path=None)


def new_figure(*shape, **options):
    """`plt.subplots`, so that a notebook knows how to show it, but out of pyplot's hands."""
    figure, axes = plt.subplots(*shape, layout="constrained", **options)  # room for the margin
    plt.close(figure)
    return figure, axes


def finish(figure: Figure, title: str | None, path) -> Figure:
    if title:
        figure.suptitle(title)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    return figure


def check_histories(histories, *names: str):
    """That there are some, each with these lists, all of one length."""
    if not histories:
        raise ValueError("expected at least one history, a dict from names to histories; got none")
    for label, history in histories.items():
        if missing := [name for name in names if name not in history]:
            raise ValueError(f"the history of {label!r} has no {', '.join(missing)}")
        lengths = [len(history[name]) for name in names]
        if len(set(lengths)) > 1:
            raise ValueError(f"the history of {label!r} has {lengths} entries in {names}")


def check_epochs(histories):
    check_histories(histories, "epoch", "train_loss")
    check_histories(histories, "validation_epoch", "validation_loss")
    if empty := [label for label, history in histories.items() if len(history["epoch"]) == 0]:
        raise ValueError(f"no finished epoch in the history of {', '.join(empty)}")


def check_gates(gates) -> int:
    """That there are some, each (T, H) and within [0, 1], all with the same T, which it returns."""
    if not gates:
        raise ValueError("expected at least one gate, a dict from names to arrays (T, H); got none")
    for name, values in gates.items():
        if values.ndim != 2 or values.size == 0:
            raise ValueError(f"gate {name!r} must be (T, H), neither 0; got {values.shape}")
        if not ((values >= 0) & (values <= 1)).all():
            low, high = values.min(), values.max()
            raise ValueError(f"gate {name!r} must lie in [0, 1], got {low:g} to {high:g}")
    steps = {name: len(values) for name, values in gates.items()}
    if len(set(steps.values())) > 1:
        raise ValueError(f"all gates must have the same T, got {steps}")
    return len(values)


def draw_curves(axes, histories, scale, number_format: str):
    """Both curves of every network, `scale` of the loss against the epoch, and their legend."""
    handles = []
    for number, (label, history) in enumerate(histories.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        train, valid = scale(history["train_loss"]), scale(history["validation_loss"])
        look = {"color": colour, "marker": marker}
        axes.plot(history["epoch"], train, linestyle="--", markerfacecolor="white", **look)
        axes.plot(history["validation_epoch"], valid, linestyle="-", **look)
        if len(valid):
            label += f": {number_format.format(valid[-1])} in validation"
        handles.append(Line2D([], [], linestyle="-", label=label, **look))
    look = {"color": GREY, "marker": MARKERS[0], "markerfacecolor": "white"}
    handles.append(Line2D([], [], linestyle="--", label="in training", **look))
    axes.legend(handles=handles)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def draw_level(axes, value, label: str, style, alignment: str):
    """A horizontal line at `value`, if there is one, with its label in the right margin."""
    if value is None:
        return
    axes.axhline(value, color=GREY, linestyle=style, linewidth=1.2, zorder=1)
    axes.text(
        1.01, value, label.format(value), transform=axes.get_yaxis_transform(),
        va=alignment, color=GREY, fontsize=plt.rcParams["legend.fontsize"],
    )  # fmt: skip


def draw_threshold(axes, steps, norms, threshold: float, colour: str) -> str:
    """The clipping threshold of a panel; what its title says about it."""
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1.2)
    cut = np.maximum(norms, threshold)
    axes.fill_between(steps, threshold, cut, color=colour, alpha=0.25, linewidth=0)
    share = np.mean(norms > threshold)
    return f": cut to {threshold:g} (shaded: what was cut away) at {share:.0%} of the points"


def plain_log_axis(axes, most_ticks: int):
    """A logarithmic y axis with about `most_ticks` ticks, at round numbers written out plainly."""
    axes.set_yscale("log")
    decades = np.diff(np.log10(axes.get_ylim())).item()
    choices = (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3)
    subs = next((subs for subs in choices if len(subs) * decades <= most_ticks), (1,))
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
