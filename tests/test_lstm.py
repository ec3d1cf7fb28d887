"""LSTMLayer against values by hand, finite differences, autograd and `torch.nn.LSTM`."""

import re
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

from blg561.layer import LSTMLayer

LN2, LN3 = np.log(2), np.log(3)


def lstm_step(x, prev_h, prev_c, Wx, Wh, b):
    a_i, a_f, a_o, a_g = (x @ Wx + prev_h @ Wh + b).chunk(4, dim=1)
    next_c = torch.sigmoid(a_f) * prev_c + torch.sigmoid(a_i) * torch.tanh(a_g)
    return torch.sigmoid(a_o) * torch.tanh(next_c), next_c


def nn_lstm(x, h0, c0, Wx, Wh, b):
    def in_torchs_order(columns):  # input, forget, candidate, output
        i, f, o, g = columns.chunk(4, dim=-1)
        return torch.cat([i, f, g, o], dim=-1)

    weights = {
        "weight_ih_l0": in_torchs_order(Wx).T,
        "weight_hh_l0": in_torchs_order(Wh).T,
        "bias_ih_l0": in_torchs_order(b),
        "bias_hh_l0": torch.zeros_like(b),
    }
    network = torch.nn.LSTM(Wx.shape[0], Wh.shape[0], batch_first=True, dtype=x.dtype)
    h, (_, c) = torch.func.functional_call(network, weights, (x, (h0[None], c0[None])))
    return h, c[0]


@pytest.fixture
def by_hand():
    """One row, two units, with gates that are fractions.

    σ(ln 3) = 3/4, σ(0) = 1/2, σ(-ln 3) = 1/4, tanh(ln 2) = 3/5, tanh(-ln 2) = -3/5.
    """
    layer = LSTMLayer(2, 2)
    layer.Wx = np.arange(16.0).reshape(2, 8)
    layer.Wh = np.arange(16.0).reshape(2, 8) - 4
    x, prev_h = np.array([[1.0, -1.0]]), np.array([[2.0, 1.0]])
    x_Wx = np.full(8, -8.0)
    prev_h_Wh = 3 * np.arange(8.0) - 4
    a = np.array([0, LN3, LN3, 0, -LN3, LN3, LN2, -LN2])  # two of input, forget, output, candidate
    layer.b = a - x_Wx - prev_h_Wh
    # c = 3/4 c + 1/2 · 3/5 = ln 2 in the first unit, 1/2 c - 3/4 · 3/5 = 0 in the second
    prev_c = np.array([[(LN2 - 0.3) / 0.75, 0.9]])
    return layer, x, prev_h, prev_c


def test_step_by_hand(by_hand):
    layer, x, prev_h, prev_c = by_hand
    next_h, next_c, _ = layer.forward_step(x, prev_h, prev_c)
    np.testing.assert_allclose(next_c, [[LN2, 0]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(next_h, [[0.25 * 0.6, 0]], rtol=1e-12, atol=1e-12)


def test_gradients_by_hand(by_hand):
    layer, x, prev_h, prev_c = by_hand
    *_, cache = layer.forward_step(x, prev_h, prev_c)
    upstream = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    dx, dprev_h, dprev_c, dWx, dWh, db = layer.backward_step(*upstream, cache)
    # dc = (1/4 (1 - 0.36), 1) = (0.16, 1), and db = da as there is one row
    np.testing.assert_allclose(dprev_c, [[0.16 * 0.75, 0.5]], rtol=1e-12)
    da = [
        [0.16 * 0.6 / 4, -0.6 * 3 / 16],
        [0.16 * prev_c[0, 0] * 3 / 16, 0.9 / 4],
        [0.6 * 3 / 16, 0],
        [0.16 * 0.5 * 0.64, 0.75 * 0.64],
    ]
    da = np.ravel(da)
    np.testing.assert_allclose(db, da, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dWx, [da, -da], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dWh, [2 * da, da], rtol=1e-12, atol=1e-12)
    columns = np.arange(8)
    np.testing.assert_allclose(dx, [[sum(columns * da), sum((columns + 8) * da)]])
    np.testing.assert_allclose(dprev_h, [[sum((columns - 4) * da), sum((columns + 4) * da)]])


def test_every_gradient_agrees_with_finite_differences():
    assert error_to_differences(*layer_and_rng(LSTMLayer)) < 1e-6


def test_step_agrees_with_autograd():
    assert step_error_to_autograd(*layer_and_rng(LSTMLayer), lstm_step) < 1e-10


@pytest.mark.parametrize("sequence", [partial(unrolled, lstm_step), nn_lstm])
def test_sequence_agrees_with_autograd_and_torch_nn(sequence):
    assert sequence_error_to_autograd(*layer_and_rng(LSTMLayer), sequence) < 1e-10


@settings(max_examples=50)
@given(any_sequence)
def test_any_sequence_agrees_with_autograd(drawn):
    assert_sequence_agrees(LSTMLayer, lstm_step, **drawn)


def test_c0_and_dc_are_0_unless_given():
    layer, rng = layer_and_rng(LSTMLayer)
    x, h0, dh = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4)), rng.normal(size=(2, 5, 4))
    h, gradients = layer.forward(x, h0), layer.backward(dh)
    zero = np.zeros((2, 4))
    np.testing.assert_array_equal(layer.forward(x, h0, zero), h)
    for name, gradient in layer.backward(dh, zero).items():
        np.testing.assert_array_equal(gradient, gradients[name], err_msg=name)


@pytest.mark.parametrize("wrong", [np.zeros((1, 4)), np.zeros(4), np.zeros((2, 3))])
def test_a_wrong_cell_state_is_named(wrong):
    layer = LSTMLayer(3, 4)
    message = rf"expected shape \(N = 2, H = 4\), got {re.escape(str(wrong.shape))}$"
    with pytest.raises(ValueError, match=f"^c0: {message}"):
        layer.forward(np.zeros((2, 5, 3)), np.zeros((2, 4)), wrong)
    layer.forward(np.zeros((2, 5, 3)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=f"^dc: {message}"):
        layer.backward(np.zeros((2, 5, 4)), wrong)


def test_forget_bias_is_where_the_forget_gate_starts():
    np.testing.assert_array_equal(LSTMLayer(3, 2).b, [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(LSTMLayer(3, 2, forget_bias=-2).b, [0, 0, -2, -2, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("equation", "right", "wrong"),
    [
        pytest.param("LSTM.9", "* tanh_c", "", id="output gate without tanh(c)"),
        pytest.param("LSTM.10", "* o", "* i", id="h's gradient through the input gate"),
        pytest.param("LSTM.11", "(1 - tanh_c**2)", "1", id="no tanh' of the cell"),
        pytest.param("LSTM.11", "dnext_c + ", "", id="no dc from the next step"),
        pytest.param("LSTM.12", "prev_c", "g", id="forget gate with the candidate"),
        pytest.param("LSTM.13", "* f", "* i", id="dprev_c through the input gate"),
        pytest.param("LSTM.14", "* g", "* prev_c", id="input gate with the old cell"),
        pytest.param("LSTM.15", "* i", "* f", id="candidate through the forget gate"),
        pytest.param("LSTM.16", "(1 - i)", "1", id="half of the sigmoid'"),
        pytest.param("LSTM.17", "(1 - f)", "(1 - i)", id="sigmoid' of another gate"),
        pytest.param("LSTM.18", "do *", "di *", id="another gate's gradient"),
        pytest.param("LSTM.19", "g**2", "g", id="sigmoid' for tanh'"),
        pytest.param("LSTM.20", "Wx.T", "-Wx.T", id="sign of dx"),
        pytest.param("LSTM.21", "Wh.T", "-Wh.T", id="sign of dprev_h"),
        pytest.param("LSTM.22", "@ da", "@ da[::-1]", id="rows of x and da do not match"),
        pytest.param("LSTM.23", "@ da", "@ da[::-1]", id="rows of h and da do not match"),
        pytest.param("LSTM.24", "sum", "mean", id="db as a mean"),
        pytest.param("LSTM.25", " + dprev_h", "", id="no dh from the next step"),
        pytest.param("LSTM.26", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order"),
        pytest.param("LSTM.27", "h[:-1]", "h[1:]", id="states of the wrong step"),
        pytest.param("LSTM.28", "rows(da)", "da[0]", id="db of the first step only"),
    ],
)
def test_the_gradient_check_catches(equation, right, wrong):
    wrong_layer = with_mistake(LSTMLayer, equation, right, wrong)
    assert error_to_differences(*layer_and_rng(wrong_layer)) > 1e-3
