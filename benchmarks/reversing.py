"""Reversing digits: encoder-decoders of several kinds and sizes, each at its own best rate.

    python -m benchmarks.reversing
    python -m benchmarks.reversing --write     # keeps each training in results/reversing.json

Each setting gets its learning rate first, on a seed and on numbers of its own: up or down by
factors of 2 until the best of those tried has a worse one on both sides. Then three seeds are
trained at that rate, and scored on other numbers. Trainings of more steps take over the rate.

A training that the file has is not run again, so an interrupted run goes on where it was; --fresh
runs all of them, as is needed when the code has changed. Everything is NumPy, on one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from benchmarks import results
from blg561.layer import GRULayer, SelfAttentionLayer, reversing

SEEDS = (0, 1, 2)
TUNING_SEED, TUNING_NUMBERS = 100, 2
LENGTHS = range(4, 21, 2)
TRAINED_LENGTHS = range(4, 13, 2)
NUMBERS = 200  # of each length; every count is of so many
FORCING = {
    "forced": lambda done: 1.0,
    "scheduled": lambda done: 1.0 - done,
    "free": lambda done: 0.0,
}


class FirstUnitsGRU(GRULayer):
    """A GRU that shows its first `shown` units alone, 0 for the others; it uses all of them itself.

    As an encoder without attention it passes a vector of `shown` numbers to the decoder, whatever
    its own size is: the control for "a smaller network is worse because its vector is smaller".
    """

    shown = 16

    def forward(self, x, h0):
        h = super().forward(x, h0)
        h[..., self.shown :] = 0
        return h

    def backward(self, dh):
        return super().backward(np.where(np.arange(self.out_size) < self.shown, dh, 0))


class KeepingGRU(GRULayer):
    """A GRU whose gates start with a bias that keeps the state (lesson 3).

    The control for "without attention it learns slowly because no gradient arrives": here it does.
    """

    def __init__(self, *sizes_and_rng):
        super().__init__(*sizes_and_rng)
        self.b[: self.out_size] = 2.5  # of the update gate, the share that stays


LAYERS = {
    "GRU": GRULayer,
    "self-attention": SelfAttentionLayer,
    "GRU, 16 units shown": FirstUnitsGRU,
    "GRU that keeps": KeepingGRU,
}


@dataclass(frozen=True)
class Setting:
    """What is trained. how: a key of `FORCING`; encoder, decoder: keys of `LAYERS`."""

    attention: str | None
    hidden: int = 64
    encoder: str = "GRU"
    decoder: str = "GRU"
    how: str = "forced"
    steps: int = 1000


SETTINGS = [
    *(Setting(attention) for attention in (None, "dot", "scaled")),
    Setting("dot", decoder="self-attention"),
    Setting("dot", encoder="self-attention", decoder="self-attention"),
    *(Setting(None, how=how) for how in ("free", "scheduled")),
    *(Setting(attention, hidden) for hidden in (16, 32) for attention in (None, "dot")),
    Setting(None, 128),
    *(Setting(None, how=how, steps=2000) for how in FORCING),
    Setting("additive"),
    Setting(None, 16, how="free"),
    Setting(None, encoder="GRU, 16 units shown"),
    Setting(None, encoder="GRU that keeps", decoder="GRU that keeps"),
]


class Watch:
    """How long it takes until nine in ten numbers of 8 digits are right, a look every 50 steps."""

    def __init__(self, steps: int):
        self.tenth = steps // 10
        self.counts: list[int] = []  # right ones after each tenth of the training
        self.until: int | None = None  # steps
        self.seconds = 0.0  # of looking, which is no training

    def __call__(self, step: int, model):
        start = time.process_time()
        if step % 50 == 0:
            right = round(NUMBERS * reversing.whole_right(model, 8, NUMBERS, TUNING_NUMBERS))
            if self.until is None and right >= 0.9 * NUMBERS:
                self.until = step
            if step % self.tenth == 0:
                self.counts.append(right)
        self.seconds += time.process_time() - start


def train(setting: Setting, rate: float, seed: int, watch=None):
    return reversing.train(
        setting.attention,
        seed,
        setting.steps,
        FORCING[setting.how],
        setting.hidden,
        rate,
        watch,
        encoder=LAYERS[setting.encoder],
        decoder=LAYERS[setting.decoder],
    )


def score(setting: Setting, rate: float) -> list[float]:
    """Percent of whole numbers right, and, where two rates have all, minus the last loss."""
    model, losses = train(setting, rate, TUNING_SEED)
    shares = [reversing.whole_right(model, n, NUMBERS, TUNING_NUMBERS) for n in TRAINED_LENGTHS]
    return [round(100 * float(np.mean(shares)), 1), round(-float(losses[-100:].mean()), 4)]


def next_rate(tried: dict[str, list[float]]) -> float | None:
    """The rate to try next; None when the best one has a worse one on both sides."""
    if not tried:
        return 0.02
    best = best_rate(tried)
    return next((rate for rate in (best / 2, best * 2) if f"{rate:g}" not in tried), None)


def best_rate(tried: dict[str, list[float]]) -> float:
    return float(max(tried, key=tried.get))


def beams(model, length: int = 12, n: int = 50) -> dict:
    """Of n whole numbers the right ones, and the mean ln p of what was found, for each width."""
    source, target = reversing.pairs(np.random.default_rng([2, length]), n, length, length)
    rows = {}
    for width in (1, 2, 4, 8):
        found = [model.beam_search(source[k : k + 1], length + 2, width)[0] for k in range(n)]
        right = [
            one.finished and one.symbols == tuple(answer[:-1])
            for one, answer in zip(found, target.tolist(), strict=True)
        ]
        rows[width] = [sum(right), round(float(np.mean([one.log_probability for one in found])), 3)]
    return rows


def measured(setting: Setting, rate: float, seed: int) -> tuple[int, dict]:
    """One training: its number of weights, and its scores by the names of the lists in a row."""
    watch = Watch(setting.steps)
    start = time.process_time()
    model, losses = train(setting, rate, seed, watch)
    seconds = time.process_time() - start - watch.seconds
    whole = [round(NUMBERS * reversing.whole_right(model, n, NUMBERS)) for n in LENGTHS]
    by_position = {
        name: [round(NUMBERS * share) for share in reversing.position_right(model, 12, forcing)]
        for name, forcing in (("positions_forced", 1), ("positions_free", 0))
    }
    weights = sum(parameter.size for parameter in model.parameters.values())
    return weights, {
        "whole": whole,
        "whole_8_by_tenths": watch.counts,
        "steps_to_90": watch.until,
        "cpu_seconds": round(seconds, 1),
        "loss": round(float(losses[-100:].mean()), 4),
        **(by_position if setting.attention is None else {}),
        **({"beams": beams(model)} if setting in SETTINGS[:3] else {}),
    }


def setting_of(row: dict) -> Setting:
    return Setting(**{field.name: row[field.name] for field in fields(Setting)})


def complete(row: dict, rows: list[dict]):
    """Do what `row`, one of `rows`, lacks, and yield after each training."""
    setting = setting_of(row)
    if setting.steps > 1000:
        shorter = replace(setting, steps=1000)
        row["rates"] = next(other["rates"] for other in rows if setting_of(other) == shorter)
    while (rate := next_rate(row["rates"])) is not None:
        row["rates"][f"{rate:g}"] = score(setting, rate)
        yield
    row["rate"] = best_rate(row["rates"])
    for seed in SEEDS[len(row.get("loss", ())) :]:
        row["weights"], found = measured(setting, row["rate"], seed)
        for name, value in found.items():
            row.setdefault(name, []).append(value)
        yield


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    rows = [] if arguments.fresh else results.read("reversing") or []
    known = {setting_of(row): row for row in rows}
    rows = [known.get(each) or {**asdict(each), "rates": {}} for each in SETTINGS]
    for row in rows:
        for _ in complete(row, rows):
            if arguments.write:
                results.write("reversing", rows)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
