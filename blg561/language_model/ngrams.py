"""What a network has to beat: the uniform distribution and n-grams with Kneser-Ney smoothing.

Beside them `Unseen`, which is no model of the language: it says what the lexicon gives away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from blg561.language_model.systems import Prediction, System, check_text

FALLBACK_DISCOUNTS = 0.5, 1.0, 1.5  # for a text too small to estimate them, as KenLM has them


class Uniform(System):
    """Every word of the lexicon with the probability 1/V."""

    def __init__(self, ntoken: int):
        if ntoken < 1:
            raise ValueError(f"ntoken must be at least 1, got {ntoken}")
        self.ntoken = ntoken

    def reset(self):
        pass  # nothing that it reads matters to it

    def predict(self, words):
        uniform = torch.full((len(words), self.ntoken), 1 / self.ntoken, dtype=torch.float64)
        return Prediction(uniform)


class Unseen(System):
    """The words that training never showed, all with the same probability, and no others.

    It uses that the lexicon is that of the whole book: such a word *must* come in the validation
    part, or it would not be in there. Mixed with another system with the weight `unseen_mass`, it
    shows how much of that system's loss this knowledge takes away.

    counts: int64 (V,), how often each word of the lexicon occurs in training.

    Raises ValueError where every word does.
    """

    def __init__(self, counts: torch.Tensor):
        unseen = counts == 0
        if not unseen.any():
            raise ValueError("expected a lexicon with words that training never showed, got none")
        self.ntoken = len(counts)
        self.distribution = unseen.double() / unseen.sum()

    def reset(self):
        pass

    def predict(self, words):
        return Prediction(self.distribution.repeat(len(words), 1))


def unseen_mass(counts: torch.Tensor) -> float:
    """The probability that the next word is a new one, by Good (1953), from counts (V,).

    It is the share of the text that consists of words which occur once in it: each of these was
    new when it came, had the text before it been the whole rest.
    """
    return ((counts == 1).sum() / counts.sum()).item()  # (BT.7)


@dataclass(frozen=True)
class Level:
    """The n-grams of one length n, each numbered by its place in the order of context and word.

    The number of a context is that which it has, as an n-gram, at the level below. Number -1
    stands for one that never occurred, and so for the last entry of `shares` and `left`.
    """

    keys: np.ndarray  # (m,) context · V + word, ascending
    words: np.ndarray  # (m,) the last word
    shares: np.ndarray  # (m + 1,) of the context's probability, after the discount; then 0
    left: np.ndarray  # (contexts + 1,) what discounting leaves to the level below; then 1
    starts: np.ndarray  # (contexts + 1,) the number of a context's first n-gram

    def find(self, contexts: np.ndarray, words: np.ndarray, ntoken: int) -> np.ndarray:
        """The numbers of the n-grams of a context and a word each, -1 where there is none."""
        wanted = contexts * ntoken + words
        places = np.searchsorted(self.keys, wanted)
        found = self.keys[np.minimum(places, len(self.keys) - 1)] == wanted
        return np.where(found, places, -1)


class KneserNey(System):
    """n-grams up to length `order` with interpolated modified Kneser-Ney smoothing.

    Chen and Goodman 1998 (report TR-10-98 of Harvard), section 4.1.6. Each n-gram's count is
    discounted, and what that leaves goes to the context without its first word, down to the empty
    context and from there to the uniform distribution: no word of the lexicon is impossible. The
    longest n-grams have their counts, the shorter ones the number of different words before them.
    Order 1 is the unigram model.

    text: int64 (n,), the training text, at least `order` words.
    ntoken: words in the lexicon, V, also those that do not occur in `text`.
    order: the length of the longest n-grams.

    discounts: (order, 3), D1, D2 and D3+ of the n-grams of length 1 to `order`; see `discounts`.

    Raises ValueError for an order below 1, and a text that is too short or has a word outside the
    lexicon.
    """

    def __init__(self, text: torch.Tensor, ntoken: int, order: int = 5):
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        check_text(text, ntoken, shortest=order)
        self.ntoken, self.order = ntoken, order
        tables = count(text.cpu().numpy(), ntoken, order)
        self.discounts = np.array([discounts(counts) for _, counts in tables])
        self.levels = []
        contexts = 1  # the empty one
        for (keys, counts), discount in zip(tables, self.discounts, strict=True):
            self.levels.append(smooth(keys, counts, discount, contexts, ntoken))
            contexts = len(keys)
        lowest = self.levels[0]
        self.unigram = np.full(ntoken, lowest.left[0] / ntoken)
        self.unigram[lowest.words] += lowest.shares[:-1]
        self.reset()

    def reset(self):
        self.past = np.zeros(0, dtype=np.int64)

    def predict(self, words):
        read = np.concatenate([self.past, words.cpu().numpy()])
        self._remember(read)
        ends = [gram[-len(words) :] for _, gram in self._find(read)]
        distributions = np.zeros((len(words), self.ntoken))
        factor = np.ones(len(words))
        for level, context in reversed(list(zip(self.levels[1:], ends[:-1], strict=True))):
            rows, grams = followers(level, context)
            distributions[rows, level.words[grams]] += factor[rows] * level.shares[grams]
            factor *= level.left[context]
        distributions += factor[:, None] * self.unigram
        return Prediction(torch.from_numpy(distributions))

    def score(self, text):
        """As `System.score`, from the probabilities of the text's own words alone."""
        check_text(text, self.ntoken, shortest=2)
        words = text.cpu().numpy()
        self._remember(words[:-1])
        p = np.full(len(words), 1 / self.ntoken)
        for level, (context, gram) in zip(self.levels, self._find(words), strict=True):
            p = level.shares[gram] + level.left[context] * p  # (BT.1)
        return torch.from_numpy(-np.log(p[1:]))

    def _remember(self, read):
        """Keep as many of the last words as a context has, but for the word that comes next."""
        self.past = read[max(len(read) - self.order + 2, 0) :]

    def _find(self, words):
        """For each length: the context before each of `words` and the n-gram that the word ends."""
        context = np.zeros(len(words), dtype=np.int64)
        for level in self.levels:
            gram = level.find(context, words, self.ntoken)
            yield context, gram
            context = np.concatenate([[-1], gram[:-1]])


class OnlineKneserNey(System):
    """Kneser-Ney n-grams whose counts go on while they read.

    After every `block` words that were read the model is that of the training text followed by all
    of these: counts, discounts and shares anew. Nothing is learned from a word before it was
    predicted.

    text: int64 (n,), the training text. A text that is read goes on where it ends: leave out its
        last word if the text begins with that, as the validation part of a `Dataset` does.
    ntoken, order: as for `KneserNey`.
    block: words from one counting to the next.

    Raises ValueError as `KneserNey`, and for a block below 1.
    """

    def __init__(self, text: torch.Tensor, ntoken: int, order: int = 5, block: int = 100):
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        self.text, self.ntoken, self.order, self.block = text.cpu(), ntoken, order, block
        self.start = KneserNey(self.text, ntoken, order)
        self.reset()

    def reset(self):
        self.ngrams = self.start
        self.ngrams.reset()
        self.read, self.uncounted = self.text, 0

    def predict(self, words):
        distributions = []
        while len(words):
            if self.uncounted == self.block:
                self._count()
            space = self.block - self.uncounted
            piece, words = words[:space], words[space:]
            distributions.append(self.ngrams.predict(piece).distributions)
            self.read = torch.cat([self.read, piece.cpu()])
            self.uncounted += len(piece)
        return Prediction(torch.cat(distributions))

    def _count(self):
        past = self.ngrams.past
        self.ngrams = KneserNey(self.read, self.ntoken, self.order)
        self.ngrams.past = past
        self.uncounted = 0


class Restricted(System):
    """A system with words beyond a lexicon, given that none of those comes next.

    The words of the lexicon are the first ones of `base`, and a text that is read has no others.
    Its probabilities are those of `base`, divided by what `base` gives to the whole lexicon.

    ntoken: words in the lexicon, V.

    Raises ValueError for a lexicon that is empty or larger than that of `base`.
    """

    def __init__(self, base: System, ntoken: int):
        if not 1 <= ntoken <= base.ntoken:
            raise ValueError(f"ntoken must be between 1 and {base.ntoken}, got {ntoken}")
        self.base, self.ntoken = base, ntoken

    def systems(self):
        return [self, *self.base.systems()]

    def reset(self):
        self.base.reset()

    def predict(self, words):
        inside = self.base.predict(words).distributions[:, : self.ntoken]
        return Prediction(inside / inside.sum(dim=1, keepdim=True))


def count(words: np.ndarray, ntoken: int, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each length up to `order`: the keys of the n-grams as in `Level`, and their counts."""
    keys, counts = [], []
    ends = np.zeros(len(words) + 1, dtype=np.int64)  # the n-gram at each place, at first the empty
    for length in range(order):
        shorter = ends
        here = shorter[:-1] * ntoken + words[length:]
        found, first, ends, number = np.unique(
            here, return_index=True, return_inverse=True, return_counts=True
        )
        if length > 0:  # each different n-gram is one more word before the shorter one in it
            counts[-1] = np.bincount(shorter[first + 1], minlength=len(keys[-1]))  # (BT.2)
        keys.append(found)
        counts.append(number)
    return list(zip(keys, counts, strict=True))


def discounts(counts: np.ndarray) -> np.ndarray:
    """D1, D2 and D3+ from how many n-grams have the counts 1, 2, 3 and 4.

    They are `FALLBACK_DISCOUNTS` where one of the first three numbers is 0 or a discount would be
    below 0, as it happens in a text that is too small or too regular.
    """
    n1, n2, n3, n4 = np.bincount(counts, minlength=5)[1:5].tolist()
    if min(n1, n2, n3) == 0:
        return np.array(FALLBACK_DISCOUNTS)
    y = n1 / (n1 + 2 * n2)
    estimates = np.array([1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])  # (BT.3)
    return estimates if estimates.min() >= 0 else np.array(FALLBACK_DISCOUNTS)


def smooth(keys, counts, discount, contexts: int, ntoken: int) -> Level:
    """The level of n-grams with these keys and counts, above a level of `contexts` n-grams."""
    context = keys // ntoken
    taken = np.append(0, discount)[np.minimum(counts, 3)]
    total = np.bincount(context, counts, minlength=contexts)
    seen = total > 0  # the last words of the text need not be a context
    left = np.bincount(context, taken, minlength=contexts)
    left = np.divide(left, total, out=np.ones(contexts), where=seen)  # (BT.4)
    shares = (counts - taken) / np.maximum(total, 1)[context]
    return Level(
        keys=keys,
        words=keys % ntoken,
        shares=np.append(shares, 0),
        left=np.append(left, 1),
        starts=np.searchsorted(keys, np.arange(contexts + 1) * ntoken),
    )


def followers(level: Level, contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All n-grams that begin with one of `contexts` (n,): the row of its context, its number."""
    rows = np.flatnonzero(contexts >= 0)
    starts = level.starts[contexts[rows]]
    lengths = level.starts[contexts[rows] + 1] - starts
    ranks = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    return np.repeat(rows, lengths), np.repeat(starts, lengths) + ranks
