"""Plain twins of the convolution and its gradients."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.ops import conv

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


TWINS = {
    conv.conv_map: _conv,
    conv.conv_input_grad_map: _conv_input_grad,
    conv.conv_kernel_grad_map: _conv_kernel_grad,
}
