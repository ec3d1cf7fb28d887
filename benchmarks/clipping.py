"""Learning rate against gradient clipping: one epoch of the RNN for each, with three seeds.

    python -m benchmarks.clipping            # the table of what results/clipping.json holds
    python -m benchmarks.clipping --write    # trains what is missing first, and keeps each run

Everything but optimiser, learning rate and clipping is as in the recipe `rnn_clipped`. The rate
stays what it is for the whole epoch. Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
import tempfile
from dataclasses import replace
from itertools import product

from benchmarks import results
from blg561.language_model import books, experiment, training
from blg561.language_model.recipes import ASSIGNMENT, Recipe

SEEDS = (0, 1, 2)
RECIPE = replace(ASSIGNMENT["rnn_clipped"], epochs=1)
RATES = {"SGD": (4.0, 8.0, 11.0, 15.0, 20.0), "AdamW": (0.006,)}
SETTINGS = {
    f"{optimizer} {rate:g}{' clipped' if clip_val else ''}": {
        "optimizer": optimizer, "learning_rate": rate, "clip_val": clip_val
    }
    for optimizer, rates in RATES.items()
    for rate, clip_val in product(rates, (None, RECIPE.clip_val))
}  # fmt: skip
DIGEST = hashlib.sha256(repr(RECIPE).encode()).hexdigest()[:12]  # results of another are not kept


def run(recipe: Recipe) -> tuple[float | None, float | None]:
    """Validation perplexity and the largest norm before clipping; two Nones if it diverged."""
    datasets = experiment.build_datasets(recipe, books.find("pride_prejudice"))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        try:
            _, log = experiment.run(recipe, *datasets, folder=folder)
        except training.TrainingDiverged as error:
            print(error, file=sys.stderr)
            return None, None
    perplexity = training.perplexity(log["validation_loss"][-1])
    return round(perplexity, 1), round(max(log["gradient_norm"]), 2)


def complete(runs: dict):
    """Train what `runs` lacks, one seed of every setting after the other."""
    for number, seed in enumerate(SEEDS):
        for name, setting in SETTINGS.items():
            perplexities, norms = runs.setdefault(name, [[], []])
            if len(perplexities) == number:
                perplexity, norm = run(replace(RECIPE, seed=seed, **setting))
                perplexities.append(perplexity)
                norms.append(norm)
                results.write("clipping", {"recipe": DIGEST, "runs": runs})


def table(runs: dict) -> str:
    """Markdown: a line for each setting, over its seeds."""
    lines = ["| setting | perplexity of each seed | largest norm |", "| --- | --- | --- |"]
    for name, measured in runs.items():
        cells = [", ".join(str(value or "diverged") for value in values) for values in measured]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--write", action="store_true", help="train what is missing in results/clipping.json"
    )
    found = results.read("clipping")
    runs = found["runs"] if found and found["recipe"] == DIGEST else {}
    if parser.parse_args().write:
        complete(runs)
    print(table(runs))


if __name__ == "__main__":
    main()
