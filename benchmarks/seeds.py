"""The three recipes with three seeds each: mean and spread of what they reach.

    python -m benchmarks.seeds
    python -m benchmarks.seeds --write     # keeps the rows in results/seeds.json as they come

A row that results/seeds.json has for the same book and the very same recipe is not run again, so an
interrupted run goes on where it was; --fresh runs all nine, as is needed when the code of training
has changed. Progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks import results
from benchmarks.leaderboard.parts import describe
from blg561.language_model import books, checkpoints, experiment, training
from blg561.language_model.recipes import ASSIGNMENT, Recipe

SEEDS = (0, 1, 2)
TITLES = {
    "rnn": "RNN",
    "rnn_clipped": "RNN, gradient clipped",
    "lstm": "LSTM",
}


def run(recipe: Recipe, book: str) -> dict:
    """Carry out one training; the row that describes it."""
    trainset, validset = experiment.build_datasets(recipe, books.find(book))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        _, log = experiment.run(recipe, trainset, validset, folder=folder)
        seconds = time.perf_counter() - start
        precision = checkpoints.load(Path(folder) / f"{recipe.name}.pt")["precision"]
    loss = log["validation_loss"][-1]
    return {
        "book": book,
        "name": recipe.name,
        "seed": recipe.seed,
        "perplexity": round(training.perplexity(loss), 3),
        "loss": round(loss, 5),
        "seconds": round(seconds, 1),
        "epochs": len(log["epoch"]),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "recipe": describe(recipe),
    }


def read() -> list[dict]:
    return results.read("seeds") or []


def of(book: str) -> list[dict]:
    return [row for row in read() if row["book"] == book]


def by_recipe(rows: list[dict]) -> dict[str, list[float]]:
    """The perplexities of each recipe's runs."""
    return {name: [row["perplexity"] for row in rows if row["name"] == name] for name in ASSIGNMENT}


def versions(rows: list[dict]) -> str:
    return "torch " + " and ".join(sorted({row["torch"] for row in rows}))


def key(row: dict) -> tuple:
    return row["book"], row["name"], row["seed"]


def table(rows: list[dict]) -> str:
    """Markdown: a line for each recipe, over its seeds."""
    lines = [
        "| recipe | runs | validation perplexity, mean | lowest to highest | standard deviation "
        "| precision | threads |",
        "| --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name, perplexities in by_recipe(rows).items():
        mine = [row for row in rows if row["name"] == name]
        cells = [
            name,
            len(mine),
            f"{statistics.mean(perplexities):.1f}",
            f"{min(perplexities):.1f} to {max(perplexities):.1f}",
            f"{statistics.stdev(perplexities):.2f}",
            " and ".join(sorted({row["precision"] for row in mine})),
            " and ".join(sorted({str(row["threads"]) for row in mine})),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--book", choices=books.CATALOGUE, default="pride_prejudice")
    parser.add_argument("--write", action="store_true", help="keep the rows in results/seeds.json")
    parser.add_argument("--fresh", action="store_true", help="run again what the file has already")
    arguments = parser.parse_args()

    stored = {key(row): row for row in read()}
    rows = []
    for recipe in ASSIGNMENT.values():
        for seed in SEEDS:
            recipe = replace(recipe, seed=seed)
            known = stored.get((arguments.book, recipe.name, seed))
            if known and known["recipe"] == describe(recipe) and not arguments.fresh:
                row, origin = known, "stored"
            else:
                row, origin = run(recipe, arguments.book), "new"
                stored[key(row)] = row
                if arguments.write:
                    results.write("seeds", list(stored.values()))
            rows.append(row)
            print(
                f"{recipe.name}, seed {seed}: perplexity {row['perplexity']:.1f}, "
                f"{row['seconds']:.0f} s ({origin})",
                file=sys.stderr,
            )
    print(f"{books.CATALOGUE[arguments.book].title}, {versions(rows)}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
