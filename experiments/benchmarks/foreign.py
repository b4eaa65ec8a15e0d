"""Functions in plain JAX for `with_rules`: what others found slow, as their issues have them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def _convolved(x: Array, kernel: Array, layout: tuple[str, str, str], **settings: Any) -> Array:
    axes = kernel.ndim - 2
    settings = {"window_strides": (1,) * axes, "padding": "SAME", **settings}
    return lax.conv_general_dilated(x, kernel, dimension_numbers=layout, **settings)


def grouped_stack(x: Array, *kernels: Array) -> Array:
    """JAX issue 13800: convolutions in as many groups as there are channels, one after another."""
    for kernel in kernels:
        x = _convolved(x, kernel, ("NCW", "IOW", "NCW"), feature_group_count=x.shape[1])
    return x


def depthwise(x: Array, kernel: Array) -> Array:
    """JAX issue 23713: the depthwise convolution of a ConvNeXt, as Flax makes it."""
    return _convolved(x, kernel, ("NHWC", "HWIO", "NHWC"), feature_group_count=x.shape[-1])


def transposed(x: Array, kernel: Array) -> Array:
    """JAX issue 23783: a transposed convolution over two axes, as Flax makes it."""
    return lax.conv_transpose(x, kernel, (2, 2), "SAME")


def transposed_over_three_axes(x: Array, kernel: Array) -> Array:
    """JAX issue 31662, Equinox pull request 1259: a transposed convolution, channels first."""
    padding, layout = ((1, 2),) * 3, ("NCDHW", "OIDHW", "NCDHW")
    return _convolved(x, kernel, layout, padding=padding, lhs_dilation=(2, 2, 2))


def in_a_loop(x: Array, kernel: Array) -> Array:
    """JAX issue 12868: a convolution within a loop, channels first."""

    def body(x: Array, _: None) -> tuple[Array, None]:
        return jnp.tanh(_convolved(x, kernel / 16, ("NCHW", "OIHW", "NCHW"))), None

    return lax.scan(body, x, None, length=4)[0]


def attention(x: Array, *weights: Array) -> Array:
    """No convolution in it: attention and a dense layer, as often as there are pairs of weights."""

    def layer(x: Array, pair: Array) -> tuple[Array, None]:
        scores = jnp.einsum("ntc,nsc->nts", x @ pair[0], x) / 8
        return x + jnp.tanh(jax.nn.softmax(scores) @ x @ pair[1]), None

    return lax.scan(layer, x, jnp.stack(weights))[0]


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "jax-13800": grouped_stack,
    "jax-23713": depthwise,
    "jax-23783": transposed,
    "jax-31662": transposed_over_three_axes,
    "jax-12868": in_a_loop,
    "attention": attention,
}
