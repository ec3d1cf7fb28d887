"""Learning rate against gradient clipping: one epoch of the RNN for each, with three seeds.

    python benchmarks/clipping.py            # the table of what results/clipping.json holds
    python benchmarks/clipping.py --write    # trains what is missing first, and keeps each row

Everything but optimiser, learning rate and clipping is as in the recipe `rnn_clipped`. The rate
stays what it is for the whole epoch. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import torch

from blg561.language_model import books, experiment, recipes, training

SEEDS = (0, 1, 2)
CLIPPED = recipes.ASSIGNMENT["rnn_clipped"]
THRESHOLDS = (None, CLIPPED.clip_val)
RATES = {"SGD": (4.0, 8.0, 11.0, 15.0, 20.0), "AdamW": (0.006,)}
BOOK = "pride_prejudice"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "clipping.json"


def all_recipes() -> list[recipes.Recipe]:
    """One seed after the other, so that an interrupted run has whole rows of the first ones."""
    settings = [(name, rate) for name, rates in RATES.items() for rate in rates]
    return [
        replace(CLIPPED, optimizer=name, learning_rate=rate, clip_val=limit, epochs=1, seed=seed)
        for seed, (name, rate), limit in product(SEEDS, settings, THRESHOLDS)
    ]


def run(recipe: recipes.Recipe) -> dict:
    """One training; its row, in which a training that diverged has the perplexity None.

    `norms` are the median and the largest norm of the gradient before clipping.
    """
    datasets = experiment.build_datasets(recipe, books.find(BOOK))
    row = {"recipe": asdict(recipe), "perplexity": None, "norms": None}
    row |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
    row |= {"precision": training.default_precision("cpu")}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        try:
            _, log = experiment.run(recipe, *datasets, folder=folder, log_interval=1)
        except training.TrainingDiverged as error:
            print(error, file=sys.stderr)
            return row
    norms = log["gradient_norm"]
    row["perplexity"] = round(training.perplexity(log["validation_loss"][-1]), 2)
    row["norms"] = [round(statistics.median(norms), 3), round(max(norms), 3)]
    return row


def read() -> list[dict]:
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def write(rows: list[dict]):
    """All rows, so that the file is whole whenever the process ends."""
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, RESULTS)


def by_setting(rows: list[dict]) -> dict[tuple, list[dict]]:
    """(optimizer, learning rate, clipped or not) → its rows, one a seed."""
    settings = {}
    for row in rows:
        recipe = row["recipe"]
        setting = recipe["optimizer"], recipe["learning_rate"], recipe["clip_val"] is not None
        settings.setdefault(setting, []).append(row)
    return settings


def as_code(rows: list[dict]) -> str:
    """Python text: CLIPPING[optimizer, rate, clipped] are the perplexities of its seeds."""
    lines = ["CLIPPING = {"]
    for (optimizer, rate, clipped), mine in by_setting(rows).items():
        perplexities = [row["perplexity"] for row in mine]
        lines.append(f'    ("{optimizer}", {rate:g}, {clipped}): {perplexities},')
    return "\n".join([*lines, "}"])


def table(rows: list[dict]) -> str:
    """Markdown: a line for each setting, over its seeds."""
    lines = [
        "| optimiser | rate | clipped | perplexity of each seed | median norm | largest |",
        "| --- | ---: | --- | --- | ---: | ---: |",
    ]
    for (optimizer, rate, clipped), mine in by_setting(rows).items():
        reached = ["diverged" if row["perplexity"] is None else f"{row['perplexity']:.0f}"
                   for row in mine]  # fmt: skip
        norms = [row["norms"] for row in mine if row["norms"]]
        median = f"{statistics.median(n[0] for n in norms):.2f}" if norms else ""
        largest = f"{max(n[1] for n in norms):.2f}" if norms else ""
        cells = [optimizer, f"{rate:g}", "yes" if clipped else "no", ", ".join(reached)]
        lines.append("| " + " | ".join([*cells, median, largest]) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="train what is missing in results/clipping.json"
    )
    arguments = parser.parse_args()
    wanted = {json.dumps(asdict(recipe)): recipe for recipe in all_recipes()}
    stored = {json.dumps(row["recipe"]): row for row in read()}
    missing = [key for key in wanted if key not in stored] if arguments.write else []
    for key in missing:
        stored[key] = run(wanted[key])
        write([stored[key] for key in wanted if key in stored])
    rows = [stored[key] for key in wanted if key in stored]
    print(table(rows))


if __name__ == "__main__":
    main()
