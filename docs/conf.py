"""Sphinx's settings. `make site` copies this folder and the lessons to build/site-source first."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "blg561"
html_title = "blg561"
html_favicon = "_static/favicon.svg"
extensions = ["myst_nb", "sphinx_copybutton", "sphinx.ext.mathjax", "equations", "pages", "styles"]
exclude_patterns = ["_extensions", "_parts"]
suppress_warnings = [
    "myst.header"
]  # a lesson's questions are third-level headings wherever they stand

myst_enable_extensions = ["dollarmath", "html_image", "substitution"]
myst_heading_anchors = 3
LIVE = json.loads((Path(__file__).parent / "_static" / "live" / "live.json").read_text("utf-8"))
myst_substitutions = {name: f"{LIVE[name]:.3f}" for name in ("perplexity", "perplexity_8_bit")}
nb_execution_mode = "off"
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["equations.js", "site.js"]
html_sidebars = {"*": []}  # what has no pages below it, all but the lessons, has none to list
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copyright = "the authors, MIT licence"
html_context = {"default_mode": "auto"}

mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {
    "svg": {"fontCache": "global"},
    # the menu stays, but nobody has to step through a page by its formulas
    "options": {"menuOptions": {"settings": {"inTabOrder": False}}},
}
