"""`evaluate`: compute the exact validation perplexity of a network."""

import json
from argparse import Namespace

from blg561.commands.options import (
    BOOK_HELP,
    add_network,
    asked,
    find_text,
    load_network,
    print_protocol,
)
from blg561.language_model import recipes


def add_to(add):
    parser = add(
        evaluate,
        "evaluate",
        "compute the exact validation perplexity of a network on a text",
        "",
        "--recipe rnn --json",
        "--model models/practice/lstm.pt --book practice",
        "--model models/text-my/lstm.pt --text my.txt",
    )
    parser.add_argument("--book", metavar="KEY", default="pride_prejudice", help=BOOK_HELP)
    parser.add_argument("--text", metavar="FILE", help="score this text instead of the book")
    add_network(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def evaluate(arguments) -> int:
    book, path = find_text(arguments)
    name, *network = load_network(arguments)
    from blg561.language_model import scoring

    score = scoring.score(*network, path)
    score["protocol"] |= other_books(arguments)
    if arguments.json:
        told = {"book": book.key, "title": book.title, "model": name}
        print(json.dumps(told | score | {"target_perplexity": book.target_perplexity}, indent=2))
        return 0
    print(f"{name} on {book.title}")
    print_protocol(score["protocol"])
    left_out = score["tokens_left_out"]
    print(
        f"validation perplexity {score['perplexity']:.2f}, {score['loss']:.4f} nats or "
        f"{score['bits']:.4f} bits a token{asked(book)}"
        + (f"; {left_out:,} tokens left out" if left_out else "")
    )
    return 0


def other_books(arguments: Namespace) -> dict[str, str]:
    """What the protocol says of a provided network that has read more than its book."""
    if arguments.model is not None or recipes.find(arguments.recipe).first is None:
        return {}
    return {"trained": "on the other two novels whole, then on the training part of its own book"}
