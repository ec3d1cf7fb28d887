"""The networks that come with the package: how they get there, what they score, what they hold."""

import dataclasses
import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

from blg561.language_model import (
    books,
    checkpoints,
    experiment,
    practice,
    pretrained,
    recipes,
    training,
)
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.dataset import Dataset
from tools import provide

PROVIDED = pretrained.available()


def shrink(folder: Path, setitem):
    """A practice corpus of 3000 tokens in `folder` and recipes for networks of 8 units.

    `setitem` is that of `monkeypatch`, or `dict.__setitem__` in a process of its own.
    """
    content = practice.text(3000).encode()
    book = books.CATALOGUE["practice"]
    digest = hashlib.sha256(content).hexdigest()
    setitem(books.CATALOGUE, "practice", dataclasses.replace(book, sha256=digest))
    folder.mkdir(exist_ok=True)
    (folder / book.file_name).write_bytes(content)
    sizes = dict(hidden_size=8, epochs=2, batch_size=4)
    for name, recipe in list(recipes.RECIPES.items()):
        first = recipe.first and dataclasses.replace(recipe.first, **sizes)
        setitem(recipes.RECIPES, name, dataclasses.replace(recipe, first=first, **sizes))


@pytest.fixture
def small(tmp_path, monkeypatch) -> Path:
    """The practice corpus and all recipes made small; the corpus' file."""
    shrink(tmp_path / "data", monkeypatch.setitem)
    monkeypatch.setenv("BLG561_DATA", str(tmp_path / "data"))
    return tmp_path / "data/practice.txt"


@pytest.fixture
def trained(small, tmp_path, monkeypatch) -> Path:
    """The folder of a finished training "lstm" on the small corpus; the package has no network."""
    recipe = recipes.RECIPES["lstm"]
    experiment.run(recipe, *experiment.build_datasets(recipe, small), folder=tmp_path / "models")
    (tmp_path / "pretrained").mkdir()
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    return tmp_path / "models"


def put(folder: Path, name="lstm") -> int:
    return provide.main(["practice", name, "--folder", str(folder)])


def loss_by_hand(model, path) -> float:
    """The mean loss of the validation text, read in one piece."""
    text = Dataset(1, path, train=False).data
    with torch.no_grad():
        logits, _ = model(text[None, :-1], model.initialize(1))
    return torch.nn.functional.cross_entropy(logits[0].double(), text[1:]).item()


def test_a_finished_training_is_provided_and_comes_back(trained, small, capsys):
    assert pretrained.available() == []
    assert put(trained) == 0
    assert pretrained.available() == [("practice", "lstm")]
    model, lexicon = pretrained.load("practice", "lstm")
    original, words = checkpoints.load_model(trained / "lstm.pt")
    assert lexicon == words and not model.training
    for name, weights in original.state_dict().items():
        assert model.state_dict()[name].dtype == torch.float32
        assert torch.equal(model.state_dict()[name], weights.half().float()), name
    printed = re.search(r"practice-lstm: validation perplexity (\S+),", capsys.readouterr().out)
    assert float(printed[1]) == pytest.approx(math.exp(loss_by_hand(model, small)), abs=1e-3)


def test_the_card_tells_how_it_was_trained_and_what_the_file_scores(trained, small):
    put(trained)
    card = pretrained.card("practice", "lstm")
    log = checkpoints.load(trained / "lstm.pt")["log"]
    file = pretrained.FOLDER / "practice-lstm.pt"
    model, _ = pretrained.load("practice", "lstm")
    loss = loss_by_hand(model, small)
    assert card["validation_loss"] == pytest.approx(loss, rel=1e-6)
    assert card["validation_perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert card["validation_loss_before_rounding"] == log["validation_loss"][-1]
    assert card["history"] == log
    assert card["training_perplexity"] == pytest.approx(math.exp(log["train_loss"][-1]))
    assert card["recipe"] == dataclasses.asdict(recipes.RECIPES["lstm"])
    assert card["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card["book_sha256"] == hashlib.sha256(small.read_bytes()).hexdigest()
    assert (card["epochs"], card["precision"]) in [(2, "float32"), (2, "bfloat16")]
    assert "600 validation tokens" in card["protocol"]["scored"]


def test_rounding_costs_nothing_that_shows(trained):
    put(trained)
    card = pretrained.card("practice", "lstm")
    assert abs(card["validation_loss"] - card["validation_loss_before_rounding"]) < 1e-3


def test_tied_weights_are_stored_once_in_two_bytes_each(trained):
    put(trained)
    model, lexicon = pretrained.load("practice", "lstm")
    parameters = sum(parameter.numel() for parameter in model.parameters())
    words = sum(len(word) for word in lexicon)
    size = (pretrained.FOLDER / "practice-lstm.pt").stat().st_size
    embedding = model.embedding.weight.numel()
    contents = checkpoints.load(pretrained.FOLDER / "practice-lstm.pt")
    tied = [contents["weights"][name].data_ptr() for name in ("embedding.weight", "output.weight")]
    assert tied[0] == tied[1]
    # a dozen entries of the archive take some 200 bytes each, a word a few bytes besides itself
    assert size < 2 * parameters + words + 10 * len(lexicon) + 5000 < size + 2 * embedding


def test_nothing_is_provided_of_an_unfinished_training(trained, small, monkeypatch, capsys):
    recipe = recipes.RECIPES["rnn"]
    save = training.save_training

    def save_and_stop(*arguments):
        save(*arguments)
        raise RuntimeError("stopped")

    monkeypatch.setattr(training, "save_training", save_and_stop)
    with pytest.raises(RuntimeError, match="stopped"):
        experiment.run(recipe, *experiment.build_datasets(recipe, small), folder=trained)
    assert put(trained, "rnn") == 2
    assert "rnn.pt is not finished: 1 of 2 epochs are done" in capsys.readouterr().err
    assert not list(pretrained.FOLDER.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 5}, "has the seed 0, the recipe 5"),
        ({"learning_rate": 0.5}, "belongs to another training"),
    ],
)
def test_nothing_is_provided_of_another_recipe(trained, monkeypatch, capsys, changed, message):
    recipe = dataclasses.replace(recipes.RECIPES["lstm"], **changed)
    monkeypatch.setitem(recipes.RECIPES, "lstm", recipe)
    assert put(trained) == 2
    assert message in capsys.readouterr().err
    assert not list(pretrained.FOLDER.iterdir())


def test_nothing_is_provided_of_another_book(trained, capsys):
    contents = checkpoints.load(trained / "lstm.pt")
    contents["lexicon"][3] = "elsewhere"
    checkpoints.save(trained / "lstm.pt", contents)
    assert put(trained) == 2
    assert "another book: the lexicons differ" in capsys.readouterr().err
    assert not list(pretrained.FOLDER.iterdir())


def test_a_provided_network_is_not_provided_again(trained, tmp_path, capsys):
    put(trained)
    shutil.copy(pretrained.FOLDER / "practice-lstm.pt", tmp_path / "lstm.pt")
    assert put(tmp_path) == 2
    assert "lstm.pt is not the checkpoint of a training" in capsys.readouterr().err


@pytest.mark.parametrize("function", [pretrained.load, pretrained.card])
def test_an_unknown_network_is_an_error_that_names_those_there_are(trained, function):
    with pytest.raises(CheckpointError, match=r"no network gru on practice .*: none"):
        function("practice", "gru")
    put(trained)
    with pytest.raises(CheckpointError, match="those that do: lstm on practice"):
        function("practice", "gru")


# the networks that the package really has


@pytest.mark.skipif(not PROVIDED, reason="no network is provided yet")
def test_the_networks_of_the_three_recipes_are_provided():
    assert {("pride_prejudice", name) for name in recipes.ASSIGNMENT} <= set(PROVIDED)


def said(recipe):
    """What is not None: older cards are of before there were some of the settings."""
    told = {name: value for name, value in recipe.items() if value is not None}
    return told | {"first": said(told["first"])} if "first" in told else told


@pytest.mark.parametrize(("book", "name"), PROVIDED)
def test_a_provided_file_is_the_one_its_card_describes(book, name):
    card = pretrained.card(book, name)
    file = pretrained.FOLDER / f"{book}-{name}.pt"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == card["sha256"]
    assert file.stat().st_size < 8e6
    recipe = json.loads(json.dumps(dataclasses.asdict(recipes.find(name))))
    assert said(card["recipe"]) == said(recipe)
    assert card["book_sha256"] == books.CATALOGUE[book].sha256
    assert card["validation_perplexity"] <= (books.CATALOGUE[book].target_perplexity or math.inf)
    # 0.01 in a perplexity of 100
    assert abs(card["validation_loss"] - card["validation_loss_before_rounding"]) < 1e-4
