"""The memory tasks of lessons 02 and 03, with every network at its own best learning rate.

    python -m benchmarks.memory_tasks  # a quarter of an hour of one core; goes on where it stopped

A network reads 40 symbols (or fewer) and names a letter at the end. "first of T": all symbols are
letters, one of four, and the first is asked for (lesson 02). "kept": a letter of eight, then
distractors. "replaced": among the distractors new letters come with probability 0.1, and the latest
is asked for (lesson 03); the RNNs are given four times the updates as well. Each training has fresh
sequences at every update, Adam, a gradient clipped to length 1, and a rate that falls to 0 in a
straight line.

For each network the rate is the one of RATES with the best mean accuracy over TUNING_SEEDS, which
are not among the SEEDS of the results; of several that are equally good, the middle one. By task
and network, results/first_letter.json and latest_letter.json have that rate and the accuracy on a
thousand new sequences from each seed; results/memory_tuning.json has those of all rates tried.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks import results
from blg561.layer import GRULayer, LSTMLayer, RNNLayer

RATES = (0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.1)
TUNING_SEEDS = (100, 101, 102)
SEEDS = (0, 1, 2, 3, 4)
BATCH = 32


@dataclass(frozen=True)
class Task:
    """What is read and asked for, by how many units, and how long they are trained."""

    T: int
    letters: int
    distractors: int
    replace: float
    units: int
    updates: int

    def batch(self, rng, N):
        """x (N, T, letters + distractors), one-hot, and target (N,), the letter asked for."""
        if not self.distractors:
            symbols = rng.integers(self.letters, size=(N, self.T))
            return np.eye(self.letters)[symbols], symbols[:, 0]
        D = self.letters + self.distractors
        is_letter = rng.random((N, self.T)) < self.replace
        is_letter[:, 0] = True
        letters = rng.integers(self.letters, size=(N, self.T))
        symbols = np.where(is_letter, letters, rng.integers(self.letters, D, size=(N, self.T)))
        latest = self.T - 1 - is_letter[:, ::-1].argmax(axis=1)
        return np.eye(D)[symbols], symbols[np.arange(N), latest]


TASKS = {
    "first of 10": Task(10, 4, 0, 0, units=32, updates=500),
    "first of 20": Task(20, 4, 0, 0, units=32, updates=500),
    "first of 40": Task(40, 4, 0, 0, units=32, updates=500),
    "kept": Task(40, 8, 4, 0, units=24, updates=300),
    "replaced": Task(40, 8, 4, 0.1, units=24, updates=300),
    "replaced, 1200 updates": Task(40, 8, 4, 0.1, units=24, updates=1200),
}


FILES = {
    "first_letter": ["first of 10", "first of 20", "first of 40"],
    "latest_letter": ["kept", "replaced", "replaced, 1200 updates"],
}


def rnn(D, H, rng, turn=None):
    """An RNN, its Wh as the layer makes it or `turn` times a random orthogonal matrix."""
    layer = RNNLayer(D, H, rng=rng)
    if turn is not None:
        layer.Wh = turn * np.linalg.qr(rng.normal(size=(H, H)))[0]
    return layer


def gru(D, H, rng, bias):
    """A GRU whose update gates start at σ(bias)."""
    layer = GRULayer(D, H, rng=rng)
    layer.b[:H] = bias
    return layer


RNNS = {
    "RNN": rnn,
    "RNN, orthogonal": lambda D, H, rng: rnn(D, H, rng, turn=1.0),
    "RNN, orthogonal × 0.9": lambda D, H, rng: rnn(D, H, rng, turn=0.9),
}
FIRST_OF = RNNS | {
    "LSTM, bias 1": lambda D, H, rng: LSTMLayer(D, H, rng=rng, forget_bias=1),
    "LSTM, bias 5": lambda D, H, rng: LSTMLayer(D, H, rng=rng, forget_bias=5),
}
KEPT = RNNS | {
    "LSTM": lambda D, H, rng: LSTMLayer(D, H, rng=rng, forget_bias=3),
    "GRU": lambda D, H, rng: gru(D, H, rng, bias=3),
    "GRU, bias 0": lambda D, H, rng: gru(D, H, rng, bias=0),
}
REPLACED = RNNS | {
    "LSTM": lambda D, H, rng: LSTMLayer(D, H, rng=rng, forget_bias=1),
    "GRU": lambda D, H, rng: gru(D, H, rng, bias=1),
}
NETWORKS = {
    "first of 10": FIRST_OF,
    "first of 20": FIRST_OF,
    "first of 40": FIRST_OF,
    "kept": KEPT,
    "replaced": REPLACED,
    "replaced, 1200 updates": RNNS,
}


def last_step(h, V, target):
    """The accuracy, and the gradients of the mean cross-entropy: dh (N, T, H), dV (H, letters)."""
    N = len(h)
    z = h[:, -1] @ V
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    dz = (p - np.eye(V.shape[1])[target]) / N
    dh = np.zeros_like(h)
    dh[:, -1] = dz @ V.T
    return np.mean(p.argmax(axis=1) == target), dh, h[:, -1].T @ dz


def adam(parameters, gradients, means, s, rate):
    """The parameters after update s = 1, 2, …; `means` keeps the two running means of each."""
    factor = min(1, 1 / np.sqrt(sum(np.sum(g**2) for g in gradients.values())))
    after = {}
    for name, gradient in gradients.items():
        g = factor * gradient
        m, v = means.get(name, (0, 0))
        means[name] = m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9**s) / (np.sqrt(v / (1 - 0.999**s)) + 1e-8)
        after[name] = parameters[name] - rate * step
    return after


def accuracy(task, make, rate, seed):
    """Train a network from its seed; the accuracy on a thousand new sequences."""
    rng = np.random.default_rng(seed)
    H = task.units
    layer = make(task.letters + task.distractors, H, rng)
    V = rng.uniform(-1, 1, size=(H, task.letters)) / np.sqrt(H)
    means = {}
    for s in range(1, task.updates + 1):
        x, target = task.batch(rng, BATCH)
        _, dh, dV = last_step(layer.forward(x, np.zeros((BATCH, H))), V, target)
        layer.backward(dh)
        gradients = {"V": dV} | {name: layer.grad[f"d{name}"] for name in layer.parameters}
        falling = rate * (1 - s / task.updates)
        after = adam({"V": V, **layer.parameters}, gradients, means, s, falling)
        V = after.pop("V")
        for name, parameter in after.items():
            setattr(layer, name, parameter)
    x, target = task.batch(np.random.default_rng(1000), 1000)
    return float(last_step(layer.forward(x, np.zeros((1000, H))), V, target)[0])


def best_rate(tried):
    """The rate with the best mean accuracy; of several, the middle one (of two, the lower)."""
    mean = {float(rate): np.mean(values).round(6) for rate, values in tried.items()}
    best = sorted(rate for rate in mean if mean[rate] == max(mean.values()))
    return best[(len(best) - 1) // 2]


def main():
    tuning = results.read("memory_tuning") or {}
    measured = {file: results.read(file) or {} for file in FILES}
    for file, task_names in FILES.items():
        for task_name in task_names:
            for name, make in NETWORKS[task_name].items():
                tried = tuning.setdefault(task_name, {}).setdefault(name, {})
                row = measured[file].setdefault(task_name, {}).setdefault(name, {})
                for rate in RATES:
                    values = tried.setdefault(str(rate), [])
                    for seed in TUNING_SEEDS[len(values) :]:
                        values.append(accuracy(TASKS[task_name], make, rate, seed))
                        results.write("memory_tuning", tuning)
                rate = best_rate(tried)
                if row.get("rate") != rate:
                    row |= {"rate": rate, "accuracy": []}
                for seed in SEEDS[len(row["accuracy"]) :]:
                    row["accuracy"].append(accuracy(TASKS[task_name], make, rate, seed))
                    results.write(file, measured[file])
                print(f"{task_name}, {name}: rate {rate:g},", *row["accuracy"], flush=True)


if __name__ == "__main__":
    main()
