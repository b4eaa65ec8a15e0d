"""The documentation: complete for every operation and formula, made of records, and it builds."""

import fcntl
import html
import html.parser
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import jax
import numpy as np
import pytest

from docs.api import MODULES, public
from docs.examples import EXAMPLES, drawn, shown
from docs.mathematics import mathml
from docs.operations import operations
from docs.pages import rule_page, sources_page
from docs.pictures import computed, example
from docs.pictures import drawn as drawing
from docs.prose import pieces
from docs.search import heading, phrases
from docs.sources import SOURCES, formulas
from jaxcnn.gradcheck import relative_error

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
OPERATIONS = operations()
each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.name)
AUTHORS = "|".join(source.author for source in SOURCES)


# Formulas


@each
def test_every_formula_is_drawn(operation):
    """All mathematics in the three sentences, as well-formed MathML, equations above all."""
    for text in (operation.forward, operation.given, *operation.backward, operation.tangent):
        assert (
            "".join(part if kind != "code" else f"`{part}`" for kind, part in pieces(text)) == text
        )
        for kind, part in pieces(text):
            if kind == "math":
                ET.fromstring(mathml(part).replace("&#160;", " "))
            if kind == "prose":
                assert not set(part) & set("∂δΣ√⋆•∈²ᵀ"), part
        drawn = [(kind, part) for kind, part in pieces(text) if part.strip()]
        for (kind, part), (after, words) in pairwise(drawn):
            assert (kind, part[-1:], after) != ("math", "=", "prose"), f"{part} {words}"
    first = next(part for kind, part in pieces(operation.forward) if kind == "math")
    assert re.match(r"\[?[yzE∂].*= .", first)
    assert re.match("[yE]\u0307|[ẏĖ]", operation.tangent), operation.tangent


@pytest.mark.parametrize(
    ("formula", "drawn"),
    [
        ("a/b", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        ("(x − μ)/√(σ² + ε)", "<msqrt>"),
        ("x_cd", "<msub><mi>x</mi><mrow><mi>c</mi><mi>d</mi></mrow></msub>"),
        ("e^(−x²)", "<msup><mi>e</mi>"),
        ("Σ_{i ∈ M} x", "<munder><mo>∑</mo>"),
        ("dJ/du1", "<mfrac><mrow><mi>d</mi><mi>J</mi></mrow>"),
        ("relu′(0)", "<msup><mi>relu</mi>"),
        ("α⁽²⁾", "<msup><mi>α</mi><mrow><mrow><mo"),
        ("min(a, b)/6", "<mfrac><mrow><mi>min</mi>"),
    ],
)
def test_formulas_are_read_as_they_are_meant(formula, drawn):
    assert drawn in mathml(formula)


OF_SOURCES = [formula.formula for _, _, formula in formulas()] + [
    step.formula
    for example in EXAMPLES.values()
    for table in example.by_hand(example.arrays)
    for step in table
]


@pytest.mark.parametrize("formula", OF_SOURCES)
def test_a_formula_of_the_sources_is_drawn_with_its_words_whole(formula):
    """No word becomes a product of its letters, as dJ and xz are; indices are letters, too."""
    found = ET.fromstring(f"<p>{drawn(formula).replace('&#160;', ' ')}</p>")
    for note in found.iter("annotation"):
        note.text = ""
    words = set(re.findall(r"[A-Za-z]{2,}", re.sub(r"_\w+", "", formula)))
    whole = set(re.findall(r"[A-Za-z]{2,}", " ".join(found.itertext())))
    assert {word for word in words if not re.fullmatch("d.|xz", word)} <= whole


def test_prose_is_no_formula():
    text = 'y = x ⋆ k + b: a sum over a window, as "Huang" has it in 2016; see `conv`, a rule.'
    found = list(pieces(text))
    assert [part for kind, part in found if kind == "math"] == ["y = x ⋆ k + b"]
    assert [part for kind, part in found if kind == "code"] == ["conv"]
    assert ("math", "y =") in pieces("y = a dict of outputs")


@each
def test_a_tangent_of_its_kind_is_the_rules_own(operation):
    """What the page says of the kind is what the rule does, at the example of its picture."""
    case = example(operation.op)
    kind, rule = operation.rule.kind, operation.rule
    assert kind in ("linear", "product", "slope", "selection", "loss", "written out")
    assert rule.linear or kind not in ("linear", "product")
    if kind == "written out":
        assert rule.tangent.__doc__
    arrays, f = case.arrays(), case.function()
    if kind == "slope":
        delta = np.random.default_rng(1).normal(size=np.shape(f(*arrays)))
        given = [jax.numpy.asarray(delta), *map(jax.numpy.zeros_like, arrays[1:])]
        _, tangent = jax.jvp(f, arrays, given)
        assert relative_error(tangent, jax.vjp(f, *arrays)[1](given[0])[0])[0] < 1e-12
    if kind == "linear":
        _, tangent = jax.jvp(f, arrays, arrays)
        assert relative_error(tangent, f(*arrays))[0] < 1e-12


# Pictures


@each
def test_the_numbers_of_a_picture_are_the_twins(operation):
    inputs, y, delta, gradients = computed(operation.op)
    case = example(operation.op)
    arrays = [np.asarray(inputs[name], np.float64) for name in case.shapes]
    expected, pull = jax.vjp(case.function(twin=True), *map(jax.numpy.asarray, arrays))
    assert relative_error(np.asarray(y, np.float64), expected)[0] < 1e-5
    for found, right in zip(
        gradients.values(), pull(jax.numpy.asarray(delta, expected.dtype)), strict=True
    ):
        assert relative_error(np.asarray(found, np.float64), right)[0] < 1e-5
    assert np.any(np.asarray(y) != 0)
    labels = re.findall(
        r'aria-label="([^"]*): ([^"]*)"', drawing(operation.op, inputs, y, delta, gradients)
    )
    numbers, blocks = Counter[str](), Counter(name for name, _ in labels)
    for name, label in labels:
        numbers[name] += len(re.findall(r"[^\s;]+", label))
    arrays = {**inputs, "y": y, "δ": delta, **{f"∂{name}": g for name, g in gradients.items()}}
    assert numbers == {name: np.size(array) for name, array in arrays.items()}
    assert all(blocks[name] == 1 for name, array in arrays.items() if np.shape(array)[-1:] == (1,))


# Complete


def test_every_formula_of_the_sources_has_a_rule_a_test_and_a_picture():
    """And the other way round: what a docstring cites of them is on their page."""
    names = {operation.name for operation in OPERATIONS}
    page = sources_page()
    seen = set()
    for anchor, source, formula in formulas():
        assert set(formula.rules) <= names
        assert formula.rules or formula.worked or "finite" in formula.place.lower()
        assert formula.worked in {"", *EXAMPLES}
        assert f"({anchor})=" in page
        path, _, test = formula.test.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")
        seen |= {(source.author, name) for name in formula.rules}
        for name in formula.rules:
            (operation,) = [o for o in OPERATIONS if o.name == name]
            assert anchor in rule_page_of(operation)
        if formula.worked:
            links = re.findall(r"Its formulas and rules: (.*)", shown(EXAMPLES[formula.worked]))[0]
            assert (
                f'[{source.author}, "{formula.place}"](../sources.md#{source.author.lower()}-'
                in links
            )
            assert all(f"(../rules/{name}.md)" in links for name in formula.rules)
    cited = {(a, o.name) for o in OPERATIONS for a in re.findall(rf"\b({AUTHORS})\b", o.source)}
    assert cited <= seen, cited - seen
    assert {formula.worked for _, _, formula in formulas()} - {""} == set(EXAMPLES)


PAGES: dict[str, str] = {}


def rule_page_of(operation) -> str:
    if operation.name not in PAGES:
        import docs.pages

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(docs.pages, "picture", lambda op: "<figure></figure>")
            PAGES[operation.name] = rule_page(operation)
    return PAGES[operation.name]


@each
def test_a_page_has_all_its_parts(operation):
    page = rule_page_of(operation)
    for part in (
        "**Forward**",
        "**Backward**",
        "**Tangent**",
        "<figure",
        "## Where it comes from",
        "## In other frameworks",
        "## Code",
        "## Checked by",
        f"def {operation.name}(",
    ):
        assert part in page, part  # fmt: skip
    assert f"def {operation.rule.fun.__name__}(" in page
    assert f"gradcheck --ops {operation.name}`" in page
    assert operation.cases
    assert operation.twin.path.startswith("jaxcnn/twins/")


# Records


MEASURED = re.compile(
    r"(?<![\w.])\d[\d.,]*(?: ?[±–-] ?\d[\d.,]*)? ?"
    r"(?:%|µs|ms|s|min|seconds|minutes|hours|KB|kB|MB|GB|times (?:faster|slower|as|the))(?!\w)"
    r"|÷[^|\n]*\d\.\d"
    r"|(?<!section )(?<!rate of )(?<!\d{4}, )(?<![\w.])\d+\.\d+(?![\w.])"
)
SETTINGS = {"10 ms": "a sample", "100 seconds": "until a process is missed"}


def test_no_figure_is_typed_into_a_page():
    """Times, shares and ratios come from the records, but for settings of ours."""
    pages = [ROOT / "README.md", ROOT / "experiments/README.md", *sorted(DOCS.rglob("*.md"))]
    for path in pages:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"<!-- speed -->.*?<!-- end of speed -->", "", text, flags=re.DOTALL)
        text = re.sub(r"```.*?```|`[^`]*`|^ {4}[^\n]*", "", text, flags=re.DOTALL | re.MULTILINE)
        found = {figure.group().strip() for figure in MEASURED.finditer(text)}
        assert found <= {*SETTINGS}, path
    assert MEASURED.search("took 0.53 of the time")
    assert MEASURED.search("98.7 % ± 0.2")
    assert MEASURED.search("keeps its outline, 0.6, whatever the weights are")
    assert MEASURED.search("in 25 ms of")
    assert not MEASURED.search("PyTorch 2.13.0, section 4.2, 32×32 maps")


# Examples


def blocks():
    for path in sorted(DOCS.rglob("*.md")):
        code = re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
        if path.stem not in (
            "adding",
            "programs",
        ):  # pieces to be put into files; a test of its own
            yield from _programs(path, code)


def _programs(path, code):
    """Blocks that import are programs; those after them go on with theirs."""
    programs: list[str] = []
    for block in code:
        if "import " in block or not programs:
            programs.append(block)
        else:
            programs[-1] += block
    for i, program in enumerate(programs):
        yield pytest.param(path, program, id=f"{path.stem}-{i}")


@pytest.mark.parametrize(("path", "program"), list(blocks()))
def test_examples_run(path, program, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for name in re.findall(r"^\s*(?:import|from) (\w+)", program, re.MULTILINE):
        pytest.importorskip(name, reason=f"{name} is not installed (extra: peers)")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        jax.config.update("jax_enable_x64", False)
        try:
            exec(compile(program, str(path), "exec"), {})
        finally:
            jax.config.update("jax_enable_x64", True)


def test_the_api_has_everything_public():
    for name, module in MODULES.items():
        assert len(list(public(module))) >= 2, name


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as a user builds it, once for all workers; warnings are errors."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason=f"{name} is not installed (extra: docs)")
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine) / "docs"
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "html/index.html").exists():
            command = [sys.executable, "-m", "docs.build", str(folder)]
            built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert built.returncode == 0, built.stderr
            assert "WARNING" not in built.stderr
    return folder / "html"


class Page(html.parser.HTMLParser):
    """What a page links to, and where it can be linked."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("script", "img", "link"):
            self.loaded += [values[key] for key in ("src", "href") if values.get(key)]


def test_links_hold_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > len(OPERATIONS)
    broken = []
    for path, page in pages.items():
        assert not [url for url in page.loaded if re.match(r"(https?:)?//", url)], path
        for link in {*page.links, *page.loaded}:
            target, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", target):
                continue
            there = (path.parent / target.partition("?")[0]).resolve() if target else path
            if not there.exists() or (
                anchor and there in pages and anchor not in pages[there].anchors
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken, broken[:20]


def test_no_formula_is_cut_within_its_brackets(site):
    cut = set()
    for path in site.rglob("*.html"):
        page = html.unescape(path.read_text(encoding="utf-8"))
        for formula in re.findall(
            r'<annotation encoding="text/plain">(.*?)</annotation>', page, re.DOTALL
        ):
            counts = [formula.count(bracket) for bracket in "(){}⟨⟩"]
            if counts[::2] != counts[1::2]:
                cut.add(f"{path.relative_to(site)}: {formula}")
    assert not cut, sorted(cut)


def test_every_operation_has_a_page_with_formulas_and_a_picture(site):
    for operation in OPERATIONS:
        text = (site / f"rules/{operation.name}.html").read_text(encoding="utf-8")
        assert text.count("<math") >= 3
        assert text.count("<svg") >= 3
        for place in (operation.code, operation.twin, *operation.tests):
            code = (site / f"code/{place.path}.html").read_text(encoding="utf-8")
            assert f'rules/{operation.name}.html">{operation.name}</a>' in code


ANSWERS = {
    "In your own model": [
        "depthwise convolution",
        "eqx.nn.Conv2d(16, 16, 3, groups=16",
        "jaxcnn.jit(eqx.filter_grad(loss))",
    ],
    "max pooling": [
        "at the first maximum of each window",
        "maximum of three equal numbers: the share of δ for each",
        "here 1, 0, 0: the first",
    ],
    "Adding an operation": ["The files, in order"],
    "How it is fast": ["3×3, 16 channels", "not banded: 16 and 16 channels fill vector registers"],
    "Results": [
        "experiments.train lenet5-mnist5k",
        "5 seeds, the worst",
        'pip install ".[experiments]"',
    ],
}


@pytest.mark.parametrize("link", ANSWERS)
def test_a_new_readers_question_is_answered_one_click_from_the_first_page(site, link):
    (found,) = set(re.findall(rf'href="([^"#]+)"><span class="std std-doc">{link}</span>',
                              (site / "index.html").read_text())) or {None}  # fmt: skip
    assert found, link
    text = html.unescape(re.sub(r"<[^>]+>", "", (site / found).read_text()))
    for answer in ANSWERS[link]:
        assert answer in text, answer


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (extra: browser)"
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


FIRST = """queries => queries.map(query => {
  const found = Search._performSearch(...Search._parseQuery(query));
  return found.length ? found.at(-1)[0] : "nothing";
})"""


def test_the_search_finds_every_operation_first_by_all_its_words(site, browser):
    page = browser.new_page()
    page.goto((site / "search.html").as_uri() + "?q=convolution")
    page.locator("#search-results a").first.wait_for()
    expected = {phrase: o.name for o in OPERATIONS for phrase in phrases(o.name)}
    found = page.evaluate(FIRST, [*expected])
    wrong = {p: f for p, f in zip(expected, found, strict=True) if f != f"rules/{expected[p]}"}
    assert not wrong


@pytest.mark.parametrize(
    ("words", "name"),
    {
        "max_pool": "max_pool",
        "max pooling": "max_pool",
        "depthwise convolution": "depthwise_conv",
        "layer normalization": "layer_norm",
        "average pooling": "avg_pool",
    }.items(),
)
def test_the_search_finds_an_operation_and_its_page_shows_the_formula(site, browser, words, name):
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto((site / "index.html").as_uri())
    page.fill("input[name=q]", words)
    page.press("input[name=q]", "Enter")
    link = page.locator("#search-results a").first
    link.wait_for()
    assert f"rules/{name}.html" in link.get_attribute("href")
    assert link.inner_text() == heading(name)
    link.click()
    formula = page.locator(".formula math").first
    formula.wait_for()
    box = formula.bounding_box()
    assert box["width"] > 10
    assert box["height"] > 10
    assert page.locator(".picture svg").first.is_visible()


def test_nothing_is_wider_than_a_phone(site, browser):
    """No page as a whole scrolls sideways; what scrolls is its content."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    wide = {}
    for path in sorted(site.rglob("*.html")):
        if "code" not in path.relative_to(site).parts:
            page.goto(path.as_uri())
            width = page.evaluate("document.querySelector('.content').scrollWidth")
            wide |= {path.stem: width} if width > 390 else {}
    assert not wide
