"""Bring lesson cells that show code or results from elsewhere up to date: `make sync`.

- A code cell with the tag `source:DOTTED.NAME` shows the definition of that name: a class,
  function, method or module-level constant, decorators included. The text comes from the source
  file, and nothing of the package is imported.
- A Markdown cell with the tag `table:BOOK` shows the leaderboard of a book, and a code cell with
  the tag `results:leaderboard` all its perplexities as a dictionary: results/leaderboard.json.
"""

import argparse
import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
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
    return at_margin(source) if len(path) > 1 else source


def at_margin(source: str) -> str:
    """A method as it stands outside its class, laid out anew: its lines have more room there."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "cell.py", "-"]
    result = subprocess.run(
        command,
        input=textwrap.dedent(source),
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return result.stdout.rstrip("\n")


def shown(kind: str, name: str, root: Path) -> str:
    """The text of a cell with the tag KIND:NAME. Raises LookupError where there is none."""
    if kind == "source":
        return definition(name, root)
    from benchmarks import leaderboard  # it imports torch, which few lessons' cells need

    if kind == "results" and name == "leaderboard":
        return leaderboard.as_code(leaderboard.read())
    rows = [row for row in leaderboard.read() if row["book"] == name]
    if kind == "results" or not rows:
        raise LookupError(f"{kind}:{name}: results/ has nothing of that name")
    return leaderboard.table(rows)


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

    differences = 0
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        try:
            changed = sync(notebook)
        except LookupError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            return 2
        for name in changed:
            print(f"{path.name}: {name} {'differs' if check else 'updated'}")
        if changed and not check:
            nbformat.write(notebook, path)
        differences += len(changed)

    if not differences:
        print("Every cell that shows code or results from elsewhere is up to date.")
    return 1 if check and differences else 0


if __name__ == "__main__":
    sys.exit(main())
