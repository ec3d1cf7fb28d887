"""What carries a recipe out: its data, its network, its optimiser, its training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader

from blg561.errors import InputError
from blg561.language_model.dataset import ContinuingRows, Dataset, evaluation_loader
from blg561.language_model.endings import share_steps, start_alike
from blg561.language_model.models import (
    GatedModel,
    LanguageModel,
    RNNModel,
    TransformerModel,
)
from blg561.language_model.recipes import Recipe
from blg561.language_model.training import train


def build_datasets(recipe: Recipe, path) -> tuple[Dataset, Dataset]:
    """The training and the validation part of the book at `path`."""
    return Dataset(recipe.seq_length, path), Dataset(recipe.seq_length, path, train=False)


def build_loaders(recipe: Recipe, trainset, validset) -> tuple[DataLoader, DataLoader]:
    """Rows that continue: `batch_size` of them in training, a single one for exact evaluation."""
    rows = ContinuingRows(trainset, recipe.batch_size)
    return DataLoader(trainset, batch_sampler=rows), evaluation_loader(validset)


def build_model(recipe: Recipe, trainset: Dataset, device="cpu") -> LanguageModel:
    """The network with seeded weights, its output bias at the unigram model."""
    torch.manual_seed(recipe.seed)
    networks = {"rnn": RNNModel, "transformer": TransformerModel}
    model = networks.get(recipe.cell, GatedModel)(
        len(trainset.unique_data),
        embed_size=recipe.hidden_size,
        hidden_size=recipe.hidden_size,
        hidden_layers=recipe.hidden_layers,
        seq_length=recipe.seq_length,
        dropout=recipe.dropout,
        device=device,
        cell=recipe.cell,
        tie_weights=recipe.tie_weights,
        embedding_dropout=recipe.embedding_dropout,
        input_dropout=recipe.input_dropout,
        hidden_dropout=recipe.hidden_dropout,
        output_dropout=recipe.output_dropout,
        weight_drop=recipe.weight_drop,
        locked_masks=recipe.locked_masks,
    )
    model.initialize_output_bias(trainset.counts())
    if recipe.endings:
        start_alike(model, trainset, recipe.endings)
    return model


def build_optimizer(recipe: Recipe, model: LanguageModel) -> torch.optim.Optimizer:
    """SGD or AdamW with a learning rate of their own for the recurrent layers.

    AdamW divides every gradient by its own running size. A word that never occurs in training
    has a tiny gradient, always in the same direction; an eps far above the usual 1e-8 keeps the
    division from turning that into full steps, which would make the word all but impossible.
    """
    recurrent = list(model.layers.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith("layers.")]
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


def run(
    recipe: Recipe, trainset, validset, device="cpu", *, others=(), **options
) -> tuple[LanguageModel, dict]:
    """Carry out a recipe; `options` go to `train`. The trained network and its history.

    A recipe with a `first` is preceded by that one on the texts at the paths `others` and the
    training part, in the words of the book's lexicon (`Dataset.after`).

    Raises InputError for such a recipe without other texts.
    """
    trainloader, evalloader = build_loaders(recipe, trainset, validset)
    model = build_model(recipe, trainset, device)
    if recipe.first is not None:
        model.load_state_dict(weights_before(recipe, trainset, validset, device, others, **options))
    optimizer = build_optimizer(recipe, model)
    if recipe.endings is not None:
        share_steps(model, optimizer, trainset, recipe.endings)
    log = train(
        trainloader,
        evalloader,
        model,
        optimizer,
        torch.nn.CrossEntropyLoss(),
        nepoch=recipe.epochs,
        grad_clip=recipe.clip_val is not None,
        clip_val=recipe.clip_val or 0.0,
        scheduler=CosineAnnealingLR(optimizer, recipe.epochs, recipe.final_learning_rate),
        model_name=recipe.name,
        average_decay=recipe.average_decay,
        sampled_words=recipe.sampled_words,
        **options,
    )
    return model, log


def weights_before(recipe: Recipe, trainset, validset, device, others, **options) -> dict:
    """Weights of `recipe.first`, without those of OTHER: the network that knows it does not come.

    A softmax over the words that are left is the distribution given that it is one of them.
    """
    if not others:
        raise InputError(f"the recipe {recipe.name} reads other books first: expected their paths")
    first = replace(recipe.first, seed=recipe.seed)
    model, _ = run(first, trainset.after(others), validset, device, **options)
    of_words = ("embedding.weight", "output.weight", "output.bias")
    return {
        name: weight[:-1] if name in of_words else weight
        for name, weight in model.state_dict().items()
    }
