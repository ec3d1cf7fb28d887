"""What a system of the leaderboard is made of, as data: needs no PyTorch.

A part with several values for one setting is tried with each of them (`tried`). How a part becomes
a system is said in `scores`, one function for each class.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar

from blg561.language_model.recipes import Recipe, find


class Part:
    """A system by itself, or what another one is mixed with.

    cost: roughly, on one thread of a CPU that multiplies bfloat16, the seconds to score one word,
        for each word of the lexicon.
    reads_other_books: whether it was made with text of a book other than that which is scored.
    """

    cost: ClassVar[float] = 1e-8

    @property
    def reads_other_books(self) -> bool:
        recipe = getattr(getattr(self, "base", self), "recipe", None)  # a cache's is its base's
        return recipe is not None and read_others_first(recipe)

    def tried(self) -> list[dict]:
        """The settings among which one is chosen on the first half of the validation part."""
        return [{}]


@dataclass(frozen=True)
class UniformPart(Part):
    """Every word alike."""


@dataclass(frozen=True)
class NGramPart(Part):
    """Kneser-Ney n-grams of the training part; order 1 is the unigram model."""

    order: int


@dataclass(frozen=True)
class OnlineNGramPart(Part):
    """The same with counts that go on while it reads."""

    cost: ClassVar[float] = 1e-7

    order: int
    block: int = 500


@dataclass(frozen=True)
class PooledNGramPart(Part):
    """Kneser-Ney n-grams of the other two books and this one's training part, counted together."""

    reads_other_books = True

    order: int


@dataclass(frozen=True)
class OnlinePooledNGramPart(Part):
    """The same with counts that go on while it reads."""

    cost: ClassVar[float] = 4e-7
    reads_other_books = True

    order: int
    block: int = 500


@dataclass(frozen=True)
class UnseenPart(Part):
    """The words that training never showed, all alike: what the lexicon of the whole book tells."""


@dataclass(frozen=True)
class Provided:
    """In place of a recipe: the network of that recipe which comes with the package."""

    name: str


def read_others_first(recipe: Recipe | Provided) -> bool:
    """Whether the network of that recipe was trained on other books, too."""
    known = find(recipe.name) if isinstance(recipe, Provided) else recipe
    return known.first is not None


@dataclass(frozen=True)
class NetworkPart(Part):
    """A network, its weights fixed."""

    cost: ClassVar[float] = 2e-8

    recipe: Recipe | Provided


@dataclass(frozen=True)
class DynamicPart(Part):
    """Dynamic evaluation of a network; the best learning rate of several is chosen."""

    cost: ClassVar[float] = 2e-7

    recipe: Recipe | Provided
    learning_rate: tuple[float, ...] = (5e-5, 1e-4, 2e-4, 4e-4)
    epsilon: float = 2e-5
    decay: float = 0.0
    block: int = 20

    def tried(self):
        return [{"learning_rate": rate} for rate in self.learning_rate]


@dataclass(frozen=True)
class PlainStepsPart(Part):
    """Dynamic evaluation by plain SGD, one rate for all weights; the best of several is chosen."""

    cost: ClassVar[float] = 2e-7

    recipe: Recipe | Provided
    learning_rate: tuple[float, ...] = (0.25, 0.5, 1.0)
    block: int = 20

    def tried(self):
        return [{"learning_rate": rate} for rate in self.learning_rate]


@dataclass(frozen=True)
class CachePart(Part):
    """What a cache on another part expects; that part itself has to be in the mixture beside it.

    The θ is chosen that is best for the mixture of the two.
    """

    cost: ClassVar[float] = 3e-8  # beside its base's

    base: NetworkPart | DynamicPart
    size: int = 30_000
    theta: tuple[float, ...] = (0.15, 0.25, 0.35, 0.45, 0.6, 0.8, 1.1)

    def tried(self):
        return [{"theta": theta} for theta in self.theta]


def describe(value):
    """`value` as JSON has it: dataclasses with the name of their class, tuples as lists.

    A field that is None is left out: a setting that recipes are given later and that says None of
    an older one leaves the stored descriptions true.
    """
    if is_dataclass(value):
        named = {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        said = {name: item for name, item in named.items() if item is not None}
        return {"kind": type(value).__name__, **said}
    return [describe(item) for item in value] if isinstance(value, tuple) else value
