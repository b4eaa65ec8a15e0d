"""Once the choice of a maximum is fixed, pooling is linear: two maps, each the other's adjoint.

y = gather(x) at the switches, ∂x = scatter(δ), M • upsample(δ) in `jaxcnn.ops.max_pool`. The
scatter, run forward, is unpooling.
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float, Integer, UInt

from jaxcnn import check
from jaxcnn.geometry import Geometry, Padding, PerAxis, pooled, smallest_pooled, unpooled
from jaxcnn.lowering import pooling as lowering
from jaxcnn.rules import Function, adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(2,))
def gather_at_switches_map(
    x: Float[Array, "n *hw c"], switches: UInt[Array, "n *pq c"], geometry: Geometry
) -> Float[Array, "n *pq c"]:
    return lowering.gather_at_switches(x, switches, geometry)


def gather_at_switches(
    x: Float[ArrayLike, "n *hw c"], switches: Integer[ArrayLike, "n *pq c"], window: PerAxis,
    *, stride: PerAxis | None = None, padding: Padding = "VALID", dilation: PerAxis = 1,
    ceil_mode: bool = False, rule: Function = gather_at_switches_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = x[i·s + P[i]], of every window the element that its switch P[i] names; linear in x.

    Backward, with δ = ∂L/∂y: ∂x = scatter(δ) at the same switches; the switches have no gradient.
    Source: Quan, 7.3, y(l, m, x, y) = y(l−1, m, P(l, m, x, y)).

    Args:
        switches: places in the windows, as `max_pool_with_switches` returns them.
        window, stride, padding, dilation, ceil_mode: as in `max_pool`; the padding holds zeros.

    Raises:
        ValueError: a concrete switch is no place in a window. One that is only traced cannot be
            looked at: it makes y NaN, and ∂x where it sends δ.
    """
    op = "gather_at_switches"
    x, geometry = pooled(op, x, window, stride, padding, dilation, ceil_mode)
    shape = (x.shape[0], *geometry.output, x.shape[-1])
    switches, known = _places(op, switches, shape, geometry, x.dtype)
    return check.rule(op, rule)(x, switches, geometry) * known


@partial(custom_rule, nondiff_argnums=(2,))
def scatter_at_switches_map(
    delta: Float[Array, "n *pq c"], switches: UInt[Array, "n *pq c"], geometry: Geometry
) -> Float[Array, "n *hw c"]:
    return lowering.scatter_at_switches(delta, switches, geometry)


adjoints(gather_at_switches_map, scatter_at_switches_map)


def scatter_at_switches(
    delta: Float[ArrayLike, "n *pq c"], switches: Integer[ArrayLike, "n *pq c"], window: PerAxis,
    *, input_size: Sequence[int], stride: PerAxis | None = None, padding: Padding = "VALID",
    dilation: PerAxis = 1, ceil_mode: bool = False, rule: Function = scatter_at_switches_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z[j] = Σ δ[i] over the windows i whose switch names j, or M • upsample(δ); also unpooling.

    Backward, with ζ = ∂L/∂z: ∂δ = gather(ζ) at the same switches; the switches have no gradient.
    Source: Huang, "Max pooling layer"; Quan, "Derivative of Max Pooling layer" ("+=").

    Args:
        switches: places in the windows, as `max_pool_with_switches` returns them.
        window, stride, padding, dilation, ceil_mode: as in `max_pool`.
        input_size: the spatial size of the result, which the strides leave open.

    Raises:
        ValueError: a concrete switch is no place in a window. One that is only traced cannot be
            looked at: it makes z NaN where it sends δ, and ∂δ.
    """
    op = "scatter_at_switches"
    settings = input_size, window, stride, padding, dilation, ceil_mode
    delta, geometry = unpooled(op, "delta", delta, *settings)
    switches, known = _places(op, switches, delta.shape, geometry, delta.dtype)
    return check.rule(op, rule)(delta * known, switches, geometry)


def max_unpool(
    x: Float[ArrayLike, "n *pq c"], switches: Integer[ArrayLike, "n *pq c"], window: PerAxis,
    *, input_size: Sequence[int] | None = None, stride: PerAxis | None = None,
    padding: Padding = "VALID", dilation: PerAxis = 1, ceil_mode: bool = False,
    rule: Function = scatter_at_switches_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y[j] = Σ x[i] over the windows i whose switch names j, 0 elsewhere: `max_pool` undone.

    Backward, with δ = ∂L/∂y: ∂x = gather(δ) at the same switches, which have no gradient. Where
    windows overlap and chose the same element, their x add up; PyTorch keeps any one of them.
    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks", 2.1.

    Args:
        switches: places in the windows, as `max_pool_with_switches` returns them.
        window, stride, padding, dilation: as in `max_pool`.
        input_size: the spatial size of the result, that of the pooling's input; by default the
            smallest that the windows fit into, (p − 1)·stride + extent − low − high.
        ceil_mode: see `max_pool`; input_size must be given with it.

    Raises:
        ValueError: input_size is needed and missing, or a concrete switch is no place in a window;
            for one that is only traced see `scatter_at_switches`.
    """
    op, settings = "max_unpool", (window, stride, padding, dilation, ceil_mode)
    if input_size is None:
        input_size = smallest_pooled(op, check.maps(op, "x", x).shape[1:-1], *settings)
    x, geometry = unpooled(op, "x", x, input_size, *settings)
    switches, known = _places(op, switches, x.shape, geometry, x.dtype)
    return check.rule("max_unpool", rule)(x * known, switches, geometry)


def _places(
    op: str, switches: ArrayLike, shape: Sequence[int], geometry: Geometry, dtype: DTypeLike
) -> tuple[Array, Array]:
    """The switches as rules take them, and a factor per window: NaN if its switch is no place.

    A product with a factor is its own adjoint, so gather and scatter stay each other's.
    """
    array = check.integer_array(op, "switches", switches)
    check.shape(op, "switches", array, shape)
    check.concrete_range(op, "switches", array, 0, geometry.taps - 1)
    named = check.counting(array)
    inside = (named >= 0) & (named < geometry.taps)
    places = jnp.where(inside, named, 0).astype(lowering.switch_dtype(geometry))
    return places, jnp.where(inside, jnp.ones_like(inside, dtype), jnp.nan)
