"""The recipes: what is built from them, and that all of it trains."""

from dataclasses import replace

import pytest
import torch

from blg561.language_model import recipes
from blg561.language_model.recipes import RECIPES

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(params=RECIPES)
def recipe(request):
    """Each recipe, for a network that trains in a moment."""
    return replace(RECIPES[request.param], hidden_size=8, epochs=2, batch_size=4, seq_length=9)


def test_every_weight_is_optimised_once_at_its_rate(recipe, text_file):
    model = recipes.build_model(recipe, recipes.build_datasets(recipe, text_file)[0])
    groups = recipes.build_optimizer(recipe, model).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates)
    assert set(rates) == {id(p) for p in model.parameters()}
    for name, parameter in model.named_parameters():
        factor = recipe.recurrent_factor if name.startswith("layers") else 1
        assert rates[id(parameter)] == pytest.approx(factor * recipe.learning_rate)


def test_the_network_starts_as_the_unigram_model(recipe, text_file):
    trainset, _ = recipes.build_datasets(recipe, text_file)
    model = recipes.build_model(recipe, trainset)
    share = (trainset.counts() + 1) / (trainset.counts() + 1).sum()
    torch.testing.assert_close(model.output.bias.softmax(0), share)
    assert model.output.weight is model.embedding.weight


def test_a_seed_decides_everything(recipe, text_file, tmp_path):
    def weights(seed):
        seeded = replace(recipe, seed=seed)
        model, _ = recipes.run(seeded, *recipes.build_datasets(seeded, text_file), folder=tmp_path)
        return torch.nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_training_learns_and_the_rate_falls(recipe, text_file, tmp_path):
    parts = recipes.build_datasets(recipe, text_file)
    _, log = recipes.run(replace(recipe, epochs=4), *parts, folder=tmp_path)
    assert log["train_loss"][-1] < log["train_loss"][0]
    assert log["learning_rate"][0] == recipe.learning_rate
    assert log["learning_rate"] == sorted(log["learning_rate"], reverse=True)
