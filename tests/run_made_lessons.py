"""Lessons made here, run by pytest and by the make targets, and what a kernel shows of a diagram.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it.
"""

import base64
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_notebooks import result, stream

from blg561.diagrams import teacher_forcing
from tools import notebooks

ROOT = Path(__file__).resolve().parents[1]


def test_pytest_compares_what_a_lesson_prints_and_nothing_else(tmp_path):
    """Plain `pytest` with this repository's settings, on a lesson with made-up outputs."""
    cells = {
        "right": new_code_cell("print('2')", outputs=[stream("2\n")]),
        "wrong": new_code_cell("print('2')", outputs=[stream("3\n")]),
        "address": new_code_cell(
            "object()", outputs=[result(text_plain="<object at 0x7f00aa11bb>")]
        ),
        "figure": new_code_cell(
            "from IPython.display import display_png\ndisplay_png(b'new', raw=True)",
            outputs=[new_output("display_data", data={"image/png": "b2xk"})],
        ),
        "note": new_code_cell("import sys\nprint('a note', file=sys.stderr)"),
        "bar": new_code_cell("import sys\nprint('50%|█    | 1/2', file=sys.stderr)"),
        "cleared": new_code_cell("import sys\nprint('50%|█\\r       \\r', file=sys.stderr)"),
        "warning": new_code_cell("import warnings\nwarnings.warn('slow')"),
        "widget": new_code_cell(
            "from IPython.display import display\n"
            "kind = 'application/vnd.jupyter.widget-view+json'\n"
            "display({kind: {}, 'text/plain': 'w'}, raw=True)",
            outputs=[new_output("display_data", data={"text/plain": "w"})],
        ),
        "ignored": new_code_cell(
            "print('2')", outputs=[stream("3\n")], metadata={"tags": ["nbval-ignore-output"]}
        ),
        "raises": new_code_cell("1 / 0", metadata={"tags": ["raises-exception"]}),
        "breaks": new_code_cell("1 / 0"),
        "html": new_code_cell(
            "from IPython.display import display_html\ndisplay_html('<b>new</b>', raw=True)",
            outputs=[new_output("display_data", data={"text/html": "<b>old</b>"})],
        ),
    }
    division = {"ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
    cells["raises"].outputs = [new_output("error", **division)]
    for count, cell in enumerate(cells.values(), start=1):
        cell.execution_count = count
    for folder in ("notebooks", "tests", "tools"):
        (tmp_path / folder).mkdir()
    nbformat.write(new_notebook(cells=list(cells.values())), tmp_path / "notebooks/01.ipynb")
    for file in ("pyproject.toml", "conftest.py", "tools/nbval-sanitize.cfg"):
        shutil.copy(ROOT / file, tmp_path / file)

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--junitxml=result.xml"]
    subprocess.run(command, cwd=tmp_path, capture_output=True)

    results = ElementTree.parse(tmp_path / "result.xml").iter("testcase")
    failed = [name for name, case in zip(cells, results, strict=True) if len(case)]
    assert failed == ["wrong", "bar", "warning", "widget", "breaks"]


BAR_THAT_CLEARS_ITSELF = (
    "import sys\nprint('\\r50%\\r   \\r', end='', file=sys.stderr)\nprint('done')"
)


def test_notebooks_are_run_from_a_clean_kernel_and_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "LESSONS", tmp_path)
    stale = new_code_cell("x = 1\nx", outputs=[stream("old")], execution_count=7)
    notebook = new_notebook(cells=[stale, new_code_cell(BAR_THAT_CLEARS_ITSELF)])
    nbformat.write(notebook, tmp_path / "01_A.ipynb")
    nbformat.write(new_notebook(cells=[new_code_cell("x")]), tmp_path / "02_B.ipynb")
    before = (tmp_path / "02_B.ipynb").read_bytes()

    assert notebooks.store("01") == 0
    stored = nbformat.read(tmp_path / "01_A.ipynb", as_version=4)
    assert [cell.execution_count for cell in stored.cells] == [1, 2]
    assert stored.cells[0].outputs[0].data == {"text/plain": "1"}
    assert stored.cells[1].outputs == [stream("done\n")]

    assert notebooks.store("02") == 1, "x of the first lesson is not in the second one's kernel"
    assert (tmp_path / "02_B.ipynb").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01_A.ipynb", "02_B.ipynb"]
    assert notebooks.store("03") == 2


def test_make_lessons_leaves_the_files_alone_and_hands_what_came_out_to_the_site(
    tmp_path, monkeypatch
):
    lessons, executed = tmp_path / "notebooks", tmp_path / "executed"
    lessons.mkdir()
    monkeypatch.setattr(notebooks, "LESSONS", lessons)
    monkeypatch.setattr(notebooks, "EXECUTED", executed)
    handed = []
    monkeypatch.setattr(notebooks.site, "build", lambda folder: handed.append(folder) or 0)
    nbformat.write(new_notebook(cells=[new_code_cell("print(6 * 7)")]), lessons / "01_A.ipynb")
    stale = new_code_cell("x", outputs=[stream("stale")], execution_count=2)
    broken = new_notebook(cells=[new_code_cell("print(3)\n1 / 0"), stale])
    nbformat.write(broken, lessons / "02_B.ipynb")
    before = [path.read_bytes() for path in sorted(lessons.iterdir())]

    assert notebooks.run() == 1, "the second lesson stops at an error"

    assert handed == [executed]
    first, second = (nbformat.read(executed / n, 4) for n in ("01_A.ipynb", "02_B.ipynb"))
    assert first.cells[0].outputs == [stream("42\n")]
    assert second.cells[0].outputs[0] == stream("3\n") and not second.cells[1].outputs
    assert [path.read_bytes() for path in sorted(lessons.iterdir())] == before


# Diagrams in a kernel


@pytest.fixture(scope="module")
def drawings():
    """What a fresh kernel shows for each of four cells, in the style of the lessons."""
    imports = "import sys; from blg561 import diagrams, plotting; plotting.use_style()"
    sources = [f"{imports}\n'torch' in sys.modules", "diagrams.teacher_forcing()"]
    sources += ["import matplotlib.pyplot as plt\nplt.close(plt.figure())", sources[1]]
    cells = [new_code_cell(source) for source in sources]
    return NotebookClient(new_notebook(cells=cells), kernel_name="python3").execute()


def test_importing_diagrams_does_not_import_torch(drawings):
    assert drawings.cells[0].outputs[0].data["text/plain"] == "False"


# IPython has its own way to show a figure once pyplot has made one.
@pytest.mark.parametrize("cell", [1, 3], ids=["at first", "later"])
def test_a_cell_that_ends_in_a_diagram_shows_it_once_in_the_lessons_width(drawings, cell):
    (output,) = drawings.cells[cell].outputs
    header = base64.b64decode(output.data["image/png"])[:24]
    assert int.from_bytes(header[16:20], "big") == 700
    assert output.metadata["image/png"]["alt"] == teacher_forcing().alt
