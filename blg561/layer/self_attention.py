"""A block of a transformer in the place of a recurrent layer: it reads its own past by attention.

N sequences, T steps of D input features, H units, as in `recurrent_layers`. A recurrent layer keeps
one vector of its past; this one keeps all of them and looks up what it needs at each step. The
comment at a line's end is the number of its equation in lesson 7.
"""

import numpy as np

from blg561.layer.attention import DotProductAttention
from blg561.layer.layer import Layer
from blg561.layer.recurrent_layers import rows


class SelfAttentionLayer(Layer):
    """Causal self-attention and a feed-forward layer (Vaswani et al., 2017, section 3), one head.

    Each step is brought to H features, gets its position, adds what it reads from itself and all
    before it, and passes two layers with a tanh between them, whose result is added, too. There is
    no layer normalisation, which deep stacks need.

    Wx (D, H) and b (H,) bring a step to H features, Wq (H, D), Wk (H, D), Wv (H, H) make queries,
    keys and values, W1 (H, H), b1 (H,), W2 (H, H) and b2 (H,) are the two layers. As queries and
    keys have D features, it has as many parameters as a `GRULayer` of these sizes, 3H(D + H + 1).

    `forward` and `backward` are called as those of a `GRULayer`, so that it can take the place of
    one. Only the state differs: it is the whole past, (N, P, H), after `forward` in `last_state`.
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        matrices = {"Wx": "D H", "Wq": "H D", "Wk": "H D", "Wv": "H H", "W1": "H H", "W2": "H H"}
        biases = {"b": "H", "b1": "H", "b2": "H"}
        super().__init__(in_size, out_size, rng, dtype, **matrices, **biases)
        self.attention = DotProductAttention()

    def forward(self, x, h0):
        """x (N, T, D) after h0, one vector (N, H) or a past (N, P, H) → h (N, T, H).

        The vectors of h0 can be read at every step. They are positions 0 to P - 1.
        """
        x = self.check("x", x, "N T D")
        N, T, _ = x.shape
        h0 = self.check("h0", h0, "N H" if np.ndim(h0) == 2 else "N P H", N=N)
        past = h0.reshape(N, -1, self.out_size)
        P = past.shape[1]
        Wx, Wq, Wk, Wv, W1, W2, b, b1, b2 = self.parameters.values()
        z = x @ Wx + b + positions(P, T, x.dtype.type, len(b))  # (ATT.28)
        read = np.concatenate([past, z], axis=1)  # (ATT.29)
        causal = np.tri(T, P + T, P, dtype=bool)[None].repeat(N, axis=0)
        c = self.attention.forward(z @ Wq, read @ Wk, read @ Wv, causal)  # (ATT.30)
        r = z + c  # (ATT.31)
        u = np.tanh(r @ W1 + b1)  # (ATT.32)
        h = r + u @ W2 + b2  # (ATT.33)
        self.cache = x.copy(), h0.shape, z, read, r, u, self.parameters
        self.last_state = (read.copy(),)
        return h

    def backward(self, dh):
        """dh (N, T, H) → `self.grad`: dx (N, T, D), dh0 of h0's shape, those of the parameters."""
        x, shape, z, read, r, u, parameters = self.kept()
        Wx, Wq, Wk, Wv, W1, W2, *_ = parameters.values()
        N, T, _ = x.shape
        dh = self.check("dh", dh, "N T H", N=N, T=T)
        da = (dh @ W2.T) * (1 - u**2)  # (ATT.34)
        dr = dh + da @ W1.T  # (ATT.35)
        dq, dk, dv = self.attention.backward(dr).values()
        dread = dk @ Wk.T + dv @ Wv.T  # (ATT.36)
        P = read.shape[1] - T
        dz = dr + dq @ Wq.T + dread[:, P:]  # (ATT.37)
        self.grad = {"dx": dz @ Wx.T, "dh0": dread[:, :P].reshape(shape)}  # (ATT.38)
        products = {"Wx": (x, dz), "Wq": (z, dq), "Wk": (read, dk), "Wv": (read, dv)}
        products |= {"W1": (r, da), "W2": (u, dh)}
        for name, (left, right) in products.items():
            self.grad["d" + name] = rows(left).T @ rows(right)  # (ATT.39)
        for name, right in {"b": dz, "b1": da, "b2": dh}.items():
            self.grad["d" + name] = rows(right).sum(axis=0)  # (ATT.40)
        return self.grad


def positions(first, count, dtype, size):
    """A vector for each of the positions from `first` on, (count, size): sines and cosines.

    The wavelengths go from 2π to 20000π in equal ratios (Vaswani et al., 2017, section 3.5).
    """
    feature = np.arange(size)
    slowness = 10000 ** ((feature - feature % 2) / size)
    angle = np.arange(first, first + count)[:, None] / slowness
    return np.where(feature % 2, np.cos(angle), np.sin(angle)).astype(dtype)  # (ATT.41)
