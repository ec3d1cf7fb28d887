"""The command line: `python -m blg561 books|train|evaluate|generate`.

Exit codes: 0 done, 1 the training diverged, 2 the input cannot be used, 130 interrupted by Ctrl-C.
PyTorch is imported by the commands that need it, so that help and `books` come at once.
"""

import argparse
import json
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from blg561.assignment.command import add_grade
from blg561.language_model import books

PROGRAM = "python -m blg561"
RECIPE_HELP = (
    "lstm (default), rnn, rnn_clipped: the RNN with gradient clipping, or averaged: the best "
    "network of lesson 5"
)
TRAINING_HELP = (
    f"{RECIPE_HELP}; the steps that lead to it are sgd, tied, locked_dropout, embedding_dropout, "
    "second_layer and weight_drop"
)
BOOK_HELP = f"see `{PROGRAM} books` (default: pride_prejudice)"


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    arguments = build_parser().parse_args(argv, argparse.Namespace(argv=argv))
    try:
        return arguments.command(arguments)
    except KeyboardInterrupt:
        code, message = 130, "interrupted"
    except Exception as error:
        code, message = exit_code(error), "error: " + " ".join(str(error).split())
        if code is None:
            raise
    # Not within `except`: a progress bar leaves the line only when its exception is forgotten.
    print(message, file=sys.stderr)
    return code


def exit_code(error: Exception) -> int | None:
    """None for an error that is no fault of the input: its traceback is wanted."""
    if isinstance(error, (books.BookError, OSError, ValueError)):
        return 2
    from blg561.language_model.checkpoints import CheckpointError
    from blg561.language_model.training import TrainingDiverged

    if isinstance(error, CheckpointError):
        return 2
    return 1 if isinstance(error, TrainingDiverged) else None


# ------------------------------------------------------------------------------------------------
# Arguments
# ------------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Word-level language models of Project Gutenberg books."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(command, name: str, summary: str, *examples: str) -> argparse.ArgumentParser:
        lines = [f"  {PROGRAM} {name} {example}".rstrip() for example in examples]
        added = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog="\n".join(["examples:", *lines]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # `go_on` looks for the options by their full names
        )
        added.set_defaults(command=command)
        return added

    add_books(add)
    add_train(add)
    add_evaluate(add)
    add_generate(add)
    add_grade(add)
    return parser


def whole_from(minimum: int):
    """The type of an option that is a whole number, and small enough for PyTorch."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = minimum - 1
        if not minimum <= number < 2**63:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {minimum}, got {text!r}"
            )
        return number

    return parse


# ------------------------------------------------------------------------------------------------
# books
# ------------------------------------------------------------------------------------------------


def add_books(add):
    parser = add(
        list_or_fetch,
        "books",
        "list the books and where they are, or download one",
        "",
        "--fetch tale_of_two_cities",
    )
    parser.add_argument(
        "--fetch", metavar="KEY", help="download this book unless it is here; prints its path"
    )


def list_or_fetch(arguments) -> int:
    if arguments.fetch is not None:
        print(books.find(arguments.fetch))
        return 0
    rows = [("KEY", "TITLE", "AUTHOR", "GUTENBERG", "TOKENS", "TARGET", "FILE")]
    for book in books.CATALOGUE.values():
        number, target = (str(x or "-") for x in (book.gutenberg, book.target_perplexity))
        tokens = f"{book.tokens:,}"
        rows.append((book.key, book.title, book.author, number, tokens, target, where(book)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    print("TARGET: the validation perplexity that the assignment asks for, at most.")
    return 0


def where(book: books.Book) -> str:
    try:
        return str(books.find(book.key, download=False))
    except books.BookUnavailable:
        return "not here yet"
    except books.BookError as error:  # a damaged file must not hide the other rows
        return str(error)


# ------------------------------------------------------------------------------------------------
# train
# ------------------------------------------------------------------------------------------------


def add_train(add):
    parser = add(
        train,
        "train",
        "train a network on a book",
        "",
        "--book practice --recipe rnn_clipped --epochs 3",
    )
    parser.add_argument("--book", metavar="KEY", default="pride_prejudice", help=BOOK_HELP)
    parser.add_argument("--recipe", metavar="NAME", default="lstm", help=TRAINING_HELP)
    parser.add_argument(
        "--epochs", metavar="N", type=whole_from(1), help="default: as many as the recipe has"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=whole_from(0),
        help="default: the recipe's; a resumed training keeps the one it had",
    )
    parser.add_argument(
        "--folder", type=Path, help="where NAME.pt is written (default: models/KEY)"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="auto measures which is faster here (default); a resumed training keeps its own",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint that is there"
    )
    existing.add_argument(
        "--overwrite", action="store_true", help="start anew and replace that checkpoint"
    )


def train(arguments) -> int:
    folder = arguments.folder or Path("models") / arguments.book
    path = folder / f"{arguments.recipe}.pt"
    if path.exists() and not (arguments.resume or arguments.overwrite):
        raise ValueError(
            f"{path} exists: --resume goes on from it, --overwrite replaces it, --folder names "
            "another place"
        )
    book_path = find_for_training(arguments.book)
    import torch

    from blg561.language_model import all_recipes
    from blg561.language_model.pretrained import protocol
    from blg561.language_model.recipes import build_datasets
    from blg561.language_model.training import perplexity

    given = {name: vars(arguments)[name] for name in ("epochs", "seed")}
    given = {name: value for name, value in given.items() if value is not None}
    recipe = replace(all_recipes.find(arguments.recipe), **given)
    has_cuda = torch.cuda.is_available()
    if arguments.device == "cuda" and not has_cuda:
        raise ValueError("--device cuda: PyTorch finds no such device here")
    device = arguments.device or ("cuda" if has_cuda else "cpu")
    datasets = build_datasets(recipe, book_path)
    check_writable(folder)

    book = books.CATALOGUE[arguments.book]
    print(f"training {recipe.name} on {book.title}")
    print_protocol(protocol(datasets[1]))
    print(f"  epochs    {recipe.epochs}, on {device}")
    print(f"  saved     {path}, after every epoch", flush=True)
    before = modified(path)
    try:
        _, log = all_recipes.run(
            recipe,
            *datasets,
            device,
            folder=folder,
            resume=arguments.resume,
            precision=arguments.precision,
        )
    except KeyboardInterrupt:
        saved = modified(path) != before
    else:
        print(f"validation perplexity {perplexity(log['validation_loss'][-1]):.2f}{asked(book)}")
        print(f"Now: {PROGRAM} generate --model {shlex.quote(str(path))} --prompt the")
        return 0
    print(go_on(arguments, path, saved), file=sys.stderr)
    return 130


def find_for_training(key: str) -> Path:
    try:
        return books.find(key)
    except books.BookUnavailable as error:
        raise books.BookError(
            f"{error}\nOr train on the practice corpus, which needs no network: --book practice"
        ) from error


def check_writable(folder: Path):
    """Raises OSError now rather than after the first epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def modified(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def go_on(arguments, path: Path, saved: bool) -> str:
    """What to say after Ctrl-C. A run with --overwrite must not go on from the older file."""
    if saved or (arguments.resume and path.exists()):
        given = [word for word in arguments.argv if word not in ("--resume", "--overwrite")]
        command = shlex.join([*PROGRAM.split(), *given, "--resume"])
        return f"interrupted; what was finished is in {path}. Go on with:\n  {command}"
    command = shlex.join([*PROGRAM.split(), *arguments.argv])
    return f"interrupted before the first epoch was saved. Start again with:\n  {command}"


def print_protocol(protocol: dict[str, str]):
    for name, words in protocol.items():
        print(f"  {name:9s} {words}")


def asked(book: books.Book) -> str:
    target = book.target_perplexity
    return "" if target is None else f" (the assignment asks for at most {target})"


# ------------------------------------------------------------------------------------------------
# evaluate
# ------------------------------------------------------------------------------------------------


def add_evaluate(add):
    parser = add(
        evaluate,
        "evaluate",
        "compute the exact validation perplexity of a network on a book",
        "",
        "--recipe rnn --json",
        "--model models/practice/lstm.pt --book practice",
    )
    parser.add_argument("--book", metavar="KEY", default="pride_prejudice", help=BOOK_HELP)
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--recipe", metavar="NAME", default="lstm", help=f"a provided network: {RECIPE_HELP}"
    )
    network.add_argument("--model", metavar="FILE", help="a checkpoint that `train` wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def evaluate(arguments) -> int:
    path = books.find(arguments.book)
    from blg561.language_model import checkpoints, pretrained

    if arguments.model is not None:
        name, network = arguments.model, checkpoints.load_model(arguments.model)
    else:
        name = f"{arguments.book}-{arguments.recipe}"
        network = pretrained.load(arguments.book, arguments.recipe)
    score = pretrained.score(*network, path)
    book = books.CATALOGUE[arguments.book]
    if arguments.json:
        told = {"book": book.key, "title": book.title, "model": name}
        print(json.dumps(told | score | {"target_perplexity": book.target_perplexity}, indent=2))
        return 0
    print(f"{name} on {book.title}")
    print_protocol(score["protocol"])
    print(
        f"validation perplexity {score['perplexity']:.2f}, {score['loss']:.4f} nats or "
        f"{score['bits']:.4f} bits a token{asked(book)}"
    )
    return 0


# ------------------------------------------------------------------------------------------------
# generate
# ------------------------------------------------------------------------------------------------


def add_generate(add):
    parser = add(
        generate,
        "generate",
        "let a network go on with a text",
        '--prompt "it is a truth"',
        '--prompt "it is a truth" --length 100 --temperature 0.8 --top-p 0.9 --seed 1',
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", default="it is a truth", help="default: %(default)s"
    )
    parser.add_argument(
        "--length",
        metavar="N",
        type=whole_from(1),
        default=60,
        help="words to add (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature",
        metavar="X",
        type=float,
        default=1.0,
        help="below 1 the likely words become likelier (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", metavar="K", type=whole_from(1), help="sample among the K likeliest words"
    )
    parser.add_argument(
        "--top-p",
        metavar="P",
        type=float,
        help="sample among the likeliest words that together reach the probability P",
    )
    parser.add_argument(
        "--seed", metavar="N", type=whole_from(0), help="the same seed gives the same text"
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="a checkpoint that `train` wrote (default: the LSTM provided for Pride and Prejudice)",
    )


def generate(arguments) -> int:
    from blg561.language_model import checkpoints, generation, pretrained
    from blg561.language_model.dataset import tokenize

    prompt = tokenize(arguments.prompt)
    if not prompt:
        raise ValueError(f"the prompt needs at least one word, got {arguments.prompt!r}")
    if arguments.model is not None:
        model, lexicon = checkpoints.load_model(arguments.model)
    else:
        model, lexicon = pretrained.load("pride_prejudice", "lstm")
    continuation = generation.generate(
        model,
        prompt,
        {word: index for index, word in enumerate(lexicon)},
        dict(enumerate(lexicon)),
        len_hist=len(prompt),
        len_gen=arguments.length,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    print(generation.as_text(prompt + continuation))
    return 0


if __name__ == "__main__":
    sys.exit(main())
