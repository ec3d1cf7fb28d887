"""An encoder-decoder of these layers: it reads one sequence and writes another, with attention.

N sequences, S symbols of a source, T of a target, H hidden units, V symbols that may be written.
Symbols are integers. Three of them are the same for sources and targets: `PAD` fills the end of a
row up to the longest one, `BEGIN` is what the decoder reads first, `END` what it writes last.
"""

import math
from dataclasses import dataclass

import numpy as np

from blg561.layer.attention import AdditiveAttention, DotProductAttention
from blg561.layer.feedforward_layers import (
    AffineLayer,
    EmbeddingLayer,
    SoftmaxCrossEntropy,
    check_words,
)
from blg561.layer.layer import check_step, norm_of
from blg561.layer.recurrent_layers import GRULayer

PAD, BEGIN, END = 0, 1, 2
ATTENTIONS = {
    None: lambda H, rng, dtype: None,
    "dot": lambda H, rng, dtype: DotProductAttention(scale=False),
    "scaled": lambda H, rng, dtype: DotProductAttention(),
    "additive": lambda H, rng, dtype: AdditiveAttention(H, H, H, rng, dtype),
}


@dataclass(frozen=True)
class Hypothesis:
    """What a decoder wrote.

    symbols: without `END`.
    log_probability: ln of the probability of these symbols and, if finished, of `END` after them.
    finished: whether it wrote `END`, or was stopped at the longest length allowed.
    """

    symbols: tuple[int, ...]
    log_probability: float
    finished: bool

    def score(self, length_power):
        """ln p divided by the number of steps to the power `length_power`, which is at least 0."""
        steps = len(self.symbols) + self.finished
        return self.log_probability / max(steps, 1) ** length_power  # (ATT.27)


class EncoderDecoder:
    """Embedding → GRU reads the source; embedding → GRU → attention → affine → softmax writes.

    The decoder starts from the state in which the encoder is after the source's last symbol
    (Sutskever et al., 2014). Attention reads the encoder's states of all symbols. Its query is the
    decoder's state after the step (Luong et al., 2015), so no step waits for a context, and one
    call takes them all. The affine layer gets the state and the context side by side. Without
    attention it gets the state alone, and all that the decoder knows of the source is H numbers.

    The layers are `source_embedding`, `encoder`, `target_embedding`, `decoder`, `attention` and
    `output`. After `backward`, `grad` has the gradients under the names of `parameters`.

    source_symbols, target_symbols: how many there are, PAD, BEGIN and END among them.
    embed_size, hidden_size: sizes of both embeddings, and H of encoder and decoder.
    attention: "dot", "scaled" (the dot product divided by √H), "additive" or None.
    encoder, decoder: classes of these two layers, `GRULayer` or `SelfAttentionLayer`.
    rng: an integer seed or a `numpy.random.Generator`.
    dtype: of the parameters, and so of all results.

    Raises ValueError for another attention, a size below 1, and fewer symbols than PAD, BEGIN, END
    and one more.
    """

    def __init__(
        self,
        source_symbols,
        target_symbols,
        embed_size=32,
        hidden_size=64,
        attention="dot",
        rng=None,
        dtype=np.float64,
        encoder=GRULayer,
        decoder=GRULayer,
    ):
        if attention not in ATTENTIONS:
            known = ", ".join(map(repr, ATTENTIONS))
            raise ValueError(f"attention: expected one of {known}, got {attention!r}")
        symbols = dict(source_symbols=source_symbols, target_symbols=target_symbols)
        for name, number in symbols.items():
            if number < 4:
                raise ValueError(f"{name}: expected PAD, BEGIN, END and one more, got {number}")
        rng = np.random.default_rng(rng)
        H = hidden_size
        self.source_embedding = EmbeddingLayer(source_symbols, embed_size, rng, dtype)
        self.encoder = encoder(embed_size, H, rng, dtype)
        self.target_embedding = EmbeddingLayer(target_symbols, embed_size, rng, dtype)
        self.decoder = decoder(embed_size, H, rng, dtype)
        self.attention = ATTENTIONS[attention](H, rng, dtype)
        features = 2 * H if self.attention else H
        self.output = AffineLayer(features, target_symbols, rng, dtype)
        self.criterion = SoftmaxCrossEntropy()
        self.grad = {}
        self._kept = None  # what `loss` leaves for `backward`

    @property
    def layers(self):
        """The layers that may have parameters, by name."""
        names = ["source_embedding", "encoder", "target_embedding", "decoder", "output"]
        if self.attention:
            names.insert(4, "attention")
        return {name: getattr(self, name) for name in names}

    @property
    def parameters(self):
        """The parameters by name, such as "encoder.Wx"."""
        return {
            f"{layer_name}.{name}": parameter
            for layer_name, layer in self.layers.items()
            for name, parameter in layer.parameters.items()
        }

    def encode(self, source):
        """source (N, S), each row filled up with `PAD` → memory (N, S, H), mask (N, S), h0 (N, H).

        memory: the encoder's states. mask: where they belong to a symbol. h0: the last of these.

        Raises ValueError for a source without a symbol and for `PAD` before a symbol.
        """
        self._kept = None  # the layers will have kept another pass than the loss's
        source = check_words("source", source, self.source_embedding.in_size)
        mask = source != PAD
        last = check_padding("source", mask)
        x = self.source_embedding.forward(source)
        memory = self.encoder.forward(x, np.zeros((len(x), self.encoder.out_size), x.dtype))
        return memory, mask, memory[np.arange(len(x)), last]  # (ATT.23)

    def decode(self, inputs, memory, mask, h0):
        """inputs (N, T) after the state h0 (N, H) → logits (N, T, V) of the symbols that follow.

        `decoder.last_state` then has the state after the last of them.
        """
        h = self.decoder.forward(self.target_embedding.forward(inputs), h0)
        if self.attention:
            context = self.attention.forward(h, memory, memory, mask)
            h = np.concatenate([h, context], axis=-1)  # (ATT.24)
        return self.output.forward(h)

    def forward(self, source, inputs):
        """source (N, S), inputs (N, T), which start with `BEGIN` → logits (N, T, V)."""
        return self.decode(inputs, *self.encode(source))

    def loss(self, source, target, inputs=None):
        """source (N, S), target (N, T), each row ending in `END` → the mean loss, nats per symbol.

        Padding counts for nothing. inputs: what the decoder reads, (N, T); the target's own symbols
        (teacher forcing) unless given.
        """
        target = check_words("target", target, self.output.out_size)
        real = target != PAD
        check_padding("target", real)
        if inputs is None:
            inputs = shifted(target)
        else:
            check_words("inputs", inputs, self.output.out_size, target.shape)
        logits = self.forward(source, inputs)
        self._kept = source, real, logits.shape
        return self.criterion.forward(logits[real][None], target[real][None])

    def backward(self):
        """The gradients of the last `loss` → `self.grad`, a dict with the names of `parameters`.

        Raises RuntimeError where none was called, or another source was read after it.
        """
        if self._kept is None:
            raise RuntimeError("EncoderDecoder.backward needs a call of loss just before it")
        source, real, shape = self._kept
        own = self.criterion.backward()["dlogits"]
        dlogits = np.zeros(shape, own.dtype)
        dlogits[real] = own[0]
        return self.backward_from(dlogits, source)

    def backward_from(self, dlogits, source):
        """The same for any dlogits (N, T, V) at what `forward` made of `source` (N, S).

        `encoder.grad["dx"]` then has the gradient at the vectors of the source's symbols.
        """
        gradients = {"output": self.output.backward(dlogits)}
        H = self.decoder.out_size
        dh = gradients["output"]["dx"][..., :H]
        dmemory = np.zeros((*source.shape, H), dh.dtype)
        if self.attention:
            gradients["attention"] = self.attention.backward(gradients["output"]["dx"][..., H:])
            dh = dh + gradients["attention"]["dquery"]
            dmemory += gradients["attention"]["dkeys"] + gradients["attention"]["dvalues"]
        gradients["decoder"] = self.decoder.backward(dh)
        gradients["target_embedding"] = self.target_embedding.backward(gradients["decoder"]["dx"])
        last = (source != PAD).sum(axis=1) - 1
        dmemory[np.arange(len(source)), last] += gradients["decoder"]["dh0"]  # (ATT.25)
        gradients["encoder"] = self.encoder.backward(dmemory)
        gradients["source_embedding"] = self.source_embedding.backward(gradients["encoder"]["dx"])
        self.grad = {
            f"{layer_name}.{name}": gradients[layer_name]["d" + name]
            for layer_name, layer in self.layers.items()
            for name in layer.parameters
        }
        return self.grad

    def sampled_inputs(self, source, target, forcing, rng):
        """What the decoder reads if it is forced with the probability `forcing` at each step.

        Where it is not, it reads the most probable symbol of its own last step: free running at 0,
        teacher forcing at 1, scheduled sampling (Bengio et al., 2015) in between. The gradient does
        not go through that choice.
        """
        inputs = shifted(target)
        forced = rng.random(target.shape) < forcing
        memory, mask, h = self.encode(source)
        for t in range(1, target.shape[1]):
            logits = self.decode(inputs[:, t - 1 : t], memory, mask, h)
            (h,) = self.decoder.last_state
            own = permitted(logits[:, -1]).argmax(axis=-1)
            inputs[:, t] = np.where(forced[:, t], inputs[:, t], own)
        return inputs

    def greedy(self, source, longest):
        """source (N, S) → for each the hypothesis of the most probable symbol at every step.

        longest: the number of steps after which a decoder that wrote no `END` is stopped.
        """
        return self._write(source, longest, lambda log_p: log_p.argmax(axis=-1))

    def sample(self, source, longest, rng, temperature=1.0):
        """The same with symbols drawn by their probability; logits are divided by `temperature`.

        Raises ValueError for a temperature that is not from 1e-30 to 1e30.
        """
        if not 1e-30 <= temperature <= 1e30:
            raise ValueError(f"temperature: expected one from 1e-30 to 1e30, got {temperature}")

        def draw(log_p):  # the largest of ln p + Gumbel noise is v with the probability p_v
            return (log_p / temperature + rng.gumbel(size=log_p.shape)).argmax(axis=-1)

        return self._write(source, longest, draw)

    def _write(self, source, longest, choose):
        check_longest(longest)
        memory, mask, h = self.encode(source)
        N = len(source)
        symbols = np.full((N, 1), BEGIN)
        written = [[] for _ in range(N)]
        total, ended = np.zeros(N), np.zeros(N, bool)
        for _ in range(longest):
            log_p = log_softmax(permitted(self.decode(symbols, memory, mask, h)[:, -1]))
            (h,) = self.decoder.last_state
            symbols = choose(log_p)[:, None]
            total += np.where(ended, 0, np.take_along_axis(log_p, symbols, 1)[:, 0])
            ended |= symbols[:, 0] == END
            for n in np.flatnonzero(~ended):
                written[n].append(int(symbols[n, 0]))
            if ended.all():
                break
        return [
            Hypothesis(tuple(row), float(log_p), bool(done))
            for row, log_p, done in zip(written, total, ended, strict=True)
        ]

    def beam_search(self, source, longest, width=4, length_power=1.0):
        """source (1, S) → hypotheses, the best score first, at most `width` of them.

        At each step every open hypothesis goes on with every symbol, and the `width` most probable
        stay; those that end are set aside. It stops when `width` have ended, or after `longest`
        steps; only if none has ended by then, the open ones are returned.

        length_power: of `Hypothesis.score`. At 0 the score is ln p, which favours short ones.

        Raises ValueError for more than one source, and a width or length below 1.
        """
        check_longest(longest)
        if width < 1:
            raise ValueError(f"width: expected at least 1, got {width}")
        memory, mask, h = self.encode(source)
        if len(source) != 1:
            raise ValueError(f"source: expected shape (1, S ≥ 1), got {source.shape}")
        open_, ended = [Hypothesis((), 0.0, False)], []
        for _ in range(longest):
            last = np.array([[(BEGIN, *hypothesis.symbols)[-1]] for hypothesis in open_])
            n = len(open_)
            logits = self.decode(last, memory.repeat(n, axis=0), mask.repeat(n, axis=0), h)
            (h,) = self.decoder.last_state
            best = best_steps(open_, log_softmax(permitted(logits[:, -1])), width)
            ended += [Hypothesis(open_[k].symbols, log_p, True) for k, v, log_p in best if v == END]
            best = [step for step in best if step[1] != END]
            open_ = [Hypothesis((*open_[k].symbols, v), log_p, False) for k, v, log_p in best]
            if not open_ or len(ended) >= width:
                break
            h = h[[k for k, *_ in best]]
        found = sorted(ended or open_, key=lambda one: -one.score(length_power))
        return found[:width]


def best_steps(hypotheses, log_p, width):
    """One step of beam search: hypotheses (n), log_p (n, V) of what follows → the best steps.

    A step (k, v, ln p) goes on with the symbol v after the hypothesis k. At most `width`, the most
    probable first; what has the probability 0 is none.
    """
    total = np.array([[one.log_probability] for one in hypotheses]) + log_p  # (ATT.26)
    best = np.argsort(-total, axis=None, kind="stable")[:width]
    places = np.unravel_index(best, total.shape)
    steps = [(int(k), int(v), float(total[k, v])) for k, v in zip(*places, strict=True)]
    return [step for step in steps if step[2] > -math.inf]


def shifted(target):
    """target (N, T) → what the decoder reads: `BEGIN`, then the target but for its last symbol."""
    return np.concatenate([np.full((len(target), 1), BEGIN), target[:, :-1]], axis=1)


def padded(sequences):
    """Sequences of symbols → one array (N, longest), filled up with `PAD`."""
    array = np.full((len(sequences), max(map(len, sequences))), PAD)
    for row, sequence in zip(array, sequences, strict=True):
        row[: len(sequence)] = sequence
    return array


def permitted(logits):
    """logits (N, V) with -∞ for what is never written, `PAD` and `BEGIN`."""
    logits = logits.copy()
    logits[:, [PAD, BEGIN]] = -np.inf
    return logits


def log_softmax(logits):
    """logits (N, V) → ln of their softmax."""
    s = logits - logits.max(axis=-1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=-1, keepdims=True))


def check_padding(name, real):
    """real (N, T), where there is a symbol → the position of each row's last one, (N,)."""
    count = real.sum(axis=1)
    if not count.all():
        raise ValueError(f"{name}: row {np.argmin(count)} is empty, there is padding alone")
    gap = (real[:, 1:] & ~real[:, :-1]).any(axis=1)
    if gap.any():
        raise ValueError(f"{name}: row {np.argmax(gap)} has padding before a symbol")
    return count - 1


def check_longest(longest):
    if longest < 1:
        raise ValueError(f"longest: expected at least 1, got {longest}")


class Adam:
    """Gradient descent with a step size for each number (Kingma and Ba, 2015).

    model: has `parameters` and `grad` under the same names; parameters are changed in place.
    clip_val: the gradient's largest norm; a longer one is shortened to it.

    Raises ValueError for a learning rate below 0 and a `clip_val` that is not above 0.
    """

    def __init__(self, model, learning_rate=0.001, clip_val=1.0):
        check_step(learning_rate, clip_val)
        self.model, self.learning_rate, self.clip_val = model, learning_rate, clip_val
        self.steps = 0
        self.mean = {name: np.zeros_like(p) for name, p in model.parameters.items()}
        self.square = {name: np.zeros_like(p) for name, p in model.parameters.items()}

    def step(self):
        """One step; returns the gradient's norm before clipping.

        Raises RuntimeError before the first `backward`, and FloatingPointError where the norm is
        not finite, both before anything is changed.
        """
        if not self.model.grad:
            raise RuntimeError("Adam.step needs a call of the model's backward before it")
        norm = norm_of(self.model.grad)
        self.steps += 1
        factor = min(1.0, self.clip_val / (norm + 1e-6))
        rate = self.learning_rate / (1 - 0.9**self.steps)
        unbiased = 1 / math.sqrt(1 - 0.999**self.steps)
        for name, parameter in self.model.parameters.items():
            g = factor * self.model.grad[name]
            self.mean[name] += 0.1 * (g - self.mean[name])
            self.square[name] += 0.001 * (g**2 - self.square[name])
            parameter -= rate * self.mean[name] / (unbiased * np.sqrt(self.square[name]) + 1e-8)
        return norm
