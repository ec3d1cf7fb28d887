"""How much the rows of a board owe to the pages that they were scored on.

    python -m benchmarks.leaderboard.bootstrap            # shows results/bootstrap.json
    python -m benchmarks.leaderboard.bootstrap --write    # measures: about ten minutes on one core
    python -m benchmarks.leaderboard.bootstrap --board three_books --write

--board own_book, the default, is about rows of the first table; --board three_books about all rows
of that board, and keeps results/three_books_bootstrap.json. There the gain is over the same system
with the counts of its own book in place of those of three: it says what the other two bring.

A circular block bootstrap (Politis and Romano 1992) over the validation part: texts as long as it
are put together from blocks of 500 successive words that start anywhere, the score of each word
staying what it is. An interval has 95 of 100 of them in it. The gain of one row over another is
taken on the same blocks, so that a hard page, which is hard for both, does not count.

The intervals are over text alone: one network, seed 0 as it comes with the package, with the
settings that results/leaderboard.json has for that seed. Mixture weights are fitted once, on the
first half of the part as it is. How much seeds matter is said in results/leaderboard.json.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import numpy as np

from benchmarks import results
from benchmarks.leaderboard import rows, scores, table
from benchmarks.leaderboard.parts import (
    NGramPart,
    OnlineNGramPart,
    OnlinePooledNGramPart,
    Part,
    PooledNGramPart,
    Provided,
)
from blg561.language_model.books import CATALOGUE

BOOK = "pride_prejudice"
BLOCK, DRAWS, SEED = 500, 10_000, 0
INTERVAL = "95 % interval over text"
TEXTS = ("book", "system", "gain over")  # columns that hold no figures
# each with the row that it is compared with
ROWS = {
    "kneser_ney_5": "unigram",
    "averaged": "kneser_ney_5",
    "endings": "averaged",
    "with_uniform": "averaged",
    "with_kneser_ney": "averaged",
    "with_cache": "averaged",
    "dynamic": "averaged",
    "all_one": "dynamic",
    "all_one_endings": "all_one",
}


def of_seed_0(row: rows.Row) -> tuple[Part, ...]:
    """The row's first system, with the provided network and the settings that were chosen."""
    chosen = table.find_stored(row)["results"][0]["settings"]
    provided = {}
    for part, settings in zip(row.systems[0], chosen, strict=True):
        changes = {name: (value,) for name, value in settings.items()}
        if hasattr(part, "recipe"):
            changes["recipe"] = Provided(part.recipe.name)
        if hasattr(part, "base"):
            changes["base"] = provided[part.base]
        provided[part] = replace(part, **changes)
    return tuple(provided.values())


def block_sums(values: np.ndarray, block: int) -> np.ndarray:
    """For each place of the text (n,) the sum of the block that starts there, the end joined on."""
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: block - 1]]))])
    return around[block:] - around[:-block]


def drawn_means(values: np.ndarray, block: int, draws: int, seed: int) -> np.ndarray:
    """The mean of `values` (n,) in each drawn text; with one seed they are the same texts."""
    blocks = math.ceil(len(values) / block)
    starts = np.random.default_rng(seed).integers(0, len(values), (draws, blocks))
    return block_sums(values, block)[starts].sum(axis=1) / (blocks * block)


def interval(values: np.ndarray) -> list[float]:
    """From the 2.5th to the 97.5th percentile of the drawn means."""
    return np.percentile(drawn_means(values, BLOCK, DRAWS, SEED), [2.5, 97.5]).tolist()


def measure() -> dict:
    named = {row.name: row for row in rows.ROWS if row.book == BOOK}
    nats, found = {}, []
    for name in dict.fromkeys([*ROWS.values(), *ROWS]):
        whole, weights = scores.mixed(of_seed_0(named[name]), BOOK)
        nats[name] = whole.whole.numpy()
        weights = [round(weight, 5) for weight in weights]
        found.append({"name": name, **figures(nats[name]), "weights": weights})
        scores.say(f"{name}: {found[-1]}")
    gains = [
        {"name": name, "over": other, **gain(nats[name], nats[other])}
        for name, other in ROWS.items()
    ]
    settings = {"book": BOOK, "block": BLOCK, "draws": DRAWS, "seed": SEED}
    return {**settings, "rows": found, "gains": gains}


def has_a_rival(row: rows.Row) -> bool:
    """Whether the package has a network that read this book alone, if the row needs one.

    The row that is there to be repeated is left out: what three books bring others show better.
    """
    quick = any(recipe.name == rows.QUICK_OTHERS_FIRST.name for recipe in row.recipes())
    return not row.recipes() or (row.book == BOOK and not quick)


def measure_three_books() -> dict:
    found = []
    for row in filter(has_a_rival, rows.THREE_BOOKS.rows):
        systems = row.systems[0], without_others(row.systems[0])
        nats, alone = (scores.mixed(parts, row.book)[0].whole.numpy() for parts in systems)
        found.append(
            {
                "book": row.book,
                "name": row.name,
                **figures(nats),
                "alone": figures(alone),
                "gain": gain(nats, alone),
            }
        )
        scores.say(f"{found[-1]}")
    return {"block": BLOCK, "draws": DRAWS, "seed": SEED, "rows": found}


def without_others(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The same system with counts, and the network, of its own book in place of those of three."""
    return tuple(dict.fromkeys(map(own_part, parts)))


def own_part(part: Part) -> Part:
    alone = {PooledNGramPart: NGramPart, OnlinePooledNGramPart: OnlineNGramPart}
    if type(part) in alone:
        return alone[type(part)](**vars(part))
    if hasattr(part, "base"):
        return replace(part, base=own_part(part.base))
    return replace(part, recipe=Provided(rows.AVERAGED.name)) if part.reads_other_books else part


def figures(nats: np.ndarray) -> dict:
    return {
        "perplexity": round(math.exp(nats.mean()), 3),
        "interval": [round(math.exp(bound), 2) for bound in interval(nats)],
    }


def gain(nats: np.ndarray, other: np.ndarray) -> dict:
    """In nats a word; above 0 where the row is the better one."""
    difference = other - nats
    return {
        "nats": round(difference.mean(), 4),
        "interval": [round(bound, 4) for bound in interval(difference)],
    }


def markdown(measured: dict) -> str:
    """The table of either board: figures with their intervals, and what they are compared with."""
    head, lines = (own_book_lines if "gains" in measured else three_books_lines)(measured)
    rules = ["---" if name in TEXTS else "---:" for name in head]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rules, *lines])


def own_book_lines(measured: dict) -> tuple[list[str], list[list[str]]]:
    titles = {row.name: row.plain_title for row in rows.ROWS if row.book == measured["book"]}
    gains = {found["name"]: [titles[found["over"]], *written(found)] for found in measured["gains"]}
    head = ["system", "perplexity", INTERVAL, "gain over", "nats a word", INTERVAL]
    return head, [
        [titles[row["name"]], *written(row), *gains.get(row["name"], [""] * 3)]
        for row in measured["rows"]
    ]


def three_books_lines(measured: dict) -> tuple[list[str], list[list[str]]]:
    titles = {(row.book, row.name): row.title for row in rows.THREE_BOOKS.rows}
    head = ["book", "system", "perplexity", INTERVAL, "without the other two", INTERVAL]
    return [*head, "gain, nats a word", INTERVAL], [
        [
            f"*{CATALOGUE[row['book']].title}*",
            titles[row["book"], row["name"]],
            *(cell for found in (row, row["alone"], row["gain"]) for cell in written(found)),
        ]
        for row in measured["rows"]
    ]


def written(found: dict) -> list[str]:
    """The cells of a perplexity, or of a gain in nats a word, and of its interval."""
    value, digits = (found["nats"], 3) if "nats" in found else (found["perplexity"], 1)
    low, high = found["interval"]
    return [f"{value:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"]


MEASURES = {
    "own_book": ("bootstrap", measure),
    "three_books": ("three_books_bootstrap", measure_three_books),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="measure and keep the results")
    parser.add_argument(
        "--board", choices=MEASURES, default="own_book", help="own_book if not named"
    )
    arguments = parser.parse_args()
    file, measured = MEASURES[arguments.board]
    if arguments.write:
        results.write(file, measured())
    print(markdown(results.read(file)))


if __name__ == "__main__":
    main()
