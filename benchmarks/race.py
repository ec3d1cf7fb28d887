"""A race against the clock: minutes on two cores to a perplexity of 120, 100 and 90.

Every entry learns *Pride and Prejudice* from its training part alone, with two threads, and is
scored on the whole validation part after each epoch, until it has come to the last target, has no
epoch left, or the limit of time is over. docs/race.md has the rules.

    python -m benchmarks.race --list
    python -m benchmarks.race                       # every entry, in results/race.json
    python -m benchmarks.race lstm                  # this one alone: its row, and no other, is new
    python -m benchmarks.race lstm --limit 20 --dry     # nothing is kept

An entry more is one line more in ENTRIES. Progress goes to standard error, the table to standard
output.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import torch

from benchmarks import machine, peers, results
from benchmarks.leaderboard import text
from benchmarks.leaderboard.parts import describe
from benchmarks.peers import PeerRecipe
from blg561.language_model import experiment, training
from blg561.language_model.recipes import LADDER, Recipe, find

BOOK = "pride_prejudice"
TARGETS = 120, 100, 90
THREADS = 2
LIMIT = 240  # seconds of training and evaluation
BUSY = 0.1  # cores that others used meanwhile, above which the page says so


@dataclass(frozen=True)
class Entry:
    """One that runs: what the table calls it, and all that decides its training."""

    title: str
    recipe: Recipe | PeerRecipe

    @property
    def name(self) -> str:
        return self.recipe.name


LSTM = find("lstm")
ONE_EPOCH = replace(
    LSTM, name="one_epoch", epochs=1, batch_size=10, dropout=0.15, average_decay=0.97
)
TWO_LAYERS = replace(
    LADDER["averaged"], name="two_layers", epochs=20, sampled_words=1500, average_decay=0.997
)
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry("`word_language_model`, as it comes", peers.WORD_LANGUAGE_MODEL),
        Entry("`word_language_model` in bfloat16", peers.WORD_LANGUAGE_MODEL_AUTO),
        Entry("`awd-lstm-lm`, its recipe for PTB", peers.AWD_LSTM_LM),
        Entry("LSTM of lesson 4", LSTM),
        Entry("the same, one epoch of small batches, averaged", ONE_EPOCH),
        Entry("averaged LSTM of lesson 5 in fewer epochs, sampled softmax", TWO_LAYERS),
    )
}


class Stopped(Exception):
    """Training has come to its target or to its limit."""


class Clock:
    """Takes the place of `training.evaluate`: times it and what was between, and ends the training.

    What is between two evaluations is training: an epoch, and before the first the making of the
    network too.
    """

    def __init__(self, target: float, limit: float):
        self.target, self.limit = target, limit
        self.evaluate = training.evaluate
        self.epochs: list[dict] = []
        self.stopped = "no epoch left"
        self.since = time.perf_counter()

    def __call__(self, *arguments) -> float:
        start = time.perf_counter()
        loss = self.evaluate(*arguments)
        end = time.perf_counter()
        self.epochs.append(
            {
                "training_seconds": round(start - self.since, 3),
                "evaluation_seconds": round(end - start, 3),
                "perplexity": round(training.perplexity(loss), 3),
            }
        )
        self.since = end
        last = self.epochs[-1]["perplexity"]
        print(f"{sum(map(total, self.epochs)):.0f} s: perplexity {last:.1f}", flush=True)
        if last <= self.target:
            self.stop(f"{self.target} reached")
        if sum(map(total, self.epochs)) >= self.limit:
            self.stop("the limit")
        return loss

    def stop(self, why: str):
        self.stopped = why
        raise Stopped


def total(epoch: dict) -> float:
    return epoch["training_seconds"] + epoch["evaluation_seconds"]


def train(recipe: Recipe | PeerRecipe, path: Path, target: float, limit: float) -> Clock:
    """Carry out the recipe until its clock stops it."""
    datasets = experiment.build_datasets(recipe, path)
    carry_out = peers.run if isinstance(recipe, PeerRecipe) else experiment.run
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(sys.stderr),
        contextlib.suppress(Stopped),
    ):
        clock = Clock(target, limit)
        with mock.patch.object(training, "evaluate", clock):
            carry_out(recipe, *datasets, folder=folder, save_interval=recipe.epochs)
    return clock


def run(entry: Entry, path: Path, limit: float, targets=TARGETS) -> dict:
    """One entry in this process; its row."""
    torch.set_num_threads(THREADS)
    start = time.perf_counter(), time.process_time(), machine.used_seconds()
    clock = train(entry.recipe, path, min(targets), limit)
    wall, own = time.perf_counter() - start[0], time.process_time() - start[1]
    others = None if start[2] is None else (machine.used_seconds() - start[2] - own) / wall
    precision = getattr(entry.recipe, "precision", "auto")
    return {
        "name": entry.name,
        "recipe": describe(entry.recipe),
        "precision": training.default_precision("cpu") if precision == "auto" else precision,
        "limit_seconds": limit,
        "epochs": clock.epochs,
        "stopped": clock.stopped,
        "wall_seconds": round(wall, 3),
        "cores_used_by_others": others and round(others, 2),
        "machine": machine.describe(),
    }


def seconds_to(row: dict, target: float) -> tuple[float, float] | None:
    """Those of training, and those with the evaluations, to the first epoch at `target`."""
    for n, epoch in enumerate(row["epochs"], start=1):
        if epoch["perplexity"] <= target:
            done = row["epochs"][:n]
            return sum(e["training_seconds"] for e in done), sum(map(total, done))
    return None


def read() -> list[dict]:
    """The rows that are kept, in the order of ENTRIES, for entries as they are now."""
    kept = {row["name"]: row for row in results.read("race") or []}
    return [
        kept[name]
        for name, entry in ENTRIES.items()
        if name in kept and kept[name]["recipe"] == describe(entry.recipe)
    ]


def keep(row: dict):
    """Put the row in the place of that of the same name."""
    results.write("race", [r for r in read() if r["name"] != row["name"]] + [row])
    results.write("race", read())  # in their order


def table(rows: list[dict]) -> str:
    """Markdown: a line for each row, the seconds with the evaluations and, in brackets, without."""
    lines = [
        "| entry | precision | "
        + " | ".join(f"seconds to {target}" for target in TARGETS)
        + " | perplexity at the end | epochs | seconds in all |",
        "| --- | --- |" + " ---: |" * (len(TARGETS) + 3),
    ]
    for row in rows:
        cells = [ENTRIES[row["name"]].title, row["precision"]]
        for target in TARGETS:
            found = seconds_to(row, target)
            cells.append("{1:.1f} ({0:.1f})".format(*found) if found else "not reached")
        cells += [
            f"{row['epochs'][-1]['perplexity']:.1f}",
            len(row["epochs"]),
            f"{sum(map(total, row['epochs'])):.0f}, {row['stopped']}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def quickest(rows: list[dict]) -> str:
    """Who comes to each target first, beside what the peer needs for 120."""
    peer = next((row for row in rows if row["name"] == peers.WORD_LANGUAGE_MODEL.name), None)
    needed = peer and seconds_to(peer, TARGETS[0])
    said = []
    for target in TARGETS:
        times = {row["name"]: found for row in rows if (found := seconds_to(row, target))}
        if not times:
            said.append(f"no entry comes to {target}")
            continue
        first = min(times, key=lambda name: times[name][1])
        line = f'"{ENTRIES[first].title}" is the first at {target}, after {times[first][1]:.1f} s'
        if needed:
            line += f" ({times[first][1] / needed[1]:.2f} of what the peer needs for {TARGETS[0]})"
        said.append(line)
    return "; ".join(said) + "."


def report(rows: list[dict]) -> str:
    """All that the page shows of these rows."""
    missing = [name for name in ENTRIES if name not in {row["name"] for row in rows}]
    parts = [table(rows), quickest(rows), conditions(rows)] if rows else []
    if missing:
        parts.append(f"Not run: {', '.join(missing)}.")
    return "\n\n".join(parts)


def conditions(rows: list[dict]) -> str:
    """What the rows were measured on, and which of them on a busy machine."""
    machines = []
    for row in rows:
        said = "{cores} cores, {threads} threads, {instructions}, torch {torch}".format(
            **row["machine"]
        )
        if said not in machines:
            machines.append(said)
    measured = "Measured on " + "; ".join(machines) + "."
    used = {row["name"]: row["cores_used_by_others"] or 0.0 for row in rows}
    busy = [f"{cores:.1f} during {name}" for name, cores in used.items() if cores > BUSY]
    if busy:
        said = ", ".join(busy)
        return f"{measured} **The machine was busy**: others used some of its cores ({said})."
    return measured


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="entries (default: all)")
    parser.add_argument("--list", action="store_true", help="say which entries there are")
    parser.add_argument("--limit", type=float, default=LIMIT, help=f"seconds (default: {LIMIT})")
    parser.add_argument("--dry", action="store_true", help="keep nothing in results/race.json")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(ENTRIES):
        parser.error(f"no entry {', '.join(sorted(unknown))}: expected {', '.join(ENTRIES)}")
    if arguments.list:
        print("\n".join(f"{name}: {entry.title}" for name, entry in ENTRIES.items()))
        return
    path, new, load = text.find(BOOK), [], machine.load()
    for name in arguments.names or ENTRIES:
        print(f"== {name}", file=sys.stderr)
        row = machine.apart(run, ENTRIES[name], path, arguments.limit)
        new.append(row | {"load_before_all": load})
        if not arguments.dry:
            keep(new[-1])
    print(report(new))


if __name__ == "__main__":
    main()
