"""Max pooling: a choice over the windows of a map, and the linear maps that the choice leaves.

Once the choice is fixed, pooling is linear and has an adjoint with a name: y = gather(x) at the
switches, ∂x = M(x) • upsample(δ) = scatter(δ) at the switches. M has exactly one 1 per window, at
the *first* maximum in row-major order (Huang: "if y₁ ≥ y₂ … else"; Gormley's two-argument example
gives a tie to the second, the others and all frameworks to the first). A NaN is the maximum. Where
windows overlap the shares of an element add up; what no window reached gets zero.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Integer, UInt

from jaxcnn import check
from jaxcnn.geometry import Geometry, Padding, parse_pool_geometry
from jaxcnn.lowering import pool as lowering


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool_map(x: Float[Array, "n *hw c"], geometry: Geometry) -> Float[Array, "n *pq c"]:
    """y = max over the window.  With δ = ∂L/∂y:  ∂x = M(x) • upsample(δ).

    Huang, "Max pooling layer"; Quan, 7.3; Ray, "BP for a max pooling layer".
    """
    return lowering.max_pool(x, geometry)


def _max_pool_fwd(x, geometry):
    y_and_switches: tuple[Array, Array] = max_pool_with_switches_map(x, geometry)
    return y_and_switches


def _max_pool_bwd(geometry, switches, delta):
    return (scatter_at_switches_map(delta, switches, geometry),)


max_pool_map.defvjp(_max_pool_fwd, _max_pool_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool_with_switches_map(
    x: Float[Array, "n *hw c"], geometry: Geometry
) -> tuple[Float[Array, "n *pq c"], UInt[Array, "n *pq c"]]:
    """y, s = max and argmax over the window.  With δ = ∂L/∂y:  ∂x = M(x) • upsample(δ); s has none.

    Huang, "Max pooling layer"; Quan, 7.3 (keeping track of the location of the max).
    """
    return lowering.max_with_switches(x, geometry)


def _max_pool_with_switches_fwd(x, geometry):
    y_and_switches: tuple[Array, Array] = max_pool_with_switches_map(x, geometry)
    return y_and_switches, y_and_switches[1]


def _max_pool_with_switches_bwd(geometry, switches, deltas):
    delta, _ = deltas
    return (scatter_at_switches_map(delta, switches, geometry),)


max_pool_with_switches_map.defvjp(_max_pool_with_switches_fwd, _max_pool_with_switches_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def gather_at_switches_map(
    x: Float[Array, "n *hw c"], switches: UInt[Array, "n *pq c"], geometry: Geometry
) -> Float[Array, "n *pq c"]:
    """y = the element of each window that its switch names.  With δ = ∂L/∂y:  ∂x = scatter(δ).

    Linear in x. Quan, 7.3: y(l, m, x, y) = y(l−1, m, P(l, m, x, y)).
    """
    return lowering.gather_at_switches(x, switches, geometry)


def _gather_at_switches_fwd(x, switches, geometry):
    return gather_at_switches_map(x, switches, geometry), switches


def _gather_at_switches_bwd(geometry, switches, delta):
    return scatter_at_switches_map(delta, switches, geometry), None


gather_at_switches_map.defvjp(_gather_at_switches_fwd, _gather_at_switches_bwd)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def scatter_at_switches_map(
    delta: Float[Array, "n *pq c"], switches: UInt[Array, "n *pq c"], geometry: Geometry
) -> Float[Array, "n *hw c"]:
    """z = M • upsample(δ), overlaps adding up.  With ζ = ∂L/∂z:  ∂δ = gather(ζ).

    Linear in δ, the transpose of the gather. Huang, "Max pooling layer"; Quan, 7.3 ("+=").
    """
    return lowering.scatter_at_switches(delta, switches, geometry)


def _scatter_at_switches_fwd(delta, switches, geometry):
    return scatter_at_switches_map(delta, switches, geometry), switches


def _scatter_at_switches_bwd(geometry, switches, zeta):
    return gather_at_switches_map(zeta, switches, geometry), None


scatter_at_switches_map.defvjp(_scatter_at_switches_fwd, _scatter_at_switches_bwd)


def max_pool(
    x: Float[ArrayLike, "n *hw c"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    rule: Callable[..., Any] = max_pool_map,
) -> Float[Array, "n *pq c"]:
    """y = the maximum over every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = M(x) • upsample(δ), M one at the first maximum of each window.
    Source: Huang, "Max pooling layer"; Quan, 7.3; Ray, "BP for a max pooling layer".

    Args:
        x: maps, channels last, with 1 to 3 axes of space.
        window: size of the window, in elements; one for all spatial axes or one per axis.
        stride: step of the window, in elements; the window's size by default.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements. Padding is never chosen.
        rule: the map to apply, hand-written (`max_pool_map`) or a twin of the same signature.

    Raises:
        TypeError: x is no float array.
        ValueError: the window is larger than the padded map, or the padding not smaller than it.
    """
    x = check.maps("max_pool", "x", x)
    geometry = parse_pool_geometry("max_pool", x.shape[1:-1], window, stride, padding)
    return rule(x, geometry)


def max_pool_with_switches(
    x: Float[ArrayLike, "n *hw c"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    rule: Callable[..., Any] = max_pool_with_switches_map,
) -> tuple[Float[Array, "n *pq c"], UInt[Array, "n *pq c"]]:
    """y, s = the maximum over every window and its place there, counted in row-major order.

    Backward, with δ = ∂L/∂y: ∂x = M(x) • upsample(δ), as `max_pool`; the switches have no gradient.
    Source: Quan, "Max Pooling layer at layer l" (keeping track of location of max).

    Args:
        x: maps, channels last, with 1 to 3 axes of space.
        window: size of the window, in elements; one for all spatial axes or one per axis.
        stride: step of the window, in elements; the window's size by default.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements. Padding is never chosen.
        rule: the map to apply, hand-written (`max_pool_with_switches_map`) or a twin.

    Raises:
        TypeError: x is no float array.
        ValueError: the window is larger than the padded map, or the padding not smaller than it.
    """
    op = "max_pool_with_switches"
    x = check.maps(op, "x", x)
    return rule(x, parse_pool_geometry(op, x.shape[1:-1], window, stride, padding))


def gather_at_switches(
    x: Float[ArrayLike, "n *hw c"],
    switches: Integer[ArrayLike, "n *pq c"],
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    rule: Callable[..., Any] = gather_at_switches_map,
) -> Float[Array, "n *pq c"]:
    """y = from every window of x the element that its switch names; linear in x.

    Backward, with δ = ∂L/∂y: ∂x = scatter(δ) at the same switches; the switches have no gradient.
    Source: Quan, 7.3, y(l, m, x, y) = y(l−1, m, P(l, m, x, y)).

    Args:
        x: maps, channels last, with 1 to 3 axes of space.
        switches: places in the windows, as `max_pool_with_switches` returns them.
        window: size of the window, in elements; one for all spatial axes or one per axis.
        stride: step of the window, in elements; the window's size by default.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements. It holds zeros.
        rule: the map to apply, hand-written (`gather_at_switches_map`) or a twin.

    Raises:
        TypeError: x is no float array, or switches no integer array.
        ValueError: the sizes do not fit together.
    """
    op = "gather_at_switches"
    x = check.maps(op, "x", x)
    switches = check.integer_array(op, "switches", switches)
    geometry = parse_pool_geometry(op, x.shape[1:-1], window, stride, padding)
    check.shape(op, "switches", switches, (x.shape[0], *geometry.output, x.shape[-1]))
    return rule(x, switches, geometry)


def scatter_at_switches(
    delta: Float[ArrayLike, "n *pq c"],
    switches: Integer[ArrayLike, "n *pq c"],
    window: int | Sequence[int],
    *,
    input_size: Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    rule: Callable[..., Any] = scatter_at_switches_map,
) -> Float[Array, "n *hw c"]:
    """z = M • upsample(δ): every δ at the place its switch names; overlaps add up. Also unpooling.

    Backward, with ζ = ∂L/∂z: ∂δ = gather(ζ) at the same switches; the switches have no gradient.
    Source: Huang, "Max pooling layer"; Quan, "Derivative of Max Pooling layer" ("+=").

    Args:
        delta: one element per window, channels last.
        switches: places in the windows, as `max_pool_with_switches` returns them.
        window: see `max_pool`, as are stride and padding.
        input_size: the spatial size of the result, which the strides leave open.
        stride: see `max_pool`.
        padding: see `max_pool`.
        rule: the map to apply, hand-written (`scatter_at_switches_map`) or a twin.

    Raises:
        TypeError: delta is no float array, or switches no integer array.
        ValueError: the sizes do not fit together.
    """
    op = "scatter_at_switches"
    delta = check.maps(op, "delta", delta)
    switches = check.integer_array(op, "switches", switches)
    input_size = check.per_axis(op, "input_size", input_size, delta.ndim - 2)
    geometry = parse_pool_geometry(op, input_size, window, stride, padding)
    check.shape(op, "delta", delta, (delta.shape[0], *geometry.output, delta.shape[-1]))
    check.shape(op, "switches", switches, delta.shape)
    return rule(delta, switches, geometry)
