"""Sampling from the output distribution, with temperature, top-k, top-p and a seed."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from blg561.errors import InputError
from blg561.language_model.dataset import tokenize
from blg561.language_model.generation import COLDEST, as_text, distribution, generate
from blg561.language_model.models import RNNModel

WORDS = ["the", "garden", "gardens", "harbour", ".", "ships"]
TO_INDEX = {word: i for i, word in enumerate(WORDS)}
TO_WORD = dict(enumerate(WORDS))


@pytest.fixture
def model():
    """Weights so large that each word and each state before it makes a difference."""
    torch.manual_seed(6)
    model = RNNModel(len(WORDS), 8, 8, 1, dropout=0.5)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    torch.nn.init.zeros_(model.output.bias)
    return model


def sample(model, data="the garden", len_hist=2, len_gen=12, **options):
    return generate(model, data, TO_INDEX, TO_WORD, len_hist, len_gen, **options)


def test_words_are_drawn_from_the_output_distribution(model):
    with torch.no_grad():
        model.eval()
        logits, _ = model(torch.tensor([[0, 1]]), model.initialize(1))
    expected = torch.softmax(logits[0, -1], 0)
    draws = 3000
    torch.manual_seed(0)
    counts = Counter(sample(model, len_gen=1)[0] for _ in range(draws))
    for word, p in zip(WORDS, expected.tolist(), strict=True):
        assert abs(counts[word] / draws - p) < 5 * (p * (1 - p) / draws) ** 0.5


def test_each_word_is_read_back(model):
    """Greedy text equals the arg-max chain of whole-prefix forward passes."""
    words = sample(model, len_gen=8, top_k=1)
    assert len(set(words)) > 2
    prefix = [0, 1]
    for word in words:
        with torch.no_grad():
            logits, _ = model.eval()(torch.tensor([prefix]), model.initialize(1))
        assert TO_INDEX[word] == logits[0, -1].argmax()
        prefix.append(TO_INDEX[word])


def test_a_seed_repeats_the_text_and_leaves_the_global_state_alone(model):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = sample(model, len_gen=30, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert sample(model, len_gen=30, seed=1) == first
    assert sample(model, len_gen=30, seed=2) != first


def test_only_the_last_words_are_history(model):
    assert sample(model, "ships .", seed=1) != sample(model, "the garden", seed=1)
    long = sample(model, "ships . ships the garden", len_hist=2, seed=1)
    assert long == sample(model, ["the", "garden"], seed=1)
    assert long == sample(model, torch.tensor([5, 0, 1]), seed=1)
    assert model.training  # as it was found


@pytest.mark.parametrize(
    "data", [[0, 1], (0, 1), np.array([0, 1]), np.array([0, 1], np.int32), torch.tensor([0, 1])]
)
def test_indices_are_as_good_as_words(model, data):
    assert sample(model, data, seed=1) == sample(model, "the garden", seed=1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([0, 6], "expected indices from 0 to 5, got 6"),
        (np.array([-1, 0]), "expected indices from 0 to 5, got -1"),
        ([0.0, 1.0], r"expected words or their indices, got 0\.0"),
        (["the", 3], "expected words or their indices, got both: 3 among words"),
        ([0, None], "expected words or their indices, got None"),
        (np.array([[0, 1]]), "expected words or their indices, got array"),
        ([], "len_hist must be between 1 and the 0 words"),
        ("", "len_hist must be between 1 and the 0 words"),
    ],
)
def test_data_that_are_no_words_are_refused(model, data, message):
    with pytest.raises(InputError, match=message):
        sample(model, data)


def test_the_smallest_top_p_leaves_the_likeliest_word():
    logits = torch.tensor([0.0, 2.0, 1.0])
    assert distribution(logits, top_p=1e-300).tolist() == [0.0, 1.0, 0.0]


def test_a_model_is_in_training_again_when_writing_breaks_off(model, monkeypatch):
    def broken(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "multinomial", broken)
    with pytest.raises(KeyboardInterrupt):
        sample(model, "the garden")
    assert model.training


logits_of_six = st.lists(st.floats(-4, 4), min_size=6, max_size=6).map(torch.tensor)


@given(logits_of_six, st.floats(0.1, 5))
def test_temperature_divides_the_logits(logits, temperature):
    p = distribution(logits, temperature=temperature)
    assert torch.allclose(
        p, torch.exp(logits / temperature) / torch.exp(logits / temperature).sum()
    )


def test_the_lowest_temperature_takes_the_likeliest_word(model):
    assert sample(model, seed=1, temperature=COLDEST) == sample(model, top_k=1)


@given(logits_of_six, st.integers(1, 8))
def test_top_k_keeps_the_k_likeliest(logits, k):
    p, full = distribution(logits, top_k=k), torch.softmax(logits, 0)
    assert (p > 0).sum() == min(k, 6)
    assert full[p > 0].min() >= full[p == 0].max() if k < 6 else True
    assert p.sum() == pytest.approx(1)


@given(logits_of_six, st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_words_that_reach_p(logits, top_p):
    p, full = distribution(logits, top_p=top_p), torch.softmax(logits, 0)
    kept = full[p > 0]
    assert kept.sum() >= top_p - 1e-5
    assert kept.sum() - kept.min() < top_p + 1e-5
    assert torch.allclose(p[p > 0], kept / kept.sum(), atol=1e-6)


@pytest.mark.parametrize(("top_p", "kept"), [(0.25, 1), (0.5, 2), (0.75, 3), (1, 4)])
def test_the_word_that_reaches_top_p_exactly_is_the_last_one(top_p, kept):
    """Of four words with a quarter each; a quarter has no rounding."""
    p = distribution(torch.zeros(4), top_p=top_p)
    assert sorted(p.tolist()) == [0] * (4 - kept) + [pytest.approx(1 / kept)] * kept


def test_unknown_prompt_word_names_the_closest(model):
    with pytest.raises(InputError, match=r"'gardn' is not in the lexicon.*garden"):
        sample(model, "the gardn")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0"),
        ({"temperature": float("nan")}, "temperature must be above 0"),
        ({"temperature": 1e-300}, "at least 1e-30, got 1e-300; top_k = 1"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.2}, "top_p must be above 0 and at most 1"),
        ({"len_hist": 3}, "len_hist must be between 1 and the 2 words, got 3"),
        ({"len_gen": 0}, "len_gen must be at least 1"),
    ],
)
def test_parameters_out_of_range(model, options, message):
    with pytest.raises(InputError, match=message):
        sample(model, **options)


def test_text_is_set_like_a_sentence():
    words = tokenize("it is ; and so . ! the garden , who ?")
    assert as_text(words) == "It is; and so.! The garden, who?"
