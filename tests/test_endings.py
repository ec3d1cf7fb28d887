"""Shared steps, against SGD on the vectors that they stand for."""

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, linear
from torch.utils.data import DataLoader

from benchmarks.ladder_controls import with_every_word, with_other_letters
from blg561.errors import InputError
from blg561.language_model import experiment
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.dataset import ContinuingRows, Dataset
from blg561.language_model.endings import Endings
from blg561.language_model.ngrams import unseen_mass
from blg561.language_model.recipes import LADDER, RECIPES

pytestmark = pytest.mark.usefixtures("float32")

# without any noise, so that two trainings can be compared word for word
PLAIN = replace(
    LADDER["endings"],
    hidden_size=8,
    epochs=2,
    batch_size=4,
    seq_length=9,
    learning_rate=0.5,
    final_learning_rate=0.25,
    clip_val=None,
    average_decay=None,
    input_dropout=0.0,
    hidden_dropout=0.0,
    output_dropout=0.0,
    embedding_dropout=0.0,
    weight_drop=0.0,
    endings=3,
)


@pytest.fixture
def parts(tmp_path):
    """The two parts of 900 tokens; four words with known endings come in the last tenth alone.

    Some words come once in training, so that new ones are expected.
    """
    rng = random.Random(3)
    stems = "walk", "talk", "ask", "long"
    words = [stem + ending for stem in stems for ending in ("", "ed", "ing")]
    tokens = rng.choices([*words, "a", ".", "sly", "shyly"], k=810)
    tokens += rng.choices([*words, "jumped", "jumping", "coldly", "ox"], k=90)
    tokens[100:600:100] = "hiked", "biking", "prong", "shod", "oddly"
    path = tmp_path / "text.txt"
    path.write_text(" ".join(tokens))
    return experiment.build_datasets(PLAIN, path)


def dense(lexicon, counts, longest):
    """S by its definition: a column for each ending, word for word."""
    endings = {w[-n:] for w in lexicon for n in range(1, longest + 1) if len(w) > n}
    columns = []
    for ending in sorted(endings):
        column = [float(len(w) > len(ending) and w.endswith(ending)) for w in lexicon]
        if sum(c > 0 for c, has in zip(counts, column, strict=True) if has) >= 2:
            columns.append(column)
    return torch.tensor(columns, dtype=torch.float64).reshape(-1, len(lexicon)).T


LEXICONS = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=12, unique=True)


@given(LEXICONS, st.data(), st.integers(0, 4))
def test_what_is_shared_is_by_the_letters(lexicon, data, longest):
    counts = torch.tensor(data.draw(st.tuples(*[st.integers(0, 2)] * len(lexicon))))
    x = torch.arange(2.0 * len(lexicon)).reshape(-1, 2) ** 1.5
    S = dense(lexicon, counts, longest)
    found = Endings(lexicon, counts, longest).shared(x)
    torch.testing.assert_close(found.double(), S @ (S.T @ x.double()), rtol=1e-5, atol=1e-5)


def test_the_vectors_to_start_from_are_sums_over_endings(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("walked talked red ox a " * 8)
    model = experiment.build_model(PLAIN, Dataset(9, path))
    words = Dataset(9, path).data_idx
    start = {word: model.embedding.weight[number] for word, number in words.items()}
    # walked and talked have -d, -ed and -ked in common, red with both -d and -ed
    assert torch.equal(start["walked"], start["talked"])
    assert not torch.equal(start["walked"], start["red"])
    assert start["red"].any()
    assert not start["ox"].any() and not start["a"].any()
    assert model.embedding.weight.abs().max() <= 3 * 0.05


def loop(model, parts, step):
    """Both epochs of PLAIN in plain PyTorch.

    `step` is told the loss, how long the batch is beside the longest, and the rate.
    """
    loader = DataLoader(parts[0], batch_sampler=ContinuingRows(parts[0], PLAIN.batch_size))
    full = PLAIN.batch_size * PLAIN.seq_length
    for rate in (PLAIN.learning_rate, (PLAIN.learning_rate + PLAIN.final_learning_rate) / 2):
        state = (torch.zeros(PLAIN.hidden_layers, PLAIN.batch_size, PLAIN.hidden_size),) * 2
        for data, target in loader:
            state = tuple(s[:, : len(data)].detach().contiguous() for s in state)
            logits, state = model(data, state)
            loss = cross_entropy(logits.flatten(0, 1), target.flatten())
            step(loss, target.numel() / full, rate)


def test_shared_steps_are_sgd_on_own_vectors_and_those_of_endings(parts, tmp_path):
    """O and A as parameters of their own, their gradients from autograd."""
    trainset, _ = parts
    counts = trainset.counts()
    unseen = counts == 0
    assert unseen.any() and unseen_mass(counts) > 0.005
    found, _ = experiment.run(PLAIN, *parts, folder=tmp_path, precision="float32")

    model = experiment.build_model(PLAIN, trainset)
    S = dense(trainset.unique_data, counts, PLAIN.endings).float()
    own = torch.zeros(len(S), 8, requires_grad=True)
    of_endings = torch.linalg.pinv(S) @ model.embedding.weight.detach()
    of_endings.requires_grad_()
    bias = model.output.bias
    del model.embedding.weight, model.output.weight
    model.embedding.forward = lambda x: model.vectors[x]
    model.output.forward = lambda hidden: linear(hidden, model.vectors, bias)
    layers = list(model.layers.parameters())

    def step(loss, share, rate):
        gradients = torch.autograd.grad(loss, [own, of_endings, bias, *layers])
        with torch.no_grad():
            gradients[0][unseen] = 0
            new = gradients[2][unseen].sum() - unseen_mass(counts)
            gradients[2][unseen] = new
            for p, gradient in zip([own, of_endings, bias, *layers], gradients, strict=True):
                p -= rate * share * gradient
        model.vectors = own + S @ of_endings

    model.vectors = own + S @ of_endings
    loop(model, parts, step)
    torch.testing.assert_close(found.embedding.weight, model.vectors, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.output.bias, bias, rtol=1e-4, atol=1e-4)
    start = experiment.build_model(PLAIN, trainset).embedding.weight
    assert (found.embedding.weight - start)[unseen].abs().max() > 0.01


def test_without_endings_new_words_stay_and_others_learn_as_ever(parts, tmp_path):
    trainset, _ = parts
    unseen = trainset.counts() == 0
    nothing = replace(PLAIN, endings=0, epochs=1)
    start = experiment.build_model(nothing, trainset)
    found, _ = experiment.run(nothing, *parts, folder=tmp_path)
    assert torch.equal(found.embedding.weight[unseen], start.embedding.weight[unseen])
    assert not torch.equal(found.embedding.weight[~unseen], start.embedding.weight[~unseen])
    torch.testing.assert_close(
        start.embedding.weight,
        experiment.build_model(replace(nothing, endings=None), trainset).embedding.weight,
    )


def test_the_probability_of_a_new_word_comes_near_that_of_good_and_turing(tmp_path):
    """In the mean over the training part, which is long here, with a few words that come once."""
    path = tmp_path / "text.txt"
    rare = [f"{'abcdefghij'[k]}ly" for k in range(10)]
    words = [w for k in range(10) for w in ["one two three four"] * 19 + [f"one {rare[k]}"]]
    path.write_text(" ".join([*words, *["one two three four"] * 49, "newly oddly"]))
    recipe = replace(PLAIN, epochs=30, learning_rate=2.0, final_learning_rate=0.1)
    parts = experiment.build_datasets(recipe, path)
    model, _ = experiment.run(recipe, *parts, folder=tmp_path, eval_during_train=False)
    counts = parts[0].counts()
    whole = parts[0].data[None]
    logits, _ = model(whole[:, :-1], model.initialize(1))
    mass = logits.softmax(dim=2)[..., counts == 0].sum(dim=2).mean()
    assert (counts == 0).sum() == 2
    assert mass.item() == pytest.approx(unseen_mass(counts), rel=0.3)


def test_steps_are_shared_by_sgd_alone():
    with pytest.raises(InputError, match="SGD alone, got AdamW"):
        replace(RECIPES["lstm"], endings=4)


def test_a_training_without_shared_steps_is_not_continued_with_them(parts, tmp_path):
    experiment.run(replace(PLAIN, endings=None), *parts, folder=tmp_path)
    with pytest.raises(CheckpointError, match="another training"):
        experiment.run(PLAIN, *parts, folder=tmp_path, resume=True)


def test_the_rivals_read_the_same_text(parts):
    trainset, _ = parts
    dealt, unlearning = with_other_letters(trainset), with_every_word(trainset)
    assert torch.equal(dealt.data, trainset.data) and torch.equal(unlearning.data, trainset.data)
    assert dealt.unique_data != trainset.unique_data
    assert sorted(dealt.unique_data) == sorted(trainset.unique_data)
    assert torch.equal(dealt.counts(), trainset.counts())
    assert unlearning.unique_data == trainset.unique_data
    seen = trainset.counts() > 0
    assert torch.equal(unlearning.counts()[seen], trainset.counts()[seen])
    assert (unlearning.counts()[~seen] == 1).all()


def test_an_interrupted_training_goes_on_to_the_same_weights(parts, tmp_path):
    noisy = replace(PLAIN, average_decay=0.9, output_dropout=0.3, clip_val=0.25)
    whole, _ = experiment.run(noisy, *parts, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        experiment.run(noisy, Interrupted(parts[0]), parts[1], folder=tmp_path / "part")
    again, _ = experiment.run(noisy, *parts, folder=tmp_path / "part", resume=True)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


class Interrupted(Dataset):
    """A training part that is torn away in the second epoch."""

    def __init__(self, trainset):
        vars(self).update(vars(trainset))
        self.left = 3 * len(trainset) // (2 * trainset.seq_length)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().__getitem__(index)
