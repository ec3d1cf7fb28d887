"""Our LSTM recipe beside that of pytorch/examples `word_language_model`, in one run.

Both read the same book with the same tokens, lexicon and split, use the same number of threads, go
through the same training loop, and are evaluated exactly after every epoch. One runs after the
other, each in a process of its own, so that its peak memory is its own.

    python -m benchmarks.language_model
    python -m benchmarks.language_model --book practice --target 20 --epochs 5
    python -m benchmarks.language_model --epochs 12 --write    # for results/README.md

Progress goes to standard error, the table to standard output, and with --write all that was
measured to results/language_model.json.
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
from unittest import mock

import torch

from benchmarks import machine, peers, results
from blg561.language_model import books, checkpoints, experiment, recipes, training

MIB = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss counts bytes there, KiB elsewhere
SYSTEMS = {"ours": "our LSTM recipe", "peer": "word_language_model"}


def train_ours(path: Path, folder: str) -> tuple[dict, str]:
    """Our recipe, carried out as everywhere; its history and the file it leaves."""
    recipe = recipes.find("lstm")
    _, log = experiment.run(recipe, *experiment.build_datasets(recipe, path), folder=folder)
    return log, f"{recipe.name}.pt"


def train_peer(path: Path, folder: str, epochs: int) -> tuple[dict, str]:
    """The same for the peer, with that many epochs."""
    recipe = replace(peers.WORD_LANGUAGE_MODEL, epochs=epochs)
    log = peers.run(recipe, *experiment.build_datasets(recipe, path), folder=folder)
    return log, f"{recipe.name}.pt"


def peak_memory() -> float:
    """Of this process so far, in MiB."""
    import resource  # Windows has none, and needs none to show the tables

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def measure(system: str, path: Path, epochs: int, threads: int) -> dict:
    """Train one system in this process; the figures of every epoch, and the peak memory."""
    torch.set_num_threads(threads)
    evaluation_seconds = []

    def timed_evaluate(*arguments, evaluate=training.evaluate):
        start = time.perf_counter()
        loss = evaluate(*arguments)
        evaluation_seconds.append(time.perf_counter() - start)
        return loss

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(sys.stderr),
        mock.patch.object(training, "evaluate", timed_evaluate),
    ):
        if system == "ours":
            log, file = train_ours(path, folder)
        else:
            log, file = train_peer(path, folder, epochs)
        checkpoint = checkpoints.load(Path(folder) / file)
        peak = peak_memory()
    return {
        "system": SYSTEMS[system],
        "recipe": checkpoint["recipe"],
        "precision": checkpoint["precision"],
        "lexicon": len(checkpoint["lexicon"]),
        "validation_perplexity": [training.perplexity(loss) for loss in log["validation_loss"]],
        "training_seconds": log["seconds"],
        "evaluation_seconds": evaluation_seconds,
        "peak_memory_mib": peak,
    }


def summarize(run: dict, target: float) -> dict:
    """The rows of the table.

    Times to the target are its number of epochs times the median of an epoch, so that a moment in
    which the machine was busy with something else does not decide them.
    """
    perplexities = run["validation_perplexity"]
    passed = next((n for n, p in enumerate(perplexities, start=1) if p <= target), None)
    epoch = statistics.median(run["training_seconds"])
    evaluation = statistics.median(run["evaluation_seconds"])
    best = min(perplexities)
    return {
        "epochs_to_target": passed,
        "training_seconds_to_target": passed and passed * epoch,
        "total_seconds_to_target": passed and passed * (epoch + evaluation),
        "best_perplexity": best,
        "best_epoch": perplexities.index(best) + 1,
        "epochs": len(perplexities),
        "median_epoch_seconds": epoch,
        "median_evaluation_seconds": evaluation,
        "peak_memory_mib": run["peak_memory_mib"],
    }


def table(runs: list[dict], target: float) -> str:
    """Markdown: what was measured, side by side."""
    systems = [summarize(run, target) for run in runs]

    def row(label: str, form: str, *names: str) -> str:
        cells = [
            "never" if system[names[0]] is None else form.format(*(system[name] for name in names))
            for system in systems
        ]
        return f"| {label} | " + " | ".join(cells) + " |"

    lines = [
        "| | " + " | ".join(run["system"] for run in runs) + " |",
        "| --- | ---: | ---: |",
        "| precision of matrix products | " + " | ".join(run["precision"] for run in runs) + " |",
        row(f"epochs to perplexity {target:g}", "{}", "epochs_to_target"),
        row("seconds of training until then", "{:.1f}", "training_seconds_to_target"),
        row("seconds in all, evaluation included", "{:.1f}", "total_seconds_to_target"),
        row("best perplexity (after epoch)", "{:.1f} ({} of {})",
            "best_perplexity", "best_epoch", "epochs"),
        row("seconds an epoch of training, median", "{:.2f}", "median_epoch_seconds"),
        row("seconds an evaluation, median", "{:.2f}", "median_evaluation_seconds"),
        row("peak memory of the process, MiB", "{:.0f}", "peak_memory_mib"),
    ]  # fmt: skip
    return "\n".join(lines)


def ratio(runs: list[dict], target: float) -> str:
    ours, peer = (summarize(run, target) for run in runs)
    for system, name in ((ours, "ours"), (peer, "the peer")):
        if system["epochs_to_target"] is None:
            return f"{name} does not reach {target:g} in {system['epochs']} epochs"
    training_, total = (
        ours[name] / peer[name]
        for name in ("training_seconds_to_target", "total_seconds_to_target")
    )
    return (
        f"ours reaches {target:g} in {total:.2f} of the peer's time, evaluation included "
        f"({training_:.2f} of its time in training)"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--book", choices=books.CATALOGUE, default="pride_prejudice")
    parser.add_argument("--target", type=float, help="perplexity (default: the book's own target)")
    parser.add_argument("--epochs", type=int, default=20, help="of the peer (default: 20)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--write", action="store_true", help="keep the figures in results/")
    arguments = parser.parse_args()
    book = books.CATALOGUE[arguments.book]
    target = arguments.target or book.target_perplexity
    if target is None:
        parser.error(f"{book.title} has no target of its own: choose one with --target")

    path = books.find(book.key)
    runs = [
        machine.apart(measure, name, path, arguments.epochs, arguments.threads) for name in SYSTEMS
    ]
    if arguments.write:
        measured = {"book": book.key, "target": target, "threads": arguments.threads}
        measured |= {"torch": torch.__version__, "runs": runs}
        results.write("language_model", measured)
    print(
        f"{book.title}: {runs[0]['recipe']['training_tokens']:,} tokens in training, lexicon of "
        f"{runs[0]['lexicon']:,} words; torch {torch.__version__}, threads: {arguments.threads}\n"
    )
    print(f"{table(runs, target)}\n\n{ratio(runs, target)}")


if __name__ == "__main__":
    main()
