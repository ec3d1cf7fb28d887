"""Equations and code know each other: "(LSTM.6)" is a link to its equation wherever it stands.

What equations there are, and which lines of code compute them, `tools.site` has written to
equations.json before Sphinx starts.
"""

import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms import SphinxTransform

LABEL = re.compile(r"\b([A-Z]+\.\d+[a-z]?)\b")
TAG = re.compile(r"\\tag\{([^}]+)\}")
COMMENT = re.compile(r'(<span class="c1">)(# [^<]*)(</span>)')


def known(app) -> dict:
    return json.loads((Path(app.srcdir) / "equations.json").read_text(encoding="utf-8"))


def anchor(label: str) -> str:
    return "eq-" + label.replace(".", "-").lower()


def address(app, label: str, docname: str) -> str:
    """Of an equation, as a link on the page `docname` has it."""
    home = app.equations[label]["page"]
    page = "" if home == docname else app.builder.get_relative_uri(docname, home)
    return f"{page}#{anchor(label)}"


class Anchors(SphinxTransform):
    """Every numbered equation gets an anchor, and below it links to the lines that compute it."""

    default_priority = 700

    def apply(self):
        for block in list(self.document.findall(nodes.math_block)):
            labels = [label for label in TAG.findall(block.astext()) if label in self.app.equations]
            if not labels:
                continue
            block["ids"] += [anchor(label) for label in labels]
            lines = [line for label in labels for line in self.app.equations[label]["lines"]]
            if lines:
                block.parent.insert(block.parent.index(block) + 1, self.links(lines))

    def links(self, lines) -> nodes.paragraph:
        paragraph = nodes.paragraph(classes=["equation-code"])
        paragraph += nodes.Text("in code: ")
        for number, (module, line) in enumerate(lines):
            if number:
                paragraph += nodes.Text(", ")
            page = self.app.builder.get_relative_uri(self.env.docname, f"source/{module}")
            text = f"{module.rsplit('.', 1)[-1]}.py:{line}"
            paragraph += nodes.reference("", text, refuri=f"{page}#line-{line}", internal=True)
        return paragraph


class References(SphinxTransform):
    """Numbers of equations in prose become links."""

    default_priority = 710

    def apply(self):
        for text in list(self.document.findall(nodes.Text)):
            if self.is_taken(text.parent):
                continue
            parts = LABEL.split(text.astext())
            if len(parts) == 1:
                continue
            new = []
            for number, part in enumerate(parts):
                if number % 2 and part in self.app.equations:
                    uri = address(self.app, part, self.env.docname)
                    new.append(nodes.reference("", part, refuri=uri, classes=["equation"]))
                elif part:
                    new.append(nodes.Text(part))
            text.parent.replace(text, new)

    def is_taken(self, node) -> bool:
        taken = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.reference,
                 nodes.title, nodes.raw)  # fmt: skip
        while node is not None:
            if isinstance(node, taken):
                return True
            node = node.parent
        return False


def link_comments(app, pagename, templatename, context, doctree):
    """In code, the numbers in comments become links."""

    def link(match):
        label = match.group(1)
        if label not in app.equations:
            return match.group()
        uri = html.escape(address(app, label, pagename))
        return f'<a class="equation reference" href="{uri}">{label}</a>'

    def comment(match):
        return match.group(1) + LABEL.sub(link, match.group(2)) + match.group(3)

    if "body" in context:
        context["body"] = COMMENT.sub(comment, context["body"])


def setup(app):
    app.equations = known(app)
    app.add_transform(Anchors)
    app.add_transform(References)
    app.connect("html-page-context", link_comments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
