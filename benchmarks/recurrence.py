"""Five networks on one novel, by one protocol, recurrent or not: lesson 8's comparison.

    python -m benchmarks.recurrence           # two hours of one idle core; goes on where it was
    python -m benchmarks.recurrence trials    # this part alone; the parts are those of PARTS

Every network has the LSTM recipe of lesson 4 but for what its trials change: tokens, lexicon,
split, tied weights, embedding dropout, sampled softmax, AdamW, and as many weights, within 3 %.
Each has the same seven trials with seed 0, one change after another, and a change stays
if it makes the first half of the validation part better (`trial_changes`). The settings of the
LSTM, with which all begin, come from earlier trials of the LSTM alone, so that it has an advantage.

results/recurrence.json has for each network

- trials: all seven, with the settings and the perplexity on the first half;
- runs: by seed, the perplexity on the validation part and its halves, and after each epoch;
- seconds: of training for an epoch, processor time of one thread, median of rounds in which the
  networks took turns, on a machine with other work to do;
- amounts: by share of the training part, its last words; amount_trials: for seed 0, as many epochs
  as on the whole, and more of them, twice as many for a quarter; the better on the first half is
  taken (with few updates a network has not learnt, with many it knows the piece by heart);
- three_books: the chosen recipe on the other two books and the training part together, for
  FIRST_EPOCHS, and then on the training part; three_books_trials: with seed 0, the second of these
  trainings at the chosen rate and at a third of it; the better on the first half is taken;
- context: by words read from the zero state before the word that is scored, 2000 words of the
  validation part; by seed;
- writing: processor time for a word of 1000 and the bytes that are carried from word to word.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from benchmarks import results
from benchmarks.leaderboard import text
from benchmarks.leaderboard.hours import seconds_an_epoch
from benchmarks.leaderboard.parts import describe
from blg561.errors import TrainingDiverged
from blg561.language_model import books, experiment
from blg561.language_model.generation import generate
from blg561.language_model.recipes import ASSIGNMENT, Recipe
from blg561.language_model.systems import Network
from blg561.language_model.training import perplexity

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models" / "recurrence"
BOOK = "pride_prejudice"
SEEDS = (0, 1, 2)
SHARES = (0.5, 0.25, 0.125)
FIRST_EPOCHS = 4  # of six times as much text
CONTEXTS = (1, 2, 3, 5, 10, 20, 40, 63, 100, 200)
PLACES = 2000
WRITTEN = 1000
ROUNDS = 5

# Two shapes of each network with as many weights as the LSTM of lesson 4: the one that is tried
# first and the other. Widths are multiples of 8.
SHAPES = {
    "lstm": (
        dict(hidden_size=256, hidden_layers=1),
        dict(hidden_size=216, hidden_layers=2),
    ),
    "gru": (
        dict(hidden_size=272, hidden_layers=1),
        dict(hidden_size=232, hidden_layers=2),
    ),
    "mingru": (
        dict(hidden_size=288, hidden_layers=2),
        dict(hidden_size=256, hidden_layers=4),
    ),
    "fixed_factors": (
        dict(hidden_size=288, hidden_layers=2),
        dict(hidden_size=256, hidden_layers=4),
    ),
    "transformer": (
        dict(hidden_size=192, hidden_layers=2),
        dict(hidden_size=232, hidden_layers=1),
    ),
}


TITLES = {
    "lstm": "LSTM",
    "gru": "GRU",
    "mingru": "minimal GRU",
    "fixed_factors": "fixed factors",
    "transformer": "transformer",
}


def trial_changes(cell: str) -> list[dict]:
    """What each trial changes in the best one before it."""
    first, other = SHAPES[cell]
    return [
        first,
        dict(recurrent_factor=0.2),
        dict(learning_rate=0.004),
        dict(dropout=0.35),
        other,
        # the two that end the list came after the others were known: the lowest dropout had been
        # best for three networks, and one network had hardly begun to overfit
        dict(dropout=0.25),
        dict(epochs=10),
    ]


class Results:
    """What results/recurrence.json holds, by part, network and key; written as it comes."""

    def __init__(self):
        self.found = results.read("recurrence") or {}

    def row(self, part: str, cell: str, key: str, recipe: Recipe, compute) -> dict:
        """The stored row if it is of this recipe, else a new one from `compute(recipe)`."""
        rows = self.found.setdefault(part, {}).setdefault(cell, {})
        if key not in rows or rows[key]["recipe"] != describe(recipe):
            rows[key] = compute(recipe) | {"recipe": describe(recipe)}
            results.write("recurrence", self.found)
            said = {name: value for name, value in rows[key].items() if name != "recipe"}
            print(f"{part}, {cell}, {key}: {said}", flush=True)
        return rows[key]


def build_datasets(recipe: Recipe, share: float = 1.0):
    """Training and validation part; of the training part the last `share`, the lexicon as it is."""
    trainset, validset = experiment.build_datasets(recipe, books.find(BOOK))
    trainset.data = trainset.data[-round(share * len(trainset.data)) :]
    return trainset, validset


def carry_out(recipe: Recipe, share: float = 1.0, curve: bool = False):
    """The trained network, its history, its validation part; a training goes on where it was.

    Recipes of other names with the same training before them carry that out once.
    """
    trainset, validset = build_datasets(recipe, share)
    told = recipe if recipe.first is None else (recipe.first, recipe.seed)
    digest = hashlib.sha256(repr((told, share, curve)).encode()).hexdigest()[:12]
    # what measures a network asks for no gradients, and may be the first to need it
    with contextlib.redirect_stdout(sys.stderr), torch.enable_grad():
        model, log = experiment.run(
            recipe,
            trainset,
            validset,
            others=() if recipe.first is None else text.others(BOOK),
            folder=MODELS / digest,
            resume=True,
            eval_during_train=curve,
            save_interval=recipe.epochs,
        )
    return model.eval(), log, validset


def measure(recipe: Recipe, share: float = 1.0, curve: bool = False) -> dict:
    """Train and score. The perplexities are None for a training that diverged."""
    try:
        model, log, validset = carry_out(recipe, share, curve)
    except TrainingDiverged as error:
        print(error, file=sys.stderr)
        return dict.fromkeys(("perplexity", "first_half", "second_half"))
    nats = Network(model).score(validset.data)
    half = len(nats) // 2
    parts = {"perplexity": nats, "first_half": nats[:half], "second_half": nats[half:]}
    row = {part: round(perplexity(n.mean().item()), 3) for part, n in parts.items()}
    row["weights"] = sum(p.numel() for p in model.parameters())
    row["training"] = round(perplexity(log["train_loss"][-1]), 3)
    if curve:
        row["curve"] = [round(perplexity(loss), 3) for loss in log["validation_loss"]]
    return row


def chosen(found: Results, cell: str) -> Recipe:
    """The best recipe of the seven trials, which are carried out as far as they are missing."""
    best, lowest = replace(ASSIGNMENT["lstm"], name=cell, cell=cell), float("inf")
    for number, change in enumerate(trial_changes(cell)):
        recipe = replace(best, **change)
        score = found.row("trials", cell, str(number), recipe, measure)["first_half"]
        if number == 0 or (score is not None and score < lowest):
            best, lowest = recipe, score or float("inf")
    return best


def trials(found: Results):
    for cell in SHAPES:
        chosen(found, cell)


def runs(found: Results):
    for seed in SEEDS:
        for cell in SHAPES:
            recipe = replace(chosen(found, cell), seed=seed)
            found.row("runs", cell, str(seed), recipe, lambda r: measure(r, curve=True))


def seconds(found: Results):
    """The networks take turns: what else the machine does then slows all of them down alike."""
    recipes = {cell: chosen(found, cell) for cell in SHAPES}
    stored = {cell: row["epoch"]["recipe"] for cell, row in found.found.get("seconds", {}).items()}
    if stored == {cell: describe(recipe) for cell, recipe in recipes.items()}:
        return
    found.found["seconds"] = {}  # all anew: only times of the same rounds can be compared
    rounds = {cell: [] for cell in SHAPES}
    for _ in range(ROUNDS):
        for cell, recipe in recipes.items():
            rounds[cell].append(seconds_an_epoch(recipe, *build_datasets(recipe), share=0.25))
    for cell, recipe in recipes.items():
        epoch = round(statistics.median(rounds[cell]), 2)
        found.row("seconds", cell, "epoch", recipe, lambda _, e=epoch: {"seconds": e})


def context(found: Results):
    for seed in SEEDS:
        for cell in SHAPES:
            recipe = replace(chosen(found, cell), seed=seed)
            found.row("context", cell, str(seed), recipe, by_context)


@torch.no_grad()
def by_context(recipe: Recipe) -> dict:
    """Perplexity of the same PLACES words after each number of words of CONTEXTS."""
    model, _, validset = carry_out(recipe, curve=True)
    words = validset.data
    places = torch.linspace(max(CONTEXTS), len(words) - 1, PLACES).long()
    found = {}
    for length in CONTEXTS:
        nats = []
        for some in places.split(100):
            read = words[some[:, None] - torch.arange(length, 0, -1)]
            hidden, _ = model.read(read, model.initialize(len(read)))
            nats.append(cross_entropy(model.output(hidden[:, -1]), words[some], reduction="none"))
        found[str(length)] = round(perplexity(torch.cat(nats).mean().item()), 3)
    return {"perplexity": found}


def writing(found: Results):
    for cell in SHAPES:
        found.row("writing", cell, "0", chosen(found, cell), write_words)


@torch.no_grad()
def write_words(recipe: Recipe) -> dict:
    """Milliseconds of processor time a word, and the bytes that are carried to the next one."""
    model, _, validset = carry_out(recipe, curve=True)
    lexicon = validset.data_idx, validset.idx_data
    milliseconds = []
    for seed in SEEDS:
        start = time.process_time()
        generate(model, validset.data, *lexicon, len_hist=20, len_gen=WRITTEN, seed=seed)
        milliseconds.append(1000 * (time.process_time() - start) / WRITTEN)
    _, state = model(validset.data[None, :WRITTEN], model.initialize(1))
    carried = state if isinstance(state, tuple) else (state,)
    return {
        "milliseconds": round(statistics.median(milliseconds), 3),
        "bytes": sum(part.numel() * part.element_size() for part in carried),
    }


def amount(share: float, seed: int) -> str:
    return f"{share:g} of the text, seed {seed}"


def amounts(found: Results):
    for share in sorted(SHARES):
        for cell in SHAPES:
            best = for_the_share(found, cell, share)
            for seed in SEEDS:
                recipe, key = replace(best, seed=seed), amount(share, seed)
                found.row("amounts", cell, key, recipe, lambda r, s=share: measure(r, s))


def for_the_share(found: Results, cell: str, share: float) -> Recipe:
    """The recipe of the whole, with the better of two numbers of epochs for a share of the text."""
    best, lowest = chosen(found, cell), float("inf")
    for factor in (1.0, share**-0.5):
        recipe = replace(best, epochs=round(chosen(found, cell).epochs * factor))
        key = f"{share:g} of the text, {recipe.epochs} epochs"
        row = found.row("amount_trials", cell, key, recipe, lambda r: measure(r, share))
        if row["first_half"] is not None and row["first_half"] < lowest:
            best, lowest = recipe, row["first_half"]
    return best


def three_books(found: Results):
    for cell in SHAPES:
        best = after_three_books(found, cell)
        for seed in SEEDS:
            found.row("three_books", cell, str(seed), replace(best, seed=seed), measure)


def after_three_books(found: Results, cell: str) -> Recipe:
    """The recipe of the own book, and before it the same on three; the better of two rates."""
    own, lowest = chosen(found, cell), float("inf")
    for factor in (1.0, 1 / 3):
        first = replace(own, name=f"{cell}_first", epochs=FIRST_EPOCHS)
        rate = round(own.learning_rate * factor, 4)
        recipe = replace(own, name=f"{cell}_after_{rate}", learning_rate=rate, first=first)
        row = found.row("three_books_trials", cell, str(rate), recipe, measure)
        if row["first_half"] is not None and row["first_half"] < lowest:
            best, lowest = recipe, row["first_half"]
    return best


def summary(found: dict) -> dict:
    """What lesson 8 and the table show of results/recurrence.json, by network.

    trials: perplexity on the first half, None where a training diverged; chosen: what the best
    recipe has; perplexity, first_half, curve: one for each seed; the others as in the file.
    """
    return {cell: summary_of(found, cell) for cell in SHAPES}


def summary_of(found: dict, cell: str) -> dict:
    runs = [found["runs"][cell][str(seed)] for seed in SEEDS]
    chosen = ("hidden_size", "hidden_layers", "learning_rate", "recurrent_factor", "dropout")
    return {
        "trials": [trial["first_half"] for trial in found["trials"][cell].values()],
        "chosen": {name: runs[0]["recipe"][name] for name in (*chosen, "epochs")},
        "weights": runs[0]["weights"],
        "perplexity": [run["perplexity"] for run in runs],
        "first_half": [run["first_half"] for run in runs],
        "second_half": [run["second_half"] for run in runs],
        "training": [run["training"] for run in runs],
        "curve": [run["curve"] for run in runs],
        "seconds": found["seconds"][cell]["epoch"]["seconds"],
        "amounts": {
            f"{share:g}": [found["amounts"][cell][amount(share, s)]["perplexity"] for s in SEEDS]
            for share in complete_shares(found)
        },
        "three_books": [found["three_books"][cell][str(s)]["perplexity"] for s in SEEDS],
        "context": {
            str(length): [found["context"][cell][str(s)]["perplexity"][str(length)] for s in SEEDS]
            for length in CONTEXTS
        },
        "writing": {name: found["writing"][cell]["0"][name] for name in ("milliseconds", "bytes")},
    }


def complete_shares(found: dict) -> list[float]:
    """Those of SHARES with which all networks were trained from all seeds."""
    rows = found.get("amounts", {})
    return [
        share
        for share in SHARES
        if all(amount(share, seed) in rows.get(cell, {}) for cell in SHAPES for seed in SEEDS)
    ]


def tables(found: dict) -> str:
    """Markdown: the networks with their trials, what the whole text gives, what less of it does."""
    rows = summary(found)
    shares = complete_shares(found)
    chosen = {
        TITLES[cell]: [
            f"{row['chosen']['hidden_layers']} × {row['chosen']['hidden_size']}",
            f"{row['weights']:,}",
            ", ".join("diverged" if t is None else f"{t:.1f}" for t in row["trials"]),
        ]
        for cell, row in rows.items()
    }
    whole = {
        TITLES[cell]: [
            spread(row["perplexity"]),
            f"{statistics.mean(row['training']):.1f}",
            f"{row['seconds']:.1f}",
            f"{row['writing']['milliseconds']:.2f}",
            f"{row['writing']['bytes']:,}",
        ]
        for cell, row in rows.items()
    }
    less = {
        TITLES[cell]: [spread(v) for v in (row["three_books"], *row["amounts"].values())]
        for cell, row in rows.items()
    }
    heads = ["perplexity", "in training", "seconds an epoch", "ms a word", "bytes carried"]
    return "\n\n".join(
        [
            lines_of(["layers × units", "weights", "trials, first half"], chosen),
            lines_of(heads, whole),
            lines_of(["three books", *(f"{share:g} of the text" for share in shares)], less),
        ]
    )


def lines_of(heads: list[str], cells: dict[str, list[str]]) -> str:
    """Markdown: a line for each network."""
    lines = [["network", *heads], ["---", *["---:"] * len(heads)]]
    lines += [[name, *found] for name, found in cells.items()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: list[float]) -> str:
    """The mean, and the lowest and the highest."""
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


PARTS = {
    part.__name__: part for part in (trials, runs, seconds, context, writing, amounts, three_books)
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all, so")
    found = Results()
    for name in parser.parse_args().parts or PARTS:
        PARTS[name](found)


if __name__ == "__main__":
    main()
