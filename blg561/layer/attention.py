"""Attention: for every query a weighted mean of values, the weights from how well the keys fit.

N sequences. Each has T queries of Q features, such as the states of a decoder, and S positions to
read, such as the states of an encoder: keys of K features and values of V. Vectors are rows and dX
is the gradient of the loss with respect to X, as in `recurrent_layers`, and the comment at a line's
end is the number of its equation in lesson 7.

The two layers differ in the score of a query and a key alone. The rest is the softmax over the S
positions and the mean, which `Attention` holds.
"""

import math

import numpy as np

from blg561.layer.layer import Layer, positive_size
from blg561.layer.recurrent_layers import rows


class Attention(Layer):
    """What both layers share: checks, softmax, mean, and their backward pass.

    After `forward`, `weights` (N, T, S) has the weights: not negative, of sum 1 for each query, and
    exactly 0 at a masked position.
    """

    def forward(self, query, keys, values, mask=None):
        """query (N, T, Q), keys (N, S, K), values (N, S, V) → context (N, T, V).

        mask: booleans (N, S), True where a position may be read, or (N, T, S), where that differs
            from query to query; everywhere if None.

        Raises ValueError for a sequence, or a query, that may read nothing.
        """
        query, keys = self.check_pair(query, keys)
        (N, T, _), S = query.shape, keys.shape[1]
        values = self.check("values", values, "N S V", N=N, S=S).copy()
        if mask is not None:
            mask = check_mask(mask, N, T, S)
        self.cache = None  # makes room for the one of this call
        scores, kept = self.score(query.copy(), keys.copy())
        weights = masked_softmax(scores, mask)
        context = weights @ values  # (ATT.8)
        self.cache = kept, weights, values
        self.weights = weights.copy()
        return context

    def backward(self, dcontext):
        """dcontext (N, T, V) → `self.grad`: dquery, dkeys, dvalues and those of the parameters."""
        kept, weights, values = self.kept()
        N, T, _ = weights.shape
        dcontext = self.check("dcontext", dcontext, "N T V", N=N, T=T, V=values.shape[-1])
        dvalues = weights.swapaxes(1, 2) @ dcontext  # (ATT.9)
        dweights = dcontext @ values.swapaxes(1, 2)  # (ATT.10)
        mean = (weights * dweights).sum(axis=-1, keepdims=True)  # (ATT.11)
        dscores = weights * (dweights - mean)  # (ATT.12)
        self.grad = {**self.score_backward(dscores, *kept), "dvalues": dvalues}
        return self.grad


class DotProductAttention(Attention):
    """The score q · k (Luong et al., 2015), no parameters. Queries and keys have one size, Q = K.

    scale: divide the score by √K (Vaswani et al., 2017). The dot product of K independent numbers
        of variance 1 has the variance K, and large scores leave the softmax without a gradient.
    """

    def __init__(self, scale=True):
        super().__init__()
        self.scale = scale

    def __repr__(self):
        return f"DotProductAttention(scale={self.scale})"

    def check_pair(self, query, keys):
        """`query` and `keys` themselves if they fit each other."""
        query = self.check("query", query, "N T Q")
        N, _, Q = query.shape
        return query, self.check("keys", keys, "N S K", N=N, K=Q)

    def score(self, query, keys):
        """query (N, T, K), keys (N, S, K) → scores (N, T, S), what `score_backward` needs."""
        factor = 1 / math.sqrt(keys.shape[-1]) if self.scale else 1.0
        scores = factor * (query @ keys.swapaxes(1, 2))  # (ATT.5)
        return scores, (query, keys, factor)

    def score_backward(self, dscores, query, keys, factor):
        """dscores (N, T, S) → dquery (N, T, K), dkeys (N, S, K)."""
        dquery = factor * (dscores @ keys)  # (ATT.13)
        dkeys = factor * (dscores.swapaxes(1, 2) @ query)  # (ATT.14)
        return {"dquery": dquery, "dkeys": dkeys}


class AdditiveAttention(Attention):
    """The score v · tanh(q Wq + k Wk) (Bahdanau et al., 2015). Wq (Q, A), Wk (K, A), v (A,).

    query_size, key_size, attention_size: Q, K and A, integers of at least 1. Q and K may differ.
    """

    def __init__(self, query_size, key_size, attention_size, rng=None, dtype=np.float64):
        super().__init__()
        self._shapes = {"Wq": "Q A", "Wk": "K A", "v": "A"}
        Q = positive_size("query_size", query_size)
        K = positive_size("key_size", key_size)
        A = positive_size("attention_size", attention_size)
        self.draw({"Q": Q, "K": K, "A": A}, 1 / math.sqrt(A), rng, dtype)

    def __repr__(self):
        return "AdditiveAttention({Q}, {K}, {A})".format(**self._sizes)

    def check_pair(self, query, keys):
        """`query` and `keys` themselves if they fit the parameters."""
        query = self.check("query", query, "N T Q")
        return query, self.check("keys", keys, "N S K", N=len(query))

    def score(self, query, keys):
        """query (N, T, Q), keys (N, S, K) → scores (N, T, S), what `score_backward` needs."""
        Wq, Wk, v = self.Wq, self.Wk, self.v
        q = query @ Wq  # (ATT.1)
        k = keys @ Wk  # (ATT.2)
        u = np.tanh(q[:, :, None] + k[:, None])  # (ATT.3)
        scores = u @ v  # (ATT.4)
        return scores, (query, keys, u, Wq, Wk, v)

    def score_backward(self, dscores, query, keys, u, Wq, Wk, v):
        """dscores (N, T, S) → dquery (N, T, Q), dkeys (N, S, K), dWq, dWk, dv."""
        dv = rows(u).T @ dscores.reshape(-1)  # (ATT.15)
        da = dscores[..., None] * v * (1 - u**2)  # (ATT.16)
        dq = da.sum(axis=2)  # (ATT.17)
        dk = da.sum(axis=1)  # (ATT.18)
        dquery = dq @ Wq.T  # (ATT.19)
        dkeys = dk @ Wk.T  # (ATT.20)
        dWq = rows(query).T @ rows(dq)  # (ATT.21)
        dWk = rows(keys).T @ rows(dk)  # (ATT.22)
        return {"dquery": dquery, "dkeys": dkeys, "dWq": dWq, "dWk": dWk, "dv": dv}


def masked_softmax(scores, mask=None):
    """scores (N, T, S) → weights (N, T, S), 0 where the mask, (N, 1, S) or (N, T, S), is False.

    Subtracting a row's largest score changes no weight and keeps e^s from overflowing.
    """
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))  # (ATT.6)
    return e / e.sum(axis=-1, keepdims=True)  # (ATT.7)


def check_mask(mask, N, T, S):
    """The mask as (N, 1, S) or (N, T, S) if it is booleans and lets every query read something."""
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        came = f"dtype {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise TypeError(f"mask: expected a NumPy array of booleans, got {came}")
    if mask.shape not in ((N, S), (N, T, S)):
        expected = f"(N = {N}, S = {S}) or (N = {N}, T = {T}, S = {S})"
        raise ValueError(f"mask: expected shape {expected}, got {mask.shape}")
    mask = mask.reshape(N, -1, S)
    readable = mask.any(axis=2).all(axis=1)
    if not readable.all():
        raise ValueError(f"mask: sequence {np.argmin(readable)} has no position that may be read")
    return mask
