"""The tasks that lessons 02 and 03 tell of; results that are complete and chosen by the rule."""

import numpy as np
import pytest

from benchmarks import memory_tasks, results
from benchmarks.memory_tasks import FILES, NETWORKS, RATES, SEEDS, TASKS, TUNING_SEEDS, best_rate
from blg561.checks import grad_check


@pytest.mark.parametrize("name", TASKS)
def test_the_letter_asked_for_is_the_first_or_the_latest(name):
    task = TASKS[name]
    x, target = task.batch(np.random.default_rng(0), 200)
    symbols = x.argmax(axis=2)
    assert x.shape == (200, task.T, task.letters + task.distractors)
    assert (x.sum(axis=2) == 1).all()
    for row, asked in zip(symbols, target, strict=True):
        letters = [symbol for symbol in row if symbol < task.letters]
        assert asked == (letters[-1] if task.distractors else row[0])
        if task.distractors and not task.replace:
            assert len(letters) == 1
    assert set(target) == set(range(task.letters))


def test_the_gradients_of_the_loss():
    rng = np.random.default_rng(0)
    h, V, target = rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 6)), np.array([0, 5, 2])

    def loss(_):
        z = h[:, -1] @ V
        return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(3), target])

    _, dh, dV = memory_tasks.last_step(h, V, target)
    np.testing.assert_allclose(dh, grad_check(loss, h), atol=1e-8)
    np.testing.assert_allclose(dV, grad_check(loss, V), atol=1e-8)


def test_of_rates_that_are_equally_good_the_middle_one_is_taken():
    assert best_rate({"0.1": [0.5, 0.6], "0.2": [0.7, 0.6], "0.3": [0.1, 0.9]}) == 0.2
    assert best_rate({"0.1": [1], "0.2": [1], "0.3": [1], "0.4": [0]}) == 0.2
    assert best_rate({"0.1": [1], "0.2": [1]}) == 0.1


@pytest.mark.parametrize(("file", "task"), [(file, task) for file in FILES for task in FILES[file]])
def test_the_results_have_every_run_at_the_best_rate(file, task):
    measured, tuning = results.read(file)[task], results.read("memory_tuning")[task]
    assert list(measured) == list(tuning) == list(NETWORKS[task])
    for name, row in measured.items():
        assert row["rate"] == best_rate(tuning[name])
        assert len(row["accuracy"]) == len(SEEDS)
        assert list(tuning[name]) == list(map(str, RATES))
        assert {len(values) for values in tuning[name].values()} == {len(TUNING_SEEDS)}
    assert not set(SEEDS) & set(TUNING_SEEDS)
