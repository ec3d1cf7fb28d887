"""Reversing digits: an encoder-decoder with and without attention, trained in three ways.

    python -m benchmarks.reversing
    python -m benchmarks.reversing --write     # keeps each row in results/reversing.json

A row that the file has is not run again, so an interrupted run goes on where it was; --fresh runs
all of them, as is needed when the code has changed. Everything is NumPy, on one thread.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from benchmarks import results
from blg561.layer import reversing

SEEDS = (0, 1, 2)
STEPS = 1000
LENGTHS = [4, 6, 8, 10, 12, 14, 16, 18, 20]
FORCING = {
    "forced": lambda done: 1.0,
    "scheduled": lambda done: 1.0 - done,
    "free": lambda done: 0.0,
}
RUNS = [
    ("dot", "forced"),
    ("scaled", "forced"),
    (None, "forced"),
    (None, "free"),
    (None, "scheduled"),
]


def beams(model, length: int = 12, n: int = 50) -> dict:
    """Whole numbers right, and the mean ln p of what was found, for each width."""
    source, target = reversing.pairs(np.random.default_rng([2, length]), n, length, length)
    rows = {}
    for width in (1, 2, 4, 8):
        found = [model.beam_search(source[k : k + 1], length + 2, width)[0] for k in range(n)]
        right = [
            one.finished and one.symbols == tuple(answer[:-1])
            for one, answer in zip(found, target.tolist(), strict=True)
        ]
        mean = float(np.mean([one.log_probability for one in found]))
        rows[width] = {"right": sum(right) / n, "log_probability": round(mean, 4)}
    return rows


def run(attention: str | None, how: str, seed: int) -> dict:
    """Carry out one training; the row that describes it."""
    model, losses = reversing.train(attention, seed, STEPS, FORCING[how])
    means = losses.reshape(-1, 100).mean(axis=1)
    row = {
        "attention": attention,
        "how": how,
        "seed": seed,
        "steps": STEPS,
        "loss": [round(float(loss), 4) for loss in means],
        "whole": {n: reversing.whole_right(model, n) for n in LENGTHS},
    }
    for name, forcing in (("forced", 1), ("free", 0)):
        right = reversing.position_right(model, 12, forcing)
        row[f"positions_{name}"] = [round(float(share), 4) for share in right]
    if how == "forced":
        row["beams"] = beams(model)
    return row


def key(row: dict) -> tuple:
    return row["attention"], row["how"], row["seed"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    arguments = parser.parse_args()
    rows = [] if arguments.fresh else results.read("reversing") or []
    for attention, how in RUNS:
        for seed in SEEDS:
            if (attention, how, seed) in map(key, rows):
                continue
            row = run(attention, how, seed)
            print(json.dumps({**row, "loss": row["loss"][-1]}), flush=True)
            rows.append(row)
            if arguments.write:
                results.write("reversing", rows)


if __name__ == "__main__":
    main()
