"""Sums and averages over windows, and the maps that spread a gradient over them.

All are linear: the sum over windows and the spread over windows are each other's adjoint, and
`upsample` (replication) is the adjoint of the sum over windows that tile the map. Averages divide:
∂x = upsample(δ)/size. What no window reached gets zero.
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, pooled, unpooled
from jaxcnn.lowering import pooling as lowering
from jaxcnn.lowering.precision import widen
from jaxcnn.rules import Function, adjoints, custom_rule, linear


@partial(custom_rule, nondiff_argnums=(1,))
def sum_pool_map(x: Float[Array, "n *hw c"], geometry: Geometry) -> Float[Array, "n *pq c"]:
    return lowering.sum_pool(x, geometry)


@entry.operation
def sum_pool(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, rule: Function = sum_pool_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = Σ_a x[i·s + a], the sum over every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x[j] = Σ δ[i] over the windows i that hold j.
    Source: Huang, "Average pooling layer", without the factor.

    Args:
        window, stride, padding, dilation, ceil_mode: as in `max_pool`; the padding counts as zero.
    """
    return rule(*pooled("sum_pool", x, window, stride, padding, dilation, ceil_mode))


@partial(custom_rule, nondiff_argnums=(1,))
def sum_pool_input_grad_map(
    delta: Float[Array, "n *pq c"], geometry: Geometry
) -> Float[Array, "n *hw c"]:
    return lowering.sum_pool_input_grad(delta, geometry)


adjoints(sum_pool_map, sum_pool_input_grad_map)


@entry.operation
def sum_pool_input_grad(
    delta: Float[ArrayLike, "n *pq c"], window: PerAxis,
    *, input_size: Sequence[int], stride: PerAxis | None = None, padding: Padding = "VALID",
    dilation: PerAxis = 1, ceil_mode: bool = False, rule: Function = sum_pool_input_grad_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z[j] = Σ δ[i] over the windows i that hold j: the adjoint of `sum_pool`.

    Backward, with ζ = ∂L/∂z: ∂δ[i] = Σ_a ζ[i·s + a], the sum over every window.
    Source: Huang, "Average pooling layer", without the factor.

    Args:
        window, stride, padding, dilation, ceil_mode: as in `sum_pool`.
        input_size: the spatial size of the result, which the strides leave open.
    """
    settings = input_size, window, stride, padding, dilation, ceil_mode
    return rule(*unpooled("sum_pool_input_grad", "delta", delta, *settings))


@partial(custom_rule, nondiff_argnums=(1, 2))
def avg_pool_map(
    x: Float[Array, "n *hw c"], geometry: Geometry, count_include_pad: bool
) -> Float[Array, "n *pq c"]:
    total: Array = sum_pool_map(widen(x), geometry)
    return (total * _window_weight(geometry, count_include_pad, total)).astype(x.dtype)


def _avg_pool_bwd(geometry, count_include_pad, delta):
    share = widen(delta) * _window_weight(geometry, count_include_pad, widen(delta))
    delta_x: Array = sum_pool_input_grad_map(share, geometry)
    return delta_x.astype(delta.dtype)


linear(avg_pool_map, _avg_pool_bwd)


@entry.operation
def avg_pool(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, count_include_pad: bool = True, rule: Function = avg_pool_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = 1/size Σ_a x[i·s + a], the mean of every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = upsample(δ / size), overlaps adding up. A sum that float32 cannot
    hold is ∞, as in PyTorch, and so is its mean.
    Source: Huang, "Average pooling layer"; Quan, "Mean pooling".

    Args:
        window, stride, padding, dilation, ceil_mode: as in `max_pool`; the padding counts as zero.
        count_include_pad: whether size counts the padding in the window (the default, as in
            PyTorch) or only the elements on the map. What overhangs the padding never counts.
    """
    op = "avg_pool"
    x, geometry = pooled(op, x, window, stride, padding, dilation, ceil_mode)
    return rule(x, geometry, check.boolean(op, "count_include_pad", count_include_pad))


@partial(custom_rule, nondiff_argnums=(1,))
def upsample_map(x: Float[Array, "n *hw c"], size: tuple[int, ...]) -> Float[Array, "n *pq c"]:
    return lowering.upsample(x, size)


linear(upsample_map, lambda size, d: sum_pool_map(d, Geometry.tiles(d.shape[1:-1], size)))


@entry.operation
def upsample(
    x: Float[ArrayLike, "n *hw c"], size: PerAxis, *, rule: Function = upsample_map
) -> Float[Array, "n *pq c"]:
    """y[i·s + a] = x[i], 0 ≤ a < s: each element replicated over a window of size s; p = h·s.

    Backward, with δ = ∂L/∂y: ∂x[i] = Σ_a δ[i·s + a], the sum over every window. Not to be confused
    with `dilate`, which inserts zeros.
    Source: Huang, "Average pooling layer" (definition of upsample).

    Args:
        size: s, of the window, in elements; one for all spatial axes or one per axis.
    """
    x = check.maps("upsample", "x", x)
    return rule(x, check.per_axis("upsample", "size", size, x.ndim - 2))


def _window_weight(geometry: Geometry, count_include_pad: bool, like: Array) -> Array:
    """1/size of every window, in the shape of `like`; a window with nothing to count gets 0."""
    if geometry.tiling:
        return jnp.full(like.shape, 1 / geometry.taps, like.dtype)
    counts = lowering.window_counts(geometry, count_include_pad)
    if isinstance(counts, np.ndarray) and (counts == geometry.taps).all():
        return jnp.full(like.shape, 1 / geometry.taps, like.dtype)
    weight = (counts > 0).astype(float) / counts.clip(1).astype(float)
    return jnp.broadcast_to(jnp.asarray(weight, like.dtype), like.shape)
