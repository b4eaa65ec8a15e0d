"""A small example of every operation as a picture with its numbers, computed when it is drawn.

The shapes are in `SMALL`; an operation that is not there is shown at its first case. All numbers
are drawn.
"""

import inspect
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from html import escape
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.gradcheck.cases import FIRST
from jaxcnn.gradcheck.cases.case import Case, label_array, switch_array

MAP, WINDOW, SMALLER = (1, 4, 4, 1), (2, 2, 1, 1), (1, 3, 3, 1)
LITTLE = (1, 2, 2, 1)
Small = tuple[Mapping[str, tuple[int, ...]], Mapping[str, Any], Mapping[str, Any]]
_HALVES: Small = ({"x": MAP}, {"window": 2}, {})
_LINE: Small = ({"x": (1, 9)}, {}, {})
_ERRORS: Small = ({"predictions": (1, 4), "targets": (1, 4)}, {"reduction": "mean"}, {})

# Shapes, settings, and fixed arrays.
SMALL: dict[str, Small] = {
    "conv": ({"x": MAP, "kernel": WINDOW, "bias": (1,)}, {}, {}),
    "conv_input_grad": ({"delta": SMALLER, "kernel": WINDOW}, {"input_size": (4, 4)}, {}),
    "conv_kernel_grad": ({"x": MAP, "delta": SMALLER}, {"kernel_size": (2, 2)}, {}),
    "true_conv": ({"x": MAP, "kernel": WINDOW, "bias": (1,)}, {}, {}),
    "depthwise_conv": ({"x": (1, 3, 3, 2), "kernel": (2, 2, 1, 2), "bias": (2,)}, {}, {}),
    "table_conv": (
        {"x": (1, 3, 3, 2), "weights": (2, 2, 3), "bias": (2,)}, {"table": ((0,), (0, 1))}, {},
    ),
    "conv_transpose": ({"x": LITTLE, "kernel": WINDOW, "bias": (1,)}, {"stride": 2}, {}),
    "pad": ({"x": (1, 3, 3, 1)}, {"padding": 1, "mode": "reflect"}, {}),
    "fold_back": ({"delta": (1, 5, 5, 1)}, {"padding": 1, "mode": "reflect"}, {}),
    "rot180": ({"kernel": (3, 3, 1, 1)}, {}, {}),
    "dilate": ({"x": LITTLE}, {"rate": 2}, {}),
    "subsample": ({"x": (1, 3, 3, 1)}, {"rate": 2}, {}),
    "max_pool": _HALVES, "max_pool_with_switches": _HALVES, "avg_pool": _HALVES,
    "sum_pool": _HALVES, "patches": ({"x": (1, 3, 3, 1)}, {"window": 2}, {}),
    "lp_pool": ({"x": MAP}, {"window": 2, "p": 2}, {}),
    "sum_pool_input_grad": ({"delta": LITTLE}, {"window": 2, "input_size": (4, 4)}, {}),
    "gather_at_switches": ({"x": MAP}, {"window": 2}, {"switches": switch_array(4, LITTLE)}),
    "scatter_at_switches": (
        {"delta": LITTLE}, {"window": 2, "input_size": (4, 4)},
        {"switches": switch_array(4, LITTLE)},
    ),
    "max_unpool": ({"x": LITTLE}, {"window": 2}, {"switches": switch_array(4, LITTLE)}),
    "global_avg_pool": ({"x": MAP}, {}, {}), "global_max_pool": ({"x": MAP}, {}, {}),
    "adaptive_avg_pool": ({"x": (1, 5, 5, 1)}, {"output_size": 2}, {}),
    "adaptive_max_pool": ({"x": (1, 5, 5, 1)}, {"output_size": 2}, {}),
    "resize": ({"x": LITTLE}, {"size": (3, 4), "method": "linear"}, {}),
    "resize_input_grad": (
        {"delta": (1, 3, 4, 1)}, {"input_size": (2, 2), "method": "linear"}, {},
    ),
    "gelu": _LINE,
    "leaky_relu": ({"x": (1, 9)}, {"slope": 0.1}, {}),
    "batch_norm_inference": (
        {"x": (3, 2), "scale": (2,), "bias": (2,)}, {},
        {name: lambda generator: generator.integers(1, 5, 2).astype(float)
         for name in ("mean", "variance")},
    ),
    "upsample": ({"x": LITTLE}, {"size": 2}, {}),
    "pixel_shuffle": ({"x": (1, 1, 2, 4)}, {"block": 2}, {}),
    "pixel_unshuffle": ({"x": (1, 2, 4, 1)}, {"block": 2}, {}),
    "fold": ({"delta": (1, 2, 2, 4)}, {"window": 2, "input_size": (3, 3)}, {}),
    "dense": ({"x": (1, 3), "weight": (3, 2), "bias": (2,)}, {}, {}),
    "dense_input_grad": ({"delta": (1, 2), "weight": (3, 2)}, {}, {}),
    "dense_weight_grad": ({"x": (2, 3), "delta": (2, 2)}, {}, {}),
    "embedding": ({"table": (4, 3)}, {}, {"ids": label_array(4, (1, 3))}),
    "embedding_table_grad": (
        {"delta": (1, 3, 3)}, {"vocabulary": 4}, {"ids": label_array(4, (1, 3))},
    ),
    "flatten": ({"x": (1, 2, 3, 1)}, {}, {}),
    "unflatten": ({"x": (1, 6)}, {"shape": (2, 3, 1)}, {}),
    "concatenate": ({"a": (1, 2), "b": (1, 1), "c": (1, 3)}, {}, {}),
    "split": ({"x": (1, 6)}, {"sizes": (2, 1, 3)}, {}),
    "pad_channels": ({"x": (1, 3)}, {"before": 1, "after": 2}, {}),
    "crop_channels": ({"x": (1, 6)}, {"before": 1, "after": 2}, {}),
    "scale_channels": ({"x": (1, 2, 2, 2), "scale": (2,), "bias": (2,)}, {}, {}),
    "maxout": ({"x": (1, 6)}, {"pieces": 2}, {}),
    "prelu": ({"x": (1, 6), "slope": ()}, {}, {}),
    "softmax": ({"x": (1, 4)}, {}, {}), "log_softmax": ({"x": (1, 4)}, {}, {}),
    "batch_norm": ({"x": (3, 2), "scale": (2,), "bias": (2,)}, {}, {}),
    "layer_norm": ({"x": (1, 4), "scale": (4,), "bias": (4,)}, {}, {}),
    "rms_norm": ({"x": (1, 4), "scale": (4,)}, {}, {}),
    "group_norm": ({"x": (1, 2, 2, 2), "scale": (2,), "bias": (2,)}, {"groups": 2}, {}),
    "instance_norm": ({"x": (1, 2, 2, 2), "scale": (2,), "bias": (2,)}, {}, {}),
    "local_response_norm": ({"x": (1, 5)}, {"alpha": 0.1, "size": 3}, {}),
    "softmax_cross_entropy": (
        {"logits": (1, 4)}, {"reduction": "mean"}, {"targets": label_array(4, (1,))},
    ),
    "sigmoid_binary_cross_entropy": (
        {"logits": (1, 4), "targets": (1, 4)}, {"reduction": "mean"}, {},
    ),
    "sigmoid_squared_error": ({"logits": (1, 4), "targets": (1, 4)}, {"reduction": "mean"}, {}),
    "squared_error": _ERRORS, "absolute_error": _ERRORS, "huber": _ERRORS, "smooth_l1": _ERRORS,
    "kl_divergence": (
        {"log_predictions": (1, 4), "targets": (1, 4)}, {"reduction": "mean"}, {},
    ),
    "weight_decay": ({"params": (2, 3)}, {"strength": 0.1}, {}),
    "dropout": ({"x": (1, 8)}, {"rate": 0.5}, {}),
    "spatial_dropout": ({"x": (1, 2, 2, 4)}, {"rate": 0.5}, {}),
    "drop_block": ({"x": (1, 5, 5, 1)}, {"rate": 0.3, "block": 2}, {}),
}  # fmt: skip


def example(op: Callable[..., Any]) -> Case:
    """A case small enough to be drawn whole, of small whole numbers."""
    first = FIRST[op]
    simple = set(first.shapes) == {"x"} and not first.settings.keys() & {"window", "output_size"}
    usual = ({"x": (1, 9)}, first.settings, {}) if simple and first.kinked else None
    small = SMALL.get(op.__name__) or usual or _line_of(first)
    shapes, settings, fixed = small or (first.shapes, first.settings, first.fixed)
    draw = dict.fromkeys(shapes, _ramp if shapes == _LINE[0] else _whole) | {"scale": _factor}
    kept = {name: how for name, how in first.draw.items() if name in ("targets", "log_predictions")}
    return replace(
        first,
        shapes=shapes,
        settings=settings,
        fixed={**first.fixed, **fixed},
        draw={**draw, **kept},
    )


def _line_of(first: Case) -> Small | None:
    """Element by element: nine numbers in a row say it all."""
    if set(first.shapes) == {"x"} and len(first.shapes["x"]) == 3 and first.output is None:
        return {"x": (1, 9)}, first.settings, {}
    if set(first.shapes) == {"x"} and len(first.shapes["x"]) == 2:
        return {"x": (1, 9)}, first.settings, {}
    return None


def _whole(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers from −2 to 4."""
    return generator.integers(-2, 5, shape).astype(float)


def _factor(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """1, 2 or 3: with a factor of 0 there would be little to see."""
    return generator.integers(1, 4, shape).astype(float)


def _ramp(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """From −4 to 4."""
    del generator
    return np.linspace(-4, 4, shape[-1]).reshape(shape)


def computed(op: Callable[..., Any]) -> tuple[dict[str, Any], Any, Any, dict[str, Any]]:
    """Inputs by name, y, δ, and the gradients by name, of the example."""
    case = example(op)
    seed = zlib.crc32(op.__name__.encode()) % 1000
    arrays = case.arrays(jnp.float32, seed)
    function = jax.jit(case.function())
    y = function(*arrays)
    generator = np.random.default_rng(seed + 1)
    delta = generator.integers(-1, 3, y.shape).astype(np.float32) if y.ndim else np.float32(1)
    gradients = jax.jit(lambda xs, d: jax.vjp(function, *xs)[1](d))(arrays, jnp.asarray(delta))
    given = {
        name: value
        for name, value in case.given().items()
        if not (isinstance(value, Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key))
    }
    names = list(case.shapes)
    return (
        {**dict(zip(names, arrays, strict=True)), **given},
        y,
        delta,
        dict(zip(names, gradients, strict=True)),
    )


# As SVG -------------------------------------------------------------------------------------------

CELL_HEIGHT, LETTER = 28, 8


def picture(op: Callable[..., Any]) -> str:
    """Forward and back, as HTML with an SVG for every array."""
    return drawn(op, *computed(op))


def drawn(
    op: Callable[..., Any],
    inputs: Mapping[str, Any],
    y: Any,
    delta: Any,
    gradients: Mapping[str, Any],
) -> str:
    """The picture of an example that is computed."""
    kernels = _kernels(op)
    result = "y" in kernels
    forward = [grid(name, value, name in kernels) for name, value in inputs.items()]
    forward += [_arrow(), grid("y", y, result)]
    back = [grid("δ", delta, result), _arrow()]
    back += [grid(f"∂{name}", value, name in kernels) for name, value in gradients.items()]
    settings = ", ".join(
        f"{key}={getattr(v, '__name__', repr(v))}" for key, v in example(op).settings.items()
    )
    caption = f"{op.__name__}({', '.join([*inputs, settings] if settings else inputs)})"
    return (
        '<figure class="picture">\n'
        f"{way('forward', ''.join(forward))}{way('backward', ''.join(back))}"
        f"<figcaption><code>{escape(caption)}</code></figcaption>\n</figure>"
    )


def _kernels(op: Callable[..., Any]) -> set[str]:
    """Which arrays have their axes of space first, and no batch: "*k c d" in the signature."""
    signature = inspect.signature(inspect.unwrap(op))
    kinds = {name: given.annotation for name, given in signature.parameters.items()}
    kinds["y"] = signature.return_annotation
    return {name for name, kind in kinds.items() if "'*k " in str(kind)}


def way(name: str, arrays: str, kind: str = "") -> str:
    """One pass, its arrays beside its name, or below it where there is no room."""
    return (
        f'<div class="pass"><span class="way">{name}</span>'
        f'<div class="arrays{kind}">{arrays}</div></div>\n'
    )


def _arrow() -> str:
    return '<span class="arrow">→</span>'


def grid(name: str, value: Any, kernel: bool = False) -> str:
    """An array under its name, matrices as tables of numbers on colours."""
    array = np.asarray(value, np.float64)
    scale = max(np.abs(array[np.isfinite(array)]).max(initial=0), 1e-9)
    blocks = "".join(_svg(name, block, scale) for block in _blocks(array, kernel))
    return f'<span class="array"><span class="name">{escape(name)}</span>{blocks}</span>'


def _blocks(array: np.ndarray, kernel: bool) -> Iterable[np.ndarray]:
    """The matrices of an array: a kernel's for every pair of channels, a map's for every one."""
    if array.ndim <= 2:
        return [np.atleast_2d(array)]
    if kernel:
        return np.moveaxis(array.reshape(*array.shape[:2], -1), -1, 0)
    if array.ndim == 3:
        return array
    return np.moveaxis(array, -1, 1).reshape(-1, *array.shape[1:-1])


def _svg(name: str, block: np.ndarray, scale: float) -> str:
    rows, columns = block.shape
    cell = max(36, LETTER * max(len(shown(value)) for value in block.flat) + 12)
    cells = []
    for (i, j), value in np.ndenumerate(block):
        x, y = j * cell, i * CELL_HEIGHT
        shade = 0.45 * min(abs(value) / scale, 1) if np.isfinite(value) else 0
        kind = "negative" if value < 0 else "positive"
        cells.append(
            f'<rect x="{x}" y="{y}" width="{cell}" height="{CELL_HEIGHT}" class="{kind}" '
            f'fill-opacity="{shade:.2f}"/>'
            f'<text x="{x + cell / 2:g}" y="{y + CELL_HEIGHT / 2:g}">{shown(value)}</text>'
        )
    width, height = columns * cell, rows * CELL_HEIGHT
    numbers = "; ".join(" ".join(shown(v) for v in row) for row in block)
    return (
        f'<svg viewBox="-1 -1 {width + 2} {height + 2}" width="{width + 2}" height="{height + 2}" '
        f'role="img" aria-label="{escape(name)}: {numbers}">{"".join(cells)}</svg>'
    )


def shown(value: float) -> str:
    """At most two decimals, with a minus that is one."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "−")
