"""The rows of the two boards, as data: needs no PyTorch.

A row more is one `yield` more below. Of the systems here nothing is built or scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.leaderboard.parts import (
    CachePart,
    DynamicPart,
    NetworkPart,
    NGramPart,
    OnlineNGramPart,
    OnlinePooledNGramPart,
    Part,
    PlainStepsPart,
    PooledNGramPart,
    Provided,
    UniformPart,
    UnseenPart,
)
from blg561.language_model.recipes import LADDER, OTHERS_FIRST, Recipe, find

SEEDS = (0, 1, 2)
BOOKS = "pride_prejudice", "tale_of_two_cities", "the_brothers_karamazov"
TITLES = {
    "lstm": "LSTM, lesson 4, for 12 epochs",
    "sgd": "LSTM, large-step SGD, no dropout",
    "tied": "+ tied weights",
    "locked_dropout": "+ locked dropout",
    "embedding_dropout": "+ embedding dropout",
    "second_layer": "+ a second layer",
    "weight_drop": "+ weight drop",
    "averaged": "+ averaged weights: the averaged network",
    "endings": "+ steps shared by words that end alike: the best network",
    "lstm_three_books": "LSTM, lesson 4, after one epoch on three books",
    "three_books": "LSTM, three books first, then this one",
}
# lesson 4's, as it was before it had fewer epochs and a sampled softmax
LSTM = replace(find("lstm"), epochs=12, sampled_words=None)
BEST = list(LADDER.values())[-1]
AVERAGED = LADDER["averaged"]  # what adapts was tried with this one, before there was a better one

# two minutes of training, so that `make test` can repeat it
QUICK_OTHERS_FIRST = replace(
    find("lstm"),
    name="lstm_three_books",
    first=replace(find("lstm"), name="lstm_three_books_first", epochs=1),
)

# the books that a network reads after the other two
READ_LAST = ("pride_prejudice", "tale_of_two_cities")


@dataclass(frozen=True)
class Row:
    """A line of the table: one system, a mixture of its parts, or one of them for each seed."""

    book: str
    name: str
    title: str
    systems: tuple[tuple[Part, ...], ...]

    @property
    def plain_title(self) -> str:
        """The title where the rows of the ladder are not above it."""
        return self.title.rpartition(": ")[2]

    def parts(self) -> list[Part]:
        return [part for parts in self.systems for part in parts]

    @property
    def reads_other_books(self) -> bool:
        return any(part.reads_other_books for part in self.parts())

    def recipes(self) -> set[Recipe | Provided]:
        """Those of all networks that the row needs."""
        parts = [getattr(part, "base", part) for part in self.parts()]  # a cache's network
        return {part.recipe for part in parts if hasattr(part, "recipe")}


def baselines(book: str) -> Iterator[Row]:
    yield Row(book, "uniform", "uniform", ((UniformPart(),),))
    yield Row(book, "unigram", "unigram", ((NGramPart(1),),))
    for order in range(2, 6):
        yield Row(book, f"kneser_ney_{order}", f"Kneser-Ney {order}-gram", ((NGramPart(order),),))
    online = "Kneser-Ney 5-gram, counts going on"
    yield Row(book, "kneser_ney_5_online", online, ((OnlineNGramPart(5),),))


def single(book: str, recipe: Recipe) -> Row:
    """A network by itself, once for each seed."""
    runs = tuple((NetworkPart(replace(recipe, seed=seed)),) for seed in SEEDS)
    return Row(book, recipe.name, TITLES[recipe.name], runs)


def for_book(recipe: Recipe, book: str) -> Recipe:
    """The Brothers Karamazov is three times as long: half the passes are still more steps."""
    return replace(recipe, epochs=12) if book == "the_brothers_karamazov" else recipe


def ladder(book: str) -> Iterator[Row]:
    for recipe in LADDER.values():
        yield single(book, recipe)
        # these two have fewer epochs than the rungs above them, and are shown with both
        if recipe.name in ("locked_dropout", "embedding_dropout"):
            longer = single(book, replace(recipe, epochs=BEST.epochs))
            name = f"{recipe.name}_{BEST.epochs}"
            yield replace(longer, name=name, title=f"the same for {BEST.epochs} epochs")


def beyond(book: str) -> Iterator[Row]:
    """What is put on top of the averaged network, one thing at a time."""
    networks = [NetworkPart(replace(AVERAGED, seed=seed)) for seed in SEEDS]

    def on_top(name: str, title: str, parts: Callable[[NetworkPart], tuple[Part, ...]]) -> Row:
        return Row(book, name, f"averaged network, {title}", tuple(map(parts, networks)))

    yield on_top("with_uniform", "uniform", lambda network: (network, UniformPart()))
    # what the lexicon gives away, for the network as it comes with the package
    known = NetworkPart(Provided(AVERAGED.name)), UnseenPart()
    title = "averaged network, told by the lexicon which words are new (seed 0, as shipped)"
    yield Row(book, "lexicon_known", title, (known,))
    yield on_top("with_unigram", "unigram", lambda network: (network, NGramPart(1)))
    yield on_top("with_kneser_ney", "Kneser-Ney 5-gram", lambda network: (network, NGramPart(5)))
    yield on_top("with_cache", "cache", lambda network: (network, CachePart(network)))
    yield on_top("dynamic", "dynamic evaluation", lambda network: (DynamicPart(network.recipe),))
    plain = (PlainStepsPart(Provided(AVERAGED.name)),)
    title = "averaged network, plain SGD steps while it reads (seed 0, as shipped)"
    yield Row(book, "plain_steps", title, (plain,))
    yield Row(book, "seeds", "averaged network, mixture of three seeds", (tuple(networks),))


def everything(book: str, recipe: Recipe, counts: Part, *seeds: int) -> tuple[Part, ...]:
    """All together: dynamic evaluation of one network for each seed, and a cache on the first."""
    rates, thetas = {}, {}
    if book == "the_brothers_karamazov" or recipe is BEST:
        # a pass is long: what is tried is what was chosen, for one book or another, among more
        rates, thetas = {"learning_rate": (1e-4, 2e-4)}, {"theta": (0.8,)}
    recipe = for_book(recipe, book)
    networks = [DynamicPart(replace(recipe, seed=seed), **rates) for seed in seeds]
    return (*networks, CachePart(networks[0], **thetas), counts, UniformPart())


def rows_of(book: str) -> Iterator[Row]:
    yield from baselines(book)
    yield single(book, LSTM)
    if book == "pride_prejudice":
        yield from ladder(book)
        yield from beyond(book)
    else:
        averaged = single(book, for_book(AVERAGED, book))
        yield replace(averaged, title="the averaged network")
        best = single(book, for_book(BEST, book))
        yield replace(best, title="the best network")
    yield from together(book)


def together(book: str) -> Iterator[Row]:
    """All together with each of two networks, and for the first book with three seeds of it."""
    counts, going_on = NGramPart(5), OnlineNGramPart(5)
    averaged = tuple(everything(book, AVERAGED, counts, seed) for seed in SEEDS)
    best = tuple(everything(book, BEST, going_on, seed) for seed in SEEDS)
    yield Row(book, "all_one", "all together, averaged network", averaged)
    if book == "pride_prejudice":
        three = everything(book, AVERAGED, counts, *SEEDS)
        yield Row(book, "all_three", "all together, three averaged networks", (three,))
    yield Row(book, "all_one_endings", "all together, best network, counts going on", best)
    if book == "pride_prejudice":
        title = "all together, three best networks, counts going on"
        three = everything(book, BEST, going_on, *SEEDS)
        yield Row(book, "all_three_endings", title, (three,))


def pooled_rows(book: str) -> Iterator[Row]:
    """The rows of the board of three books.

    Without a training there are mixtures with the network that comes with the package and has read
    this book alone; what has read three is trained.
    """
    static, online = PooledNGramPart(5), OnlinePooledNGramPart(5)
    title = "Kneser-Ney 5-gram, three books"
    yield Row(book, "pooled", title, ((static,),))
    yield Row(book, "pooled_online", f"{title}, counts going on", ((online,),))
    counts = online, OnlineNGramPart(5), UniformPart()
    title = "counts of three books and of this one, both going on, uniform"
    yield Row(book, "pooled_and_own", title, (counts,))
    if book == "pride_prejudice":
        title = "averaged network (seed 0, as shipped)"
        recipe = Provided(AVERAGED.name)
        network = NetworkPart(recipe)
        mixed = network, static, UniformPart()
        yield Row(book, "network_pooled", f"{title}, counts of three books, uniform", (mixed,))
        # what the first half chose for seed 0 on the board of the own book
        dynamic = DynamicPart(recipe, learning_rate=(1e-4,))
        adapted = dynamic, CachePart(dynamic, theta=(0.8,))
        mixed = *adapted, static, UniformPart()
        title = "all together, one network (seed 0, as shipped)"
        yield Row(book, "all_pooled", f"{title}, counts of three books", (mixed,))
        both = f"{title}, counts of three books and of this one, both going on"
        yield Row(book, "all_pooled_online", both, ((*adapted, *counts),))
        yield single(book, QUICK_OTHERS_FIRST)
    if book in READ_LAST:
        yield single(book, OTHERS_FIRST)
        networks = [DynamicPart(replace(OTHERS_FIRST, seed=seed)) for seed in SEEDS]
        adapted = [(network, CachePart(network, theta=(0.8,))) for network in networks]
        title = "all together, one network, three books first, and both counts"
        yield Row(book, "all_three_books", title, tuple((*parts, *counts) for parts in adapted))


@dataclass(frozen=True)
class Board:
    """Rows that may read the same texts, in a file of their own.

    title, reads: the name of the board, and a sentence on what its rows may read.
    file: the name of its file in results/, without ".json".
    """

    title: str
    reads: str
    file: str
    rows: tuple[Row, ...]


ROWS = tuple(row for book in BOOKS for row in rows_of(book))
OWN_BOOK = Board(
    "Own book",
    "Before the validation part a row reads the training part of the same book and nothing else.",
    "leaderboard",
    ROWS,
)
THREE_BOOKS = Board(
    "Three books",
    "Before the validation part a row reads the training part of the same book, and the other two "
    "books whole.",
    "three_books",
    tuple(row for book in BOOKS for row in pooled_rows(book)),
)
BOARDS = {"own_book": OWN_BOOK, "three_books": THREE_BOOKS}
