"""The plain twins: what one would write with `jax.lax` and leave to JAX to differentiate.

One table, rule → twin of the same signature. The twins are what the rules are compared with, in
tests and in experiments, and the way `--rules autodiff` works. Nothing here has a rule of ours.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.ops import (
    activation,
    conv,
    dense,
    dropout,
    elementary,
    gate,
    loss,
    max_pool,
    rule_of,
    shape,
)
from jaxcnn.ops import sum_pool as sums

_LETTERS = {1: "W", 2: "HW", 3: "DHW"}


def _conv(x: Array, kernel: Array, bias: Array | None, geometry: Geometry) -> Array:
    space = _LETTERS[geometry.axes]
    y = lax.conv_general_dilated(
        x,
        kernel,
        geometry.stride,
        geometry.padding,
        lhs_dilation=geometry.input_dilation,
        rhs_dilation=geometry.dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=geometry.groups,
    )
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _conv_input_grad(delta: Array, kernel: Array, geometry: Geometry) -> Array:
    channels = kernel.shape[-2] * geometry.groups
    x = jnp.zeros((delta.shape[0], *geometry.input, channels), delta.dtype)
    return jax.vjp(lambda x: _conv(x, kernel, None, geometry), x)[1](delta)[0]


def _conv_kernel_grad(x: Array, delta: Array, geometry: Geometry) -> Array:
    c, d = x.shape[-1] // geometry.groups, delta.shape[-1]
    kernel = jnp.zeros((*geometry.window, c, d), x.dtype)
    return jax.vjp(lambda kernel: _conv(x, kernel, None, geometry), kernel)[1](delta)[0]


def _rot180(kernel: Array) -> Array:
    return jnp.flip(kernel, tuple(range(kernel.ndim - 2)))


def _dilate(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    places = tuple(slice(None, None, s) for s in rate)
    y = jnp.zeros((x.shape[0], *size, x.shape[-1]), x.dtype)
    return y.at[(slice(None), *places)].set(x)


def _subsample(x: Array, rate: tuple[int, ...], size: tuple[int, ...]) -> Array:
    del size
    return x[(slice(None), *(slice(None, None, s) for s in rate))]


def _flatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, math.prod(shape)))


def _unflatten(x: Array, shape: tuple[int, ...]) -> Array:
    return jnp.reshape(x, (-1, *shape))


def _window_arguments(geometry: Geometry) -> dict[str, Any]:
    return {
        "window_dimensions": (1, *geometry.window, 1),
        "window_strides": (1, *geometry.stride, 1),
        "padding": ((0, 0), *geometry.padding, (0, 0)),
        "window_dilation": (1, *geometry.dilation, 1),
    }


def _max_pool(x: Array, geometry: Geometry) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, **_window_arguments(geometry))


def _windows(x: Array, geometry: Geometry, fill: float) -> Array:
    """Every window's elements, by indexing: n h w c → n p q c taps."""
    pads = [(0, 0), *geometry.padding, (0, 0)]
    padded = jnp.pad(x, pads, constant_values=fill)
    columns = []
    for tap in itertools.product(*(range(k) for k in geometry.window)):
        places = [
            np.arange(p) * s + t * d
            for p, s, t, d in zip(
                geometry.output, geometry.stride, tap, geometry.dilation, strict=True
            )
        ]
        columns.append(padded[(slice(None), *np.ix_(*places))])
    return jnp.stack(columns, -1)


def _max_pool_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    windows = _windows(x, geometry, -jnp.inf)
    switches = jnp.argmax(windows, -1)
    return jnp.take_along_axis(windows, switches[..., None], -1)[..., 0], switches


def _gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    index = switches.astype(jnp.int32)[..., None]
    return jnp.take_along_axis(_windows(x, geometry, 0), index, -1)[..., 0]


def _scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _gather_at_switches(x, switches, geometry), x)[1](delta)[0]


def _sum_pool(x: Array, geometry: Geometry) -> Array:
    return lax.reduce_window(x, 0.0, lax.add, **_window_arguments(geometry))


def _sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    x = jnp.zeros((delta.shape[0], *geometry.input, delta.shape[-1]), delta.dtype)
    return jax.vjp(lambda x: _sum_pool(x, geometry), x)[1](delta)[0]


def _avg_pool(x: Array, geometry: Geometry, count_include_pad: bool) -> Array:
    total = _sum_pool(x, geometry)
    if count_include_pad:
        return total / geometry.taps
    return total / _sum_pool(jnp.ones_like(x), geometry)


def _upsample(x: Array, size: tuple[int, ...]) -> Array:
    for axis, k in enumerate(size):
        x = jnp.repeat(x, k, axis + 1)
    return x


def _dense(x: Array, weight: Array, bias: Array | None) -> Array:
    y = jnp.matmul(x, weight)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _dense_input_grad(delta: Array, weight: Array) -> Array:
    return jnp.matmul(delta, weight.T)


def _dense_weight_grad(x: Array, delta: Array) -> Array:
    return jnp.matmul(x.reshape(-1, x.shape[-1]).T, delta.reshape(-1, delta.shape[-1]))


def _gate(x: Array, mask: Array) -> Array:
    return jnp.where(mask, x, jnp.zeros_like(x))


def _dropout_mask(key: Array, rate: float, shape: tuple[int, ...]) -> Array:
    return jax.random.bernoulli(key, 1 - rate, shape)


def _dropout(x: Array, key: Array, rate: float) -> Array:
    if rate == 1:
        return jnp.zeros_like(x)
    return jnp.where(_dropout_mask(key, rate, x.shape), x / (1 - rate), jnp.zeros_like(x))


def _reduce(losses: Array, reduction: str) -> Array:
    return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda losses: losses}[reduction](losses)


def _softmax_cross_entropy(logits: Array, targets: Array, reduction: str) -> Array:
    if jnp.issubdtype(targets.dtype, jnp.integer):
        targets = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    return _reduce(-jnp.sum(targets * jax.nn.log_softmax(logits, -1), -1), reduction)


def _sigmoid_squared_error(logits: Array, targets: Array, reduction: str) -> Array:
    return _reduce(jnp.sum((targets - jax.nn.sigmoid(logits)) ** 2, -1) / 2, reduction)


def _sigmoid_binary_cross_entropy(logits: Array, targets: Array, reduction: str) -> Array:
    terms = targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits)
    return _reduce(-jnp.sum(terms, -1), reduction)


TWINS: dict[Callable[..., Any], Callable[..., Any]] = {
    conv.conv_map: _conv,
    conv.conv_input_grad_map: _conv_input_grad,
    conv.conv_kernel_grad_map: _conv_kernel_grad,
    shape.rot180_map: _rot180,
    shape.dilate_map: _dilate,
    shape.subsample_map: _subsample,
    max_pool.max_pool_map: _max_pool,
    max_pool.max_pool_with_switches_map: _max_pool_with_switches,
    max_pool.gather_at_switches_map: _gather_at_switches,
    max_pool.scatter_at_switches_map: _scatter_at_switches,
    sums.avg_pool_map: _avg_pool,
    sums.sum_pool_map: _sum_pool,
    sums.sum_pool_input_grad_map: _sum_pool_input_grad,
    sums.upsample_map: _upsample,
    dense.dense_map: _dense,
    dense.dense_input_grad_map: _dense_input_grad,
    dense.dense_weight_grad_map: _dense_weight_grad,
    shape.flatten_map: _flatten,
    shape.unflatten_map: _unflatten,
    activation.relu_map: jax.nn.relu,
    activation.sigmoid_map: jax.nn.sigmoid,
    activation.tanh_map: jnp.tanh,
    activation.softmax_map: jax.nn.softmax,
    activation.log_softmax_map: jax.nn.log_softmax,
    loss.softmax_cross_entropy_map: _softmax_cross_entropy,
    loss.sigmoid_squared_error_map: _sigmoid_squared_error,
    loss.sigmoid_binary_cross_entropy_map: _sigmoid_binary_cross_entropy,
    dropout.dropout_map: _dropout,
    dropout.dropout_mask: _dropout_mask,
    gate.gate_map: _gate,
    elementary.exp: jnp.exp,
}


def autodiff_twin(thing: Any) -> Any:
    """The same operation, or the same network, on plain `lax` operations that JAX differentiates.

    Args:
        thing: a public operation such as `jaxcnn.conv`, a rule such as `conv_map`, or a network
            (a value of `jaxcnn.layers`), whose every rule is swapped for its twin.

    Raises:
        TypeError: thing is none of these.
    """
    if is_dataclass(thing) and not isinstance(thing, type):
        return _swap_rules(thing)
    if thing in TWINS:
        return TWINS[thing]
    return partial(thing, rule=TWINS[rule_of(thing)])


def _swap_rules(value: Any) -> Any:
    """The value with every rule in it, however deep, replaced by its twin."""
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: _swap_rules(getattr(value, f.name)) for f in fields(value) if f.init}
        return replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(_swap_rules(entry) for entry in value)
    if callable(value):
        return TWINS.get(value, value)
    return value
