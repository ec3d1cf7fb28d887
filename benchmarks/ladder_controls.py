"""What a rung of lesson 5's ladder owes to what: its rivals, trained and scored.

    python -m benchmarks.ladder_controls            # trains what is missing, in this order
    python -m benchmarks.ladder_controls 'fresh*'   # only these

Several rungs of the ladder change more than one thing: locked dropout comes with eleven more
epochs, averaged weights with another end of the learning rate, the second layer with a quarter more
weights. Each run here changes one of them alone, for *Pride and Prejudice*. Everything else is as
in the rung, and the score is that of the leaderboard: every validation word once, given all that
is before it. results/ladder_controls.json has for each run the perplexities, one a seed.

A run that the file has is not repeated; one that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from benchmarks import results
from blg561.language_model import books, experiment
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
    }


def run(name: str, recipe: Recipe) -> dict:
    """The recipe carried out, or the rest of it, and what it came to."""
    datasets = experiment.build_datasets(recipe, books.find(BOOK))
    folder = MODELS / f"{name}-{recipe.seed}"
    with contextlib.redirect_stdout(sys.stderr):
        model, _ = experiment.run(
            recipe, *datasets, folder=folder, resume=True, eval_during_train=False
        )
    nats = Network(model).score(datasets[1].data)
    half = len(nats) // 2
    parts = {"perplexity": nats, "first_half": nats[:half], "second_half": nats[half:]}
    scores = {part: round(perplexity(n.mean().item()), 3) for part, n in parts.items()}
    return scores | {"weights": sum(p.numel() for p in model.parameters())}


def read() -> dict:
    """{name: {seed: result}}."""
    return results.read("ladder_controls") or {}


def write(name: str, seed: int, result: dict):
    found = read()
    found.setdefault(name, {})[str(seed)] = result
    results.write("ladder_controls", found)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of the names of runs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        for name, recipe in variants().items():
            chosen = any(fnmatch(name, pattern) for pattern in arguments.names)
            if chosen and str(seed) not in read().get(name, {}):
                result = run(name, replace(recipe, seed=seed))
                write(name, seed, result)
                print(f"{name}, seed {seed}: {result}", flush=True)


if __name__ == "__main__":
    main()
