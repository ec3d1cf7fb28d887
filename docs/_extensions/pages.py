"""What every page needs beside its text: images that load late, tables that can be scrolled."""

import re


def finish(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    body = re.sub(
        r"<img (?![^>]*loading=)", '<img loading="lazy" decoding="async" ', context["body"]
    )
    # a wide table scrolls by itself, also with the keyboard, and the page does not
    body = re.sub(
        r"(<table\b.*?</table>)",
        r'<div class="wide" tabindex="0" role="region" aria-label="table">\1</div>',
        body,
        flags=re.DOTALL,
    )
    context["body"] = body


def setup(app):
    app.connect("html-page-context", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
