"""How good can it get: a table for each book, from the uniform distribution to the best mixture.

    python benchmarks/leaderboard.py --list                       # what is there, what is missing
    python benchmarks/leaderboard.py --write                      # builds all that is missing
    python benchmarks/leaderboard.py --write --books pride_prejudice --rows 'kneser_ney*' lstm

A row that results/leaderboard.json has with the very same recipes and settings is not built again.
What is interrupted goes on where it was: trained networks and the scores of each part of a mixture
are kept in models/leaderboard/, so that a row can be scored again without training. Several
processes may build rows at the same time. --fresh scores the chosen rows again, as is needed when
the code of scoring has changed; to train a network anew, delete its folder there too. Progress goes
to standard error, the table to standard output.

What is measured, of every word of the validation part given all that is before it:

- perplexity of the whole part, of its first half and of its second. Mixture weights, the cache's θ
  and the learning rate of dynamic evaluation are chosen on the first half, among those that the
  parts below list. What has one value there (block, epsilon, decay, size) and the networks' recipes
  were tuned in trials that looked at the whole part.
- bits per character: all bits, over the characters of the part's tokens joined by single spaces,
  also before a punctuation mark. That counts neither line ends nor what the tokens leave out, so it
  compares models of these words, however they cut them, and not models of the raw text.
- the share of the loss that falls on words which never occur in the training part.
- perplexity with the lexicon of the training part and `<unk>`. What a system gives `<unk>` is the
  sum over all words that never occur in training, and such a word counts as `<unk>` when it comes.
  The system is the same: it reads the text as it is, and nothing is trained anew.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import hashlib
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import torch
from blg561.language_model.baselines import KneserNey, Uniform
from blg561.language_model.regularised import LADDER, RegularisedRecipe
from tqdm import tqdm

from blg561.language_model import all_recipes, books, checkpoints, recipes
from blg561.language_model.dataset import Dataset
from blg561.language_model.models import LanguageModel
from blg561.language_model.recipes import Recipe
from blg561.language_model.systems import (
    BLOCK,
    Cache,
    DynamicEvaluation,
    Network,
    System,
    best_weights,
    gradient_scale,
)
from blg561.language_model.training import perplexity

SEEDS = (0, 1, 2)
T_QUANTILE = 2.086  # Student's t, 97.5 %, with the 20 degrees of freedom of ten rows of three runs
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "leaderboard.json"
MODELS = ROOT / "models" / "leaderboard"


# ------------------------------------------------------------------------------------------------
# A book
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A book as the systems read it.

    `training` and `validation` are word indices as in `Dataset.data`. The lexicon of the training
    part is `seen` (V,) true, in that order, and then `<unk>`; `place` (V,) is where each word of
    the whole lexicon has its place in it. `characters` are those of the validation tokens joined
    by single spaces.
    """

    training: torch.Tensor
    validation: torch.Tensor
    seen: torch.Tensor
    place: torch.Tensor
    characters: int

    @property
    def ntoken(self) -> int:
        return len(self.seen)

    @property
    def targets(self) -> torch.Tensor:
        return self.validation[1:]

    @property
    def half(self) -> int:
        return len(self.targets) // 2


def find(book: str) -> Path:
    """The file of the known edition, which the results refer to."""
    path = books.find(book)
    if books.verify(path, books.CATALOGUE[book]) is not None:
        raise books.BookError(f"{path} is not the known edition, which the results refer to")
    return path


@functools.cache
def read_text(book: str) -> Text:
    trainset, validset = (Dataset(1, find(book), train=train) for train in (True, False))
    seen = trainset.counts() > 0
    place = torch.where(seen, seen.cumsum(0) - 1, seen.sum())
    words = (validset.idx_data[index] for index in validset.data[1:].tolist())
    return Text(trainset.data, validset.data, seen, place, len(" ".join(words)))


# ------------------------------------------------------------------------------------------------
# What a system is made of
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UniformPart:
    def tried(self):
        return [{}]

    def build(self, book):
        return Uniform(read_text(book).ntoken)


@dataclass(frozen=True)
class NGramPart:
    order: int

    def tried(self):
        return [{}]

    def build(self, book):
        text = read_text(book)
        return KneserNey(text.training, text.ntoken, self.order)


@dataclass(frozen=True)
class NetworkPart:
    recipe: Recipe | RegularisedRecipe

    def tried(self):
        return [{}]

    def build(self, book):
        return Network(trained(self.recipe, book))


@dataclass(frozen=True)
class DynamicPart:
    """Dynamic evaluation of a network; the best learning rate of several is chosen."""

    recipe: Recipe | RegularisedRecipe
    learning_rate: tuple[float, ...] = (5e-5, 1e-4, 2e-4, 4e-4)
    epsilon: float = 2e-5
    decay: float = 0.0
    block: int = 20

    def tried(self):
        return [{"learning_rate": rate} for rate in self.learning_rate]

    def build(self, book, learning_rate):
        return DynamicEvaluation(
            trained(self.recipe, book),
            learning_rate,
            self.block,
            self.decay,
            training_scale(self.recipe, book),
            self.epsilon,
        )


@dataclass(frozen=True)
class CachePart:
    """What a cache on another part expects; that part itself has to be in the mixture beside it.

    The θ is chosen that is best for the mixture of the two.
    """

    base: NetworkPart | DynamicPart
    size: int = 30_000
    theta: tuple[float, ...] = (0.15, 0.25, 0.35, 0.45, 0.6, 0.8, 1.1)

    def tried(self):
        return [{"theta": theta} for theta in self.theta]

    def build(self, book, theta):
        base = self.base.build(book, **choose(self.base, book))
        return Cache(base, self.size, theta, weight=1.0)


Part = UniformPart | NGramPart | NetworkPart | DynamicPart | CachePart


@dataclass(frozen=True)
class Row:
    """A line of the table: one system, a mixture of its parts, or one of them for each seed."""

    book: str
    name: str
    title: str
    systems: tuple[tuple[Part, ...], ...]


# ------------------------------------------------------------------------------------------------
# The rows
# ------------------------------------------------------------------------------------------------

BOOKS = "pride_prejudice", "tale_of_two_cities", "the_brothers_karamazov"
TITLES = {
    "lstm": "LSTM, lesson 4",
    "sgd": "LSTM, large-step SGD, no dropout",
    "tied": "+ tied weights",
    "locked_dropout": "+ locked dropout",
    "embedding_dropout": "+ embedding dropout",
    "second_layer": "+ a second layer",
    "weight_drop": "+ weight drop",
    "averaged": "+ averaged weights: the best network",
}
BEST = list(LADDER.values())[-1]
# The Brothers Karamazov is three times as long: half the passes are still more steps
BEST_OF = {book: BEST for book in BOOKS} | {"the_brothers_karamazov": replace(BEST, epochs=12)}


def baselines(book: str) -> Iterator[Row]:
    yield Row(book, "uniform", "uniform", ((UniformPart(),),))
    yield Row(book, "unigram", "unigram", ((NGramPart(1),),))
    for order in range(2, 6):
        yield Row(book, f"kneser_ney_{order}", f"Kneser-Ney {order}-gram", ((NGramPart(order),),))


def single(book: str, recipe: Recipe | RegularisedRecipe, seeds=SEEDS) -> Row:
    """A network by itself, once for each seed."""
    runs = tuple((NetworkPart(replace(recipe, seed=seed)),) for seed in seeds)
    title = TITLES[recipe.name]
    if book != "pride_prejudice":
        title = title.removeprefix("+ averaged weights: ")  # here it stands without the ladder
    return Row(book, recipe.name, title, runs)


def beyond(book: str) -> Iterator[Row]:
    """What is put on top of the best network, one thing at a time."""
    networks = [NetworkPart(replace(BEST, seed=seed)) for seed in SEEDS]

    def on_top(name: str, title: str, parts: Callable[[NetworkPart], tuple[Part, ...]]) -> Row:
        return Row(book, name, f"best network, {title}", tuple(map(parts, networks)))

    yield on_top("with_uniform", "uniform", lambda network: (network, UniformPart()))
    yield on_top("with_unigram", "unigram", lambda network: (network, NGramPart(1)))
    yield on_top("with_kneser_ney", "Kneser-Ney 5-gram", lambda network: (network, NGramPart(5)))
    yield on_top("with_cache", "cache", lambda network: (network, CachePart(network)))
    yield on_top("dynamic", "dynamic evaluation", lambda network: (DynamicPart(network.recipe),))
    yield Row(book, "seeds", "best network, mixture of three seeds", (tuple(networks),))


def everything(book: str, *seeds: int) -> tuple[Part, ...]:
    """All together: dynamic evaluation of one network for each seed, and a cache on the first."""
    rates, thetas = {}, {}
    if book == "the_brothers_karamazov":  # a pass is five times the work: little is tried
        rates, thetas = {"learning_rate": (1e-4, 2e-4)}, {"theta": (0.8,)}
    networks = [DynamicPart(replace(BEST_OF[book], seed=seed), **rates) for seed in seeds]
    return (*networks, CachePart(networks[0], **thetas), NGramPart(5), UniformPart())


def rows_of(book: str) -> Iterator[Row]:
    yield from baselines(book)
    yield single(book, recipes.RECIPES["lstm"])
    if book == "pride_prejudice":
        for recipe in LADDER.values():
            yield single(book, recipe)
            # these two have fewer epochs than the rungs above them, and are shown with both
            if recipe.name in ("locked_dropout", "embedding_dropout"):
                longer = single(book, replace(recipe, epochs=BEST.epochs))
                name = f"{recipe.name}_{BEST.epochs}"
                yield replace(longer, name=name, title=f"the same for {BEST.epochs} epochs")
        yield from beyond(book)
    else:
        yield single(book, BEST_OF[book])
    one = tuple(everything(book, seed) for seed in SEEDS)
    yield Row(book, "all_one", "all together, one network", one)
    if book == "pride_prejudice":
        three = everything(book, *SEEDS)
        yield Row(book, "all_three", "all together, three networks", (three,))


ROWS = tuple(row for book in BOOKS for row in rows_of(book))


def parts_of(row: Row) -> list[Part]:
    return [part for parts in row.systems for part in parts]


def networks(row: Row) -> set[Recipe | RegularisedRecipe]:
    """The recipes of all networks that the row needs."""
    parts = (part.base if isinstance(part, CachePart) else part for part in parts_of(row))
    return {part.recipe for part in parts if isinstance(part, NetworkPart | DynamicPart)}


# ------------------------------------------------------------------------------------------------
# Networks
# ------------------------------------------------------------------------------------------------


def describe(value):
    """`value` as JSON has it: dataclasses with the name of their class, tuples as lists."""
    if is_dataclass(value):
        named = {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__name__, **named}
    return [describe(item) for item in value] if isinstance(value, tuple) else value


def digest(description) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:12]


@contextlib.contextmanager
def locked(path: Path):
    """Within it no other process is within the same `path`, which is made for the purpose."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def train(recipe: Recipe | RegularisedRecipe, book: str, folder: Path) -> LanguageModel:
    """The recipe carried out in `folder`, where a training that was interrupted goes on."""
    datasets = recipes.build_datasets(recipe, find(book))
    with contextlib.redirect_stdout(sys.stderr):
        return all_recipes.run(recipe, *datasets, folder=folder, resume=True, eval_interval=4)[0]


def network_file(recipe: Recipe | RegularisedRecipe, book: str) -> Path:
    folder = f"{recipe.name}-{recipe.seed}-{digest(describe(recipe))}"
    return MODELS / book / folder / f"{recipe.name}.pt"


@functools.lru_cache(maxsize=4)
def trained(recipe: Recipe | RegularisedRecipe, book: str) -> LanguageModel:
    folder = network_file(recipe, book).parent
    with locked(folder / "lock"):
        return train(recipe, book, folder)


def precision(recipe: Recipe | RegularisedRecipe, book: str) -> str:
    return checkpoints.load(network_file(recipe, book))["precision"]


@functools.lru_cache(maxsize=4)
def training_scale(recipe: Recipe | RegularisedRecipe, book: str) -> list[torch.Tensor]:
    loader, _ = recipes.build_loaders(recipe, *recipes.build_datasets(recipe, find(book)))
    return gradient_scale(trained(recipe, book), loader)


# ------------------------------------------------------------------------------------------------
# Scores
# ------------------------------------------------------------------------------------------------


class Scores(NamedTuple):
    """Nats of each word (n,): with the lexicon of the book, and with that of training and <unk>."""

    whole: torch.Tensor
    unk: torch.Tensor


def with_unk(distributions: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """(n, V) → (n, seen words + 1): the last column is the sum of all words that are not `seen`."""
    unseen = distributions[:, ~seen].sum(dim=1, keepdim=True)
    return torch.cat([distributions[:, seen], unseen], dim=1)


def score(system: System, text: Text, words: int) -> Scores:
    """Scores of the first `words` of the validation part, as `System.score` has them."""
    system.reset()
    parts = []
    for start in tqdm(range(0, words, BLOCK), leave=False, unit="block"):
        targets = text.targets[start : min(start + BLOCK, words)]
        p = system.predict(text.validation[start : start + len(targets)])
        p_unk = with_unk(p, text.seen)
        parts.append((nats(p, targets), nats(p_unk, text.place[targets])))
    return Scores(*map(torch.cat, zip(*parts, strict=True)))


def nats(distributions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -distributions.gather(1, targets[:, None])[:, 0].log()


# with --fresh the files of scores written since, which alone are trusted then
rewritten: set[Path] | None = None


def stored_scores(part: Part, book: str, settings: dict, words: int) -> Scores:
    """`score` of a part with one choice of settings, from its file if there is one."""
    key = digest([describe(part) | settings | base_settings(part, book), words])
    path = MODELS / book / "scores" / f"{key}.pt"
    with locked(path.with_suffix(".lock")):
        if path.exists() and (rewritten is None or path in rewritten):
            contents = checkpoints.load(path)
            return Scores(contents["whole"], contents["unk"])
        scores = score(part.build(book, **settings), read_text(book), words)
        checkpoints.save(path, scores._asdict())
        if rewritten is not None:
            rewritten.add(path)
    say(f"{book}: {type(part).__name__} {settings or ''} scored {words:,} words")
    return scores


def base_settings(part: Part, book: str) -> dict:
    if not isinstance(part, CachePart):
        return {}
    return {"base": describe(part.base) | choose(part.base, book)}


def choose(part: Part, book: str) -> dict:
    """The best of the settings that a part tries, on the first half of the validation part."""
    tried = part.tried()
    if len(tried) == 1:
        return tried[0]
    half = read_text(book).half
    beside = []
    if isinstance(part, CachePart):
        beside = [scores_of(part.base, book).whole[:half]]
    losses = []
    for settings in tried:
        scores = [*beside, stored_scores(part, book, settings, half).whole]
        losses.append(mix(scores, best_weights(scores)).mean().item())
    return tried[losses.index(min(losses))]


def scores_of(part: Part, book: str) -> Scores:
    """Scores of the whole validation part, with the settings that were chosen on its first half."""
    return stored_scores(part, book, choose(part, book), len(read_text(book).targets))


def mix(scores: Iterable[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Nats (n,) of an `Interpolation` from those of its parts: the probabilities' weighted mean."""
    weights = torch.tensor(weights, dtype=torch.float64)[:, None]
    return -torch.logsumexp(weights.log() - torch.stack(list(scores)), dim=0)


# ------------------------------------------------------------------------------------------------
# A row
# ------------------------------------------------------------------------------------------------


def build(row: Row) -> dict:
    """The row as the file of results has it; takes as long as what it needs and is not stored."""
    start = time.perf_counter()
    text = read_text(row.book)
    results = [measure(parts, row.book) for parts in row.systems]
    return {
        "book": row.book,
        "name": row.name,
        "systems": describe(row.systems),
        "results": results,
        "precision": sorted({precision(recipe, row.book) for recipe in networks(row)}),
        "unseen_words": round((~text.seen[text.targets]).double().mean().item(), 5),
        "seconds": round(time.perf_counter() - start, 1),
        "torch": torch.__version__,
    }


def measure(parts: tuple[Part, ...], book: str) -> dict:
    """What one system reaches, with the settings and weights chosen for it."""
    text = read_text(book)
    scores = [scores_of(part, book) for part in parts]
    weights = best_weights([s.whole[: text.half] for s in scores])
    whole, unk = (mix(kind, weights) for kind in zip(*scores, strict=True))
    return {
        **figures(Scores(whole, unk), text),
        "weights": [round(weight, 5) for weight in weights],
        "settings": [choose(part, book) for part in parts],
    }


def figures(scores: Scores, text: Text) -> dict:
    whole, unk = scores
    unseen = ~text.seen[text.targets]
    return {
        "perplexity": round(perplexity(whole.mean().item()), 3),
        "first_half": round(perplexity(whole[: text.half].mean().item()), 3),
        "second_half": round(perplexity(whole[text.half :].mean().item()), 3),
        "bits_per_character": round(whole.sum().item() / math.log(2) / text.characters, 4),
        "unseen_share": round((whole[unseen].sum() / whole.sum()).item(), 4),
        "perplexity_unk": round(perplexity(unk.mean().item()), 3),
    }


def networks_of(book: str) -> list[dict]:
    """The stored rows of a book that are a single network and nothing else."""
    alone = (
        row
        for row in ROWS
        if row.book == book and all([*map(type, parts)] == [NetworkPart] for parts in row.systems)
    )
    return [stored for row in alone if (stored := find_stored(row))]


def spread(row: dict, rows: list[dict]) -> tuple[float, float]:
    """Where one more run of `row` comes out in 95 of 100 cases, if runs are normal.

    The prediction interval of Student's t, mean ± t · s · √(1 + 1/3). s² is the mean over `rows`,
    the ten networks of one book, of the variance between three seeds: the three of one row alone
    would say little about their own spread.
    """
    runs = [[result["perplexity"] for result in stored["results"]] for stored in rows]
    if [*map(len, runs)] != [3] * 10:
        raise ValueError(f"ten rows of three runs are needed, got runs {[*map(len, runs)]}")
    s = math.sqrt(statistics.mean(map(statistics.variance, runs)))
    margin = T_QUANTILE * s * math.sqrt(1 + 1 / 3)
    mean = statistics.mean(result["perplexity"] for result in row["results"])
    return mean - margin, mean + margin


def retrain(row: Row, folder: Path) -> float:
    """The perplexity of the row's first network, trained anew in `folder`."""
    (part,) = row.systems[0]
    text = read_text(row.book)
    network = Network(train(part.recipe, row.book, folder))
    return perplexity(network.score(text.validation).mean().item())


# ------------------------------------------------------------------------------------------------
# The file and the table
# ------------------------------------------------------------------------------------------------


def read() -> list[dict]:
    """All rows of the file."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def write(new: dict):
    """Put one row into the file as it is now, which another process may have changed meanwhile."""
    order = [(row.book, row.name) for row in ROWS]
    with locked(MODELS / "results.lock"):
        rows = {(row["book"], row["name"]): row for row in [*read(), new]}
        known = [rows.pop(key) for key in order if key in rows]
        RESULTS.parent.mkdir(exist_ok=True)
        partial = RESULTS.with_suffix(".partial")
        partial.write_text(json.dumps([*known, *rows.values()], indent=2) + "\n", encoding="utf-8")
        os.replace(partial, RESULTS)


def find_stored(row: Row) -> dict | None:
    for stored in read():
        if (stored["book"], stored["name"]) == (row.book, row.name):
            return stored
    return None


def is_current(stored: dict | None, row: Row) -> bool:
    return stored is not None and stored["systems"] == describe(row.systems)


def as_code(rows: list[dict]) -> str:
    """Python text: MEASURED[book][row] are the perplexities of the row's runs."""
    lines = ["MEASURED = {"]
    for book, mine in by_book(rows).items():
        lines.append(f'    "{book}": {{')
        for row in mine:
            perplexities = [result["perplexity"] for result in row["results"]]
            lines.append(f'        "{row["name"]}": {perplexities},')
        lines.append("    },")
    return "\n".join([*lines, "}"])


def by_book(rows: list[dict]) -> dict[str, list[dict]]:
    books_in_order = dict.fromkeys(row["book"] for row in rows)
    return {book: [row for row in rows if row["book"] == book] for book in books_in_order}


COLUMNS = (
    "perplexity",
    "first_half",
    "second_half",
    "bits_per_character",
    "unseen_share",
    "perplexity_unk",
)
HEADER = (
    "| system | perplexity | lowest to highest | standard deviation | first half | second half "
    "| bits per character | loss on unseen words | with `<unk>` |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def table(rows: list[dict]) -> str:
    """Markdown: for each book a line about it and its rows, means where there are several seeds."""
    titles = {(row.book, row.name): row.title for row in ROWS}
    parts = []
    for book, mine in by_book(rows).items():
        parts.append(
            f"**{books.CATALOGUE[book].title}** ({mine[0]['unseen_words']:.1%} of the validation "
            "words never occur in training)"
        )
        lines = (line(titles[book, row["name"]], row["results"]) for row in mine)
        parts.append("\n".join([HEADER, *lines]))
    return "\n\n".join(parts)


def line(title: str, results: list[dict]) -> str:
    mean = {name: statistics.mean(result[name] for result in results) for name in COLUMNS}
    values = [result["perplexity"] for result in results]
    several = len(values) > 1
    cells = [
        title,
        f"{mean['perplexity']:.1f}",
        f"{min(values):.1f} to {max(values):.1f}" if several else "",
        f"{statistics.stdev(values):.2f}" if several else "",
        f"{mean['first_half']:.1f}",
        f"{mean['second_half']:.1f}",
        f"{mean['bits_per_character']:.3f}",
        f"{mean['unseen_share']:.1%}",
        f"{mean['perplexity_unk']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


# ------------------------------------------------------------------------------------------------
# The command
# ------------------------------------------------------------------------------------------------

# As measured on one thread of a CPU that multiplies bfloat16: multiplications a second in training,
# and seconds to score one word, for each word of the lexicon. A cache adds its own to its base's.
TRAINING_SPEED = 2e10
SCORING = {
    UniformPart: 1e-8,
    NGramPart: 1e-8,
    NetworkPart: 2e-8,
    DynamicPart: 2e-7,
    CachePart: 3e-8,
}


def expected_minutes(row: Row) -> float:
    """Roughly what building the row takes, given the networks that are there, but no scores."""
    text = read_text(row.book)
    scoring = sum(map(seconds_a_pass, parts_of(row))) * len(text.targets) * text.ntoken
    training = 0.0
    for recipe in networks(row):
        if not network_file(recipe, row.book).exists():
            size = recipe.hidden_size
            products = size * text.ntoken + 8 * recipe.hidden_layers * size**2
            training += recipe.epochs * len(text.training) * products / TRAINING_SPEED
    return (scoring + training) / 60


def seconds_a_pass(part: Part) -> float:
    """For the whole once, and half of it for each of several settings that are tried."""
    one = SCORING[type(part)] + (SCORING[type(part.base)] if isinstance(part, CachePart) else 0)
    tried = len(part.tried())
    return one * (1 + tried / 2 if tried > 1 else 1)


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def listing(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        stored = find_stored(row)
        if is_current(stored, row):
            mean = statistics.mean(result["perplexity"] for result in stored["results"])
            state = f"perplexity {mean:.1f}"
        else:
            state = "missing" if stored is None else "stored with other settings"
            state += f", about {expected_minutes(row):.1f} minutes"
        lines.append(f"{row.book:24} {row.name:20} {state}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--books", nargs="+", choices=BOOKS, default=BOOKS)
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="PATTERN", help="names of rows")
    parser.add_argument("--list", action="store_true", help="say what is there and what is missing")
    parser.add_argument("--write", action="store_true", help=f"keep the rows in {RESULTS.name}")
    parser.add_argument("--fresh", action="store_true", help="score the chosen rows again")
    arguments = parser.parse_args()

    named = [row for row in ROWS if any(fnmatch(row.name, p) for p in arguments.rows)]
    if not named:
        parser.error(f"no row is named {' or '.join(arguments.rows)}; --list shows the names")
    chosen = [row for row in named if row.book in arguments.books]
    if arguments.list:
        print(listing(chosen))
        return
    global rewritten
    rewritten = set() if arguments.fresh else None
    built = []
    for row in chosen:
        stored = find_stored(row)
        if is_current(stored, row) and not arguments.fresh:
            built.append(stored)
            continue
        say(f"{row.book}, {row.name}: about {expected_minutes(row):.1f} minutes")
        built.append(build(row))
        if arguments.write:
            write(built[-1])
        say(f"{row.book}, {row.name}: {built[-1]['seconds']:.0f} s, {built[-1]['results']}")
    print(table(built))


if __name__ == "__main__":
    main()
