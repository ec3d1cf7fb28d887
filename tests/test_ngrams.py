"""Kneser-Ney against values by hand and a literal recursion; every distribution sums to 1."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blg561.language_model.ngrams import (
    KneserNey,
    OnlineKneserNey,
    Restricted,
    Uniform,
    Unseen,
    discounts,
    unseen_mass,
)
from blg561.language_model.systems import Prediction, System

A, B, C, D = range(4)


def tensor(words):
    return torch.tensor(words, dtype=torch.int64)


def random_text(n, ntoken, seed=0):
    """Frequencies fall like 1/rank, and the last two words of the lexicon never occur."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, ntoken - 1)
    return torch.from_numpy(rng.choice(ntoken - 2, size=n, p=p / p.sum()))


def literal(text, ntoken, discounts):
    """p(word | context) from the formulas, with a Counter of each length's n-grams."""
    text, order = text.tolist(), len(discounts)
    grams = [Counter(zip(*(text[i:] for i in range(n)), strict=False)) for n in range(1, order + 1)]
    counts = [Counter(gram[1:] for gram in longer) for longer in grams[1:]] + [grams[-1]]

    def discount(n, count):
        return 0 if count == 0 else discounts[n][min(count, 3) - 1]

    def p(word, context):
        if context is None:
            return 1 / ntoken
        n = len(context)
        shorter = p(word, context[1:] if n else None)
        of_context = [counts[n][(*context, w)] for w in range(ntoken)]
        if sum(of_context) == 0:
            return shorter
        own = of_context[word]
        left = sum(discount(n, count) for count in of_context)
        return (own - discount(n, own) + left * shorter) / sum(of_context)

    return p


def test_bigram_by_hand():
    # Text: a b a c a b, lexicon a b c d. It is too small for estimated discounts: they are
    # D1 = 1/2, D2 = 1, D3+ = 3/2.
    # Words before a: b, c; before b: a; before c: a. So the unigram counts are 2, 1, 1, 0, total 4;
    # discounts take 1 + 1/2 + 1/2 = 2, and 2/4 goes to the uniform distribution, 1/8 for each word:
    #   p(a) = 1/4 + 1/8 = 3/8, p(b) = p(c) = (1/2)/4 + 1/8 = 1/4, p(d) = 1/8.
    # After a: b twice, c once, total 3; discounts take 3/2, so 1/2 goes to the unigrams:
    #   p(a|a) = 3/16, p(b|a) = 1/3 + 1/8 = 11/24, p(c|a) = 1/6 + 1/8 = 7/24, p(d|a) = 1/16.
    # After b: a once; 1/2 goes to the unigrams: 11/16, 1/8, 1/8, 1/16. After d: the unigrams.
    system = KneserNey(tensor([A, B, A, C, A, B]), 4, order=2)
    expected = [[3 / 16, 11 / 24, 7 / 24, 1 / 16], [11 / 16, 1 / 8, 1 / 8, 1 / 16]]
    expected += [[3 / 8, 1 / 4, 1 / 4, 1 / 8]]
    np.testing.assert_allclose(
        system.predict(tensor([A, B, D])).distributions, expected, rtol=1e-12
    )
    nats = [-math.log(11 / 24), -math.log(1 / 16), -math.log(1 / 4)]
    np.testing.assert_allclose(system.score(tensor([A, B, D, C])), nats, rtol=1e-12)


def test_unigram_by_hand():
    # Counts a 3, b 2, c 1, d 0, total 6. n1 = n2 = n3 = 1, n4 = 0: Y = 1/3, D1 = 1 - 2/3 = 1/3,
    # D2 = 2 - 1 = 1, D3+ = 3. Together they take 13/3 of 6, so each word gets 13/72:
    #   p(a) = 13/72, p(b) = 1/6 + 13/72 = 25/72, p(c) = (2/3)/6 + 13/72 = 21/72, p(d) = 13/72.
    system = KneserNey(tensor([A, B, A, C, A, B]), 4, order=1)
    expected = [[13 / 72, 25 / 72, 21 / 72, 13 / 72]] * 2
    np.testing.assert_allclose(system.predict(tensor([D, A])).distributions, expected, rtol=1e-12)


def test_discounts_by_hand():
    # n1 = 10, n2 = 4, n3 = 2, n4 = 1: Y = 10/18 = 5/9, D1 = 1 - 2 (5/9) 4/10 = 5/9,
    # D2 = 2 - 3 (5/9) 2/4 = 7/6, D3+ = 3 - 4 (5/9) 1/2 = 17/9. Counts 0 and 9 play no part.
    counts = np.array(10 * [1] + 4 * [2] + 2 * [3] + [4, 0, 9])
    np.testing.assert_allclose(discounts(counts), [5 / 9, 7 / 6, 17 / 9], rtol=1e-12)


@pytest.mark.parametrize(
    "counts",
    [
        10 * [1] + 4 * [2],  # no n-gram occurs three times
        [1] + 10 * [2] + 200 * [3],  # D2 would be 2 - 3 (1/21) 20 < 0
    ],
)
def test_discounts_that_are_not_defined_have_a_fallback(counts):
    np.testing.assert_array_equal(discounts(np.array(counts)), [0.5, 1.0, 1.5])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_length_estimates_its_own_discounts_from_its_own_counts(order):
    text = random_text(5000, 400)
    words = text.tolist()
    grams = [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for n in range(1, 4)]
    counts = [Counter(gram[1:] for gram in longer) for longer in grams[1:order]]
    counts = [np.array([*c.values()]) for c in [*counts, grams[order - 1]]]
    system = KneserNey(text, 400, order)
    np.testing.assert_array_equal(system.discounts, [discounts(c) for c in counts])
    assert (system.discounts != [0.5, 1.0, 1.5]).any(axis=1).all()


@settings(max_examples=40)
@given(
    order=st.integers(1, 5),
    text=st.lists(st.integers(0, 4), min_size=5, max_size=40),
    read=st.lists(st.integers(0, 6), min_size=2, max_size=12),
)
def test_distributions_and_scores_follow_the_formulas(order, text, read):
    ntoken = 7  # two words more than the text can have
    system = KneserNey(tensor(text), ntoken, order)
    p = literal(tensor(text), ntoken, system.discounts)
    contexts = [tuple(read[max(t + 2 - order, 0) : t + 1]) for t in range(len(read))]
    contexts = [context if order > 1 else () for context in contexts]
    expected = [[p(word, context) for word in range(ntoken)] for context in contexts]
    np.testing.assert_allclose(system.predict(tensor(read)).distributions, expected, rtol=1e-9)
    nats = [-math.log(p(read[t + 1], contexts[t])) for t in range(len(read) - 1)]
    np.testing.assert_allclose(system.score(tensor(read)), nats, rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_probabilities_of_every_context_sum_to_one_and_none_is_zero(order):
    system = KneserNey(random_text(700, 40), 40, order)
    contexts = torch.randint(40, (400,), generator=torch.Generator().manual_seed(order))
    for words in (contexts, random_text(400, 40), random_text(400, 40, seed=1)):
        distributions = system.predict(words).distributions  # unseen, all seen and mixed contexts
        np.testing.assert_allclose(distributions.sum(1), 1, rtol=1e-12)
        assert distributions.min() > 0


def test_scores_without_distributions_are_those_of_the_distributions():
    system = KneserNey(random_text(700, 40), 40, 4)
    text = random_text(600, 42, seed=2)
    system.predict(text[:5])  # what was read before is forgotten
    scores, after = system.score(text), system.predict(text[:3]).distributions
    torch.testing.assert_close(scores, System.score(system, text))
    torch.testing.assert_close(after, system.predict(text[:3]).distributions)


def test_uniform():
    system = Uniform(8)
    assert system.predict(tensor([1, 2, 3])).distributions.equal(
        torch.full((3, 8), 1 / 8, dtype=torch.float64)
    )
    assert system.score(tensor([1, 2, 3])).tolist() == pytest.approx([math.log(8)] * 2)


@pytest.mark.parametrize("block", [1, 7])
def test_counts_that_go_on_are_those_of_training_and_all_finished_blocks(block):
    """Against a model that is counted anew, before each word, on what was known then."""
    training, read = random_text(60, 9), random_text(40, 9, seed=1)
    predicted = OnlineKneserNey(training, 9, 3, block).predict(read).distributions
    for t in range(len(read)):
        known = torch.cat([training, read[: t - t % block]])
        expected = KneserNey(known, 9, 3).predict(read[: t + 1]).distributions[-1]
        np.testing.assert_allclose(predicted[t], expected, rtol=1e-12)


def test_a_restricted_system_is_conditioned_on_its_lexicon():
    class Fixed(Uniform):
        def predict(self, words):
            return Prediction(torch.tensor([[0.1, 0.3, 0.6]]).repeat(len(words), 1))

    p = Restricted(Fixed(3), 2).predict(tensor([0, 1])).distributions
    np.testing.assert_allclose(p, [[0.25, 0.75]] * 2, rtol=1e-6)
    for size in (0, 4):
        with pytest.raises(ValueError, match=f"ntoken must be between 1 and 3, got {size}"):
            Restricted(Fixed(3), size)


def test_the_words_that_training_never_showed_share_all_of_their_distribution():
    system = Unseen(tensor([3, 0, 1, 0, 1]))
    p = system.predict(tensor([0, 1])).distributions
    assert p.tolist() == [[0, 0.5, 0, 0.5, 0]] * 2


def test_the_mass_of_new_words_is_that_of_words_which_were_new_once():
    """In a text whose every word is drawn alike, about as often as a new one really comes next."""
    assert unseen_mass(tensor([3, 0, 1, 0, 1])) == pytest.approx(2 / 5)
    draws = torch.randint(1000, (400, 1001), generator=torch.Generator().manual_seed(0))
    new = [(row[-1] not in row[:-1]) for row in draws]
    mass = [unseen_mass(torch.bincount(row[:-1], minlength=1000)) for row in draws]
    assert np.mean(mass) == pytest.approx(np.mean(new), abs=0.06)


def test_unusable_input_is_refused():
    text = tensor([0, 1, 2])
    with pytest.raises(ValueError, match="block must be at least 1, got 0"):
        OnlineKneserNey(text, 3, 1, block=0)
    with pytest.raises(ValueError, match="words that training never showed, got none"):
        Unseen(tensor([1, 2]))
    for order in (0, -1):
        with pytest.raises(ValueError, match=f"order must be at least 1, got {order}"):
            KneserNey(text, 3, order)
    with pytest.raises(ValueError, match="at least 4 words is needed, got 3"):
        KneserNey(text, 3, 4)
    with pytest.raises(ValueError, match="at least 1 words is needed, got 0"):
        KneserNey(text[:0], 3, 1)
    with pytest.raises(ValueError, match="from 0 to 1, got 2"):
        KneserNey(text, 2, 1)
    with pytest.raises(ValueError, match="from 0 to 2, got -1"):
        KneserNey(text - 1, 3, 1)
    with pytest.raises(ValueError, match="from 0 to 2, got 3"):
        KneserNey(text, 3, 2).score(tensor([0, 3]))
    with pytest.raises(ValueError, match="at least 2 words is needed, got 1"):
        KneserNey(text, 3, 2).score(tensor([0]))
    with pytest.raises(ValueError, match=r"type int64, got shape \(3,\) and type torch.float32"):
        KneserNey(text.float(), 3, 2)
    with pytest.raises(ValueError, match="ntoken must be at least 1, got 0"):
        Uniform(0)
