"""How heavy maps are computed: the tables of forms, in order, and what is taken for real layers."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import jaxcnn
from docs.tables import record, span, table, with_records
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
    parts = [with_records((Path(__file__).parent / "fast.md").read_text(encoding="utf-8"))]
    parts.append("## The forms, in order")
    for name, forms in {**convolution.TABLES, **pooling.TABLES}.items():
        rows = [[f.name, escaped(f.why)] for f in forms]
        parts.append(
            f"### {name.capitalize()}\n\n" + table(["form", "what it gains"], rows, numbers=False)
        )
    parts.append(
        "## Which one a layer gets, and why\n\n"
        "For some layers, as `jaxcnn.explain_forms` says it, with XLA's default options:"
    )
    for name, (f, shapes) in LAYERS.items():
        parts.append(f"### {name}\n\n```text\n{jaxcnn.explain_forms(f, *shapes)}\n```")
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
        "`python -m experiments.benchmark --forms` on either side of it:"
    )
    parts += thresholds()
    return "\n\n".join(parts) + "\n"


def thresholds() -> list[str]:
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
                f"**{escaped(name)}** = {value:,} {escaped(value.unit)}, for `{value.form}`: "
                f"{sentence(comment)} Measured at `{value.below}` and `{value.above}`, "
                f"{value.measured}."
            )
    return found
