"""Run the lessons, each in a clean kernel: `make notebooks` and `make lessons`.

`store` writes the outputs into the notebooks; `site` leaves the notebooks alone and writes pages.
"""

import argparse
import html
import os
import re
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "notebooks"
SITE = ROOT / "site"
TEMPLATES = ROOT / "tools"

# A link from a lesson to another one beside it.
LINK = re.compile(r"\]\((?:\./)?(\w+)\.ipynb(#[^)]*)?\)")


def execute(notebook: nbformat.NotebookNode, folder: Path, output: Path) -> float:
    """Run `notebook` from the top in a new kernel that starts in `folder`; return the seconds.

    What the lesson writes, models/ and figures/, goes to the folder `output`.
    Raises CellExecutionError at the first cell that fails, with the outputs so far in `notebook`.
    """
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    start = time.perf_counter()
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        extra_arguments=["--log-level=ERROR"],  # no note on stderr that the local port is open
    )
    try:
        client.execute(env={**os.environ, "BLG561_OUTPUT": str(output)})
    finally:
        for cell in code_cells(notebook):
            cell.outputs = [output for output in cell.outputs if not is_cleared_bar(output)]
    return time.perf_counter() - start


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_cleared_bar(output: nbformat.NotebookNode) -> bool:
    """Whether nothing but blanks is left of a progress bar that cleared itself."""
    return output.output_type == "stream" and output.name == "stderr" and not output.text.strip()


def store(lesson: str) -> int:
    """Run the lessons whose names start with `lesson` and write their outputs into the files."""
    paths = sorted(LESSONS.glob(f"{lesson}*.ipynb"))
    if not paths:
        print(f"No lesson in notebooks/ starts with {lesson!r}.", file=sys.stderr)
        return 2
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        print(f"{path.name}: running ...", flush=True)
        try:
            seconds = execute(notebook, LESSONS, ROOT)
        except CellExecutionError as error:
            print(f"{error}\n{path.name}: stopped; the file is unchanged.", file=sys.stderr)
            return 1
        unfinished = path.with_suffix(".unfinished")
        nbformat.write(notebook, unfinished)
        unfinished.replace(path)
        print(f"{path.name}: stored, {seconds:.0f} s", flush=True)
    return 0


def site() -> int:
    """Run every lesson and write a page of each, and a first page that lists them."""
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir()
    copy_mathjax()
    rows, failed = [], []
    for path in sorted(LESSONS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        print(f"{path.name}: running ...", flush=True)
        try:
            minutes = f"{execute(notebook, LESSONS, SITE) / 60:.1f} min"
        except CellExecutionError as error:
            print(error, file=sys.stderr)
            minutes = "stopped at an error"
            failed.append(path.name)
        (SITE / f"{path.stem}.html").write_text(page(notebook, path.stem), encoding="utf-8")
        rows.append(index_row(notebook, path.stem, minutes))
        print(f"{path.name}: {minutes} -> site/{path.stem}.html", flush=True)
    (SITE / "index.html").write_text(index(rows), encoding="utf-8")
    if failed:
        print(f"Stopped at an error: {', '.join(failed)}", file=sys.stderr)
        return 1
    print("Open site/index.html in a browser.")
    return 0


def copy_mathjax() -> None:
    """Copy MathJax beside the pages, so that formulas can be read without a network."""
    source = Path(find_spec("jupyter_server_mathjax").origin).parent / "static"
    shutil.copytree(source, SITE / "mathjax", ignore=shutil.ignore_patterns("localization", "a11y"))


def page(notebook: nbformat.NotebookNode, name: str) -> str:
    """The page of an executed lesson; links to other lessons go to their pages."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"](\1.html\2)", cell.source)
    exporter = HTMLExporter(template_name="lesson_page", extra_template_basedirs=[str(TEMPLATES)])
    return exporter.from_notebook_node(notebook, {"metadata": {"name": name}})[0]


def title_and_summary(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """A lesson's title, and the first paragraph of prose after it."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(r"^# +(.+)$", text, re.MULTILINE)
    paragraphs = (block.strip() for block in re.split(r"\n\s*\n", text))
    prose = (block for block in paragraphs if block and block[0] not in "#[!<|$>-*")
    return title.group(1).strip() if title else "", next(prose, "")


def index_row(notebook: nbformat.NotebookNode, name: str, minutes: str) -> str:
    title, summary = title_and_summary(notebook)
    link = f'<a href="{name}.html">{html.escape(title or name)}</a>'
    return f"<tr><td>{link}</td><td>{markdown2html(summary)}</td><td>{minutes}</td></tr>"


def index(rows: list[str]) -> str:
    style = (TEMPLATES / "lesson_page" / "index.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Lessons</title>
<style>
{style}</style>
</head>
<body>
<h1>Lessons</h1>
<table>
<thead><tr><th>Lesson</th><th>What it is</th><th>Took here</th></tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody>
</table>
</body>
</html>
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("site", help="write pages to site/")
    storing = commands.add_parser("store", help="store outputs in the notebooks")
    storing.add_argument("lesson", nargs="?", default="", help="how the lesson's name starts: 04")
    arguments = parser.parse_args()
    return site() if arguments.command == "site" else store(arguments.lesson)


if __name__ == "__main__":
    sys.exit(main())
