"""How long the networks of the two boards train: each recipe timed on a part of an epoch.

    python -m benchmarks.leaderboard.hours            # some minutes on one idle core
    python -m benchmarks.leaderboard.hours --write    # keeps it in results/training_hours.json

Processor time of one thread, without the scoring after some epochs. The seeds of a recipe take
equally long, and the first board's networks that a mixture needs are those of its other rows.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace

import torch

from benchmarks import machine, results
from benchmarks.leaderboard import text
from benchmarks.leaderboard.parts import Provided
from benchmarks.leaderboard.rows import BOARDS, Board
from blg561.language_model import experiment
from blg561.language_model.endings import share_steps
from blg561.language_model.recipes import Recipe
from blg561.language_model.training import default_precision, train_one_epoch

SHARE = 0.1


def seconds_an_epoch(recipe: Recipe, trainset, validset, share: float = SHARE) -> float:
    """Processor time of an epoch, from a share of it; some words go by before the clock starts."""
    whole = trainset.data
    model = experiment.build_model(recipe, trainset)
    optimizer = experiment.build_optimizer(recipe, model)
    if recipe.endings is not None:
        share_steps(model, optimizer, trainset, recipe.endings)
    for part in (0.02, share):
        trainset.data = whole[: round(part * len(whole))]
        loader, _ = experiment.build_loaders(recipe, trainset, validset)
        start = time.process_time()
        train_one_epoch(
            model,
            torch.nn.CrossEntropyLoss(),
            optimizer,
            loader,
            grad_clip=recipe.clip_val is not None,
            clip_val=recipe.clip_val or 0.0,
            precision=default_precision("cpu"),
            sampled_words=recipe.sampled_words,
        )
    trainset.data = whole
    return (time.process_time() - start) / share


def trainings(board: Board) -> Counter[tuple[str, Recipe]]:
    """Each book and recipe with seed 0 that networks of the board are trained by: from how many."""
    wanted = {(row.book, recipe) for row in board.rows for recipe in row.recipes()}
    trained = ((book, recipe) for book, recipe in wanted if not isinstance(recipe, Provided))
    return Counter((book, replace(recipe, seed=0)) for book, recipe in trained)


def measure(book: str, recipe: Recipe, seeds: int) -> dict:
    trainset, validset = experiment.build_datasets(recipe, text.find(book))
    epoch = seconds_an_epoch(recipe, trainset, validset)
    seconds = epoch * recipe.epochs
    if recipe.first is not None:
        longer = trainset.after(text.others(book))
        seconds += recipe.first.epochs * seconds_an_epoch(recipe.first, longer, validset)
    row = {"book": book, "recipe": recipe.name, "epochs": recipe.epochs, "seeds": seeds}
    row |= {"seconds_an_epoch": round(epoch, 2), "seconds": round(seconds)}
    print(row, flush=True)
    return row


def total(found: dict, board: str) -> float:
    """Hours of one thread for all networks of a board."""
    return sum(row["seeds"] * row["seconds"] for row in found["boards"][board]) / 3600


def said(machine: dict) -> str:
    """What the times are of, in words."""
    return f"a machine with {machine['instructions']} in {machine['default_precision']}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="keep it in results/")
    keep = parser.parse_args().write
    boards = {
        name: [measure(book, recipe, seeds) for (book, recipe), seeds in in_order(board)]
        for name, board in BOARDS.items()
    }
    found = {"machine": machine.describe(), "boards": boards}
    if keep:
        results.write("training_hours", found)
    for board in BOARDS:
        print(f"{board}: {total(found, board):.1f} hours of one thread")


def in_order(board: Board) -> list:
    """Its trainings by book and recipe."""
    return sorted(trainings(board).items(), key=lambda item: (item[0][0], repr(item[0][1])))


if __name__ == "__main__":
    main()
