"""The tables of the README say what the files in results/ say."""

import json
from pathlib import Path

from benchmarks import language_model, seeds

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_seeds_table_is_that_of_the_results():
    rows = [row for row in seeds.read() if row["book"] == "pride_prejudice"]
    assert seeds.table(rows) in README


def test_the_benchmark_table_is_that_of_the_results():
    measured = json.loads(language_model.RESULTS.read_text(encoding="utf-8"))
    assert measured["book"] == "pride_prejudice"
    assert language_model.table(measured["runs"], measured["target"]) in README
    assert language_model.ratio(measured["runs"], measured["target"]) in " ".join(README.split())
