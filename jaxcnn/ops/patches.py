"""Patches and their folding: every window's elements in a row, and every row back to its place.

Two linear maps that only move elements, each the other's adjoint. A convolution is a matrix product
of the patches with the kernel; the adjoint of that is how its input gradient adds up overlaps.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, parse_geometry
from jaxcnn.lowering.pooling import windows as lowering
from jaxcnn.rules import Function, adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def patches_map(x: Float[Array, "n *hw c"], geometry: Geometry) -> Float[Array, "n *pq kc"]:
    return lowering.rows(x, geometry)


@entry.operation
def patches(
    x: Float[ArrayLike, "n *hw c"], window: PerAxis,
    *, stride: PerAxis = 1, padding: Padding = "VALID", dilation: PerAxis = 1,
    rule: Function = patches_map,
) -> Float[Array, "n *pq kc"]:  # fmt: skip
    """y[i, a] = x[i·s + a], every window in a row, in the order kh kw c; unfold, im2col.

    So conv(x, kernel) is patches(x) times the kernel reshaped to (kh·kw·c) × d. PyTorch's unfold
    and JAX's conv_general_dilated_patches order by channel first: c kh kw.

    Backward, with δ = ∂L/∂y: ∂x = fold(δ), overlaps adding up.
    Source: Chellapilla, Puri & Simard 2006, "High Performance Convolutional Neural Networks for
    Document Processing" (unrolling).

    Args:
        window: size of the window, in elements; one for all spatial axes or one per axis.
        stride: step of the window, in elements.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", an integer, or one entry per spatial axis,
            each an integer or a (low, high) pair; in elements, negative ones crop. It holds zeros.
        dilation: distance between the taps of the window, in elements.
    """
    x = check.maps("patches", "x", x)
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    return rule(x, _parse("patches", x.shape[1:-1], window, **settings))


@partial(custom_rule, nondiff_argnums=(1,))
def fold_map(delta: Float[Array, "n *pq kc"], geometry: Geometry) -> Float[Array, "n *hw c"]:
    return lowering.fold_rows(delta, geometry)


adjoints(patches_map, fold_map)


@entry.operation
def fold(
    delta: Float[ArrayLike, "n *pq kc"], window: PerAxis,
    *, input_size: Sequence[int], stride: PerAxis = 1, padding: Padding = "VALID",
    dilation: PerAxis = 1, rule: Function = fold_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z[j] = Σ δ[i, a] over all i·s + a = j, every element of every row at its place: col2im.

    Backward, with ζ = ∂L/∂z: ∂δ = patches(ζ).
    Source: the transpose of `patches`; Quan, 7.2 ("+=" where windows overlap).

    Args:
        delta: one row per window, in the order kh kw c.
        window, stride, padding, dilation: as in `patches`.
        input_size: the spatial size of the result, which the strides leave open.

    Raises:
        ValueError: the rows of delta are not those of whole windows.
    """
    op = "fold"
    delta = check.maps(op, "delta", delta)
    input_size = check.per_axis(op, "input_size", input_size, delta.ndim - 2)
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    geometry = _parse(op, input_size, window, **settings)
    check.shape(op, "delta", delta, (delta.shape[0], *geometry.output, delta.shape[-1]))
    if delta.shape[-1] % geometry.taps:
        raise ValueError(
            f"{op}: delta must have rows of whole windows, "
            f"got {delta.shape[-1]} elements for a window of {geometry.taps}"
        )
    return rule(delta, geometry)


def _parse(op: str, size: Sequence[int], window: Any, **settings: Any) -> Geometry:
    window = check.per_axis(op, "window", window, len(size))
    return parse_geometry(op, size, window, window_name="window", **settings)
