"""A word-level language model of these layers, one on another.

It is the network of `blg561.language_model.models`, which `blg561.language_model.conversion`
translates into this one and back. N rows of text, T words of each, V words in the lexicon, H hidden
units.
"""

import math

import numpy as np

from blg561.layer.feedforward_layers import (
    AffineLayer,
    Dropout,
    EmbeddingLayer,
    SoftmaxCrossEntropy,
)
from blg561.layer.layer import check_step, norm_of
from blg561.layer.recurrent_layers import GRULayer, LSTMLayer, RNNLayer

CELLS = {"rnn": RNNLayer, "lstm": LSTMLayer, "gru": GRULayer}


class NumpyLanguageModel:
    """Embedding → dropout → recurrent layers, dropout after each → affine layer → softmax.

    The layers are `embedding`, the list `layers` and the affine `output`. Replace a parameter as
    you do with a layer; where weights are tied, that of the embedding. After `backward`, `grad` has
    the gradients under the names of `parameters`. The embedding and the affine layer start uniform
    in ±0.1, as in PyTorch's example of a word language model, and b at 0. The state is a tuple of
    arrays (layers, N, H): (h,), and (h, c) for LSTM layers.

    ntoken: words in the lexicon, V.
    embed_size, hidden_size, hidden_layers: sizes of the embedding and of each recurrent layer, and
        how many of these.
    dropout: probability of locked dropout, in training only.
    cell: "rnn", "lstm" or "gru".
    tie_weights: the affine layer uses the embedding matrix (Press and Wolf, 2017); needs
        embed_size = hidden_size.
    rng: an integer seed or a `numpy.random.Generator`, for the first weights and for dropout.
    dtype: of the parameters, and so of all results.

    Raises ValueError for a size below 1, a probability outside [0, 1), an unknown cell, or tied
    weights of unequal sizes.
    """

    def __init__(
        self,
        ntoken,
        embed_size=64,
        hidden_size=64,
        hidden_layers=2,
        dropout=0.1,
        *,
        cell="lstm",
        tie_weights=False,
        rng=None,
        dtype=np.float64,
    ):
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        if hidden_layers < 1:
            raise ValueError(f"hidden_layers: expected at least 1, got {hidden_layers}")
        if tie_weights and embed_size != hidden_size:
            raise ValueError(
                f"tied weights need embed_size = hidden_size, got {embed_size} and {hidden_size}"
            )
        rng = np.random.default_rng(rng)
        self.cell = cell
        self.tie_weights = tie_weights
        self.embedding = EmbeddingLayer(ntoken, embed_size, rng, dtype)
        in_sizes = [embed_size] + (hidden_layers - 1) * [hidden_size]
        self.layers = [CELLS[cell](size, hidden_size, rng, dtype) for size in in_sizes]
        self.dropouts = [Dropout(dropout, rng) for _ in range(hidden_layers + 1)]
        self.output = AffineLayer(hidden_size, ntoken, rng, dtype)
        self.criterion = SoftmaxCrossEntropy()
        self.embedding.W = rng.uniform(-0.1, 0.1, self.embedding.W.shape).astype(dtype)
        self.output.W = rng.uniform(-0.1, 0.1, self.output.W.shape).astype(dtype)
        if tie_weights:
            self.output.W = self.embedding.W.T  # (NLM.15)
        self.grad = {}
        self._loss_is_last = False  # whether the layers have kept what `backward` needs

    @property
    def parameters(self):
        """The parameters by name, such as "layers.0.Wx"; tied weights once, as "embedding.W"."""
        named = {"embedding.W": self.embedding.W}
        for number, layer in enumerate(self.layers):
            named |= {f"layers.{number}.{name}": p for name, p in layer.parameters.items()}
        if not self.tie_weights:
            named["output.W"] = self.output.W
        return named | {"output.b": self.output.b}

    def initialize(self, batch_size):
        """The zero state before the first word of `batch_size` rows."""
        H = self.output.in_size
        zero = np.zeros((len(self.layers), batch_size, H), self.output.b.dtype)
        return (zero, zero.copy()) if self.cell == "lstm" else (zero,)

    def forward(self, x, state, training=False):
        """Words x (N, T) after `state` → logits (N, T, V) of the words that follow, new state.

        Only in `training` there is dropout.
        """
        if self.tie_weights:
            self.output.W = self.embedding.W.T  # (NLM.15)
        self._loss_is_last = False
        hidden = self.embedding.forward(x)
        self._check_state(state, len(x))
        hidden = self.dropouts[0].forward(hidden, training)
        states = []
        for number, layer in enumerate(self.layers):
            hidden = layer.forward(hidden, *(part[number] for part in state))
            states.append(layer.last_state)
            hidden = self.dropouts[number + 1].forward(hidden, training)
        return self.output.forward(hidden), tuple(map(np.stack, zip(*states, strict=True)))

    def loss(self, x, target, state, training=True):
        """Words x and the words target that follow them, both (N, T) → the mean loss, new state.

        The loss is in nats per word. `backward` gives its gradient.
        """
        logits, state = self.forward(x, state, training)
        loss = self.criterion.forward(logits, target)
        self._loss_is_last = True
        return loss, state

    def backward(self):
        """The gradients of the last `loss` → `self.grad`, a dict with the names of `parameters`.

        Nothing goes back into the state that the window started from (truncated backpropagation
        through time).

        Raises RuntimeError where none was called, or another text was read after it.
        """
        if not self._loss_is_last:
            raise RuntimeError("NumpyLanguageModel.backward needs a call of loss just before it")
        grad = self.output.backward(self.criterion.backward()["dlogits"])
        self.grad = {"output.b": grad["db"]}
        dW_output = grad["dW"]
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            dh = self.dropouts[number + 1].backward(grad["dx"])["dx"]
            grad = layer.backward(dh)
            self.grad |= {f"layers.{number}.{name}": grad["d" + name] for name in layer.parameters}
        dy = self.dropouts[0].backward(grad["dx"])["dx"]
        dW = self.embedding.backward(dy)["dW"]
        if self.tie_weights:
            dW += dW_output.T  # (NLM.16)
        else:
            self.grad["output.W"] = dW_output
        self.grad["embedding.W"] = dW
        return self.grad

    def step(self, learning_rate, clip_val=math.inf):
        """A step of gradient descent, in place, the gradient clipped to the norm `clip_val`.

        Returns the norm of the gradient before clipping. The 1e-6 is that of PyTorch's
        `clip_grad_norm_`.

        Raises, before anything is changed, RuntimeError before the first `backward`, ValueError for
        a rate below 0 or a `clip_val` that is not above 0, and FloatingPointError where the
        gradient's norm is not finite.
        """
        check_step(learning_rate, clip_val)
        if not self.grad:
            raise RuntimeError("NumpyLanguageModel.step needs a call of backward before it")
        norm = norm_of(self.grad)
        factor = learning_rate * min(1.0, clip_val / (norm + 1e-6))  # (LM.5)
        for name, parameter in self.parameters.items():
            parameter -= factor * self.grad[name]  # (NLM.17)
        return norm

    def evaluate(self, data, seq_length=512):
        """Mean loss of data[1:], in nats per word, each word after all those before it.

        data (n + 1,): words, in one row; the state is carried from window to window, so that
        `seq_length` changes no score. exp of the result is the perplexity.

        Raises ValueError for less than two words, or windows of less than one.
        """
        if seq_length < 1:
            raise ValueError(f"seq_length: expected at least 1, got {seq_length}")
        data = np.asarray(data)
        if data.ndim != 1 or len(data) < 2:
            raise ValueError(f"data: expected shape (n + 1 ≥ 2), got {data.shape}")
        total, n = 0.0, len(data) - 1
        state = self.initialize(1)
        for start in range(0, n, seq_length):
            window = data[start : start + seq_length + 1][None]
            loss, state = self.loss(window[:, :-1], window[:, 1:], state, training=False)
            total += float(loss) * (window.size - 1)
        return total / n  # (LM.1)

    def generate(self, history, len_gen, exponentials, temperature=1.0):
        """Sample `len_gen` words that follow the words `history` (n,), an array of integers.

        A word is sampled by a race: word v arrives at the time e_v / p_v, where e_v is an
        exponential random number of mean 1, and is first with the probability p_v.

        exponentials: a function of a number n that returns n of these random numbers, such as
            `numpy.random.default_rng(seed).standard_exponential`. With those of
            `blg561.language_model.conversion.torch_exponentials(seed)` the words are those of
            `blg561.language_model.generation.generate` with that seed.
        temperature: the logits are divided by it.

        Raises ValueError for a history that is not (n,), or empty, and numbers out of range.
        """
        if np.ndim(history) != 1 or len(history) < 1:
            raise ValueError(f"history: expected shape (n ≥ 1), got {np.shape(history)}")
        if len_gen < 1:
            raise ValueError(f"len_gen: expected at least 1, got {len_gen}")
        if not temperature > 0:
            raise ValueError(f"temperature: expected a number above 0, got {temperature}")
        state = self.initialize(1)
        x = np.asarray(history)[None]
        words = []
        for _ in range(len_gen):
            logits, state = self.forward(x, state)
            a = logits[0, -1]
            p = np.exp((a - a.max()) / temperature)
            p /= p.sum()  # (LM.6)
            words.append(np.argmax(p / exponentials(len(p))))  # (NLM.18)
            x = np.array([[words[-1]]])
        return np.array(words)

    def _check_state(self, state, N):
        expected = (len(self.layers), N, self.output.in_size)
        parts = len(self.initialize(1))
        if not isinstance(state, tuple) or len(state) != parts:
            came = f"one of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise TypeError(f"state: expected a tuple of {parts} arrays, got {came}")
        for part in state:
            if np.shape(part) != expected:
                raise ValueError(
                    f"state: expected shape (layers, N, H) = {expected}, got {np.shape(part)}"
                )
