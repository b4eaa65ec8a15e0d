"""The pages that are generated: one per rule, the list of them, the sources."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from docs.comparison import elsewhere
from docs.operations import ROOT, Operation, Place, operations
from docs.pictures import picture
from docs.search import heading, phrases
from docs.sources import SOURCES, Formula, formulas
from docs.text import escaped, formula, listed, paragraphs, sentence, signature_of

KINDS = {
    "linear": "The map is linear: its tangent is the map itself.",
    "product": "The map is linear in each of its arguments: its tangent is a sum of maps.",
    "slope": "One slope for each element, or a symmetric Jacobian: the backward formula again.",
    "selection": "Once the choice is fixed the map is linear: chosen at the same places.",
    "loss": "A sum of numbers, one for every element, each with its slope.",
    "written out": "The tangent is written out beside the backward pass.",
    "constant": "There is no derivative.",
}
FAMILIES = {
    "Convolutions": ("conv", "conv_variants", "table_conv"),
    "Moving elements": ("pad", "shape", "join", "patches", "resize"),
    "Pooling": ("max_pool", "switches", "sum_pool", "lp_pool", "global_pool", "adaptive_pool"),
    "Dense layers": ("dense", "embedding"),
    "Channels": ("channels",),
    "Normalisation": ("batch_norm", "norm", "local_response"),
    "Losses": ("cross_entropy", "probabilities", "regression", "weight_decay"),
    "Dropout": ("dropout", "drop_block"),
}
"""By the files of operations; all others hold activations."""


def link_pages(here: str = "") -> dict[str, str]:
    """From the name of every operation to its page, seen from a folder."""
    prefix = "" if here == "rules" else "rules/"
    return {operation.name: f"{prefix}{operation.name}.md" for operation in operations()}


def rule_page(operation: Operation) -> str:
    """Everything about one operation."""
    links = {name: page for name, page in link_pages("rules").items() if name != operation.name}
    remarks = operation.parts[""].split("\n\n")[2:]
    return (
        "\n\n".join(
            [
                f"# {heading(operation.name)}",
                # For the search, which shows pages whose main entry is what is looked for first.
                "```{eval-rst}\n.. index::\n"
                + "".join(f"   ! single: {phrase}\n" for phrase in phrases(operation.name))
                + "```",
                _formulas(operation, links),
                "## A small example",
                "```{raw} html\n" + picture(operation.op) + "\n```",
                "## Arguments",
                f"```python\n{signature_of(operation.op, f'jaxcnn.{operation.name}')}\n```",
                listed(operation.parts["Args"], links) if "Args" in operation.parts else "",
                *(
                    ["It raises, besides:", listed(operation.parts["Raises"], links)]
                    if "Raises" in operation.parts
                    else []
                ),
                "Shapes, `rule`, `reduction`, and errors that every operation raises: "
                "[](../conventions.md).",
                *(paragraphs(remark, links) for remark in remarks),
                "## Where it comes from",
                sentence(operation.source, links),
                _of_sources(operation),
                elsewhere(operation.name),
                "## Code",
                _code(operation),
                "## Checked by",
                _checks(operation),
            ]
        )
        + "\n"
    )


def _formulas(operation: Operation, links: Mapping[str, str]) -> str:
    rows = [
        ("Forward", [operation.forward]),
        ("Backward", operation.backward),
        ("Tangent", [operation.tangent]),
    ]
    notes = {
        "Backward": f"With {sentence(operation.given, links)}:",
        "Tangent": KINDS[operation.rule.kind],
    }
    parts = []
    for title, lines in rows:
        shown = "\n\n".join(sentence(_sentence_end(line), links) for line in lines)
        note = f"{notes[title]}\n\n" if title in notes else ""
        parts.append(f":::{{container}} formula\n**{title}**\n\n{note}{shown}\n:::")
    return "\n\n".join(parts)


def _sentence_end(line: str) -> str:
    return line if line.endswith(".") else f"{line}."


def _of_sources(operation: Operation) -> str:
    found = [(anchor, source, f) for anchor, source, f in formulas() if operation.name in f.rules]
    if not found:
        return ""
    lines = [
        f'- {formula(its.formula)}: [{source.author}, "{escaped(its.place)}"]'
        f"(../sources.md#{anchor})"
        for anchor, source, its in found
    ]
    return "In the five sources:\n\n" + "\n".join(lines)


def _code(operation: Operation) -> str:
    places = [operation.code]
    rule = operation.rule_code
    if rule is not None:
        places.insert(0, rule)
    shown = "\n\n".join(
        f"{{source}}`{p.path}:{p.first}`\n\n```python\n{text_of(p)}\n```" for p in places
    )
    twin = operation.twin
    return (
        f"{shown}\n\nThe plain twin that it is compared with: {{source}}`{twin.path}:{twin.first}`."
    )


def text_of(place: Place) -> str:
    """The lines themselves."""
    lines = (ROOT / place.path).read_text(encoding="utf-8").splitlines()
    return "\n".join(lines[place.first - 1 : place.last])


def _checks(operation: Operation) -> str:
    cases, mutants = operation.cases, operation.mutants
    parts = [
        f"`python -m jaxcnn.gradcheck --ops {operation.name}` compares values and derivatives, "
        "in both modes, with the twin's and with central differences.",
        _folded(f"At {len(cases)} sets of arguments", [f"`{name}`" for name in cases]),
    ]
    if mutants:
        parts += [
            _folded(
                f"{len(mutants)} deliberately wrong versions of it are caught",
                map(escaped, mutants),
            ),
            "({source}`tests/test_wrong_rules.py:1`)",
        ]
    tests = groupby(operation.tests, key=lambda place: place.path)
    lines = [
        f"- {{source}}`{path}:1`: "
        + ", ".join(f"{{test}}`{p.path}:{p.first} {p.name}`" for p in places)
        for path, places in tests
    ]
    if lines:
        parts += [
            "Tests that call it, besides those that run through all operations:",
            "\n".join(lines),
        ]
    return "\n\n".join(parts)


def _folded(summary: str, lines: Iterable[str]) -> str:
    """A list that opens when it is asked to."""
    inner = "\n".join(f"- {line}" for line in lines)
    return (
        f"```{{raw}} html\n<details><summary>{summary}</summary>\n```\n\n{inner}\n\n"
        "```{raw} html\n</details>\n```"
    )


def rules_page() -> str:
    """The list of all rules, by family."""
    found = operations()
    by_family: dict[str, list[Operation]] = {}
    for operation in found:
        stem = operation.code.path.rpartition("/")[2].removesuffix(".py")
        (family,) = [f for f, stems in FAMILIES.items() if stem in stems] or ["Activations"]
        by_family.setdefault(family, []).append(operation)
    blocks = []
    for family, members in by_family.items():
        entries = [f"[{o.name}](rules/{o.name}.md)\n: {sentence(o.forward)}" for o in members]
        blocks.append("\n\n".join([f"## {family}", *entries]))
    names = "\n".join(f"{operation.name} <rules/{operation.name}>" for operation in found)
    return (
        f"# The rules\n\n{len(found)} operations, each with its formula forward, backward and "
        "tangent, a picture with numbers, its source, its code and its tests. {math}`δ` is the "
        "gradient that comes in; all signs are explained under [conventions](conventions.md), and "
        "[](sources.md) lists the formulas of the five sources.\n\n"
        + "\n\n".join(blocks)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )


def sources_page() -> str:
    """Every formula of the five documents, with what implements, tests and shows it."""
    parts = [
        "# The five sources\n\nThe lectures and the article that these rules come from, formula by "
        "formula, in one notation: {math}`δ` the gradient that comes in, {math}`⋆` the valid "
        "cross-correlation, {math}`∗` the convolution of mathematics, {math}`•` the product "
        "element by element. What the test compares with is the formula written out by hand, a "
        "plain twin, or the printed numbers."
    ]
    for source in SOURCES:
        parts.append(f"## {source.author}\n\n{escaped(source.citation)}.")
        for anchor, its, one in formulas():
            if its is source:
                parts.append(_of_a_source(anchor, one))
    return "\n\n".join(parts) + "\n"


def _of_a_source(anchor: str, its: Formula) -> str:
    path, _, name = its.test.partition("::")
    line = next(
        (
            i
            for i, text in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
            if text.startswith(f"def {name}(")
        ),
        0,
    )
    if not line:
        raise ValueError(f"{its.place}: no test {its.test}")
    told = ", ".join(f"[{name}](rules/{name}.md)" for name in its.rules)
    pieces = [f"rules: {told}"] if told else []
    pieces.append(f"test: {{test}}`{path}:{line} {name}`")
    if its.worked:
        pieces.append(f"with numbers: [{its.worked}](tutorials/backpropagation.md#{its.worked})")
    remark = f"\n\n{sentence(its.remark)}" if its.remark else ""
    return (
        f"({anchor})=\n\n:::{{container}} formula\n**{escaped(its.place)}**\n\n"
        f"{formula(its.formula)}\n\n"
        f"{'; '.join(pieces)}{remark}\n:::"
    )
