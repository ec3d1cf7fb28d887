"""The LSTM's rivals in lesson 8, in PyTorch: minimal GRU, fixed factors, transformer."""

import math
from dataclasses import replace

import pytest
import torch

from blg561.language_model import checkpoints, experiment, recipes
from blg561.language_model.dataset import Dataset
from blg561.language_model.models import (
    FixedFactors,
    GatedModel,
    LanguageModel,
    LinearRecurrence,
    MinGRU,
    TransformerModel,
)
from blg561.language_model.systems import Network
from blg561.language_model.training import evaluate, perplexity
from blg561.language_model.transformer import HEADS, WINDOW, TransformerBlock
from blg561.layer import MinGRULayer

V, F = 11, 8
BLOCKS = 2


def build(**arguments):
    """A transformer whose weights are random throughout, norms and biases too; float64."""
    torch.manual_seed(0)
    sizes = dict(embed_size=F, hidden_size=F, hidden_layers=BLOCKS, dropout=0.0)
    model = TransformerModel(V, **sizes | arguments).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def words(rows, length, seed=1):
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(seed))


# The minimal GRU


def test_the_minimal_gru_is_the_layer_of_lesson_8():
    torch.manual_seed(0)
    cell = MinGRU(6, 5).double()
    layer = MinGRULayer(6, 5)
    for name in layer.parameters:
        setattr(layer, name, getattr(cell, name).detach().numpy())
    x, h0, dh = (torch.randn(shape).double() for shape in [(3, 7, 6), (3, 5), (3, 7, 5)])
    x.requires_grad_()
    h0.requires_grad_()
    h, last = cell(x, h0[None])
    assert torch.equal(last[0], h[:, -1])
    ours = layer.forward(x.detach().numpy(), h0.detach().numpy())
    torch.testing.assert_close(h, torch.from_numpy(ours))
    h.backward(dh)
    gradients = layer.backward(dh.numpy())
    torch.testing.assert_close(x.grad, torch.from_numpy(gradients["dx"]))
    torch.testing.assert_close(h0.grad, torch.from_numpy(gradients["dh0"]))
    for name in layer.parameters:
        torch.testing.assert_close(
            getattr(cell, name).grad, torch.from_numpy(gradients["d" + name])
        )


@pytest.mark.parametrize("T", [1, 2, 5, 8, 9])
def test_the_scan_has_the_gradients_of_finite_differences(T):
    torch.manual_seed(T)
    shapes = (2, T, 3), (2, T, 3), (2, 3)
    arrays = [torch.randn(shape).double().requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(LinearRecurrence.apply, arrays)


def test_under_autocast_the_state_is_summed_up_in_its_own_type():
    cell = MinGRU(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        h, last = cell(torch.randn(2, 9, 4), torch.zeros(1, 2, 4))
    assert h.dtype == last.dtype == torch.float32


# Fixed factors


def test_fixed_factors_follow_the_equations_step_by_step_with_their_gradients():
    torch.manual_seed(0)
    cell = FixedFactors(6, 5).double()
    x, h0, dy = (torch.randn(shape).double() for shape in [(3, 7, 6), (3, 5), (3, 7, 5)])
    x.requires_grad_()
    h0.requires_grad_()
    leaves = x, h0, *cell.parameters()
    out, last = cell(x, h0[None])
    gradients = torch.autograd.grad((out * dy).sum() + last.sum(), leaves)
    a = torch.exp(-1 / torch.exp(cell.log_tau))
    h, looped = h0, []
    for t in range(7):
        h = a * h + torch.sqrt(1 - a**2) * (x[:, t] @ cell.Wc + cell.bc)
        looped.append(torch.sigmoid(x[:, t] @ cell.Wz + cell.bz) * h)
    looped = torch.stack(looped, dim=1)
    torch.testing.assert_close(out, looped)
    torch.testing.assert_close(last[0], h)
    torch.testing.assert_close(
        gradients, torch.autograd.grad((looped * dy).sum() + h.sum(), leaves)
    )


@torch.no_grad()
def test_each_unit_begins_with_its_own_time_and_of_noise_all_states_are_as_large():
    torch.manual_seed(0)
    cell = FixedFactors(16, 16)
    assert cell.log_tau[0] == 0 and cell.log_tau[-1].exp().item() == pytest.approx(100)
    cell.bc.zero_()
    _, last = cell(torch.randn(512, 600, 16), torch.zeros(1, 512, 16))
    # however slowly a unit forgets, its state has the size of its candidate
    ratio = last[0].square().mean(dim=0).sqrt() / cell.Wc.square().sum(dim=0).sqrt()
    assert ratio.min() > 0.85 and ratio.max() < 1.15


@pytest.mark.parametrize("cell", ["mingru", "fixed_factors"])
def test_a_text_in_two_parts_is_the_text_at_once(cell):
    model = GatedModel(V, F, F, 3, dropout=0.0, cell=cell).double()
    text = words(3, 20)
    whole, end = model(text, model.initialize(3))
    first, state = model(text[:, :13], model.initialize(3))
    second, state = model(text[:, 13:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(state, end)


@pytest.mark.parametrize("cell", ["mingru", "fixed_factors", "transformer"])
def test_weight_drop_is_refused_where_no_weights_carry_a_state(cell):
    network = TransformerModel if cell == "transformer" else GatedModel
    with pytest.raises(ValueError, match=f"weight_drop: a {cell} has no weights"):
        network(V, F, F, cell=cell, weight_drop=0.3)


# The transformer


def by_hand(model, text):
    """Logits for one row of words, each word by itself, from the equations."""
    x = [model.embedding.weight[word] for word in text]
    for block in model.layers:
        kept = []
        for vector in x:
            q, k, v = block.query_key_value(block.before_attention(vector)).chunk(3)
            kept.append((q.view(HEADS, -1), k.view(HEADS, -1), v.view(HEADS, -1)))
        after = []
        for t, vector in enumerate(x):
            heads = []
            for head in range(HEADS):
                seen = range(max(0, t - WINDOW + 1), t + 1)
                q = kept[t][0][head]
                slope = 2 ** (-8 * (head + 1) / HEADS)
                scores = [q @ kept[s][1][head] / math.sqrt(len(q)) - slope * (t - s) for s in seen]
                share = torch.softmax(torch.stack(scores), dim=0)
                heads.append(sum(p * kept[s][2][head] for p, s in zip(share, seen, strict=True)))
            vector = vector + block.mix(torch.cat(heads))
            after.append(vector + block.layers(block.before_layers(vector)))
        x = after
    return torch.stack([model.output(model.norm(vector)) for vector in x])


@torch.no_grad()
def test_logits_follow_the_equations():
    model = build()
    text = words(2, WINDOW + 9)
    logits, _ = model(text, model.initialize(2))
    for row in range(2):
        torch.testing.assert_close(logits[row], by_hand(model, text[row]))


@pytest.mark.parametrize("pieces", [[1] * 9 + [200], [WINDOW - 1, WINDOW, 82], [3, 150, 56]])
def test_in_how_many_pieces_a_text_is_read_changes_nothing(pieces):
    model = build()
    text = words(2, sum(pieces))
    whole, end = model(text, model.initialize(2))
    state, logits = model.initialize(2), []
    for piece in text.split(pieces, dim=1):
        out, state = model(piece, state)
        logits.append(out)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole)
    torch.testing.assert_close(state, end)
    assert state.shape == (BLOCKS, 2, WINDOW - 1, 2 * F)


def test_a_word_has_a_say_in_what_follows_it_and_not_beyond_the_windows():
    model = build()
    reach = BLOCKS * (WINDOW - 1)
    text = words(1, 5 + reach + 4)
    other = text.clone()
    other[0, 4] = (other[0, 4] + 1) % V
    a, b = (model(t, model.initialize(1))[0][0] for t in (text, other))
    changed = (a - b).abs().amax(dim=1) > 0
    assert not changed[:4].any() and changed[4]
    assert changed[4 + WINDOW - 1] and not changed[4 + reach + 1 :].any()


def test_the_order_of_words_counts():
    model = build()
    text = torch.tensor([[1, 2, 3, 4]])
    other = torch.tensor([[2, 1, 3, 4]])
    a, b = (model(t, model.initialize(1))[0][0, -1] for t in (text, other))
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("place", ["input_dropout", "hidden_dropout", "output_dropout"])
def test_each_dropout_has_an_effect_in_training_alone(place):
    plain, dropped = build().train(), build(**{place: 0.5}).train()
    text = words(3, 7)
    a, b = (model(text, model.initialize(3))[0] for model in (plain, dropped))
    assert not torch.allclose(a, b)
    a, b = (model.eval()(text, model.initialize(3))[0] for model in (plain, dropped))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(embed_size=12), "embed_size = hidden_size, got 12 and 8"),
        (dict(embed_size=6, hidden_size=6), f"multiple of {HEADS}, got 6"),
        (dict(cell="lstm"), "cell must be one of transformer, got 'lstm'"),
        (dict(hidden_layers=0), "hidden_layers must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_a_state_of_another_shape_is_refused():
    model = build()
    for wrong in (model.initialize(3), model.initialize(2)[:1], torch.zeros(BLOCKS, 2, F)):
        with pytest.raises(ValueError, match=r"state must have shape \(blocks, N, P, 2F\)"):
            model(words(2, 5), wrong)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru_reset_first", "mingru", "transformer"])
def test_a_state_of_another_kind_is_refused(cell):
    of_class = TransformerModel if cell == "transformer" else LanguageModel
    model = of_class(V, F, F, 1, cell=cell)
    state = model.initialize(2)
    one = state[0] if cell == "lstm" else state
    pair = cell == "lstm"
    for wrong in (one if pair else (one, one), (one,), (), None, [one, one], (one, one, one)):
        with pytest.raises(TypeError, match="state must be a " + ("pair" if pair else "tensor")):
            model(words(2, 5), wrong)


def test_a_block_does_what_it_is_told_with_each_part_that_it_adds():
    block = TransformerBlock(F, F)
    x = torch.randn(1, 5, F)
    after, _ = block(x, x.new_zeros(1, 0, 2 * F), torch.zeros_like)
    assert torch.equal(after, x)


# All through training, checkpoints and scoring


@pytest.mark.parametrize("cell", ["mingru", "fixed_factors", "transformer"])
def test_a_recipe_trains_is_kept_and_scores_each_word_once(cell, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("one two three four five six seven eight nine ten . " * 60, encoding="utf-8")
    trainset, validset = Dataset(12, book), Dataset(12, book, train=False)
    recipe = replace(
        recipes.find("lstm"), name=cell, cell=cell, hidden_size=16, hidden_layers=2, epochs=8
    )
    recipe = replace(recipe, dropout=0.1, batch_size=4, seq_length=12)
    model, log = experiment.run(recipe, trainset, validset, folder=tmp_path)
    assert log["validation_loss"][-1] < 0.5 * log["validation_loss"][0]
    again, _ = checkpoints.load_model(tmp_path / f"{cell}.pt")
    assert type(again) is type(model) and again.cell == cell
    _, loader = experiment.build_loaders(recipe, trainset, validset)
    loss = evaluate(again, torch.nn.CrossEntropyLoss(), loader)
    assert loss == pytest.approx(log["validation_loss"][-1], abs=1e-5)
    nats = Network(again).score(validset.data)
    assert len(nats) == len(validset.data) - 1
    assert perplexity(nats.mean().item()) == pytest.approx(perplexity(loss), rel=1e-4)
