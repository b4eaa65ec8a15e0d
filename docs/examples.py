"""The lectures' examples, worked by hand, put into the pages that tell of them."""

import re
from html import escape
from pathlib import Path

from docs.mathematics import mathml
from docs.pictures import grid, way
from docs.prose import clauses
from docs.sources import formulas
from docs.text import sentence
from experiments.worked import EXAMPLES, Example


def with_examples(text: str) -> str:
    """A page in which `<!-- example: key -->` has become the example."""
    return re.sub(r"<!-- example: ([\w-]+) -->", lambda found: shown(EXAMPLES[found[1]]), text)


def examples_page() -> str:
    """Back-propagation, from a neuron to a convolution."""
    path = Path(__file__).parent / "tutorials/backpropagation.md"
    return with_examples(path.read_text(encoding="utf-8"))


def shown(example: Example) -> str:
    """What is given, then forward and back: a formula and its value each."""
    forward, backward = example.by_hand(example.arrays)
    given = "".join(grid(name, value) for name, value in example.arrays.items())

    def rows(steps, prefix=""):
        return "".join(
            f'<div class="step"><span class="by">{drawn(step.formula)}</span>'
            f"{grid(prefix + step.quantity, step.value)}</div>"
            for step in steps
        )

    result = f"∂{example.result}/∂"
    its = [found for found in formulas() if found[2].worked == example.key]
    places = {f'{source.author}, "{f.place}"': anchor for anchor, source, f in reversed(its)}
    rules = dict.fromkeys(name for _, _, f in its for name in f.rules)
    links = [f"[{sentence(place)}](../sources.md#{places[place]})" for place in reversed(places)]
    links += [f"[`{name}`](../rules/{name}.md)" for name in rules]
    return (
        f"({example.key})=\n\n### {sentence(example.title)}\n\n{sentence(example.source)}\n\n"
        '```{raw} html\n<figure class="picture">\n'
        f"{way('given', given)}{way('forward', rows(forward), ' steps')}"
        f"{way('backward', rows(backward, result), ' steps')}"
        f"</figure>\n```\n\n{sentence(example.remark)}\n\n"
        f"`python -m experiments.walkthrough --only {example.key}` "
        "works it three times: by hand, through the rules, and by JAX. "
        f"Its formulas and rules: {', '.join(links)}."
    )


def drawn(formula: str) -> str:
    """A formula that words hold together, as HTML."""
    return "".join(
        mathml(part) if kind == "math" else escape(part) for kind, part in clauses(formula)
    )
