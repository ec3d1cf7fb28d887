"""Style sheets without what no page uses: they are what the first text of a page waits for.

A rule is left out where each of its selectors names a class that occurs in no page and in no
script of the site, as most of Bootstrap's and of the icons' do.
"""

import re
from pathlib import Path

RULE = re.compile(r"(?<=[{};/])([^{}@;]+)\{[^{}]*\}")
NESTED = re.compile(r"\([^()]*\)")  # of :not(…) and :is(…): what is in there decides nothing
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
WORD = re.compile(r"[\w-]+")
IMPORT = re.compile(r'@import "([^"]+)";?')
EMPTY = re.compile(r"@(?:media|supports)[^{}]*\{\s*\}")


def words_of(folder: Path) -> set[str]:
    """Every word in the pages and scripts in `folder`: all that a class can be named by."""
    paths = [*folder.rglob("*.html"), *folder.rglob("*.js")]
    return {word for path in paths for word in WORD.findall(path.read_text(encoding="utf-8"))}


def without_unused(sheet: str, words: set[str]) -> str:
    def kept(rule):
        selectors = rule[1]
        while NESTED.search(selectors):
            selectors = NESTED.sub("", selectors)
        used = (words.issuperset(CLASS.findall(selector)) for selector in selectors.split(","))
        return rule[0] if any(used) else ""

    return EMPTY.sub("", RULE.sub(kept, sheet))


def with_imports(path: Path) -> str:
    """The text of a sheet with those that it imports in place: one journey less."""

    def imported(match):
        return (path.parent / match[1]).read_text(encoding="utf-8")

    return IMPORT.sub(imported, path.read_text(encoding="utf-8"))


def slim(app, exception):
    if exception is None:
        folder = Path(app.outdir)
        words = words_of(folder)
        sheets = {path: with_imports(path) for path in folder.rglob("*.css")}
        for path, sheet in sheets.items():
            path.write_text(without_unused(sheet, words), encoding="utf-8")


def setup(app):
    app.connect("build-finished", slim, priority=900)  # when all files are there
    return {"parallel_read_safe": True, "parallel_write_safe": True}
