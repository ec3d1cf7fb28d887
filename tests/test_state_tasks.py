"""The control of lesson 8's parity task, the task itself, and what the stored results say."""

import numpy as np
import pytest

from benchmarks import results, state_tasks
from benchmarks.memory_tasks import best_rate
from blg561.checks import grad_check, rel_error
from blg561.layer import MinGRULayer


def test_the_signed_layer_has_the_gradients_of_finite_differences():
    rng = np.random.default_rng(0)
    layer = state_tasks.SignedMinGRU(3, 4, rng=rng)
    layer.bz, layer.bc = rng.normal(size=(2, 4))
    x, h0, dh = (rng.normal(size=shape) for shape in [(2, 5, 3), (2, 4), (2, 5, 4)])
    layer.forward(x, h0)
    gradients = layer.backward(dh)
    for name, array in {"x": x, "h0": h0, **layer.parameters}.items():
        differences = grad_check(lambda _: layer.forward(x, h0), array, dh)
        assert rel_error(gradients["d" + name], differences) < 1e-6, name


def test_the_signed_layer_can_turn_a_state_and_the_plain_one_cannot():
    signed, plain = (kind(1, 1) for kind in (state_tasks.SignedMinGRU, MinGRULayer))
    for layer in (signed, plain):
        layer.Wz, layer.bz = np.array([[100.0]]), np.array([-50.0])  # z = the bit
        layer.Wc = np.zeros((1, 1))
    bits = np.array([[[1.0], [0.0], [1.0], [1.0]]])
    np.testing.assert_allclose(signed.forward(bits, np.ones((1, 1))).ravel(), [-1, -1, 1, -1])
    np.testing.assert_allclose(plain.forward(bits, np.ones((1, 1))).ravel(), 0, atol=1e-12)


def test_a_parity_is_that_of_the_ones_so_far():
    x, target = state_tasks.parity_batch(np.random.default_rng(0), 3, 9)
    assert x.shape == (3, 9, 2) and (x.sum(axis=2) == 1).all()
    for row, parities in zip(x[..., 1], target, strict=True):
        assert parities.tolist() == [int(row[: t + 1].sum()) % 2 for t in range(9)]


def test_gradients_of_two_layers_are_those_of_finite_differences():
    rng = np.random.default_rng(1)
    layers = [MinGRULayer(2, 3, rng=rng), MinGRULayer(3, 3, rng=rng)]
    x, dh = rng.normal(size=(2, 4, 2)), rng.normal(size=(2, 4, 3))
    state_tasks.read(layers, x)
    found = state_tasks.gradients_of(layers, dh)
    for number, layer in enumerate(layers):
        for name, array in layer.parameters.items():
            differences = grad_check(lambda _: state_tasks.read(layers, x), array, dh)
            assert rel_error(found[f"{number}{name}"], differences) < 1e-6


@pytest.mark.parametrize("task", ["parity", "replaced"])
def test_the_stored_rates_are_those_with_the_best_tuning(task):
    for row in results.read("state_tasks")[task].values():
        assert list(map(float, row["tried"])) == list(state_tasks.RATES)
        assert {len(values) for values in row["tried"].values()} == {3}
        assert row["rate"] == best_rate(row["tried"]) and len(row["accuracy"]) == 5
