"""Occlusion: what is covered is not differentiated, but tried."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.attribution.gradients import reference
from jaxcnn.attribution.target import Model, Target, explained


def occlusion(
    net: Model,
    params: Any,
    state: Any,
    x: Any,
    target: Target = None,
    *,
    window: int | Sequence[int],
    stride: int | Sequence[int] = 1,
    baseline: Any = 0.0,
) -> Float[Array, "n ..."]:
    """A = mean of u(x) − u(x covered) over the windows that cover an element.

    Windows slide over the axes between batch and channels, and cover all channels; the last one of
    a row may reach over the edge. What is covered is `baseline`.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks",
    section 4.2; without its mean over windows.

    Args:
        window: its size, one for all axes of space or one for each.
        stride: by how much it moves, likewise.
        baseline: a number or an array of the shape of x or of an example.

    Raises:
        ValueError: x has no axis of space, or the window is larger than x.
    """
    x, score = explained("occlusion", net, params, state, x, target)
    if x.ndim < 3:
        raise ValueError(
            f"occlusion: x must have axes of space between batch and channels, got shape {x.shape}"
        )
    size = x.shape[1:-1]
    extents = check.per_axis("occlusion", "window", window, len(size))
    steps = check.per_axis("occlusion", "stride", stride, len(size))
    if any(k > h for k, h in zip(extents, size, strict=True)):
        raise ValueError(
            f"occlusion: window must not be larger than x, got {extents} for shape {x.shape}"
        )
    start = reference("occlusion", baseline, x)
    places = product(
        *(range(0, min(h, h - k + s), s) for h, k, s in zip(size, extents, steps, strict=True))
    )
    whole = score(x)

    def add(sums: tuple[Array, Array], corner: Array) -> tuple[tuple[Array, Array], None]:
        mask = jnp.ones((1,) * x.ndim, bool)
        for axis, (h, k) in enumerate(zip(size, extents, strict=True)):
            at = jnp.arange(h, dtype=corner.dtype) - corner[axis]
            inside = (at >= 0) & (at < k)
            mask = mask & jnp.expand_dims(inside, [i for i in range(x.ndim) if i != axis + 1])
        change = whole - score(jnp.where(mask, start, x))
        change = change.reshape(-1, *(1,) * (x.ndim - 1))
        return (sums[0] + jnp.where(mask, change, 0), sums[1] + mask.astype(x.dtype)), None

    begin = jnp.zeros_like(x), jnp.zeros((1, *size, 1), x.dtype)
    (total, times), _ = lax.scan(add, begin, jnp.asarray(np.array(list(places)), jnp.int32))
    return jnp.where(times > 0, total / jnp.maximum(times, 1), 0)
