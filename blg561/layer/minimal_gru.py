"""The minimal GRU: a gate that does not see the state, and so all steps of a sequence at once.

Notation as in `recurrent_layers`: N sequences of T steps, D features of an input, H hidden units,
vectors are rows, and the comment at a line's end is the number of its equation in lesson 8.
"""

import numpy as np

from blg561.layer.layer import Layer
from blg561.layer.recurrent_layers import rows, sigmoid, time_first


class MinGRULayer(Layer):
    """h_t = (1 - z_t) h_{t-1} + z_t c_t, with z_t = σ(x_t Wz + bz) and c_t = x_t Wc + bc.

    The minGRU of Feng et al. (2024, section 3.1), in its plain form: not in logarithms, and the
    candidate may have either sign. Wz, Wc (D, H), bz, bc (H,). Neither the update gate z nor the
    candidate c sees h_{t-1}, and z is the share of what is *new*: the other way round than in
    `GRULayer`.
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        super().__init__(in_size, out_size, rng, dtype, Wz="D H", bz="H", Wc="D H", bc="H")

    def forward_step(self, x, prev_h):
        """x (N, D), prev_h (N, H) → next_h (N, H) and the cache that `backward_step` needs."""
        x = self.check("x", x, "N D")
        prev_h = self.check("prev_h", prev_h, "N H", N=len(x))
        Wz, bz, Wc, bc = self.parameters.values()
        az = x @ Wz + bz  # (MIN.1)
        update = sigmoid(az)  # (MIN.2)
        candidate = x @ Wc + bc  # (MIN.3)
        next_h = (1 - update) * prev_h + update * candidate  # (MIN.4)
        return next_h, (x.copy(), prev_h.copy(), update, candidate, Wz, Wc)

    def backward_step(self, dnext_h, cache):
        """dnext_h (N, H) → dx (N, D), dprev_h (N, H), dWz, dbz, dWc, dbc."""
        x, prev_h, update, candidate, Wz, Wc = self.check_cache(cache, 6)
        dnext_h = self.check("dnext_h", dnext_h, "N H", N=len(x))
        dprev_h = dnext_h * (1 - update)  # (MIN.5)
        daz, dcandidate = backward_to_products(dnext_h, prev_h, update, candidate)
        dx = daz @ Wz.T + dcandidate @ Wc.T  # (MIN.9)
        dWz = x.T @ daz  # (MIN.10)
        dbz = daz.sum(axis=0)  # (MIN.11)
        dWc = x.T @ dcandidate  # (MIN.12)
        dbc = dcandidate.sum(axis=0)  # (MIN.13)
        return dx, dprev_h, dWz, dbz, dWc, dbc

    def forward(self, x, h0):
        """x (N, T, D), h0 (N, H) → h (N, T, H), the hidden state after each step."""
        x = self.check("x", x, "N T D")
        N, T, _ = x.shape
        h0 = self.check("h0", h0, "N H", N=N)
        self.cache = None  # makes room for the one of this call
        Wz, bz, Wc, bc = self.parameters.values()
        x = time_first(x)
        az = rows(x) @ Wz + bz  # (MIN.1)
        update = sigmoid(az).reshape(T, N, -1)  # (MIN.2)
        candidate = (rows(x) @ Wc + bc).reshape(T, N, -1)  # (MIN.3)
        keep = 1 - update  # (MIN.14)
        write = update * candidate  # (MIN.15)
        kept, written = scan(keep, write)
        h = kept * h0 + written  # (MIN.18)
        self.cache = x, np.concatenate([h0[None], h]), update, candidate, Wz, Wc
        self.last_state = (h[-1].copy(),)
        return h.swapaxes(0, 1).copy()

    def backward(self, dh):
        """dh (N, T, H) → `self.grad`: dx (N, T, D), dh0 (N, H), dWz, dbz, dWc, dbc."""
        x, h, update, candidate, Wz, Wc = self.kept()
        T, N, _ = x.shape
        dh = self.check("dh", dh, "N T H", N=N, T=T)
        dh = time_first(dh).astype(np.result_type(h, dh), copy=False)
        keep_after = np.concatenate([1 - update[1:], np.zeros_like(update[:1])])
        _, dnext_h = scan(keep_after[::-1], dh[::-1])
        dnext_h = dnext_h[::-1]  # (MIN.19)
        dh0 = dnext_h[0] * (1 - update[0])  # (MIN.5)
        daz, dcandidate = backward_to_products(dnext_h, h[:-1], update, candidate)
        dx = rows(daz) @ Wz.T + rows(dcandidate) @ Wc.T  # (MIN.9)
        dWz = rows(x).T @ rows(daz)  # (MIN.20)
        dbz = rows(daz).sum(axis=0)  # (MIN.21)
        dWc = rows(x).T @ rows(dcandidate)  # (MIN.22)
        dbc = rows(dcandidate).sum(axis=0)  # (MIN.23)
        dx = dx.reshape(x.shape).swapaxes(0, 1)
        self.grad = {"dx": dx, "dh0": dh0, "dWz": dWz, "dbz": dbz, "dWc": dWc, "dbc": dbc}
        return self.grad


def backward_to_products(dnext_h, prev_h, update, candidate):
    """The gradient at a state → those at the two products that made it, daz and dcandidate.

    All have one shape: (N, H) for a step, (T, N, H) for a sequence.
    """
    dupdate = dnext_h * (candidate - prev_h)  # (MIN.6)
    daz = dupdate * update * (1 - update)  # (MIN.7)
    dcandidate = dnext_h * update  # (MIN.8)
    return daz, dcandidate


def scan(keep, write):
    """Steps h → keep h + write, each (T, N, H), one after another → steps 1 to t as one step.

    In log2 T rounds over whole arrays (Hillis and Steele, 1986; Blelloch, 1990): after a round each
    place has twice as many steps behind it. Products of `keep` are only multiplied, never divided
    by, so that a gate of 0 or a product that underflows does no harm.
    """
    kept, written = keep.copy(), write.astype(np.result_type(keep, write))
    reach = 1
    while reach < len(kept):
        written[reach:] += kept[reach:] * written[:-reach]  # (MIN.17)
        kept[reach:] = kept[reach:] * kept[:-reach]  # (MIN.16)
        reach *= 2
    return kept, written
