"""What the pages say of results/ is what its files say, and these are of today's recipes."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import page, race, results, seeds
from benchmarks.leaderboard import bootstrap, table
from benchmarks.leaderboard.parts import describe
from benchmarks.leaderboard.rows import THREE_BOOKS
from blg561.language_model.recipes import ASSIGNMENT

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_is_that_of_the_results():
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_table_of_the_readme_is_that_of_the_results():
    readme = page.README.read_text(encoding="utf-8")
    assert page.within(page.README, page.short_table()) == readme
    assert page.short_table() in readme


def test_the_table_of_the_race_is_that_of_the_results():
    assert race.report(race.read()) in page.RACE.read_text(encoding="utf-8")


def test_the_seeds_are_those_of_todays_recipes():
    stored = {(row["name"], row["seed"]): row["recipe"] for row in seeds.of("pride_prejudice")}
    for name, recipe in ASSIGNMENT.items():
        for seed in seeds.SEEDS:
            assert stored[name, seed] == describe(replace(recipe, seed=seed))


def test_every_module_and_folder_is_in_the_readmes_map():
    readme = page.README.read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+)`", readme[readme.index("## What is where") :]))
    for path in (ROOT / "blg561").rglob("*.py"):
        folder = path.parent.relative_to(ROOT).as_posix() + "/"
        is_named = {folder, path.parent.name + "/", path.stem} & named
        parts = {"blg561/", "blg561/layer/", "blg561/language_model/"}
        if folder in parts and path.name != "__init__.py":
            is_named = path.stem in named  # of these, one by one
        assert is_named, f"{folder}{path.name}"


def test_a_file_of_results_is_the_old_or_the_new_one(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    assert results.read("some") is None
    results.write("some", {"x": [1, 2]})
    with pytest.raises(TypeError):
        results.write("some", {"x": object()})
    assert results.read("some") == {"x": [1, 2]}

    def killed(*paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(results.os, "replace", killed)
        results.write("some", [3])
    assert results.read("some") == {"x": [1, 2]}
    results.write("some", [3])
    assert json.loads((tmp_path / "results/some.json").read_text(encoding="utf-8")) == [3]


# The block bootstrap


def test_a_drawn_text_is_made_of_blocks_of_successive_words():
    values = np.random.default_rng(1).normal(size=23)
    around = np.concatenate([values, values])
    expected = [around[start : start + 5].sum() for start in range(23)]
    np.testing.assert_allclose(bootstrap.block_sums(values, 5), expected, atol=1e-12)
    means = bootstrap.drawn_means(values, 5, draws=40, seed=3)
    starts = np.random.default_rng(3).integers(0, 23, (40, 5))
    for mean, row in zip(means, starts, strict=True):
        drawn = np.concatenate([around[start : start + 5] for start in row])
        assert mean == pytest.approx(drawn.mean())


def test_an_interval_has_the_true_mean_in_95_of_100_cases_where_blocks_outlast_the_memory():
    """A text whose hard stretches last 20 words: single words as blocks say far too little."""
    rng, inside = np.random.default_rng(0), {1: 0, 100: 0}
    for _ in range(200):
        stretches = np.repeat(rng.normal(size=200), 20)
        for block in inside:
            means = bootstrap.drawn_means(stretches, block, draws=300, seed=0)
            low, high = np.percentile(means, [2.5, 97.5])
            inside[block] += low <= 0 <= high
    assert inside[100] / 200 == pytest.approx(0.94, abs=0.04)
    assert inside[1] / 200 < 0.5


def test_a_gain_is_taken_word_by_word():
    """What is hard for both does not count, and the better row gains."""
    hard = np.random.default_rng(0).normal(5, 2, size=3000)
    assert bootstrap.gain(hard, hard + 0.25) == {"nats": 0.25, "interval": [0.25, 0.25]}


def test_the_intervals_of_the_page_hold_what_was_measured():
    measured = results.read("bootstrap")
    for found in measured["rows"]:
        low, high = found["interval"]
        assert low < found["perplexity"] < high
    whole = {found["name"]: found["perplexity"] for found in measured["rows"]}
    for found in measured["gains"]:
        expected = np.log(whole[found["over"]] / whole[found["name"]])
        assert found["nats"] == pytest.approx(expected, abs=3e-4)
        low, high = found["interval"]
        assert low < found["nats"] < high


def test_the_bootstrap_scores_what_the_leaderboard_scored():
    """Seed 0 as it comes with the package is rounded; its weights are those of the same choices."""
    stored = {row["name"]: row for row in results.read("leaderboard") if row["book"] == page.BOOK}
    for found in results.read("bootstrap")["rows"]:
        expected = stored[found["name"]]["results"][0]
        assert found["perplexity"] == pytest.approx(expected["perplexity"], abs=0.06)
        assert found["weights"] == pytest.approx(expected["weights"], abs=0.01)


def test_the_intervals_of_three_books_are_of_the_rows_that_are_stored():
    stored = {(row["book"], row["name"]): row for row in table.read(THREE_BOOKS)}
    own = {(row["book"], row["name"]): row["results"][0]["perplexity"] for row in table.read()}
    alone = {"pooled": "kneser_ney_5", "pooled_online": "kneser_ney_5_online"}
    alone["all_pooled"] = "all_one"  # the network of which is not rounded
    measured = results.read("three_books_bootstrap")["rows"]
    compared = [(row.book, row.name) for row in THREE_BOOKS.rows if bootstrap.has_a_rival(row)]
    assert [(row["book"], row["name"]) for row in measured] == compared
    for found in measured:
        run, *_ = stored[found["book"], found["name"]]["results"]
        assert found["perplexity"] == pytest.approx(run["perplexity"], abs=0.01)
        if found["name"] in alone:
            expected = own[found["book"], alone[found["name"]]]
            assert found["alone"]["perplexity"] == pytest.approx(expected, abs=0.06)
        nats = np.log(found["alone"]["perplexity"] / found["perplexity"])
        assert found["gain"]["nats"] == pytest.approx(nats, abs=3e-4)
        for value, (low, high) in (
            (found["perplexity"], found["interval"]),
            (found["alone"]["perplexity"], found["alone"]["interval"]),
            (found["gain"]["nats"], found["gain"]["interval"]),
        ):
            assert low < value < high
