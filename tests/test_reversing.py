"""The reversing task: what its data are, and that what is counted as right is right."""

import numpy as np
import pytest

from benchmarks.reversing import FirstUnitsGRU
from blg561.checks import grad_check
from blg561.layer import SelfAttentionLayer
from blg561.layer.encoder_decoder import END, EncoderDecoder, Hypothesis, shifted
from blg561.layer.reversing import FIRST_DIGIT, SYMBOLS, pairs, position_right, train, whole_right


class Oracle:
    """It reverses rightly whatever ends in an even symbol, and leaves out one symbol otherwise.

    What ends in the largest symbol, an even one, it reverses, but does not finish.
    """

    def greedy(self, source, longest):
        rows = [tuple(int(s) for s in row[row >= FIRST_DIGIT])[::-1] for row in source]
        return [
            Hypothesis(row if row[0] % 2 == 0 else row[1:], 0.0, row[0] < SYMBOLS - 1)
            for row in rows
        ]


def test_targets_are_the_sources_reversed_with_an_end():
    source, target = pairs(np.random.default_rng(0), 50, 2, 6)
    lengths = set()
    for x, y in zip(source, target, strict=True):
        x, y = x[x != 0], y[y != 0]
        assert x.min() >= FIRST_DIGIT and x.max() < SYMBOLS
        assert y.tolist() == [*x[::-1], END]
        lengths.add(len(x))
    assert lengths == {2, 3, 4, 5, 6}


def test_whole_right_counts_what_is_right_as_a_whole():
    n, length = 200, 4
    source, _ = pairs(np.random.default_rng([1, length]), n, length, length)
    last = source[:, -1]
    expected = np.mean((last % 2 == 0) & (last < SYMBOLS - 1))
    assert whole_right(Oracle(), length, n) == expected < np.mean(last % 2 == 0)


def test_the_seed_decides_a_training_and_free_running_reads_its_own_symbols():
    first, losses = train("dot", 3, steps=2, hidden_size=4)
    same, again = train("dot", 3, steps=2, hidden_size=4)
    np.testing.assert_array_equal(losses, again)
    for name, parameter in first.parameters.items():
        np.testing.assert_array_equal(parameter, same.parameters[name])
    _, free = train("dot", 3, steps=2, forcing=lambda done: 0.0, hidden_size=4)
    assert free[0] != losses[0]


def test_a_training_is_watched_and_can_have_other_layers():
    seen = []
    layers = {"encoder": SelfAttentionLayer, "decoder": SelfAttentionLayer}
    model, _ = train(
        "dot", 0, 3, hidden_size=4, watch=lambda step, model: seen.append((step, model)), **layers
    )
    assert seen == [(1, model), (2, model), (3, model)]
    assert isinstance(model.encoder, SelfAttentionLayer)
    assert isinstance(model.decoder, SelfAttentionLayer)


def test_position_right_is_the_share_of_the_most_probable_symbols():
    model, _ = train(None, 0, steps=1, hidden_size=4)
    source, target = pairs(np.random.default_rng([1, 3]), 20, 3, 3)
    logits = model.forward(source, shifted(target))
    expected = [np.mean(logits[:, t].argmax(-1) == target[:, t]) for t in range(4)]
    assert position_right(model, 3, 1, n=20).tolist() == pytest.approx(expected)


def test_the_control_shows_some_units_and_has_their_gradient():
    """The decoder starts from the shown ones alone; finite differences agree through the rest."""
    encoder = type("ThreeShown", (FirstUnitsGRU,), {"shown": 3})
    model = EncoderDecoder(SYMBOLS, SYMBOLS, 4, 6, None, 0, np.float64, encoder=encoder)
    source, target = pairs(np.random.default_rng(0), 3, 2, 4)
    *_, start = model.encode(source)
    assert start[:, :3].all() and not start[:, 3:].any()
    model.loss(source, target)
    gradient = model.backward()["encoder.Wh"]
    assert gradient[3:].any()
    numerical = grad_check(lambda _: model.loss(source, target), model.parameters["encoder.Wh"])
    np.testing.assert_allclose(gradient, numerical, atol=1e-8)
