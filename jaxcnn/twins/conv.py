"""Plain twins of the convolution and its gradients."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.ops import conv, conv_variants, table_conv


def _conv(x: Array, kernel: Array, bias: Array | None, geometry: Geometry) -> Array:
    space = "0123456789"[: geometry.axes]
    maps = f"N{space}C"
    y = lax.conv_general_dilated(
        x,
        kernel,
        geometry.stride,
        geometry.padding,
        lhs_dilation=geometry.input_dilation,
        rhs_dilation=geometry.dilation,
        dimension_numbers=(maps, f"{space}IO", maps),
        feature_group_count=geometry.groups,
        precision=geometry.precision,
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


def _conv_transpose(x: Array, kernel: Array, bias: Array | None, geometry: Geometry) -> Array:
    y = _conv_input_grad(x, kernel, geometry)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _true_conv(x: Array, kernel: Array, bias: Array | None, geometry: Geometry) -> Array:
    return _conv(x, jnp.flip(kernel, tuple(range(kernel.ndim - 2))), bias, geometry)


def _connect(weights: Array, table: tuple[tuple[int, ...], ...], channels: int) -> Array:
    columns, position = [], 0
    for inputs in table:
        column = [jnp.zeros(weights.shape[:-1], weights.dtype)] * channels
        for c in inputs:
            column[c] = weights[..., position]
            position += 1
        columns.append(jnp.stack(column, -1))
    return jnp.stack(columns, -1)


def _table_conv(
    x: Array,
    weights: Array,
    bias: Array | None,
    geometry: Geometry,
    table: tuple[tuple[int, ...], ...],
) -> Array:
    return _conv(x, _connect(weights, table, x.shape[-1]), bias, geometry)


def _table_conv_input_grad(
    delta: Array,
    weights: Array,
    geometry: Geometry,
    table: tuple[tuple[int, ...], ...],
    channels: int,
) -> Array:
    return _conv_input_grad(delta, _connect(weights, table, channels), geometry)


def _table_conv_kernel_grad(
    x: Array, delta: Array, geometry: Geometry, table: tuple[tuple[int, ...], ...]
) -> Array:
    kernel = _conv_kernel_grad(x, delta, geometry)
    return jnp.stack([kernel[..., c, d] for d, inputs in enumerate(table) for c in inputs], -1)


TWINS = {
    conv_variants.conv_transpose_map: _conv_transpose,
    conv_variants.true_conv_map: _true_conv,
    table_conv.table_conv_map: _table_conv,
    table_conv.table_conv_input_grad_map: _table_conv_input_grad,
    table_conv.table_conv_kernel_grad_map: _table_conv_kernel_grad,
    conv.conv_map: _conv,
    conv.conv_input_grad_map: _conv_input_grad,
    conv.conv_kernel_grad_map: _conv_kernel_grad,
}
