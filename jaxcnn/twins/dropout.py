"""Plain twins of dropout in its forms, and of the gate."""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.ops import drop_block, dropout, gate


def _gate(x: Array, mask: Array) -> Array:
    return jnp.where(mask, x, jnp.zeros_like(x))


def _dropout_mask(key: Array, rate: float, shape: tuple[int, ...]) -> Array:
    return jax.random.bernoulli(key, 1 - rate, shape)


def _dropout(x: Array, key: Array, rate: float) -> Array:
    if rate == 1:
        return jnp.zeros_like(x)
    return jnp.where(_dropout_mask(key, rate, x.shape), x / (1 - rate), jnp.zeros_like(x))


def _spatial_dropout(x: Array, key: Array, rate: float) -> Array:
    if rate == 1:
        return jnp.zeros_like(x)
    one_per_map = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
    return x * _dropout_mask(key, rate, one_per_map).astype(x.dtype) / (1 - rate)


def _drop_block_mask(
    key: Array, rate: float, block: tuple[int, ...], shape: tuple[int, ...]
) -> Array:
    size = shape[1:-1]
    places = [h - b + 1 for h, b in zip(size, block, strict=True)]
    gamma = rate / math.prod(block) * math.prod(size) / math.prod(places)
    starts = jax.random.bernoulli(key, min(gamma, 1.0), (shape[0], *places, shape[-1]))
    mask = jnp.ones(shape, bool)
    for offset in itertools.product(*(range(b) for b in block)):
        inside = tuple(slice(o, o + m) for o, m in zip(offset, places, strict=True))
        mask = mask.at[(slice(None), *inside)].min(~starts)
    return mask


def _drop_block(x: Array, key: Array, rate: float, block: tuple[int, ...]) -> Array:
    mask = _drop_block_mask(key, rate, block, x.shape)
    return jnp.where(mask, x / jnp.maximum(mask.mean(dtype=x.dtype), 1 / x.size), 0)


TWINS = {
    dropout.dropout_map: _dropout,
    dropout.dropout_mask: _dropout_mask,
    dropout.spatial_dropout_map: _spatial_dropout,
    drop_block.drop_block_map: _drop_block,
    drop_block.drop_block_mask: _drop_block_mask,
    gate.gate_map: _gate,
}
