"""RNNLayer against values by hand, finite differences, autograd and `torch.nn.RNN`."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from layer_reference import (
    any_sequence,
    assert_sequence_agrees,
    error_to_differences,
    layer_and_rng,
    sequence_error_to_autograd,
    step_error_to_autograd,
    unrolled,
    with_mistake,
)

from blg561.layer import RNNLayer


def rnn_step(x, prev_h, Wx, Wh, b):
    return (torch.tanh(x @ Wx + prev_h @ Wh + b),)


@pytest.fixture
def by_hand():
    """One row, two units. a = (ln 2, -ln 3), of which the tanh is (3/5, -4/5)."""
    layer = RNNLayer(2, 2)
    layer.Wx = np.array([[1.0, 2.0], [3.0, 4.0]])
    layer.Wh = np.array([[1.0, 0.0], [-1.0, 2.0]])
    # x Wx = (1, 2) - (3, 4) = (-2, -2), prev_h Wh = 2 (1, 0) + (-1, 2) = (1, 2)
    layer.b = np.array([np.log(2) + 1, -np.log(3)])
    return layer, np.array([[1.0, -1.0]]), np.array([[2.0, 1.0]])


def test_step_by_hand(by_hand):
    layer, x, prev_h = by_hand
    next_h, _ = layer.forward_step(x, prev_h)
    np.testing.assert_allclose(next_h, [[0.6, -0.8]], rtol=1e-12)


def test_gradients_by_hand(by_hand):
    layer, x, prev_h = by_hand
    _, cache = layer.forward_step(x, prev_h)
    dx, dprev_h, dWx, dWh, db = layer.backward_step(np.array([[1.0, 2.0]]), cache)
    # da = (1 (1 - 0.36), 2 (1 - 0.64))
    np.testing.assert_allclose(db, [0.64, 0.72], rtol=1e-12)
    np.testing.assert_allclose(dx, [[0.64 + 1.44, 1.92 + 2.88]], rtol=1e-12)
    np.testing.assert_allclose(dprev_h, [[0.64, -0.64 + 1.44]], rtol=1e-12)
    np.testing.assert_allclose(dWx, [[0.64, 0.72], [-0.64, -0.72]], rtol=1e-12)
    np.testing.assert_allclose(dWh, [[1.28, 1.44], [0.64, 0.72]], rtol=1e-12)


def test_two_steps_by_hand():
    layer = RNNLayer(1, 1)
    layer.Wx, layer.Wh, layer.b = np.array([[np.log(2)]]), np.array([[5.0]]), np.array([0.0])
    h = layer.forward(np.array([[[1.0], [1.0]]]), np.array([[0.0]]))
    # h_1 = tanh(ln 2) = 3/5, h_2 = tanh(ln 2 + 3) = (4 e^6 - 1) / (4 e^6 + 1)
    h_2 = (4 * np.exp(6) - 1) / (4 * np.exp(6) + 1)
    np.testing.assert_allclose(h, [[[0.6], [h_2]]], rtol=1e-12)
    gradients = layer.backward(np.array([[[0.0], [1.0]]]))
    da_2 = 1 - h_2**2
    da_1 = da_2 * 5 * (1 - 0.36)
    np.testing.assert_allclose(gradients["dx"][0, :, 0], np.log(2) * np.array([da_1, da_2]))
    np.testing.assert_allclose(gradients["db"], [da_1 + da_2])
    np.testing.assert_allclose(gradients["dWh"], [[0.6 * da_2]])
    np.testing.assert_allclose(gradients["dh0"], [[5 * da_1]])


def nn_rnn(x, h0, Wx, Wh, b):
    weights = {"weight_ih_l0": Wx.T, "weight_hh_l0": Wh.T, "bias_ih_l0": b}
    weights["bias_hh_l0"] = torch.zeros_like(b)
    network = torch.nn.RNN(*Wx.shape, batch_first=True, dtype=x.dtype)
    h, _ = torch.func.functional_call(network, weights, (x, h0[None]))
    return (h,)


def test_every_gradient_agrees_with_finite_differences():
    assert error_to_differences(*layer_and_rng(RNNLayer)) < 1e-6


def test_step_agrees_with_autograd():
    assert step_error_to_autograd(*layer_and_rng(RNNLayer), rnn_step) < 1e-10


@pytest.mark.parametrize("sequence", [partial(unrolled, rnn_step), nn_rnn])
def test_sequence_agrees_with_autograd_and_torch_nn(sequence):
    assert sequence_error_to_autograd(*layer_and_rng(RNNLayer), sequence) < 1e-10


@settings(max_examples=50)
@given(any_sequence)
def test_any_sequence_agrees_with_autograd(drawn):
    assert_sequence_agrees(RNNLayer, rnn_step, **drawn)


@pytest.mark.parametrize(
    ("equation", "right", "wrong"),
    [
        pytest.param("RNN.3", "1 -", "1 +", id="sign of tanh'"),
        pytest.param("RNN.3", "dnext_h *", "dnext_h + 0 *", id="no tanh'"),
        pytest.param("RNN.4", "Wx.T", "(Wx.T / 2)", id="half of dx"),
        pytest.param("RNN.5", "Wh.T", "Wh", id="Wh not transposed"),
        pytest.param("RNN.6", "@ da", "@ dnext_h", id="dWx without tanh'"),
        pytest.param("RNN.7", "prev_h.T", "next_h.T", id="dWh from the new state"),
        pytest.param("RNN.8", "sum", "mean", id="db as a mean"),
        pytest.param("RNN.9", " + dprev_h", "", id="no dh from the next step"),
        pytest.param("RNN.10", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order"),
        pytest.param("RNN.11", "h[:-1]", "h[1:]", id="states of the wrong step"),
        pytest.param("RNN.12", "rows(da)", "da[0]", id="db of the first step only"),
    ],
)
def test_the_gradient_check_catches(equation, right, wrong):
    wrong_layer = with_mistake(RNNLayer, equation, right, wrong)
    assert error_to_differences(*layer_and_rng(wrong_layer)) > 1e-3
