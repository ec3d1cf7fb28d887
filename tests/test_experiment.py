"""What is built from a recipe, and that all of it trains as the recipe says."""

import math
from dataclasses import asdict, replace

import pytest
import torch

from blg561.errors import InputError
from blg561.language_model import checkpoints, experiment
from blg561.language_model.dataset import evaluation_loader
from blg561.language_model.models import GatedModel, RNNModel, map_state
from blg561.language_model.recipes import LADDER, RECIPES
from blg561.language_model.training import evaluate, train

pytestmark = pytest.mark.usefixtures("float32")


def small(name, **changes):
    """A recipe for a network that trains in a moment."""
    sizes = dict(hidden_size=8, epochs=2, batch_size=4, seq_length=9)
    return replace(RECIPES[name], **sizes | changes)


@pytest.fixture(params=RECIPES)
def recipe(request):
    """Each by itself, without a training that comes before and without shared steps."""
    return small(request.param, first=None, endings=None)


def vector(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def test_every_weight_is_optimised_once_at_its_rate(recipe, text_file):
    model = experiment.build_model(recipe, experiment.build_datasets(recipe, text_file)[0])
    optimizer = experiment.build_optimizer(recipe, model)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(rates)
    assert set(rates) == {id(p) for p in model.parameters()}
    for name, parameter in model.named_parameters():
        factor = recipe.recurrent_factor if name.startswith("layers") else 1
        assert rates[id(parameter)] == pytest.approx(factor * recipe.learning_rate)


def test_the_optimiser_has_the_settings_of_the_recipe(recipe, text_file):
    model = experiment.build_model(recipe, experiment.build_datasets(recipe, text_file)[0])
    optimizer = experiment.build_optimizer(recipe, model)
    assert type(optimizer).__name__ == recipe.optimizer
    for group in optimizer.param_groups:
        if recipe.optimizer == "AdamW":
            assert group["eps"] == recipe.eps != 1e-8
            assert group["betas"] == (0.9, 0.99)
        assert group["weight_decay"] == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict(hidden_layers=3, dropout=0.21, hidden_dropout=0.32, weight_drop=0.43),
        dict(embedding_dropout=0.17, input_dropout=0.28, output_dropout=0.39, locked_masks=False),
        dict(cell="gru_reset_first"),
    ],
)
def test_the_network_is_built_as_the_recipe_says(changes, text_file):
    recipe = small("lstm", **changes)
    trainset, _ = experiment.build_datasets(recipe, text_file)
    model = experiment.build_model(recipe, trainset)
    said = asdict(recipe)
    for name, value in model.arguments.items():
        if name not in ("ntoken", "embed_size"):
            assert value == said[name], name
    assert model.embedding.weight.shape == (len(trainset.unique_data), recipe.hidden_size)


def test_each_kind_of_network_is_what_its_recipe_names(recipe, text_file):
    model = experiment.build_model(recipe, experiment.build_datasets(recipe, text_file)[0])
    assert type(model) is (RNNModel if recipe.cell == "rnn" else GatedModel)
    kinds = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM}
    assert all(type(layer) is kinds[recipe.cell] for layer in model.layers)
    assert len(model.layers) == recipe.hidden_layers
    assert (model.output.weight is model.embedding.weight) == recipe.tie_weights


def test_the_network_starts_as_the_unigram_model(recipe, text_file):
    trainset, _ = experiment.build_datasets(recipe, text_file)
    model = experiment.build_model(recipe, trainset)
    share = (trainset.counts() + 1) / (trainset.counts() + 1).sum()
    torch.testing.assert_close(model.output.bias.softmax(0), share)


def test_a_training_is_that_of_a_loop_written_from_the_recipe(recipe, text_file, tmp_path):
    """Every setting at once: the weights after two epochs are those of plain PyTorch."""
    parts = experiment.build_datasets(recipe, text_file)
    model, _ = experiment.run(recipe, *parts, folder=tmp_path)

    twin = experiment.build_model(recipe, parts[0])
    recurrent = list(twin.layers.parameters())
    rest = [p for p in twin.parameters() if not any(p is q for q in recurrent)]
    groups = [{"params": rest}, {"params": recurrent}]
    if recipe.optimizer == "SGD":
        optimizer = torch.optim.SGD(groups, lr=1.0)
    else:
        optimizer = torch.optim.AdamW(
            groups, lr=1.0, betas=(0.9, 0.99), eps=recipe.eps, weight_decay=0.0
        )
    mean = None
    for epoch in range(recipe.epochs):
        share = (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        low, high = recipe.final_learning_rate, recipe.learning_rate
        factors = 1.0, recipe.recurrent_factor
        for group, factor in zip(optimizer.param_groups, factors, strict=True):
            group["lr"] = low + (high * factor - low) * share
        trainloader, evalloader = experiment.build_loaders(recipe, *parts)
        state, full = twin.initialize(recipe.batch_size), None
        for data, target in trainloader:
            rows = len(data)
            state = map_state(lambda s, rows=rows: s[:, :rows].detach().contiguous(), state)
            logits, state = twin(data, state)
            full = full or target.numel()
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
            optimizer.zero_grad()
            (loss * target.numel() / full).backward()
            if recipe.clip_val is not None:
                torch.nn.utils.clip_grad_norm_(twin.parameters(), recipe.clip_val)
            optimizer.step()
            if recipe.average_decay is not None:
                now, decay = vector(twin), recipe.average_decay
                mean = now if mean is None else decay * mean + (1 - decay) * now
        iter(evalloader)  # a pass over data draws a random number, be it only for evaluation
    expected = vector(twin) if mean is None else mean
    torch.testing.assert_close(vector(model), expected, rtol=1e-4, atol=1e-5)


def test_a_seed_decides_everything(recipe, text_file, tmp_path):
    def weights(seed, folder):
        seeded = replace(recipe, seed=seed)
        parts = experiment.build_datasets(seeded, text_file)
        return vector(experiment.run(seeded, *parts, folder=tmp_path / folder)[0])

    assert torch.equal(weights(1, "first"), weights(1, "again"))
    assert not torch.equal(weights(1, "third"), weights(2, "other"))


def test_training_learns_and_the_rate_falls(recipe, text_file, tmp_path):
    parts = experiment.build_datasets(recipe, text_file)
    _, log = experiment.run(replace(recipe, epochs=4), *parts, folder=tmp_path)
    assert log["train_loss"][-1] < log["train_loss"][0]
    low, high = recipe.final_learning_rate, recipe.learning_rate
    cosine = [low + (high - low) * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert log["learning_rate"] == pytest.approx(cosine)


@pytest.mark.parametrize("name", ["sgd", "averaged"])
def test_a_finished_training_comes_back_from_its_file(name, text_file, tmp_path):
    recipe = small(name)
    parts = experiment.build_datasets(recipe, text_file)
    model, log = experiment.run(recipe, *parts, folder=tmp_path)
    again, same_log = experiment.run(recipe, *parts, folder=tmp_path, resume=True)
    assert torch.equal(vector(again), vector(model)) and same_log == log
    stored = checkpoints.load(tmp_path / f"{name}.pt")["recipe"]
    assert stored["average_decay"] == LADDER[name].average_decay
    loaded, _ = checkpoints.load_model(tmp_path / f"{name}.pt")
    assert torch.equal(vector(loaded), vector(model))
    loss = evaluate(again, torch.nn.CrossEntropyLoss(), evaluation_loader(parts[1]))
    assert loss == pytest.approx(log["validation_loss"][-1], rel=1e-6)


def test_options_reach_the_training(text_file, tmp_path, monkeypatch):
    seen = {}

    def spy(*arguments, **options):
        seen.update(options)
        return train(*arguments, **options)

    monkeypatch.setattr(experiment, "train", spy)
    recipe = small("lstm")
    parts = experiment.build_datasets(recipe, text_file)
    _, log = experiment.run(recipe, *parts, folder=tmp_path, eval_interval=2)
    assert seen["eval_interval"] == 2 and log["validation_epoch"] == [2]


@pytest.fixture
def others(tmp_path):
    texts = {"one.txt": "A cat sat. Unheard! ", "two.txt": "The cat, again: unheard of."}
    for name, text in texts.items():
        (tmp_path / name).write_text(20 * text, encoding="utf-8")
    return [tmp_path / name for name in texts]


def test_a_training_starts_where_the_one_on_other_books_ended(text_file, others, tmp_path):
    """No epoch of its own that changes anything: the weights are those of the first training."""
    first = replace(small("lstm"), name="before")
    recipe = small("three_books", first=first, hidden_layers=1, epochs=1, learning_rate=0.0)
    recipe = replace(recipe, final_learning_rate=0.0, average_decay=None, seed=5)
    parts = experiment.build_datasets(recipe, text_file)
    model, _ = experiment.run(recipe, *parts, others=others, folder=tmp_path / "both")
    longer = parts[0].after(others)
    alone, _ = experiment.run(replace(first, seed=5), longer, parts[1], folder=tmp_path / "alone")
    words = len(parts[0].unique_data)
    assert alone.output.out_features == words + 1 and model.output.out_features == words
    for name, weight in alone.state_dict().items():
        kept = weight if name.startswith("layers") else weight[:words]
        assert model.state_dict()[name].equal(kept), name


def test_a_training_that_needs_other_books_says_so(text_file, tmp_path):
    recipe = small("three_books", first=replace(small("lstm"), name="before"))
    with pytest.raises(InputError, match="three_books reads other books first: expected their"):
        experiment.run(recipe, *experiment.build_datasets(recipe, text_file), folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))
