"""Systems: nothing depends on later words, all sums to 1, each is what its formula says."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from blg561.language_model import systems
from blg561.language_model.dataset import ContinuingRows, Dataset, evaluation_loader
from blg561.language_model.models import GatedModel, RNNModel
from blg561.language_model.ngrams import KneserNey, OnlineKneserNey, Restricted, Uniform, Unseen
from blg561.language_model.systems import (
    Cache,
    DynamicEvaluation,
    Interpolation,
    Network,
    best_weights,
    gradient_scale,
)
from blg561.language_model.training import evaluate

V, H, N = 13, 6, 45


def random_words(n, seed=0):
    return torch.randint(V, (n,), generator=torch.Generator().manual_seed(seed))


def network(kind="lstm", ntoken=V, seed=0):
    """Random weights, large enough that hidden states and gradients differ from word to word."""
    torch.manual_seed(seed)
    arguments = dict(embed_size=H, hidden_size=H, hidden_layers=2, dropout=0.5, tie_weights=True)
    build = RNNModel if kind == "rnn" else GatedModel
    model = build(ntoken, **arguments, **({} if kind == "rnn" else {"cell": kind}))
    for p in model.parameters():
        torch.nn.init.uniform_(p, -1, 1)
    return model


def random_scale(model):
    return [torch.rand_like(p) + 0.1 for p in model.parameters()]


def dynamic(seed=0, **changed):
    model = network(seed=seed)
    return DynamicEvaluation(model, **{"learning_rate": 0.5, "block": 4} | changed)


def dynamic_rms(decay=0.1):
    scale = random_scale(network())
    return dynamic(learning_rate=0.05, decay=decay, scale=scale, epsilon=0.01)


def kneser_ney():
    return KneserNey(random_words(300, seed=5), V, 3)


def everything():
    mixture = Interpolation([dynamic(), dynamic(seed=1, block=7), kneser_ney()], [0.5, 0.3, 0.2])
    return Cache(mixture, size=9, theta=0.3, weight=0.3)


SYSTEMS = {
    "uniform": lambda: Uniform(V),
    "unseen words": lambda: Interpolation(
        [Uniform(V), Unseen((torch.arange(V) < 9).long())], [0.9, 0.1]
    ),
    "Kneser-Ney": kneser_ney,
    "Kneser-Ney, online": lambda: OnlineKneserNey(random_words(99, seed=5), V, 3, block=7),
    "Kneser-Ney, restricted": lambda: Restricted(KneserNey(random_words(300, seed=5), V + 4, 3), V),
    "RNN": lambda: Network(network("rnn")),
    "LSTM": lambda: Network(network()),
    "GRU": lambda: Network(network("gru")),
    "interpolation": lambda: Interpolation([Network(network()), kneser_ney()], [0.7, 0.3]),
    "average": lambda: Interpolation([Network(network(seed=s)) for s in (0, 1)]),
    "cache": lambda: Cache(Network(network()), size=9, theta=0.3, weight=0.4),
    "dynamic, SGD": dynamic,
    "dynamic, RMS": dynamic_rms,
    "everything": everything,
}
every_system = pytest.mark.parametrize("name", SYSTEMS)


# What holds for every system


@every_system
@settings(max_examples=8)
@given(t=st.integers(1, N - 1), data=st.data())
def test_no_score_depends_on_a_later_word(name, t, data):
    system = SYSTEMS[name]()
    text = random_words(N)
    changed = text.clone()
    others = st.lists(st.integers(0, V - 1), min_size=N - 1 - t, max_size=N - 1 - t)
    changed[t + 1 :] = torch.tensor(data.draw(others), dtype=torch.int64)
    scores = system.score(text)
    assert len(scores) == N - 1
    assert system.score(changed)[:t].equal(scores[:t])  # word t and those before it
    assert system.score(text[: t + 1]).allclose(scores[:t], rtol=1e-4)  # no later word at all


@every_system
def test_every_distribution_sums_to_one(name):
    system = SYSTEMS[name]()
    for piece in random_words(N).split(20):
        p = system.predict(piece).distributions
        assert p.shape == (len(piece), V) and p.dtype == torch.float64
        torch.testing.assert_close(p.sum(1), torch.ones_like(p[:, 0]), rtol=0, atol=1e-12)
        assert (p >= 0).all()


@every_system
@settings(max_examples=8)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20))
def test_the_pieces_in_which_a_text_is_read_change_nothing(name, lengths):
    system = SYSTEMS[name]()
    text = random_words(sum(lengths))
    pieces = torch.cat([system.predict(piece).distributions for piece in text.split(lengths)])
    system.reset()
    torch.testing.assert_close(pieces, system.predict(text).distributions, rtol=1e-4, atol=1e-7)


@every_system
def test_a_score_is_of_the_words_that_came(name, monkeypatch):
    text = random_words(N)
    system = SYSTEMS[name]()
    p = system.predict(text[:-1]).distributions
    expected = [-p[t, text[t + 1]].log() for t in range(N - 1)]
    monkeypatch.setattr(systems, "BLOCK", 10)
    for _ in range(2):  # the second time it has forgotten the first
        torch.testing.assert_close(system.score(text), torch.stack(expected), rtol=1e-4, atol=0)


@every_system
def test_unusable_text_is_refused(name):
    system = SYSTEMS[name]()
    with pytest.raises(ValueError, match="at least 2 words is needed, got 1"):
        system.score(torch.tensor([3]))
    with pytest.raises(ValueError, match="at least 2 words is needed, got 0"):
        system.score(torch.tensor([], dtype=torch.int64))
    with pytest.raises(ValueError, match=r"from 0 to 12, got 13"):
        system.score(torch.tensor([3, 13]))
    with pytest.raises(ValueError, match=r"from 0 to 12, got -1"):
        system.score(torch.tensor([3, -1]))
    with pytest.raises(ValueError, match=r"shape \(n,\).*got shape \(2, 1\)"):
        system.score(torch.tensor([[3], [1]]))


# Networks


def test_a_networks_score_is_that_of_evaluation(text_file):
    validset = Dataset(1, text_file, train=False)
    model = network(ntoken=len(validset.unique_data))
    loss = evaluate(model, torch.nn.CrossEntropyLoss(), evaluation_loader(validset))
    assert Network(model).score(validset.data).mean().item() == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("system", [Network, lambda m: DynamicEvaluation(m, 0.5, 4)])
def test_the_given_model_stays_as_it_is(system):
    model = network().train()
    before = copy.deepcopy(model.state_dict())
    system(model).score(random_words(N))
    assert model.training and not model.output._forward_pre_hooks
    for name, value in model.state_dict().items():
        assert value.equal(before[name]), name


# Dynamic evaluation


def test_without_a_learning_rate_nothing_is_learned():
    text = random_words(N)
    dynamic_score = dynamic(learning_rate=0.0, decay=0.5).score(text)
    torch.testing.assert_close(dynamic_score, Network(network()).score(text), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rms", [False, True])
def test_dynamic_evaluation_is_its_rule_step_by_step(rms):
    text, block, rate, decay, epsilon = random_words(N), 4, 0.05, 0.9, 0.01  # some decays reach 1
    model = network().eval()
    scale = random_scale(model) if rms else None
    system = DynamicEvaluation(network(), rate, block, decay, scale, epsilon)
    trained = [p.detach().clone() for p in model.parameters()]
    state, losses = model.initialize(1), []
    for start in range(0, N - 1, block):
        x, target = text[start : start + block], text[start + 1 : start + 1 + block]
        logits, state = model(x[None, : len(target)], state)
        loss = torch.nn.functional.cross_entropy(logits[0], target, reduction="none")
        losses.append(loss.detach())
        state = tuple(part.detach() for part in state)
        model.zero_grad()
        loss.mean().backward()
        for number, p in enumerate(model.parameters()):
            step, pull = rate * p.grad, torch.full_like(p, decay)
            if rms:
                step = step / (scale[number] + epsilon)
                mean = sum(s.sum() for s in scale) / sum(s.numel() for s in scale)
                pull = torch.minimum(decay * scale[number] / mean, torch.tensor(1.0))
            p.data = p.data - step + pull * (trained[number] - p.data)
    expected = torch.cat(losses).double()
    torch.testing.assert_close(system.score(text), expected, rtol=1e-4, atol=0)
    assert not expected.allclose(Network(network()).score(text), rtol=1e-2)  # it learned


def test_dynamic_evaluation_learns_a_text_that_repeats_itself():
    text = random_words(5).repeat(30)
    static, learned = Network(network()).score(text), dynamic(learning_rate=0.2).score(text)
    assert learned[:4].allclose(static[:4])  # the first block
    assert learned[-20:].mean() < 0.7 * static[-20:].mean()


def test_gradient_scale_is_the_rms_over_the_batches(text_file):
    dataset = Dataset(9, text_file)
    model = network(ntoken=len(dataset.unique_data))
    loader = DataLoader(dataset, batch_sampler=ContinuingRows(dataset, 4))
    twin = copy.deepcopy(model).eval()
    state, squares = twin.initialize(4), [0.0 for _ in twin.parameters()]
    batches = list(loader)
    for x, target in batches:
        state = tuple(part[:, : len(x)].detach().contiguous() for part in state)
        logits, state = twin(x, state)
        twin.zero_grad()
        torch.nn.functional.cross_entropy(logits.transpose(1, 2), target).backward()
        squares = [s + p.grad**2 for s, p in zip(squares, twin.parameters(), strict=True)]
    expected = [(s / len(batches)) ** 0.5 for s in squares]
    torch.testing.assert_close(gradient_scale(model, loader), expected, rtol=1e-4, atol=1e-9)
    assert model.training and all(p.grad is None for p in model.parameters())


# Interpolation


def test_interpolation_is_the_weighted_mean():
    text = random_words(N)
    parts = [lambda: Uniform(V), lambda: Network(network()), kneser_ney]
    mixture = Interpolation([part() for part in parts], [0.1, 0.6, 0.3])
    expected = sum(
        w * part().predict(text).distributions
        for w, part in zip((0.1, 0.6, 0.3), parts, strict=True)
    )
    torch.testing.assert_close(mixture.predict(text).distributions, expected)


def test_weight_one_is_the_part_and_no_weights_are_equal_weights():
    text = random_words(N)
    parts = [kneser_ney(), Network(network())]
    for index, weights in enumerate([(1, 0), (0, 1)]):
        torch.testing.assert_close(
            Interpolation(parts, weights).score(text), parts[index].score(text), rtol=1e-6, atol=0
        )
    torch.testing.assert_close(
        Interpolation(parts).score(text), Interpolation(parts, [0.5, 0.5]).score(text)
    )


@settings(max_examples=20)
@given(weights=st.lists(st.floats(0, 1), min_size=2, max_size=2), seed=st.integers(0, 99))
def test_no_other_weights_score_better_than_the_best(weights, seed):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand((3, 200), generator=generator, dtype=torch.float64) ** 3 + 1e-3
    p[2, ::2] = 0  # as a cache's probabilities, where it does not have the word

    def loss(weights):
        return -(torch.tensor(weights, dtype=p.dtype) @ p).log().mean().item()

    best = best_weights(list(-p.log()))
    assert sum(best) == pytest.approx(1, abs=1e-12) and min(best) >= 0
    low, high = sorted(weights)
    assert loss(best) <= loss([low, high - low, 1 - high]) + 1e-5


def test_the_best_weights_are_found_where_the_way_is_long():
    """One part says 1/2 always, the other 0.7 for 35 words in a hundred and 0.4 for the rest.

    With the weight w of the second, a word has 0.5 (1 + 0.4 w) or 0.5 (1 - 0.2 w). The loss is
    lowest where 0.35 · 0.4 / (1 + 0.4 w) = 0.65 · 0.2 / (1 - 0.2 w), at w = 1/8. The parts are so
    alike that each round comes only one hundredth nearer.
    """
    second = torch.tensor([0.7] * 35 + [0.4] * 65, dtype=torch.float64)
    weights = best_weights([-torch.full_like(second, 0.5).log(), -second.log()])
    assert weights == pytest.approx([7 / 8, 1 / 8], abs=0.01)


def test_unusable_weights_and_parts_are_refused():
    parts = [Uniform(V), kneser_ney()]
    for weights, message in [
        ((0.5, 0.4), r"sum to 1, got \[0.5, 0.4\]"),
        ((1.5, -0.5), "at least 0"),
        ((float("nan"), 1), "sum to 1"),
        ((1.0,), "1 weights for 2 parts"),
    ]:
        with pytest.raises(ValueError, match=message):
            Interpolation(parts, weights)
    with pytest.raises(ValueError, match=r"lexicons of \[13, 14\] words"):
        Interpolation([Uniform(V), Uniform(V + 1)])
    with pytest.raises(ValueError, match="at least one part"):
        Interpolation([])
    for sharing in (
        [parts[0], parts[0]],
        [parts[0], Cache(parts[0], 5, 0.5, 0.1)],
        [Interpolation([parts[0], Uniform(V)]), Restricted(parts[0], V)],
    ):
        with pytest.raises(ValueError, match="occurs twice"):
            Interpolation(sharing)
    with pytest.raises(ValueError, match=r"lengths \[3, 4\]"):
        best_weights([torch.ones(3), torch.ones(4)])
    with pytest.raises(ValueError, match="probability above 0"):
        best_weights([torch.tensor([1.0, torch.inf])])


# Cache


def literal_cache(base, text, size, theta, weight):
    """Equation by equation: a word's share is the sum over the places where it followed."""
    p, h = base.predict(text)
    h = h.double()
    mixed = p.clone()
    for t in range(1, len(text)):
        votes = torch.zeros(V, dtype=torch.float64)
        for i in range(max(0, t - size), t):
            votes[text[i + 1]] += torch.exp(theta * (h[t] @ h[i]))
        mixed[t] = (1 - weight) * p[t] + weight * votes / votes.sum()
    return mixed


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("base", ["LSTM", "average", "dynamic, SGD"])
def test_a_cache_is_its_formula(size, base):
    text = random_words(N)
    cache = Cache(SYSTEMS[base](), size, theta=0.7, weight=0.4)
    pieces = torch.cat([cache.predict(piece).distributions for piece in text.split(11)])
    expected = literal_cache(SYSTEMS[base](), text, size, 0.7, 0.4)
    torch.testing.assert_close(pieces, expected, rtol=1e-4, atol=1e-7)


def test_a_cache_without_weight_is_its_base():
    text = random_words(N)
    without = Cache(Network(network()), 9, theta=0.3, weight=0).score(text)
    assert without.equal(Network(network()).score(text))


def test_unusable_settings_are_refused():
    base = Network(network())
    for changed, message in [
        (dict(size=0), "size must be at least 1, got 0"),
        (dict(weight=1.1), "weight must lie from 0 to 1, got 1.1"),
        (dict(theta=float("inf")), "theta must be a finite number, got inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            Cache(base, **{"size": 5, "theta": 0.1, "weight": 0.1} | changed)
    with pytest.raises(TypeError, match="hidden states, and Uniform has none"):
        Cache(Uniform(V), 5, 0.1, 0.1).score(random_words(5))
    for changed, message in [
        (dict(learning_rate=-0.1), "learning_rate must be at least 0 and finite, got -0.1"),
        (dict(learning_rate=float("nan")), "learning_rate"),
        (dict(block=0), "block must be at least 1, got 0"),
        (dict(decay=1.5), "decay must lie from 0 to 1, got 1.5"),
        (dict(epsilon=0), "epsilon must be above 0, got 0"),
        (dict(scale=[torch.ones(2)]), r"parameters' shapes .* got \[\(2,\)\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            dynamic(**changed)
