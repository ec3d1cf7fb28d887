"""The self-attention layer against finite differences, PyTorch, itself step by step, and a GRU."""

import inspect
import math
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_reference import autograd, largest_error, random_parameters
from torch.nn import functional as F

from blg561.checks import grad_check
from blg561.layer import EncoderDecoder, GRULayer, SelfAttentionLayer, self_attention
from blg561.layer.encoder_decoder import END, Adam, padded


def example(module=self_attention, N=2, P=2, T=4, D=3, H=4, seed=0):
    """A layer, its inputs by name, an upstream gradient."""
    rng = np.random.default_rng(seed)
    layer = random_parameters(module.SelfAttentionLayer(D, H), rng)
    inputs = {"x": rng.normal(size=(N, T, D)), "h0": rng.normal(size=(N, P, H))}
    return layer, inputs, rng.normal(size=(N, T, H))


def in_torch(x, h0, Wx, Wq, Wk, Wv, W1, W2, b, b1, b2):
    """The definition, with PyTorch's own attention and linear layers, and loops for positions."""
    P, H = h0.shape[1:]
    where = torch.zeros(x.shape[1], H, dtype=x.dtype)
    for t in range(x.shape[1]):
        for i in range(H):
            angle = (P + t) / 10000 ** (2 * (i // 2) / H)
            where[t, i] = math.cos(angle) if i % 2 else math.sin(angle)
    z = F.linear(x, Wx.T, b) + where
    read = torch.cat([h0, z], dim=1)
    mask = torch.ones(x.shape[1], read.shape[1], dtype=torch.bool).tril(P)
    r = z + F.scaled_dot_product_attention(z @ Wq, read @ Wk, read @ Wv, mask)
    return (r + F.linear(F.linear(r, W1.T, b1).tanh(), W2.T, b2),)


def error_to_differences(layer, inputs, dh):
    layer.forward(**inputs)
    ours = layer.backward(dh)
    return largest_error(
        ours,
        {
            "d" + name: grad_check(lambda _: layer.forward(**inputs), array, dh)
            for name, array in {**inputs, **layer.parameters}.items()
        },
    )


def test_every_gradient_is_that_of_finite_differences():
    assert error_to_differences(*example()) < 1e-6


@settings(max_examples=40)
@given(
    sizes=st.fixed_dictionaries({name: st.integers(1, 5) for name in "NPTDH"}),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_are_those_of_pytorch(sizes, seed):
    layer, inputs, dh = example(**sizes, seed=seed)
    (h,), gradients = autograd(in_torch, {**inputs, **layer.parameters}, [dh])
    np.testing.assert_allclose(layer.forward(**inputs), h, rtol=0, atol=1e-11)
    ours = layer.backward(dh)
    assert ours.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-10, err_msg=name)


def test_one_vector_is_a_past_of_one():
    layer, inputs, dh = example(P=1)
    h = layer.forward(**inputs)
    dh0 = layer.backward(dh)["dh0"]
    np.testing.assert_array_equal(layer.forward(inputs["x"], inputs["h0"][:, 0]), h)
    np.testing.assert_array_equal(layer.backward(dh)["dh0"], dh0[:, 0])


def test_a_step_at_a_time_gives_the_same():
    layer, inputs, _ = example()
    expected = layer.forward(**inputs)
    past = inputs["h0"]
    for t in range(4):
        h = layer.forward(inputs["x"][:, t : t + 1], past)
        (past,) = layer.last_state
        assert past.shape == (2, 3 + t, 4)
        np.testing.assert_allclose(h[:, 0], expected[:, t], rtol=1e-12)


def test_a_step_depends_on_itself_and_those_before_alone():
    layer, inputs, dh = example()
    before = layer.forward(**inputs)
    inputs["x"][:, 2] += 1
    after = layer.forward(**inputs)
    np.testing.assert_array_equal(after[:, :2], before[:, :2])
    assert (after[:, 2:] != before[:, 2:]).all()
    dh[:, 2:] = 0
    layer.forward(**inputs)
    assert (layer.backward(dh)["dx"][:, 2:] == 0).all()


def test_it_has_as_many_parameters_as_a_gru():
    for D, H in [(1, 1), (3, 4), (16, 64)]:
        layers = SelfAttentionLayer(D, H), GRULayer(D, H)
        ours, gru = (sum(p.size for p in layer.parameters.values()) for layer in layers)
        assert ours == gru == 3 * H * (D + H + 1)


def test_float32_stays_float32_and_nothing_given_is_changed():
    layer = SelfAttentionLayer(3, 4, rng=0, dtype=np.float32)
    x, h0 = np.ones((2, 3, 3), np.float32), np.ones((2, 4), np.float32)
    h = layer.forward(x, h0)
    assert h.dtype == layer.last_state[0].dtype == np.float32
    assert {gradient.dtype for gradient in layer.backward(h).values()} == {np.dtype(np.float32)}
    assert (x == 1).all() and (h0 == 1).all()
    expected = layer.grad["dWx"]
    x[:] = 9
    np.testing.assert_array_equal(layer.backward(h)["dWx"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.ones((2, 4, 9))}, "x: expected shape .N ≥ 1, T ≥ 1, D = 3"),
        ({"h0": np.ones((3, 2, 4))}, "h0: expected shape .N = 2, P ≥ 1, H = 4"),
        ({"h0": np.ones((2, 5))}, "h0: expected shape .N = 2, H = 4"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    layer, inputs, dh = example()
    with pytest.raises(ValueError, match=message):
        layer.forward(**{**inputs, **change})
    layer.forward(**inputs)
    with pytest.raises(ValueError, match="dh: expected shape"):
        layer.backward(dh[:, :2])


MISTAKES = [
    ("ATT.28", "positions(P,", "positions(0,"),
    ("ATT.30", "z @ Wq", "x @ Wx @ Wq"),
    ("ATT.31", "z + c", "c"),
    ("ATT.32", "+ b1", ""),
    ("ATT.33", "r + u", "u"),
    ("ATT.34", "u**2", "u"),
    ("ATT.35", "dh + ", ""),
    ("ATT.36", "+ dv @ Wv.T", ""),
    ("ATT.37", "dq @ Wq.T + ", ""),
    ("ATT.38", "dread[:, :P]", "-dread[:, :P]"),
    ("ATT.39", "rows(left)", "2 * rows(left)"),
    ("ATT.40", "sum(", "mean("),
    ("ATT.41", "feature % 2,", "feature % 2 < 1,"),
]


@pytest.mark.parametrize(("equation", "right", "wrong"), MISTAKES)
def test_a_mistake_in_an_equation_is_found(equation, right, wrong):
    """One line wrong: the results are no longer PyTorch's, or the gradients not the differences."""
    lines = inspect.getsource(self_attention).splitlines()
    (n,) = [n for n, line in enumerate(lines) if line.endswith(f"# ({equation})")]
    assert right in lines[n]
    lines[n] = lines[n].replace(right, wrong)
    module = types.ModuleType("self_attention_with_a_mistake")
    exec(compile("\n".join(lines), module.__name__, "exec"), vars(module))
    layer, inputs, dh = example(module)
    (h,), _ = autograd(in_torch, {**inputs, **layer.parameters}, [dh])
    forward = np.abs(layer.forward(**inputs) - h).max()
    assert forward > 1e-6 or error_to_differences(layer, inputs, dh) > 1e-6


@pytest.mark.parametrize("encoder", [GRULayer, SelfAttentionLayer])
def test_an_encoder_decoder_of_it_has_the_right_gradients_and_learns(encoder):
    """All its parameters against finite differences, then nine numbers reversed."""
    digits = [(a, b) for a in (3, 4, 5) for b in (3, 4, 5)]
    source, target = padded(digits), padded([[b, a, END] for a, b in digits])
    layers = {"encoder": encoder, "decoder": SelfAttentionLayer}
    net = EncoderDecoder(6, 6, 8, 12, "dot", rng=0, **layers)
    net.loss(source, target)
    ours = net.backward()
    for name, parameter in net.parameters.items():
        if parameter.ndim == 1 or "attention" in name or name.endswith(("Wx", "Wq")):
            numerical = grad_check(lambda _: net.loss(source, target), parameter)
            np.testing.assert_allclose(ours[name], numerical, rtol=0, atol=1e-8, err_msg=name)
    optimiser = Adam(net, learning_rate=0.01)
    for _ in range(200):
        net.loss(source, target)
        net.backward()
        optimiser.step()
    assert [one.symbols for one in net.greedy(source, 5)] == [pair[::-1] for pair in digits]
    for row, one in zip(source, net.greedy(source, 5), strict=True):
        (beam,) = net.beam_search(row[None], 5, width=1)
        assert beam.symbols == one.symbols
        assert len(net.beam_search(row[None], 5, width=3)) == 3
