"""The site in a real browser: every page, light and dark, on a phone and on a desk.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it.
The browser is Chromium: that of the system, or the one that `playwright install chromium` brings.
Pages are opened from a file, as a reader without a network would, and once from a server.
"""

import functools
import http.server
import math
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from blg561.language_model import generation, pretrained
from blg561.language_model.conversion import to_numpy, to_torch
from blg561.layer import GRULayer, LSTMLayer, RNNLayer
from tools import live, site

axe_playwright = pytest.importorskip("axe_playwright_python.sync_playwright")
playwright = pytest.importorskip("playwright.sync_api")

ROOT = Path(__file__).resolve().parents[1]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-quic"]
WORDS = ["it", "is", "a", "truth", "universally", "acknowledged", ",", "that", "a", "single", "man"]


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> Path:
    """The site, built from the stored outputs."""
    folder = tmp_path_factory.mktemp("site")
    patch = pytest.MonkeyPatch()
    patch.setattr(site, "SOURCE", folder / "source")
    patch.setattr(site, "SITE", folder / "site")
    assert site.build() == 0
    patch.undo()
    return folder / "site"


@pytest.fixture(scope="session")
def browser():
    with playwright.sync_playwright() as p:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        try:
            chromium = p.chromium.launch(executable_path=path, args=QUIET)
        except playwright.Error as error:
            pytest.skip(f"no Chromium here, so no page was looked at: {error.message[:200]}")
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser):
    """A function that opens a page and waits for its formulas; its complaints are errors."""
    complaints, contexts = [], []

    def open_page(path, width=1200, theme="light", **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda m: complaints.append(f"{path}: {m.text}") if m.type == "error" else None,
        )
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.goto(path if "://" in str(path) else Path(path).as_uri())
        if options.get("java_script_enabled", True):
            page.evaluate("window.MathJax?.startup?.promise")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def all_pages(folder: Path) -> list[Path]:
    left_out = {"genindex.html", "search.html"}
    found = (p for p in sorted(folder.rglob("*.html")) if p.parent.name != "_static")
    return [p for p in found if p.name not in left_out]


def reading_pages(folder: Path) -> list[Path]:
    return [p for p in all_pages(folder) if p.parent.name != "source"]


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1200, "dark")])
def test_pages_are_whole(pages, tab, width, theme):
    """No broken link or image, every formula drawn, no sideways scrolling, alternative texts."""
    for path in reading_pages(pages):
        page = tab(path, width, theme)
        found = page.evaluate(
            """() => ({
              wide: document.documentElement.scrollWidth - innerWidth,
              errors: document.querySelectorAll("mjx-merror, [data-mjx-error]").length,
              raw: [...document.querySelectorAll(".math")]
                .filter((m) => !m.querySelector("mjx-container")).length,
              silent: [...document.querySelectorAll("article img")]
                .filter((i) => !i.alt.includes(" ")).length,
              images: [...document.querySelectorAll("img")].map((i) => i.src),
              links: [...document.querySelectorAll("a[href]")].map((a) => a.href),
            })"""
        )
        images, links = found.pop("images"), found.pop("links")
        assert found == dict(wide=0, errors=0, raw=0, silent=0), path.name
        for address in images + [link for link in links if link.startswith("file:")]:
            file, _, fragment = address.removeprefix("file://").partition("#")
            assert Path(file).is_file(), f"{path.name} leads to {file}"
            if fragment and file == str(path):
                assert page.query_selector(f'[id="{fragment}"]'), f"{path.name}#{fragment}"
        page.context.close()


def test_links_between_pages_lead_to_an_anchor(pages):
    ids = {p: set(re.findall(r'\bid="([^"]+)"', p.read_text("utf-8"))) for p in all_pages(pages)}
    for path in ids:
        for target in re.findall(r'href="([^":]+\.html#[^"]+)"', path.read_text("utf-8")):
            name, fragment = target.split("#")
            other = (path.parent / name).resolve()
            assert fragment in ids[other], f"{path.name} leads to {target}"


@pytest.mark.parametrize(
    ("theme", "options"),
    # without preload: it would fetch style sheets, which no browser does from a file; and what
    # else than colours differs in the dark
    [
        ("light", {"preload": False}),
        ("dark", {"preload": False, "runOnly": ["color-contrast"]}),
    ],
    ids=["light", "dark"],
)
def test_axe_finds_nothing_serious(pages, tab, theme, options):
    """Formulas are MathJax's own affair; code has thousands of tokens and a test of its own."""
    for path in reading_pages(pages):
        page = tab(path, 1200, theme)
        context = {"exclude": [["mjx-container"], ["pre"]]}
        found = axe_playwright.Axe().run(page, context, options).response["violations"]
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        told = [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in serious]
        assert told == [], path.name
        page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_code_can_be_read(pages, tab, theme):
    """The contrast of every colour of code with its background: 4.5 or more (WCAG AA)."""
    for name in ("01_RNN", "04_LanguageModelling"):
        colours = tab(pages / "lessons" / f"{name}.html", 1200, theme).evaluate(
            """() => { const ground = (e) => {
                for (; e; e = e.parentElement) {
                  const c = getComputedStyle(e).backgroundColor;
                  if (!c.endsWith(", 0)")) return c; }
                return "rgb(255, 255, 255)"; };
              const pairs = new Set([...document.querySelectorAll("pre, pre span, pre a")].map(
                (e) => getComputedStyle(e).color + "/" + ground(e)));
              return [...pairs]; }"""
        )
        for pair in colours:
            light, dark = sorted(map(luminance, pair.split("/")), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{name}, {theme}: {pair}"


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(…)" (WCAG 2.2)."""
    parts = [int(float(n)) / 255 for n in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_pages_are_light(pages):
    for path in all_pages(pages):
        assert path.stat().st_size < 1_500_000, path.name


def test_search_finds_from_a_file(pages, tab):
    page = tab(f"{(pages / 'search.html').as_uri()}?q=perplexity")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    assert "lessons/04" in " ".join(
        a.get_attribute("href") for a in page.query_selector_all("#search-results li a")
    )


def test_an_equation_shows_itself_and_leads_to_its_code(pages, tab):
    page = tab(pages / "lessons" / "02_LSTM.html")
    page.hover("article p a.equation >> nth=0")
    page.wait_for_selector(".equation-preview:not([hidden]) mjx-container")
    link = page.get_attribute('[id="eq-lstm-6"] ~ .equation-code a', "href")
    name, fragment = link.split("#line-")
    assert (
        "(LSTM.6)"
        in (
            site.ROOT.joinpath(*Path(name).stem.split(".")).with_suffix(".py").read_text("utf-8")
        ).splitlines()[int(fragment) - 1]
    )
    comment = page.query_selector("pre .c1 a.equation")
    assert comment and comment.get_attribute("href").split("#")[-1].startswith("eq-")


def test_tables_of_results_can_be_sorted(pages, tab):
    page = tab(pages / "results.html")
    table = page.locator("table").first
    column = table.locator("th").nth(1)

    def values():
        cells = table.locator("tbody tr td:nth-child(2)").all_inner_texts()
        return [float(text.replace(",", "")) for text in cells if text]

    column.locator("button").click()
    assert values() == sorted(values()) and column.get_attribute("aria-sort") == "ascending"
    column.locator("button").click()
    assert values() == sorted(values(), reverse=True)


# The network in the page


@pytest.fixture(scope="session")
def network():
    model, lexicon = pretrained.load(live.BOOK, live.NAME)
    return model, lexicon


@pytest.fixture
def live_page(pages, tab):
    page = tab(pages / "index.html")
    page.wait_for_selector(".live-bars button", timeout=20_000)
    return page


NETWORK = "document.querySelector('[data-live]').live.network"


@torch.no_grad()
def test_logits_of_200_words_are_pytorch_s_to_the_precision_of_the_weights(live_page, network):
    """PyTorch gets the rounded weights: what is left is float32 arithmetic."""
    model, lexicon = network
    rounded = to_torch(live.rounded(to_numpy(model)))
    words = np.random.default_rng(0).integers(0, len(lexicon), size=200)
    expected, _ = rounded(torch.tensor(words[None]), rounded.initialize(1))
    found = live_page.evaluate(
        f"""(words) => {{ const n = {NETWORK}; let s = n.start();
        return words.map((w) => [...n.logits(s = n.read(w, s))]); }}""",
        words.tolist(),
    )
    np.testing.assert_allclose(found, expected[0].numpy(), atol=2e-4)
    exact, _ = model(torch.tensor(words[None]), model.initialize(1))
    assert np.abs(np.array(found) - exact[0].numpy()).mean() < 0.05


def test_greedy_text_of_50_words_is_the_same(live_page, network):
    model, lexicon = network
    rounded = to_torch(live.rounded(to_numpy(model)))
    index = {word: number for number, word in enumerate(lexicon)}
    expected = generation.generate(
        rounded, WORDS, index, dict(enumerate(lexicon)), len(WORDS), 50, top_k=1
    )
    found = live_page.evaluate(
        f"""(words) => {{ const n = {NETWORK}; let s = n.start(), out = [];
        for (const w of words) s = n.read(n.indexOf.get(w), s);
        for (let k = 0; k < 50; k++) {{
          const w = sample(distribution(n.logits(s), {{ topK: 1 }}), 0.5);
          out.push(n.words[w]); s = n.read(w, s); }}
        return out; }}""",
        WORDS,
    )
    assert found == expected


@pytest.mark.parametrize("options", [{}, {"topK": 5}, {"temperature": 0.7, "topP": 0.8}])
def test_sampled_words_are_right_in_distribution(live_page, network, options):
    """4000 draws after one beginning, against `generation.distribution`: a chi-square test.

    The seed is fixed, so it passes or fails for good; at the level of 0.001 a right sampler would
    fail for one seed in a thousand.
    """
    found = live_page.evaluate(
        f"""([words, options]) => {{ const n = {NETWORK}; let s = n.start();
        for (const w of words) s = n.read(n.indexOf.get(w), s);
        const logits = n.logits(s), d = distribution(logits, options), random = randomNumbers(1);
        const counts = new Array(logits.length).fill(0);
        for (let k = 0; k < 4000; k++) counts[sample(d, random())]++;
        return [[...logits], counts]; }}""",
        [WORDS, options],
    )
    logits, counts = map(np.array, found)
    names = {"topK": "top_k", "topP": "top_p", "temperature": "temperature"}
    given = {names[key]: value for key, value in options.items()}
    expected = 4000 * generation.distribution(torch.tensor(logits), **given).numpy()
    assert counts[expected == 0].sum() == 0
    often = expected >= 5
    groups = [*zip(counts[often], expected[often], strict=True)]
    if expected[~often].sum() >= 1:
        groups.append((counts[~often].sum(), expected[~often].sum()))
    statistic = sum((came - wanted) ** 2 / wanted for came, wanted in groups)
    freedom = len(groups) - 1
    # Wilson and Hilferty's approximation of the 99.9 % quantile of chi-square
    limit = freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3
    assert statistic < limit


def test_the_network_writes_and_can_be_led(live_page):
    written = ".live-written"
    live_page.click("[data-do=step]")
    assert live_page.locator(written).count() == 1
    live_page.click("[data-do=run]")
    live_page.wait_for_function("document.querySelectorAll('.live-written').length > 5")
    live_page.click("[data-do=run]")
    first = live_page.inner_text(".live-text")
    live_page.click("[data-do=again]")
    assert live_page.locator(written).count() == 0
    live_page.click("[data-do=run]")
    live_page.wait_for_function("document.querySelectorAll('.live-written').length > 5")
    live_page.click("[data-do=run]")
    again = live_page.inner_text(".live-text")
    length = min(len(first), len(again)) - 1
    assert first[:length] == again[:length], "a seed gives the same words"
    choice = live_page.inner_text(".live-bars li:nth-child(2) b")
    live_page.click(".live-bars li:nth-child(2) button")
    assert live_page.locator(written).last.inner_text().strip().lower() == choice


def test_the_switch_changes_the_words(live_page):
    """Held inside of a quotation, words of speech become likelier than held outside."""

    def share(side):
        live_page.check(f".live-switch input[value={side}]")
        return live_page.evaluate(
            """() => { const l = document.querySelector('[data-live]').live;
            const { p } = distribution(l.network.logits(l.state));
            return ["i", "you", "my", "your", "me", "am"].reduce(
              (sum, w) => sum + p[l.network.indexOf.get(w)], 0); }"""
        )

    live_page.fill(".live textarea", "the next morning ,")
    assert share("inside") > 1.5 * share("outside")


@pytest.mark.parametrize(
    ("beginning", "told"),
    [
        ("", "no word that the network knows"),
        ("Zwölf Boxkämpfer jagen Viktor", "left out: zwölf, boxkämpfer, jagen, viktor"),
        ("the " * 5000, "Only the last 300 of 5000 words"),
        ("<i>xyzzy</i> is", "left out: xyzzy."),
    ],
)
def test_strange_beginnings_are_answered_in_a_sentence(live_page, beginning, told):
    live_page.fill(".live textarea", beginning)
    assert told in live_page.inner_text(".live-note")
    live_page.click("[data-do=step]")
    assert live_page.locator(".live-written").count() == 1


def test_30_words_a_second(live_page):
    """A bound that a slow and busy machine keeps: the page promises to go on while one reads."""
    seconds = live_page.evaluate(
        f"""() => {{ const n = {NETWORK}; let s = n.start(); const start = performance.now();
        for (let k = 0; k < 30; k++) s = n.read(sample(distribution(n.logits(s)), 0.5), s);
        return (performance.now() - start) / 1000; }}"""
    )
    print(f"{30 / seconds:.0f} words a second")
    assert seconds < 1


def test_without_javascript_the_page_says_so(pages, tab):
    page = tab(pages / "index.html", java_script_enabled=False)
    assert "The network needs JavaScript" in page.inner_text("article")
    assert page.locator("article a").count() > 5


def test_from_a_server_the_weights_are_fetched(pages, tab):
    handler = functools.partial(QuietHandler, directory=pages)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        page = tab(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_selector(".live-bars button", timeout=20_000)
    finally:
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


# The three cells


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gradients_of_the_cells_are_those_of_the_layers(pages, tab, cell):
    """Random numbers in the page's cell and in the NumPy layer of one unit."""
    page = tab(pages / "cells.html")
    rng = np.random.default_rng(5)
    names = page.evaluate(f"Object.keys({{...CELLS.{cell}.inputs, ...CELLS.{cell}.gradients}})")
    given = dict(zip(names, rng.uniform(-2, 2, len(names)).tolist(), strict=True))
    found = page.evaluate(f"(given) => compute('{cell}', given)", given)
    values, gradients = by_layer(cell, given)
    for name, value in values.items():
        assert math.isclose(found["values"][name], value, abs_tol=1e-12), name
    for name, value in gradients.items():
        assert math.isclose(found["gradients"][name], value, abs_tol=1e-12), name


def by_layer(cell, given):
    layer = {"rnn": RNNLayer, "lstm": LSTMLayer, "gru": GRULayer}[cell](1, 1)
    columns = {"rnn": [""], "lstm": ["_i", "_f", "_o", "_g"], "gru": ["_z", "_r"]}[cell]
    places = {name: [name + column for column in columns] for name in ("Wx", "Wh", "b")}
    if cell == "gru":
        places |= {name: [name] for name in ("Wxi", "Whi", "bi")}
    for name, keys in places.items():
        shape = getattr(layer, name).shape
        setattr(layer, name, np.array([given[key] for key in keys]).reshape(shape))
    states = ["h_prev", "c_prev"] if cell == "lstm" else ["h_prev"]
    one = {name: np.array([[given[name]]]) for name in ["x", *states]}
    *after, cache = layer.forward_step(*one.values())
    values = dict(zip(["h", "c"], (float(a.item()) for a in after), strict=False))
    incoming = [np.array([[given[key]]]) for key in ["dh", "dc_next"] if key in given]
    dx, *rest = layer.backward_step(*incoming, cache)
    gradients = {"x": dx.item()}
    gradients |= {name: rest.pop(0).item() for name in states}
    for keys, gradient in zip(places.values(), rest, strict=True):
        gradients |= dict(zip(keys, gradient.ravel().tolist(), strict=True))
    return values, gradients


def test_dragging_a_weight_moves_the_numbers(pages, tab):
    page = tab(pages / "cells.html")
    before = page.get_attribute("[data-cell=lstm] svg", "aria-label")
    page.locator("[data-cell=lstm] label", has_text="b_f").locator("input").fill("3")
    after = page.get_attribute("[data-cell=lstm] svg", "aria-label")
    assert before != after and "f 0.9" in after


def test_the_choice_of_light_or_dark_is_remembered(pages, tab):
    page = tab(pages / "index.html")
    page.click(".theme-switch-button >> visible=true")
    page.click(".theme-switch-container .dropdown-item:has-text('Dark') >> visible=true")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
