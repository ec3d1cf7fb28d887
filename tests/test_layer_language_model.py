"""The NumPy language model against PyTorch: function, gradients, training, text, weights."""

import copy
import math
import re
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from blg561.checks import grad_check, rel_error
from blg561.language_model import books, conversion, practice, pretrained, training
from blg561.language_model.dataset import Dataset, evaluation_loader, tokenize
from blg561.language_model.generation import generate
from blg561.language_model.models import GatedModel, RNNModel, map_state
from blg561.layer import NumpyLanguageModel
from blg561.layer.language_model import CELLS

V = 11
all_cells = pytest.mark.parametrize("cell", CELLS)
tied_or_not = pytest.mark.parametrize("tie_weights", [False, True])


def build(cell="lstm", tie_weights=False, seed=0, dropout=0.0, **options):
    """A network of two layers with random biases."""
    rng = np.random.default_rng(seed)
    sizes = {"embed_size": 4, "hidden_size": 4 if tie_weights else 5}
    model = NumpyLanguageModel(
        V, **sizes, dropout=dropout, cell=cell, tie_weights=tie_weights, rng=rng, **options
    )
    for parameter in model.parameters.values():
        parameter += rng.normal(0, 0.5, parameter.shape).astype(parameter.dtype)
    return model


def batch(model, seed=1, N=3, T=6):
    """Words, targets and a state that is not 0."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, V, (2, N, T))
    return *words, tuple(rng.normal(0, 0.5, part.shape) for part in model.initialize(N))


def torch_state(state):
    state = tuple(map(torch.from_numpy, state))
    return state if len(state) == 2 else state[0]


def freeze_second_biases(model):
    """Of a layer's two biases one is enough, and all that ours has."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("bias_hh" not in name)
    return model


# Gradients


@all_cells
@tied_or_not
def test_every_gradient_is_that_of_finite_differences(cell, tie_weights):
    model = build(cell, tie_weights, dropout=0.3)
    x, target, state = batch(model, N=2, T=3)

    def loss(_):
        for seed, dropout in enumerate(model.dropouts):
            dropout.rng = np.random.default_rng(seed)  # the same masks every time
        return model.loss(x, target, state)[0]

    loss(None)
    gradients = model.backward()
    assert gradients.keys() == model.parameters.keys()
    for name, parameter in model.parameters.items():
        differences = grad_check(loss, parameter)
        scale = np.abs(differences).max()
        np.testing.assert_allclose(gradients[name], differences, rtol=1e-6, atol=1e-6 * scale)


@settings(max_examples=20)
@given(st.sampled_from(list(CELLS)), st.booleans(), st.integers(0, 2**32 - 1))
def test_logits_states_and_gradients_are_those_of_autograd(cell, tie_weights, seed):
    model = build(cell, tie_weights, seed)
    theirs = freeze_second_biases(conversion.to_torch(model))
    x, target, state = batch(model, seed)
    logits, after = theirs(torch.from_numpy(x), torch_state(state))
    cross_entropy(logits.flatten(0, 1), torch.from_numpy(target).flatten()).backward()
    our_logits, our_after = model.forward(x, state)
    assert rel_error(our_logits, logits.detach().numpy()) < 1e-8
    after = after if isinstance(after, tuple) else (after,)
    for ours, part in zip(our_after, after, strict=True):
        np.testing.assert_allclose(ours, part.detach(), rtol=0, atol=1e-10)
    model.loss(x, target, state)
    for parameter in theirs.parameters():  # so that the gradients are translated like the weights
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    expected = conversion.to_numpy(theirs).parameters
    gradients = model.backward()
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-10, err_msg=name)


@all_cells
def test_float32_stays_float32(cell):
    model = build(cell, dtype=np.float32, dropout=0.5)
    x, target, _ = batch(model)
    loss, state = model.loss(x, target, model.initialize(3))
    model.backward()
    model.step(0.1, clip_val=0.25)
    arrays = [*state, *model.grad.values(), *model.parameters.values()]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)} == {loss.dtype}


@all_cells
def test_dropout_follows_the_embedding_and_every_recurrent_layer(cell):
    """The logits in training, layer by layer, with the masks drawn again from their seeds."""
    model = build(cell, dropout=0.5)
    x, _, state = batch(model)
    for seed, dropout in enumerate(model.dropouts):
        dropout.rng = np.random.default_rng(seed)
    logits, _ = model.forward(x, state, training=True)

    def drop(seed, h):
        return h * (np.random.default_rng(seed).random((3, 1, h.shape[2])) < 0.5) / 0.5

    hidden = drop(0, model.embedding.W[x])
    for number, layer in enumerate(model.layers):
        hidden = drop(number + 1, layer.forward(hidden, *(part[number] for part in state)))
    np.testing.assert_allclose(logits, hidden @ model.output.W + model.output.b, atol=1e-12)


def test_the_output_layer_starts_as_narrow_as_the_embedding():
    model = NumpyLanguageModel(200, 30, 30, rng=0)
    for W in (model.embedding.W, model.output.W):
        assert 0.099 < np.abs(W).max() <= 0.1
        assert abs(W.std() - 0.1 / 3**0.5) < 0.002
    assert not model.output.b.any()


# The state goes on


@all_cells
def test_two_windows_are_one_long_window(cell):
    model = build(cell)
    x, _, state = batch(model, T=7)
    logits, after = model.forward(x, state)
    first, between = model.forward(x[:, :3], state)
    second, end = model.forward(x[:, 3:], between)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), logits, atol=1e-12)
    for ours, expected in zip(end, after, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


@all_cells
def test_evaluation_is_that_of_pytorch_and_the_window_changes_nothing(cell, text_file):
    validset = Dataset(1, text_file, train=False)
    ours = NumpyLanguageModel(
        len(validset.unique_data), 6, 6, 2, dropout=0.5, cell=cell, rng=0, dtype=np.float32
    )
    theirs = conversion.to_torch(ours)
    loss = training.evaluate(theirs, torch.nn.CrossEntropyLoss(), evaluation_loader(validset))
    for seq_length in (1, 13, 512):
        assert ours.evaluate(validset.data.numpy(), seq_length) == pytest.approx(loss, rel=1e-6)


def test_evaluation_leaves_the_random_numbers_of_training_alone():
    model, other = build(dropout=0.5), build(dropout=0.5)
    x, target, state = batch(model)
    model.evaluate(np.arange(V))
    assert model.loss(x, target, state)[0] == other.loss(x, target, state)[0]
    assert model.loss(x, target, state)[0] != model.loss(x, target, state, training=False)[0]


# Training


@pytest.mark.parametrize(("cell", "tie_weights"), [("rnn", False), ("lstm", True), ("gru", False)])
def test_the_loss_curve_of_training_is_that_of_autograd(cell, tie_weights):
    ours = NumpyLanguageModel(V, 6, 6, 2, dropout=0.0, cell=cell, tie_weights=tie_weights, rng=0)
    theirs = freeze_second_biases(conversion.to_torch(ours))
    trained = [parameter for parameter in theirs.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=2.0)
    # a word is followed by one of two, so that there is something to learn
    text = np.random.default_rng(0).integers(1, 3, (4, 201)).cumsum(axis=1) % V
    state, their_state = ours.initialize(4), torch_state(ours.initialize(4))
    losses, their_losses, norms, their_norms = [], [], [], []
    for step in range(200):
        start = 5 * (step % 40)
        x, target = text[:, start : start + 5], text[:, start + 1 : start + 6]
        loss, state = ours.loss(x, target, state)
        ours.backward()
        losses.append(loss)
        norms.append(ours.step(2.0, clip_val=0.25))

        their_state = map_state(torch.detach, their_state)
        logits, their_state = theirs(torch.from_numpy(x), their_state)
        their_loss = cross_entropy(logits.flatten(0, 1), torch.from_numpy(target).flatten())
        optimizer.zero_grad()
        their_loss.backward()
        their_norms.append(torch.nn.utils.clip_grad_norm_(trained, 0.25).item())
        optimizer.step()
        their_losses.append(their_loss.item())
    np.testing.assert_allclose(losses, their_losses, rtol=1e-8)
    np.testing.assert_allclose(norms, their_norms, rtol=1e-6)
    assert losses[-1] < 0.9 * losses[0]
    assert min(norms) < 0.25 < max(norms)  # clipping was at work, and not always


def test_a_step_that_would_spoil_the_weights_is_refused():
    model = build()
    with pytest.raises(RuntimeError, match="step needs a call of backward"):
        model.step(0.1)
    model.loss(*batch(model))
    model.backward()
    model.grad["layers.1.b"][0] = np.inf
    before = copy.deepcopy(model.parameters)
    with pytest.raises(FloatingPointError, match="norm is inf; a smaller learning rate"):
        model.step(0.1)
    for name, parameter in model.parameters.items():
        np.testing.assert_array_equal(parameter, before[name])


# Text


@all_cells
def test_the_same_random_numbers_write_the_same_text(cell):
    model = build(cell, dropout=0.5, dtype=np.float32)
    theirs = conversion.to_torch(model)
    words = {index: str(index) for index in range(V)}
    for seed in range(3):
        text = generate(theirs, torch.arange(7), {}, words, 5, 40, temperature=0.7, seed=seed)
        exponentials = conversion.torch_exponentials(seed)
        ours = model.generate(np.arange(2, 7), 40, exponentials, temperature=0.7)
        assert [str(word) for word in ours] == text


def test_words_are_drawn_from_the_output_distribution():
    model, history, draws = build(), np.array([3, 1]), 1500
    logits = model.forward(history[None], model.initialize(1))[0][0, -1]
    exponentials = np.random.default_rng(0).standard_exponential
    counts = Counter(model.generate(history, 1, exponentials)[0] for _ in range(draws))
    for word, p in enumerate(np.exp(logits) / np.exp(logits).sum()):
        assert abs(counts[word] / draws - p) < 5 * (p * (1 - p) / draws) ** 0.5


# Weights there and back


@all_cells
@tied_or_not
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_come_back_from_pytorch_as_they_were(cell, tie_weights, dtype):
    model = build(cell, tie_weights, dtype=dtype, dropout=0.3)
    back = conversion.to_numpy(conversion.to_torch(model))
    assert (back.cell, back.tie_weights, back.dropouts[0].p) == (cell, tie_weights, 0.3)
    assert back.parameters.keys() == model.parameters.keys()
    for name, parameter in model.parameters.items():
        np.testing.assert_array_equal(back.parameters[name], parameter, err_msg=name)
        assert back.parameters[name].dtype == dtype
        assert not np.shares_memory(back.parameters[name], parameter)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru_reset_first"])
@tied_or_not
def test_weights_come_back_from_numpy_as_they_were(name, tie_weights):
    torch.manual_seed(0)
    arguments = {"embed_size": 5, "hidden_size": 5, "dropout": 0.2, "tie_weights": tie_weights}
    model = RNNModel(V, **arguments) if name == "rnn" else GatedModel(V, **arguments, cell=name)
    model.eval()
    back = conversion.to_torch(conversion.to_numpy(model))
    assert type(back) is type(model) and back.arguments == model.arguments
    assert (back.output.weight is back.embedding.weight) == tie_weights
    weights, expected = back.state_dict(), model.state_dict()
    for number in range(2 if name != "gru_reset_first" else 0):  # of two biases, the sum comes back
        biases = [f"layers.{number}.bias_{part}_l0" for part in ("ih", "hh")]
        total = expected.pop(biases[0]) + expected.pop(biases[1])
        assert torch.equal(weights.pop(biases[0]) + weights.pop(biases[1]), total)
    assert weights.keys() == expected.keys()
    for key, weight in weights.items():
        assert torch.equal(weight, expected[key]), key
    x = torch.arange(V)[None]
    torch.testing.assert_close(back(x, back.initialize(1)), model(x, model.initialize(1)))


@pytest.mark.parametrize("places", [(0.1, 0.2, 0.3), (0.0, 0.5, 0.0)])
def test_each_place_of_dropout_is_carried_over(places):
    names = ("input_dropout", "hidden_dropout", "output_dropout")
    model = GatedModel(V, 5, 5, 3, dropout=0.4, **dict(zip(names, places, strict=True)))
    expected = [places[0], places[1], places[1], places[2]]
    ours = conversion.to_numpy(model)
    assert [dropout.p for dropout in ours.dropouts] == expected
    back = conversion.to_torch(ours)
    assert [dropout.p for dropout in back.dropouts] == expected
    assert type(back)(**back.arguments).dropouts[0].p == places[0]


@all_cells
def test_training_one_leaves_the_other_as_it_is(cell):
    first = build(cell)
    theirs = conversion.to_torch(first)
    second = conversion.to_numpy(theirs)
    before = copy.deepcopy(theirs.state_dict())
    for ours in (first, second):
        ours.loss(*batch(ours))
        ours.backward()
        ours.step(1.0)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_what_has_no_numpy_counterpart_is_refused():
    with pytest.raises(ValueError, match=r"reset gate after .* before it.*gru_reset_first"):
        conversion.to_numpy(GatedModel(V, cell="gru"))
    with pytest.raises(TypeError, match="expected an RNNModel or a GatedModel, got LSTM"):
        conversion.to_numpy(torch.nn.LSTM(3, 4))


# The networks that come with the package


@cache
def provided(name):
    """A network of Pride and Prejudice, its lexicon, and words that both it and the text have.

    The text is the book, or where it is not there the practice corpus.
    """
    model, lexicon = pretrained.load("pride_prejudice", name)
    try:
        text = books.read_text(books.find("pride_prejudice", download=False))
    except books.BookUnavailable:
        text = practice.text()
    number = {word: index for index, word in enumerate(lexicon)}
    words = [number[word] for word in tokenize(text[-20_000:]) if word in number]
    return model, lexicon, torch.tensor(words)


@pytest.mark.parametrize("name", ["lstm", "rnn"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_a_provided_network_scores_the_same_in_numpy(name, dtype, tolerance):
    theirs, _, words = provided(name)
    theirs, text = copy.deepcopy(theirs).to(dtype), words[-500:]
    with torch.no_grad():
        logits, _ = theirs(text[None, :-1], theirs.initialize(1))
        loss = cross_entropy(logits[0].double(), text[1:]).item()
    ours = conversion.to_numpy(theirs).evaluate(text.numpy())
    assert math.exp(ours) == pytest.approx(math.exp(loss), rel=tolerance)


def test_a_provided_network_writes_the_same_text_in_numpy():
    theirs, lexicon, words = provided("lstm")
    history = words[-20:]
    expected = generate(theirs, history, {}, dict(enumerate(lexicon)), 20, 60, seed=1)
    exponentials = conversion.torch_exponentials(1)
    ours = conversion.to_numpy(theirs).generate(history.numpy(), 60, exponentials)
    assert [lexicon[word] for word in ours] == expected


# Errors

WORDS = np.zeros((3, 4), int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "gru2"}, "cell: expected one of rnn, lstm, gru, got 'gru2'"),
        ({"hidden_layers": 0}, "hidden_layers: expected at least 1, got 0"),
        ({"hidden_size": 0}, "out_size: expected at least 1, got 0"),
        ({"dropout": 1}, "p: expected a probability of at least 0 and below 1, got 1"),
        ({"tie_weights": True, "embed_size": 3},
         "tied weights need embed_size = hidden_size, got 3 and 64"),
    ],
)  # fmt: skip
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NumpyLanguageModel(V, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.forward(WORDS + V, m.initialize(3)), ValueError,
         "x: expected words from 0 to 10, got 11"),
        (lambda m: m.forward(WORDS[0], m.initialize(3)), ValueError,
         "x: expected shape (N ≥ 1, T ≥ 1), got (4,)"),
        (lambda m: m.forward(WORDS, m.initialize(2)), ValueError,
         "state: expected shape (layers, N, H) = (2, 3, 5), got (2, 2, 5)"),
        (lambda m: m.forward(WORDS, m.initialize(3)[:1]), TypeError,
         "state: expected a tuple of 2 arrays, got one of 1"),
        (lambda m: m.forward(WORDS, m.initialize(3)[0]), TypeError,
         "state: expected a tuple of 2 arrays, got ndarray"),
        (lambda m: m.loss(WORDS, WORDS[:, 1:], m.initialize(3)), ValueError,
         "target: expected shape (N = 3, T = 4), got (3, 3)"),
        (lambda m: m.evaluate(np.array([1])), ValueError,
         "data: expected shape (n + 1 ≥ 2), got (1,)"),
        (lambda m: m.evaluate(WORDS), ValueError,
         "data: expected shape (n + 1 ≥ 2), got (3, 4)"),
        (lambda m: m.evaluate(WORDS[0], 0), ValueError,
         "seq_length: expected at least 1, got 0"),
        (lambda m: m.generate(WORDS, 1, np.ones), ValueError,
         "history: expected shape (n ≥ 1), got (3, 4)"),
        (lambda m: m.generate(WORDS[0], 0, np.ones), ValueError,
         "len_gen: expected at least 1, got 0"),
        (lambda m: m.generate(WORDS[0], 1, np.ones, temperature=0), ValueError,
         "temperature: expected a number above 0, got 0"),
        (lambda m: m.backward(), RuntimeError,
         "NumpyLanguageModel.backward needs a call of loss just before it"),
        (lambda m: (m.loss(*batch(m)), m.generate(WORDS[0], 1, np.ones), m.backward()),
         RuntimeError, "NumpyLanguageModel.backward needs a call of loss just before it"),
        (lambda m: (m.loss(*batch(m)), m.backward(), m.step(-1.0)), ValueError,
         "learning_rate: expected 0 or more, and finite, got -1.0"),
        (lambda m: (m.loss(*batch(m)), m.backward(), m.step(1.0, 0.0)), ValueError,
         "clip_val: expected a number above 0, got 0.0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call(build())
