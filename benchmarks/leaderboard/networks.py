"""The networks of the leaderboard: trained once, and kept in models/leaderboard/."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path

import torch

from benchmarks.leaderboard import files, text
from benchmarks.leaderboard.parts import describe
from blg561.language_model import checkpoints, experiment
from blg561.language_model.models import LanguageModel
from blg561.language_model.recipes import Recipe
from blg561.language_model.systems import gradient_scale


def train(recipe: Recipe, book: str, folder: Path) -> LanguageModel:
    """The recipe carried out in `folder`, where a training that was interrupted goes on."""
    datasets = experiment.build_datasets(recipe, text.find(book))
    with contextlib.redirect_stdout(sys.stderr):
        return experiment.run(recipe, *datasets, folder=folder, resume=True, eval_interval=4)[0]


def network_file(recipe: Recipe, book: str) -> Path:
    folder = f"{recipe.name}-{recipe.seed}-{files.digest(describe(recipe))}"
    return files.MODELS / book / folder / f"{recipe.name}.pt"


@functools.lru_cache(maxsize=4)
def trained(recipe: Recipe, book: str) -> LanguageModel:
    folder = network_file(recipe, book).parent
    with files.locked(folder / "lock"):
        return train(recipe, book, folder)


def precision(recipe: Recipe, book: str) -> str:
    return checkpoints.load(network_file(recipe, book))["precision"]


@functools.lru_cache(maxsize=4)
def training_scale(recipe: Recipe, book: str) -> list[torch.Tensor]:
    datasets = experiment.build_datasets(recipe, text.find(book))
    loader, _ = experiment.build_loaders(recipe, *datasets)
    return gradient_scale(trained(recipe, book), loader)
