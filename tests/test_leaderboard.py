"""The leaderboard: what is measured, that choices see one half alone, that no row is lost."""

import json
import math
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import results
from benchmarks.leaderboard import __main__ as command
from benchmarks.leaderboard import files, hours, networks, rows, scores, spread, table
from benchmarks.leaderboard import text as texts
from benchmarks.leaderboard.parts import (
    CachePart,
    DynamicPart,
    NetworkPart,
    NGramPart,
    OnlinePooledNGramPart,
    PooledNGramPart,
    Provided,
    UniformPart,
    describe,
)
from benchmarks.leaderboard.rows import Row
from benchmarks.leaderboard.scores import Scores
from blg561.language_model import books, experiment
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.dataset import Dataset
from blg561.language_model.ngrams import KneserNey, Uniform
from blg561.language_model.recipes import LADDER, Recipe
from blg561.language_model.systems import Cache, DynamicEvaluation, Interpolation, Network

pytestmark = pytest.mark.usefixtures("float32")

ROOT = Path(__file__).resolve().parents[1]
SMALL = dict(hidden_size=6, epochs=1, batch_size=4, seq_length=9)
RECIPE = replace(LADDER["averaged"], **SMALL, learning_rate=1.0)
NETWORK = NetworkPart(RECIPE)
DYNAMIC = DynamicPart(RECIPE, learning_rate=(0.03, 1e-3), block=7, decay=0.1)
CACHE = CachePart(DYNAMIC, size=300, theta=(5.0, 9.0))
PARTS = (DYNAMIC, CACHE, NGramPart(3), UniformPart())
BOOK = "practice"
try:
    KNOWN = books.find("pride_prejudice", download=False) and texts.find("pride_prejudice")
except books.BookError:
    KNOWN = None


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
    monkeypatch.setattr(texts, "find", lambda book: tmp_path / "book.txt")

    def forget():
        for cached in (texts.read_text, networks.trained, networks.training_scale):
            cached.cache_clear()

    def put(words, folder="first"):
        forget()
        (tmp_path / "book.txt").write_text(" ".join(words), encoding="utf-8")
        monkeypatch.setattr(files, "MODELS", tmp_path / folder / "models")
        monkeypatch.setattr(results, "FOLDER", tmp_path / folder)

    put(tokens())
    yield put
    forget()


@pytest.fixture
def text(use):
    return texts.read_text(BOOK)


def counting(monkeypatch, module, name):
    """The calls of a function of the leaderboard from now on."""
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a: calls.append(a) or real(*a))
    return calls


# What is measured


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(0, 1000))
def test_with_unk_is_a_distribution_over_the_seen_words_and_unk(seen, seed):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(4, len(seen), generator=generator, dtype=torch.float64)
    p /= p.sum(1, keepdim=True)
    merged = scores.with_unk(p, torch.tensor(seen))
    assert merged.shape == (4, sum(seen) + 1) and (merged >= 0).all()
    torch.testing.assert_close(merged.sum(1), torch.ones(4, dtype=torch.float64))
    kept = [word for word, is_seen in enumerate(seen) if is_seen]
    assert merged[:, :-1].equal(p[:, kept])


def test_the_words_of_training_keep_their_score_and_all_others_are_one_word(text, monkeypatch):
    monkeypatch.setattr(scores, "BLOCK", 7)
    system = KneserNey(text.training, text.ntoken, 3)
    found = scores.score(system, text, 60)
    torch.testing.assert_close(found.whole, system.score(text.validation))
    system.reset()
    p = system.predict(text.validation[:-1]).distributions
    training = set(tokens()[:240])
    lexicon = Dataset(1, texts.find(BOOK)).unique_data
    unseen = [index for index, word in enumerate(lexicon) if word not in training]
    assert {"new", "newer", "newest"} <= {lexicon[index] for index in unseen}
    for t, word in enumerate(tokens()[240:]):
        expected = found.whole[t] if word in training else -p[t, unseen].sum().log()
        assert found.unk[t] == pytest.approx(expected.item(), rel=1e-12)


def test_figures_of_a_text_are_those_computed_by_hand(text):
    whole = torch.linspace(0.5, 6, 60, dtype=torch.float64)
    found = scores.figures(Scores(whole, whole / 2), text)
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
    assert texts.read_text(BOOK).characters == text.characters


def test_a_mixture_of_scores_is_that_of_the_system(use):
    """Also with a cache on top and dynamic evaluation below, and also with <unk>."""
    text = texts.read_text(BOOK)
    result = scores.measure(PARTS, BOOK)
    weights = result["weights"]
    chosen = {type(part): choice for part, choice in zip(PARTS, result["settings"], strict=True)}
    rest = [weights[0], *weights[2:]]
    model = networks.trained(RECIPE, BOOK)
    scale = networks.training_scale(RECIPE, BOOK)
    rate = chosen[DynamicPart]["learning_rate"]
    assert rate == 1e-3  # the second that is tried: what lies on it must not take the first
    dynamic = DynamicEvaluation(model, rate, 7, 0.1, scale, DYNAMIC.epsilon)
    parts = [dynamic, KneserNey(text.training, text.ntoken, 3), Uniform(text.ntoken)]
    base = Interpolation(parts, [weight / sum(rest) for weight in rest])
    system = Cache(base, CACHE.size, chosen[CachePart]["theta"], weights[1] / sum(weights))
    # the first word has no cache: there the mixture of scores has the network's in its place
    expected = [part[1:] for part in scores.score(system, text, 60)]
    parts = [scores.scores_of(part, BOOK) for part in PARTS]
    for kind, mixed in zip(zip(*parts, strict=True), expected, strict=True):
        torch.testing.assert_close(scores.mix(kind, weights)[1:], mixed, rtol=1e-4, atol=0)
    cache = Cache(dynamic, CACHE.size, chosen[CachePart]["theta"], 1.0)
    found = scores.score(cache, text, 60).whole[1:]
    torch.testing.assert_close(parts[1].whole[1:], found, rtol=1e-4, atol=0)
    for part in (DYNAMIC, NGramPart(3), UniformPart()):  # the weights are best on the first half
        assert result["first_half"] <= scores.measure((part,), BOOK)["first_half"]


def test_nothing_is_chosen_with_an_eye_on_the_second_half(use):
    words = tokens()
    first = scores.measure(PARTS, BOOK)
    random.Random(0).shuffle(end := words[-30:])
    use(words[:-30] + sorted(end, key=lambda word: word.startswith("new")), folder="second")
    second = scores.measure(PARTS, BOOK)
    for name in ("weights", "settings", "first_half"):
        assert first[name] == second[name]
    assert first["second_half"] != second["second_half"]


def test_the_best_of_what_is_tried_is_chosen(use):
    text = texts.read_text(BOOK)
    model, scale = networks.trained(RECIPE, BOOK), networks.training_scale(RECIPE, BOOK)
    losses = {}
    for rate in (1e-4, 1e-2, 0.03):
        system = DynamicEvaluation(model, rate, 7, 0.1, scale, DYNAMIC.epsilon)
        losses[rate] = system.score(text.validation[:31]).mean().item()
    part = replace(DYNAMIC, learning_rate=tuple(losses))
    assert scores.choose(part, BOOK) == {"learning_rate": min(losses, key=losses.get)}


def test_what_was_scored_is_not_scored_again_when_more_is_tried(use, monkeypatch):
    scores.measure(PARTS, BOOK)
    scorings = counting(monkeypatch, scores, "score")
    scores.scores_of(replace(CACHE, theta=(5.0, 7.0, 9.0)), BOOK)
    assert len(scorings) in (1, 2)  # the whole once more if the new one is the best
    scorings.clear()
    scores.scores_of(replace(CACHE, base=replace(DYNAMIC, learning_rate=(0.1,))), BOOK)
    assert len(scorings) == 4  # but anew where the base is another: itself, two θ, the best


def test_a_provided_network_is_refused_where_its_words_are_in_another_order(use, monkeypatch):
    """Its scores would be those of other words."""
    lexicon = Dataset(1, texts.find(BOOK)).unique_data
    monkeypatch.setattr(networks.pretrained, "load", lambda *a: ("the network", lexicon))
    assert networks.trained(Provided("small"), BOOK) == "the network"
    networks.trained.cache_clear()
    monkeypatch.setattr(networks.pretrained, "load", lambda *a: ("the network", lexicon[::-1]))
    with pytest.raises(CheckpointError, match="small on practice has its lexicon in another order"):
        networks.trained(Provided("small"), BOOK)


# The board of three books

BOOK_WORDS = list("abacbaabcdabdcabea")
OTHERS = {"first": list("abxacyyabd"), "second": list("bczabaeab")}  # x, y, z are not in it
TRAINED = 14  # four fifths of the 18 words


@pytest.fixture
def three(use, tmp_path, monkeypatch):
    """Makes a list of words the book and OTHERS the other two."""
    use(BOOK_WORDS)
    for name, words in OTHERS.items():
        (tmp_path / f"{name}.txt").write_text(" ".join(words), encoding="utf-8")
    of_the_book = tmp_path / "book.txt"
    monkeypatch.setattr(
        texts, "find", lambda book: tmp_path / f"{book}.txt" if book in OTHERS else of_the_book
    )
    monkeypatch.setattr(rows, "BOOKS", ("first", BOOK, "second"))
    texts.pooled.cache_clear()
    yield use
    texts.pooled.cache_clear()


def bigrams_of_three_books(read: list[str], word: str, before: str, discounts) -> float:
    """Kneser-Ney by its definition, from words as they are written, masks and all."""
    lexicon = set(BOOK_WORDS)
    counted = []
    for words in OTHERS.values():
        counted += [w if w in lexicon else "MASK" for w in words] + ["MASK"]
    counted += read
    pairs = Counter(pairwise(counted))
    befores = Counter(second for _, second in pairs)

    def taken(n, length):
        return discounts[length - 1][min(n, 3) - 1] if n else 0

    def p(word):
        total = sum(befores.values())
        left = sum(taken(n, 1) for n in befores.values()) / total
        low = (befores[word] - taken(befores[word], 1)) / total + left / (len(lexicon) + 1)
        follow = {second: n for (first, second), n in pairs.items() if first == before}
        total, n = sum(follow.values()), follow.get(word, 0)
        return (n - taken(n, 2)) / total + sum(taken(m, 2) for m in follow.values()) / total * low

    return p(word) / sum(map(p, lexicon))


def test_the_counts_of_three_books_are_those_of_the_definition(three):
    text, lexicon = texts.read_text(BOOK), Dataset(1, texts.find(BOOK)).unique_data
    pooled = scores.system(PooledNGramPart(2), BOOK)
    online = scores.system(OnlinePooledNGramPart(2, block=1), BOOK)
    for system, goes_on in ((pooled, False), (online, True)):
        for t, (before, word) in enumerate(pairwise(BOOK_WORDS[TRAINED - 1 :])):
            read = BOOK_WORDS[: TRAINED + t - 1] if goes_on else BOOK_WORDS[:TRAINED]
            given = system.predict(text.validation[t : t + 1]).distributions[0]
            counts = system.base.ngrams if goes_on else system.base
            expected = bigrams_of_three_books(read, word, before, counts.discounts)
            assert given[lexicon.index(word)] == pytest.approx(expected, rel=1e-12)


def test_a_word_of_three_books_is_scored_before_it_is_counted(three):
    """What comes after a word changes nothing in its score, the online counts' included."""
    parts = PooledNGramPart(3), OnlinePooledNGramPart(3, block=2)
    found = []
    for words in (tokens(), tokens()[:270] + tokens()[270:][::-1]):
        three(words)
        texts.pooled.cache_clear()
        text = texts.read_text(BOOK)
        assert text.training.equal(texts.pooled(BOOK)[-240:])
        found.append([scores.score(scores.system(part, BOOK), text, 60).whole for part in parts])
    for first, second in zip(*found, strict=True):
        assert first[:30].equal(second[:30]) and not first[30:].equal(second[30:])


def test_no_row_of_the_own_book_reads_another_and_no_row_is_on_both_boards():
    assert not any(row.reads_other_books for row in rows.OWN_BOOK.rows)
    assert all(row.reads_other_books for row in rows.THREE_BOOKS.rows)
    own, three = ({row.name for row in board.rows} for board in rows.BOARDS.values())
    assert not own & three


def test_a_board_is_written_and_shown_without_the_other(three, monkeypatch, capsys):
    written = {
        "own_book": Row(BOOK, "own", "of this book", ((NGramPart(2),),)),
        "three_books": Row(BOOK, "pooled", "of three", ((PooledNGramPart(2),),)),
    }
    monkeypatch.setitem(table.CATALOGUE, BOOK, table.CATALOGUE["pride_prejudice"])
    for name, row in written.items():
        board = replace(rows.BOARDS[name], rows=(row,))
        monkeypatch.setitem(rows.BOARDS, name, board)
        command.main(["--board", name, "--books", BOOK, "--write"])
        shown = capsys.readouterr().out
        assert [row.title in shown for row in written.values()] == [
            row is other for other in written.values()
        ]
        assert ("Three books" in shown) == (name == "three_books")
        assert [stored["name"] for stored in table.read(board)] == [row.name]
    own, pooled = (table.read(board)[0] for board in rows.BOARDS.values())
    assert own["results"] != pooled["results"]
    with pytest.raises(SystemExit):
        command.main(["--rows", "pooled"])  # it is not on the board that is meant


def test_the_lines_of_three_books_say_which_new_words_the_others_have(three):
    """Only e is new in the validation part, and the second book has it."""
    built = scores.build(Row(BOOK, "pooled", "of three", ((PooledNGramPart(2),),)))
    assert (built["lexicon"], built["unseen_in_lexicon"]) == (5, 1)
    assert built["unseen_in_other_books"] == 1


# What is stored


def three_runs(recipe=RECIPE) -> Row:
    runs = tuple((NetworkPart(replace(recipe, seed=seed)),) for seed in range(3))
    return Row(BOOK, "small", "a small network", runs)


def test_a_row_is_built_once_and_anew_when_its_recipe_changes(use, monkeypatch, capsys):
    def run(row, *options):
        monkeypatch.setitem(rows.BOARDS, "own_book", replace(rows.OWN_BOOK, rows=(row,)))
        monkeypatch.setattr(rows, "BOOKS", (BOOK,))
        command.main(list(options))
        return capsys.readouterr().out

    trainings = counting(monkeypatch, networks, "train")
    scorings = counting(monkeypatch, scores, "score")
    assert "missing, about" in run(three_runs(), "--list")
    shown = run(three_runs(), "--write")
    (first,) = table.read()
    assert (len(trainings), len(scorings)) == (3, 3)
    assert run(three_runs(), "--write") == shown
    assert (len(trainings), len(scorings)) == (3, 3)
    changed = three_runs(replace(RECIPE, weight_drop=0.1))
    assert "stored with other settings" in run(changed, "--list")
    run(changed, "--write")
    (second,) = table.read()
    assert first["results"] != second["results"]
    assert (len(trainings), len(scorings)) == (6, 6)
    assert "perplexity" in run(changed, "--list")
    assert run(changed, "--fresh") == run(changed)
    assert len(scorings) == 9  # with the networks that are there
    assert len(list(files.MODELS.glob("*/scores/*.pt"))) == 6  # those of others are kept


def test_more_seeds_of_a_row_are_built_beside_those_that_are_stored(use, monkeypatch):
    row = three_runs()
    # the last seed alone is stored, from a machine whose networks are not here
    stored = scores.build(replace(row, systems=row.systems[2:]))
    stored["results"][0]["perplexity"], stored["precision"] = 1.5, ["elsewhere"]
    trainings = counting(monkeypatch, networks, "train")
    built = scores.build(row, stored)
    assert len(trainings) == 2 and built["systems"] == describe(row.systems)
    assert built["results"][2] == stored["results"][0]
    assert built["results"][:2] == scores.build(row)["results"][:2]
    assert "elsewhere" in built["precision"] and len(built["precision"]) == 2


def test_what_an_interrupted_row_had_is_not_done_again(use, monkeypatch):
    row = three_runs()
    trainings, scorings = (
        counting(monkeypatch, networks, "train"),
        counting(monkeypatch, scores, "score"),
    )
    real, left = Network, iter(range(2))

    def stop_at_the_third(model):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(model)

    monkeypatch.setattr(scores, "Network", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        scores.build(row)
    assert (len(trainings), len(scorings)) == (3, 2)
    monkeypatch.setattr(scores, "Network", real)
    built = scores.build(row)
    assert len(scorings) == 3
    use(tokens(), folder="second")
    assert built["results"] == scores.build(row)["results"]


def test_rows_written_at_the_same_time_are_all_kept(use):
    files.MODELS.mkdir(parents=True)
    new = [{"book": BOOK, "name": f"row {n}"} for n in range(60)]
    with ThreadPoolExecutor(8) as pool:  # the lock is one between open files, so threads do
        list(pool.map(table.write, new))
    assert sorted(row["name"] for row in table.read()) == sorted(r["name"] for r in new)
    table.write(new[3] | {"new": True})
    assert len(table.read()) == 60


def test_a_row_trained_anew_has_the_perplexity_that_is_stored(use, tmp_path):
    built = scores.build(three_runs())
    again = spread.retrain(three_runs(), tmp_path / "again")
    assert again == pytest.approx(built["results"][0]["perplexity"], abs=1e-3)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_time_of_an_epoch_is_that_of_its_share_of_the_words(tmp_path, monkeypatch, share):
    clock = [0.0]

    def train(model, criterion, optimizer, loader, **_):
        clock[0] += sum(target.numel() for _, target in loader)

    monkeypatch.setattr(hours, "train_one_epoch", train)
    monkeypatch.setattr(hours.time, "process_time", lambda: clock[0])
    book = tmp_path / "book.txt"
    book.write_text("one two three four five six . " * 3000, encoding="utf-8")
    parts = experiment.build_datasets(RECIPE, book)
    before = parts[0].data.clone()
    seconds = hours.seconds_an_epoch(RECIPE, *parts, share)
    assert seconds == pytest.approx(len(before), rel=0.02)
    assert torch.equal(parts[0].data, before)


def test_the_hours_count_every_training_of_a_board_once():
    counted = hours.trainings(rows.OWN_BOOK)
    own = {recipe.name for book, recipe in counted if book == "pride_prejudice"}
    assert own == {"lstm", *LADDER} and set(counted.values()) == {3}
    assert all(recipe.seed == 0 and recipe.first is None for _, recipe in counted)
    read_first = hours.trainings(rows.THREE_BOOKS)
    assert all(recipe.first is not None for _, recipe in read_first)
    found = {"boards": {"own_book": [{"seeds": 3, "seconds": 600}, {"seeds": 1, "seconds": 1800}]}}
    assert hours.total(found, "own_book") == 1.0


def test_one_more_run_lies_in_the_spread_in_95_of_100_cases():
    def stored(runs):
        return {"results": [{"perplexity": 90 + 0.3 * value} for value in runs]}

    draws = torch.randn(2000, 11, 4, generator=torch.Generator().manual_seed(0)).tolist()
    inside = 0
    for drawn in draws:
        first, *others = [stored(runs[:3]) for runs in drawn]
        low, high = spread.spread(first, [first, *others])
        inside += low <= 90 + 0.3 * drawn[0][3] <= high
    assert inside / 2000 == pytest.approx(0.95, abs=0.012)
    with pytest.raises(
        ValueError, match=r"eleven rows of three runs are needed, got runs \[3, 1\]"
    ):
        spread.spread(first, [first, stored([1.0])])


# The table


def test_names_are_unique_and_every_rung_has_its_row():
    keys = [(row.book, row.name) for row in rows.ROWS]
    assert len(keys) == len(set(keys))
    of_pride = {name for book, name in keys if book == "pride_prejudice"}
    assert {"lstm", *LADDER} <= of_pride
    for row in rows.ROWS:
        described = describe(row.systems)
        assert json.loads(json.dumps(described)) == described


def test_a_line_has_the_mean_and_the_spread_of_the_runs(monkeypatch):
    def result(perplexity):
        figures = dict.fromkeys(table.COLUMNS, 0.5)
        return figures | {"perplexity": perplexity}

    several = table.line("a", [result(p) for p in (90.0, 91.0, 95.0)])
    assert several == "| a | 92.0 | 90.0 to 95.0 | 2.65 | 0.5 | 0.5 | 0.500 | 50.0% | 0.5 |"
    one = table.line("b", [result(90.0)])
    assert one == "| b | 90.0 |  |  | 0.5 | 0.5 | 0.500 | 50.0% | 0.5 |"
    assert table.HEADER.splitlines()[1].count("|") == one.count("|")


@pytest.mark.parametrize("board", rows.BOARDS.values(), ids=rows.BOARDS)
def test_every_row_is_stored_with_todays_recipes_and_settings(board):
    stored = {(row["book"], row["name"]): row for row in table.read(board)}
    assert stored.keys() == {(row.book, row.name) for row in board.rows}
    for row in board.rows:
        assert table.is_current(stored[row.book, row.name], row), row.name


def test_a_setting_that_recipes_are_given_later_leaves_the_stored_rows_true():
    @dataclass(frozen=True)
    class Later(Recipe):
        sampled: int | None = None

    later = Later(**asdict(RECIPE))
    assert describe(later) == describe(RECIPE) | {"kind": "Later"}
    assert describe(replace(later, sampled=9)) != describe(later)


@pytest.mark.skipif(not KNOWN, reason="needs the known edition of the book")
def test_the_order_of_the_lexicon_and_of_the_code_changes_no_stored_figure():
    """The rows were scored when the whole book's counts ordered the lexicon."""
    text = texts.read_text("pride_prejudice")
    for order in (1, 5):
        name = f"kneser_ney_{order}" if order > 1 else "unigram"
        (row,) = [row for row in rows.ROWS if (row.book, row.name) == ("pride_prejudice", name)]
        whole = KneserNey(text.training, text.ntoken, order).score(text.validation)
        found = scores.figures(Scores(whole, whole), text)
        (stored,) = table.find_stored(row)["results"]
        for figure in set(found) - {"perplexity_unk"}:
            assert found[figure] == stored[figure]


def test_the_lesson_takes_the_learning_rate_that_was_chosen():
    lesson = (ROOT / "notebooks/05_BeyondTheTarget.ipynb").read_text(encoding="utf-8")
    said = float(re.search("LEARNING_RATE = ([0-9.e-]+)", lesson)[1])
    dynamic = next(row for row in table.read() if row["name"] == "dynamic")
    assert {result["settings"][0]["learning_rate"] for result in dynamic["results"]} == {said}
