"""The regularised LSTM: what each kind of dropout does, and that without any it is GatedModel."""

from dataclasses import asdict, replace

import pytest
import torch

from blg561.language_model import checkpoints, recipes, regularised
from blg561.language_model.models import (
    GatedModel,
    RegularisedLSTM,
    WeightDropLSTM,
    map_state,
)
from blg561.language_model.regularised import LADDER
from blg561.language_model.training import evaluate

pytestmark = pytest.mark.usefixtures("float32")

V, H = 11, 6
DROPOUTS = ("input_dropout", "hidden_dropout", "output_dropout", "weight_drop")


def build(**arguments):
    torch.manual_seed(0)
    return RegularisedLSTM(V, H, H, 2, tie_weights=True, **arguments)


def words():
    return torch.randint(V, (3, 7), generator=torch.Generator().manual_seed(1))


def test_in_evaluation_it_is_the_gated_model_with_the_same_weights():
    model = build(**dict.fromkeys(DROPOUTS, 0.5)).eval()
    plain = GatedModel(V, H, H, 2, tie_weights=True).eval()
    plain.load_state_dict(model.state_dict())
    (logits, state), (expected, end) = (m(words(), m.initialize(3)) for m in (model, plain))
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("name", DROPOUTS)
def test_each_dropout_has_an_effect_of_its_own_in_training(name):
    model, plain = build(**{name: 0.5}).train(), build().train()
    changed, same = (m(words(), m.initialize(3))[0] for m in (model, plain))
    assert not torch.allclose(changed, same)
    # the first step starts from the zero state, which the hidden weights multiply
    assert torch.allclose(changed[:, 0], same[:, 0]) == (name == "weight_drop")


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("input_dropout", True, True),
        ("hidden_dropout", False, True),
        ("output_dropout", False, False),
    ],
)
def test_a_dropout_changes_the_states_of_the_layers_above_it_alone(name, first, second):
    model, plain = build(**{name: 0.5}).train(), build().train()
    (hidden, _), (expected, _) = (m(words(), m.initialize(3))[1] for m in (model, plain))
    changed = [not torch.allclose(a, b) for a, b in zip(hidden, expected, strict=True)]
    assert changed == [first, second]


def test_weight_drop_is_one_mask_for_all_steps_and_scales_what_it_keeps():
    torch.manual_seed(0)
    layer = WeightDropLSTM(4, 5, 0.4).double().train()
    x, state = torch.randn(2, 9, 4).double(), (torch.randn(1, 2, 5).double(),) * 2
    torch.manual_seed(3)
    found, _ = layer(x, state)
    torch.manual_seed(3)
    mask = torch.nn.functional.dropout(torch.ones_like(layer.weight_hh_l0), 0.4)
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.6}
    plain = torch.nn.LSTM(4, 5, batch_first=True).double()
    plain.load_state_dict(layer.state_dict())
    with torch.no_grad():
        plain.weight_hh_l0 *= mask
    expected, _ = plain(x, state)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert (layer.weight_hh_l0.grad[mask == 0] == 0).all()
    assert (layer.weight_hh_l0.grad[mask > 0] != 0).all()


def test_a_carried_state_continues_the_text():
    model = build().eval()
    whole, end = model(words(), model.initialize(3))
    _, state = model(words()[:, :4], model.initialize(3))
    second, state = model(words()[:, 4:], state)
    torch.testing.assert_close(second, whole[:, 4:])
    map_state(lambda s: s.shape == (2, 3, H) or pytest.fail(str(s.shape)), state)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("name", DROPOUTS)
def test_a_probability_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and below 1, got 1.0"):
        build(**{name: 1.0})


def test_another_cell_is_refused():
    with pytest.raises(ValueError, match=r'cell "lstm" alone, got .gru.'):
        build(cell="gru")


# The recipes


def small(name, **changes):
    """A rung of the ladder for a network that trains in a moment."""
    sizes = dict(hidden_size=8, epochs=2, batch_size=4, seq_length=9)
    rates = dict(learning_rate=2.0, final_learning_rate=1.0)
    return replace(LADDER[name], **sizes, **rates | changes)


def test_each_rung_has_all_that_the_one_below_it_has_and_one_change_more():
    assert list(LADDER) == ["sgd", *regularised.CHANGES]
    below = None
    for name, recipe in LADDER.items():
        assert recipe.name == name
        if below is not None:
            before, after = asdict(below), asdict(recipe)
            changed = {key: value for key, value in after.items() if value != before[key]}
            assert changed == {"name": name} | regularised.CHANGES[name]
        below = recipe


@pytest.mark.parametrize("name", LADDER)
def test_the_network_is_built_as_the_recipe_says(name, text_file):
    recipe = small(name, input_dropout=0.25)
    trainset, _ = recipes.build_datasets(recipe, text_file)
    model = regularised.build_model(recipe, trainset)
    said = asdict(recipe)
    arguments = {key: value for key, value in model.arguments.items() if key in said}
    assert arguments == {key: said[key] for key in arguments}
    assert {"tie_weights", "weight_drop", *DROPOUTS, "embedding_dropout"} <= arguments.keys()
    assert (model.output.weight is model.embedding.weight) == recipe.tie_weights
    share = (trainset.counts() + 1) / (trainset.counts() + 1).sum()
    torch.testing.assert_close(model.output.bias.softmax(0), share)


@pytest.mark.parametrize("name", ["sgd", "averaged"])
def test_a_training_learns_comes_back_from_its_file_and_its_seed_decides_it(
    name, text_file, tmp_path
):
    def run(seed, folder, **options):
        recipe = small(name, seed=seed)
        parts = recipes.build_datasets(recipe, text_file)
        return regularised.run(recipe, *parts, folder=tmp_path / folder, **options)

    def vector(model):
        return torch.nn.utils.parameters_to_vector(model.parameters())

    model, log = run(0, "first")
    assert log["train_loss"][-1] < log["train_loss"][0]
    assert log["learning_rate"] == [2.0, 1.5]  # half of half a cosine down to 1
    assert torch.equal(vector(run(0, "second")[0]), vector(model))
    assert not torch.equal(vector(run(1, "third")[0]), vector(model))
    again, same_log = run(0, "first", resume=True)  # nothing is left to train
    assert torch.equal(vector(again), vector(model)) and same_log == log
    stored = checkpoints.load(tmp_path / f"first/{name}.pt")["recipe"]
    assert stored["average_decay"] == LADDER[name].average_decay
    loaded, _ = checkpoints.load_model(tmp_path / f"first/{name}.pt")
    assert torch.equal(vector(loaded), vector(model))
    validset = recipes.build_datasets(small(name), text_file)[1]
    loader = recipes.evaluation_loader(validset)
    loss = evaluate(again, torch.nn.CrossEntropyLoss(), loader)
    assert loss == pytest.approx(log["validation_loss"][-1], rel=1e-6)


def test_the_gradient_is_clipped_to_the_norm_of_the_recipe(text_file, tmp_path):
    def distance(clip_val):
        recipe = small("sgd", clip_val=clip_val)
        parts = recipes.build_datasets(recipe, text_file)
        start = regularised.build_model(recipe, parts[0])
        model, _ = regularised.run(recipe, *parts, folder=tmp_path / str(clip_val))
        pairs = zip(model.parameters(), start.parameters(), strict=True)
        squares = sum((after - before).square().sum().item() for after, before in pairs)
        return squares**0.5, len(parts[0].data) // (4 * 9) + 1

    moved, steps = distance(1e-4)
    assert 0 < moved <= 1e-4 * (2.0 + 1.5) * steps
    assert distance(1.0)[0] > 100 * moved
