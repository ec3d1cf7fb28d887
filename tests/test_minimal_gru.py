"""MinGRULayer against values by hand, finite differences, autograd and, for the scan, a loop."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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

from blg561.layer import MinGRULayer
from blg561.layer.minimal_gru import scan

LN3 = np.log(3)


def min_gru_step(x, prev_h, Wz, bz, Wc, bc):
    update = torch.sigmoid(x @ Wz + bz)
    return ((1 - update) * prev_h + update * (x @ Wc + bc),)


@pytest.fixture
def by_hand():
    """One row, two units, with gates that are fractions: σ(ln 3) = 3/4, σ(0) = 1/2."""
    layer = MinGRULayer(1, 2)
    x, prev_h = np.array([[2.0]]), np.array([[1.0, 2.0]])
    layer.Wz, layer.bz = np.array([[1.0, 2.0]]), np.array([LN3, 0]) - [2, 4]
    layer.Wc, layer.bc = np.array([[3.0, 0.5]]), np.array([-1.0, 0.0])  # candidate = (5, 1)
    return layer, x, prev_h


def test_step_by_hand(by_hand):
    layer, x, prev_h = by_hand
    next_h, _ = layer.forward_step(x, prev_h)
    # 1/4 · 1 + 3/4 · 5 and 1/2 · 2 + 1/2 · 1
    np.testing.assert_allclose(next_h, [[4.0, 1.5]], rtol=1e-12)


def test_gradients_by_hand(by_hand):
    layer, x, prev_h = by_hand
    _, cache = layer.forward_step(x, prev_h)
    dx, dprev_h, dWz, dbz, dWc, dbc = layer.backward_step(np.array([[1.0, 2.0]]), cache)
    daz = np.array([1 * 4 * 3 / 16, 2 * -1 / 4])
    dcandidate = np.array([3 / 4, 2 / 2])
    np.testing.assert_allclose(dprev_h, [[1 / 4, 2 / 2]], rtol=1e-12)
    np.testing.assert_allclose(dbz, daz, rtol=1e-12)
    np.testing.assert_allclose(dbc, dcandidate, rtol=1e-12)
    np.testing.assert_allclose(dWz, [2 * daz], rtol=1e-12)
    np.testing.assert_allclose(dWc, [2 * dcandidate], rtol=1e-12)
    np.testing.assert_allclose(dx, [[daz @ [1, 2] + dcandidate @ [3, 0.5]]], rtol=1e-12)


def test_sequence_by_hand(by_hand):
    """All inputs alike: with gates of 3/4 and 1/2 the distance to the candidate shrinks by them."""
    layer, x, prev_h = by_hand
    h = layer.forward(np.repeat(x[None], 5, axis=1), prev_h)
    steps = np.arange(1, 6)
    np.testing.assert_allclose(h[0, :, 0], 5 - 4 * 0.25**steps, rtol=1e-12)
    np.testing.assert_allclose(h[0, :, 1], 1 + 0.5**steps, rtol=1e-12)


def test_every_gradient_agrees_with_finite_differences():
    assert error_to_differences(*layer_and_rng(MinGRULayer)) < 1e-6


def test_step_agrees_with_autograd():
    assert step_error_to_autograd(*layer_and_rng(MinGRULayer), min_gru_step) < 1e-10


def test_sequence_agrees_with_autograd():
    sequence = partial(unrolled, min_gru_step)
    assert sequence_error_to_autograd(*layer_and_rng(MinGRULayer), sequence) < 1e-10


@settings(max_examples=50)
@given(any_sequence, st.integers(1, 40))
def test_any_sequence_agrees_with_autograd(drawn, T):
    """T = 1, powers of two and all between: the rounds of the scan end differently."""
    assert_sequence_agrees(MinGRULayer, min_gru_step, **drawn | {"T": T})


# The scan


@settings(max_examples=50)
@given(st.integers(1, 70), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_scan_is_the_loop(T, N, seed):
    rng = np.random.default_rng(seed)
    keep, write, first = rng.uniform(size=(T, N, 2)), *rng.normal(size=(2, T, N, 2))
    first = first[0]
    kept, written = scan(keep, write)
    h = first
    for t in range(T):
        h = keep[t] * h + write[t]
        np.testing.assert_allclose(kept[t] * first + written[t], h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(kept[t], keep[: t + 1].prod(axis=0), rtol=1e-10)


def test_a_scan_leaves_its_arguments_alone():
    keep, write = np.full((5, 1, 1), 0.5), np.ones((5, 1, 1))
    scan(keep, write)
    assert (keep == 0.5).all() and (write == 1).all()


def test_gates_that_shut_and_products_that_underflow_do_no_harm():
    """With the products of all gates as divisors these would be 0 / 0."""
    layer = MinGRULayer(1, 1)
    layer.Wz, layer.Wc = np.array([[1.0]]), np.array([[0.0]])
    layer.bc = np.array([2.0])
    x = np.full((1, 3000, 1), 1.0)
    x[0, 1500] = 800.0  # σ(800) is 1: nothing of what was before is left
    with np.errstate(all="raise", under="ignore"):
        h = layer.forward(x, np.array([[7.0]]))
        gradients = layer.backward(np.ones_like(h))
    np.testing.assert_allclose(h[0, 60:, 0], 2.0)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize(
    ("equation", "right", "wrong"),
    [
        pytest.param("MIN.5", "(1 - update", "(update", id="dprev_h through the other gate"),
        pytest.param("MIN.6", "candidate - prev_h", "prev_h - candidate", id="sign of dupdate"),
        pytest.param("MIN.6", " - prev_h", "", id="dupdate without the old state"),
        pytest.param("MIN.7", " * (1 - update)", "", id="half of the sigmoid'"),
        pytest.param("MIN.8", "* update", "* (1 - update)", id="candidate through 1 - z"),
        pytest.param("MIN.9", "Wz.T", "-Wz.T", id="sign of dx"),
        pytest.param("MIN.10", "@ daz", "@ daz[::-1]", id="rows of x and daz do not match"),
        pytest.param("MIN.11", "sum", "mean", id="dbz as a mean"),
        pytest.param("MIN.12", "dcandidate", "daz", id="dWc from the gate"),
        pytest.param("MIN.13", "sum", "mean", id="dbc as a mean"),
        pytest.param("MIN.19", "[::-1]", "", id="the reversed scan not turned back"),
        pytest.param("MIN.20", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order"),
        pytest.param("MIN.21", "rows(daz)", "daz[0]", id="dbz of the first step only"),
        pytest.param("MIN.22", "rows(x)", "rows(x[::-1])", id="inputs in the wrong order, dWc"),
        pytest.param("MIN.23", "rows(dcandidate)", "dcandidate[0]", id="dbc of the first step"),
    ],
)
def test_the_gradient_check_catches(equation, right, wrong):
    wrong_layer = with_mistake(MinGRULayer, equation, right, wrong)
    assert error_to_differences(*layer_and_rng(wrong_layer)) > 1e-3


@pytest.mark.parametrize(
    ("equation", "right", "wrong"),
    [
        pytest.param("MIN.14", "1 - update", "update", id="the gate keeps what it should write"),
        pytest.param("MIN.15", "update * ", "", id="all of the candidate is written"),
        pytest.param("MIN.16", "kept[:-reach]", "kept[reach:]", id="gates of one place squared"),
        pytest.param("MIN.17", "written[:-reach]", "written[reach:]", id="only what is there"),
        pytest.param("MIN.17", "kept[reach:] * ", "", id="all that was written is kept"),
        pytest.param("MIN.18", "kept * h0 + ", "", id="the first state is lost"),
    ],
)
def test_the_loop_catches(equation, right, wrong):
    """A scan that is wrong forward and backward alike may pass a gradient check."""
    wrong_layer = with_mistake(MinGRULayer, equation, right, wrong)
    sequence = partial(unrolled, min_gru_step)
    assert sequence_error_to_autograd(*layer_and_rng(wrong_layer), sequence) > 1e-3
