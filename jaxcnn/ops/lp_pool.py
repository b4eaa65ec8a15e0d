"""Lp pooling: the p-norm of every window, from the sum (p = 1) towards the maximum (p → ∞)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.geometry import Geometry, Padding, parse_pool_geometry
from jaxcnn.lowering import windows as lowering
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.lowering.statistics import inverse_unit
from jaxcnn.ops.elementary import absolute_power, ratio
from jaxcnn.ops.patches import fold_map, patches_map
from jaxcnn.rules import custom_rule


@partial(custom_rule, nondiff_argnums=(1, 2))
def lp_pool_map(
    x: Float[Array, "n *hw c"], geometry: Geometry, p: float
) -> Float[Array, "n *pq c"]:
    """y = (Σ|x|ᵖ)^(1/p).  With δ = ∂L/∂y:  ∂x = Σ δ sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ over its windows.

    0 where y = 0. Sermanet, Chintala & LeCun 2012, "Convolutional Neural Networks Applied to House
    Numbers Digit Classification", "Lp-Pooling".
    """
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
    share, _ = _shares(geometry, p, *residuals)
    rows: Array = patches_map(widen(dots[0]), geometry)
    return (rows.reshape(share.shape) * share).sum(-2).astype(dots[0].dtype)


lp_pool_map.defvjp(_lp_pool_fwd, _lp_pool_bwd)
lp_pool_map.defjvp(_lp_pool_tangent)


def _shares(geometry: Geometry, p: float, x: Array, y: Array) -> tuple[Array, Callable]:
    """∂y/∂x = sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ of every tap of every window; and what spreads a y over the taps.

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
    # In units of the window's maximum: no power overflows, and not all of them vanish. A power of
    # two goes before, since XLA may divide by way of a reciprocal, which 1e38 has none of.
    inverse = inverse_unit(size.max(taps, keepdims=True))
    size = size * inverse
    most = size.max(taps, keepdims=True)
    unit = jnp.where((most > 0) & jnp.isfinite(most), most, jnp.ones_like(most))
    total = ((size / unit) ** p).sum(taps)
    y = jnp.squeeze(unit, taps) * total ** (1 / p)
    return (y / jnp.squeeze(inverse, taps)).astype(x.dtype)


def lp_pool(
    x: Float[ArrayLike, "n *hw c"],
    window: int | Sequence[int],
    p: float = 2,
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    rule: Callable[..., Any] = lp_pool_map,
) -> Float[Array, "n *pq c"]:
    """y = (Σ|x|ᵖ)^(1/p) over every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = δ sign(x)|x|ᵖ⁻¹ y¹⁻ᵖ, 0 where y = 0; overlaps add up. At x = 0,
    where a p below 2 or 3 has no second or third derivative, a power of negative exponent counts
    as 0. PyTorch takes no absolute value, and scales a window that overhangs the end in ceil_mode.
    Source: Sermanet, Chintala & LeCun 2012, "Convolutional Neural Networks Applied to House Numbers
    Digit Classification", "Lp-Pooling".

    Args:
        x: maps, channels last, with 1 to 3 axes of space.
        window: size of the window, in elements; one for all spatial axes or one per axis.
        p: the exponent, a finite number of at least 1.
        stride: step of the window, in elements; the window's size by default.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements. It holds zeros.
        dilation: distance between the taps of the window, in elements.
        ceil_mode: whether the number of windows is rounded up: the last one may overhang the end if
            it starts on the map or in its low padding, as in PyTorch.
        rule: the map to apply, hand-written (`lp_pool_map`) or a twin of the same signature.

    Raises:
        TypeError: x is no float array, p no number, or ceil_mode no bool.
        ValueError: p is below 1 or infinite; the window is larger than the padded map, or the
            padding not smaller than it.
    """
    op = "lp_pool"
    x = check.maps(op, "x", x)
    p = check.number(op, "p", p, minimum=1)
    geometry = parse_pool_geometry(op, x.shape[1:-1], window, stride, padding, dilation, ceil_mode)
    return rule(x, geometry, p)
