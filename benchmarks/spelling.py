"""Spelling to sound with the CMU Pronouncing Dictionary: attention, and its rival without it.

    python -m benchmarks.spelling             # trains what results/spelling.json does not have
    python -m benchmarks.spelling --write     # keeps each run there, and the network of the package
    python -m benchmarks.spelling --rates     # three learning rates, a short training each
    python -m benchmarks.spelling --trials    # two rates of dropout, by the networks before these
    python -m benchmarks.spelling --quick     # the training of two minutes, from three seeds

Both have the same sizes, the same epochs and the same rates tried, each with the better of two
rates of dropout. A run goes on where it was
interrupted, after its last epoch (models/spelling/); --fresh runs again what the file has. All
scores are of the weights as the file of a network has them, rounded to float16. What is chosen is
chosen on the validation words; the test words are scored once, at the end of a run.

Published, with other splits and mostly an older edition: of single networks, word error 23.55 % and
phoneme error 5.45 % (Yao and Zweig 2015, bidirectional LSTMs on aligned letters) and word error
25.8 % (Rao et al. 2015, LSTMs with CTC); of several models together, 21.3 % (Rao et al. 2015, the
same and n-grams), 20.24 and 4.69 % (Toshniwal and Livescu 2016, an ensemble with attention).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from benchmarks import results
from blg561.language_model.training import default_precision
from blg561.spelling import checkpoints, data, training
from blg561.spelling.recipes import ATTENTION, FIXED_VECTOR, QUICK, Recipe

SEEDS = (0, 1, 2)
TITLES = {"attention": "with attention", "fixed_vector": "without"}
RECIPES = {"attention": ATTENTION, "fixed_vector": FIXED_VECTOR}
FOLDER = Path("models/spelling")
LENGTHS = ((1, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 28))
WIDTHS = (1, 2, 4, 8)
WIDTH = 4  # that of the test words
IN_A_LINE = (1, 2, 3, 4, 5)
LINES = 500
DRAWS = 1000
EVALUATED = ("validation", "test")
# What was tried against learning the words by heart, by both networks and with seed 0. They had a
# wider decoder and one layer before it.
BEFORE = dict(hidden_size=512, encoder_layers=1, label_smoothing=0.0, epochs=14)
TRIALS = ({"dropout": 0.25}, {"dropout": 0.4})


def interval(counts: np.ndarray, of: np.ndarray) -> list[float]:
    """Σ counts / Σ of: in 95 of 100 draws of as many words, with replacement, it lies within."""
    rng = np.random.default_rng(0)
    picked = rng.integers(0, len(counts), (DRAWS, len(counts)))
    rates = counts[picked].sum(axis=1) / of[picked].sum(axis=1)
    return [round(float(rate), 5) for rate in np.percentile(rates, [2.5, 97.5])]


def describe(scores: training.Scores) -> dict:
    """Error rates with intervals over words."""
    return {
        "words": len(scores.words),
        "word_error_rate": round(scores.word_error_rate, 5),
        "word_interval": interval(scores.wrong, np.ones(len(scores.words))),
        "phoneme_error_rate": round(scores.phoneme_error_rate, 5),
        "phoneme_interval": interval(scores.edits, scores.lengths),
    }


def by_length(scores: training.Scores) -> list[dict]:
    """The same for the words of some lengths."""
    letters = np.array([len(word) for word in scores.words])
    rows = []
    for low, high in LENGTHS:
        chosen = (low <= letters) & (letters <= high)
        part = training.Scores(
            tuple(np.array(scores.words)[chosen]),
            (),
            scores.wrong[chosen],
            scores.edits[chosen],
            scores.lengths[chosen],
        )
        rows.append({"letters": [low, high], **describe(part)})
    return rows


def lines_of(words: data.Dictionary, number: int) -> data.Dictionary:
    """`LINES` lines of so many of the words, drawn from a seed and written without a gap.

    A line has every combination of its words' pronunciations.
    """
    picked = np.random.default_rng(number).choice(sorted(words), (LINES, number)).tolist()
    return {
        "".join(line): tuple(
            tuple(itertools.chain(*sounds))
            for sounds in itertools.product(*(words[word] for word in line))
        )
        for line in picked
    }


def read_aloud(model, words: data.Dictionary) -> list[dict]:
    """The phoneme error for lines of one word, of two words, and so on."""
    rows = []
    for number in IN_A_LINE:
        lines = lines_of(words, number)
        found = describe(training.evaluate(model, lines))
        letters = round(mean(map(len, lines)), 1)
        phonemes = {name: value for name, value in found.items() if name.startswith("phoneme")}
        rows.append({"words": number, "letters": letters, **phonemes})
    return rows


def bits(wrong: np.ndarray) -> str:
    """A bit for each word, in the order of `data.split`, as hexadecimal digits."""
    return np.packbits(wrong).tobytes().hex()


def from_bits(text: str, words: int) -> np.ndarray:
    """What `bits` made of so many words."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8))[:words].astype(bool)


def path_of(recipe: Recipe) -> Path:
    """Of the checkpoint of a training: a trial of other settings has another."""
    name = "attention" if recipe.attention else "fixed_vector"
    digest = hashlib.md5(repr(recipe).encode()).hexdigest()[:8]
    return FOLDER / f"{name}-{recipe.seed}-{digest}.pt"


def carry_out(recipe: Recipe, parts: dict[str, data.Dictionary]):
    """One training → the network as it is scored, the curve by epoch and its log."""
    curve_file = path_of(recipe).with_suffix(".json")
    curve = json.loads(curve_file.read_text(encoding="utf-8")) if curve_file.exists() else []

    def report(model, log):
        scores = training.evaluate(model, parts["validation"])
        row = {"epoch": len(log["loss"]), "loss": round(log["loss"][-1], 5)}
        row |= {"word_error_rate": round(scores.word_error_rate, 5)}
        row |= {"phoneme_error_rate": round(scores.phoneme_error_rate, 5)}
        del curve[row["epoch"] - 1 :]
        curve.append(row)
        results.write_json(curve_file, curve)
        print(path_of(recipe).stem, row, f"{log['seconds'][-1]:.0f} s", file=sys.stderr, flush=True)

    model, log = training.train(recipe, parts["train"], path_of(recipe), report)
    return checkpoints.rounded(model), curve, log


def run(recipe: Recipe, parts: dict[str, data.Dictionary]) -> tuple[dict, training.SpellingModel]:
    """Carry out one training; the row that describes it, and the network."""
    model, curve, log = carry_out(recipe, parts)
    scores = {part: training.evaluate(model, parts[part]) for part in EVALUATED}
    scores["test_beam"] = training.evaluate(model, parts["test"], WIDTH)
    beams = {width: training.evaluate(model, parts["validation"], width) for width in WIDTHS[1:]}
    row = {
        "attention": recipe.attention,
        "seed": recipe.seed,
        "recipe": vars(recipe),
        "parameters": sum(p.numel() for p in model.parameters()),
        "precision": default_precision("cpu"),
        "torch": torch.__version__,
        "seconds": round(sum(log["seconds"]), 1),
        "curve": curve,
        **{part: describe(found) for part, found in scores.items()},
        "by_length": by_length(scores["test"]),
        "in_a_line": read_aloud(model, parts["test"]),
        "beams": {
            1: describe(scores["validation"]),
            **{width: describe(found) for width, found in beams.items()},
        },
        "wrong": {part: bits(found.wrong) for part, found in scores.items()},
    }
    return row, model


def provide(model, row: dict):
    """Put the network into the package, and beside it what it scores."""
    checkpoints.save(checkpoints.SHIPPED, model)
    card = {name: value for name, value in row.items() if name != "wrong"}
    results.write_json(checkpoints.SHIPPED.with_suffix(".json"), card)


def some(words: data.Dictionary, n: int) -> data.Dictionary:
    """n of the words, those of the smallest hashes."""
    chosen = sorted(words, key=lambda word: hashlib.md5(word.encode()).digest())[:n]
    return {word: words[word] for word in chosen}


def rates(parts: dict[str, data.Dictionary]):
    """Three epochs on 26,000 words for each rate and network, scored on 1,500."""
    few = {part: some(parts[part], n) for part, n in dict(train=26000, validation=1500).items()}
    for rate in (0.002, 0.004, 0.008):
        for name, recipe in RECIPES.items():
            model, log = training.train(replace(recipe, learning_rate=rate, epochs=3), few["train"])
            scores = training.evaluate(model, few["validation"])
            print(f"{name}, rate {rate}: training loss {log['loss'][-1]:.3f}, ", end="")
            print(f"word error {scores.word_error_rate:.3f}", flush=True)


def trials(parts: dict[str, data.Dictionary], write: bool):
    """Every trial by each network, scored on the validation words; kept with `write`."""
    rows = results.read("spelling_trials") or []
    for change in TRIALS:
        for recipe in RECIPES.values():
            recipe = replace(recipe, **BEFORE, **change)
            if any(row["recipe"] == vars(recipe) for row in rows):
                continue
            model, curve, log = carry_out(recipe, parts)
            scores = describe(training.evaluate(model, parts["validation"]))
            seconds = round(sum(log["seconds"]), 1)
            row = {"recipe": vars(recipe), "seconds": seconds, "curve": curve}
            rows.append(row | {"validation": scores})
            print(json.dumps(scores), flush=True)
            if write:
                results.write("spelling_trials", rows)


def quick(parts: dict[str, data.Dictionary], write: bool):
    """What lesson 7 can train live; kept with `write`."""
    rows = results.read("spelling_quick") or []
    for seed in SEEDS:
        recipe = replace(QUICK, seed=seed)
        if any(row["recipe"] == vars(recipe) for row in rows):
            continue
        model, log = training.train(recipe, parts["train"])
        scores = {part: describe(training.evaluate(model, parts[part])) for part in EVALUATED}
        row = {"recipe": vars(recipe), "seconds": round(sum(log["seconds"]), 1), **scores}
        rows.append(row | {"precision": default_precision("cpu")})
        print(json.dumps(row), flush=True)
        if write:
            results.write("spelling_quick", rows)


def key(row: dict) -> tuple:
    return "attention" if row["attention"] else "fixed_vector", row["seed"]


def of(rows: list[dict], name: str) -> list[dict]:
    return [row for row in rows if key(row)[0] == name]


def trained(rows: list[dict]) -> list[str]:
    """The names of the networks that have a run."""
    return [name for name in TITLES if of(rows, name)]


def percent(rates: list[float]) -> str:
    """Their mean, and the lowest and the highest where there are several."""
    text = f"{100 * mean(rates):.1f}"
    return text if len(rates) == 1 else f"{text} ({100 * min(rates):.1f} to {100 * max(rates):.1f})"


def last_loss(rows: list[dict], name: str) -> str:
    """The mean over seeds of the training loss of the last epoch."""
    return f"{mean(row['curve'][-1]['loss'] for row in of(rows, name)):.3f}"


def table(rows: list[dict]) -> str:
    """Markdown: for each network, over its seeds, a line for greedy decoding and one for a beam."""
    lines = [
        "| | seeds | weights | word error, % | over words "
        "| phoneme error, % | over words | minutes |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in trained(rows):
        mine = of(rows, name)
        minutes = f"{mean(row['seconds'] for row in mine) / 60:.0f}"
        cells = [TITLES[name], len(mine), f"{mine[0]['parameters']:,}", *rates_of(mine, "test")]
        lines.append(line_of(*cells, minutes))
        cells = ["", "", *rates_of(mine, "test_beam"), ""]
        lines.append(line_of(f"… beam of {WIDTH}", *cells))
    return "\n".join(lines)


def rates_of(rows: list[dict], part: str) -> list[str]:
    """Both error rates over the seeds, each with the interval over words of the first seed."""
    cells = []
    for rate in ("word", "phoneme"):
        low, high = rows[0][part][f"{rate}_interval"]
        cells += [percent([row[part][f"{rate}_error_rate"] for row in rows])]
        cells += [f"{100 * low:.1f} to {100 * high:.1f}"]
    return cells


def line_of(*cells) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def parts_table(rows: list[dict], first: str, labels: list, rate_of) -> str:
    """Markdown: a line for each label, the mean error of each network over its seeds.

    rate_of: (row, the number of the label) → rate.
    """
    names = trained(rows)
    lines = [f"| {first} | " + " | ".join(TITLES[name] for name in names) + " |"]
    lines += ["| --- |" + " ---: |" * len(names)]
    for number, label in enumerate(labels):
        rates = (percent([rate_of(row, number) for row in of(rows, name)]) for name in names)
        lines.append(line_of(label, *rates))
    return "\n".join(lines)


def lengths_table(rows: list[dict]) -> str:
    """By the number of letters, test words."""
    labels = [
        f"{low} to {high}, {part['words']} words"
        for (low, high), part in zip(LENGTHS, rows[0]["by_length"], strict=True)
    ]
    return parts_table(
        rows, "letters", labels, lambda row, k: row["by_length"][k]["word_error_rate"]
    )


def beams_table(rows: list[dict]) -> str:
    """By the width of the beam, validation words."""
    return parts_table(
        rows, "width", WIDTHS, lambda row, k: row["beams"][str(WIDTHS[k])]["word_error_rate"]
    )


def curves_table(rows: list[dict]) -> str:
    """By every second epoch, validation words."""
    epochs = range(2, ATTENTION.epochs + 1, 2)
    return parts_table(
        rows, "epoch", epochs, lambda row, k: row["curve"][epochs[k] - 1]["word_error_rate"]
    )


def aloud_table(rows: list[dict]) -> str:
    """By the number of test words in a line, phoneme error."""
    labels = [f"{part['words']}, {part['letters']:.0f} letters" for part in rows[0]["in_a_line"]]
    return parts_table(
        rows, "words", labels, lambda row, k: row["in_a_line"][k]["phoneme_error_rate"]
    )


def trials_table(rows: list[dict]) -> str:
    """By the rate of dropout, validation words, seed 0."""
    lines = ["| dropout | with attention | without |", "| --- | ---: | ---: |"]
    for change in TRIALS:
        found = {
            row["recipe"]["attention"]: row["validation"]["word_error_rate"]
            for row in rows
            if row["recipe"]["dropout"] == change["dropout"]
        }
        lines.append(line_of(change["dropout"], percent([found[True]]), percent([found[False]])))
    return "\n".join(lines)


def differences(rows: list[dict], part: str) -> str:
    """In words: for each seed that both have, how far attention is below its rival."""
    found = []
    for row in of(rows, "attention"):
        for rival in of(rows, "fixed_vector"):
            if rival["seed"] == row["seed"]:
                low, high = paired(row, rival, part)
                point = rival[part]["word_error_rate"] - row[part]["word_error_rate"]
                found.append(f"{100 * point:.1f} ({100 * low:.1f} to {100 * high:.1f})")
    return ", ".join(found)


def paired(row: dict, rival: dict, part: str) -> list[float]:
    """The interval of the rival's word error less that of `row`, over draws of the same words."""
    n = row[part]["words"]
    wrong, other = (from_bits(one["wrong"][part], n).astype(float) for one in (row, rival))
    return interval(other - wrong, np.ones(n))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--trials", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    parts = data.split(data.cmu())
    if arguments.rates:
        return rates(parts)
    if arguments.trials:
        return trials(parts, arguments.write)
    if arguments.quick:
        return quick(parts, arguments.write)
    stored = {} if arguments.fresh else {key(row): row for row in results.read("spelling") or []}
    for seed in SEEDS:
        for name in RECIPES:
            recipe = replace(RECIPES[name], seed=seed)
            if stored.get((name, seed), {}).get("recipe") == vars(recipe):
                continue
            row, model = run(recipe, parts)
            stored[name, seed] = row
            print(json.dumps(row["test"]), flush=True)
            if arguments.write:
                results.write("spelling", list(stored.values()))
                if (name, seed) == ("attention", 0):
                    provide(model, row)


if __name__ == "__main__":
    main()
