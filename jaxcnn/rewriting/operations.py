"""The operations of `jax.lax` that have rules of ours, each by its equation's parameters.

A convolution that is another's kernel gradient, as `jax.grad` makes it, is recognised by its
layout: there the batch stands where channels usually stand, and the window is larger than the
result. The gradients and tangents of a maximum become those of our rules.
"""

import math
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import InconclusiveDimensionOperation

from jaxcnn.geometry import parse_geometry
from jaxcnn.interop.conv import conv_general_dilated
from jaxcnn.ops.conv import conv_kernel_grad
from jaxcnn.ops.max_pool import max_pool
from jaxcnn.ops.sum_pool import sum_pool
from jaxcnn.rewriting.found import Left, floats
from jaxcnn.rewriting.products import name_of, product
from jaxcnn.sizes import surely

AXES = 3
"""So many axes of space have rules."""


def convolution(lhs: Array, rhs: Array, **params: Any) -> Array:
    """A convolution, or an input gradient, which is one of a dilated map."""
    floats(lhs, rhs)
    wanted = params["preferred_element_type"] or lhs.dtype
    lhs, rhs = lhs.astype(wanted), rhs.astype(wanted)  # the factors are never wider
    space = len(params["window_strides"])
    if not 1 <= space <= AXES:
        raise Left(f"{space} axes of space, rules have 1 to {AXES}")
    if _is_kernel_gradient(lhs.shape, rhs.shape, params):
        return _kernel_gradient(lhs, rhs, params)
    return conv_general_dilated(lhs, rhs, **params)


def _map(lhs: Array, rhs: Array, **params: Any) -> str:
    return "conv_kernel_grad" if _is_kernel_gradient(lhs.shape, rhs.shape, params) else "conv"


def _is_kernel_gradient(lhs: tuple[int, ...], rhs: tuple[int, ...], params: Any) -> bool:
    numbers = params["dimension_numbers"]
    batch, channels, *_ = numbers.lhs_spec
    if batch < channels or params["feature_group_count"] > 1:
        return False
    reach = math.prod(rhs[a] for a in numbers.rhs_spec[2:])
    return surely(lambda: reach > math.prod(_window(lhs, rhs, params)))


def _window(lhs: tuple[int, ...], rhs: tuple[int, ...], params: Any) -> list[int]:
    """The size of what comes out."""
    numbers = params["dimension_numbers"]
    geometry = parse_geometry(
        "conv_general_dilated",
        [lhs[a] for a in numbers.lhs_spec[2:]],
        [rhs[a] for a in numbers.rhs_spec[2:]],
        stride=params["window_strides"],
        padding=params["padding"],
        dilation=params["rhs_dilation"],
        input_dilation=params["lhs_dilation"],
    )
    return list(geometry.output)


def _kernel_gradient(lhs: Array, rhs: Array, params: Any) -> Array:
    """x ⋆ dilate(δ) for lhs = x and rhs = δ, with the batch in the place of the channels."""
    numbers = params["dimension_numbers"]
    window = _window(lhs.shape, rhs.shape, params)
    c, n, *space = numbers.lhs_spec
    x = jnp.transpose(lhs, (n, *space, c))
    d, n, *space = numbers.rhs_spec
    delta = jnp.transpose(rhs, (n, *space, d))
    stride, dilation = params["rhs_dilation"], params["window_strides"]
    sizes = (((h - 1) * a + 1) for h, a in zip(x.shape[1:-1], params["lhs_dilation"], strict=True))
    # As far as the last window reaches, a remainder left out.
    padding = [
        (low, (p - 1) * s + (k - 1) * e + 1 - h - low)
        for (low, _), p, s, k, e, h in zip(
            params["padding"], delta.shape[1:-1], stride, window, dilation, sizes, strict=True
        )
    ]
    gradient = conv_kernel_grad(
        x, delta, kernel_size=window, stride=stride, padding=padding, dilation=dilation,
        input_dilation=params["lhs_dilation"], groups=params["batch_group_count"],
        precision=params["precision"],
    )  # fmt: skip
    batch, channels, *space = numbers.out_spec
    order = (*space, batch, channels)
    return jnp.transpose(gradient, [order.index(axis) for axis in range(gradient.ndim)])


# Windows ------------------------------------------------------------------------------------------


def _pooled(pool: Callable[..., Array], maps: tuple[Array, ...], params: Any) -> Any:
    """A pooling of ours over the axes along which windows reach, the last other one as channels."""
    x = maps[0]
    floats(*maps)
    window, stride = params["window_dimensions"], params["window_strides"]
    dilation = params.get("window_dilation", (1,) * x.ndim)
    padding = params["padding"]
    if set(params.get("base_dilation", (1,))) != {1}:
        raise Left("its map is dilated")
    space = [a for a in range(x.ndim) if (window[a], stride[a], *padding[a]) != (1, 1, 0, 0)]
    if not 1 <= len(space) <= AXES:
        raise Left(f"{len(space)} axes of space, rules have 1 to {AXES}")
    most = {a: (window[a] - 1) * dilation[a] for a in space}
    if not all(surely(lambda p=p, a=a: 0 <= p <= most[a]) for a in space for p in padding[a]):
        raise Left("its padding may hold a window, or crops")
    others = [a for a in range(x.ndim) if a not in space]
    # If space comes last, it stays there, with one channel; otherwise the last other axis is the
    # channels.
    channels = others[-1:] if others and others[-1] > space[-1] else []
    batch = [a for a in others if a not in channels]
    order = [*batch, *space, *channels]

    def bring(a: Array) -> Array:
        a = jnp.transpose(a, order)
        n = math.prod(a.shape[: len(batch)])
        return a.reshape(n, *a.shape[len(batch) :], *(() if channels else (1,)))

    def back(a: Array) -> Array:
        shape = a.shape[1:] if channels else a.shape[1:-1]
        a = a.reshape(*(x.shape[i] for i in batch), *shape)
        return jnp.transpose(a, [order.index(axis) for axis in range(len(order))])

    ours = partial(
        pool,
        window=tuple(window[a] for a in space),
        stride=tuple(stride[a] for a in space),
        padding=tuple(padding[a] for a in space),
        dilation=tuple(dilation[a] for a in space),
    )
    return back(ours(*map(bring, maps)))


def _maximum(x: Array, **settings: Any) -> Array:
    return max_pool(x, settings.pop("window"), **settings)


def _minimum(x: Array, **settings: Any) -> Array:
    return -_maximum(-x, **settings)


def _sum(x: Array, **settings: Any) -> Array:
    return sum_pool(x, settings.pop("window"), **settings)


def _maximum_input_gradient(x: Array, delta: Array, **settings: Any) -> Array:
    return jax.vjp(partial(_maximum, **settings), x)[1](delta)[0]


def _maximum_tangent(x: Array, dot: Array, **settings: Any) -> Array:
    return jax.jvp(partial(_maximum, **settings), (x,), (dot,))[1]


def window_maximum(x: Array, **params: Any) -> Array:
    """The maximum of every window."""
    return _pooled(_maximum, (x,), params)


def window_minimum(x: Array, **params: Any) -> Array:
    """The minimum of every window."""
    return _pooled(_minimum, (x,), params)


def window_sum(x: Array, **params: Any) -> Array:
    """The sum over every window."""
    return _pooled(_sum, (x,), params)


def scattered(delta: Array, x: Array, **params: Any) -> Array:
    """M(x) • upsample(δ): what `jax.grad` makes of a maximum, or of a minimum."""
    return _pooled(_maximum_input_gradient, (_upwards(x, params), delta), params)


def gathered(dot: Array, x: Array, **params: Any) -> Array:
    """How the maximum, or the minimum, of every window moves."""
    return _pooled(_maximum_tangent, (_upwards(x, params), dot), params)


def _upwards(x: Array, params: Any) -> Array:
    """A map whose maxima are what is selected."""
    return -x if params["select_prim"].name == "le" else x


def _or_left(rule: Callable[..., Any]) -> Callable[..., Any]:
    """The rule, which leaves what an operation of ours refuses, such as a map without a window."""

    @wraps(rule)
    def run(*args: Any, **params: Any) -> Any:
        try:
            return rule(*args, **params)
        except (ValueError, InconclusiveDimensionOperation) as error:
            name, _, why = str(error).partition("\n")[0].rpartition(": ")
            raise Left(why or name) from None

    return run


RULES: dict[str, tuple[Callable[..., Any], str | Callable[..., str]]] = {
    name: (_or_left(rule), by)
    for name, rule, by in (
        ("conv_general_dilated", convolution, _map),
        ("dot_general", product, name_of),
        ("reduce_window_max", window_maximum, "max_pool"),
        ("reduce_window_min", window_minimum, "max_pool of what is negated"),
        ("reduce_window_sum", window_sum, "sum_pool"),
        ("select_and_scatter_add", scattered, "the backward pass of max_pool"),
        ("select_and_gather_add", gathered, "the tangent of max_pool"),
    )
}
"""What is replaced unless something else is asked for, and by what."""
