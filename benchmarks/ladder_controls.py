"""What a rung of lesson 5's ladder owes to what: its rivals, trained and scored.

    python -m benchmarks.ladder_controls            # trains what is missing, in this order
    python -m benchmarks.ladder_controls 'fresh*'   # only these

Several rungs of the ladder change more than one thing: locked dropout comes with eleven more
epochs, averaged weights with another end of the learning rate, the second layer with a quarter
more weights, shared steps with new words that do not unlearn. Each run here changes one of them
alone, for *Pride and Prejudice*. Everything else is as in the rung, and the score is that of the
leaderboard: every validation word once, given all that is before it. results/ladder_controls.json
has for each rival the number of weights and the perplexities, one a seed, of the whole validation
part and of its halves.

A run that the file has is not repeated; one that was interrupted goes on where it was. Five to
ten minutes a run on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from benchmarks import results
from blg561.language_model import books, experiment
from blg561.language_model.dataset import Dataset
from blg561.language_model.recipes import LADDER, Recipe
from blg561.language_model.systems import Network
from blg561.language_model.training import perplexity

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models" / "ladder_controls"
BOOK = "pride_prejudice"


def variants() -> dict[str, Recipe]:
    """The rivals by name, those first that answer the first question."""
    tied, locked, last = LADDER["tied"], LADDER["locked_dropout"], LADDER["averaged"]
    fresh = replace(locked, locked_masks=False)
    return {
        "fresh_masks": fresh,
        "fresh_masks_weaker": replace(fresh, input_dropout=0.25, output_dropout=0.35),
        "locked_5_epochs": replace(locked, epochs=tied.epochs),
        "no_dropout_16_epochs": replace(tied, epochs=locked.epochs),
        # one layer with as many weights as the two of `second_layer`
        "wide_layer": replace(LADDER["embedding_dropout"], hidden_size=362, epochs=24),
        "averaged_floor_0": replace(last, final_learning_rate=0.0),
        "floor_6_not_averaged": replace(last, average_decay=None),
        # words that training never showed do not unlearn, and no steps are shared
        "endings_none": replace(LADDER["endings"], endings=0),
        **dict.fromkeys(OTHER_TEXTS, LADDER["endings"]),
    }


def with_other_letters(trainset: Dataset) -> Dataset:
    """The same text, in which the words have each other's letters: who shares steps is chance."""
    other = copy.copy(trainset)
    places = np.random.default_rng(0).permutation(len(trainset.unique_data))
    other.unique_data = [trainset.unique_data[place] for place in places]
    return other


def with_every_word(trainset: Dataset) -> Dataset:
    """The same text, in which no word counts as new: all unlearn where they do not come."""
    other = copy.copy(trainset)
    other.counts = lambda: trainset.counts().clamp(min=1)
    return other


OTHER_TEXTS = {
    "endings_of_other_words": with_other_letters,
    "endings_unlearning": with_every_word,
}


def run(name: str, recipe: Recipe) -> tuple[int, dict[str, float]]:
    """The recipe carried out, or the rest of it: its number of weights and its perplexities."""
    trainset, validset = experiment.build_datasets(recipe, books.find(BOOK))
    if name in OTHER_TEXTS:
        trainset = OTHER_TEXTS[name](trainset)
    folder = MODELS / f"{name}-{recipe.seed}"
    with contextlib.redirect_stdout(sys.stderr):
        model, _ = experiment.run(
            recipe, trainset, validset, folder=folder, resume=True, eval_during_train=False
        )
    nats = Network(model).score(validset.data)
    half = len(nats) // 2
    parts = {"perplexity": nats, "first_half": nats[:half], "second_half": nats[half:]}
    weights = sum(p.numel() for p in model.parameters())
    return weights, {part: round(perplexity(n.mean().item()), 3) for part, n in parts.items()}


def read() -> dict:
    """{name: {"weights": their number, "perplexity": one a seed, the halves likewise}}."""
    return results.read("ladder_controls") or {}


def seeds_of(name: str) -> int:
    """How many seeds are done: 0, 1, ..."""
    return len(read().get(name, {}).get("perplexity", []))


def write(name: str, weights: int, scores: dict[str, float]):
    found = read()
    row = found.setdefault(name, {"weights": weights})
    for part, score in scores.items():
        row.setdefault(part, []).append(score)
    results.write("ladder_controls", found)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of the rivals' names")
    parser.add_argument("--seeds", type=int, default=1, help="how many of each (default: 1)")
    arguments = parser.parse_args()
    for seed in range(arguments.seeds):
        for name, recipe in variants().items():
            chosen = any(fnmatch(name, pattern) for pattern in arguments.names)
            if chosen and seeds_of(name) <= seed:
                weights, scores = run(name, replace(recipe, seed=seed))
                write(name, weights, scores)
                print(f"{name}, seed {seed}: {scores}", flush=True)


if __name__ == "__main__":
    main()
