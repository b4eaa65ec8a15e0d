"""Plain twins of the norms."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.ops import across, batch_norm, local_response, norm, sharing
from jaxcnn.ops.sharing import Sharing


def _wide(x: Array) -> Array:
    return x.astype(np.promote_types(x.dtype, np.float32))


def _split(x: Array, sharing: Sharing) -> Array:
    groups = sharing.groups
    shape = x.shape if groups is None else (*x.shape[:-1], groups, x.shape[-1] // groups)
    return _wide(x).reshape(shape)


def _affine(y: Array, x: Array, scale: Array | None, bias: Array | None) -> Array:
    y = y.reshape(x.shape).astype(x.dtype)
    if scale is not None:
        y = y * jnp.broadcast_to(scale, y.shape)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _normalise(
    x: Array, scale: Array | None, bias: Array | None, sharing: Sharing
) -> tuple[Array, ...]:
    z = _split(x, sharing)
    mean = jnp.mean(z, sharing.axes, keepdims=True)
    if sharing.axis_name is None:
        variance = jnp.var(z, sharing.axes, keepdims=True)
    else:
        mean = lax.pmean(mean, sharing.axis_name)
        square = jnp.mean((z - mean) ** 2, sharing.axes, keepdims=True)
        variance = lax.pmean(square, sharing.axis_name)
    y = (z - mean) / jnp.sqrt(variance + sharing.epsilon)
    return _affine(y, x, scale, bias), mean, variance, jnp.ones_like(mean)


def _rms_norm(x: Array, scale: Array | None, sharing: Sharing) -> tuple[Array, ...]:
    z = _split(x, sharing)
    mean_square = jnp.mean(z**2, sharing.axes, keepdims=True)
    y = _affine(z / jnp.sqrt(mean_square + sharing.epsilon), x, scale, None)
    return y, mean_square, jnp.ones_like(mean_square)


def _batch_norm_inference(
    x: Array,
    scale: Array | None,
    bias: Array | None,
    mean: Array,
    variance: Array,
    epsilon: float,
) -> Array:
    z = _wide(x)
    mean = jnp.broadcast_to(lax.stop_gradient(mean), z.shape)
    variance = jnp.broadcast_to(lax.stop_gradient(variance), z.shape)
    return _affine((z - mean) / jnp.sqrt(variance + epsilon), x, scale, bias)


def _weighted_sum(x: Array, scale: Array) -> Array:
    return jnp.tensordot(x, scale, scale.ndim)


def _gradient_sums(
    delta: Array, x: Array, mean: Array, variance: Array, inverse: Array, axes: tuple[int, ...]
) -> tuple[Array, Array]:
    del variance
    mean, inverse = (jnp.broadcast_to(a, x.shape) for a in (mean, inverse))
    products = delta * (x * lax.stop_gradient(inverse) - mean)
    return delta.sum(axes, keepdims=True), products.sum(axes, keepdims=True)


def _channel_norm(x: Array, below: int, above: int, floor: float) -> Array:
    return jnp.sqrt(floor**2 + _channel_sum(x**2, below, above))


def _channel_products(a: Array, b: Array, c: Array, below: int, above: int) -> Array:
    return a * _channel_sum(b * c, below, above)


def _channel_sum(x: Array, below: int, above: int) -> Array:
    return lax.reduce_window(
        x,
        0.0,
        lax.add,
        window_dimensions=(1,) * (x.ndim - 1) + (below + above + 1,),
        window_strides=(1,) * x.ndim,
        padding=[(0, 0)] * (x.ndim - 1) + [(below, above)],
    )


def _local_response_norm(x: Array, size: int, k: float, alpha: float, beta: float) -> Array:
    z = _wide(x)
    total = _channel_sum(z**2, size // 2, (size - 1) // 2)
    return (z / (k + alpha * total) ** beta).astype(x.dtype)


TWINS = {
    norm.normalise_map: _normalise,
    norm.rms_norm_map: _rms_norm,
    sharing.weighted_sum_map: _weighted_sum,
    norm.gradient_sums_map: _gradient_sums,
    batch_norm.batch_norm_inference_map: _batch_norm_inference,
    local_response.local_response_norm_map: _local_response_norm,
    local_response.channel_norm_map: _channel_norm,
    local_response.channel_products_map: _channel_products,
    across.mean_across_map: lax.pmean,
}
