"""The ideas of awd-lstm-lm (Merity et al. 2018) as recipes, one change at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from blg561.language_model.dataset import Dataset
from blg561.language_model.models import RegularisedLSTM
from blg561.language_model.recipes import build_loaders
from blg561.language_model.training import train


@dataclass(frozen=True)
class RegularisedRecipe:
    """All that decides a training of a RegularisedLSTM, given the book.

    Plain SGD, its learning rate falling along half a cosine from `learning_rate` to
    `final_learning_rate`, with the gradient clipped to the norm `clip_val`. `average_decay` is that
    of the running mean of the weights, None for the last weights themselves. The other names are
    those of RegularisedLSTM.
    """

    name: str
    hidden_size: int = 300
    hidden_layers: int = 1
    tie_weights: bool = False
    embedding_dropout: float = 0.0
    input_dropout: float = 0.0
    hidden_dropout: float = 0.0
    output_dropout: float = 0.0
    weight_drop: float = 0.0
    learning_rate: float = 20.0
    final_learning_rate: float = 0.0
    clip_val: float = 0.25
    average_decay: float | None = None
    epochs: int = 24
    batch_size: int = 20
    seq_length: int = 35
    seed: int = 0


# a network soon knows the book by heart, the less dropout it has the sooner, and then more epochs
# make it worse
FIRST = RegularisedRecipe("sgd", epochs=5)
CHANGES = {
    "tied": dict(tie_weights=True),
    "locked_dropout": dict(input_dropout=0.4, output_dropout=0.5, epochs=16),
    "embedding_dropout": dict(embedding_dropout=0.1, epochs=20),
    "second_layer": dict(hidden_layers=2, hidden_dropout=0.3, epochs=24),
    "weight_drop": dict(weight_drop=0.4),
    # the rate stays above zero, so that there is something to average until the end
    "averaged": dict(average_decay=0.998, final_learning_rate=6.0),
}


def climb(first: RegularisedRecipe, changes: dict[str, dict]) -> dict[str, RegularisedRecipe]:
    """By name, `first` and after it one recipe for each change, made to the recipe before."""
    recipes = [first]
    for name, change in changes.items():
        recipes.append(replace(recipes[-1], name=name, **change))
    return {recipe.name: recipe for recipe in recipes}


LADDER = climb(FIRST, CHANGES)


def build_model(recipe: RegularisedRecipe, trainset: Dataset, device="cpu") -> RegularisedLSTM:
    """The network with seeded weights, its output bias at the unigram model."""
    torch.manual_seed(recipe.seed)
    model = RegularisedLSTM(
        len(trainset.unique_data),
        embed_size=recipe.hidden_size,
        hidden_size=recipe.hidden_size,
        hidden_layers=recipe.hidden_layers,
        seq_length=recipe.seq_length,
        device=device,
        tie_weights=recipe.tie_weights,
        embedding_dropout=recipe.embedding_dropout,
        input_dropout=recipe.input_dropout,
        hidden_dropout=recipe.hidden_dropout,
        output_dropout=recipe.output_dropout,
        weight_drop=recipe.weight_drop,
    )
    model.initialize_output_bias(trainset.counts())
    return model


def run(
    recipe: RegularisedRecipe, trainset, validset, device="cpu", **options
) -> tuple[RegularisedLSTM, dict]:
    """Carry out a recipe; `options` go to `train`. The trained network and its history."""
    trainloader, evalloader = build_loaders(recipe, trainset, validset)
    model = build_model(recipe, trainset, device)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)
    log = train(
        trainloader,
        evalloader,
        model,
        optimizer,
        torch.nn.CrossEntropyLoss(),
        nepoch=recipe.epochs,
        grad_clip=True,
        clip_val=recipe.clip_val,
        scheduler=CosineAnnealingLR(optimizer, recipe.epochs, recipe.final_learning_rate),
        model_name=recipe.name,
        average_decay=recipe.average_decay,
        **options,
    )
    return model, log
