"""What gates that do not see the state can do and what they cannot: lesson 08's two tasks.

    python -m benchmarks.state_tasks  # six minutes of one core; goes on where it stopped

"parity": after each of 16 bits, is the number of ones so far odd? Tried on new sequences of 32
bits. "replaced": the task of that name of `benchmarks.memory_tasks`, where the latest letter among
distractors is asked for; the other networks' results are in results/latest_letter.json.

"minGRU, signed" is the control of the parity task: its gate does not see the state either, but
what is kept is 1 - 2z instead of 1 - z and so may change the sign.

For each network the rate is the one of RATES with the best mean accuracy over TUNING_SEEDS, on the
length of the training, as in `benchmarks.memory_tasks`. results/state_tasks.json has all rates
tried, the one that was chosen, and for each of SEEDS the accuracy, for the parity after each number
of bits in SHOWN.
"""

from functools import partial

import numpy as np

from benchmarks import results
from benchmarks.memory_tasks import (
    BATCH,
    SEEDS,
    TASKS,
    TUNING_SEEDS,
    accuracy,
    adam,
    best_rate,
)
from blg561.layer import GRULayer, LSTMLayer, MinGRULayer, RNNLayer
from blg561.layer.minimal_gru import scan
from blg561.layer.recurrent_layers import rows, sigmoid, time_first

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
BITS, TESTED = 16, 32
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # bits after which the results have the accuracy
UNITS = 32


class SignedMinGRU(MinGRULayer):
    """h_t = (1 - 2 z_t) h_{t-1} + z_t c_t: a gate above one half turns the sign of what is kept."""

    def forward(self, x, h0):
        x = time_first(x)
        T, N, _ = x.shape
        z = sigmoid(rows(x) @ self.Wz + self.bz).reshape(T, N, -1)
        c = (rows(x) @ self.Wc + self.bc).reshape(T, N, -1)
        kept, written = scan(1 - 2 * z, z * c)
        h = kept * h0 + written
        self.cache = x, np.concatenate([h0[None], h]), z, c
        return h.swapaxes(0, 1).copy()

    def backward(self, dh):
        x, h, z, c = self.kept()
        keep_after = np.concatenate([1 - 2 * z[1:], np.zeros_like(z[:1])])
        dh = scan(keep_after[::-1], time_first(dh)[::-1])[1][::-1]
        daz = dh * (c - 2 * h[:-1]) * z * (1 - z)
        dc = dh * z
        dx = (rows(daz) @ self.Wz.T + rows(dc) @ self.Wc.T).reshape(x.shape).swapaxes(0, 1)
        self.grad = {"dx": dx, "dh0": dh[0] * (1 - 2 * z[0])}
        self.grad |= {"dWz": rows(x).T @ rows(daz), "dbz": rows(daz).sum(axis=0)}
        self.grad |= {"dWc": rows(x).T @ rows(dc), "dbc": rows(dc).sum(axis=0)}
        return self.grad


# the layers and the number of updates
PARITY = {
    "RNN": ([RNNLayer], 1000),
    "LSTM": ([LSTMLayer], 1000),
    "GRU": ([GRULayer], 1000),
    "minGRU": ([MinGRULayer], 1000),
    "minGRU, two layers": ([MinGRULayer, MinGRULayer], 1000),
    "minGRU, two layers, 4000 updates": ([MinGRULayer, MinGRULayer], 4000),
    "minGRU, signed": ([SignedMinGRU], 1000),
}


def min_gru(D, H, rng):
    """A minimal GRU whose gates start at σ(-1): as much is kept as by the GRU of that task."""
    layer = MinGRULayer(D, H, rng=rng)
    layer.bz[:] = -1
    return layer


def parity_batch(rng, N, T):
    """x (N, T, 2) one-hot bits, target (N, T): 1 where the number of ones so far is odd."""
    bits = rng.integers(2, size=(N, T))
    return np.eye(2)[bits], bits.cumsum(axis=1) % 2


def read(layers, x):
    """The last layer's states (N, T, H)."""
    for layer in layers:
        x = layer.forward(x, np.zeros((len(x), layer.out_size)))
    return x


def gradients_of(layers, dh):
    """Those of all parameters, by the layer's number and name."""
    found = {}
    for number, layer in reversed(list(enumerate(layers))):
        dh = layer.backward(dh)["dx"]
        found |= {f"{number}{name}": layer.grad[f"d{name}"] for name in layer.parameters}
    return found


def parity(makes, updates, rate, seed):
    """Train a network from its seed; the accuracy after each of TESTED bits, on 1000 sequences."""
    rng = np.random.default_rng(seed)
    layers = [make(UNITS if n else 2, UNITS, rng=rng) for n, make in enumerate(makes)]
    V = rng.uniform(-1, 1, size=(UNITS, 2)) / np.sqrt(UNITS)
    means = {}
    for s in range(1, updates + 1):
        x, target = parity_batch(rng, BATCH, BITS)
        h = read(layers, x)
        z = h @ V
        p = np.exp(z - z.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        dz = (p - np.eye(2)[target]) / target.size
        gradients = {"V": rows(h).T @ rows(dz)} | gradients_of(layers, dz @ V.T)
        parameters = {
            f"{number}{name}": value
            for number, layer in enumerate(layers)
            for name, value in layer.parameters.items()
        }
        falling = rate * (1 - s / updates)
        after = adam({"V": V} | parameters, gradients, means, s, falling)
        V = after.pop("V")
        for name, value in after.items():
            setattr(layers[int(name[0])], name[1:], value)
    x, target = parity_batch(np.random.default_rng(1000), 1000, TESTED)
    return ((read(layers, x) @ V).argmax(axis=-1) == target).mean(axis=0).round(3).tolist()


def carry_out(row, run, score, shown, save):
    """Fill `row`: of a result of `run(rate, seed)`, `score` chooses the rate, `shown` is stored."""
    tried = row.setdefault("tried", {})
    for rate in RATES:
        values = tried.setdefault(str(rate), [])
        for seed in TUNING_SEEDS[len(values) :]:
            values.append(round(float(score(run(rate, seed))), 4))
            save()
    rate = best_rate(tried)
    if row.get("rate") != rate:
        row |= {"rate": rate, "accuracy": []}
    for seed in SEEDS[len(row["accuracy"]) :]:
        row["accuracy"].append(shown(run(rate, seed)))
        save()


def main():
    found = results.read("state_tasks") or {"parity": {}, "replaced": {}}

    def save():
        results.write("state_tasks", found)

    for name, (makes, updates) in PARITY.items():
        carry_out(
            found["parity"].setdefault(name, {}),
            partial(parity, makes, updates),
            lambda by_bit: np.mean(by_bit[:BITS]),
            lambda by_bit: [by_bit[bits - 1] for bits in SHOWN],
            save,
        )
        row = found["parity"][name]
        print(
            f"parity, {name}: rate {row['rate']:g},",
            *(a[SHOWN.index(BITS)] for a in row["accuracy"]),
        )
    carry_out(
        found["replaced"].setdefault("minGRU", {}),
        partial(accuracy, TASKS["replaced"], min_gru),
        lambda share: share,
        lambda share: share,
        save,
    )
    row = found["replaced"]["minGRU"]
    print(f"replaced, minGRU: rate {row['rate']:g},", *row["accuracy"])


if __name__ == "__main__":
    main()
