"""The questions of the lessons' *Your turn* sections. `blg561.checks.check` looks them up here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Question:
    """What is right, and what to say to someone who is not there yet.

    expected: a number, an array, a boolean, a string, a set of strings or a tuple of these, or a
        function that computes one from what the lesson gives (with `cases`: from one of them).
    rtol: the largest relative error of a number or an array that still counts as right.
    hint: a sentence that follows a wrong answer.
    cases: tuples of arguments. If there are any, the answer is a function of the reader's own,
        which has to agree with the function `expected` on each of them.
    """

    expected: object
    rtol: float = 1e-6
    hint: str = ""
    cases: tuple[tuple, ...] = ()


def unigram_perplexity(counts, targets):
    """Perplexity of the words `targets` (n,) under add-one word counts `counts` (V,)."""
    probabilities = (counts + 1) / (counts + 1).sum()
    return np.exp(-np.log(probabilities[targets]).mean())


QUESTIONS: dict[str, Question] = {
    # 04 Language modelling
    "04.1": Question(
        expected=4.0,
        hint="Perplexity is one over the geometric mean of the probabilities.",
    ),
    "04.2": Question(
        expected=np.log2(120),
        rtol=1e-3,
        hint="A perplexity of 2 is one bit, one of 4 is two bits.",
    ),
    "04.3": Question(
        expected=2,
        hint="How many targets has each row, and how many windows is that?",
    ),
    "04.4": Question(
        expected=unigram_perplexity,
        hint="Add one to every count, then divide by the sum of the new counts.",
        cases=(
            (np.array([3, 1, 0]), np.array([0, 2, 1])),
            (np.array([10, 0, 0, 5, 1]), np.array([1, 1, 4, 0, 0, 3])),
        ),
    ),
    "04.5": Question(
        expected=np.array([0.6, 0.8]),
        hint="The clipped gradient points the same way and has length 1.",
    ),
    "04.6": Question(
        expected=1 / (1 + np.exp([-2.0, -4.0])),
        rtol=1e-3,
        hint="Divide both logits by the temperature before the softmax.",
    ),
    "04.7": Question(
        expected="b",
        hint="Which of the three is about training only?",
    ),
}
