"""GRULayer against values by hand, finite differences, autograd and, where they agree, `nn.GRU`."""

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

from blg561.layer import GRULayer

LN2, LN3 = np.log(2), np.log(3)


def gru_step(x, prev_h, Wx, Wh, b, Wxi, Whi, bi):
    update, reset = torch.sigmoid(x @ Wx + prev_h @ Wh + b).chunk(2, dim=1)
    candidate = torch.tanh(bi + (reset * prev_h) @ Whi + x @ Wxi)
    return (update * prev_h + (1 - update) * candidate,)


def nn_gru(x, h0, Wx, Wh, b, Wxi, Whi, bi):
    def in_torchs_order(columns, candidate):  # reset, update, candidate
        z, r = columns.chunk(2, dim=-1)
        return torch.cat([r, z, candidate], dim=-1)

    weights = {
        "weight_ih_l0": in_torchs_order(Wx, Wxi).T,
        "weight_hh_l0": in_torchs_order(Wh, Whi).T,
        "bias_ih_l0": in_torchs_order(b, bi),
        "bias_hh_l0": in_torchs_order(torch.zeros_like(b), torch.zeros_like(bi)),
    }
    network = torch.nn.GRU(*Wxi.shape, batch_first=True, dtype=x.dtype)
    h, _ = torch.func.functional_call(network, weights, (x, h0[None]))
    return (h,)


@pytest.fixture
def by_hand():
    """One row, two units, with gates that are fractions.

    σ(ln 3) = 3/4, σ(0) = 1/2, tanh(ln 2) = 3/5, tanh(-ln 3) = -4/5.
    """
    layer = GRULayer(1, 2)
    x, prev_h = np.array([[2.0]]), np.array([[1.0, 2.0]])
    layer.Wx = np.array([[1.0, 2.0, 3.0, 4.0]])
    layer.Wh = np.array([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 2.0]])
    # x Wx + prev_h Wh = (2, 4, 6, 8) + (1, 2, 2, 4); update = (3/4, 1/2), reset = (1/2, 3/4)
    layer.b = np.array([LN3, 0, 0, LN3]) - [3, 6, 8, 12]
    # reset ⊙ prev_h = (1/2, 3/2), so x Wxi + reset_h Whi = (2, 4) + (1/2 - 3/2, 1)
    layer.Wxi = np.array([[1.0, 2.0]])
    layer.Whi = np.array([[1.0, 2.0], [-1.0, 0.0]])
    layer.bi = np.array([LN2, -LN3]) - [1, 5]
    return layer, x, prev_h


def test_step_by_hand(by_hand):
    layer, x, prev_h = by_hand
    next_h, _ = layer.forward_step(x, prev_h)
    # 3/4 · 1 + 1/4 · 3/5 and 1/2 · 2 + 1/2 · (-4/5)
    np.testing.assert_allclose(next_h, [[0.9, 0.6]], rtol=1e-12)


def test_gradients_by_hand(by_hand):
    layer, x, prev_h = by_hand
    _, cache = layer.forward_step(x, prev_h)
    dx, dprev_h, dWx, dWh, db, dWxi, dWhi, dbi = layer.backward_step(np.array([[1.0, 1.0]]), cache)
    dai = np.array([0.25 * 0.64, 0.5 * 0.36])
    dreset_h = np.array([dai[0] + 2 * dai[1], -dai[0]])
    da = np.array([0.4 * 3 / 16, 2.8 / 4, dreset_h[0] / 4, 2 * dreset_h[1] * 3 / 16])
    np.testing.assert_allclose(dbi, dai, rtol=1e-12)
    np.testing.assert_allclose(db, da, rtol=1e-12)
    np.testing.assert_allclose(dWxi, [2 * dai], rtol=1e-12)
    np.testing.assert_allclose(dWhi, [0.5 * dai, 1.5 * dai], rtol=1e-12)
    np.testing.assert_allclose(dWx, [2 * da], rtol=1e-12)
    np.testing.assert_allclose(dWh, [da, 2 * da], rtol=1e-12)
    np.testing.assert_allclose(dx, [[da @ [1, 2, 3, 4] + dai @ [1, 2]]], rtol=1e-12)
    past_the_cell = np.array([0.75, 0.5])
    through_reset = dreset_h * [0.5, 0.75]
    through_a = [da[0] + 2 * da[2], da[1] + 2 * da[3]]
    np.testing.assert_allclose(dprev_h, [past_the_cell + through_reset + through_a], rtol=1e-12)


def test_every_gradient_agrees_with_finite_differences():
    assert error_to_differences(*layer_and_rng(GRULayer)) < 1e-6


def test_step_agrees_with_autograd():
    assert step_error_to_autograd(*layer_and_rng(GRULayer), gru_step) < 1e-10


def test_sequence_agrees_with_autograd():
    sequence = partial(unrolled, gru_step)
    assert sequence_error_to_autograd(*layer_and_rng(GRULayer), sequence) < 1e-10


def test_sequence_agrees_with_torch_nn_where_the_reset_gate_is_open():
    layer, rng = layer_and_rng(GRULayer)
    layer.b[4:] = 60
    assert sequence_error_to_autograd(layer, rng, nn_gru) < 1e-10


def test_sequence_differs_from_torch_nn_where_it_is_not():
    assert sequence_error_to_autograd(*layer_and_rng(GRULayer), nn_gru) > 0.1


@settings(max_examples=50)
@given(any_sequence)
def test_any_sequence_agrees_with_autograd(drawn):
    assert_sequence_agrees(GRULayer, gru_step, **drawn)


@pytest.mark.parametrize(
    ("equation", "right", "wrong"),
    [
        pytest.param("GRU.8", "prev_h - candidate", "candidate - prev_h", id="sign of dupdate"),
        pytest.param("GRU.9", "(1 - update)", "update", id="candidate through the update gate"),
        pytest.param("GRU.10", "* (1 - candidate**2)", "", id="no tanh'"),
        pytest.param("GRU.11", "Whi.T", "Whi", id="Whi not transposed"),
        pytest.param("GRU.12", "prev_h", "candidate", id="reset gate with the candidate"),
        pytest.param("GRU.13", " + dreset_h * reset", "", id="the path through reset dropped"),
        pytest.param("GRU.13", "dnext_h * update + ", "", id="the path past the cell dropped"),
        pytest.param("GRU.13", "dreset_h * reset", "dreset_h", id="path through reset not gated"),
        pytest.param("GRU.14", "(1 - update)", "1", id="half of the sigmoid'"),
        pytest.param("GRU.15", "(1 - reset)", "(1 - update)", id="sigmoid' of another gate"),
        pytest.param("GRU.16", "@ Wx", "@ -Wx", id="sign of dx"),
        pytest.param("GRU.17", "Wh.T", "-Wh.T", id="sign of the path through a"),
        pytest.param("GRU.18", "@ da", "@ da[::-1]", id="rows of x and da do not match"),
        pytest.param("GRU.19", "prev_h.T", "reset_h.T", id="dWh from the reset state"),
        pytest.param("GRU.20", "sum", "mean", id="db as a mean"),
        pytest.param("GRU.21", "@ dai", "@ dai[::-1]", id="rows of x and dai do not match"),
        pytest.param("GRU.22", "reset_h.T", "prev_h.T", id="dWhi without the reset gate"),
        pytest.param("GRU.23", "sum", "mean", id="dbi as a mean"),
        pytest.param("GRU.24", " + dprev_h", "", id="no dh from the next step"),
        pytest.param("GRU.25", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order"),
        pytest.param("GRU.26", "h[:-1]", "h[1:]", id="states of the wrong step"),
        pytest.param("GRU.27", "rows(da)", "da[0]", id="db of the first step only"),
        pytest.param("GRU.28", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order, dWxi"),
        pytest.param("GRU.29", "reset_h", "h[:-1]", id="dWhi without reset, sequence"),
        pytest.param("GRU.30", "rows(dai)", "dai[0]", id="dbi of the first step only"),
    ],
)
def test_the_gradient_check_catches(equation, right, wrong):
    wrong_layer = with_mistake(GRULayer, equation, right, wrong)
    assert error_to_differences(*layer_and_rng(wrong_layer)) > 1e-3
