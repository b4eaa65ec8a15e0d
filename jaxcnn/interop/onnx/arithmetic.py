"""Arithmetic, comparisons and reductions: what JAX differentiates, and what shapes are made of.

All that is known beforehand is computed by NumPy, once.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.interop.onnx.table import Node, operator
from jaxcnn.interop.onnx.values import Maps, is_float, known, library, plain
from jaxcnn.ops.dense import dense


def _by_name(kinds: dict[str, tuple[str, int]], count: int | None = None) -> None:
    """Operators that are functions of NumPy and JAX, of `count` arguments or of two at a time."""

    def enter(kind: str, name: str, newest: int) -> None:
        @operator(kind, newest, layout="each")
        def _function(node: Node, *values: Any) -> Any:
            f = getattr(library(*values), name)
            if count is not None or len(values) == 1:
                return f(*values) if count is not None else values[0]
            total, *rest = values
            for value in rest:
                total = f(total, value)
            return total

    for kind, (name, newest) in kinds.items():
        enter(kind, name, newest)


_by_name({
    "Neg": ("negative", 13), "Abs": ("abs", 13), "Sqrt": ("sqrt", 13), "Exp": ("exp", 13),
    "Log": ("log", 13), "Floor": ("floor", 13), "Ceil": ("ceil", 13), "Round": ("round", 22),
    "Sign": ("sign", 13), "Not": ("logical_not", 1), "IsNaN": ("isnan", 20),
    "Sin": ("sin", 22), "Cos": ("cos", 22), "Tan": ("tan", 22), "Asin": ("arcsin", 22),
    "Acos": ("arccos", 22), "Atan": ("arctan", 22), "Sinh": ("sinh", 22), "Cosh": ("cosh", 22),
    "Asinh": ("arcsinh", 22), "Acosh": ("arccosh", 22), "Atanh": ("arctanh", 22),
    "Add": ("add", 14), "Sub": ("subtract", 14), "Mul": ("multiply", 14),
    "Equal": ("equal", 19), "Greater": ("greater", 13), "Less": ("less", 13),
    "GreaterOrEqual": ("greater_equal", 16), "LessOrEqual": ("less_equal", 16),
    "And": ("logical_and", 7), "Or": ("logical_or", 7), "Xor": ("logical_xor", 7),
    "Where": ("where", 16),
}, count=2)  # fmt: skip
_by_name({"Max": ("maximum", 13), "Min": ("minimum", 13), "Sum": ("add", 13)})


@operator("Mean", 13, layout="each")
def _mean(node: Node, *values: Any) -> Any:
    return sum(values[1:], values[0]) / np.asarray(len(values), values[0].dtype)


@operator("Reciprocal", 13, layout="each")
def _reciprocal(node: Node, x: Any) -> Any:
    return np.ones((), x.dtype) / x


@operator("IsInf", 20, layout="each")
def _is_inf(node: Node, x: Any) -> Any:
    of = library(x)
    found = of.isinf(x)
    if not node.get("detect_positive", 1):
        found = of.logical_and(found, x < 0)
    return found if node.get("detect_negative", 1) else of.logical_and(found, ~(x < 0))


@operator("Div", 14, layout="each")
def _div(node: Node, x: Any, y: Any) -> Any:
    if is_float(x):
        return x / y
    # Integers are rounded towards zero.
    quotient, zero = x // y, np.zeros((), x.dtype)
    over = (x - quotient * y != zero) & ((x < zero) != (y < zero))
    return quotient + over.astype(x.dtype)


@operator("Mod", 28, layout="each")
def _mod(node: Node, x: Any, y: Any) -> Any:
    of = library(x, y)
    return of.fmod(x, y) if node.get("fmod", 0) else of.mod(x, y)


@operator("Pow", 15, layout="each")
def _pow(node: Node, x: Any, y: Any) -> Any:
    dtype = y.dtype if is_float(y) and not is_float(x) else x.dtype
    return library(x, y).power(x.astype(dtype), y.astype(dtype)).astype(x.dtype)


@operator("Cast", 28)
def _cast(node: Node, x: Any) -> Any:
    if known(x):  # which may be of one byte each, and become eight
        node.claim(x.shape)
    return cast(x, node.get("to"))


@operator("CastLike", 25)
def _cast_like(node: Node, x: Any, like: Any) -> Any:
    if known(x):
        node.claim(x.shape)
    return cast(x, like.dtype)


def cast(x: Any, dtype: Any) -> Any:
    """The value in that dtype; what is known beforehand keeps 64 bits."""
    if known(x):
        return x if x.dtype == object else x.astype(dtype)
    return x.astype(jax.dtypes.canonicalize_dtype(dtype))


# Products -----------------------------------------------------------------------------------------


@operator("Gemm", 13, dense)
def _gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    a = a.T if node.get("transA", 0) else a
    b = b.T if node.get("transB", 0) else b
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    width = b.shape[-1]
    node.claim(node.broadcast((a.shape[0], width), np.shape(c)))
    simple = alpha == 1 and beta == 1 and np.shape(c) in ((width,), (1, width))
    if is_float(a) and simple and c is not None:
        return node.of(dense)(a, b, c.reshape(width))
    y = _scaled(node.of(dense)(a, b) if is_float(a) else library(a, b).matmul(a, b), alpha)
    if c is None:
        return y
    return y + _scaled(c, beta).reshape((1,) * (2 - c.ndim) + c.shape)


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else (np.asarray(factor, x.dtype) * x).astype(x.dtype)


@operator("MatMul", 13, dense)
def _matmul(node: Node, a: Any, b: Any) -> Any:
    columns = b.shape[-1:] if b.ndim > 1 else ()
    node.claim((*node.broadcast(a.shape[:-2], b.shape[:-2]), *a.shape[-2:-1], *columns))
    if b.ndim == 2 and a.ndim >= 1 and is_float(a) and not known(a, b):
        return node.of(dense)(a, b)
    return library(a, b).matmul(a, b)


# Reductions ---------------------------------------------------------------------------------------


def reduction(kind: str, newest: int, of_axes: Callable[..., Any]) -> None:
    """An operator that makes one number of all those along some axes."""

    @operator(kind, newest, settings=(1,), layout="own")
    def _reduce(node: Node, x: Any, axes: Any = None) -> Any:
        axes = node.get("axes") if axes is None else axes
        keep = bool(node.get("keepdims", 1))
        if axes is None or not np.size(axes):
            if node.get("noop_with_empty_axes", 0):
                return _of_single(node, x, of_axes)
            axes = range(x.ndim)
        over = tuple(sorted(node.axes(list(axes), x.ndim)))
        # More than there are, where one of the axes is empty.
        node.claim([size for axis, size in enumerate(x.shape) if axis not in over])
        if not isinstance(x, Maps):
            return of_axes(library(x), x, over, keep)
        if not keep:  # the axes that stay may be in either order
            return of_axes(jnp, plain(x), over, False)
        behind = tuple(-1 if axis == 1 else max(axis - 1, 0) for axis in over)
        return Maps(of_axes(jnp, x.last, behind, True))


def _of_single(node: Node, x: Any, of_axes: Callable[..., Any]) -> Any:
    """No axis: the reduction of each element by itself."""
    x = plain(x)
    return of_axes(library(x), x[..., None], (x.ndim,), False)


def _extreme(name: str) -> Callable[..., Any]:
    def of_axes(of: Any, x: Any, axes: Any, keep: bool) -> Any:
        if x.size:
            return getattr(of, name)(x, axes, keepdims=keep)
        return getattr(of, name)(x, axes, keepdims=keep, initial=_end(x.dtype, name == "max"))

    return of_axes


def _end(dtype: Any, low: bool) -> Any:
    """The smallest or the largest number of a dtype: the extreme of nothing."""
    if jnp.issubdtype(dtype, jnp.floating):
        return np.asarray(-np.inf if low else np.inf, dtype)
    if np.issubdtype(dtype, np.bool_):
        return not low
    return np.iinfo(dtype).min if low else np.iinfo(dtype).max


def _log_sum_exp(of: Any, x: Any, axes: Any, keep: bool) -> Any:
    if not x.size:
        return of.log(of.sum(of.exp(x), axes, keepdims=keep)).astype(x.dtype)
    # Of integers the whole number of the sum; onnxruntime makes every term of the sum whole.
    return jax.nn.logsumexp(jnp.asarray(x), axes, keepdims=keep).astype(x.dtype)


reduction("ReduceMax", 20, _extreme("max"))
reduction("ReduceMin", 20, _extreme("min"))
reduction("ReduceSum", 13, lambda of, x, a, k: of.sum(x, a, keepdims=k, dtype=x.dtype))
reduction("ReduceMean", 18, lambda of, x, a, k: of.mean(x, a, keepdims=k).astype(x.dtype))
reduction("ReduceProd", 18, lambda of, x, a, k: of.prod(x, a, keepdims=k, dtype=x.dtype))
reduction("ReduceL1", 18, lambda of, x, a, k: of.sum(of.abs(x), a, keepdims=k, dtype=x.dtype))
reduction(
    "ReduceL2", 18, lambda of, x, a, k: of.sqrt(of.sum(of.square(x), a, keepdims=k)).astype(x.dtype)
)
reduction(
    "ReduceSumSquare", 18, lambda of, x, a, k: of.sum(of.square(x), a, keepdims=k, dtype=x.dtype)
)
reduction("ReduceLogSum", 28, lambda of, x, a, k: of.log(of.sum(x, a, keepdims=k)).astype(x.dtype))
reduction("ReduceLogSumExp", 28, _log_sum_exp)


def _arg(kind: str, name: str) -> None:
    @operator(kind, 13)
    def _argument(node: Node, x: Any) -> Any:
        (axis,) = node.axes([node.get("axis", 0)], x.ndim)
        of = library(x)
        if node.get("select_last_index", 0):
            place = x.shape[axis] - 1 - getattr(of, name)(of.flip(x, axis), axis)
        else:
            place = getattr(of, name)(x, axis)
        place = cast(place, np.int64)
        return of.expand_dims(place, axis) if node.get("keepdims", 1) else place


_arg("ArgMax", "argmax")
_arg("ArgMin", "argmin")
