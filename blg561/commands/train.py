"""`train`: train a network on a book or on one's own text."""

import os
import shlex
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

from blg561.commands.options import (
    BOOK_HELP,
    PROGRAM,
    add_device,
    asked,
    choose_device,
    find_text,
    print_protocol,
    whole_from,
)
from blg561.errors import InputError
from blg561.language_model import books, recipes

RECIPES_HELP = (
    f"{', '.join(recipes.ASSIGNMENT)} (lesson 4), a step of the ladder of lesson 5: "
    f"{', '.join(recipes.LADDER)}, or {recipes.OTHERS_FIRST.name}, which reads the other books of "
    "the three first (default: %(default)s)"
)


def add_to(add):
    parser = add(
        train,
        "train",
        "train a network on a book or on your own text",
        "",
        "--book practice --recipe rnn_clipped --epochs 3",
        "--text my.txt",
    )
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--book", metavar="KEY", default="pride_prejudice", help=BOOK_HELP)
    text.add_argument("--text", metavar="FILE", help="your own text, UTF-8, instead of a book")
    parser.add_argument("--recipe", metavar="NAME", default="lstm", help=RECIPES_HELP)
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=whole_from(1),
        help="default: as many as the recipe has; a resumed training keeps its own",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole_from(0),
        help="default: the recipe's; a resumed training keeps its own",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where RECIPE.pt is written (default: models/KEY, for my.txt models/text-my)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="auto (default) is bfloat16 where the processor multiplies it; a resumed training "
        "keeps its own",
    )
    add_device(parser)
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint that is there"
    )
    existing.add_argument(
        "--overwrite", action="store_true", help="start anew and replace that checkpoint"
    )
    parser.add_argument("--quiet", action="store_true", help="print the result alone")


def train(arguments) -> int:
    recipe = recipes.find(arguments.recipe)
    book, text = find_for_training(arguments)
    path = (arguments.folder or Path("models") / book.key) / f"{recipe.name}.pt"
    from blg561.language_model import experiment
    from blg561.language_model.training import check_place, perplexity

    device = choose_device(arguments.device)
    recipe = settle(recipe, arguments, path)
    datasets = experiment.build_datasets(recipe, text)
    others = [] if recipe.first is None else books.find_novels(besides=book.key)
    check_place(path, resume=True, overwrite=True)
    files = [path] if recipe.first is None else [path, path.with_name(f"{recipe.first.name}.pt")]
    before = {file: modified(file) for file in files}
    try:
        with silence(arguments.quiet):
            announce(recipe, book, datasets, device, path)
            _, log = experiment.run(
                recipe,
                *datasets,
                device,
                others=others,
                folder=path.parent,
                resume=arguments.resume,
                overwrite=arguments.overwrite,
                precision=arguments.precision,
            )
    except KeyboardInterrupt:
        saved = [file for file in files if modified(file) != before[file]]
        if arguments.resume:
            saved += filter(os.path.exists, files)
    else:
        print(f"validation perplexity {perplexity(log['validation_loss'][-1]):.2f}{asked(book)}")
        if not arguments.quiet:
            print(f"Now: {PROGRAM} generate --model {shlex.quote(str(path))}")
        return 0
    print(go_on(arguments, saved), file=sys.stderr)
    return 130


def find_for_training(arguments) -> tuple[books.Book, Path]:
    try:
        return find_text(arguments)
    except books.BookUnavailable as error:
        raise InputError(
            f"{error}\nOr train on the practice corpus, which needs no network: --book practice"
        ) from error


def settle(recipe: recipes.Recipe, arguments, path: Path) -> recipes.Recipe:
    """The recipe with what was given, or else what the training at `path` that goes on has.

    Raises InputError for a file that is neither to go on nor to be replaced, and for a training
    that cannot go on for as many epochs as asked.
    """
    given = {name: vars(arguments)[name] for name in ("epochs", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    if not os.path.exists(path) or arguments.overwrite:
        return replace(recipe, **given)
    if not arguments.resume:
        raise InputError(
            f"{path} exists: --resume goes on from it, --overwrite replaces it, --folder names "
            "another place"
        )
    from blg561.language_model import checkpoints

    found = checkpoints.load(path)
    kept = {}
    if "epochs" in found:  # else `run` says that it is no training
        checkpoints.check_training(path, found)
        kept = {"epochs": found["epochs"], "seed": found["recipe"]["seed"]}
    if kept and given.get("epochs", kept["epochs"]) != kept["epochs"]:
        raise InputError(
            f"{path} belongs to a training of {kept['epochs']} epochs: from its first epoch on the "
            f"learning rate has fallen so that it ends there, and {given['epochs']} epochs are "
            f"another training. Leave --epochs out to finish this one, or start that one anew with "
            f"--overwrite or another --folder"
        )
    return replace(recipe, **kept | given)


@contextmanager
def silence(wanted: bool):
    """Within it nothing is printed, if that is wanted, and no progress bar drawn."""
    if not wanted:
        yield
        return
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def announce(recipe: recipes.Recipe, book: books.Book, datasets, device: str, path: Path):
    from blg561.language_model import experiment
    from blg561.language_model.scoring import protocol

    trainloader, _ = experiment.build_loaders(recipe, *datasets)
    print(f"training {recipe.name} on {book.title}")
    print_protocol(protocol(datasets[1]))
    print(f"  epochs    {recipe.epochs} of {len(trainloader):,} batches, on {device}")
    print(f"  saved     {path}, after every epoch", flush=True)


def modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if os.path.exists(path) else None


def go_on(arguments, saved: list[Path]) -> str:
    """What to say after Ctrl-C. A run with --overwrite must not go on from the older file."""
    if saved:
        given = [word for word in arguments.argv if word not in ("--resume", "--overwrite")]
        command = shlex.join([*PROGRAM.split(), *given, "--resume"])
        return f"interrupted; what was finished is in {saved[0]}. Go on with:\n  {command}"
    command = shlex.join([*PROGRAM.split(), *arguments.argv])
    return f"interrupted before the first epoch was saved. Start again with:\n  {command}"
