"""Bring lesson cells that show code or results from elsewhere up to date: `make sync`.

- A code cell with the tag `source:DOTTED.NAME` shows the definition of that name: a class,
  function, method or module-level constant, decorators included. The text comes from the source
  file, and nothing of the package is imported.
- A code cell with the tag `results:NAME` shows what results/NAME.json holds, as `NAME = …` in
  capitals, on full lines where it is long. Of the leaderboard it shows the perplexities alone, as
  `MEASURED = …`, of recurrence what its script's `summary` says.
- A Markdown cell with the tag `table:spelling`, `table:spelling_lengths`, `table:spelling_beams` or
  `table:spelling_aloud` shows what results/spelling.json says of all words, by their length, by the
  width of the beam, and by the number of words in a line.
"""

import argparse
import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat

from benchmarks import recurrence, results, spelling
from benchmarks.leaderboard import table

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 200  # lines of a cell with one number on each
TAG = re.compile("(source|table|results):(.+)")


def module_file(name: str, root: Path) -> tuple[Path, list[str]]:
    """The file of the module that DOTTED.NAME starts with, and the names after the module."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        path = root.joinpath(*parts[:end])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file, parts[end:]
    raise LookupError(f"{name}: no module of that name under {root.name}/")


def names_of(node: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def definition(name: str, root: Path = ROOT) -> str:
    """The source text of `name`, at the margin. Raises LookupError where there is none."""
    file, path = module_file(name, root)
    text = file.read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in path:
        found = [child for child in getattr(node, "body", []) if part in names_of(child)]
        if not found:
            raise LookupError(f"{name}: {file.relative_to(root)} does not define {'.'.join(path)}")
        node = found[-1]
    first = min([node.lineno, *(line.lineno for line in getattr(node, "decorator_list", []))])
    source = "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    # a method outside its class is laid out anew: its lines have more room there
    return formatted(textwrap.dedent(source)) if len(path) > 1 else source


def formatted(source: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "cell.py", "-"]
    result = subprocess.run(
        command,
        input=source,
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return result.stdout.rstrip("\n")


def as_code(name: str) -> str:
    """Python text that gives the results NAME a name. Raises LookupError where there are none."""
    value, variable = results.read(name), name.upper()
    if value is None:
        raise LookupError(f"results:{name}: there is no results/{name}.json")
    if name == "leaderboard":
        value, variable = table.perplexities(value), "MEASURED"
    if name == "recurrence":
        value = recurrence.summary(value)
    text = formatted(f"{variable} = {value!r}")
    return text if text.count("\n") <= LONGEST else packed(variable, value)


def packed(variable: str, value) -> str:
    """`variable = value` on full lines, for what is too long to be read number by number."""
    text = re.sub(
        "'[^']*'|\"[^\"]*\"", lambda m: m[0].replace(" ", "\0"), f"{variable} = {value!r}"
    )
    text += "  # fmt: skip".replace(" ", "\0")  # stays with the last number
    lines = textwrap.wrap(text, 96, subsequent_indent="    ", break_long_words=False)
    source = "\n".join(lines).replace("\0", " ")
    assert ast.literal_eval(source.partition(" = ")[2]) == value
    return source


def as_table(name: str) -> str:
    """A table of spelling. Raises LookupError where there is none of that name."""
    tables = {
        "spelling": spelling.table,
        "spelling_lengths": spelling.lengths_table,
        "spelling_beams": spelling.beams_table,
        "spelling_aloud": spelling.aloud_table,
    }
    if name not in tables:
        raise LookupError(f"table:{name}: expected one of {', '.join(tables)}")
    return tables[name](results.read("spelling"))


def shown(kind: str, name: str, root: Path) -> str:
    """The text of a cell with the tag KIND:NAME. Raises LookupError where there is none."""
    if kind == "source":
        return definition(name, root)
    return as_code(name) if kind == "results" else as_table(name)


def sync(notebook: nbformat.NotebookNode, root: Path = ROOT) -> list[str]:
    """Bring every cell of `notebook` with such a tag up to date; the names whose cells changed."""
    changed = []
    for cell in notebook.cells:
        for match in filter(None, map(TAG.fullmatch, cell.metadata.get("tags", []))):
            kind, name = match.groups()
            text = shown(kind, name, root)
            if cell.source != text:
                cell.source = text
                changed.append(name)
    return changed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, only report")
    check = parser.parse_args().check

    differences, lost = 0, False
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        try:
            changed = sync(notebook)
        except LookupError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            lost = True
            continue
        for name in changed:
            print(f"{path.name}: {name} {'differs' if check else 'updated'}")
        if changed and not check:
            nbformat.write(notebook, path)
        differences += len(changed)

    if not (differences or lost):
        print("Every cell that shows code or results from elsewhere is up to date.")
    return 2 if lost else int(check and differences > 0)


if __name__ == "__main__":
    sys.exit(main())
