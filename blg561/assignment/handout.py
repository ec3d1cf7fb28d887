"""The handout: the package without what the student has to write.

    python -m blg561.assignment.handout        # writes build/handout/ and build/handout.zip

Nothing is kept twice. A file of the handout is a file of the package from which lines were cut;
`restore` puts them back and gives the original. What is not a file of the package is written from
templates/, where the signatures, the points and the values that the tests expect are filled in from
the package.
"""

from __future__ import annotations

import ast
import functools
import shutil
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blg561.assignment import settings

PACKAGE = Path(__file__).resolve().parents[1]
TEMPLATES = Path(__file__).with_name("templates")

GIVEN = [  # whole
    "__init__.py",
    "errors.py",
    "layer/layer.py",
    "language_model/__init__.py",
    "language_model/books.py",
    "language_model/gutenberg.py",
    "language_model/practice.py",
    "assignment/__init__.py",
    "assignment/hand_in.py",
]
KEPT = {  # of these modules, the named definitions and what they import
    "checks.py": {"rel_error", "grad_check", "compare"},
    "layer/recurrent_layers.py": {"sigmoid", "RNNLayer", "LSTMLayer", "GRULayer"},
    "layer/__init__.py": {"Layer", "RNNLayer", "LSTMLayer", "GRULayer"},
    "language_model/dataset.py": {
        *("PLAIN_QUOTES", "TOKEN", "tokenize", "ContinuingRows", "evaluation_loader"),
    },
}
# of these, constants that name where a solution is published: books come from Project Gutenberg
EMPTIED = {"language_model/books.py": {"KNOWN_FOLDERS"}}
HOLLOW = {"forward_step", "backward_step", "forward", "backward"}  # bodies that the student writes
LAYERS = {"RNN": "RNNLayer", "LSTM": "LSTMLayer", "GRU": "GRULayer"}


# ------------------------------------------------------------------------------------------------
# Cutting a module
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """Lines `first` to `last` of the original (from 1, inclusive) read `instead` in the handout."""

    first: int
    last: int
    original: tuple[str, ...]
    instead: tuple[str, ...]


def cut(source: str, kept: set[str]) -> tuple[str, list[Cut]]:
    """The module without every definition that is not in `kept`, and the cuts that were made.

    Of the kept classes, the methods in HOLLOW lose all but their docstring. Imports of what the
    handout does not have, or that nothing uses any more, go too.
    """
    tree, lines = ast.parse(source), source.splitlines(keepends=True)
    cuts = []

    def take(first, last, *instead):
        cuts.append(Cut(first, last, tuple(lines[first - 1 : last]), instead))

    for node in tree.body:
        names = defined(node)
        if names and not names & kept:
            take(first_line(node, lines), node.end_lineno)
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name in HOLLOW:
                    take(method.body[1].lineno, method.end_lineno, INSTEAD)
        elif names == {"__all__"}:
            entries = "".join(f'    "{name}",\n' for name in sorted(kept - {"__all__"}))
            take(node.lineno + 1, node.end_lineno - 1, entries)
    text = apply(source, cuts)
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not is_used(node, text, kept):
            take(node.lineno, node.end_lineno)
    cuts.sort(key=lambda piece: piece.first)
    return apply(source, cuts), cuts


def cut_constants(source: str, emptied: set[str]) -> tuple[str, list[Cut]]:
    """The module with () for these constants and without the comments above them."""
    lines, cuts = source.splitlines(keepends=True), []
    for node in ast.parse(source).body:
        for name in defined(node) & emptied:
            first = node.lineno
            while lines[first - 2].startswith("#"):
                first -= 1
            original = tuple(lines[first - 1 : node.end_lineno])
            cuts.append(Cut(first, node.end_lineno, original, (f"{name} = ()\n",)))
    return apply(source, cuts), cuts


INSTEAD = "        raise NotImplementedError\n"


def defined(node) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def first_line(node, lines) -> int:
    """Where a definition begins: its decorators and the blank lines before it are its own."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    return first


def is_used(node, text: str, kept: set[str]) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    names = {alias.asname or alias.name.split(".")[0] for alias in node.names}
    if "__all__" in text:
        return bool(names & kept)
    used = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    return bool(names & used)


def apply(source: str, cuts: list[Cut]) -> str:
    lines = source.splitlines(keepends=True)
    for piece in sorted(cuts, key=lambda piece: -piece.first):
        lines[piece.first - 1 : piece.last] = piece.instead
    return "".join(lines)


def restore(text: str, cuts: list[Cut]) -> str:
    """The original, from what the handout has and what was cut."""
    lines = [line + "\n" for line in text.split("\n")[:-1]]
    for piece in sorted(cuts, key=lambda piece: piece.first):
        put = "".join(piece.instead).count("\n")
        lines[piece.first - 1 : piece.first - 1 + put] = piece.original
    return "".join(lines)


@functools.cache
def package() -> tuple[dict[str, str], dict[str, list[Cut]]]:
    """The handout's part of the package, text by path, and what was cut from each file."""
    files, cuts = {}, {}
    for path in GIVEN:
        if (PACKAGE / path).exists():
            files[path], cuts[path] = (PACKAGE / path).read_text(encoding="utf-8"), []
    for path in EMPTIED:
        source = files[path]
        files[path], cuts[path] = cut_constants(source, EMPTIED[path])
    for path, kept in KEPT.items():
        source = (PACKAGE / path).read_text(encoding="utf-8")
        files[path], cuts[path] = cut(source, kept | {"__all__"})
    return files, cuts


# ------------------------------------------------------------------------------------------------
# What is written from templates
# ------------------------------------------------------------------------------------------------


def stub(module: str, names: str) -> str:
    """The definitions `names` of a module with the assignment's arguments and no bodies.

    names: "Dataset.__init__ Dataset.__len__ train". "RNNModel=LanguageModel.forward" shows a class
        under another name.
    Arguments that can only be given by name are the package's own and left out.
    """
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    found = {node.name: node for node in tree.body if hasattr(node, "name")}
    lines, opened = [], None
    for name in names.split():
        owner, _, method = name.rpartition(".")
        if not owner:
            lines.append(header(found[method], 0))
            continue
        shown, _, actual = owner.partition("=")
        actual = found[actual or shown]
        if shown != opened:
            bases = ", ".join(ast.unparse(base) for base in actual.bases)
            lines.append(f"class {shown}({bases}):")
            opened = shown
        member = next(n for n in actual.body if getattr(n, "name", "") == method)
        lines.append(header(member, 4))
    return "\n\n".join(lines).replace(":\n\n    def", ":\n    def", 1)


def header(function: ast.FunctionDef, indent: int) -> str:
    shown = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(a.arg) for a in function.args.args],
        defaults=function.args.defaults,
        kwonlyargs=[],
        kw_defaults=[],
    )
    arguments = ast.unparse(shown).replace("'", '"')
    space = " " * indent
    if len(arguments) > 80:
        inner = space + " " * 4
        wrapped = textwrap.fill(arguments, 96, initial_indent=inner, subsequent_indent=inner)
        arguments = f"\n{wrapped}\n{space}"
    return f"{space}def {function.name}({arguments}):\n{space}    raise NotImplementedError"


def linspace(shape) -> np.ndarray:
    return np.linspace(-0.5, 0.6, int(np.prod(shape))).reshape(shape)


def expected_values(name: str) -> dict[str, str]:
    """What our layer gives on inputs from linspace: the values that the student's tests expect."""
    from blg561 import layer as layers

    layer = getattr(layers, LAYERS[name])(3, 4)
    for parameter, value in layer.parameters.items():
        setattr(layer, parameter, linspace(value.shape))
    states = [linspace((2, 4)) for _ in range(2 if name == "LSTM" else 1)]
    *step, _ = layer.forward_step(linspace((2, 3)), *states)
    sequence = layer.forward(linspace((2, 5, 3)), linspace((2, 4)))

    def written(array):
        return np.array2string(array, precision=8, separator=", ", floatmode="fixed")

    return {
        "name": LAYERS[name],
        "states": ", ".join(["linspace((2, 4))"] * len(states)),
        "step": "[" + ", ".join(written(array) for array in step) + "]",
        "sequence": written(sequence),
    }


def fill(text: str, values: dict) -> str:
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", str(value))
    return text


def notebook(values: dict) -> str:
    """LanguageModelling.ipynb from its template, with the package's signatures in the gaps."""
    import jupytext
    import nbformat

    text = fill((TEMPLATES / "LanguageModelling.py.txt").read_text(encoding="utf-8"), values)
    made = jupytext.reads(text, fmt="py:percent")
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number:02d}"
        if "gap" in cell.metadata.get("tags", []):
            module, names = cell.source.removeprefix("# ").split(": ")
            cell["source"] = stub(module, names)
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made.metadata = nbformat.from_dict({"kernelspec": python, "language_info": {"name": "python"}})
    nbformat.validate(made)
    return nbformat.writes(made, version=4) + "\n"


def in_words(said: dict) -> dict:
    """The teacher's numbers as the templates show them."""
    points = {part: sum(said["points"][part].values()) for part in said["parts"]}
    rows = [f"| {part} | {settings.PARTS[part]} | {points[part]:g} |\n" for part in said["parts"]]
    detail = [
        f"| {part} | `{name}` | {worth:g} |\n"
        for part in said["parts"]
        for name, worth in said["points"][part].items()
    ]
    thresholds = {k: v for k, v in said["thresholds"].items() if k != "nothing_from"}
    return {
        **{name: said[name] for name in ("title", "deadline", "late", "book")},
        "total": f"{sum(points.values()):g}",
        "points": "".join(rows).rstrip(),
        "detail": "".join(detail).rstrip(),
        "threshold": f"{said['thresholds'][said['book']]:g}",
        "thresholds": ", ".join(f"{v:g} for `{k}`" for k, v in thresholds.items()),
        "nothing_from": f"{said['thresholds']['nothing_from']:g}",
    }


def files(said: dict) -> dict[str, str]:
    """Every file of the handout, text by path."""
    made = {f"blg561/{path}": text for path, text in package()[0].items()}
    made["blg561/assignment/parts.txt"] = "\n".join(said["parts"]) + "\n"
    words = in_words(said)
    for name in ("README.md", "Makefile", "pyproject.toml", "github-classroom.md"):
        made[name] = fill((TEMPLATES / name).read_text(encoding="utf-8"), words)
    for name in LAYERS:
        if name in said["parts"]:
            template = (TEMPLATES / "test_layer.py.txt").read_text(encoding="utf-8")
            made[f"tests/test_{name.lower()}.py"] = fill(template, expected_values(name))
    if {"LM", "Q"} & set(said["parts"]):
        made["LanguageModelling.ipynb"] = notebook(words)
    made[".gitignore"] = "__pycache__/\n*.egg-info/\nsubmission.zip\n.venv/\n"
    return made


def write(folder: Path, said: dict) -> Path:
    """Write the handout anew to `folder`, and beside it the archive; the archive's path.

    The archive has one date for everything, so that the same handout is the same bytes.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    archive = folder.parent / f"{folder.name}.zip"
    made = files(said)
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, text in sorted(made.items()):
            packed.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), text)
    return archive


if __name__ == "__main__":
    print(write(Path("build/handout"), settings.load(*sys.argv[1:])))
