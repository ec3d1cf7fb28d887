"""The race against the clock: entries stop where they should, and rows are those of the entries."""

import math
import time
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from benchmarks import language_model, machine, peers, race, results
from benchmarks.leaderboard.parts import describe
from blg561.language_model import experiment, training
from blg561.language_model.dataset import Dataset, evaluation_loader
from blg561.language_model.recipes import find

TINY = race.Entry("tiny", replace(find("lstm"), hidden_size=8, epochs=4, sampled_words=None))
PEERS = peers.WORD_LANGUAGE_MODEL, peers.AWD_LSTM_LM


@pytest.fixture
def put(tmp_path, monkeypatch):
    """results/ is an empty folder, and TINY an entry."""
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setitem(race.ENTRIES, "lstm", TINY)


@pytest.fixture(autouse=True)
def as_many_threads_afterwards():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def seconds(row: dict) -> float:
    return sum(epoch["training_seconds"] + epoch["evaluation_seconds"] for epoch in row["epochs"])


def test_an_entry_runs_to_its_last_epoch_and_its_times_add_up(text_file):
    start = time.perf_counter()
    row = race.run(TINY, text_file, 60, targets=(1.0,))
    assert len(row["epochs"]) == 4 and row["stopped"] == "no epoch left"
    rounding = 0.01
    assert seconds(row) <= row["wall_seconds"] + rounding
    assert row["wall_seconds"] <= time.perf_counter() - start + rounding
    assert seconds(row) > 0.5 * row["wall_seconds"]
    assert row["machine"]["threads"] == 2


def test_an_entry_stops_at_the_first_epoch_that_has_the_target(text_file):
    whole = race.run(TINY, text_file, 60, targets=(1.0,))["epochs"]
    target = whole[1]["perplexity"] + 1e-3
    row = race.run(TINY, text_file, 60, targets=(1000.0, target))
    assert [e["perplexity"] for e in row["epochs"]] == [e["perplexity"] for e in whole[:2]]
    assert row["stopped"] == f"{target} reached"
    training_, both = race.seconds_to(row, target)
    assert both == pytest.approx(seconds(row))
    assert training_ == pytest.approx(sum(e["training_seconds"] for e in row["epochs"]))
    assert race.seconds_to(row, 1000.0)[1] < both and race.seconds_to(row, 1.0) is None


def test_an_entry_stops_at_its_limit(text_file):
    row = race.run(TINY, text_file, 0.001, targets=(1.0,))
    assert len(row["epochs"]) == 1 and row["stopped"] == "the limit"


def test_the_score_is_that_of_the_network_over_the_whole_validation_part(text_file, tmp_path):
    row = race.run(TINY, text_file, 60, targets=(1.0,))
    datasets = experiment.build_datasets(TINY.recipe, text_file)
    model, _ = experiment.run(TINY.recipe, *datasets, folder=tmp_path)
    logits, _ = model.eval()(datasets[1].data[None, :-1], model.initialize(1))
    loss = functional.cross_entropy(logits[0], datasets[1].data[1:]).item()
    assert row["epochs"][-1]["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)


def test_a_row_takes_the_place_of_the_one_before_and_goes_when_its_recipe_changes(
    put, text_file, monkeypatch
):
    assert race.read() == []
    row = race.run(TINY, text_file, 60, targets=(1.0,))
    race.keep(row | {"stopped": "before"})
    race.keep(row)
    assert race.read() == [row]
    changed = replace(TINY, recipe=replace(TINY.recipe, dropout=0.1))
    monkeypatch.setitem(race.ENTRIES, "lstm", changed)
    assert race.read() == []


def test_a_row_of_the_results_belongs_to_its_recipe():
    for row in results.read("race") or []:
        assert row["recipe"] == describe(race.ENTRIES[row["name"]].recipe)
        assert seconds(row) == pytest.approx(row["wall_seconds"], abs=2)
        before = row["epochs"][:-1]
        assert all(epoch["perplexity"] > race.TARGETS[-1] for epoch in before)


def test_the_table_says_what_was_not_reached_and_that_the_machine_was_busy():
    row = {"name": "lstm", "precision": "float32", "stopped": "the limit"}
    row["epochs"] = [
        {"training_seconds": 10.0, "evaluation_seconds": 1.0, "perplexity": 130.0},
        {"training_seconds": 12.0, "evaluation_seconds": 2.0, "perplexity": 119.0},
    ]
    row |= {"cores_used_by_others": 0.7, "machine": machine.describe()}
    assert "| 25.0 (22.0) | not reached | not reached | 119.0 | 2 | 25, the limit |" in race.table(
        [row]
    )
    assert "busy" in race.conditions([row]) and "0.7 during lstm" in race.conditions([row])
    assert "busy" not in race.conditions([row | {"cores_used_by_others": 0.0}])


# The peers


@pytest.mark.parametrize("recipe", PEERS, ids=lambda recipe: recipe.name)
def test_a_peer_reads_on_from_its_state_and_is_scored_without_its_penalties(recipe, text_file):
    validset = Dataset(9, text_file, train=False)
    model = peers.build_model(recipe, len(validset.unique_data)).eval()
    x = validset.data[None, :30]
    whole, _ = model(x, model.initialize(1))
    first, state = model(x[:, :11], model.initialize(1))
    second, _ = model(x[:, 11:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=1e-4, atol=1e-5)
    if recipe is peers.AWD_LSTM_LM:
        losses = [
            training.evaluate(model, criterion, evaluation_loader(validset))
            for criterion in (peers.PenalizedLoss(model), torch.nn.CrossEntropyLoss())
        ]
        assert losses[0] == losses[1]


def test_a_window_of_one_word_has_no_change_to_be_penalized():
    """The rows of *Pride and Prejudice* end with one: a mean over no steps would be NaN."""
    model = peers.build_model(peers.AWD_LSTM_LM, 20).train()
    x = torch.arange(3)[:, None]
    logits, _ = model(x, model.initialize(3))
    loss = peers.PenalizedLoss(model)(logits[:, 0], x[:, 0])
    _, dropped = model.heard
    expected = functional.cross_entropy(logits[:, 0], x[:, 0]) + 2 * dropped.square().mean()
    torch.testing.assert_close(loss, expected)


def test_awd_lstm_lm_has_as_many_weights_as_its_authors_say():
    """24 million on the 10,000 words of the Penn Treebank (Merity et al. 2018, table 1)."""
    model = peers.build_model(peers.AWD_LSTM_LM, 10_000)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(24e6, rel=0.02)
    assert model.output.weight is model.embedding.weight


def test_the_peer_of_the_race_is_that_of_the_other_page(text_file, tmp_path):
    log, file = language_model.train_peer(text_file, tmp_path, 1)
    row = race.run(race.Entry("peer", peers.WORD_LANGUAGE_MODEL), text_file, 0.0)
    expected = training.perplexity(log["validation_loss"][0])
    assert row["epochs"][0]["perplexity"] == pytest.approx(expected, rel=1e-4)
    assert (tmp_path / file).exists()
