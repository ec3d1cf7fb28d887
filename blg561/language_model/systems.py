"""Systems that predict a text word by word, and how they are combined and scored.

A system reads words and says after each what may come next. In how many pieces it is handed them
changes nothing, so no prediction depends on a later word: that holds for a network whose weights
are fixed, for one that goes on learning while it reads, and for a mixture of either with an n-gram.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from blg561.language_model.models import LanguageModel, map_state
from blg561.language_model.training import next_state

BLOCK = 256  # positions whose distributions are in memory at once; it changes no score


class Prediction(NamedTuple):
    """What a system says after n words.

    distributions: (n, V), of the word after each of them; float64, every row sums to 1.
    features: (n, H), what a `Cache` compares; None for a system without hidden states.
    """

    distributions: torch.Tensor
    features: torch.Tensor | None = None


class System(ABC):
    """What reads a text from left to right and predicts each word before it sees it.

    ntoken: words in the lexicon, V.
    """

    ntoken: int

    @abstractmethod
    def reset(self):
        """Forget everything that was read."""

    @abstractmethod
    def predict(self, words: torch.Tensor) -> Prediction:
        """Read the next `words` (n,) and predict the word after each of them.

        In how many pieces a text is read changes nothing.
        """

    def systems(self) -> list:
        """This system and those that it asks."""
        return [self]

    def score(self, text: torch.Tensor) -> torch.Tensor:
        """Nats of each word of `text` (n + 1,) but the first, given all before it: float64 (n,).

        The mean is the loss, exp of it the perplexity, as in `training.evaluate`; `Dataset.data`
        is such a text. What was read earlier is forgotten.

        Raises ValueError for a text of fewer than two words or with a word outside the lexicon.
        """
        check_text(text, self.ntoken, shortest=2)
        text = text.cpu()
        self.reset()
        nats = []
        for start in range(0, len(text) - 1, BLOCK):
            targets = text[start + 1 : start + 1 + BLOCK]
            predicted = self.predict(text[start : start + len(targets)])
            nats.append(-predicted.distributions.gather(1, targets[:, None])[:, 0].log())
        return torch.cat(nats)


def check_text(text: torch.Tensor, ntoken: int, shortest: int):
    if text.dim() != 1 or text.dtype != torch.int64:
        raise ValueError(
            f"a text must be word indices of shape (n,) and type int64, "
            f"got shape {tuple(text.shape)} and type {text.dtype}"
        )
    if len(text) < shortest:
        raise ValueError(f"a text of at least {shortest} words is needed, got {len(text)}")
    low, high = text.min().item(), text.max().item()
    if low < 0 or high >= ntoken:
        raise ValueError(
            f"word indices must lie from 0 to {ntoken - 1}, got {low if low < 0 else high}"
        )


class Network(System):
    """A trained network, its weights fixed and its state carried from word to word.

    It works on a copy of `model`, without dropout. Its features are the last layer's hidden
    states, those that the output layer reads.
    """

    def __init__(self, model: LanguageModel):
        self.model = copy.deepcopy(model).eval()
        self.ntoken = self.model.output.out_features
        self.reset()

    def reset(self):
        self.state = self.model.initialize(1)

    @torch.no_grad()
    def predict(self, words):
        logits, hidden = self._read(words)
        return Prediction(probabilities(logits), hidden)

    def _read(self, words):
        """Logits (n, V) of the words that follow each of `words`, and the hidden states (n, H)."""
        device = self.model.output.weight.device
        hidden, self.state = self.model.read(words[None].to(device), self.state)
        return self.model.output(hidden)[0], hidden[0].detach().cpu()


def probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Logits (n, V) → their softmax, float64 and on the CPU."""
    return logits.detach().cpu().double().softmax(dim=1)


class DynamicEvaluation(Network):
    """A network that learns from every `block` words once it has predicted them.

    Dynamic evaluation (Krause et al. 2018): after a block is read, one gradient step on its mean
    loss, and a pull back to the trained weights. Backpropagation ends at the block's start.

    model: the trained network; it stays as it is, the learning happens in a copy.
    learning_rate: η, of the step.
    block: words from one step to the next.
    decay: the share of the way back to the trained weights that each step goes, from 0 to 1.
    scale: RMS of each parameter's gradient in training, from `gradient_scale`: the step is
        divided by it, and the decay is proportional to it (the paper's "RMS with RMS global
        prior"). Without it every parameter is treated alike (SGD).
    epsilon: added to the RMS that divides.

    Raises ValueError for a rate below 0, a block below 1, a decay outside [0, 1], an epsilon that
    is not above 0, or a `scale` of other shapes than the parameters'.
    """

    def __init__(
        self,
        model: LanguageModel,
        learning_rate: float,
        block: int = 20,
        decay: float = 0.0,
        scale: list[torch.Tensor] | None = None,
        epsilon: float = 2e-5,
    ):
        if not 0 <= learning_rate < math.inf:
            raise ValueError(f"learning_rate must be at least 0 and finite, got {learning_rate}")
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay must lie from 0 to 1, got {decay}")
        if not epsilon > 0:
            raise ValueError(f"epsilon must be above 0, got {epsilon}")
        self.block, self.pulled = block, decay > 0
        self.trained = [p.detach().clone() for p in model.parameters()]
        if scale is None:
            self.rates = [learning_rate] * len(self.trained)
            self.decays = [decay] * len(self.trained)
        else:
            check_scale(scale, self.trained)
            average = torch.cat([rms.flatten() for rms in scale]).mean()
            self.rates = [learning_rate / (rms + epsilon) for rms in scale]
            self.decays = [(decay * rms / average).clamp(max=1) for rms in scale]
        super().__init__(model)

    def reset(self):
        super().reset()
        self._start_block()
        with torch.no_grad():
            for p, trained in zip(self.model.parameters(), self.trained, strict=True):
                p.copy_(trained)

    def _start_block(self):
        self.state = map_state(torch.Tensor.detach, self.state)
        self.words, self.logits = [], []  # of the block so far, in pieces

    def predict(self, words):
        distributions, features = [], []
        while len(words):
            filled = sum(map(len, self.words))
            if filled == self.block:
                self._learn(words[:1])
                filled = 0
            space = self.block - filled
            piece, words = words[:space], words[space:]
            logits, hidden = self._read(piece)
            self.words.append(piece)
            self.logits.append(logits)
            distributions.append(probabilities(logits))
            features.append(hidden)
        return Prediction(torch.cat(distributions), torch.cat(features))

    def _learn(self, next_word):
        """One step on the block's loss, now that the word after its last one is known."""
        targets = torch.cat([*self.words, next_word])[1:]
        logits = torch.cat(self.logits)
        parameters = list(self.model.parameters())
        loss = cross_entropy(logits, targets.to(logits.device))
        gradients = torch.autograd.grad(loss, parameters)
        settings = zip(parameters, gradients, self.rates, self.decays, self.trained, strict=True)
        with torch.no_grad():
            for p, gradient, rate, decay, trained in settings:
                if self.pulled:
                    p.lerp_(trained, decay)  # adds decay * (trained - p), (BT.12)
                p -= rate * gradient  # (BT.12)
        self._start_block()


def check_scale(scale, parameters):
    found, expected = ([tuple(tensor.shape) for tensor in part] for part in (scale, parameters))
    if found != expected:
        raise ValueError(f"scale must have the parameters' shapes {expected}, got {found}")


def gradient_scale(model: LanguageModel, dataloader: DataLoader) -> list[torch.Tensor]:
    """RMS of the gradient of each of the model's parameters over the batches of a training text.

    One pass without dropout and without a step, the state carried as in `training.evaluate`.
    """
    model = copy.deepcopy(model).eval()
    parameters = list(model.parameters())
    squares = [torch.zeros_like(p) for p in parameters]
    state = None
    for data, target in dataloader:
        data, target = data.to(parameters[0].device), target.to(parameters[0].device)
        state = next_state(model, dataloader, state, len(data))
        logits, state = model(data, state)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        for square, gradient in zip(squares, torch.autograd.grad(loss, parameters), strict=True):
            square += gradient**2
    return [(square / len(dataloader)).sqrt() for square in squares]  # (BT.11)


class Interpolation(System):
    """The weighted mean of the distributions of several systems (Jelinek and Mercer 1980).

    `weights` are at least 0 and sum to 1; without them all are equal. No two parts may be the
    same object, nor have one inside: it would read the text twice. The features are those of the
    first part.

    Raises ValueError for no parts, weights that are not as above or not as many as the parts, parts
    of different lexicons, and a system that occurs twice.
    """

    def __init__(self, parts: Sequence[System], weights: Sequence[float] | None = None):
        if not parts:
            raise ValueError("at least one part is needed, got none")
        weights = [1 / len(parts)] * len(parts) if weights is None else [float(w) for w in weights]
        if len(weights) != len(parts):
            raise ValueError(f"{len(weights)} weights for {len(parts)} parts")
        if not (min(weights) >= 0 and math.isclose(sum(weights), 1, abs_tol=1e-9)):
            raise ValueError(f"weights must be at least 0 and sum to 1, got {weights}")
        sizes = [part.ntoken for part in parts]
        if len(set(sizes)) > 1:
            raise ValueError(f"the parts must have one lexicon, got lexicons of {sizes} words")
        systems = [id(system) for part in parts for system in part.systems()]
        if len(set(systems)) < len(systems):
            raise ValueError("the same system occurs twice among the parts or inside them")
        self.parts, self.weights = list(parts), weights
        self.ntoken = sizes[0]

    def systems(self):
        return [self, *(system for part in self.parts for system in part.systems())]

    def reset(self):
        for part in self.parts:
            part.reset()

    def predict(self, words):
        predicted = [part.predict(words) for part in self.parts]
        weighted = zip(self.weights, predicted, strict=True)
        mean = sum(weight * part.distributions for weight, part in weighted)  # (BT.5)
        return Prediction(mean, predicted[0].features)


def best_weights(scores: Sequence[torch.Tensor], rounds: int = 500) -> list[float]:
    """The weights with which an `Interpolation` scores a text best, from its parts' scores (n,).

    Expectation maximisation: a part's next weight is its mean share in the mixed probabilities.

    Raises ValueError where the scores differ in length, or at some word no part is finite.
    """
    if len({len(nats) for nats in scores}) != 1:
        raise ValueError(f"scores of one text are needed, got lengths {[len(s) for s in scores]}")
    nats = torch.stack(list(scores))
    best = nats.amin(dim=0)
    if not best.isfinite().all():
        raise ValueError("every word needs a part that gives it a probability above 0")
    p = torch.exp(best - nats)  # a factor common to all parts does not change their shares
    weights = torch.full((len(p), 1), 1 / len(p), dtype=p.dtype)
    for _ in range(rounds):
        weights = (weights * p / (weights * p).sum(dim=0)).mean(dim=1, keepdim=True)  # (BT.6)
    return (weights / weights.sum()).flatten().tolist()


class Cache(System):
    """A system that expects words to come back where the hidden state is as it was before them.

    The continuous cache (Grave et al. 2017): the last `size` hidden states, each with the word
    that followed it, vote for their words with the weight exp(θ h·h').

    base: a system with features; the cache may lie on a network, on dynamic evaluation, or on
        an interpolation that begins with one.
    size: words that are remembered.
    theta: θ; at 0 all of them count alike.
    weight: λ, the cache's share in the distribution.

    Raises ValueError for a size below 1, a weight outside [0, 1], a θ that is not finite, and, when
    it reads, TypeError for a base without features.
    """

    def __init__(self, base: System, size: int, theta: float, weight: float):
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must lie from 0 to 1, got {weight}")
        if not math.isfinite(theta):
            raise ValueError(f"theta must be a finite number, got {theta}")
        self.base, self.size, self.theta, self.weight = base, size, theta, weight
        self.ntoken = base.ntoken
        self.reset()

    def systems(self):
        return [self, *self.base.systems()]

    def reset(self):
        self.base.reset()
        self.past_words, self.past_features = None, None

    def predict(self, words):
        predicted, features = self.base.predict(words)
        if features is None:
            raise TypeError(f"a cache needs hidden states, and {type(self.base).__name__} has none")
        first = 0
        read, hidden = words, features
        if self.past_words is None:
            first = 1  # before the second word nothing is remembered
        else:
            read = torch.cat([self.past_words, read])
            hidden = torch.cat([self.past_features, hidden])
        now = torch.arange(len(read) - len(words) + first, len(read))[:, None]
        then = torch.arange(len(read) - 1)
        remembered = (now - self.size <= then) & (then < now)
        votes = (self.theta * (hidden[now[:, 0]] @ hidden[:-1].T)).double()
        share = votes.masked_fill(~remembered, -math.inf).softmax(dim=1)
        cached = torch.zeros_like(predicted[first:]).index_add_(1, read[1:], share)  # (BT.10)
        predicted[first:] = (1 - self.weight) * predicted[first:] + self.weight * cached
        self.past_words, self.past_features = read[-self.size :], hidden[-self.size :]
        return Prediction(predicted, features)
