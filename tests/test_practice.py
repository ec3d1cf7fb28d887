"""The practice corpus: its text, and the entropy rate that lessons draw as the floor."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blg561.language_model import practice
from blg561.language_model.books import CATALOGUE
from blg561.language_model.dataset import tokenize

SAMPLE = 200_000


@pytest.fixture(scope="module")
def source() -> practice.Source:
    return practice.source()


@pytest.fixture(scope="module")
def sample(source) -> list[str]:
    return source.sample(SAMPLE, seed=1)


# ---------------------------------------------------------------------------------- the source


def test_every_state_has_a_distribution(source):
    for moves in source.transitions:
        assert len(moves.words) == len(moves.probabilities) == len(moves.next_states)
        assert min(moves.probabilities) > 0
        assert sum(moves.probabilities) == pytest.approx(1, abs=1e-12)


def test_the_word_determines_the_next_state(source):
    for state, moves in zip(source.states, source.transitions, strict=True):
        assert len(set(moves.words)) == len(moves.words), state


def test_every_state_reaches_every_other(source):
    """So the stationary distribution is unique and long averages approach it."""
    forward = [set(moves.next_states) for moves in source.transitions]
    backward = [set() for _ in source.states]
    for state, targets in enumerate(forward):
        for target in targets:
            backward[target].add(state)
    for neighbours in (forward, backward):
        reached, frontier = {0}, {0}
        while frontier:
            frontier = set().union(*(neighbours[state] for state in frontier)) - reached
            reached |= frontier
        assert len(reached) == len(source.states)


def test_the_stationary_distribution_stays_as_it_is(source):
    pi = source.stationary()
    assert pi.min() > 0
    assert pi.sum() == pytest.approx(1, abs=1e-12)
    moved = np.zeros_like(pi)
    for probability, moves in zip(pi, source.transitions, strict=True):
        for target, p in zip(moves.next_states, moves.probabilities, strict=True):
            moved[target] += probability * p
    np.testing.assert_allclose(moved, pi, atol=1e-14)


def test_the_entropy_rate_of_a_source_known_by_hand():
    """Cover & Thomas, example of a two-state chain: π = (β, α) / (α + β)."""
    alpha, beta = 0.2, 0.7
    chain = practice.Source(
        states=("a", "b"),
        transitions=(
            practice.Transitions(("stay", "go"), (1 - alpha, alpha), (0, 1)),
            practice.Transitions(("stay", "go"), (1 - beta, beta), (1, 0)),
        ),
    )

    def entropy(p):
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    expected = (beta * entropy(alpha) + alpha * entropy(beta)) / (alpha + beta)
    assert chain.entropy_rate() == pytest.approx(expected, rel=1e-12)


def test_the_entropy_rate_is_what_a_long_text_costs_under_the_true_source(source, sample):
    """Within four standard errors, from means over blocks, which hardly depend on each other."""
    blocks = -source.log_probability(sample).reshape(-1, 1000).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert error < 0.01
    assert abs(blocks.mean() - source.entropy_rate()) < 4 * error


def test_the_entropy_rate_is_what_the_documentation_says(source):
    assert source.entropy_rate() == pytest.approx(2.714913, abs=1e-6)


def test_words_come_as_often_as_the_stationary_distribution_says(source, sample):
    """Against `sample` alone: the share of full stops."""
    expected = sum(
        probability * p
        for probability, moves in zip(source.stationary(), source.transitions, strict=True)
        for word, p in zip(moves.words, moves.probabilities, strict=True)
        if word == "."
    )
    assert sample.count(".") / SAMPLE == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("tokens", [["sails"], ["the", "the"], ["where", "is", "a"]])
def test_a_word_that_cannot_follow_is_an_error_that_names_it(source, tokens):
    with pytest.raises(ValueError, match=f"token {len(tokens) - 1}, '{tokens[-1]}', cannot follow"):
        source.log_probability(tokens)


def test_log_probability_of_a_text_by_hand(source):
    """Two words: the first distribution's entry, then that of the state it leads to."""
    first = source.transitions[0]
    where = first.words.index("where")
    then = source.transitions[first.next_states[where]]
    assert then.words == ("is", "are")
    expected = np.log([first.probabilities[where], then.probabilities[1]])
    np.testing.assert_allclose(source.log_probability(["where", "are"]), expected)


# ---------------------------------------------------------------------------------- the language

NOUNS = [nouns for scenes in (practice.PEOPLE, practice.THINGS) for nouns in scenes.values()]
VERBS = [practice.PEOPLE_DO, practice.PEOPLE_DO_TO, practice.PEOPLE_SAY]
VERBS += practice.THINGS_DO.values()


def words_of(classes, form: str) -> set[str]:
    return set().union(*(words[form] for words in classes))


SUBJECTS = {
    **dict.fromkeys(words_of(NOUNS, "one"), "one"),
    **dict.fromkeys(words_of(NOUNS, "many"), "many"),
    **dict.fromkeys((*practice.NAMES, "she", "he"), "one"),
    "they": "many",
}
PRESENT = {
    **dict.fromkeys(words_of(VERBS, "one") | {"is"}, "one"),
    **dict.fromkeys(words_of(VERBS, "many") | {"are"}, "many"),
}
PAST = words_of(VERBS, "past") | {"was", "were"}


def clauses(tokens: list[str]):
    """(the clause's tokens, whether a quotation is open), by looking at the tokens alone."""
    clause, quoted = [], False
    for token in tokens:
        if token in (".", ",", ";", ":", "!", "?", "quote", "unquote"):
            if clause:
                yield clause, quoted
            clause = []
            quoted = token == "quote" or (quoted and token != "unquote")
        else:
            clause.append(token)


def test_a_word_is_of_one_class():
    """Which the tests below rely on to tell nouns from verbs."""
    assert not set(SUBJECTS) & (set(PRESENT) | PAST)
    assert not words_of(NOUNS, "one") & words_of(NOUNS, "many")
    assert not set(PRESENT) & PAST
    assert not words_of(VERBS, "one") & words_of(VERBS, "many")


def test_verbs_agree_with_their_subject_also_across_a_relative_clause(sample):
    """A clause's first noun is its subject and its last verb the subject's, whatever between."""
    across = 0
    for clause, quoted in clauses(sample):
        verbs = [word for word in clause if word in PRESENT or word in PAST]
        if verbs:
            number = next(SUBJECTS[word] for word in clause if word in SUBJECTS)
            agrees = {"was": "one", "were": "many"}.get(verbs[-1], number)
            assert (agrees if quoted else PRESENT[verbs[-1]]) == number, clause
            across += "that" in clause
    assert across > SAMPLE / 100


def test_narration_is_in_the_present_and_quotations_in_the_past_tense(sample):
    quotations = 0
    for clause, quoted in clauses(sample):
        assert not any(word in (PRESENT if quoted else PAST) for word in clause), clause
        quotations += quoted
    assert quotations > SAMPLE / 100


def test_quotations_close_and_never_nest(sample):
    marks = [token for token in sample if token in ("quote", "unquote")]
    assert set(marks[::2]) == {"quote"}
    assert set(marks[1::2]) == {"unquote"}


def test_quotations_often_last_longer_than_an_n_gram(sample):
    opened = [t for t, token in enumerate(sample) if token == "quote"]
    closed = [t for t, token in enumerate(sample) if token == "unquote"]
    lengths = [end - begin for begin, end in zip(opened, closed, strict=False)]
    assert np.median(lengths) > 20


def test_the_nouns_are_of_the_scene_that_was_set_last(sample):
    scene = "harbour"
    for before, token in itertools.pairwise(sample):
        if before == "the" and token in practice.SCENES:
            scene = token
        elif token in SUBJECTS and token not in (*practice.NAMES, "she", "he", "they"):
            own = [practice.PEOPLE[scene], practice.THINGS[scene]]
            assert token in words_of(own, "one") | words_of(own, "many"), scene


# ---------------------------------------------------------------------------------- the text


@settings(max_examples=30)
@given(tokens=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_the_tokeniser_gives_the_sample_back(tokens, seed):
    assert tokenize(practice.text(tokens, seed)) == practice.source().sample(tokens, seed)


def test_the_text_is_the_same_everywhere():
    """Whatever the versions of Python and NumPy."""
    digest = hashlib.sha256(practice.text().encode()).hexdigest()
    assert digest == CATALOGUE["practice"].sha256


def test_the_seed_determines_the_sample_and_a_longer_one_goes_on(source):
    assert source.sample(300, seed=5) == source.sample(500, seed=5)[:300]
    assert source.sample(300, seed=5) != source.sample(300, seed=6)


def test_the_text_reads_like_one():
    text = practice.text(2000)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 88
    assert "\n\n" in text
    assert text[0].isupper() and text.endswith("\n")
    assert not any(mark in text for mark in (" .", " ,", " ;", " :", " !", " ?"))


def test_the_catalogue_has_the_corpus_tokens():
    assert len(tokenize(practice.text())) == CATALOGUE["practice"].tokens
