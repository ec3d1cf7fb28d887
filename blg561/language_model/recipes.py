"""Every training as data: the three of the assignment, the ladder of lesson 5, three books.

What carries them out is `blg561.language_model.experiment`. This module needs no PyTorch, so that
the command line can name the recipes without waiting for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from blg561.errors import InputError

CELLS = ("rnn", "lstm", "gru", "gru_reset_first", "mingru", "fixed_factors", "transformer")
OPTIMIZERS = ("SGD", "AdamW")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training, given the book and when it is evaluated; see `training.train`.

    cell: the recurrent layer, or the transformer's block, one of CELLS.
    optimizer: "SGD" or "AdamW".
    learning_rate, final_learning_rate: the rate falls along half a cosine from one to the other.
    recurrent_factor: these layers take steps this many times as large.
    clip_val: the largest norm of the gradient, None for any.
    eps: AdamW's; see `experiment.build_optimizer`.
    average_decay: of the running mean of the weights, None for the last weights themselves.
    sampled_words: words in the softmax of a training step, None for the whole lexicon; see
        `softmax.sampled_loss`.
    hidden_size: of the recurrent layers and of the embedding.
    dropout: in all places but those that `input_dropout`, `hidden_dropout` and `output_dropout`
        set; these, `embedding_dropout`, `weight_drop` and `locked_masks` are those of
        `models.LanguageModel`.
    endings: letters of the longest ending whose words share their steps; 0 to share none, but to
        keep the words that training never showed from unlearning; None for neither. Needs SGD; see
        `endings.share_steps`.
    first: a training that comes before, on other texts and the same training part; its weights are
        where this one starts. See `experiment.run`.

    Raises InputError for another cell or optimizer, a learning rate below 0, a `clip_val` that is
    not above 0, either of them not finite, and for shared steps with an optimizer that is not SGD.
    """

    name: str
    cell: str
    optimizer: str
    learning_rate: float
    final_learning_rate: float = 0.0
    recurrent_factor: float = 1.0
    clip_val: float | None = None
    eps: float = 1e-4
    average_decay: float | None = None
    sampled_words: int | None = None
    epochs: int = 12
    hidden_size: int = 256
    hidden_layers: int = 1
    tie_weights: bool = True
    dropout: float = 0.0
    input_dropout: float | None = None
    hidden_dropout: float | None = None
    output_dropout: float | None = None
    embedding_dropout: float = 0.0
    weight_drop: float = 0.0
    locked_masks: bool = True
    batch_size: int = 20
    seq_length: int = 35
    seed: int = 0
    endings: int | None = None
    first: Recipe | None = None

    def __post_init__(self):
        for field, known in dict(cell=CELLS, optimizer=OPTIMIZERS).items():
            value = getattr(self, field)
            if value not in known:
                raise InputError(f"{field}: expected one of {', '.join(known)}, got {value!r}")
        if not 0 <= self.learning_rate < math.inf:
            raise InputError(f"learning_rate: expected 0 or more, got {self.learning_rate!r}")
        if self.clip_val is not None and not 0 < self.clip_val < math.inf:
            raise InputError(f"clip_val: expected a number above 0, got {self.clip_val!r}")
        if self.endings is not None and self.optimizer != "SGD":
            raise InputError(f"endings: steps are shared by SGD alone, got {self.optimizer}")


def by_name(*recipes: Recipe) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes}


ASSIGNMENT = by_name(
    Recipe(
        name="rnn",
        cell="rnn",
        optimizer="AdamW",
        learning_rate=0.006,
        recurrent_factor=0.1,
        dropout=0.45,
        embedding_dropout=0.05,
        sampled_words=1500,
        epochs=5,
        batch_size=10,
    ),
    Recipe(
        name="rnn_clipped",
        cell="rnn",
        optimizer="SGD",
        learning_rate=20.0,
        recurrent_factor=0.1,
        clip_val=0.25,
        dropout=0.35,
        embedding_dropout=0.05,
        sampled_words=1500,
        epochs=6,
        batch_size=10,
    ),
    Recipe(
        name="lstm",
        cell="lstm",
        optimizer="AdamW",
        learning_rate=0.01,
        eps=3e-5,
        dropout=0.5,
        embedding_dropout=0.05,
        sampled_words=1500,
        epochs=5,
    ),
)

# The ideas of awd-lstm-lm (Merity et al. 2018), one change at a time, and at the end one that is
# not theirs. A network soon knows the book by heart, the less dropout it has the sooner, and then
# more epochs make it worse.
FIRST = Recipe(
    name="sgd",
    cell="lstm",
    optimizer="SGD",
    learning_rate=20.0,
    clip_val=0.25,
    epochs=5,
    hidden_size=300,
    tie_weights=False,
)
CHANGES = {
    "tied": dict(tie_weights=True),
    "locked_dropout": dict(input_dropout=0.4, output_dropout=0.5, epochs=16),
    "embedding_dropout": dict(embedding_dropout=0.1, epochs=20),
    "second_layer": dict(hidden_layers=2, hidden_dropout=0.3, epochs=24),
    "weight_drop": dict(weight_drop=0.4),
    # the rate stays above zero, so that there is something to average until the end
    "averaged": dict(average_decay=0.998, final_learning_rate=6.0),
    "endings": dict(endings=4),
}


def climb(first: Recipe, changes: dict[str, dict]) -> dict[str, Recipe]:
    """By name, `first` and after it one recipe for each change, made to the recipe before."""
    recipes = [first]
    for name, change in changes.items():
        recipes.append(replace(recipes[-1], name=name, **change))
    return by_name(*recipes)


LADDER = climb(FIRST, CHANGES)

# Six times as much text, five sixths of it by other authors: there is little to be known by heart.
OTHERS_FIRST = replace(
    LADDER["averaged"],
    name="three_books",
    learning_rate=10.0,
    final_learning_rate=3.0,
    epochs=14,
    first=replace(
        ASSIGNMENT["lstm"],
        name="three_books_first",
        learning_rate=0.006,
        epochs=4,
        hidden_size=300,
        hidden_layers=2,
        dropout=0.25,
    ),
)
RECIPES = ASSIGNMENT | LADDER | by_name(OTHERS_FIRST)


def find(name: str) -> Recipe:
    """The recipe of that name. Raises InputError for a name that there is not (says which are)."""
    if name not in RECIPES:
        raise InputError(f"unknown recipe {name!r}: expected one of {', '.join(RECIPES)}")
    return RECIPES[name]
