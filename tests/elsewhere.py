"""Rows of the documentation's table of differences, held to what is computed here and elsewhere."""

import importlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from docs.differences import BY_HAND, DIFFERENCES

ROWS = {row.key: row for row in DIFFERENCES}
MODULES = {
    "PyTorch": "torch", "JAX": "jax", "Flax": "flax.nnx", "Equinox": "equinox", "Keras": "keras",
    "ONNX": "onnx.reference", "onnxruntime": "onnxruntime",
}  # fmt: skip


def measured(key: str, ours: Callable[[], Any], **others: Callable[[Any], Any]) -> None:
    """The numbers in a row are those computed; `others` are given their framework's module.

    What they return is an array, several in a tuple, or a bool where the row has a word for it. A
    framework that is not installed is not asked; each that the row names must have its question.
    """
    row = ROWS[key]
    assert set(others) == set(row.others) - set(BY_HAND)
    with (
        pytest.MonkeyPatch.context() as patch,
        jax.numpy_dtype_promotion("standard"),  # they promote dtypes and ranks
        jax.numpy_rank_promotion("allow"),
    ):
        patch.setenv("KERAS_BACKEND", "jax")
        assert tells(row.jaxcnn, ours())
        for name, ask in others.items():
            if (found := module(name)) is not None:
                assert tells(row.others[name], ask(found)), name


def tells(text: str, found: Any) -> bool:
    """Whether a text tells the numbers found, each array as one whole list: 1, 3.5, 5.5."""
    if isinstance(found, bool | np.bool):
        return bool(found)
    if isinstance(found, tuple):
        return all(tells(text, one) for one in found)
    before, after = r"(?<![\d.−∞])(?<!\d, )(?<![∞N], )", r"(?![\d.]*\d)(?!, [\d−∞N])"
    shown = written(found)
    assert re.search(before + re.escape(shown) + after, text), f"{shown} is not told by: {text}"
    return True


def written(numbers: Any) -> str:
    """As the table writes them, to four digits."""
    numbers = np.asarray(getattr(numbers, "detach", lambda: numbers)(), float).ravel()
    texts = (f"{number + 0.0:.4g}" for number in np.where(abs(numbers) < 1e-12, 0, numbers))
    shown = ", ".join(texts).replace("-", "−").replace("+", "")
    return shown.replace("inf", "∞").replace("nan", "NaN")


def module(name: str) -> Any:
    try:
        return importlib.import_module(MODULES[name])
    except ImportError:
        return None


def row(x: Any) -> Any:
    """Numbers as a map of one line: batch, line, channels."""
    return jnp.asarray(x, jnp.float64)[None, :, None]


def image(x: Any) -> Any:
    """The same for who pools images only."""
    return jnp.asarray(x, jnp.float64)[None, None, :, None]


def torch_row(torch: Any, x: Any) -> Any:
    return torch.tensor(np.asarray(x, float)[None, None], requires_grad=True)


def gradient(f: Callable[[Any], Any], x: Any) -> Any:
    return jax.grad(lambda x: f(x).sum())(x)


def torch_gradient(torch: Any, f: Callable[[Any], Any], x: Any) -> Any:
    given = torch_row(torch, x)
    f(given).sum().backward()
    return given.grad


def slopes(f: Callable[[Any], Any], *places: float) -> list[float]:
    return [float(gradient(f, jnp.array([float(place)]))[0]) for place in places]


def torch_slopes(torch: Any, f: Callable[[Any], Any], *places: float) -> list[float]:
    return [float(torch_gradient(torch, f, [place])[0, 0, 0]) for place in places]


def onnx_node(operator: str, *inputs: Any, runtime: Any = None, **attributes: Any) -> Any:
    """One node's result by ONNX's reference evaluator, or by onnxruntime."""
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    arrays = {f"x{i}": np.asarray(x) for i, x in enumerate(inputs) if x is not None}
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in arrays.items()
    ]
    result = helper.make_empty_tensor_value_info("y")
    if runtime is not None:
        result = helper.make_tensor_value_info("y", infos[0].type.tensor_type.elem_type, None)
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"], **attributes)], "one", infos, [result]
    )
    opset = [helper.make_opsetid("", 21)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=10)
    if runtime is None:
        (y,) = ReferenceEvaluator(made).run(None, arrays)
        return y
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # shapes that it promised and does not give
    return runtime.InferenceSession(made.SerializeToString(), options).run(None, arrays)[0]
