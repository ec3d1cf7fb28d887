"""Embedding, affine layer, dropout and loss against finite differences and autograd."""

import copy
import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from blg561.checks import grad_check, rel_error
from blg561.layer import (
    AffineLayer,
    Dropout,
    EmbeddingLayer,
    SoftmaxCrossEntropy,
    feedforward_layers,
    language_model,
)

sizes = st.tuples(*[st.integers(1, 6)] * 4)
seeds = st.integers(0, 2**32 - 1)


def tensor(array):
    return torch.tensor(array, requires_grad=np.issubdtype(array.dtype, np.floating))


def example(layer_class, dtype=np.float64):
    """A layer with what its forward and backward take: layer, inputs, upstream gradients."""
    rng = np.random.default_rng(0)

    def floats(*shape):
        return rng.normal(size=shape).astype(dtype)

    words = rng.integers(0, 5, (2, 6))
    return {
        EmbeddingLayer: lambda: (EmbeddingLayer(5, 4, rng, dtype), [words], [floats(2, 6, 4)]),
        AffineLayer: lambda: (AffineLayer(3, 4, rng, dtype), [floats(2, 6, 3)], [floats(2, 6, 4)]),
        Dropout: lambda: (Dropout(0.5, 0), [floats(2, 6, 4)], [floats(2, 6, 4)]),
        SoftmaxCrossEntropy: lambda: (SoftmaxCrossEntropy(), [floats(2, 6, 5), words], []),
    }[layer_class]()


LAYERS = [EmbeddingLayer, AffineLayer, Dropout, SoftmaxCrossEntropy]
all_layers = pytest.mark.parametrize("layer_class", LAYERS)


# Gradients


@all_layers
def test_every_gradient_is_that_of_finite_differences(layer_class):
    layer, inputs, upstream = example(layer_class)

    def forward(_):
        layer.rng = np.random.default_rng(0)  # the same mask every time
        return layer.forward(*inputs)

    forward(None)
    gradients = layer.backward(*upstream)
    name = "dlogits" if layer_class is SoftmaxCrossEntropy else "dx"
    arrays = {"d" + name: parameter for name, parameter in layer.parameters.items()}
    if layer_class is not EmbeddingLayer:
        arrays[name] = inputs[0]
    assert gradients.keys() == arrays.keys()
    for name, array in arrays.items():
        differences = grad_check(forward, array, *upstream)
        assert rel_error(gradients[name], differences) < 1e-6, name


@settings(max_examples=30)
@given(sizes, seeds)
def test_embedding_is_that_of_pytorch(sizes, seed):
    rng = np.random.default_rng(seed)
    N, T, V, E = sizes
    layer = EmbeddingLayer(V, E, rng)
    x, dy = rng.integers(0, V, (N, T)), rng.normal(size=(N, T, E))
    W = tensor(layer.W)
    y = F.embedding(torch.from_numpy(x), W)
    y.backward(torch.from_numpy(dy))
    np.testing.assert_array_equal(layer.forward(x), y.detach())
    np.testing.assert_allclose(layer.backward(dy)["dW"], W.grad, rtol=0, atol=1e-10)


@settings(max_examples=30)
@given(sizes, seeds)
def test_affine_layer_is_that_of_pytorch(sizes, seed):
    rng = np.random.default_rng(seed)
    N, T, D, H = sizes
    layer = AffineLayer(D, H, rng)
    layer.b = rng.normal(size=H)
    x, dy = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, H))
    theirs = {"dx": tensor(x), "dW": tensor(layer.W), "db": tensor(layer.b)}
    y = F.linear(theirs["dx"], theirs["dW"].T, theirs["db"])
    y.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(layer.forward(x), y.detach(), rtol=0, atol=1e-10)
    ours = layer.backward(dy)
    for name, parameter in theirs.items():
        np.testing.assert_allclose(ours[name], parameter.grad, rtol=0, atol=1e-10, err_msg=name)


@settings(max_examples=30)
@given(sizes, seeds, st.sampled_from([1e-3, 1.0, 100.0, 1e4]))
def test_cross_entropy_is_that_of_pytorch(sizes, seed, scale):
    rng = np.random.default_rng(seed)
    N, T, V, _ = sizes
    layer = SoftmaxCrossEntropy()
    logits, target = scale * rng.normal(size=(N, T, V)), rng.integers(0, V, (N, T))
    theirs = tensor(logits)
    loss = F.cross_entropy(theirs.flatten(0, 1), torch.from_numpy(target).flatten())
    loss.backward()
    assert layer.forward(logits, target) == pytest.approx(loss.item(), rel=1e-10, abs=1e-10)
    np.testing.assert_allclose(layer.backward()["dlogits"], theirs.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_is_right_and_quiet_at_huge_logits(dtype):
    logits = np.array([[[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, 1e4, -1e4], [-1e4] * 3]], dtype)
    target = np.array([[0, 1, 1, 2]])
    layer = SoftmaxCrossEntropy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = layer.forward(logits, target)
        da = layer.backward()["dlogits"]
    expected = (0 + 2e4 + np.log(2) + np.log(3)) / 4
    assert loss == pytest.approx(expected, rel=4 * float(np.finfo(dtype).eps))
    quarters = [[0, 0, 0], [1, -1, 0], [1 / 2, -1 / 2, 0], [1 / 3, 1 / 3, -2 / 3]]
    np.testing.assert_allclose(da, [np.array(quarters) / 4], rtol=0, atol=np.finfo(dtype).eps)


# Dropout


def test_a_feature_is_off_at_all_steps_of_a_sequence_or_at_none():
    y = Dropout(0.3, rng=0).forward(np.ones((50, 7, 80)))
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0, 1 / 0.7}
    n = 50 * 80
    assert abs((y[:, 0] == 0).sum() - 0.3 * n) < 5 * (n * 0.3 * 0.7) ** 0.5
    assert not (y[0] == y[1]).all()


def test_dropout_is_the_identity_outside_of_training_and_draws_nothing():
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    layer, other = Dropout(0.5, rng=1), Dropout(0.5, rng=1)
    np.testing.assert_array_equal(layer.forward(x, training=False), x)
    np.testing.assert_array_equal(layer.backward(x)["dx"], x)
    np.testing.assert_array_equal(layer.forward(x), other.forward(x))
    np.testing.assert_array_equal(Dropout(0).forward(x), x)


def test_numpys_global_state_is_left_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    for layer_class in LAYERS:
        layer, inputs, _ = example(layer_class)
        layer.forward(*inputs)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


# What all layers promise


@all_layers
def test_float32_stays_float32(layer_class):
    layer, inputs, upstream = example(layer_class, np.float32)
    assert layer.forward(*inputs).dtype == np.float32
    assert {g.dtype for g in layer.backward(*upstream).values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("wide", ["x", "W", "b"])
def test_one_float64_among_float32_makes_the_result_float64(wide):
    layer, (x,), (dy,) = example(AffineLayer, np.float32)
    if wide == "x":
        x = x.astype(np.float64)
    else:
        setattr(layer, wide, getattr(layer, wide).astype(np.float64))
    assert layer.forward(x).dtype == np.float64
    layer.backward(dy.astype(np.float64))
    assert {g.dtype for g in layer.grad.values()} == {np.dtype(np.float64)}


@all_layers
def test_no_call_changes_its_arguments_and_no_result_is_shared(layer_class):
    layer, inputs, upstream = example(layer_class)
    for array in [*inputs, *upstream, *layer.parameters.values()]:
        array.flags.writeable = False
    y = layer.forward(*inputs)
    first = copy.deepcopy(layer.backward(*upstream))
    for array in [*inputs, *upstream]:
        array.flags.writeable = True
    upstream = copy.deepcopy(upstream)
    for array in [np.asarray(y), *inputs, *layer.grad.values()]:
        if array.flags.writeable:
            array.fill(0)
    for name, gradient in layer.backward(*upstream).items():
        np.testing.assert_array_equal(gradient, first[name])


@pytest.mark.parametrize("layer_class", [EmbeddingLayer, AffineLayer])
def test_the_seed_decides_the_parameters(layer_class):
    first, again, other = (layer_class(3, 4, rng=seed).W for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# Errors


@all_layers
def test_backward_before_forward_says_so(layer_class):
    layer, _, upstream = example(layer_class)
    message = f"{layer_class.__name__}.backward needs a call of forward"
    with pytest.raises(RuntimeError, match=message):
        layer.backward(*upstream)


@pytest.mark.parametrize("layer_class", [EmbeddingLayer, AffineLayer, Dropout])
def test_backward_names_a_wrong_shape(layer_class):
    layer, inputs, (dy,) = example(layer_class)
    layer.forward(*inputs)
    for wrong in (dy[:1], dy[:, :3], dy[..., :1], dy[0]):
        with pytest.raises(ValueError, match=r"^dy: expected shape \(N = 2, T = 6, . = 4\), got"):
            layer.backward(wrong)


WORDS, FLOATS = np.zeros((2, 6), int), np.zeros((2, 6, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: EmbeddingLayer(5, 4).forward(WORDS[0]), ValueError,
         "x: expected shape (N ≥ 1, T ≥ 1), got (6,)"),
        (lambda: EmbeddingLayer(5, 4).forward(WORDS[:0]), ValueError,
         "x: expected shape (N ≥ 1, T ≥ 1), got (0, 6)"),
        (lambda: EmbeddingLayer(5, 4).forward(WORDS + 5), ValueError,
         "x: expected words from 0 to 4, got 5"),
        (lambda: EmbeddingLayer(5, 4).forward(WORDS - 1), ValueError,
         "x: expected words from 0 to 4, got -1"),
        (lambda: EmbeddingLayer(5, 4).forward(WORDS * 1.0), TypeError,
         "x: expected a NumPy array of integers, got dtype float64"),
        (lambda: EmbeddingLayer(5, 4).forward([[0]]), TypeError,
         "x: expected a NumPy array of integers, got list"),
        (lambda: AffineLayer(4, 5).forward(FLOATS), ValueError,
         "x: expected shape (N ≥ 1, T ≥ 1, D = 4), got (2, 6, 3)"),
        (lambda: Dropout(0.5).forward(FLOATS[0]), ValueError,
         "x: expected shape (N ≥ 1, T ≥ 1, F ≥ 1), got (6, 3)"),
        (lambda: Dropout(1.0), ValueError,
         "p: expected a probability of at least 0 and below 1, got 1.0"),
        (lambda: Dropout(-0.1), ValueError,
         "p: expected a probability of at least 0 and below 1, got -0.1"),
        (lambda: SoftmaxCrossEntropy().forward(FLOATS[0], WORDS), ValueError,
         "logits: expected shape (N ≥ 1, T ≥ 1, V ≥ 1), got (6, 3)"),
        (lambda: SoftmaxCrossEntropy().forward(FLOATS, WORDS[:1]), ValueError,
         "target: expected shape (N = 2, T = 6), got (1, 6)"),
        (lambda: SoftmaxCrossEntropy().forward(FLOATS, WORDS + 3), ValueError,
         "target: expected words from 0 to 2, got 3"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


# The modules


def test_numbers_of_equations_are_without_gaps():
    text = inspect.getsource(feedforward_layers) + inspect.getsource(language_model)
    numbers = {int(n) for n in re.findall(r"  # \(NLM\.(\d+)\)$", text, re.MULTILINE)}
    assert numbers == set(range(1, max(numbers) + 1))
