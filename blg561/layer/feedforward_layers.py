"""What a language model needs beside its recurrent layers: word vectors, dropout, logits, the loss.

N sequences of T steps. These layers treat every step alike, so one call takes them all. Vectors are
rows and dX is the gradient of the loss with respect to X, as in `recurrent_layers`, and the comment
at a line's end is the number of its equation in lesson 6. D is a layer's in_size and H its
out_size, V the number of words.
"""

import numpy as np

from blg561.layer.layer import Layer
from blg561.layer.recurrent_layers import rows


class EmbeddingLayer(Layer):
    """y_t = W[x_t], the row of W that belongs to the word x_t. W (D, H), with D = V words.

    It is the product of a one-hot vector with W, without the product.
    """

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        super().__init__(in_size, out_size, rng, dtype, W="D H")

    def forward(self, x):
        """Words x (N, T), integers below D → y (N, T, H)."""
        x = check_words("x", x, self.in_size)
        self.cache = x.copy(), self.W
        return self.W[x]  # (NLM.1)

    def backward(self, dy):
        """dy (N, T, H) → `self.grad`: dW (D, H). Words have no gradient."""
        x, W = self.kept()
        N, T = x.shape
        dy = self.check("dy", dy, "N T H", N=N, T=T)
        dW = np.zeros(W.shape, np.result_type(W, dy))
        np.add.at(dW, x, dy)  # (NLM.2)
        self.grad = {"dW": dW}
        return self.grad


class AffineLayer(Layer):
    """y_t = x_t W + b. W (D, H), b (H,)."""

    def __init__(self, in_size, out_size, rng=None, dtype=np.float64):
        super().__init__(in_size, out_size, rng, dtype, W="D H", b="H")

    def forward(self, x):
        """x (N, T, D) → y (N, T, H)."""
        x = self.check("x", x, "N T D").copy()
        N, T, _ = x.shape
        y = rows(x) @ self.W + self.b  # (NLM.3)
        self.cache = x, self.W
        return y.reshape(N, T, -1)

    def backward(self, dy):
        """dy (N, T, H) → `self.grad`: dx (N, T, D), dW (D, H), db (H,)."""
        x, W = self.kept()
        N, T, _ = x.shape
        dy = self.check("dy", dy, "N T H", N=N, T=T)
        dx = rows(dy) @ W.T  # (NLM.4)
        dW = rows(x).T @ rows(dy)  # (NLM.5)
        db = rows(dy).sum(axis=0)  # (NLM.6)
        self.grad = {"dx": dx.reshape(x.shape), "dW": dW, "db": db}
        return self.grad


class Dropout(Layer):
    """Switches features off at random, the same ones at every step (Gal and Ghahramani, 2016).

    p: the probability with which a feature of a sequence is off, at least 0 and below 1. What stays
        is scaled up so that the expected value is the input.
    rng: an integer seed or a `numpy.random.Generator`.

    Raises ValueError for another p.
    """

    def __init__(self, p, rng=None):
        if not 0 <= p < 1:
            raise ValueError(f"p: expected a probability of at least 0 and below 1, got {p!r}")
        super().__init__()
        self.p = p
        self.rng = np.random.default_rng(rng)

    def __repr__(self):
        return f"Dropout({self.p})"

    def forward(self, x, training=True):
        """x (N, T, F) → y (N, T, F). Outside of training y is x."""
        x = self.check("x", x, "N T F")
        N, _, F = x.shape
        mask = np.ones((N, 1, F), x.dtype)
        if training:
            keep = 1 - self.p
            mask *= (self.rng.random(mask.shape) < keep) / keep  # (NLM.7)
        self.cache = mask, x.shape
        return x * mask  # (NLM.8)

    def backward(self, dy):
        """dy (N, T, F) → `self.grad`: dx (N, T, F)."""
        mask, (N, T, F) = self.kept()
        dy = self.check("dy", dy, "N T F", N=N, T=T, F=F)
        dx = dy * mask  # (NLM.9)
        self.grad = {"dx": dx}
        return self.grad


class SoftmaxCrossEntropy(Layer):
    """The mean of -ln p(target), in nats per word, where p is the softmax of the logits.

    Subtracting a step's largest logit changes no probability and keeps e^s from overflowing. The
    loss comes from logarithms, not from p, which may round to 0.
    """

    def forward(self, logits, target):
        """logits (N, T, V), words target (N, T), integers below V → the loss, a number."""
        a = self.check("logits", logits, "N T V")
        N, T, V = a.shape
        target = check_words("target", target, V, (N, T)).copy()
        s = a - a.max(axis=-1, keepdims=True)  # (NLM.10)
        s_target = pick(s, target)
        p = np.exp(s, out=s)  # in the place of s: with a book's V these arrays are the largest
        z = p.sum(axis=-1)  # (NLM.11)
        p /= z[..., None]  # (NLM.12)
        self.cache = p, target
        return np.mean(np.log(z) - s_target)  # (NLM.13)

    def backward(self):
        """The loss's own gradient → `self.grad`: dlogits (N, T, V)."""
        p, target = self.kept()
        da = p.copy()
        np.put_along_axis(da, target[..., None], pick(da, target)[..., None] - 1, -1)  # (NLM.14)
        da /= target.size  # (NLM.14)
        self.grad = {"dlogits": da}
        return self.grad


def pick(a, words):
    """a (N, T, V), words (N, T) → the entry of each step that belongs to its word, (N, T)."""
    return np.take_along_axis(a, words[..., None], axis=-1)[..., 0]


def check_words(name, words, size, shape=None):
    """`words` itself if it is (N, T) integers from 0 to size - 1, or an error that calls it `name`.

    shape: the only (N, T) that is right, any if None.
    """
    if not isinstance(words, np.ndarray) or not np.issubdtype(words.dtype, np.integer):
        came = f"dtype {words.dtype}" if isinstance(words, np.ndarray) else type(words).__name__
        raise TypeError(f"{name}: expected a NumPy array of integers, got {came}")
    if words.ndim != 2 or 0 in words.shape or shape not in (None, words.shape):
        N, T = (f"= {n}" for n in shape) if shape else ("≥ 1", "≥ 1")
        raise ValueError(f"{name}: expected shape (N {N}, T {T}), got {words.shape}")
    if words.min() < 0 or words.max() >= size:
        outside = words[(words < 0) | (words >= size)][0]
        raise ValueError(f"{name}: expected words from 0 to {size - 1}, got {outside}")
    return words
