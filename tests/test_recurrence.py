"""The comparison of lesson 8: equal weights, equal trials, rows of today's recipes."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import recurrence, results
from benchmarks.leaderboard.parts import describe
from blg561.language_model import experiment
from blg561.language_model.recipes import ASSIGNMENT
from blg561.language_model.systems import Network


class Words:
    """As much of a training part as a network's size depends on: 6414 words in the lexicon."""

    unique_data = range(6414)

    def counts(self):
        return experiment.torch.ones(len(self.unique_data))


class Eleven(Words):
    unique_data = range(11)


@pytest.mark.parametrize("cell", recurrence.SHAPES)
def test_every_shape_has_the_weights_of_the_lstm_within_three_per_cent(cell):
    lstm = experiment.build_model(ASSIGNMENT["lstm"], Words())
    expected = sum(p.numel() for p in lstm.parameters())
    for shape in recurrence.SHAPES[cell]:
        recipe = replace(ASSIGNMENT["lstm"], cell=cell, **shape)
        model = experiment.build_model(recipe, Words())
        weights = sum(p.numel() for p in model.parameters())
        assert weights == pytest.approx(expected, rel=0.03)


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    return recurrence.Results()


def test_a_change_stays_if_the_first_half_gains_by_it(found, monkeypatch):
    scores = iter([100.0, 101.0, 99.0, None, 98.0, 98.0, 97.0])
    tried = []

    def measure(recipe):
        tried.append(recipe)
        return {"first_half": next(scores)}

    monkeypatch.setattr(recurrence, "measure", measure)
    best = recurrence.chosen(found, "gru")
    first = replace(ASSIGNMENT["lstm"], name="gru", cell="gru", hidden_size=272)
    slower = replace(first, learning_rate=0.004)
    assert tried == [
        first,
        replace(first, recurrent_factor=0.2),
        slower,
        replace(slower, dropout=0.35),
        (other := replace(slower, hidden_size=232, hidden_layers=2)),
        replace(other, dropout=0.25),
        replace(other, epochs=10),
    ]
    assert best == tried[-1]
    assert recurrence.chosen(recurrence.Results(), "gru") == best and len(tried) == 7


def test_a_row_of_another_recipe_is_made_anew(found):
    recipe, calls = ASSIGNMENT["lstm"], []

    def compute(recipe):
        calls.append(recipe)
        return {"perplexity": 1.0}

    for one in (recipe, recipe, replace(recipe, dropout=0.1)):
        row = found.row("runs", "lstm", "0", one, compute)
        assert row == {"perplexity": 1.0, "recipe": describe(one)}
    assert len(calls) == 2
    assert results.read("recurrence")["runs"]["lstm"]["0"] == row


def test_less_text_is_its_end_with_the_lexicon_of_the_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(recurrence.books, "_own_folder", lambda: tmp_path)
    monkeypatch.setattr(recurrence, "BOOK", "practice")
    recipe = ASSIGNMENT["lstm"]
    whole, validset = recurrence.build_datasets(recipe)
    half, same = recurrence.build_datasets(recipe, 0.5)
    assert half.unique_data == whole.unique_data and len(same.data) == len(validset.data)
    assert half.data.equal(whole.data[-round(len(whole.data) / 2) :])


@pytest.mark.parametrize("cell", recurrence.SHAPES)
def test_with_the_whole_text_as_context_a_word_has_the_score_of_the_whole_text(cell, monkeypatch):
    experiment.torch.manual_seed(0)
    words = experiment.torch.randint(11, (90,))
    validset = SimpleNamespace(data=words)
    recipe = replace(ASSIGNMENT["lstm"], cell=cell, hidden_size=8, hidden_layers=2)
    model = experiment.build_model(recipe, Eleven()).eval()
    monkeypatch.setattr(recurrence, "carry_out", lambda *_, **__: (model, None, validset))
    monkeypatch.setattr(recurrence, "CONTEXTS", (3, 89))
    monkeypatch.setattr(recurrence, "PLACES", 1)
    found = recurrence.by_context(recipe)["perplexity"]
    assert found["89"] == pytest.approx(math.exp(Network(model).score(words)[-1]), abs=2e-3)
    last = Network(model).score(words[-4:])[-1]
    assert found["3"] == pytest.approx(math.exp(last), abs=2e-3)


def test_the_summary_has_the_rows_that_are_stored():
    found = results.read("recurrence")
    for cell, row in recurrence.summary(found).items():
        assert row["perplexity"] == [found["runs"][cell][s]["perplexity"] for s in "012"]
        assert row["context"]["20"] == [
            found["context"][cell][s]["perplexity"]["20"] for s in "012"
        ]
        assert row["perplexity"] == [curve[-1] for curve in row["curve"]]
        best = min(trial for trial in row["trials"] if trial is not None)
        recipe = next(r for r in found["trials"][cell].values() if r["first_half"] == best)[
            "recipe"
        ]
        parts = [*found["runs"][cell].values(), *found["context"][cell].values()]
        parts += [found["writing"][cell]["0"]]
        assert row["three_books"] == [found["three_books"][cell][s]["perplexity"] for s in "012"]
        for stored in parts:  # the measurements are of the recipe that the trials chose
            assert stored["recipe"] | {"seed": 0} == recipe


def test_a_share_counts_only_with_all_networks_and_seeds():
    rows = {
        cell: {recurrence.amount(0.25, seed): {"perplexity": 1.0} for seed in recurrence.SEEDS}
        for cell in recurrence.SHAPES
    }
    rows["gru"] |= {recurrence.amount(0.5, 0): {"perplexity": 2.0}}
    assert recurrence.complete_shares({"amounts": rows}) == [0.25]
    del rows["lstm"][recurrence.amount(0.25, 2)]
    assert recurrence.complete_shares({"amounts": rows}) == []


def test_a_share_has_the_number_of_epochs_that_was_better_on_the_first_half(found, monkeypatch):
    monkeypatch.setattr(recurrence, "chosen", lambda *_: replace(ASSIGNMENT["lstm"], epochs=8))
    scores = {8: 80.0, 16: 90.0}
    monkeypatch.setattr(recurrence, "measure", lambda r, share: {"first_half": scores[r.epochs]})
    assert recurrence.for_the_share(found, "lstm", 0.25).epochs == 8
    scores |= {11: 70.0}
    assert recurrence.for_the_share(found, "lstm", 0.5).epochs == 11


def test_three_books_come_before_the_chosen_recipe_at_the_better_of_two_rates(found, monkeypatch):
    own = replace(ASSIGNMENT["lstm"], learning_rate=0.01, epochs=8, dropout=0.35)
    monkeypatch.setattr(recurrence, "chosen", lambda *_: own)
    scores = {0.01: 80.0, 0.0033: 90.0}
    tried = []

    def measure(recipe):
        tried.append(recipe)
        return {"first_half": scores[recipe.learning_rate]}

    monkeypatch.setattr(recurrence, "measure", measure)
    best = recurrence.after_three_books(found, "lstm")
    assert best.learning_rate == 0.01 and len(tried) == 2
    first = replace(own, name="lstm_first", epochs=recurrence.FIRST_EPOCHS)
    for recipe in tried:
        assert replace(recipe, name=own.name, learning_rate=0.01, first=None) == own
        assert recipe.first == first
    scores[0.0033] = 70.0
    assert recurrence.after_three_books(recurrence.Results(), "lstm").learning_rate == 0.01
    found.found.clear()
    assert recurrence.after_three_books(found, "lstm").learning_rate == 0.0033


def test_what_measures_without_gradients_can_train_first(tmp_path, monkeypatch):
    book = tmp_path / "book.txt"
    book.write_text("one two three four five six . " * 300, encoding="utf-8")
    monkeypatch.setattr(recurrence.books, "find", lambda _: book)
    monkeypatch.setattr(recurrence, "MODELS", tmp_path / "models")
    monkeypatch.setattr(recurrence, "WRITTEN", 40)
    recipe = replace(ASSIGNMENT["lstm"], hidden_size=8, epochs=1, batch_size=4, sampled_words=None)
    assert recurrence.write_words(recipe)["bytes"] == 2 * 8 * 4
