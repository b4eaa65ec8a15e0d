"""Operations outside `jit`, as one writes them without jaxcnn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def _windows(x: Array, initial: float, reducer: Callable[..., Any], window: int) -> Array:
    size = (1, window, window, 1)
    return lax.reduce_window(x, initial, reducer, size, size, "VALID")


def _layer_norm(x: Array, scale: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * scale + bias


def _softmax_cross_entropy(logits: Array, labels: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1).mean()


# JAX's own functions where it has them.
PLAIN: dict[str, Callable[..., Any]] = {
    "conv": lambda x, kernel: lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ),
    "max_pool": lambda x, window: _windows(x, -jnp.inf, lax.max, window),
    "avg_pool": lambda x, window: _windows(x, 0.0, lax.add, window) / window**2,
    "flatten": lambda x: x.reshape(x.shape[0], -1),
    "dense": lambda x, weight, bias: x @ weight + bias,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "layer_norm": _layer_norm,
    "softmax": jax.nn.softmax,
    "softmax_cross_entropy": _softmax_cross_entropy,
}
