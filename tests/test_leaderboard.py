"""The leaderboard: what is measured, that choices see one half alone, that no row is lost."""

import json
import math
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import leaderboard
from benchmarks.leaderboard import (
    CachePart,
    DynamicPart,
    NetworkPart,
    NGramPart,
    Row,
    Scores,
    UniformPart,
)
from blg561.language_model.baselines import KneserNey, Uniform
from blg561.language_model.regularised import LADDER
from blg561.language_model.systems import Cache, DynamicEvaluation, Interpolation

pytestmark = pytest.mark.usefixtures("float32")

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = dict(hidden_size=6, epochs=1, batch_size=4, seq_length=9)
RECIPE = replace(LADDER["averaged"], **SMALL, learning_rate=1.0)
NETWORK = NetworkPart(RECIPE)
DYNAMIC = DynamicPart(RECIPE, learning_rate=(0.03, 1e-3), block=7, decay=0.1)
CACHE = CachePart(DYNAMIC, size=300, theta=(5.0, 9.0))
PARTS = (DYNAMIC, CACHE, NGramPart(3), UniformPart())
BOOK = "practice"


def tokens() -> list[str]:
    """300 words of 30, and three that only the validation part has: words 241 to 300."""
    rng = random.Random(3)
    words = rng.choices([f"w{n}" for n in range(30)], [1 / n for n in range(1, 31)], k=300)
    for place, word in {250: "new", 255: "newer", 262: "new", 280: "new", 291: "newest"}.items():
        words[place] = word
    return words


@pytest.fixture
def use(tmp_path, monkeypatch):
    """Makes a list of words the book that the leaderboard reads, and its folders empty ones."""
    monkeypatch.setattr(leaderboard, "find", lambda book: tmp_path / "book.txt")

    def put(words, folder="first"):
        for cached in ("read_text", "trained", "training_scale"):
            getattr(leaderboard, cached).cache_clear()
        (tmp_path / "book.txt").write_text(" ".join(words))
        monkeypatch.setattr(leaderboard, "MODELS", tmp_path / folder / "models")
        monkeypatch.setattr(leaderboard, "RESULTS", tmp_path / folder / "results.json")

    put(tokens())
    yield put
    put(tokens())


@pytest.fixture
def text(use):
    return leaderboard.read_text(BOOK)


def counting(monkeypatch, name):
    """The calls of a function of the leaderboard from now on."""
    calls, real = [], getattr(leaderboard, name)
    monkeypatch.setattr(leaderboard, name, lambda *a: calls.append(a) or real(*a))
    return calls


# What is measured


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 1000))
def test_with_unk_is_a_distribution_over_the_seen_words_and_unk(seen, seed):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(4, len(seen), generator=generator, dtype=torch.float64)
    p /= p.sum(1, keepdim=True)
    merged = leaderboard.with_unk(p, torch.tensor(seen))
    assert merged.shape == (4, sum(seen) + 1) and (merged >= 0).all()
    torch.testing.assert_close(merged.sum(1), torch.ones(4, dtype=torch.float64))
    kept = [word for word, is_seen in enumerate(seen) if is_seen]
    assert merged[:, :-1].equal(p[:, kept])


def test_the_words_of_training_keep_their_score_and_all_others_are_one_word(text, monkeypatch):
    monkeypatch.setattr(leaderboard, "BLOCK", 7)
    system = KneserNey(text.training, text.ntoken, 3)
    scores = leaderboard.score(system, text, 60)
    torch.testing.assert_close(scores.whole, system.score(text.validation))
    system.reset()
    p = system.predict(text.validation[:-1])
    training = set(tokens()[:240])
    lexicon = leaderboard.Dataset(1, leaderboard.find(BOOK)).unique_data
    unseen = [index for index, word in enumerate(lexicon) if word not in training]
    assert {"new", "newer", "newest"} <= {lexicon[index] for index in unseen}
    for t, word in enumerate(tokens()[240:]):
        expected = scores.whole[t] if word in training else -p[t, unseen].sum().log()
        assert scores.unk[t] == pytest.approx(expected.item(), rel=1e-12)


def test_figures_of_a_text_are_those_computed_by_hand(text):
    whole = torch.linspace(0.5, 6, 60, dtype=torch.float64)
    found = leaderboard.figures(Scores(whole, whole / 2), text)
    nats = whole.tolist()
    words = tokens()[240:]
    unseen = [x for x, word in zip(nats, words, strict=True) if word not in tokens()[:240]]
    assert found["perplexity"] == pytest.approx(math.exp(sum(nats) / 60), abs=1e-3)
    assert found["first_half"] == pytest.approx(math.exp(sum(nats[:30]) / 30), abs=1e-3)
    assert found["second_half"] == pytest.approx(math.exp(sum(nats[30:]) / 30), abs=1e-3)
    assert found["perplexity_unk"] == pytest.approx(math.exp(sum(nats) / 120), abs=1e-3)
    assert found["unseen_share"] == pytest.approx(sum(unseen) / sum(nats), abs=1e-4)
    characters = sum(map(len, words)) + 59
    assert found["bits_per_character"] == pytest.approx(
        sum(nats) / math.log(2) / characters, abs=1e-4
    )


def test_bits_per_character_do_not_depend_on_line_ends(use, text):
    use(
        [
            word + random.Random(n).choice(["", "\n", "\n\n", "  "])
            for n, word in enumerate(tokens())
        ]
    )
    assert leaderboard.read_text(BOOK).characters == text.characters


def test_a_mixture_of_scores_is_that_of_the_system(use):
    """Also with a cache on top and dynamic evaluation below, and also with <unk>."""
    text = leaderboard.read_text(BOOK)
    result = leaderboard.measure(PARTS, BOOK)
    weights = result["weights"]
    chosen = {type(part): choice for part, choice in zip(PARTS, result["settings"], strict=True)}
    rest = [weights[0], *weights[2:]]
    model = leaderboard.trained(RECIPE, BOOK)
    scale = leaderboard.training_scale(RECIPE, BOOK)
    rate = chosen[DynamicPart]["learning_rate"]
    assert rate == 1e-3  # the second that is tried: what lies on it must not take the first
    dynamic = DynamicEvaluation(model, rate, 7, 0.1, scale, DYNAMIC.epsilon)
    parts = [dynamic, KneserNey(text.training, text.ntoken, 3), Uniform(text.ntoken)]
    base = Interpolation(parts, [weight / sum(rest) for weight in rest])
    system = Cache(base, CACHE.size, chosen[CachePart]["theta"], weights[1] / sum(weights))
    # the first word has no cache: there the mixture of scores has the network's in its place
    scores = [part[1:] for part in leaderboard.score(system, text, 60)]
    parts = [leaderboard.scores_of(part, BOOK) for part in PARTS]
    for found, kind in zip(scores, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(leaderboard.mix(kind, weights)[1:], found, rtol=1e-4, atol=0)
    cache = Cache(dynamic, CACHE.size, chosen[CachePart]["theta"], 1.0)
    found = leaderboard.score(cache, text, 60).whole[1:]
    torch.testing.assert_close(parts[1].whole[1:], found, rtol=1e-4, atol=0)
    for part in (DYNAMIC, NGramPart(3), UniformPart()):  # the weights are best on the first half
        assert result["first_half"] <= leaderboard.measure((part,), BOOK)["first_half"]


def test_nothing_is_chosen_with_an_eye_on_the_second_half(use):
    words = tokens()
    first = leaderboard.measure(PARTS, BOOK)
    random.Random(0).shuffle(end := words[-30:])
    use(words[:-30] + sorted(end, key=lambda word: word.startswith("new")), folder="second")
    second = leaderboard.measure(PARTS, BOOK)
    for name in ("weights", "settings", "first_half"):
        assert first[name] == second[name]
    assert first["second_half"] != second["second_half"]


def test_the_best_of_what_is_tried_is_chosen(use):
    text = leaderboard.read_text(BOOK)
    model, scale = leaderboard.trained(RECIPE, BOOK), leaderboard.training_scale(RECIPE, BOOK)
    losses = {}
    for rate in (1e-4, 1e-2, 0.03):
        system = DynamicEvaluation(model, rate, 7, 0.1, scale, DYNAMIC.epsilon)
        losses[rate] = system.score(text.validation[:31]).mean().item()
    part = replace(DYNAMIC, learning_rate=tuple(losses))
    assert leaderboard.choose(part, BOOK) == {"learning_rate": min(losses, key=losses.get)}


def test_what_was_scored_is_not_scored_again_when_more_is_tried(use, monkeypatch):
    leaderboard.measure(PARTS, BOOK)
    scorings = counting(monkeypatch, "score")
    leaderboard.scores_of(replace(CACHE, theta=(5.0, 7.0, 9.0)), BOOK)
    assert len(scorings) in (1, 2)  # the whole once more if the new one is the best
    scorings.clear()
    leaderboard.scores_of(replace(CACHE, base=replace(DYNAMIC, learning_rate=(0.1,))), BOOK)
    assert len(scorings) == 4  # but anew where the base is another: itself, two θ, the best


# What is stored


def three_runs(recipe=RECIPE) -> Row:
    runs = tuple((NetworkPart(replace(recipe, seed=seed)),) for seed in range(3))
    return Row(BOOK, "small", "a small network", runs)


def test_a_row_is_built_once_and_anew_when_its_recipe_changes(use, monkeypatch, capsys):
    def run(row, *options):
        monkeypatch.setattr(leaderboard, "ROWS", (row,))
        monkeypatch.setattr("sys.argv", ["leaderboard", *options])
        monkeypatch.setattr(leaderboard, "BOOKS", (BOOK,))
        leaderboard.main()
        return capsys.readouterr().out

    trainings = counting(monkeypatch, "train")
    scorings = counting(monkeypatch, "score")
    assert "missing, about" in run(three_runs(), "--list")
    table = run(three_runs(), "--write")
    (first,) = leaderboard.read()
    assert (len(trainings), len(scorings)) == (3, 3)
    assert run(three_runs(), "--write") == table
    assert (len(trainings), len(scorings)) == (3, 3)
    changed = three_runs(replace(RECIPE, weight_drop=0.1))
    assert "stored with other settings" in run(changed, "--list")
    run(changed, "--write")
    (second,) = leaderboard.read()
    assert first["results"] != second["results"]
    assert (len(trainings), len(scorings)) == (6, 6)
    assert "perplexity" in run(changed, "--list")
    assert run(changed, "--fresh") == run(changed)
    assert len(scorings) == 9  # with the networks that are there
    assert len(list(leaderboard.MODELS.glob("*/scores/*.pt"))) == 6  # those of others are kept


def test_what_an_interrupted_row_had_is_not_done_again(use, monkeypatch):
    row = three_runs()
    trainings, scorings = counting(monkeypatch, "train"), counting(monkeypatch, "score")
    real, left = leaderboard.Network, iter(range(2))

    def stop_at_the_third(model):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(model)

    monkeypatch.setattr(leaderboard, "Network", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        leaderboard.build(row)
    assert (len(trainings), len(scorings)) == (3, 2)
    monkeypatch.setattr(leaderboard, "Network", real)
    built = leaderboard.build(row)
    assert len(scorings) == 3
    use(tokens(), folder="second")
    assert built["results"] == leaderboard.build(row)["results"]


def test_rows_written_at_the_same_time_are_all_kept(use):
    leaderboard.MODELS.mkdir(parents=True)
    rows = [{"book": BOOK, "name": f"row {n}"} for n in range(60)]
    with ThreadPoolExecutor(8) as pool:  # the lock is one between open files, so threads do
        list(pool.map(leaderboard.write, rows))
    assert sorted(row["name"] for row in leaderboard.read()) == sorted(r["name"] for r in rows)
    leaderboard.write(rows[3] | {"new": True})
    assert len(leaderboard.read()) == 60


def test_a_row_trained_anew_has_the_perplexity_that_is_stored(use, tmp_path):
    built = leaderboard.build(three_runs())
    again = leaderboard.retrain(three_runs(), tmp_path / "again")
    assert again == pytest.approx(built["results"][0]["perplexity"], abs=1e-3)


def test_one_more_run_lies_in_the_spread_in_95_of_100_cases():
    def stored(runs):
        return {"results": [{"perplexity": 90 + 0.3 * value} for value in runs]}

    draws = torch.randn(3000, 10, 4, generator=torch.Generator().manual_seed(0)).tolist()
    inside = 0
    for rows in draws:
        first, *others = [stored(runs[:3]) for runs in rows]
        low, high = leaderboard.spread(first, [first, *others])
        inside += low <= 90 + 0.3 * rows[0][3] <= high
    assert inside / 3000 == pytest.approx(0.95, abs=0.012)
    with pytest.raises(ValueError, match=r"ten rows of three runs are needed, got runs \[3, 1\]"):
        leaderboard.spread(first, [first, stored([1.0])])


# The table


def test_names_are_unique_and_every_rung_has_its_row():
    keys = [(row.book, row.name) for row in leaderboard.ROWS]
    assert len(keys) == len(set(keys))
    of_pride = {name for book, name in keys if book == "pride_prejudice"}
    assert {"lstm", *LADDER} <= of_pride
    for row in leaderboard.ROWS:
        described = leaderboard.describe(row.systems)
        assert json.loads(json.dumps(described)) == described


def test_a_line_has_the_mean_and_the_spread_of_the_runs(monkeypatch):
    def result(perplexity):
        figures = dict.fromkeys(leaderboard.COLUMNS, 0.5)
        return figures | {"perplexity": perplexity}

    several = leaderboard.line("a", [result(p) for p in (90.0, 91.0, 95.0)])
    assert several == "| a | 92.0 | 90.0 to 95.0 | 2.65 | 0.5 | 0.5 | 0.500 | 50.0% | 0.5 |"
    one = leaderboard.line("b", [result(90.0)])
    assert one == "| b | 90.0 |  |  | 0.5 | 0.5 | 0.500 | 50.0% | 0.5 |"
    assert leaderboard.HEADER.splitlines()[1].count("|") == one.count("|")


def test_the_table_of_the_readme_is_that_of_the_results():
    rows = leaderboard.read()
    assert leaderboard.table(rows) in README
    stored = {(row["book"], row["name"]): row for row in rows}
    assert stored.keys() == {(row.book, row.name) for row in leaderboard.ROWS}
    for row in leaderboard.ROWS:
        assert leaderboard.is_current(stored[row.book, row.name], row), row.name


def test_the_spread_that_the_readme_states_is_that_of_the_stored_runs():
    rows = leaderboard.networks_of("pride_prejudice")
    low, high = leaderboard.spread(rows[0], rows)
    assert f"within {(high - low) / 2:.1f} of its row" in " ".join(README.split())


def test_the_lesson_takes_the_learning_rate_that_was_chosen():
    lesson = (ROOT / "notebooks/05_BeyondTheTarget.ipynb").read_text(encoding="utf-8")
    said = float(re.search("LEARNING_RATE = ([0-9.e-]+)", lesson)[1])
    dynamic = next(row for row in leaderboard.read() if row["name"] == "dynamic")
    assert {result["settings"][0]["learning_rate"] for result in dynamic["results"]} == {said}
