"""The handout is the package without the solutions: nothing more is missing, none is left."""

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from made_submissions import LAYERS

from blg561.assignment import hand_in, handout, settings
from blg561.errors import InputError
from blg561.language_model.books import CATALOGUE


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("made") / "handout"
    handout.write(target, settings.load())
    return target


def test_the_handout_and_what_was_cut_are_the_package():
    files, cuts = handout.package()
    for path, text in files.items():
        original = (handout.PACKAGE / path).read_text(encoding="utf-8")
        assert handout.restore(text, cuts[path]) == original, path
    assert sum(map(len, cuts.values())) > 20


def solution_lines() -> set[str]:
    """Every line of the package's solutions that says something and is not given."""
    files, cuts = handout.package()
    given = {line.strip() for text in files.values() for line in text.splitlines()}
    lines = [line for pieces in cuts.values() for piece in pieces for line in piece.original]
    for name in ("models", "training", "generation"):
        lines += (handout.PACKAGE / f"language_model/{name}.py").read_text("utf-8").splitlines()
    lines = {re.sub(r"  # .*", "", line).strip() for line in lines}
    code = {line for line in lines if re.search(r"[=(]", line) and len(line) >= 18}
    return {line for line in code - given if not re.match(r"def |class |\w+=\w+,", line)}


def test_no_line_of_a_solution_is_left(folder):
    lines = solution_lines()
    assert {"da = dnext_h * (1 - next_h**2)", "dc = dnext_c + dtanh_c * (1 - tanh_c**2)"} <= lines
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".ipynb":
                text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
            left = lines & {re.sub(r"  # .*", "", line).strip() for line in text.splitlines()}
            assert not left, f"{path.name}: {left}"


def test_the_handout_holds_text_alone_and_no_trace_of_the_solution(folder):
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes <= {".py", ".md", ".toml", ".ipynb", ".txt", ""}
    names = {path.name for path in folder.rglob("*")}
    assert not names & {"pretrained", ".git", "answers.py", "diagrams.py", "feedforward_layers.py"}
    made = json.loads((folder / "LanguageModelling.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_every_method_of_the_layers_is_there_and_empty(folder):
    tree = ast.parse((folder / "blg561/layer/recurrent_layers.py").read_text(encoding="utf-8"))
    for layer in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        bodies = {node.name: node.body for node in layer.body if isinstance(node, ast.FunctionDef)}
        assert set(bodies) == {"__init__", "forward_step", "backward_step", "forward", "backward"}
        del bodies["__init__"]
        for name, (_, *rest) in bodies.items():
            assert [ast.unparse(node) for node in rest] == ["raise NotImplementedError"], name


def test_no_address_leads_to_a_solution(folder):
    """Books come from Project Gutenberg: the other addresses are of repositories with solutions."""
    text = "\n".join(p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file())
    hosts = set(re.findall(r"https?://([\w.]+)", text))
    assert hosts and not {host for host in hosts if "github" in host}, hosts


def test_the_archive_is_the_folder_and_the_same_each_time(folder, tmp_path):
    again = handout.write(tmp_path / "handout", settings.load())
    assert again.read_bytes() == folder.with_suffix(".zip").read_bytes()
    with zipfile.ZipFile(again) as archive:
        names = set(archive.namelist())
    assert names == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def run_tests(folder):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder, capture_output=True, text=True,
        env={"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed)", done.stdout)}


def test_the_students_tests_fail_one_by_one_until_the_layers_are_right(folder, tmp_path):
    assert run_tests(folder) == {"failed": 43}
    handout.write(tmp_path / "handout", settings.load())
    layers = tmp_path / "handout/blg561/layer/recurrent_layers.py"
    layers.write_text(LAYERS.replace("db = da.sum(axis=0)  # (RNN.8)", "db = da.mean(axis=0)"))
    assert run_tests(tmp_path / "handout") == {"passed": 42, "failed": 1}


def test_packing_says_what_is_missing(folder, tmp_path, capsys):
    (tmp_path / "LanguageModelling.ipynb").write_text("{}")
    missing = hand_in.pack(tmp_path)
    assert missing == [name for name in hand_in.WANTED if name != "LanguageModelling.ipynb"]
    assert "MISSING  networks/gated.pt" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["LanguageModelling.ipynb"]


def test_the_points_are_the_assignments():
    said = settings.load()
    totals = {part: sum(points.values()) for part, points in said["points"].items()}
    assert totals == {"RNN": 10, "LSTM": 15, "GRU": 15, "LM": 45, "Q": 15}


def written(tmp_path, old: str, new: str) -> Path:
    """The assignment's file with one pattern of it replaced."""
    text, count = re.subn(old, new, settings.DEFAULT.read_text(encoding="utf-8"), count=1)
    assert count
    ours = tmp_path / "assignment.toml"
    ours.write_text(text, encoding="utf-8")
    return ours


def test_every_book_is_one_that_there_is():
    thresholds = settings.load()["thresholds"]
    targets = {b.key: b.target_perplexity for b in CATALOGUE.values() if b.target_perplexity}
    assert thresholds == targets | {"nothing_from": 2.0}
    listed = "120 for `pride_prejudice`, 125 for `tale_of_two_cities`, 125 for"
    assert f"{listed} `the_brothers_karamazov`" in handout.files(settings.load())["README.md"]


NUMBER = "expected a number above 0, up to 1,000,000, got"
POINTS = "expected a number of 0 or more, up to 1,000,000, got"
REFUSED = {
    "a title that is no text": ('title = ".*"', "title = 3", "title: expected text, as in"),
    "no book": ('book = ".*"', "", "book: expected text, as in assignment.toml, got nothing"),
    "limits that are a number": (r"\[limits\](.|\n)*", "", "limits: expected a table"),
    "no part": ("parts = .*", "parts = []", "parts: expected some of RNN, LSTM, .* got none$"),
    "a part in a list": (
        "parts = .*",
        'parts = ["RNN", ["x"]]',
        r"parts: .* some of RNN.* got \['x'\]$",
    ),
    "an unknown part": (
        "parts = .*",
        'parts = ["RNN", "CNN"]',
        "parts: expected some of RNN.* got 'CNN'$",
    ),
    "a part twice": ("parts = .*", 'parts = ["Q", "Q"]', "parts: expected each part once, .*Q, Q"),
    "points in quotes": (
        "Dataset = 6",
        'Dataset = "6"',
        rf"Dataset in \[points.LM\]: {POINTS} '6'",
    ),
    "points that are no number": ("Dataset = 6", "Dataset = nan", f"Dataset.* {POINTS} nan"),
    "points without end": ("Dataset = 6", "Dataset = inf", f"Dataset.* {POINTS} inf"),
    "points below 0": ("Dataset = 6", "Dataset = -6", f"Dataset.* {POINTS} -6"),
    "true points": ("Dataset = 6", "Dataset = true", f"Dataset.* {POINTS} True"),
    "no points for a method": (
        "Dataset = 6",
        "",
        r"\[points.LM\]: expected Dataset, .* got RNNModel",
    ),
    "points that are no table": (
        r"\[points.RNN\]",
        "[points]\nRNN = 10\n[points.x]",
        r"\[points.RNN\]: expected a table, as in assignment.toml, got 10",
    ),
    "a threshold in quotes": ("= 120", '= "x"', rf"pride_prejudice in .thresholds.: {NUMBER} 'x'"),
    "a threshold of 0": ("= 120", "= 0", f"pride_prejudice.* {NUMBER} 0"),
    "a book that there is not": (
        "the_brothers_karamazov",
        "brothers_karamazov",
        r"\[thresholds\]: expected books of pride_prejudice, .* got 'brothers_karamazov'",
    ),
    "no threshold for the book": (
        "pride_prejudice = 120",
        "",
        r"\[thresholds\]: expected one for the book, 'pride_prejudice', got tale_of_two_cities",
    ),
    "a book that is the end of points": (
        'book = ".*"',
        'book = "nothing_from"',
        r"\[thresholds\]: expected one for the book, 'nothing_from'",
    ),
    "no end of points": (
        "nothing_from = .*",
        "",
        "nothing_from .* a number above 1, .* got nothing",
    ),
    "points that end where they begin": (
        "nothing_from = .*",
        "nothing_from = 1.0",
        "nothing_from in .thresholds.: expected a number above 1, up to 1,000,000, got 1.0",
    ),
    **{
        f"a limit of {value}": (
            "memory_gib = .*",
            f"memory_gib = {value}",
            rf"memory_gib in \[limits\]: {NUMBER} {got}$",
        )
        for value, got in (
            ("0", "0"),
            ("-1", "-1"),
            ("true", "True"),
            ('"10"', "'10'"),
            ("nan", "nan"),
            ("inf", "inf"),
            ("1e9", "1000000000.0"),
        )
    },
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused_before_anything_is_graded(tmp_path, name):
    old, new, message = REFUSED[name]
    ours = written(tmp_path, old, new)
    with pytest.raises(InputError, match=f"^{re.escape(str(ours))}: {message}") as raised:
        settings.load(ours)
    assert "\n" not in str(raised.value)


def test_points_of_nothing_are_refused(tmp_path):
    ours = written(tmp_path, "parts = .*", 'parts = ["Q"]')
    text = re.sub('("Question .") = 5', r"\1 = 0", ours.read_text(encoding="utf-8"))
    ours.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="points: expected some above 0 for Q, got 0 for all"):
        settings.load(ours)


def test_what_a_teacher_may_mean_is_taken(tmp_path):
    ours = written(tmp_path, "figures = 3", "figures = 0")
    text = ours.read_text(encoding="utf-8").replace("tale_of_two_cities = 125", "practice = 9.5")
    ours.write_text(re.sub(r"\[points.RNN\](.|\n)*(?=\[points.LSTM)", "", text), encoding="utf-8")
    with pytest.raises(InputError, match=r"\[points.RNN\]: expected a table, .* got nothing"):
        settings.load(ours)
    text = ours.read_text(encoding="utf-8").replace('"RNN", ', "")
    ours.write_text(text, encoding="utf-8")
    said = settings.load(ours)
    assert said["points"]["LM"]["figures"] == 0 and said["thresholds"]["practice"] == 9.5


def test_a_part_that_is_not_asked_is_not_handed_out(tmp_path):
    text = settings.DEFAULT.read_text(encoding="utf-8")
    ours = tmp_path / "assignment.toml"
    ours.write_text(text.replace('"RNN", "LSTM", "GRU"', '"LSTM"'), encoding="utf-8")
    made = handout.files(settings.load(ours))
    assert "tests/test_lstm.py" in made and "tests/test_gru.py" not in made
    assert "the GRU layer" not in made["README.md"]
    assert made["blg561/assignment/parts.txt"].split() == ["LSTM", "LM", "Q"]
    assert set(hand_in.wanted(["GRU"])) == {"blg561/layer/recurrent_layers.py"}
    assert hand_in.wanted(["RNN", "LM"]) == hand_in.WANTED
