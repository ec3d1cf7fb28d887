"""Put trained networks into the package: `python -m tools.provide BOOK NAME [NAME …]`.

NAME is a recipe whose training on BOOK is finished: models/BOOK/NAME.pt, where the lesson and the
command line write it, or NAME.pt in --folder. What is written is described in
`blg561/language_model/pretrained/__init__.py`.
"""

import argparse
import hashlib
import platform
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import results
from blg561.language_model import (
    books,
    checkpoints,
    experiment,
    pretrained,
    recipes,
    scoring,
)
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.training import perplexity


def provide(book: books.Book, recipe: recipes.Recipe, folder: Path) -> dict:
    """Write the two files of `folder`/NAME.pt; the card that says what is in them.

    Raises BookError where the known edition of the book is not to be had, CheckpointError for a
    training that is not finished or belongs to another recipe or book.
    """
    book_path = books.find(book.key)
    if books.verify(book_path, book) is not books.Edition.KNOWN:
        raise books.BookError(f"{book_path} is not the known edition, which scores refer to")
    precision = check_finished(folder / f"{recipe.name}.pt", recipe)
    # There is no epoch left to train: this compares lexicon and recipe, and restores the weights.
    datasets = experiment.build_datasets(recipe, book_path)
    others = [] if recipe.first is None else books.find_novels(besides=book.key)
    model, log = experiment.run(recipe, *datasets, others=others, folder=folder, resume=True)

    target = pretrained.FOLDER / f"{book.key}-{recipe.name}.pt"
    lexicon = datasets[0].unique_data
    checkpoints.save(target, checkpoints.model_contents(model.half(), lexicon))
    score = scoring.score(*checkpoints.load_model(target), book_path)
    card = {
        "book": book.key,
        "title": book.title,
        "author": book.author,
        "book_sha256": book.sha256,
        "recipe": asdict(recipe),
        "protocol": score["protocol"],
        "validation_perplexity": score["perplexity"],
        "validation_loss": score["loss"],
        "validation_loss_before_rounding": log["validation_loss"][-1],
        "training_perplexity": perplexity(log["train_loss"][-1]),
        "epochs": len(log["epoch"]),
        "seconds": round(sum(log["seconds"]), 1),
        "precision": precision,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "history": log,
    }
    if recipe.first is not None:
        before = checkpoints.load(folder / f"{recipe.first.name}.pt")["log"]["seconds"]
        card["seconds_of_first"] = round(sum(before), 1)
    results.write_json(target.with_suffix(".json"), card)
    return card


def check_finished(path: Path, recipe: recipes.Recipe) -> str:
    """The precision of a training that ran to its end from the recipe's seed."""
    found = checkpoints.load(path)
    if "log" not in found:
        raise CheckpointError(f"{path} is not the checkpoint of a training")
    done, wanted = len(found["log"]["epoch"]), found["epochs"]
    if done < wanted:
        raise CheckpointError(f"{path} is not finished: {done} of {wanted} epochs are done")
    generator = torch.Generator()
    generator.set_state(found["random_state"])  # it knows the seed that it started from
    if generator.initial_seed() != recipe.seed:
        raise CheckpointError(
            f"{path} has the seed {generator.initial_seed()}, the recipe {recipe.seed}"
        )
    return found["precision"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.provide", description=__doc__)
    parser.add_argument("book", choices=books.CATALOGUE)
    parser.add_argument("names", nargs="+", metavar="name")
    parser.add_argument("--folder", type=Path, help="default: models/BOOK")
    arguments = parser.parse_args(argv)
    folder = arguments.folder or Path("models") / arguments.book
    try:
        for name in arguments.names:
            book, recipe = books.CATALOGUE[arguments.book], recipes.find(name)
            card = provide(book, recipe, folder)
            before = perplexity(card["validation_loss_before_rounding"])
            print(
                f"{book.key}-{name}: validation perplexity {card['validation_perplexity']:.3f}, "
                f"{before:.3f} before rounding to float16"
            )
    except (books.BookError, CheckpointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
