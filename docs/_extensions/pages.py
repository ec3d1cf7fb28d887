"""What every page needs beside its text: images with their size, tables that can be scrolled,
the scripts of what it shows, and nothing that keeps its first text waiting."""

import itertools
import re
from pathlib import Path

from PIL import Image

IMAGE = re.compile(r'<img (?![^>]*loading=)([^>]*?src="(?:[^"]*/)?_images/([^"]+)"[^>]*)>')
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
SCRIPT = re.compile(
    r"<script (?![^>]*\b(?:defer|async)\b)(?=[^>]*src=)(?![^>]*documentation_options)"
)
SCRIPTS = {  # for a page that has the sign; formulas.js before MathJax
    "data-live": ["network.js", "live.js"],
    "data-cell": ["cells.js"],
    'class="math': ["formulas.js"],
}


def finish(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    sources = {name: path for path, name in app.builder.images.items()}

    def late(match):
        """An image that loads when it is looked at, its place kept free until then."""
        attributes, name = match.groups()
        with Image.open(Path(app.srcdir) / sources[name]) as image:
            width, height = image.size
        size = f'width="{width}" height="{height}"'
        return f'<img loading="lazy" decoding="async" {size} {attributes}>'

    body = IMAGE.sub(late, context["body"])
    number = itertools.count(1)

    def scrolling(match):
        """A wide table scrolls by itself, also with the keyboard, and the page does not."""
        name = f"table {next(number)}"
        return f'<div class="wide" tabindex="0" role="region" aria-label="{name}">{match[0]}</div>'

    context["body"] = TABLE.sub(scrolling, body)
    for sign, names in SCRIPTS.items():
        if sign in body:
            for name in names:
                app.add_js_file(name, loading_method="defer", priority=400)


def defer_scripts(app, exception):
    """The theme's scripts would keep the text of a page from being shown until they are there."""
    if exception is None:
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            path.write_text(SCRIPT.sub("<script defer ", text), encoding="utf-8")


def setup(app):
    app.connect("html-page-context", finish)
    app.connect("build-finished", defer_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
