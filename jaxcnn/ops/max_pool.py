"""Max pooling: a choice over the windows of a map; what it leaves is in `jaxcnn.ops.switches`.

∂x = M(x) • upsample(δ) = scatter(δ) at the switches. M has exactly one 1 per window, at
the *first* maximum in row-major order (Huang: "if y₁ ≥ y₂ … else"; Gormley's two-argument example
gives a tie to the second, the others and all frameworks to the first). A NaN is the maximum. Where
windows overlap the shares of an element add up; what no window reached gets zero.
"""

from functools import partial

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, UInt

from jaxcnn import entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, pooled
from jaxcnn.lowering import pooling as lowering
from jaxcnn.lowering.precision import widen
from jaxcnn.ops.switches import gather_at_switches_map, scatter_at_switches_map
from jaxcnn.rules import Function, custom_rule, selection


@partial(custom_rule, nondiff_argnums=(1,))
def max_pool_map(x: Float[Array, "n *hw c"], geometry: Geometry) -> Float[Array, "n *pq c"]:
    return lowering.max_pool(x, geometry)


def _max_pool_fwd(x, geometry):
    switches = []
    for step in lowering.maximum_steps(x, geometry):  # one, or one for each axis
        x, names = max_pool_with_switches_map(x, step)
        switches.append(names)
    return x, switches


def _max_pool_bwd(geometry, switches, delta):
    steps = lowering.steps_of(geometry, len(switches))
    zeta = widen(delta) if len(steps) > 1 else delta
    for step, names in zip(reversed(steps), reversed(switches), strict=True):
        zeta = scatter_at_switches_map(zeta, names, step)
    return (zeta.astype(delta.dtype),)


def _max_pool_tangent(geometry, switches, dots):
    """ẏ = gather(ẋ) at the same switches."""
    (dot,) = dots
    steps = lowering.steps_of(geometry, len(switches))
    for step, names in zip(steps, switches, strict=True):
        dot = gather_at_switches_map(dot, names, step)
    return dot


max_pool_map.defvjp(_max_pool_fwd, _max_pool_bwd)
max_pool_map.defjvp(_max_pool_tangent)


@entry.operation
def max_pool(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, rule: Function = max_pool_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = max_a x[i·s + a], the maximum over every window, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = M(x) • upsample(δ), M one at the first maximum of each window.
    Source: Huang, "Max pooling layer"; Quan, 7.3; Ray, "BP for a max pooling layer".

    Args:
        window: size of the window, in elements; one for all spatial axes or one per axis.
        stride: step of the window, in elements; the window's size by default.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements. Padding is never chosen.
        dilation: distance between the taps of the window, in elements.
        ceil_mode: whether the number of windows is rounded up: the last one may overhang the end if
            it starts on the map or in its low padding, as in PyTorch.
    """
    return rule(*pooled("max_pool", x, window, stride, padding, dilation, ceil_mode))


@partial(custom_rule, nondiff_argnums=(1,))
def max_pool_with_switches_map(
    x: Float[Array, "n *hw c"], geometry: Geometry
) -> tuple[Float[Array, "n *pq c"], UInt[Array, "n *pq c"]]:
    return lowering.max_with_switches(x, geometry)


selection(max_pool_with_switches_map, scatter_at_switches_map, gather_at_switches_map)


@entry.operation
def max_pool_with_switches(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, rule: Function = max_pool_with_switches_map,
) -> tuple[Float[Array, "n *pq c"], UInt[Array, "n *pq c"]]:  # fmt: skip
    """y[i] = max_a x[i·s + a] = x[i·s + P[i]], a window's maximum and its place, row by row.

    Backward, with δ = ∂L/∂y: ∂x = M(x) • upsample(δ), as `max_pool`; the switches have no gradient.
    Source: Quan, "Max Pooling layer at layer l" (keeping track of location of max).

    Args:
        window, stride, padding, dilation, ceil_mode: as in `max_pool`.
    """
    op = "max_pool_with_switches"
    return rule(*pooled(op, x, window, stride, padding, dilation, ceil_mode))
