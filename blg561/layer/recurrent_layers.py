"""RNN, LSTM and GRU: every equation of the forward and the backward pass is a line of code.

N sequences of T steps, D features of an input, H hidden units. Vectors are rows, so a step's input
x is (N, D) and products go from the right, x @ Wx. dX is the gradient of the loss with respect to X
and has X's shape. The comment at a line's end is the number of its equation in the lessons.

A cell is what has to wait for the step before. The step methods wrap it into a layer. The sequence
methods run it for T steps, and take every product that does not wait out of the loop: T·N rows go
through it at once. After `forward`, `last_state` is the tuple of states of the last step, (h,) or
for the LSTM (h, c), each (N, H): what `forward` of the text that follows starts from.
"""

import numpy as np

from blg561.layer.layer import Layer


@np.errstate(over="ignore")  # where e^(-a) overflows to ∞, 1 / (1 + ∞) = 0 is the right answer
def sigmoid(a):
    """σ(a) = 1 / (1 + e^(-a)), element by element."""
    return 1 / (1 + np.exp(-a))


def split(a, parts):
    """a (N, parts·H) → its blocks of H columns from left to right, each a view (N, H)."""
    return a.reshape(len(a), parts, -1).swapaxes(0, 1)


def rows(x):
    """x (T, N, D) → (T·N, D): the rows of all time steps below each other, for one product."""
    return x.reshape(-1, x.shape[-1])


def time_first(x):
    """x (N, T, D) → a copy (T, N, D), in which each step is one block."""
    return x.swapaxes(0, 1).copy()


def states_from(first, T, dtype):
    """The first state (N, H) → (T + 1, N, H), with `first` at 0 and the rest still empty."""
    states = np.empty((T + 1, *first.shape), dtype)
    states[0] = first
    return states


class RNNLayer(Layer):
    """h_t = tanh(x_t Wx + h_{t-1} Wh + b), the simple recurrent layer (Elman, 1990).

    Wx (D, H), Wh (H, H), b (H,).
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        super().__init__(in_size, out_size, rng, dtype, Wx="D H", Wh="H H", b="H")

    def forward_step(self, x, prev_h):
        """x (N, D), prev_h (N, H) → next_h (N, H) and the cache that `backward_step` needs."""
        x = self.check("x", x, "N D")
        prev_h = self.check("prev_h", prev_h, "N H", N=len(x))
        Wx, Wh, b = self.Wx, self.Wh, self.b
        xa = x @ Wx + b  # (RNN.1)
        next_h = rnn_cell(xa, prev_h, Wh)
        return next_h, (x.copy(), prev_h.copy(), next_h.copy(), Wx, Wh)

    def backward_step(self, dnext_h, cache):
        """dnext_h (N, H) → dx (N, D), dprev_h (N, H), dWx (D, H), dWh (H, H), db (H,)."""
        x, prev_h, next_h, Wx, Wh = self.check_cache(cache, 5)
        dnext_h = self.check("dnext_h", dnext_h, "N H", N=len(x))
        da = dnext_h * (1 - next_h**2)  # (RNN.3)
        dx = da @ Wx.T  # (RNN.4)
        dprev_h = da @ Wh.T  # (RNN.5)
        dWx = x.T @ da  # (RNN.6)
        dWh = prev_h.T @ da  # (RNN.7)
        db = da.sum(axis=0)  # (RNN.8)
        return dx, dprev_h, dWx, dWh, db

    def forward(self, x, h0):
        """x (N, T, D), h0 (N, H) → h (N, T, H), the hidden state after each step."""
        x = self.check("x", x, "N T D")
        N, T, _ = x.shape
        h0 = self.check("h0", h0, "N H", N=N)
        self.cache = None  # makes room for the one of this call
        Wx, Wh, b = self.Wx, self.Wh, self.b
        x = time_first(x)
        xa = (rows(x) @ Wx + b).reshape(T, N, -1)  # (RNN.1)
        h = states_from(h0, T, np.result_type(xa, h0, Wh))
        for t in range(T):
            h[t + 1] = rnn_cell(xa[t], h[t], Wh)
        self.cache = x, h, Wx, Wh
        self.last_state = (h[-1].copy(),)
        return h[1:].swapaxes(0, 1).copy()

    def backward(self, dh):
        """dh (N, T, H) → `self.grad`: dx (N, T, D), dh0 (N, H), dWx, dWh, db."""
        x, h, Wx, Wh = self.kept()
        Wh = np.asfortranarray(Wh)  # lays Wh.T out row by row, for the products of the loop
        T, N, _ = x.shape
        dh = self.check("dh", dh, "N T H", N=N, T=T)
        da = np.empty(h[1:].shape, np.result_type(h, dh))
        dprev_h = np.zeros(h[0].shape, da.dtype)
        for t in reversed(range(T)):
            dnext_h = dh[:, t] + dprev_h  # (RNN.9)
            da[t] = dnext_h * (1 - h[t + 1] ** 2)  # (RNN.3)
            dprev_h = da[t] @ Wh.T  # (RNN.5)
        dx = rows(da) @ Wx.T  # (RNN.4)
        dWx = rows(x).T @ rows(da)  # (RNN.10)
        dWh = rows(h[:-1]).T @ rows(da)  # (RNN.11)
        db = rows(da).sum(axis=0)  # (RNN.12)
        dx = dx.reshape(x.shape).swapaxes(0, 1)
        self.grad = {"dx": dx, "dh0": dprev_h, "dWx": dWx, "dWh": dWh, "db": db}
        return self.grad


def rnn_cell(xa, prev_h, Wh):
    """xa (N, H), prev_h (N, H) → next_h (N, H).

    xa: the part of a that does not wait, x Wx + b.
    """
    a = xa + prev_h @ Wh  # (RNN.1)
    return np.tanh(a)  # (RNN.2)


class LSTMLayer(Layer):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000).

    Wx (D, 4H), Wh (H, 4H), b (4H,), with the blocks of columns in the order input, forget, output
    gate, candidate.

    forget_bias: where the forget gate's bias starts. At 1 the gate starts more open than closed, so
        that the cell state is kept and its gradient gets through (Jozefowicz et al., 2015).
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64, forget_bias=1.0):
        super().__init__(in_size, out_size, rng, dtype, Wx="D 4H", Wh="H 4H", b="4H")
        self.b[self.out_size : 2 * self.out_size] = forget_bias

    def forward_step(self, x, prev_h, prev_c):
        """x (N, D), prev_h (N, H), prev_c (N, H) → next_h (N, H), next_c (N, H) and the cache."""
        x = self.check("x", x, "N D")
        prev_h = self.check("prev_h", prev_h, "N H", N=len(x))
        prev_c = self.check("prev_c", prev_c, "N H", N=len(x))
        Wx, Wh, b = self.Wx, self.Wh, self.b
        xa = x @ Wx + b  # (LSTM.1)
        next_h, next_c, gates = lstm_cell(xa, prev_h, prev_c, Wh)
        return next_h, next_c, (x.copy(), prev_h.copy(), prev_c.copy(), gates, Wx, Wh)

    def backward_step(self, dnext_h, dnext_c, cache):
        """dnext_h (N, H), dnext_c (N, H) → dx, dprev_h, dprev_c, dWx, dWh, db."""
        x, prev_h, prev_c, gates, Wx, Wh = self.check_cache(cache, 6)
        dnext_h = self.check("dnext_h", dnext_h, "N H", N=len(x))
        dnext_c = self.check("dnext_c", dnext_c, "N H", N=len(x))
        da, dprev_c = lstm_cell_backward(dnext_h, dnext_c, prev_c, gates)
        dx = da @ Wx.T  # (LSTM.20)
        dprev_h = da @ Wh.T  # (LSTM.21)
        dWx = x.T @ da  # (LSTM.22)
        dWh = prev_h.T @ da  # (LSTM.23)
        db = da.sum(axis=0)  # (LSTM.24)
        return dx, dprev_h, dprev_c, dWx, dWh, db

    def forward(self, x, h0, c0=None):
        """x (N, T, D), h0 (N, H) → h (N, T, H), the hidden state after each step.

        c0: the cell state (N, H) before the first step, 0 unless given.
        """
        x = self.check("x", x, "N T D")
        N, T, _ = x.shape
        h0 = self.check("h0", h0, "N H", N=N)
        c0 = np.zeros_like(h0) if c0 is None else self.check("c0", c0, "N H", N=N)
        self.cache = None  # makes room for the one of this call
        Wx, Wh, b = self.Wx, self.Wh, self.b
        x = time_first(x)
        xa = (rows(x) @ Wx + b).reshape(T, N, -1)  # (LSTM.1)
        h = states_from(h0, T, np.result_type(xa, h0, c0, Wh))
        c = states_from(c0, T, h.dtype)
        gates = [None] * T
        for t in range(T):
            h[t + 1], c[t + 1], gates[t] = lstm_cell(xa[t], h[t], c[t], Wh)
        self.cache = x, h, c, gates, Wx, Wh
        self.last_state = h[-1].copy(), c[-1].copy()
        return h[1:].swapaxes(0, 1).copy()

    def backward(self, dh, dc=None):
        """dh (N, T, H) → `self.grad`: dx (N, T, D), dh0 (N, H), dc0 (N, H), dWx, dWh, db.

        dc: the loss's gradient at the last cell state (N, H), 0 unless given.
        """
        x, h, c, gates, Wx, Wh = self.kept()
        Wh = np.asfortranarray(Wh)  # lays Wh.T out row by row, for the products of the loop
        T, N, _ = x.shape
        dh = self.check("dh", dh, "N T H", N=N, T=T)
        dc = np.zeros_like(dh[:, 0]) if dc is None else self.check("dc", dc, "N H", N=N)
        da = np.empty((T, N, Wh.shape[1]), np.result_type(h, dh, dc))
        dprev_h, dprev_c = np.zeros_like(dc), dc
        for t in reversed(range(T)):
            dnext_h = dh[:, t] + dprev_h  # (LSTM.25)
            da[t], dprev_c = lstm_cell_backward(dnext_h, dprev_c, c[t], gates[t])
            dprev_h = da[t] @ Wh.T  # (LSTM.21)
        dx = rows(da) @ Wx.T  # (LSTM.20)
        dWx = rows(x).T @ rows(da)  # (LSTM.26)
        dWh = rows(h[:-1]).T @ rows(da)  # (LSTM.27)
        db = rows(da).sum(axis=0)  # (LSTM.28)
        dx = dx.reshape(x.shape).swapaxes(0, 1)
        self.grad = {"dx": dx, "dh0": dprev_h, "dc0": dprev_c, "dWx": dWx, "dWh": dWh, "db": db}
        return self.grad


def lstm_cell(xa, prev_h, prev_c, Wh):
    """xa (N, 4H), prev_h (N, H), prev_c (N, H) → next_h (N, H), next_c (N, H) and the gates.

    xa: the part of a that does not wait, x Wx + b.
    """
    a = xa + prev_h @ Wh  # (LSTM.1)
    a_i, a_f, a_o, a_g = split(a, 4)
    i = sigmoid(a_i)  # (LSTM.2)
    f = sigmoid(a_f)  # (LSTM.3)
    o = sigmoid(a_o)  # (LSTM.4)
    g = np.tanh(a_g)  # (LSTM.5)
    next_c = f * prev_c + i * g  # (LSTM.6)
    tanh_c = np.tanh(next_c)  # (LSTM.7)
    next_h = o * tanh_c  # (LSTM.8)
    return next_h, next_c, (i, f, o, g, tanh_c)


def lstm_cell_backward(dnext_h, dnext_c, prev_c, gates):
    """dnext_h (N, H), dnext_c (N, H) → da (N, 4H), dprev_c (N, H)."""
    i, f, o, g, tanh_c = gates
    do = dnext_h * tanh_c  # (LSTM.9)
    dtanh_c = dnext_h * o  # (LSTM.10)
    dc = dnext_c + dtanh_c * (1 - tanh_c**2)  # (LSTM.11)
    df = dc * prev_c  # (LSTM.12)
    dprev_c = dc * f  # (LSTM.13)
    di = dc * g  # (LSTM.14)
    dg = dc * i  # (LSTM.15)
    da_i = di * i * (1 - i)  # (LSTM.16)
    da_f = df * f * (1 - f)  # (LSTM.17)
    da_o = do * o * (1 - o)  # (LSTM.18)
    da_g = dg * (1 - g**2)  # (LSTM.19)
    return np.concatenate([da_i, da_f, da_o, da_g], axis=1), dprev_c


class GRULayer(Layer):
    """Gated recurrent unit (Cho et al., 2014), the reset gate before the matrix product.

    Wx (D, 2H), Wh (H, 2H), b (2H,), with the blocks of columns in the order update, reset gate, and
    for the candidate Wxi (D, H), Whi (H, H), bi (H,). PyTorch's `nn.GRU` applies the reset gate
    after the product with Whi: the two are different functions.
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        shapes = {"Wx": "D 2H", "Wh": "H 2H", "b": "2H", "Wxi": "D H", "Whi": "H H", "bi": "H"}
        super().__init__(in_size, out_size, rng, dtype, **shapes)

    def forward_step(self, x, prev_h):
        """x (N, D), prev_h (N, H) → next_h (N, H) and the cache that `backward_step` needs."""
        x = self.check("x", x, "N D")
        prev_h = self.check("prev_h", prev_h, "N H", N=len(x))
        Wx, Wh, b, Wxi, Whi, bi = self.parameters.values()
        xa = x @ Wx + b  # (GRU.1)
        xi = x @ Wxi + bi  # (GRU.5)
        next_h, reset_h, gates = gru_cell(xa, xi, prev_h, Wh, Whi)
        return next_h, (x.copy(), prev_h.copy(), reset_h, gates, Wx, Wh, Wxi, Whi)

    def backward_step(self, dnext_h, cache):
        """dnext_h (N, H) → dx, dprev_h, dWx, dWh, db, dWxi, dWhi, dbi."""
        x, prev_h, reset_h, gates, Wx, Wh, Wxi, Whi = self.check_cache(cache, 8)
        dnext_h = self.check("dnext_h", dnext_h, "N H", N=len(x))
        da, dai, dprev_h = gru_cell_backward(dnext_h, prev_h, gates, Whi)
        dx = da @ Wx.T + dai @ Wxi.T  # (GRU.16)
        dprev_h = dprev_h + da @ Wh.T  # (GRU.17)
        dWx = x.T @ da  # (GRU.18)
        dWh = prev_h.T @ da  # (GRU.19)
        db = da.sum(axis=0)  # (GRU.20)
        dWxi = x.T @ dai  # (GRU.21)
        dWhi = reset_h.T @ dai  # (GRU.22)
        dbi = dai.sum(axis=0)  # (GRU.23)
        return dx, dprev_h, dWx, dWh, db, dWxi, dWhi, dbi

    def forward(self, x, h0):
        """x (N, T, D), h0 (N, H) → h (N, T, H), the hidden state after each step."""
        x = self.check("x", x, "N T D")
        N, T, _ = x.shape
        h0 = self.check("h0", h0, "N H", N=N)
        self.cache = None  # makes room for the one of this call
        Wx, Wh, b, Wxi, Whi, bi = self.parameters.values()
        x = time_first(x)
        xa = (rows(x) @ Wx + b).reshape(T, N, -1)  # (GRU.1)
        xi = (rows(x) @ Wxi + bi).reshape(T, N, -1)  # (GRU.5)
        h = states_from(h0, T, np.result_type(xa, xi, h0, Wh, Whi))
        reset_h = np.empty_like(h[1:])
        gates = [None] * T
        for t in range(T):
            h[t + 1], reset_h[t], gates[t] = gru_cell(xa[t], xi[t], h[t], Wh, Whi)
        self.cache = x, h, reset_h, gates, Wx, Wh, Wxi, Whi
        self.last_state = (h[-1].copy(),)
        return h[1:].swapaxes(0, 1).copy()

    def backward(self, dh):
        """dh (N, T, H) → `self.grad`: dx (N, T, D), dh0 (N, H), dWx, dWh, db, dWxi, dWhi, dbi."""
        x, h, reset_h, gates, Wx, Wh, Wxi, Whi = self.kept()
        Wh = np.asfortranarray(Wh)  # lays Wh.T out row by row, for the products of the loop
        Whi = np.asfortranarray(Whi)
        T, N, _ = x.shape
        dh = self.check("dh", dh, "N T H", N=N, T=T)
        dtype = np.result_type(h, dh)
        da = np.empty((T, N, Wh.shape[1]), dtype)
        dai = np.empty(reset_h.shape, dtype)
        dprev_h = np.zeros(h[0].shape, dtype)
        for t in reversed(range(T)):
            dnext_h = dh[:, t] + dprev_h  # (GRU.24)
            da[t], dai[t], dprev_h = gru_cell_backward(dnext_h, h[t], gates[t], Whi)
            dprev_h += da[t] @ Wh.T  # (GRU.17)
        dx = rows(da) @ Wx.T  # (GRU.16)
        dx += rows(dai) @ Wxi.T  # (GRU.16)
        dWx = rows(x).T @ rows(da)  # (GRU.25)
        dWh = rows(h[:-1]).T @ rows(da)  # (GRU.26)
        db = rows(da).sum(axis=0)  # (GRU.27)
        dWxi = rows(x).T @ rows(dai)  # (GRU.28)
        dWhi = rows(reset_h).T @ rows(dai)  # (GRU.29)
        dbi = rows(dai).sum(axis=0)  # (GRU.30)
        dx = dx.reshape(x.shape).swapaxes(0, 1)
        self.grad = {"dx": dx, "dh0": dprev_h, "dWx": dWx, "dWh": dWh, "db": db}
        self.grad |= {"dWxi": dWxi, "dWhi": dWhi, "dbi": dbi}
        return self.grad


def gru_cell(xa, xi, prev_h, Wh, Whi):
    """xa (N, 2H), xi (N, H), prev_h (N, H) → next_h (N, H), reset_h (N, H) and the gates.

    xa, xi: the parts of a and ai that do not wait, x Wx + b and x Wxi + bi.
    """
    a = xa + prev_h @ Wh  # (GRU.1)
    a_z, a_r = split(a, 2)
    update = sigmoid(a_z)  # (GRU.2)
    reset = sigmoid(a_r)  # (GRU.3)
    reset_h = reset * prev_h  # (GRU.4)
    ai = xi + reset_h @ Whi  # (GRU.5)
    candidate = np.tanh(ai)  # (GRU.6)
    next_h = update * prev_h + (1 - update) * candidate  # (GRU.7)
    return next_h, reset_h, (update, reset, candidate)


def gru_cell_backward(dnext_h, prev_h, gates, Whi):
    """dnext_h (N, H) → da (N, 2H), dai (N, H), and dprev_h (N, H) but for its part through a."""
    update, reset, candidate = gates
    dupdate = dnext_h * (prev_h - candidate)  # (GRU.8)
    dcandidate = dnext_h * (1 - update)  # (GRU.9)
    dai = dcandidate * (1 - candidate**2)  # (GRU.10)
    dreset_h = dai @ Whi.T  # (GRU.11)
    dreset = dreset_h * prev_h  # (GRU.12)
    dprev_h = dnext_h * update + dreset_h * reset  # (GRU.13)
    da_z = dupdate * update * (1 - update)  # (GRU.14)
    da_r = dreset * reset * (1 - reset)  # (GRU.15)
    return np.concatenate([da_z, da_r], axis=1), dai, dprev_h
