"""Padding with zeros, and every so-manieth place: what the forms of a convolution are made of."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax


def pad(
    x: Array, padding: Sequence[tuple[int, int]], dilation: Sequence[int] | None = None
) -> Array:
    """Zeros around the maps, and between their elements; negative paddings crop."""
    gaps = [0] * len(padding) if dilation is None else [d - 1 for d in dilation]
    if not any(gaps) and not any(low or high for low, high in padding):
        return x
    config = [(*pads, gap) for pads, gap in zip(padding, gaps, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


def every(x: Array, start: Sequence[int], stride: Sequence[int], count: Sequence[int]) -> Array:
    """So many elements from a start on along each axis of space, a stride apart."""
    stop = [b + (p - 1) * s + 1 for b, p, s in zip(start, count, stride, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *stride, 1))
