"""Every training by its name: the three of the assignment and the ladder of lesson 5."""

from __future__ import annotations

from blg561.language_model import recipes, regularised
from blg561.language_model.models import LanguageModel
from blg561.language_model.recipes import Recipe
from blg561.language_model.regularised import RegularisedRecipe


def find(name: str) -> Recipe | RegularisedRecipe:
    """The recipe of that name. Raises ValueError for a name that there is not (says which are)."""
    known = recipes.RECIPES | regularised.LADDER
    if name not in known:
        raise ValueError(f"unknown recipe {name!r}: expected one of {', '.join(known)}")
    return known[name]


def run(
    recipe: Recipe | RegularisedRecipe, trainset, validset, device="cpu", **options
) -> tuple[LanguageModel, dict]:
    """Carry out a recipe of either kind; `options` go to `train`. The network and its history."""
    kind = regularised if isinstance(recipe, RegularisedRecipe) else recipes
    return kind.run(recipe, trainset, validset, device, **options)
