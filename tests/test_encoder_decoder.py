"""The encoder-decoder against autograd, its search against trying everything, what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch
from layer_reference import autograd, unrolled
from torch.nn import functional as F

from blg561.checks import rel_error
from blg561.layer.encoder_decoder import (
    BEGIN,
    END,
    PAD,
    Adam,
    EncoderDecoder,
    Hypothesis,
    padded,
    shifted,
)

ATTENTIONS = [None, "dot", "scaled", "additive"]
all_attentions = pytest.mark.parametrize("attention", ATTENTIONS)
SOURCE = padded([[3, 4, 5, 3], [5], [4, 4]])
TARGET = padded([[5, 3, END], [4, END], [3, 3, 5, 4, END]])


def model(attention="dot", rng=0, dtype=np.float64, scale=3.0):
    """Six symbols, three units; parameters large enough that what is written depends on them."""
    net = EncoderDecoder(6, 6, 4, 3, attention, rng, dtype)
    generator = np.random.default_rng(rng)
    for name, parameter in net.parameters.items():
        parameter[:] = generator.normal(0, scale / 3, parameter.shape)
        if name == "output.W":
            parameter *= scale
    return net


def gru_step(x, h, Wx, Wh, b, Wxi, Whi, bi):
    z, r = torch.sigmoid(x @ Wx + h @ Wh + b).chunk(2, dim=-1)
    candidate = torch.tanh(x @ Wxi + (r * h) @ Whi + bi)
    return (z * h + (1 - z) * candidate,)


def loss_in_torch(attention, source, target, **parameters):
    """Every sequence alone and without padding, its losses added up."""

    def of(layer):
        names = {name for name in parameters if name.startswith(layer)}
        return {name.removeprefix(layer + "__"): parameters[name] for name in names}

    total, count = 0.0, 0
    for x, y in zip(source, target, strict=True):
        x, y = x[x != PAD], y[y != PAD]
        x_in = parameters["source_embedding__W"][torch.tensor(x)][None]
        y_in = parameters["target_embedding__W"][torch.tensor([BEGIN, *y[:-1]])][None]
        zero = torch.zeros(1, 3, dtype=torch.float64)
        (memory,) = unrolled(gru_step, x_in, zero, **of("encoder"))
        (h,) = unrolled(gru_step, y_in, memory[:, -1], **of("decoder"))
        if attention in ("dot", "scaled"):
            scale = 1.0 if attention == "dot" else None
            context = F.scaled_dot_product_attention(h, memory, memory, scale=scale)
            h = torch.cat([h, context], dim=-1)
        elif attention:
            a = of("attention")
            u = torch.tanh((h @ a["Wq"])[:, :, None] + (memory @ a["Wk"])[:, None])
            h = torch.cat([h, (u @ a["v"]).softmax(-1) @ memory], dim=-1)
        logits = h[0] @ parameters["output__W"] + parameters["output__b"]
        total = total + F.cross_entropy(logits, torch.tensor(y), reduction="sum")
        count += len(y)
    return (total / count,)


@all_attentions
def test_loss_and_gradients_are_those_of_autograd_on_each_sequence_alone(attention):
    """Autograd sees no padding at all: that padding changes nothing is tested with it."""
    net = model(attention)
    arrays = {name.replace(".", "__"): p for name, p in net.parameters.items()}
    (expected,), gradients = autograd(
        lambda **given: loss_in_torch(attention, SOURCE, TARGET, **given), arrays, [np.array(1.0)]
    )
    assert net.loss(SOURCE, TARGET) == pytest.approx(float(expected), rel=1e-12)
    ours = net.backward()
    assert ours.keys() == net.parameters.keys()
    for name in ours:
        reference = gradients["d" + name.replace(".", "__")]
        np.testing.assert_allclose(ours[name], reference, rtol=0, atol=1e-11, err_msg=name)


@all_attentions
def test_float32_stays_float32_and_nothing_given_is_changed(attention):
    net = model(attention, dtype=np.float32)
    source, target = SOURCE.copy(), TARGET.copy()
    net.loss(source, target)
    assert {g.dtype for g in net.backward().values()} == {np.dtype(np.float32)}
    net.greedy(source, 5)
    np.testing.assert_array_equal(source, SOURCE)
    np.testing.assert_array_equal(target, TARGET)


@all_attentions
def test_it_learns_to_reverse(attention):
    """Two digits of three, all nine sources: learnt without an error in a few hundred steps."""
    digits = list(itertools.product([3, 4, 5], repeat=2))
    source = padded(digits)
    target = padded([[*reversed(pair), END] for pair in digits])
    net = EncoderDecoder(6, 6, 8, 12, attention, rng=0)
    optimiser = Adam(net, learning_rate=0.02)
    for _ in range(120):
        net.loss(source, target)
        net.backward()
        optimiser.step()
    assert [one.symbols for one in net.greedy(source, 5)] == [pair[::-1] for pair in digits]
    assert all(one.finished for one in net.greedy(source, 5))


@pytest.mark.parametrize("clip_val", [0.1, 100.0])
def test_adam_is_that_of_pytorch(clip_val):
    net = model()
    theirs = {name: torch.tensor(p, requires_grad=True) for name, p in net.parameters.items()}
    optimiser = Adam(net, learning_rate=0.05, clip_val=clip_val)
    reference = torch.optim.Adam(theirs.values(), lr=0.05)
    for _ in range(5):
        net.loss(SOURCE, TARGET)
        for name, gradient in net.backward().items():
            theirs[name].grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(theirs.values(), clip_val)
        optimiser.step()
        reference.step()
        reference.zero_grad()
    for name, parameter in net.parameters.items():
        np.testing.assert_allclose(parameter, theirs[name].detach(), rtol=0, atol=1e-12)


def test_a_gradient_that_is_not_finite_changes_nothing():
    net = model()
    net.grad = {name: np.full_like(p, np.inf) for name, p in net.parameters.items()}
    before = {name: p.copy() for name, p in net.parameters.items()}
    with pytest.raises(FloatingPointError, match="norm is inf"):
        Adam(net).step()
    assert all(np.array_equal(p, before[name]) for name, p in net.parameters.items())


# What is written


def log_probability(net, source, symbols, finished=True):
    """ln p of a whole target, all steps at once, PAD and BEGIN left out."""
    written = np.array([[*symbols, END] if finished else list(symbols)])
    logits = net.forward(source, shifted(written))[0].copy()
    logits[:, [PAD, BEGIN]] = -np.inf
    log_p = torch.log_softmax(torch.tensor(logits), -1).numpy()
    return log_p[np.arange(written.size), written[0]].sum()


def everything(net, source, longest):
    """All targets that end within `longest` steps."""
    for length in range(longest):
        for symbols in itertools.product([3, 4, 5], repeat=length):
            yield Hypothesis(symbols, log_probability(net, source, symbols), True)


def test_a_score_is_per_step_and_end_is_a_step():
    assert Hypothesis((3, 4), -6.0, True).score(1) == -2
    assert Hypothesis((3, 4), -6.0, False).score(1) == -3
    assert Hypothesis((), -6.0, True).score(1) == -6
    assert Hypothesis((3, 4, 5), -6.0, True).score(0.5) == -3
    assert Hypothesis((3, 4), -6.0, True).score(0) == -6


@pytest.mark.parametrize("length_power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_that_holds_everything_finds_what_trying_everything_finds(seed, length_power):
    net = model("dot", rng=seed)
    source = np.array([[3, 5, 4]])
    expected = sorted(everything(net, source, 4), key=lambda one: -one.score(length_power))
    found = net.beam_search(source, 4, width=200, length_power=length_power)
    assert [one.symbols for one in found] == [one.symbols for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.finished
        assert one.log_probability == pytest.approx(other.log_probability, rel=1e-9)


@all_attentions
def test_a_beam_of_one_is_greedy(attention):
    for seed in range(5):
        net = model(attention, rng=seed)
        for row in range(len(SOURCE)):
            source = SOURCE[row : row + 1]
            (beam,) = net.beam_search(source, 6, width=1)
            (greedy,) = net.greedy(source, 6)
            assert beam.symbols == greedy.symbols and beam.finished == greedy.finished
            assert beam.log_probability == pytest.approx(greedy.log_probability)


def test_padding_changes_nothing_that_is_written():
    net = model("additive")
    together = net.greedy(SOURCE, 6)
    for row, expected in zip(SOURCE, together, strict=True):
        (alone,) = net.greedy(row[row != PAD][None], 6)
        assert alone.symbols == expected.symbols
        assert alone.log_probability == pytest.approx(expected.log_probability)


def test_the_probability_of_what_greedy_wrote_is_that_of_the_whole_target():
    net = model()
    for row in range(len(SOURCE)):
        source = SOURCE[row : row + 1]
        (one,) = net.greedy(source, 6)
        expected = log_probability(net, source, one.symbols, one.finished)
        assert one.log_probability == pytest.approx(expected)


def test_samples_have_the_probabilities_of_the_model():
    net = model(scale=1.0)
    source = np.array([[3, 5, 4]])
    n = 4000
    drawn = net.sample(source.repeat(n, axis=0), 3, np.random.default_rng(0))
    for symbols in [(), (3,), (4,), (5,)]:
        p = math.exp(log_probability(net, source, symbols))
        share = sum(one.finished and one.symbols == symbols for one in drawn) / n
        assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n) + 1e-9
    cold = net.sample(source, 6, np.random.default_rng(0), temperature=1e-6)
    assert cold[0].symbols == net.greedy(source, 6)[0].symbols


def test_a_decoder_that_never_ends_is_stopped_and_says_so():
    net = model()
    net.output.b[END] = -1e4
    (one,) = net.greedy(SOURCE[:1], 7)
    assert len(one.symbols) == 7 and not one.finished
    beams = net.beam_search(SOURCE[:1], 7, width=3)
    assert len(beams) == 3
    assert all(len(beam.symbols) == 7 and not beam.finished for beam in beams)
    assert not net.sample(SOURCE[:1], 7, np.random.default_rng(0))[0].finished


def test_forced_inputs_are_the_targets_and_free_ones_what_greedy_writes():
    net = model()
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(net.sampled_inputs(SOURCE, TARGET, 1, rng), shifted(TARGET))
    free = net.sampled_inputs(SOURCE, TARGET, 0, rng)
    for row, one in zip(free, net.greedy(SOURCE, TARGET.shape[1] - 1), strict=True):
        own = row[1:]
        stop = np.argmax(own == END) if END in own else len(own)
        assert tuple(own[:stop]) == one.symbols
    assert (free[:, 0] == BEGIN).all()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((1, 0), int), "source: expected shape"),
        (np.array([[3, 4], [PAD, PAD]]), "source: row 1 is empty, there is padding alone"),
        (np.array([[3, PAD, 4]]), "source: row 0 has padding before a symbol"),
        (np.array([[3, 6]]), "source: expected words from 0 to 5, got 6"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(source, message):
    net = model()
    for call in (net.greedy, net.beam_search):
        with pytest.raises(ValueError, match=message):
            call(source, 5)


def test_what_else_is_refused():
    net = model()
    with pytest.raises(ValueError, match="target: row 0 is empty"):
        net.loss(SOURCE[:1], np.array([[PAD, PAD]]))
    with pytest.raises(ValueError, match="longest: expected at least 1, got 0"):
        net.greedy(SOURCE, 0)
    with pytest.raises(ValueError, match="width: expected at least 1, got 0"):
        net.beam_search(SOURCE[:1], 5, width=0)
    with pytest.raises(ValueError, match=r"source: expected shape \(1, S"):
        net.beam_search(SOURCE, 5)
    with pytest.raises(ValueError, match="temperature"):
        net.sample(SOURCE, 5, np.random.default_rng(0), temperature=0)
    with pytest.raises(ValueError, match="temperature"):
        net.sample(SOURCE, 5, np.random.default_rng(0), temperature=np.inf)
    with pytest.raises(ValueError, match="target_symbols: expected PAD, BEGIN, END and one more"):
        EncoderDecoder(6, 3)
    with pytest.raises(ValueError, match="inputs: expected shape"):
        net.loss(SOURCE, TARGET, TARGET[:, :1])
    with pytest.raises(ValueError, match="clip_val"):
        Adam(net, clip_val=0.0)
    with pytest.raises(RuntimeError, match=r"Adam\.step needs a call"):
        Adam(net).step()
    with pytest.raises(RuntimeError, match="backward needs a call of loss"):
        net.backward()
    net.loss(SOURCE, TARGET)
    net.greedy(SOURCE, 5)
    with pytest.raises(RuntimeError, match="backward needs a call of loss just before it"):
        net.backward()
    with pytest.raises(ValueError, match="attention: expected"):
        EncoderDecoder(6, 6, attention="product")


def test_the_seed_decides():
    first, same = (EncoderDecoder(6, 6, 4, 3, "additive", rng=5) for _ in range(2))
    for name, parameter in first.parameters.items():
        assert rel_error(parameter, same.parameters[name]) == 0
