"""Lp pooling: the p-norm of every window, from the sum (p = 1) towards the maximum (p → ∞)."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, pooled
from jaxcnn.lowering.pooling import windows as lowering
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.lowering.statistics import inverse_unit
from jaxcnn.ops.elementary import absolute_power, ratio
from jaxcnn.ops.patches import fold_map, patches_map
from jaxcnn.rules import Function, custom_rule


@partial(custom_rule, nondiff_argnums=(1, 2))
def lp_pool_map(
    x: Float[Array, "n *hw c"], geometry: Geometry, p: float
) -> Float[Array, "n *pq c"]:
    return _norms(x, geometry, p)


def _lp_pool_fwd(x, geometry, p):
    y = lp_pool_map(x, geometry, p)
    return y, (x, y)


def _lp_pool_bwd(geometry, p, residuals, delta):
    share, on_every_tap = _shares(geometry, p, *residuals)
    shares = (on_every_tap(delta) * share).reshape(*delta.shape[:-1], -1)
    delta_x: Array = fold_map(shares, geometry)
    return (delta_x.astype(delta.dtype),)


def _lp_pool_tangent(geometry, p, residuals, dots):
    """ẏ = Σ sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ ẋ over the window, 0 where y = 0."""
    share, _ = _shares(geometry, p, *residuals)
    rows: Array = patches_map(widen(dots[0]), geometry)
    return (rows.reshape(share.shape) * share).sum(-2).astype(dots[0].dtype)


lp_pool_map.defvjp(_lp_pool_fwd, _lp_pool_bwd)
lp_pool_map.defjvp(_lp_pool_tangent)


@entry.operation
def lp_pool(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis, p: float = 2,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, rule: Function = lp_pool_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y = (Σ|x|ᵖ)^(1/p) over every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = δ sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ, 0 where y = 0; overlaps add up. At x = 0,
    where a p below 2 or 3 has no second or third derivative, a power of negative exponent counts
    as 0. PyTorch takes no absolute value, and scales a window that overhangs the end in ceil_mode.
    Source: Sermanet, Chintala & LeCun 2012, "Convolutional Neural Networks Applied to House Numbers
    Digit Classification", "Lp-Pooling".

    Args:
        window, stride, padding, dilation, ceil_mode: as in `max_pool`; padding holds zeros.
        p: the exponent, a finite number of at least 1.
    """
    op = "lp_pool"
    x, geometry = pooled(op, x, window, stride, padding, dilation, ceil_mode)
    return rule(x, geometry, check.number(op, "p", p, minimum=1))


def _shares(geometry: Geometry, p: float, x: Array, y: Array) -> tuple[Array, Callable]:
    """∂y/∂x = sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ of every tap of every window; and how to spread a y over them.

    It is (|x| / y)ᵖ⁻¹, of numbers between 0 and 1; each window has a y of its own.
    """
    rows: Array = patches_map(widen(x), geometry)
    shape = (*y.shape[:-1], geometry.taps, y.shape[-1])

    def on_every_tap(a):
        return jnp.broadcast_to(jnp.expand_dims(widen(a), -2), shape)

    return absolute_power(ratio(rows.reshape(shape), on_every_tap(y)), p - 1, True), on_every_tap


@by_batch
def _norms(x: Array, geometry: Geometry, p: float) -> Array:
    size = jnp.abs(lowering.windows(widen(x), geometry))
    taps = range(2, 2 * geometry.axes + 1, 2)
    # In units of the window's maximum: no power overflows, and not all of them vanish. First in
    # units of a power of two: XLA may divide by way of a reciprocal, and 1e38 has none.
    inverse = inverse_unit(size.max(taps, keepdims=True))
    size = size * inverse
    most = size.max(taps, keepdims=True)
    unit = jnp.where((most > 0) & jnp.isfinite(most), most, jnp.ones_like(most))
    total = ((size / unit) ** p).sum(taps)
    y = jnp.squeeze(unit, taps) * total ** (1 / p)
    return (y / jnp.squeeze(inverse, taps)).astype(x.dtype)
