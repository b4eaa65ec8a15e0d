"""How heavy maps are computed: the tables of forms, in order, and what is taken for real layers."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import jax
import jax.numpy as jnp

import jaxcnn
from docs.speed import RUN, run_cells
from docs.tables import number, record, span, table, with_records
from docs.text import escaped, sentence
from jaxcnn.lowering import convolution, pooling
from jaxcnn.lowering import thresholds as numbers


def _of(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _conv(**settings: Any) -> Callable[..., Any]:
    return lambda x, kernel: jaxcnn.conv(x, kernel, **settings)


LAYERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "3×3, 16 channels": (_conv(padding="SAME"), (_of(32, 32, 32, 16), _of(3, 3, 16, 16))),
    "3×3, 1 channel": (_conv(padding="SAME"), (_of(32, 28, 28, 1), _of(3, 3, 1, 8))),
    "1×1, 64 channels": (_conv(), (_of(32, 16, 16, 64), _of(1, 1, 64, 64))),
    "depthwise 3×3, 64 channels": (
        lambda x, kernel: jaxcnn.depthwise_conv(x, kernel, padding="SAME"),
        (_of(32, 16, 16, 64), _of(3, 3, 1, 64)),
    ),
    "3×3 in 4 groups": (_conv(padding="SAME", groups=4), (_of(32, 16, 16, 64), _of(3, 3, 16, 64))),
    "transposed 4×4, stride 2": (
        lambda x, kernel: jaxcnn.conv_transpose(x, kernel, stride=2),
        (_of(32, 8, 8, 64), _of(4, 4, 32, 64)),
    ),
    "max pooling 2×2": (
        lambda x, _: jaxcnn.max_pool(x, 2),
        (_of(32, 28, 28, 16), _of(1)),
    ),
    "3×3×3 over three axes": (_conv(), (_of(2, 16, 16, 16, 8), _of(3, 3, 3, 8, 8))),
}


def forms_page() -> str:
    """Forms, examples, thresholds, measurements."""
    measured = record("forms")
    parts = [with_records((Path(__file__).parent / "fast.md").read_text(encoding="utf-8"))]
    parts.append(
        "## The forms, in order\n\n"
        "The last column is a form's time ÷ that of `plain`, where the form is the one that is "
        "taken: the geometric mean over rows of `python -m experiments.benchmark --forms`, the "
        "smallest, the largest, and of how many rows."
    )
    if measured["runs"]:
        parts.append(table(RUN, [run_cells(run) for run in measured["runs"]], numbers=False))
    for name, forms in {**convolution.TABLES, **pooling.TABLES}.items():
        rows = [[f.name, escaped(f.why), gain(name, f.name, measured["forms"])] for f in forms]
        head = ["form", "what it gains", "÷ plain"]
        parts.append(f"### {name.capitalize()}\n\n" + table(head, rows, numbers=False))
    parts.append(
        "## Which one a layer gets, and why\n\n"
        "For some layers, as `jaxcnn.explain_forms` says it: with XLA's default options, and "
        "within `jaxcnn.jit`."
    )
    for name, (f, shapes) in LAYERS.items():
        told = [f"```text\n{jaxcnn.explain_forms(jit(f), *shapes)}\n```" for jit in JITS.values()]
        titled = [f"{title}:\n\n{text}" for title, text in zip(JITS, told, strict=True)]
        parts.append("\n\n".join([f"### {name}", *titled]))
    parts.append(
        "## What was measured\n\nTime ÷ time of `jax.grad`, forward with all gradients, "
        "from the [record](results.md) of the benchmark:"
    )
    parts.append(
        table(
            ["operation (rows)", "÷ `jax.grad`"],
            [
                [f"{o['kind']} ({o['rows']})", span(o["autodiff"])]
                for o in record("benchmark")["operations"]
            ],
        )
    )
    parts.append(
        "## Thresholds\n\n"
        "Every number that decides has a unit, a reason, and rows of "
        "`python -m experiments.benchmark --forms` on either side of it, with the form's time ÷ "
        "that of `plain`:"
    )
    parts += thresholds({line["row"]: line for line in measured["forms"]})
    return "\n\n".join(parts) + "\n"


JITS = {"By default": jax.jit, "Within `jaxcnn.jit`": jaxcnn.jit}
UNMEASURED = "not measured"


def gain(computed: str, form: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """What a form takes ÷ what the plain one does, over the rows of a map in which it is taken."""
    if form in ("plain", "fft"):
        return {"plain": "1", "fft": "[by size of the kernel](results.md#fourier-transforms)"}[form]
    found = [
        line["ratio"]
        for line in lines
        if line["row"].split("/")[1] == form and computed in line["taken"]
    ]
    if not found:
        return UNMEASURED
    ends = [min(found), max(found)] if len(found) > 1 else []
    return f"{span([geometric_mean(found), *ends])}, {len(found)} row{'s' * (len(found) > 1)}"


def side(name: str, lines: Mapping[str, Mapping[str, Any]]) -> str:
    """A row on one side of a threshold, and what was measured there."""
    if name not in lines:
        return f"`{name}` {UNMEASURED}"
    line = lines[name]
    times = " ÷ ".join(number(line["milliseconds"][peer]) for peer in ("form", "plain"))
    taken = "taken" if line["taken"] else "not taken"
    return f"`{name}` **{number(line['ratio'])}** ({times}\u00a0ms; {taken})"


def thresholds(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Every number that decides, with the comment before it and the rows on either side of it."""
    lines = inspect.getsource(numbers).splitlines()
    found, comment = [], ""
    for node in ast.parse("\n".join(lines)).body:
        if not isinstance(node, ast.Assign):
            continue
        name = ast.unparse(node.targets[0])
        value = getattr(numbers, name)
        first = node.lineno - 1
        while first > 0 and lines[first - 1].startswith("#"):
            first -= 1
        told = " ".join(line.removeprefix("# ") for line in lines[first : node.lineno - 1])
        comment = told or comment  # of several numbers in a row
        if isinstance(value, numbers.Threshold):
            found.append(
                f"**{escaped(name)}** = {value:,} {escaped(value.unit)}, for `{value.form}`, found "
                f"{value.measured}: {sentence(comment)}\n\n"
                f"- no more: {side(value.below, measured)}\n- more: {side(value.above, measured)}"
            )
    return found
