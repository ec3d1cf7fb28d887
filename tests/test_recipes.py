"""The recipes as data: what each rung changes, and what no recipe may say."""

import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from blg561.errors import InputError
from blg561.language_model import models, recipes
from blg561.language_model.recipes import ASSIGNMENT, CHANGES, LADDER, RECIPES


def test_each_rung_has_all_that_the_one_below_it_has_and_one_change_more():
    assert list(LADDER) == ["sgd", *CHANGES]
    below = None
    for name, recipe in LADDER.items():
        assert recipe.name == name
        if below is not None:
            before, after = asdict(below), asdict(recipe)
            changed = {key: value for key, value in after.items() if value != before[key]}
            assert changed == {"name": name} | CHANGES[name]
        below = recipe


def test_the_assignment_has_an_rnn_with_and_without_clipping_and_an_lstm_without():
    said = {name: (recipe.cell, recipe.clip_val is None) for name, recipe in ASSIGNMENT.items()}
    assert said == {"rnn": ("rnn", True), "rnn_clipped": ("rnn", False), "lstm": ("lstm", True)}


def test_every_recipe_is_found_by_its_name():
    assert {*ASSIGNMENT, *LADDER, "three_books"} == set(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipes.find(name) is recipe and recipe.name == name


def test_an_unknown_recipe_is_an_error_that_names_those_there_are():
    with pytest.raises(InputError, match=r"unknown recipe 'gru': expected one of rnn, .*averaged"):
        recipes.find("gru")


@pytest.mark.parametrize(("field", "value"), [("optimizer", "Adam"), ("cell", "perceptron")])
def test_what_cannot_be_carried_out_cannot_be_said(field, value):
    with pytest.raises(InputError, match=f"{field}: expected one of .*, got '{value}'"):
        replace(LADDER["sgd"], **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [("learning_rate", -1.0), ("learning_rate", float("nan")), ("clip_val", 0.0)],
)
def test_a_step_that_goes_nowhere_cannot_be_said(field, value):
    with pytest.raises(InputError, match=f"{field}: expected .*, got {value}"):
        replace(LADDER["sgd"], **{field: value})


def test_recipes_and_networks_name_the_same_cells():
    assert tuple(models.CELLS) == recipes.CELLS


def test_recipes_can_be_read_without_pytorch():
    code = "import sys; sys.modules['torch'] = None; import blg561.language_model.recipes"
    subprocess.run([sys.executable, "-c", code], check=True)
