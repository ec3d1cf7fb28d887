"""The sampled training loss against the whole softmax."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from blg561.language_model import checkpoints, experiment, recipes
from blg561.language_model.dataset import ContinuingRows, Dataset, evaluation_loader
from blg561.language_model.models import GatedModel
from blg561.language_model.softmax import sampled_loss
from blg561.language_model.training import evaluate, train

V, H = 12, 5


@pytest.fixture
def layer():
    torch.manual_seed(3)
    return torch.nn.Linear(H, V, dtype=torch.float64)


@pytest.fixture
def hidden(layer):
    return torch.randn(V, H, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("words", [V, V + 1, 10 * V])
def test_with_every_word_it_is_the_loss_itself(layer, hidden, words):
    target = torch.tensor([0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11])
    inputs = hidden, layer.weight, layer.bias
    expected = cross_entropy(layer(hidden), target)
    loss = sampled_loss(layer, hidden, target, words)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    ours, theirs = torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs)
    for mine, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("target", [0, 2, 3, 11])
@pytest.mark.parametrize("words", [6, 7])
@torch.no_grad()
def test_the_mean_denominator_is_that_of_the_softmax(layer, hidden, words, target):
    """Its standard error over 1000 draws is about 1 % here."""
    row, wanted = 3 * hidden[:1], torch.tensor([target])
    logits = layer(row)[0]
    losses = torch.stack([sampled_loss(layer, row, wanted, words) for _ in range(1000)])
    denominators = (losses + logits[target]).exp()
    assert denominators.std() > 0
    assert denominators.mean() == pytest.approx(logits.exp().sum().item(), rel=0.05)


def test_words_that_are_neither_frequent_nor_drawn_nor_a_target_get_no_gradient(layer, hidden):
    sampled_loss(layer, hidden, torch.full((V,), 8), 6).backward()
    used = (layer.weight.grad != 0).any(dim=1)
    assert used[:3].all() and used[8]
    assert used.sum() in (6, 7)  # the target may be among the drawn


@pytest.fixture
def training(text_file, tmp_path):
    """Trains a small network from its seed in a folder of tmp_path; its weights and history."""
    trainset, validset = Dataset(9, text_file), Dataset(9, text_file, train=False)
    rows = DataLoader(trainset, batch_sampler=ContinuingRows(trainset, 6))
    criterion = torch.nn.CrossEntropyLoss()

    def run(epochs, folder, **options):
        torch.manual_seed(0)
        model = GatedModel(len(trainset.unique_data), 8, 8, 1, 9, dropout=0.2, tie_weights=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        loaders = rows, evaluation_loader(validset)
        log = train(
            *loaders, model, optimizer, criterion, epochs, folder=tmp_path / folder,
            precision="float32", **options,
        )  # fmt: skip
        assert evaluate(model, criterion, loaders[1]) == log["validation_loss"][-1]
        return model.output.weight.detach(), log

    return run


def test_a_training_with_sampled_words_is_resumed_and_evaluated_exactly(training):
    whole, log = training(3, "whole", sampled_words=10)
    training(1, "cut", sampled_words=10)
    resumed, again = training(3, "cut", sampled_words=10, resume=True)
    assert torch.equal(whole, resumed)
    assert again["validation_loss"] == log["validation_loss"]
    exact, history = training(3, "exact")
    assert not torch.equal(whole, exact)
    assert log["train_loss"] == pytest.approx(history["train_loss"], rel=0.05)
    assert log["train_loss"][-1] < log["train_loss"][0]


def test_a_training_with_sampled_words_is_another_than_one_without(training):
    training(1, "models", sampled_words=10)
    with pytest.raises(checkpoints.CheckpointError, match=r"sampled_words 10, now None"):
        training(2, "models", resume=True)
    with pytest.raises(ValueError, match="sampled_words must be at least 1, got 0"):
        training(1, "other", sampled_words=0)


@pytest.mark.parametrize("words", [10, None])
def test_a_recipe_says_how_many_words(text_file, tmp_path, words):
    recipe = recipes.Recipe("few", "rnn", "SGD", 0.1, epochs=1, hidden_size=4, batch_size=4)
    recipe = replace(recipe, seq_length=9, sampled_words=words)
    experiment.run(recipe, *experiment.build_datasets(recipe, text_file), folder=tmp_path)
    assert checkpoints.load(tmp_path / "few.pt")["recipe"]["sampled_words"] == words
