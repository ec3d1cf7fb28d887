"""The two networks against their equations, and what dropout, tying and the bias promise."""

import pytest
import torch

from blg561.language_model.models import (
    GatedModel,
    LockedDropout,
    ResetFirstGRU,
    RNNModel,
    evaluating,
    map_state,
)
from blg561.layer import GRULayer

V, E, H = 11, 6, 5


def build(kind, **arguments):
    torch.manual_seed(0)
    arguments = {"embed_size": E, "hidden_size": H, "hidden_layers": 2, "dropout": 0.0} | arguments
    if kind == "rnn":
        return RNNModel(V, **arguments)
    return GatedModel(V, cell=kind, **arguments)


def by_hand(kind, model, words):
    """Logits for one row of words, from the equations, a step at a time."""
    h = [torch.zeros(H) for _ in model.layers]
    c = [torch.zeros(H) for _ in model.layers]
    logits = []
    for word in words:
        x = model.embedding.weight[word]
        for n, layer in enumerate(model.layers):
            from_x = layer.weight_ih_l0 @ x + layer.bias_ih_l0
            from_h = layer.weight_hh_l0 @ h[n] + layer.bias_hh_l0
            if kind == "rnn":
                h[n] = torch.tanh(from_x + from_h)
            elif kind == "lstm":
                i, f, g, o = (from_x + from_h).chunk(4)
                c[n] = torch.sigmoid(f) * c[n] + torch.sigmoid(i) * torch.tanh(g)
                h[n] = torch.sigmoid(o) * torch.tanh(c[n])
            else:
                (xr, xz, xn), (hr, hz, hn) = from_x.chunk(3), from_h.chunk(3)
                z = torch.sigmoid(xz + hz)
                h[n] = (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h[n]
            x = h[n]
        logits.append(model.output.weight @ x + model.output.bias)
    return torch.stack(logits)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_logits_follow_the_equations(kind):
    model = build(kind)
    words = torch.randint(V, (3, 7))
    logits, _ = model(words, model.initialize(3))
    assert logits.shape == (3, 7, V)
    for row in range(3):
        torch.testing.assert_close(logits[row], by_hand(kind, model, words[row]))


def test_the_gru_that_resets_first_is_the_layer_of_lesson_3():
    torch.manual_seed(0)
    cell = ResetFirstGRU(E, H).double()
    layer = GRULayer(E, H)
    for name in layer.parameters:
        setattr(layer, name, getattr(cell, name).detach().numpy())
    x, h0, dh = (torch.randn(shape).double() for shape in [(3, 7, E), (3, H), (3, 7, H)])
    x.requires_grad_()
    h, last = cell(x, h0[None])
    assert torch.equal(last[0], h[:, -1])
    torch.testing.assert_close(h, torch.from_numpy(layer.forward(x.detach().numpy(), h0.numpy())))
    h.backward(dh)
    layer.backward(dh.numpy())
    torch.testing.assert_close(x.grad, torch.from_numpy(layer.grad["dx"]))
    for name in layer.parameters:
        gradient = torch.from_numpy(layer.grad["d" + name])
        torch.testing.assert_close(getattr(cell, name).grad, gradient)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru", "gru_reset_first"])
def test_a_carried_state_continues_the_text(kind):
    model = build(kind)
    words = torch.randint(V, (3, 8))
    whole, end = model(words, model.initialize(3))
    first, state = model(words[:, :5], model.initialize(3))
    second, state = model(words[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    map_state(lambda s: s.shape == (2, 3, H) or pytest.fail(str(s.shape)), state)
    torch.testing.assert_close(state, end)


def test_tied_weights_are_one_matrix_that_trains_once():
    model = build("lstm", embed_size=H, tie_weights=True)
    assert model.output.weight is model.embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "embedding.weight" in names and "output.weight" not in names
    with pytest.raises(ValueError, match=r"embed_size = hidden_size, got 6 and 5"):
        build("lstm", tie_weights=True)


def test_locked_dropout_switches_a_feature_off_for_all_time_steps():
    torch.manual_seed(1)
    x = torch.ones(50, 9, 40)
    dropped = LockedDropout(0.4).train()(x)
    assert (dropped == dropped[:, :1]).all()
    assert not (dropped == dropped[:1]).all()  # rows have masks of their own
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(1 / 0.6).item()}
    # 2000 independent masks: the mean stays within five standard errors of 1
    assert abs(dropped.mean() - 1) < 5 * (0.4 / 0.6 / 2000) ** 0.5
    assert LockedDropout(0.4).eval()(x) is x


def test_embedding_dropout_takes_a_word_wherever_it_stands():
    torch.manual_seed(2)
    model = build("rnn", embedding_dropout=0.5).train()
    words = torch.arange(V).repeat(4, 3)
    vectors = model.embed(words).view(4, 3, V, E)
    off = (vectors == 0).all(-1)
    assert (off == off[0, 0]).all()
    assert 0 < off[0, 0].sum() < V
    kept = vectors[0, 0][~off[0, 0]]
    torch.testing.assert_close(kept, 2 * model.embedding.weight[~off[0, 0]])


def test_dropout_is_off_in_evaluation():
    model = build("lstm", dropout=0.5, embedding_dropout=0.5).eval()
    words = torch.randint(V, (2, 6))
    a, _ = model(words, model.initialize(2))
    b, _ = model(words, model.initialize(2))
    assert torch.equal(a, b)
    model.train()
    assert not torch.equal(model(words, model.initialize(2))[0], a)


def test_bias_starts_as_the_unigram_model():
    model = build("rnn")
    counts = torch.tensor([9, 5, 3, 1, 1, 0, 0, 0, 0, 0, 0])
    model.initialize_output_bias(counts)
    probabilities = torch.softmax(model.output.bias, 0)
    torch.testing.assert_close(probabilities, (counts + 1) / 30)
    with pytest.raises(ValueError, match="3 counts for 11 words"):
        model.initialize_output_bias(counts[:3])


# The places for dropout

PLACES = "input_dropout", "hidden_dropout", "output_dropout"
KINDS = "rnn", "lstm", "gru", "gru_reset_first"


def plain_and_dropped(kind, **dropout):
    """The same network in training without dropout and with some; words to read."""
    words = torch.randint(V, (3, 7), generator=torch.Generator().manual_seed(1))
    return build(kind).train(), build(kind, **dropout).train(), words


def hidden(state):
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["dropout", *PLACES, "weight_drop"])
def test_each_dropout_has_an_effect_of_its_own_in_training_alone(kind, name):
    plain, model, words = plain_and_dropped(kind, **{name: 0.5})
    changed, same = (m(words, m.initialize(3))[0] for m in (model, plain))
    assert not torch.allclose(changed, same)
    # the first step starts from the zero state, which the hidden weights multiply
    assert torch.allclose(changed[:, 0], same[:, 0]) == (name == "weight_drop")
    changed, same = (m.eval()(words, m.initialize(3))[0] for m in (model, plain))
    torch.testing.assert_close(changed, same)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("input_dropout", True, True),
        ("hidden_dropout", False, True),
        ("output_dropout", False, False),
        ("dropout", True, True),
    ],
)
def test_a_dropout_changes_what_lies_above_it_alone(name, first, second):
    plain, model, words = plain_and_dropped("lstm", **{name: 0.5})
    (found, state), (expected, end) = (m(words, m.initialize(3)) for m in (model, plain))
    pairs = zip(hidden(state), hidden(end), strict=True)
    assert [not torch.allclose(a, b) for a, b in pairs] == [first, second]
    assert not torch.allclose(found, expected)


def test_dropout_is_that_of_the_places_that_say_nothing_else():
    model = build("lstm", hidden_layers=3, dropout=0.3, hidden_dropout=0.0)
    assert [drop.p for drop in model.dropouts] == [0.3, 0.0, 0.0, 0.3]


@pytest.mark.parametrize("kind", KINDS)
def test_weight_drop_is_one_mask_for_all_steps_and_scales_what_it_keeps(kind):
    model = build(kind, hidden_layers=1, weight_drop=0.4).double().train()
    layer = model.layers[0]
    names = ("Wh", "Whi") if kind == "gru_reset_first" else ("weight_hh_l0",)
    words = torch.randint(V, (3, 7), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(3)
    found, _ = model(words, model.initialize(3))
    torch.manual_seed(3)
    masks = {
        name: torch.nn.functional.dropout(torch.ones_like(getattr(layer, name)), 0.4)
        for name in names
    }
    twin = build(kind, hidden_layers=1).double().train()
    with torch.no_grad():
        for name, mask in masks.items():
            assert set(mask.unique().tolist()) == {0.0, 1 / 0.6}
            getattr(twin.layers[0], name).mul_(mask)
    torch.testing.assert_close(found, twin(words, twin.initialize(3))[0])
    found.sum().backward()
    for name, mask in masks.items():
        gradient = getattr(layer, name).grad
        assert (gradient[mask == 0] == 0).all() and (gradient[mask > 0] != 0).all()


@pytest.mark.parametrize("locked", [True, False])
def test_masks_are_one_for_all_steps_or_fresh_ones(locked):
    torch.manual_seed(1)
    drop = build("rnn", dropout=0.5, locked_masks=locked).train().dropouts[0]
    dropped = drop(torch.ones(4, 9, 40))
    assert (dropped == dropped[:, :1]).all() == locked
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_the_output_layer_starts_as_narrow_as_the_embedding():
    model = RNNModel(200, 30, 30)
    for weight in (model.embedding.weight, model.output.weight):
        assert 0.099 < weight.abs().max() <= 0.1
        assert abs(weight.std().item() - 0.1 / 3**0.5) < 0.002
    assert (model.output.bias == 0).all()


def test_a_network_is_built_again_from_its_arguments():
    model = build("gru", dropout=0.2, weight_drop=0.3, hidden_dropout=0.1, locked_masks=False)
    again = GatedModel(**model.arguments)
    assert again.arguments == model.arguments
    assert [drop.p for drop in again.dropouts] == [drop.p for drop in model.dropouts]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"hidden_layers": 0}, "hidden_layers must be at least 1"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1.0"),
        ({"embedding_dropout": -0.1}, "embedding_dropout"),
        *(({name: 1.0}, f"{name} must be at least 0") for name in (*PLACES, "weight_drop")),
    ],
)
def test_sizes_and_probabilities_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        build("rnn", **arguments)


@pytest.mark.parametrize(("network", "cell"), [(GatedModel, "rnn"), (RNNModel, "lstm")])
def test_a_cell_that_the_class_does_not_have_is_refused(network, cell):
    with pytest.raises(ValueError, match=rf"cell must be one of .*, got '{cell}'"):
        network(V, cell=cell)


def test_wrong_input_names_what_was_expected():
    model = build("lstm")
    with pytest.raises(ValueError, match=r"shape \(N, T\) and type int64.*\(4,\)"):
        model(torch.zeros(4, dtype=torch.int64), model.initialize(4))
    with pytest.raises(ValueError, match=r"float32"):
        model(torch.zeros(4, 2), model.initialize(4))
    with pytest.raises(ValueError, match=r"\(2, 4, 5\), got \(2, 3, 5\)"):
        model(torch.zeros(4, 2, dtype=torch.int64), model.initialize(3))


@pytest.mark.parametrize("training", [True, False])
def test_after_an_evaluation_the_network_is_as_before(training):
    network = build("lstm").train(training)
    with evaluating(network):
        assert not network.training
    assert network.training == training
    with pytest.raises(KeyError), evaluating(network):
        raise KeyError
    assert network.training == training
