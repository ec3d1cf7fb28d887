"""The grader on made submissions: each usual mistake gets the points that it must.

Attacks are in grade_attacks.py and the language model's in grade_submissions.py: they take longer.
"""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
import pytest
from made_submissions import LAYERS, RNN, changed, in_forward, layers_alone, said_for, submission

from blg561.__main__ import main
from blg561.assignment import autograder, grade, handout, language_model, layers, report, settings
from blg561.assignment.language_model import (
    DATASET,
    EVALUATE,
    GENERATE,
    MODEL,
    Judge,
    close,
    judge_dataset,
    judge_evaluate,
    judge_generate,
    judge_model,
    words_of,
)
from blg561.assignment.language_model import grade as grade_language_model
from blg561.assignment.report import Graded
from blg561.assignment.sandbox import Sandbox
from blg561.assignment.scores import Mark
from blg561.assignment.submission import LARGEST_CONTENTS
from blg561.assignment.submission import read as read_submission
from blg561.errors import InputError


def rnn(right: str, wrong: str, where: str = RNN) -> str:
    return changed(LAYERS, right, wrong, where)


BACKWARD_STEP = "da = dnext_h * (1 - next_h**2)"
BACKWARD = "da[t] = dnext_h * (1 - h[t + 1] ** 2)"
# name → (layers' text, points of the RNN's 10, a word that the student must read)
MADE = {
    "perfect": (LAYERS, 10, "right on numbers"),
    "untouched": (handout.package()[0]["layer/recurrent_layers.py"], 0, "not written yet"),
    # usual mistakes
    "db-mean": (rnn("db = da.sum(axis=0)", "db = da.mean(axis=0)"), 9.52, "mean over rows"),
    "db-unsummed": (rnn("db = da.sum(axis=0)", "db = da"), 9.52, "a sum over rows"),
    "slope": (rnn(BACKWARD_STEP, "da = dnext_h * (1 - next_h)"), 7, "1 - h where it"),
    "no-slope": (rnn(BACKWARD, "da[t] = dnext_h"), 7, "slope of tanh is left out"),
    "transpose": (rnn("dprev_h = da @ Wh.T", "dprev_h = da @ Wh"), 9.52, "not transposed"),
    "transpose-shape": (rnn("dx = da @ Wx.T", "dx = da @ Wx"), 7, "is a transpose missing"),
    "one-step-db": (
        rnn("db = rows(da).sum(axis=0)", "db = da[0].sum(axis=0)"),
        9.52,
        "sum over time",
    ),
    "no-flow": (
        rnn("dnext_h = dh[:, t] + dprev_h", "dnext_h = dh[:, t]"),
        7,
        "from the step after",
    ),
    "sign": (rnn("dWh = prev_h.T @ da", "dWh = -prev_h.T @ da"), 9.52, "sign is the other"),
    "in-place": (rnn(BACKWARD_STEP, "da = dnext_h\n        da *= 1 - next_h**2"), 9.4, "in place"),
    "sigmoid": (rnn("return np.tanh(a)  # (RNN.2)", "return sigmoid(a)"), 0, "sigmoid where tanh"),
    "wrong-count": (
        rnn("return dx, dprev_h, dWx, dWh, db", "return dx, dprev_h, dWx, dWh"),
        7,
        "expected 5 values",
    ),
    "reads-nothing": (in_forward("return 0 * x"), 5, "expected shape"),
    "more-rows-alone": (
        in_forward("if len(x) == 1: raise ValueError('a row alone')"),
        5,
        "one row and one step",
    ),
    # what happens to files
    "syntax-error": (
        LAYERS.replace("class GRULayer(Layer):", "class GRULayer(Layer:"),
        0,
        "SyntaxError",
    ),
    "crlf": (LAYERS.replace("\n", "\r\n"), 10, "right"),
    "latin-1": (
        b"# -*- coding: latin-1 -*-\n# \xe9t\xe9\n" + LAYERS.encode("ascii", "ignore"),
        10,
        "right",
    ),
    "utf-16": (LAYERS.encode("utf-16"), 0, "null bytes"),
    # what is handed over
    "not-a-number": (
        in_forward("return np.full((*x.shape[:2], self.out_size), np.nan)"),
        5,
        "finite",
    ),
    "subnormal": (in_forward("return np.full((*x.shape[:2], self.out_size), 5e-324)"), 5, "wrong"),
    "float16": (
        rnn("return np.tanh(a)  # (RNN.2)", "return np.tanh(a).astype(np.float16)"),
        0,
        "numbers are wrong",
    ),
    "strided": (
        rnn("return np.tanh(a)  # (RNN.2)", "return np.repeat(np.tanh(a), 2, axis=-1)[..., ::2]"),
        10,
        "right",
    ),
    "complex": (in_forward("return 1j * np.ones((*x.shape[:2], self.out_size))"), 5, "are wrong"),
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Every made submission, graded in one go into one folder."""
    folder = tmp_path_factory.mktemp("made")
    paths = [layers_alone(folder, name, text) for name, (text, *_) in MADE.items()]
    out = folder / "graded"
    return {one.name: one for one in grade.grade_all(paths, out, said_for("RNN"), seed=7)}, out


@pytest.mark.parametrize("name", MADE)
def test_a_made_submission_gets_its_points(graded, name):
    one, (_, points, word) = graded[0][name], MADE[name]
    told = "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in one.tests)
    assert one.score == points, told
    assert word in told, told
    assert not one.flags


def test_grading_again_gives_the_same(graded, tmp_path):
    names = ["perfect", "slope", "wrong-count", "in-place"]
    paths = [graded[1].parent / name for name in names]
    again = grade.grade_all(paths, tmp_path, said_for("RNN"), seed=7)
    other = grade.grade_all(paths, tmp_path, said_for("RNN"), seed=8)
    for one, two in zip(again, other, strict=True):
        assert one.tests == graded[0][one.name].tests
        assert one.score == two.score


def test_the_results_are_gradescopes(graded):
    found = json.loads((graded[1] / "db-mean/results.json").read_text(encoding="utf-8"))
    assert found["score"] == 9.52
    assert sum(test["max_score"] for test in found["tests"]) == pytest.approx(10)
    assert all(test["name"].startswith("RNN ") for test in found["tests"])
    failed = [test for test in found["tests"] if test["status"] == "failed"]
    assert [test["name"] for test in failed] == ["RNN backward_step: db"]


def test_a_table_and_a_page_for_the_teacher(graded):
    with open(graded[1] / "grades.csv", newline="", encoding="utf-8") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert len(rows) == len(graded[0]) and rows["perfect"]["score"] == "10.0"
    page = (graded[1] / "teacher.html").read_text(encoding="utf-8")
    assert 'href="perfect/page.html"' in page and "RNN forward: h" in page


def one_of(path, *parts) -> Graded:
    return grade.grade_one(path, said_for(*parts), 3, "", {})


@pytest.mark.parametrize(
    ("right", "wrong", "lost", "word"),
    [
        ("a_i, a_f, a_o, a_g = split(a, 4)", "a_i, a_f, a_g, a_o = split(a, 4)", 6, "i, f, g, o"),
        ("do = dnext_h * tanh_c", "do = dnext_h", 7.5, ""),
        ("next_h = o * tanh_c", "next_h = o * next_c", 8.7, "without its tanh"),
    ],
)
def test_mistakes_in_the_lstm(tmp_path, right, wrong, lost, word):
    one = one_of(
        layers_alone(tmp_path, "one", changed(LAYERS, right, wrong, "def lstm_cell")), "LSTM"
    )
    told = "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in one.tests)
    assert one.score == pytest.approx(15 - lost, abs=0.01), told
    assert word in told


@pytest.mark.parametrize(
    ("right", "wrong", "score", "word"),
    [
        ("a_z, a_r = split(a, 2)", "a_r, a_z = split(a, 2)", 9, "in the other order"),
        (
            "dai = dcandidate * (1 - candidate**2)",
            "dai = dcandidate * (1 - candidate)",
            None,
            "1 - h",
        ),
    ],
)
def test_mistakes_in_the_gru(tmp_path, right, wrong, score, word):
    one = one_of(
        layers_alone(tmp_path, "one", changed(LAYERS, right, wrong, "def gru_cell")), "GRU"
    )
    told = "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in one.tests)
    assert score is None or one.score == score, told
    assert word in told and 0 < one.score < 15


def test_all_three_layers_at_once(tmp_path):
    one = one_of(layers_alone(tmp_path, "one"), "RNN", "LSTM", "GRU")
    assert [one.of_part(part) for part in ("RNN", "LSTM", "GRU")] == [10, 15, 15]


# Archives


def archive(tmp_path, entries) -> Path:
    path = tmp_path / "handed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content, *attributes in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = attributes[0] << 16 if attributes else 0o644 << 16
            packed.writestr(entry, content)
    return path


def test_an_archive_with_other_folders_and_a_changed_test(tmp_path):
    path = archive(
        tmp_path,
        [("my work/blg561/layer/recurrent_layers.py", LAYERS), ("tests/test_rnn.py", "import sys")],
    )
    assert one_of(path, "RNN").score == 10


@pytest.mark.parametrize(
    "entry",
    [
        ("../../recurrent_layers.py", LAYERS),
        ("/etc/recurrent_layers.py", LAYERS),
        ("recurrent_layers.py", "/etc/passwd", stat.S_IFLNK | 0o777),
    ],
)
def test_names_and_links_that_lead_out_are_not_read(tmp_path, entry):
    one = one_of(archive(tmp_path, [entry]), "RNN")
    assert one.score == 0
    assert any("was not" in note for note in one.notes), one.notes


def test_an_archive_that_unfolds_without_end(tmp_path):
    bomb = archive(tmp_path, [("recurrent_layers.py", bytes(60 * 2**20)), ("x/gated.pt", b"")])
    assert bomb.stat().st_size < 100_000
    one = one_of(bomb, "RNN")
    assert one.score == 0 and any("larger than what is allowed" in note for note in one.notes)


def test_a_link_in_a_folder(tmp_path):
    secret = layers_alone(tmp_path, "solution") / "recurrent_layers.py"
    (tmp_path / "thief").mkdir()
    (tmp_path / "thief/recurrent_layers.py").symlink_to(secret)
    one = one_of(tmp_path / "thief", "RNN")
    assert one.score == 0 and "was not followed" in one.notes[0]


def damaged(path: Path) -> Path:
    """The archive with some bytes of its first file's content changed."""
    content = bytearray(path.read_bytes())
    at = content.index(b"recurrent_layers.py") + 40
    content[at : at + 30] = bytes(30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("packed_as", "harm", "word"),
    [
        (zipfile.ZIP_DEFLATED, damaged, "cannot be read"),
        (zipfile.ZIP_LZMA, None, "unusual way"),
        (zipfile.ZIP_BZIP2, None, "unusual way"),
    ],
)
def test_a_file_that_cannot_be_unpacked_costs_itself_alone(tmp_path, packed_as, harm, word):
    path = tmp_path / "handed.zip"
    with zipfile.ZipFile(path, "w", packed_as) as packed:
        packed.writestr("recurrent_layers.py", LAYERS)
        packed.writestr("LanguageModelling.ipynb", "{}", zipfile.ZIP_DEFLATED)
    if harm:
        harm(path)
    names = ("recurrent_layers.py", "LanguageModelling.ipynb")
    handed_in = read_submission(path, dict.fromkeys(names, ""), 20)
    assert set(handed_in.files) == {"LanguageModelling.ipynb"}
    assert any(word in note for note in handed_in.notes), handed_in.notes


def test_a_table_of_contents_without_end_is_not_read(tmp_path):
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[20] * 2, *[0] * 4, *[0] * 3, 1, *[0] * 6) + b"a"
    count = 2 * LARGEST_CONTENTS // len(entry)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, count * len(entry), 0, 0)
    path = tmp_path / "handed.zip"
    path.write_bytes(entry * count + end)
    handed_in = read_submission(path, {"recurrent_layers.py": ""}, 20)
    assert "table of contents is too large" in handed_in.notes[0], handed_in.notes


def test_a_pipe_is_no_submission(tmp_path):
    os.mkfifo(tmp_path / "handed.zip")
    assert "something else" in read_submission(tmp_path / "handed.zip", {}, 20).notes[0]


def test_of_two_files_with_other_capitals_one_is_the_submission(tmp_path):
    entries = [("Recurrent_Layers.PY", "raise"), ("a/b/c/recurrent_layers.py", LAYERS)]
    assert one_of(archive(tmp_path, entries), "RNN").score == 10


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"Rar!"])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "handed.zip").write_bytes(content)
    one = one_of(tmp_path / "handed.zip", "RNN")
    assert one.score == 0 and not one.flags and "neither a folder nor a zip" in one.notes[0]


# Points of the teacher's


def test_the_teachers_points_for_the_answers_are_merged(tmp_path):
    folder = submission(tmp_path / "ada", fill={})
    points = tmp_path / "points.csv"
    points.write_text("submission,Question 1,Question 3\nada,4.5,5\n", encoding="utf-8")
    (one,) = grade.grade_all([folder], tmp_path / "out", said_for("Q"), points)
    assert [test.score for test in one.tests] == [4.5, 0, 5]


@pytest.mark.parametrize(
    "notebook",
    ["[" * 100_000, '{"cells": 1}', '{"cells": [[]]}', "\x00", "[NaN]", '{"cells": [{}', ""],
)
def test_a_notebook_that_is_none_has_no_answers(tmp_path, notebook):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/LanguageModelling.ipynb").write_text(notebook, encoding="utf-8")
    one = one_of(tmp_path / "ada", "Q")
    assert one.answers == {} and one.flags == [
        "read the answers in LanguageModelling.ipynb yourself"
    ]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("eve,1", "none of the submissions"),
        ("ada,6", "0 to 5"),
        ("ada,nan", "0 to 5"),
        ("ada,x", "0 to 5"),
    ],
)
def test_points_that_cannot_be_meant(tmp_path, row, word):
    points = tmp_path / "points.csv"
    points.write_text(f"submission,Question 1\n{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match=word):
        grade.read_prose(points, said_for("Q"), {"ada"})


def test_two_lines_for_one_student_are_refused(tmp_path):
    points = tmp_path / "points.csv"
    points.write_text("submission,Question 1\nada,4\n\neve,1\nada ,5\n", encoding="utf-8")
    with pytest.raises(InputError, match="one line for 'ada', got lines 2 and 5"):
        grade.read_prose(points, said_for("Q"), {"ada", "eve"})


def test_points_for_answers_that_are_not_asked_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"points\.csv: expected Q among the parts, got RNN, LM"):
        grade.read_prose(tmp_path / "points.csv", said_for("RNN", "LM"), {"ada"})


def refusal(tmp_path, capsys, *arguments) -> str:
    """The one line that the command prints for ada's submission."""
    text = settings.DEFAULT.read_text(encoding="utf-8")
    ours = tmp_path / "rnn.toml"
    ours.write_text(re.sub("parts = .*", 'parts = ["RNN"]', text), encoding="utf-8")
    assert main(["grade", "--settings", str(ours), *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("error: ")


def a_file(place: Path):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine", encoding="utf-8")


OUT_OF_PLACE = {
    "out": (a_file, "expected a folder for results, got a file: {place}"),
    "out/ada": (a_file, "expected a folder for results, got a file: {place}"),
    "out/grades.csv": (Path.mkdir, "results cannot be written to {place}: Is a directory"),
    "out/ada/page.html": (Path.mkdir, "results cannot be written to {place}: Is a directory"),
    "out/seed.txt": (Path.mkdir, "{place}, the file of the seed: Is a directory"),
}


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_what_is_in_the_way_of_results_is_named_before_the_grading(tmp_path, capsys, name):
    made, message = OUT_OF_PLACE[name]
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    made(place)
    ada = layers_alone(tmp_path / "handed", "ada")
    told = refusal(tmp_path, capsys, ada, "--out", tmp_path / "out")
    assert told == message.format(place=place)
    assert place.is_dir() or place.read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "out/ada/results.json").exists()


def test_no_folder_can_be_made_in_a_file(tmp_path, capsys):
    a_file(tmp_path / "file")
    told = refusal(tmp_path, capsys, layers_alone(tmp_path, "ada"), "--out", tmp_path / "file/out")
    assert told == f"results cannot be written to {tmp_path / 'file/out'}: Not a directory"


@pytest.mark.parametrize("text", ["xx", "", "1.5", "\udcff"])
def test_a_seed_that_is_none_is_not_replaced(tmp_path, text):
    (tmp_path / "seed.txt").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=r"seed\.txt: expected the seed, a whole number, got '"):
        grade.own_seed(tmp_path)
    assert (tmp_path / "seed.txt").exists()


@contextlib.contextmanager
def closed(place: Path):
    """Nobody may read or write it but root, who is somebody else meanwhile."""
    mode = place.stat().st_mode
    place.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        place.chmod(mode)


UNREADABLE = "the submission {ada} cannot be read: Permission denied"
UNWRITABLE = "results cannot be written to {place}: Permission denied"


@pytest.mark.skipif(os.name == "nt", reason="a folder's mode is no bar on Windows")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("handed", UNREADABLE),
        ("handed/ada", UNREADABLE),
        ("handed/ada.zip", UNREADABLE),
        ("out", UNWRITABLE),
        ("out/ada", UNWRITABLE),
        ("out/ada/page.html", UNWRITABLE),
        ("out/seed.txt", "{place}, the file of the seed: Permission denied"),
    ],
)
def test_what_is_closed_is_named_before_the_grading(name, message):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are root's alone
        base = Path(folder)
        for path in ("handed/ada/x", "handed/ada.zip", "out/ada/page.html", "out/seed.txt"):
            a_file(base / path)
        for path in (base, *base.rglob("*")):
            path.chmod(0o777)
        ada = base / ("handed/ada.zip" if name.endswith("zip") else "handed/ada")
        message = message.format(ada=ada, place=base / name)
        said = said_for("RNN")  # read while the checkout can be
        with closed(base / name), pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            grade.grade_all([ada], base / "out", said)


@pytest.mark.parametrize("name", ["..zip", "...zip"])
def test_no_name_leads_out_of_the_results(tmp_path, name):
    a_file(tmp_path / name)
    with pytest.raises(InputError, match=r"would have '\.\.?' for a folder: rename it"):
        grade.grade_all([tmp_path / name], tmp_path / "out", said_for("RNN"))


def test_two_submissions_of_one_name_are_refused_before_anything_is_graded(tmp_path):
    paths = [layers_alone(tmp_path / folder, "same") for folder in "ab"]
    with pytest.raises(InputError, match="same name"):
        grade.grade_all(paths, tmp_path / "out", said_for("RNN"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["grades.csv", "Teacher.html.zip", "seed.txt"])
def test_no_name_takes_the_graders_own_files(tmp_path, name):
    layers_alone(tmp_path, name)
    with pytest.raises(InputError, match="rename it"):
        grade.grade_all([tmp_path / name], tmp_path / "out", said_for("RNN"))


def test_results_are_not_written_into_a_submission(tmp_path):
    path = layers_alone(tmp_path, "ada")
    with pytest.raises(InputError, match="another --out"):
        grade.grade_all([path], tmp_path, said_for("RNN"))
    assert [p.name for p in path.iterdir()] == ["recurrent_layers.py"]


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a\n=1", "javascript:alert(1)", "\udcff", "%2e", "é"],
)
def test_names_of_submissions_are_harmless_wherever_they_are_written(tmp_path, name):
    one = Graded(name, [Mark("RNN x", 1, 1, "right")])
    report.write_one(one, said_for("RNN"), tmp_path)
    report.write_all([one], said_for("RNN"), tmp_path)
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        _, (first, score, *_) = csv.reader(file)
    assert first[0] not in "=+-@\t" and float(score) == 1
    (link,) = re.findall('href="([^"]*)"', (tmp_path / "teacher.html").read_text(encoding="utf-8"))
    assert not urlsplit(link).scheme
    assert os.path.exists(os.path.join(os.fsencode(tmp_path), unquote_to_bytes(link)))


def test_what_is_drawn_depends_on_what_is_handed_in(tmp_path):
    """So that what is said of one submission is no answer to the next."""
    texts = {"one": LAYERS, "same": LAYERS, "other": LAYERS + "\n"}
    read = {
        name: read_submission(layers_alone(tmp_path, name, text), {"recurrent_layers.py": ""}, 20)
        for name, text in texts.items()
    }
    seeds = {name: grade.seed_for(3, handed_in) for name, handed_in in read.items()}
    assert seeds["one"] == seeds["same"] != seeds["other"]
    assert grade.seed_for(4, read["one"]) != seeds["one"]


def test_a_process_that_does_not_begin_costs_no_points_in_silence(tmp_path, monkeypatch):
    monkeypatch.setattr("blg561.assignment.sandbox.namespaces", lambda: ("false",))
    one = one_of(layers_alone(tmp_path, "ada"), "RNN")
    assert "the grader failed" in one.flags[0] and "NotStarted" in one.flags[0]


def test_without_its_time_the_notebook_is_not_said_to_be_at_fault():
    said = settings.load()
    said["limits"]["seconds_for_a_submission"] = 1e-6
    with Sandbox({}, said["limits"]) as box:
        tests = grade_language_model(box, said, 3, {"LanguageModelling.ipynb": b"{}"}, "").tests
    assert {t.said for t in tests if "Model" in t.name} == {
        "the 1e-06 seconds for the whole submission were used up"
    }


@pytest.mark.parametrize(
    ("reached", "book", "flagged"),
    [
        (63.9, "pride_prejudice", True),
        (64.5, "pride_prejudice", False),
        (30, "practice", False),
    ],
)
def test_what_is_below_all_that_was_measured_is_put_before_the_teacher(
    monkeypatch, reached, book, flagged
):
    monkeypatch.setattr(language_model, "perplexity", lambda *_: reached)
    said = settings.load()
    judge = Judge(None, said | {"book": book, "thresholds": {book: 90, "nothing_from": 2}}, 3)
    monkeypatch.setattr(judge, "ready", lambda: None)
    mark = language_model.judge_network(judge, "gated", {"networks/gated.pt": b""}, "")
    assert mark.score == mark.most == 3
    told = f"has {reached}, below all that we measured, three books and adaptation included"
    assert judge.flags == [f"networks/gated.pt {told}"] * flagged


def test_nothing_that_was_measured_is_suspicious():
    results = Path(__file__).resolve().parents[1] / "results"
    measured = [
        result["perplexity"]
        for board in ("leaderboard", "three_books")
        for row in json.loads((results / f"{board}.json").read_text(encoding="utf-8"))
        for result in row["results"]
        if result["perplexity"] is not None
    ]
    assert language_model.SUSPICIOUS < min(measured) < language_model.SUSPICIOUS + 1


ENDLESS = """
import sys
from blg561.assignment import sandbox, settings

if sys.argv[1] == "without namespaces":
    sandbox.namespaces = tuple
code = "import ctypes; ctypes.CDLL(None).prctl(1, 0); open('begun', 'w')\\nwhile True: pass"
files = {"blg561/layer/recurrent_layers.py": code.encode()}
box = sandbox.Sandbox(files, settings.load()["limits"])
print(box.folder, flush=True)
box.start()
box.ask("run_layer", 60, parameters=[], inputs=[], upstream=[])
"""


def processes_of(folder: str) -> list[str]:
    """The processes that have the folder in their command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                found.append(path.parent.name)
    return found


def wait_for(condition, seconds: float = 20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are listed in /proc")
@pytest.mark.parametrize("how", ["with namespaces", "without namespaces"])
def test_a_grader_that_is_killed_leaves_no_process_behind(how):
    """Not even of code that computes without end and wants to outlive its parent."""
    program = [sys.executable, "-c", ENDLESS, how]
    grader = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    folder = grader.stdout.readline().strip()
    try:
        wait_for(lambda: Path(folder, "home/begun").exists())
        assert processes_of(folder)
        grader.kill()
        wait_for(lambda: not processes_of(folder))
    finally:
        grader.kill()
        grader.communicate()
        for process in processes_of(folder):
            os.kill(int(process), signal.SIGKILL)
        shutil.rmtree(folder)


def test_an_answer_of_another_form_costs_its_own_points_alone():
    """Nothing that a process can send raises in the grader, or is copied before it is measured."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    told = {"train": {"lexicon": deep}, "valid": {"lexicon": deep}}
    for answer in (told, {"train": {"lexicon": [1, "a"]}}, {"loss": "x"}, {"words": {}}, {}):
        judge = Judge(None, settings.load(), 3)
        judge.ask = lambda *_, answer=answer, **__: (answer, {"whole": np.zeros((1, 2))})
        for title, shares, run in (
            ("Dataset", DATASET, lambda judge=judge: judge_dataset(judge)),
            ("evaluate", EVALUATE, lambda judge=judge: judge_evaluate(judge)),
            ("generate", GENERATE, lambda judge=judge: judge_generate(judge)),
            ("RNNModel", MODEL, lambda judge=judge: judge_model(judge, "RNNModel")),
        ):
            if title == "Dataset":
                judge.sandbox = type("Box", (), {"put": staticmethod(lambda *_: "")})
            judge.judge(title, shares, run)
        assert sum(test.score for test in judge.tests) == 0
    huge = np.broadcast_to(True, (2**14, 2**14))
    assert not close(huge, np.zeros(3)) and words_of(huge, ["a"], 3) == []


def test_text_of_a_submission_cannot_become_a_page(tmp_path):
    one = Graded("<b>", [Mark("RNN x", 0, 1, "<script>alert()</script>\x1b[31m")])
    assert "<script>" not in report.student_page(one, said_for("RNN"))
    assert "<script>" not in report.teacher_page([one], said_for("RNN"))
    assert "\x1b" not in report.student_page(one, said_for("RNN"))


def test_among_the_commonest_faults_a_missing_file_is_one():
    """However much was to be asked of it; what hides behind other equal words stays apart."""
    missing = [Mark(f"LM Dataset: {n}", 0, 1, "LanguageModelling.ipynb is missing") for n in "abc"]
    wrong = [Mark(f"RNN backward: {n}", 0, 1, "a sum over rows or steps is missing") for n in "db"]
    all_graded = [Graded("ada", [*missing, *wrong]), Graded("ben", missing)]
    page = report.teacher_page(all_graded, said_for("RNN", "LM"))
    _, faults = page.split("Commonest faults")
    rows = re.findall(r'<td class="n">(\d+)</td><td>(.*?)</td><td>(.*?)</td>', faults)
    assert rows == [
        ("2", "LanguageModelling.ipynb", "LanguageModelling.ipynb is missing"),
        ("1", "RNN backward: d", "a sum over rows or steps is missing"),
        ("1", "RNN backward: b", "a sum over rows or steps is missing"),
    ]


def test_where_no_answer_was_given_the_teacher_is_told_so():
    graded = [Graded("ada", answers={"Question 1": "<so>"}), Graded("ben", answers={})]
    page = report.teacher_page(graded, said_for("RNN", "Q"))
    asked = page[page.index("Question 1") :]
    assert "<td>ada</td><td><pre>&lt;so&gt;</pre></td>" in asked
    assert "<td>ben</td><td><em>no answer</em></td>" in asked


def test_the_archive_for_gradescope(tmp_path, monkeypatch):
    book = tmp_path / "book.txt"
    book.write_text("a book", encoding="utf-8")
    monkeypatch.setattr("blg561.language_model.books.find", lambda key: book)
    seeds = set()
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(autograder.write(tmp_path / name)) as packed:
            names = set(packed.namelist())
            seeds.add(packed.read("seed.txt"))
            for script in ("setup.sh", "run_autograder"):
                assert packed.getinfo(script).external_attr >> 16 & stat.S_IXUSR
    assert {"assignment.toml", "data/book.txt", "blg561/assignment/child.py"} <= names
    assert not any("pretrained/" in name and name.endswith(".pt") for name in names)
    assert len(seeds) == 2


def test_the_folders_own_seed_is_kept(tmp_path):
    assert grade.own_seed(tmp_path) == grade.own_seed(tmp_path)


def test_the_references_are_our_layers():
    """What is right for the grader is what the package computes."""
    from blg561 import layer as ours

    for part, name in layers.CLASSES.items():
        case = layers.draw(part, seed=5, number=0)
        layer = getattr(ours, name)(*case.sizes[2:])
        for parameter, value in case.parameters.items():
            setattr(layer, parameter, value)
        h = layer.forward(**case.inputs)
        assert layers.same(h, layers.compute(case, "forward", layers.Way()).values["h"])
        gradients = layer.backward(*case.upstream.values())
        for gradient, right in layers.compute(case, "backward", layers.Way()).values.items():
            assert layers.same(gradients[gradient], right), gradient
        for way in layers.FORWARD_MISTAKES[part].values():
            wrong = layers.compute(case, "forward_step", way).values["next_h"]
            assert not layers.same(
                wrong, layers.compute(case, "forward_step", layers.Way()).values["next_h"]
            )
            assert replace(way) == way
