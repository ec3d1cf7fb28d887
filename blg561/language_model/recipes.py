"""The three trainings that the assignment asks for, as data, and the steps that carry one out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from blg561.language_model.dataset import ContinuingRows, Dataset, evaluation_loader
from blg561.language_model.models import GatedModel, LanguageModel, RNNModel
from blg561.language_model.training import train


@dataclass(frozen=True)
class Recipe:
    """All that decides a training, given the book.

    `network` is "rnn", "lstm" or "gru". The learning rate falls along half a cosine from
    `learning_rate` to zero; the recurrent layers take steps `recurrent_factor` times as large.
    `eps` is AdamW's, `clip_val` the gradient's largest norm or None.
    """

    name: str
    network: str
    optimizer: str
    learning_rate: float
    recurrent_factor: float
    clip_val: float | None
    dropout: float
    eps: float = 1e-4
    epochs: int = 12
    hidden_size: int = 256
    embedding_dropout: float = 0.05
    hidden_layers: int = 1
    batch_size: int = 20
    seq_length: int = 35
    seed: int = 0


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="rnn",
            network="rnn",
            optimizer="AdamW",
            learning_rate=0.004,
            recurrent_factor=0.1,
            clip_val=None,
            dropout=0.45,
        ),
        Recipe(
            name="rnn_clipped",
            network="rnn",
            optimizer="SGD",
            learning_rate=20.0,
            recurrent_factor=0.1,
            clip_val=0.25,
            dropout=0.4,
        ),
        Recipe(
            name="lstm",
            network="lstm",
            optimizer="AdamW",
            learning_rate=0.01,
            recurrent_factor=1.0,
            clip_val=None,
            dropout=0.5,
            eps=3e-5,
        ),
    )
}


def build_datasets(recipe: Recipe, path) -> tuple[Dataset, Dataset]:
    """The training and the validation part of the book at `path`."""
    return Dataset(recipe.seq_length, path), Dataset(recipe.seq_length, path, train=False)


def build_loaders(recipe: Recipe, trainset, validset) -> tuple[DataLoader, DataLoader]:
    """Rows that continue: `batch_size` of them in training, a single one for exact evaluation."""
    rows = ContinuingRows(trainset, recipe.batch_size)
    return DataLoader(trainset, batch_sampler=rows), evaluation_loader(validset)


def build_model(recipe: Recipe, trainset: Dataset, device="cpu") -> LanguageModel:
    """The network with seeded weights, tied, its output bias at the unigram model."""
    torch.manual_seed(recipe.seed)
    arguments = {
        "ntoken": len(trainset.unique_data),
        "embed_size": recipe.hidden_size,
        "hidden_size": recipe.hidden_size,
        "hidden_layers": recipe.hidden_layers,
        "seq_length": recipe.seq_length,
        "dropout": recipe.dropout,
        "embedding_dropout": recipe.embedding_dropout,
        "tie_weights": True,
        "device": device,
    }
    if recipe.network == "rnn":
        model = RNNModel(**arguments)
    else:
        model = GatedModel(**arguments, cell=recipe.network)
    model.initialize_output_bias(trainset.counts())
    return model


def build_optimizer(recipe: Recipe, model: LanguageModel) -> torch.optim.Optimizer:
    """SGD or AdamW with a learning rate of their own for the recurrent layers.

    AdamW divides every gradient by its own running size. A word that never occurs in training
    has a tiny gradient, always in the same direction; an eps far above the usual 1e-8 keeps the
    division from turning that into full steps, which would make the word all but impossible.
    """
    recurrent = list(model.layers.parameters())
    others = [model.embedding.weight, model.output.bias]
    groups = [
        {"params": others},
        {"params": recurrent, "lr": recipe.learning_rate * recipe.recurrent_factor},
    ]
    if recipe.optimizer == "SGD":
        return torch.optim.SGD(groups, lr=recipe.learning_rate)
    return torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        betas=(0.9, 0.99),
        eps=recipe.eps,
        weight_decay=0.0,
        fused=True,  # one pass over the weights instead of one for each operation
    )


def run(recipe: Recipe, trainset, validset, device="cpu", **options) -> tuple[LanguageModel, dict]:
    """Carry out a recipe; `options` go to `train`. The trained network and its history."""
    trainloader, evalloader = build_loaders(recipe, trainset, validset)
    model = build_model(recipe, trainset, device)
    optimizer = build_optimizer(recipe, model)
    log = train(
        trainloader,
        evalloader,
        model,
        optimizer,
        torch.nn.CrossEntropyLoss(),
        nepoch=recipe.epochs,
        grad_clip=recipe.clip_val is not None,
        clip_val=recipe.clip_val or 0.0,
        scheduler=CosineAnnealingLR(optimizer, recipe.epochs),
        model_name=recipe.name,
        **options,
    )
    return model, log
