"""What every lesson keeps to, and the tools that hold lessons and package together.

That a lesson runs and prints what is stored is nbval's part: see conftest.py. That it is run as it
should be is seen in run_made_lessons.py.
"""

import ast
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbformat.warnings import DuplicateCellId

from benchmarks import results
from tools import repository, sync

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 1_500_000

# What a lesson keeps to: each check returns the problems it finds


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def texts(cell):
    """Everything in a code cell's outputs that is text."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        elif output.output_type == "error":
            yield "\n".join([output.ename, output.evalue, *output.traceback])
        else:
            yield from (str(data) for kind, data in output.data.items() if kind[:6] != "image/")


def is_a_valid_notebook(notebook, name):
    # That ids are there and differ is a warning of nbformat, which pyproject.toml makes an error.
    try:
        nbformat.validate(notebook)
    except (nbformat.ValidationError, DuplicateCellId) as error:
        return [str(error)]
    return []


def is_stored_executed_from_top_to_bottom(notebook, name):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts {counts}"]


def stores_no_error(notebook, name):
    return [
        f"cell {cell.execution_count}: {output.ename}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error" and "raises-exception" not in tags(cell)
    ]


MACHINE_PATH = re.compile(
    r"(?<![\w.~-])/(?:home|root|Users|tmp|work|workspace|var|opt|usr|mnt|private|content)/\w[^\s'\"]*"
    r"|\b[A-Z]:\\+(?:Users|Windows|Program|Temp)\S*"
    r"|(?<!\S)~/\w\S*"
    r"|\S*(?:site|dist)-packages\S*"
)


def stores_no_path_of_a_machine(notebook, name):
    return [
        f"cell {cell.execution_count}: {match.group()}"
        for cell in code_cells(notebook)
        for text in texts(cell)
        for match in MACHINE_PATH.finditer(text)
    ]


def stores_nothing_from_stderr(notebook, name):
    return [
        f"cell {cell.execution_count}: {output.text[:80]!r}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    ]


def stores_no_warning_and_no_progress_bar(notebook, name):
    return [
        f"cell {cell.execution_count}: {match.group()!r}"
        for cell in code_cells(notebook)
        for text in texts(cell)
        for match in re.finditer(r"\w*Warning: .*|\d+%\|.*|[\d.]+it/s|.*widget-view.*", text)
    ]


def was_stored_with_the_known_edition(notebook, name):
    """And knows it: what a lesson asserts of that edition alone was asserted then."""
    return [
        f"cell {cell.execution_count}: {match.group()!r}"
        for cell in code_cells(notebook)
        for text in texts(cell)
        for match in re.finditer(r"\(another edition\)|Using the practice corpus", text)
    ]


def stores_figures_as_png(notebook, name):
    kinds = {"image/png", "text/plain"}
    return [
        f"cell {cell.execution_count}: {sorted(set(output.data) - kinds)}"
        for cell in code_cells(notebook)
        for output in cell.outputs
        if any(kind[:6] == "image/" and kind not in kinds for kind in output.get("data", {}))
    ]


IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
BADGE = "Open in Colab"


def gives_every_figure_an_alternative_text(notebook, name):
    """In a sentence; see plotting.show, and Diagram for those that are drawn."""
    texts = [
        (f"figure of cell {cell.execution_count}", output.metadata.get("image/png", {}).get("alt"))
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    texts += [
        (match.group(), match[1])
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for match in IMAGE.finditer(cell.source)
        if match[1] != BADGE
    ]
    return [what for what, text in texts if len((text or "").split()) < 4]


def is_small(notebook, name):
    size = len(nbformat.writes(notebook).encode())
    return [] if size < MAX_BYTES else [f"{size} bytes, at most {MAX_BYTES}"]


def uses_tags_and_not_comments_for_nbval(notebook, name):
    return [
        match.group()
        for cell in code_cells(notebook)
        for match in re.finditer(r"# *(?:NBVAL|PYTEST_VALIDATE)_\w+", cell.source)
    ]


def starts_with_its_title_and_badge(notebook, name):
    first = notebook.cells[0]
    badge = (
        "(https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{repository.slug()}"
        f"/blob/main/notebooks/{name})"
    )
    if first.cell_type != "markdown" or not re.match(r"# \S", first.source):
        return ["the first cell does not start with a title, `# ...`"]
    return [] if badge in first.source else [f"no badge {badge}"]


@cache
def colab_cell():
    """The first code cell of every lesson, as CONTRIBUTING.md gives it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"```python\n(import sys\n.*?)\n```", text, re.DOTALL)
    return cell


def starts_with_the_colab_cell(notebook, name):
    if code_cells(notebook)[0].source == colab_cell():
        return []
    return ["the first code cell is not the one in CONTRIBUTING.md"]


def has_a_blank_line_after_every_summary(notebook, name):
    """Without it Markdown does not render what a <details> folds away."""
    return [
        match.group()
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for match in re.finditer(r"<summary>.*?</summary>(?!\n\s*\n).*", cell.source)
    ]


READ = re.compile(r"^## What to read\n(.*)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)]*)\)")
# A chapter of a volume of 1980, of which neither a DOI nor a copy to read was found.
ONLY_IN_PRINT = ("Jelinek, Mercer: Interpolated estimation of Markov source parameters",)


def entries_to_read(notebook):
    """The entries of the section of references, each on one line."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    sections = (match[1] for source in cells for match in READ.finditer(source))
    entries = (entry for section in sections for entry in re.split(r"(?m)^- ", section)[1:])
    return [" ".join(entry.split()) for entry in entries]


def links_what_to_read(notebook, name):
    entries = entries_to_read(notebook)
    if not entries:
        return ["no section `## What to read` with a list"]
    linked = {entry: LINK.findall(entry) for entry in entries}
    return [
        f"no link in {entry!r}"
        for entry, addresses in linked.items()
        if not addresses and not entry.startswith(ONLY_IN_PRINT)
    ] + [
        f"{address!r} is no https address"
        for addresses in linked.values()
        for address in addresses
        if not re.fullmatch(r"https://\S+", address)
    ]


HOW_HARD = re.compile(r"\n\*Difficulty [1-5] of 5, about \d+ minutes?\b.*\*\n\n")


def says_how_hard_a_question_is(notebook, name):
    """In the line below its heading."""
    return [
        heading[0]
        for cell in notebook.cells
        for heading in re.finditer(r"^### Your turn.*", cell.source, re.MULTILINE)
        if not HOW_HARD.match(cell.source, heading.end())
    ]


def shows_the_code_of_the_package(notebook, name):
    return sync.sync(nbformat.from_dict(notebook))


CHECKS = [
    is_a_valid_notebook,
    is_stored_executed_from_top_to_bottom,
    stores_no_error,
    stores_no_path_of_a_machine,
    stores_nothing_from_stderr,
    stores_no_warning_and_no_progress_bar,
    was_stored_with_the_known_edition,
    stores_figures_as_png,
    gives_every_figure_an_alternative_text,
    is_small,
    uses_tags_and_not_comments_for_nbval,
    starts_with_its_title_and_badge,
    starts_with_the_colab_cell,
    has_a_blank_line_after_every_summary,
    links_what_to_read,
    says_how_hard_a_question_is,
    shows_the_code_of_the_package,
]


@cache
def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson(path, check):
    problems = check(read(path), path.name)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("start", ONLY_IN_PRINT)
def test_what_is_only_in_print_is_cited_and_has_no_link(start):
    entries = [entry for path in LESSONS for entry in entries_to_read(read(path))]
    cited = [entry for entry in entries if entry.startswith(start)]
    assert cited
    assert not any(LINK.search(entry) for entry in cited)


# Each check on a made-up lesson: it passes the good one and finds what is wrong with a bad one


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def result(**data):
    return new_output("execute_result", data={k.replace("_", "/"): v for k, v in data.items()})


def figure(alt):
    metadata = {"image/png": {"alt": alt}}
    return new_output("display_data", {"text/plain": "2", "image/png": "iVBO"}, metadata=metadata)


ERROR = new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])


TO_READ = f"""## Summary

- One.

## What to read

- Ada: [A paper that is cited over two
  lines](https://example.org/paper). 1843. Bob: [Another](https://example.org/other).
- Cleo (1950), [*A book*](https://example.org/book): why.
- {ONLY_IN_PRINT[0]}. 1980."""


def good_lesson():
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{repository.slug()}"
        "/blob/main/notebooks/09_Good.ipynb)"
    )
    cells = [
        new_markdown_cell(f"# Good\n\n{badge}\n\nWhat it is."),
        new_code_cell(colab_cell()),
        new_code_cell("1 + 1", outputs=[figure("Two lines that cross.")]),
        new_code_cell(
            "f()", outputs=[stream("no "), ERROR], metadata={"tags": ["raises-exception"]}
        ),
        new_code_cell(
            sync.definition("tools.sync.ROOT"), metadata={"tags": ["source:tools.sync.ROOT"]}
        ),
        new_markdown_cell(
            "### Your turn: 09.1\n*Difficulty 2 of 5, about 1 minute.*\n\nWhat is it?\n\n"
            "<details><summary>Solution</summary>\n\nTwo, see /home and a/tmp/b.\n"
        ),
        new_markdown_cell(TO_READ),
    ]
    notebook = new_notebook(cells=cells)
    for count, cell in enumerate(code_cells(notebook), start=1):
        cell.execution_count = count
    return notebook


def replace_in(cell, old, new):
    def change(notebook):
        assert old in notebook.cells[cell].source
        notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)

    return change


def output(*outputs):
    def change(notebook):
        notebook.cells[2].outputs = list(outputs)

    return change


def swap_the_counts(notebook):
    notebook.cells[1].execution_count, notebook.cells[2].execution_count = 2, 1


def forget_the_outputs(notebook):
    notebook.cells[2].execution_count, notebook.cells[2].outputs = None, []


def repeat_an_id(notebook):
    notebook.cells[3].id = notebook.cells[2].id


def lose_the_source(notebook):
    del notebook.cells[2]["source"]


BAR = "100%|██████████| 5/5 [00:01<00:00, 4.98it/s]"
BAD = [
    (is_a_valid_notebook, repeat_an_id),
    (is_a_valid_notebook, lose_the_source),
    (is_stored_executed_from_top_to_bottom, swap_the_counts),
    (is_stored_executed_from_top_to_bottom, forget_the_outputs),
    (stores_no_error, output(ERROR)),
    (stores_no_path_of_a_machine, output(stream("saved to /home/ada/figure.png"))),
    (stores_no_path_of_a_machine, output(result(text_plain="PosixPath('/tmp/x')"))),
    (stores_no_path_of_a_machine, output(result(text_html="<b>C:\\Users\\ada</b>"))),
    (stores_no_path_of_a_machine, output(stream("File ~/course/cell.py:3"))),
    (stores_no_path_of_a_machine, output(stream(".venv/lib/site-packages/torch/nn.py:3"))),
    (stores_nothing_from_stderr, output(stream("hm", name="stderr"))),
    (stores_no_warning_and_no_progress_bar, output(stream("x.py:3: UserWarning: slow\n"))),
    (stores_no_warning_and_no_progress_bar, output(stream(BAR))),
    (was_stored_with_the_known_edition, output(stream("read: a novel (another edition)"))),
    (stores_figures_as_png, output(result(**{"image_svg+xml": "<svg/>"}))),
    (gives_every_figure_an_alternative_text, output(figure(""))),
    (gives_every_figure_an_alternative_text, output(result(image_png="iVBO"))),
    (gives_every_figure_an_alternative_text, replace_in(0, "What it is.", "![](figure.png)")),
    (is_small, output(result(image_png="A" * MAX_BYTES))),
    (uses_tags_and_not_comments_for_nbval, replace_in(2, "1 +", "# NBVAL_SKIP\n1 +")),
    (starts_with_its_title_and_badge, replace_in(0, "# Good", "Good")),
    (starts_with_its_title_and_badge, replace_in(0, "09_Good", "08_Other")),
    (starts_with_its_title_and_badge, replace_in(0, repository.slug(), "some/fork")),
    (starts_with_the_colab_cell, replace_in(1, "--no-deps ", "")),
    (has_a_blank_line_after_every_summary, replace_in(5, "</summary>\n\n", "</summary>\n")),
    (links_what_to_read, replace_in(6, "## What to read", "## What to see")),
    (links_what_to_read, replace_in(6, "- ", "* ")),
    (links_what_to_read, replace_in(6, "[*A book*](https://example.org/book)", "*A book*")),
    (links_what_to_read, replace_in(6, "(https://example.org/book)", "()")),
    (links_what_to_read, replace_in(6, "https://example.org/other", "http://example.org/other")),
    (links_what_to_read, replace_in(6, "https://example.org/book", "06_OpenTheBox.ipynb")),
    (says_how_hard_a_question_is, replace_in(5, "*Difficulty 2 of 5, about 1 minute.*\n", "")),
    (says_how_hard_a_question_is, replace_in(5, "2 of 5", "6 of 5")),
    (says_how_hard_a_question_is, replace_in(5, "minute.*\n", "minute.* ")),
    (shows_the_code_of_the_package, replace_in(4, "parents[1]", "parents[2]")),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_good_lesson_passes(check):
    assert check(good_lesson(), "09_Good.ipynb") == []


@pytest.mark.parametrize(("check", "change"), BAD)
def test_a_bad_lesson_is_found(check, change):
    notebook = good_lesson()
    change(notebook)
    assert check(notebook, "09_Good.ipynb")


def test_every_check_was_shown_to_find_something():
    assert {check for check, _ in BAD} == set(CHECKS)


# make sync

MODULE = '''"""A module."""

RATE: float = 0.1  # per step
sizes = [
    1,
    2,
]


# A comment above.
@first
@second(3)
def decorated(x):
    return x  # (RNN.1)


class Layer:
    """A layer."""

    width = 3

    @property
    def long(self):
        """One line.

        Another.
        """
        return some_function_with_a_long_name(
            self.first_argument, self.second_argument, self.third
        )
'''
DEFINITIONS = {
    "RATE": "RATE: float = 0.1  # per step",
    "sizes": "sizes = [\n    1,\n    2,\n]",
    "decorated": "@first\n@second(3)\ndef decorated(x):\n    return x  # (RNN.1)",
    "Layer": MODULE[MODULE.index("class Layer") :].rstrip("\n"),
    "Layer.width": "width = 3",
    # At the margin the call fits into one line of 100 characters, so `ruff format` joins it.
    "Layer.long": '@property\ndef long(self):\n    """One line.\n\n    Another.\n    """\n'
    "    return some_function_with_a_long_name(self.first_argument, self.second_argument, "
    "self.third)",
}


@pytest.fixture
def package(tmp_path):
    (tmp_path / "pack/age").mkdir(parents=True)
    (tmp_path / "pack/__init__.py").write_text("LIMIT = 1\n")
    (tmp_path / "pack/age/module.py").write_text(MODULE)
    return tmp_path


@pytest.mark.parametrize("name", DEFINITIONS)
def test_sync_takes_the_definition_from_the_source(package, name):
    assert sync.definition(f"pack.age.module.{name}", package) == DEFINITIONS[name]


def test_sync_finds_a_name_of_a_package(package):
    assert sync.definition("pack.LIMIT", package) == "LIMIT = 1"


@pytest.mark.parametrize("name", ["pack.age.module.Lost", "pack.age.module.RATE.x", "lost.x", "x"])
def test_sync_says_which_name_it_cannot_find(package, name):
    with pytest.raises(LookupError, match=f"^{re.escape(name)}: "):
        sync.definition(name, package)


def test_sync_writes_the_cells_that_differ_and_keeps_the_rest_of_the_lesson(package):
    tag = "source:pack.age.module.decorated"
    stale = new_code_cell("def decorated(x): pass", metadata={"tags": ["x", tag], "note": 1})
    fresh = new_code_cell(DEFINITIONS["RATE"], metadata={"tags": ["source:pack.age.module.RATE"]})
    notebook = new_notebook(cells=[stale, fresh, new_code_cell("decorated(1)")])
    expected = nbformat.from_dict(notebook)
    expected.cells[0].source = DEFINITIONS["decorated"]

    assert sync.sync(notebook, package) == ["pack.age.module.decorated"]
    assert notebook == expected
    assert sync.sync(notebook, package) == []


def test_sync_writes_the_results_of_the_leaderboard():
    """The dictionary is what the file says."""
    code = new_code_cell("MEASURED = {}", metadata={"tags": ["results:leaderboard"]})
    notebook = new_notebook(cells=[code])
    assert sync.sync(notebook) == ["leaderboard"]

    found = {}
    exec(notebook.cells[0].source, found)
    stored = json.loads((sync.ROOT / "results/leaderboard.json").read_text(encoding="utf-8"))
    for row in stored:
        expected = [result["perplexity"] for result in row["results"]]
        assert found["MEASURED"][row["book"]].pop(row["name"]) == expected
    assert not any(found["MEASURED"].values())


def test_sync_writes_a_table_of_spelling():
    """The words of the test part and the rates of both networks, as the file has them."""
    cell = new_markdown_cell("old", metadata={"tags": ["table:spelling"]})
    notebook = new_notebook(cells=[cell])
    assert sync.sync(notebook) == ["spelling"]
    stored = json.loads((sync.ROOT / "results/spelling.json").read_text(encoding="utf-8"))
    for attention in (True, False):
        rates = [r["test"]["word_error_rate"] for r in stored if r["attention"] is attention]
        assert f"{100 * sum(rates) / len(rates):.1f} (" in notebook.cells[0].source


def test_sync_writes_what_a_script_measured(tmp_path, monkeypatch):
    """Laid out as the rest of the lesson is, and as Python has it: None and True."""
    measured = {"steps": [10, 20], "solved": {"rnn": None, "lstm": 0.25}, "checked": True}
    (tmp_path / "memory.json").write_text(json.dumps(measured), encoding="utf-8")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    notebook = new_notebook(cells=[new_code_cell("", metadata={"tags": ["results:memory"]})])
    assert sync.sync(notebook) == ["memory"]
    assert notebook.cells[0].source.startswith('MEMORY = {"steps": [10, 20], ')
    found = {}
    exec(notebook.cells[0].source, found)
    assert found["MEMORY"] == measured


def test_sync_packs_what_is_long(tmp_path, monkeypatch):
    """On full lines that ruff leaves as they are, texts with spaces in one piece."""
    measured = [{"a name, with spaces": [[n] * 30], "none": None} for n in range(40)]
    (tmp_path / "memory.json").write_text(json.dumps(measured), encoding="utf-8")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    source = sync.as_code("memory")
    assert (
        source.count("\n")
        < sync.LONGEST
        < sync.formatted(source[: -len("  # fmt: skip")]).count("\n")
    )
    assert sync.formatted(source) == source
    assert max(map(len, source.splitlines())) <= 100 + len("  # fmt: skip")
    found = {}
    exec(source, found)
    assert found["MEMORY"] == measured


@pytest.mark.parametrize("tag", ["results:lost", "table:lost"])
def test_sync_says_which_results_it_cannot_find(tag):
    notebook = new_notebook(cells=[new_code_cell("", metadata={"tags": [tag]})])
    with pytest.raises(LookupError, match=f"^{tag}: "):
        sync.sync(notebook)


# Equation numbers: `\tag{RNN.1}` in a lesson, `# (RNN.1)` at the end of a line of the package

LESSON_OF = {
    "RNN": "01_RNN",
    "LSTM": "02_LSTM",
    "GRU": "03_GRU",
    "LM": "04_LanguageModelling",
    "BT": "05_BeyondTheTarget",
    "NLM": "06_OpenTheBox",
    "ATT": "07_Attention",
    "MIN": "08_AfterTheLSTM",
}
NUMBER = re.compile(rf"\(((?:{'|'.join(LESSON_OF)})\.\d+)\)")
EQUATION = re.compile(r"\\tag\{([^}]*)\}")


def equations(notebook):
    """The numbers of a lesson's equations."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [number for source in cells for number in EQUATION.findall(source)]


def computed(source):
    """The numbers in the comments that end a line of code; a comment line of its own is none."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT)
    ends = (token.string for token in comments if token.line[: token.start[1]].strip())
    return {number for comment in ends for number in NUMBER.findall(comment)}


def equation_problems(lessons, sources):
    """What is wrong between lessons, {name: notebook}, and the package, {name: source text}."""
    problems = []
    numbered = {}
    for name, notebook in lessons.items():
        for number in equations(notebook):
            if LESSON_OF.get(number.split(".")[0]) != name or not NUMBER.fullmatch(f"({number})"):
                problems.append(f"{name}: equation {number} has a number of no or another lesson")
            if number in numbered:
                problems.append(f"{name}: equation {number} occurs twice")
            numbered[number] = name
    for name, source in sources.items():
        for number in sorted(set(NUMBER.findall(source)) - numbered.keys()):
            if LESSON_OF[number.split(".")[0]] in lessons:
                problems.append(f"{name}: ({number}) has no equation in a lesson")
    in_code = {number for source in sources.values() for number in computed(source)}
    for number in numbered.keys() - in_code:
        problems.append(f"{numbered[number]}: equation {number} has no line of code")
    for name, notebook in lessons.items():
        prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        for number in sorted(set(NUMBER.findall(prose)) - numbered.keys()):
            if LESSON_OF[number.split(".")[0]] in lessons:
                problems.append(f"{name}: the text refers to ({number}), which no lesson has")
    return problems


def test_every_equation_has_its_code_and_every_number_in_the_code_its_equation():
    lessons = {path.stem: read(path) for path in LESSONS}
    sources = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in (ROOT / "blg561").rglob("*.py")
    }
    problems = equation_problems(lessons, sources)
    assert not problems, "\n".join(problems)


RNN_LESSON = r"""By (RNN.1):
$$a = x W_x \tag{RNN.1}$$
$$h = \tanh a \tag{RNN.2}$$
"""
RNN_CODE = '"""Of (RNN.2)."""\na = x @ Wx  # (RNN.1)\nh = f(a)  # as in (RNN.1), (RNN.2)\n'


@pytest.mark.parametrize(
    ("lesson", "code", "problems"),
    [
        (RNN_LESSON, RNN_CODE, 0),
        (RNN_LESSON, RNN_CODE + "o = h @ Wo  # (RNN.3)\n", 1),
        (RNN_LESSON, RNN_CODE + '"""Another docstring cites (RNN.3)."""\n', 1),
        (RNN_LESSON + r"$$o = h W_o \tag{RNN.3}$$", RNN_CODE, 1),
        (RNN_LESSON + r"$$o = h W_o \tag{RNN.3}$$", RNN_CODE + "# (RNN.3)\n", 1),
        (RNN_LESSON + r"$$o = h W_o \tag{RNN.3}$$", RNN_CODE + 'note = "(RNN.3)"\n', 1),
        (RNN_LESSON + r"$$h = \tanh a \tag{RNN.2}$$", RNN_CODE, 1),
        (RNN_LESSON + r"$$o = h W_o \tag{GRU.1}$$", RNN_CODE + "o = h @ Wo  # (GRU.1)\n", 1),
        (RNN_LESSON + r"$$o = h W_o \tag{RNN.x}$$", RNN_CODE, 2),
        (RNN_LESSON + "By (RNN.7).", RNN_CODE, 1),
        (RNN_LESSON, RNN_CODE + "o = h @ Wo  # (LSTM.3), a lesson that is not there yet\n", 0),
    ],
)
def test_equation_numbers_of_a_made_up_lesson(lesson, code, problems):
    ast.parse(code)
    notebook = new_notebook(cells=[new_markdown_cell(lesson), new_code_cell("r'\\tag{RNN.9}'")])
    assert len(equation_problems({"01_RNN": notebook}, {"layer.py": code})) == problems
