"""What several commands need: options, and what they stand for."""

import argparse
import sys
from pathlib import Path

from blg561.errors import InputError
from blg561.language_model import books

PROGRAM = "blg561" if Path(sys.argv[0]).stem == "blg561" else "python -m blg561"
BOOK_HELP = f"see `{PROGRAM} books` (default: %(default)s)"


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


def add_device(parser):
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda if there is one")


def choose_device(wanted: str | None) -> str:
    import torch

    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise InputError("--device cuda: PyTorch finds no such device here")
    return wanted or ("cuda" if has_cuda else "cpu")


def add_network(parser):
    """The options that name a network: one that comes with the package or a file."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--recipe",
        metavar="NAME",
        default="lstm",
        help="the network of this recipe, and of --book, that comes with the package "
        "(default: %(default)s)",
    )
    network.add_argument("--model", metavar="FILE", help="a checkpoint that `train` wrote")
    add_device(parser)


def load_network(arguments):
    """Its name, the network, and its lexicon."""
    from blg561.language_model import checkpoints, pretrained

    device = choose_device(arguments.device)
    if arguments.model is not None:
        return arguments.model, *checkpoints.load_model(arguments.model, device)
    name = f"{arguments.book}-{arguments.recipe}"
    return name, *pretrained.load(arguments.book, arguments.recipe, device)


def find_text(arguments) -> tuple[books.Book, Path]:
    """The text that --text or --book names."""
    if arguments.text is not None:
        return books.own_text(arguments.text), Path(arguments.text)
    path = books.find(arguments.book)
    return books.CATALOGUE[arguments.book], path


def print_protocol(protocol: dict[str, str]):
    for name, words in protocol.items():
        print(f"  {name:9s} {words}")


def asked(book: books.Book) -> str:
    target = book.target_perplexity
    return "" if target is None else f" (the assignment asks for at most {target})"
