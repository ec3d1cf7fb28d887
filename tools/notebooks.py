"""Run the lessons, each in a clean kernel: `make notebooks` and `make lessons`.

`store` writes the outputs into the notebooks; `run` leaves the notebooks alone and builds the site.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tools import site

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "notebooks"
EXECUTED = ROOT / "build" / "lessons"


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


def run() -> int:
    """Run every lesson, leave the files alone, and build the site from what came out."""
    shutil.rmtree(EXECUTED, ignore_errors=True)
    EXECUTED.mkdir(parents=True)
    failed = []
    for path in sorted(LESSONS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        print(f"{path.name}: running ...", flush=True)
        try:
            print(f"{path.name}: {execute(notebook, LESSONS, EXECUTED) / 60:.1f} min", flush=True)
        except CellExecutionError as error:
            print(error, file=sys.stderr)
            failed.append(path.name)
        nbformat.write(notebook, EXECUTED / path.name)
    code = site.build(EXECUTED)
    if failed:
        print(f"Stopped at an error: {', '.join(failed)}", file=sys.stderr)
    return code or int(bool(failed))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run all and build the site from what came out")
    storing = commands.add_parser("store", help="store outputs in the notebooks")
    storing.add_argument("lesson", nargs="?", default="", help="how the lesson's name starts: 04")
    arguments = parser.parse_args()
    return run() if arguments.command == "run" else store(arguments.lesson)


if __name__ == "__main__":
    sys.exit(main())
