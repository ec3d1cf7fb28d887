"""The networks of the leaderboard: trained once, and kept in models/leaderboard/."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path

import torch

from benchmarks.leaderboard import files, text
from benchmarks.leaderboard.parts import Provided, describe
from blg561.language_model import checkpoints, experiment, pretrained, recipes
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.dataset import Dataset
from blg561.language_model.models import LanguageModel
from blg561.language_model.recipes import Recipe
from blg561.language_model.systems import gradient_scale


def train(recipe: Recipe, book: str, folder: Path) -> LanguageModel:
    """The recipe carried out in `folder`, where a training that was interrupted goes on."""
    datasets = experiment.build_datasets(recipe, text.find(book))
    others = [] if recipe.first is None else text.others(book)
    options = dict(folder=folder, resume=True, eval_interval=4)
    with contextlib.redirect_stdout(sys.stderr):
        return experiment.run(recipe, *datasets, others=others, **options)[0]


def network_file(recipe: Recipe, book: str) -> Path:
    folder = f"{recipe.name}-{recipe.seed}-{files.digest(describe(recipe))}"
    return files.MODELS / book / folder / f"{recipe.name}.pt"


@functools.lru_cache(maxsize=4)
def trained(recipe: Recipe | Provided, book: str) -> LanguageModel:
    if isinstance(recipe, Provided):
        return provided(recipe, book)
    folder = network_file(recipe, book).parent
    with files.locked(folder / "lock"):
        return train(recipe, book, folder)


def provided(recipe: Provided, book: str) -> LanguageModel:
    """Raises CheckpointError where the package has no such network, or with another lexicon."""
    model, lexicon = pretrained.load(book, recipe.name)
    if lexicon != Dataset(1, text.find(book)).unique_data:
        raise CheckpointError(f"{recipe.name} on {book} has its lexicon in another order")
    return model


def precision(recipe: Recipe | Provided, book: str) -> str:
    """That of the training."""
    if isinstance(recipe, Provided):
        return pretrained.card(book, recipe.name)["precision"]
    return checkpoints.load(network_file(recipe, book))["precision"]


@functools.lru_cache(maxsize=4)
def training_scale(recipe: Recipe | Provided, book: str) -> list[torch.Tensor]:
    batches = recipes.find(recipe.name) if isinstance(recipe, Provided) else recipe
    datasets = experiment.build_datasets(batches, text.find(book))
    loader, _ = experiment.build_loaders(batches, *datasets)
    return gradient_scale(trained(recipe, book), loader)
