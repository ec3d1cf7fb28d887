"""Every recipe by its name, and that each kind is carried out as its own module does."""

from dataclasses import replace

import pytest
import torch

from blg561.language_model import all_recipes, practice, recipes, regularised

SMALL = dict(hidden_size=8, epochs=1, batch_size=4, seq_length=9, learning_rate=0.5)


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "practice.txt"
    path.write_text(practice.text(1500))
    return path


@pytest.mark.parametrize(("name", "kind"), [("rnn_clipped", recipes), ("tied", regularised)])
def test_a_recipe_of_either_kind_is_carried_out(name, kind, text_file):
    recipe = replace(all_recipes.find(name), **SMALL)
    datasets = recipes.build_datasets(recipe, text_file)
    model, log = all_recipes.run(recipe, *datasets, precision="float32")
    expected, expected_log = kind.run(recipe, *datasets, precision="float32")
    assert type(model) is type(expected)
    assert log["validation_loss"] == expected_log["validation_loss"]
    for found, weights in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(found, weights)


def test_an_unknown_recipe_is_an_error_that_names_those_there_are():
    with pytest.raises(ValueError, match=r"unknown recipe 'gru': expected one of rnn, .*averaged"):
        all_recipes.find("gru")
