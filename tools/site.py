"""The lessons as a site: `make site` builds build/site from the stored outputs, no lesson is run.

What Sphinx reads is put together in build/site-source first: docs/, the lessons, the results, a
page of every file of the package, the indexes of equations and symbols, the page's network.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import files
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from benchmarks.leaderboard import table
from benchmarks.leaderboard.rows import BOARDS
from tools import leaderboard, live, repository

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "notebooks"
PACKAGE = ROOT / "blg561"
SOURCE = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"

EQUATION = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
TAG = re.compile(r"\\tag\{([A-Z]+\.\d+[a-z]?)\}")
COMMENT = re.compile(r"#.*?((?:\([A-Z]+\.\d+[a-z]?\)(?:, )?)+)")
LABEL = re.compile(r"[A-Z]+\.\d+[a-z]?")
LESSON_LINK = re.compile(r"\]\((?:\./)?(\w+)\.ipynb(#[^)]*)?\)")
BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")
README_ROW = re.compile(
    r"^\| \[[^]]+\]\(notebooks/(\w+)\.ipynb\) \| (.+?) \| (\d+) \|", re.MULTILINE
)
SYMBOLS = re.compile(r"^\| sign \|.*\n(?:\|.*(?:\n|$))+", re.MULTILINE)  # a whole table
# what only the site can show, at the end of a section of a lesson: a file of docs/_parts
ADDED = {"06_OpenTheBox": ("### Is it only a witness?", "hold_it_yourself.md")}
PAGES = {
    "results": "results/README.md",
    "race": "docs/race.md",
    "teaching": "docs/teaching.md",
    "contributing": "CONTRIBUTING.md",
}
LONG = 60  # lines of measured numbers that are folded: on a phone they would be ten screens


def read_lessons(folder: Path) -> dict[str, nbformat.NotebookNode]:
    return {path.stem: nbformat.read(path, 4) for path in sorted(folder.glob("*.ipynb"))}


def find_equations(lessons: dict[str, nbformat.NotebookNode]) -> dict[str, dict]:
    """Label → the page that has the equation, its TeX, and the lines of the package for it."""
    equations = {}
    for name, notebook in lessons.items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                for tex in EQUATION.findall(cell.source):
                    for label in TAG.findall(tex):
                        entry = {"page": f"lessons/{name}", "tex": tex.strip(), "lines": []}
                        equations.setdefault(label, entry)
    for path in sorted(PACKAGE.rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for comment in COMMENT.findall(line):
                for label in LABEL.findall(comment):
                    if label in equations:
                        equations[label]["lines"].append((module_of(path), number))
    return equations


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def prepare(notebook: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """A lesson as the site has it, with its figures' texts where MyST-NB looks for them."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LESSON_LINK.sub(r"](\1.ipynb\2)", cell.source)
        else:
            if cell.source.count("\n") > LONG and "results:" in str(cell.metadata.get("tags")):
                cell.metadata["tags"] += ["hide-input"]
            for output in cell.outputs:
                alt = output.get("metadata", {}).get("image/png", {}).get("alt")
                if alt:
                    cell.metadata.setdefault("mystnb", {})["image"] = {"alt": alt}
    source = f"https://github.com/{repository.slug()}/blob/main/notebooks/{name}.ipynb"
    first = BADGE.sub(rf"[Open in Colab](\1) · [source]({source})", notebook.cells[0].source)
    notebook.cells[0].source = first.replace("# ", f"# {number_of(name)}. ", 1)
    return notebook


def add_part(notebook: nbformat.NotebookNode, heading: str, part: str) -> None:
    """Put a file of docs/_parts behind the section `heading`, as a cell of its own.

    Raises ValueError where the lesson has no such section.
    """
    lines = [cell.source.splitlines() for cell in notebook.cells]
    first = next((n for n, cell in enumerate(lines) if heading in cell), None)
    if first is None:
        raise ValueError(f"expected a section {heading!r}, where {part} is put")
    later = (
        n
        for n, cell in enumerate(notebook.cells)
        if n > first and cell.cell_type == "markdown" and re.search(r"^#{2,3} ", cell.source)
    )
    text = (ROOT / "docs" / "_parts" / part).read_text(encoding="utf-8")
    notebook.cells.insert(next(later, len(notebook.cells)), new_markdown_cell(text))


def number_of(name: str) -> int:
    """Of a lesson, from its file's name: its text says "lesson 4" of another one."""
    return int(name.partition("_")[0])


def title_of(notebook: nbformat.NotebookNode) -> str:
    return re.match(r"# (.+)", notebook.cells[0].source).group(1)


def link_to(name: str, notebook: nbformat.NotebookNode) -> str:
    return f"[{number_of(name)}. {title_of(notebook)}](lessons/{name}.ipynb)"


def lessons_table(lessons: dict[str, nbformat.NotebookNode], readme: str) -> str:
    """The lessons with what README.md says of each: what one does, and the time that it takes."""
    lines = ["| no. | lesson | you will | minutes |"]
    lines.append("| ---: | --- | --- | ---: |")
    told = {name: cells for name, *cells in README_ROW.findall(readme)}
    for name, notebook in lessons.items():
        link = f"[{title_of(notebook)}]({name}.ipynb)"
        lines.append("| " + " | ".join([str(number_of(name)), link, *told[name]]) + " |")
    return "\n".join(lines) + "\n"


def equations_page(equations: dict[str, dict], lessons: dict[str, nbformat.NotebookNode]) -> str:
    parts = ["# Equations", "Each number leads to the place where the equation is derived."]
    page = None
    for label, equation in equations.items():
        if equation["page"] != page:
            page = equation["page"]
            name = page.removeprefix("lessons/")
            parts.append(f"## {link_to(name, lessons[name])}")
        tex = TAG.sub("", equation["tex"]).strip()
        parts.append(f'<div class="equation-listed">\n\n{label}\n\n$${tex}$$')
        parts += [in_code(equation["lines"]), "</div>"]
    return "\n\n".join(parts) + "\n"


def in_code(lines: list[tuple[str, int]]) -> str:
    """Links to lines of the package, from a page at the top of the site."""
    links = [
        f'<a href="source/{module}.html#line-{line}">{module.rpartition(".")[2]}.py:{line}</a>'
        for module, line in lines
    ]
    return f'<p class="equation-code">in code: {", ".join(links)}</p>' if links else ""


def symbols_page(lessons: dict[str, nbformat.NotebookNode]) -> str:
    """The tables of signs, as they stand in the lessons."""
    parts = ["# Symbols", "Vectors are rows. What a lesson adds stands under its name."]
    for name, notebook in lessons.items():
        sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        tables = [table.strip() for source in sources for table in SYMBOLS.findall(source)]
        if tables:
            parts += [f"## {link_to(name, notebook)}", *tables]
    return "\n\n".join(parts) + "\n"


def source_page(path: Path) -> str:
    """A file of the package, every line with an anchor."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="line", anchorlinenos=True)
    text = highlight(path.read_text(encoding="utf-8"), PythonLexer(), formatter)
    name = path.relative_to(ROOT).as_posix()
    return f"---\norphan: true\n---\n\n# {name}\n\n```{{raw}} html\n{text}```\n"


def stage(notebooks: Path, source: Path) -> None:
    """Write all that Sphinx reads."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "docs", source)
    lessons = read_lessons(notebooks)
    equations = find_equations(lessons)
    (source / "equations.json").write_text(json.dumps(equations), encoding="utf-8")
    told = {label: {key: e[key] for key in ("page", "tex")} for label, e in equations.items()}
    script = f"const EQUATIONS = {json.dumps(told)};\n"
    (source / "_static" / "equations.js").write_text(script, encoding="utf-8")
    (source / "equations.md").write_text(equations_page(equations, lessons), encoding="utf-8")
    (source / "symbols.md").write_text(symbols_page(lessons), encoding="utf-8")
    listed = lessons_table(lessons, (ROOT / "README.md").read_text(encoding="utf-8"))
    (source / "_parts" / "lessons.md").write_text(listed, encoding="utf-8")
    for name, notebook in lessons.items():
        if name in ADDED:
            add_part(notebook, *ADDED[name])
        nbformat.write(prepare(notebook, name), source / "lessons" / f"{name}.ipynb")
    (source / "source").mkdir()
    for path in sorted(PACKAGE.rglob("*.py")):
        page = source / "source" / f"{module_of(path)}.md"
        page.write_text(source_page(path), encoding="utf-8")
    for name, original in PAGES.items():
        text = (ROOT / original).read_text(encoding="utf-8")
        if name == "results":
            text = with_figures(text)
        (source / f"{name}.md").write_text(on_the_site(text), encoding="utf-8")
    short = leaderboard.figure("pride_prejudice", leaderboard.SHORT)
    (source / "_parts" / "leaderboard.html").write_text(short, encoding="utf-8")
    figure = source / "_static" / "perplexity.png"
    shutil.copy(ROOT / "figures" / "perplexity.png", figure)
    copy_mathjax(source / "_static" / "mathjax")
    live.write(source / "_static" / "live")


def with_figures(results: str) -> str:
    """results/README.md with a figure before each table of the two boards."""
    for board in BOARDS.values():
        for book, (row, *_) in table.by_book(table.read(board)).items():
            line = table.about(book, row)
            assert results.count(line) == 1, f"results/README.md has not this line once: {line}"
            drawn = leaderboard.figure(book, board=board)
            results = results.replace(line, f"{line}\n\n{drawn}")
    return results


def on_the_site(text: str) -> str:
    """Markdown of the repository: lessons, docs/ and PAGES are here, other files are there."""
    text = re.sub(r"\]\((?:\.\./)?notebooks/(\w+\.ipynb)", r"](lessons/\1", text)
    for name, original in PAGES.items():
        text = re.sub(rf"\]\((?:\.\./)?{re.escape(original)}", f"]({name}.md", text)
    text = re.sub(r"\]\((?:\.\./)?docs/(\w+\.md)", r"](\1", text)
    return re.sub(r"\]\(\.\./", f"](https://github.com/{repository.slug()}/blob/main/", text)


def copy_mathjax(folder: Path) -> None:
    """MathJax beside the pages: formulas need no network."""
    (script,) = (f for f in files("sphinx-mathjax-offline") if f.match("mathjax/tex-svg.js"))
    folder.mkdir()
    shutil.copy(script.locate(), folder)


def build(notebooks: Path = LESSONS) -> int:
    """The site of the lessons in the folder `notebooks`; Sphinx's exit code."""
    start = time.perf_counter()
    print("putting the pages together ...", flush=True)
    stage(notebooks, SOURCE)
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += ["-d", str(SOURCE.with_name("site-doctrees"))]
    home = f"https://github.com/{repository.slug()}"
    command += ["-D", f"html_theme_options.github_url={home}"]
    code = subprocess.run([*command, str(SOURCE), str(SITE)], check=False).returncode
    if code:
        print("Sphinx has complaints, see above.", file=sys.stderr)
        return code
    print(f"build/site/index.html is ready, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(build())
