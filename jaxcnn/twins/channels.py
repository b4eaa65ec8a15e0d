"""Plain twins of the maps on channels."""

import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import channels


def _pad_channels(x: Array, before: int, after: int) -> Array:
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((before, after),))


def _crop_channels(x: Array, before: int, after: int) -> Array:
    return x[..., before : x.shape[-1] - after]


def _scale_channels(x: Array, scale: Array, bias: Array | None) -> Array:
    y = x * jnp.broadcast_to(scale, x.shape)
    return y if bias is None else y + jnp.broadcast_to(bias, x.shape)


TWINS = {
    channels.pad_channels_map: _pad_channels,
    channels.crop_channels_map: _crop_channels,
    channels.scale_channels_map: _scale_channels,
}
