"""The convolutions of `jax.lax`, in any layout, as transposes around `conv_map`."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.geometry import parse_geometry
from jaxcnn.interop import arguments
from jaxcnn.interop.arguments import DimensionNumbers, LaxPadding
from jaxcnn.lowering.convolution.plain import channels_last
from jaxcnn.lowering.precision import accumulator
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.conv import conv_map
from jaxcnn.ops.shape import rot180_map


def conv_general_dilated(
    lhs: Float[ArrayLike, "..."],
    rhs: Float[ArrayLike, "..."],
    window_strides: Sequence[int],
    padding: LaxPadding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    out_sharding: Any = None,
) -> Float[Array, "..."]:
    """y = lhs ⋆ rhs: `jax.lax.conv_general_dilated` with the rules of `jaxcnn.conv`.

    Backward, with δ = ∂L/∂y: ∂lhs = full(dilate(δ), rot180(rhs)), ∂rhs = lhs ⋆ dilate(δ), both in
    the dtypes and layouts of lhs and rhs, with the same precision.
    Source: Huang, "Backward pass in general"; the arguments are those of `jax.lax`.

    Args:
        lhs: maps, of any number of spatial axes, none included.
        rhs: the kernel.
        window_strides: one per spatial axis, as lhs_dilation and rhs_dilation.
        padding: "SAME", "SAME_LOWER", "VALID" or a (low, high) pair per spatial axis; negative
            ones crop.
        lhs_dilation: distance at which the elements of lhs are put, zeros between them.
        rhs_dilation: distance between the taps of the kernel.
        dimension_numbers: three strings such as ("NHWC", "HWIO", "NHWC"), ConvDimensionNumbers, or
            None for batch, channels, space and out, in, space.
        feature_group_count: into how many groups the channels fall.
        batch_group_count: into how many groups the batch falls; filters of group i read the i-th
            group of examples, so that there are as many fewer examples in y.
        precision: see `jaxcnn.conv`.
        preferred_element_type: a wider dtype, for the products and for y.
        out_sharding: how y is to be sharded, where the axes of the mesh are Explicit.

    Raises:
        TypeError: an argument is no float array or of the wrong kind, or the dtypes differ.
        ValueError: ranks, channels, groups or sizes do not fit together.
    """
    op = "conv_general_dilated"
    lhs = check.float_array(op, "lhs", lhs)
    rhs = check.float_array(op, "rhs", rhs, like=("lhs", lhs))
    layout = arguments.layout(op, lhs, rhs, dimension_numbers)
    if out_sharding is not None and not isinstance(
        out_sharding, (jax.sharding.Sharding, jax.sharding.PartitionSpec)
    ):
        raise TypeError(
            f"{op}: out_sharding must be a sharding or a PartitionSpec, "
            f"got {check.shown(out_sharding)}"
        )
    y = _correlate(
        op,
        _maps(lhs, layout),
        _kernel(rhs, layout),
        strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        feature_groups=feature_group_count,
        batch_groups=batch_group_count,
        precision=precision,
        dtype=preferred_element_type,
    )
    y = _laid_out(y, layout)
    return y if out_sharding is None else jax.sharding.reshard(y, out_sharding)


def conv_transpose(
    lhs: Float[ArrayLike, "..."],
    rhs: Float[ArrayLike, "..."],
    strides: Sequence[int],
    padding: LaxPadding,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: DTypeLike | None = None,
    use_consistent_padding: bool = False,
) -> Float[Array, "..."]:
    """y = dilate(lhs) ⋆ rhs: `jax.lax.conv_transpose` with the rules of `jaxcnn.conv`.

    Backward, with δ = ∂L/∂y: ∂lhs = full(δ, rot180(rhs)) where a stride put no zero, ∂rhs =
    dilate(lhs) ⋆ δ. `jaxcnn.conv_transpose` has other conventions: there the kernel is that of
    the convolution that it is the adjoint of, which is transpose_kernel=True here.
    Source: Zeiler et al. 2010; the arguments are those of `jax.lax`.

    Args:
        lhs: maps, of any number of spatial axes, none included.
        rhs: the kernel.
        strides: by how much y is larger than lhs, one per spatial axis.
        padding: "SAME" or "VALID", those of the convolution that this one undoes, or a (low, high)
            pair per spatial axis, for the dilated lhs.
        rhs_dilation: distance between the taps of the kernel.
        dimension_numbers: see `conv_general_dilated`; None puts channels last.
        transpose_kernel: whether the kernel is turned by 180° and its channels change places.
        precision: see `jaxcnn.conv`.
        preferred_element_type: a wider dtype, for the products and for y.
        use_consistent_padding: whether pairs too are the padding of the convolution undone.

    Raises:
        TypeError: an argument is no float array or of the wrong kind, or the dtypes differ.
        ValueError: ranks, channels or sizes do not fit together.
    """
    op = "conv_transpose"
    lhs = check.float_array(op, "lhs", lhs)
    rhs = check.float_array(op, "rhs", rhs, like=("lhs", lhs))
    if dimension_numbers is None and lhs.ndim >= 2:
        dimension_numbers = channels_last(lhs.ndim - 2)
    layout = arguments.layout(op, lhs, rhs, dimension_numbers)
    kernel = _kernel(rhs, layout)
    axes = kernel.ndim - 2
    strides = arguments.per_axis(op, "strides", strides, axes)
    dilation = arguments.per_axis(op, "rhs_dilation", rhs_dilation, axes)
    if check.boolean(op, "use_consistent_padding", use_consistent_padding) or (
        isinstance(padding, str) and padding in ("SAME", "VALID")
    ):
        extent = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
        padding = _undoing(op, padding, extent, strides)
    if check.boolean(op, "transpose_kernel", transpose_kernel):
        kernel = jnp.swapaxes(rot180_map(kernel), -1, -2)
    y = _correlate(
        op,
        _maps(lhs, layout),
        kernel,
        strides=(1,) * axes,
        padding=padding,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        precision=precision,
        dtype=preferred_element_type,
    )
    return _laid_out(y, layout)


def _correlate(
    op: str,
    x: Array,
    kernel: Array,
    *,
    strides: Any,
    padding: Any,
    lhs_dilation: Any,
    rhs_dilation: Any,
    feature_groups: Any = 1,
    batch_groups: Any = 1,
    precision: Any,
    dtype: Any,
) -> Array:
    """x ⋆ k in the canonical layout, all settings in the spelling of `jax.lax`."""
    dtype = arguments.result_dtype(op, x.dtype, dtype)
    axes = kernel.ndim - 2
    strides = arguments.per_axis(op, "window_strides", strides, axes)
    lhs_dilation = arguments.per_axis(op, "lhs_dilation", lhs_dilation, axes)
    rhs_dilation = arguments.per_axis(op, "rhs_dilation", rhs_dilation, axes)
    padding = arguments.padding(op, padding, axes)
    if isinstance(padding, str) and set(lhs_dilation) - {1}:
        raise ValueError(
            f"{op}: padding must be pairs of integers where lhs is dilated, "
            f"got {check.shown(padding)} for a dilation of {lhs_dilation}"
        )
    groups = arguments.groups(op, x, kernel, feature_groups, batch_groups)
    if check.integer(op, "batch_group_count", batch_groups) > 1:
        x = _batch_groups_as_channels(x, groups)
    geometry = parse_geometry(
        op,
        x.shape[1:-1],
        kernel.shape[:-2],
        stride=strides,
        padding=padding,
        dilation=rhs_dilation,
        input_dilation=lhs_dilation,
        groups=groups,
        precision=check.precision(op, precision),
        window_name="rhs",
    )
    # Wider products are those of widened factors, and narrow gradients those of wide ones.
    wide = dtype if dtype.itemsize > x.dtype.itemsize else accumulator(x.dtype)
    products = x.dtype if dtype == x.dtype else wide
    x, kernel = vary_together(x.astype(products), kernel.astype(products))
    y: Array = conv_map(x, kernel, None, geometry)
    return y.astype(dtype)


def _batch_groups_as_channels(x: Array, groups: int) -> Array:
    """(g n) *hw c → n *hw (g c): the groups of examples side by side, as groups of channels.

    Filters of group i read the i-th group of either; so it is the convolution in feature groups.
    """
    n, *space, c = x.shape
    x = jnp.moveaxis(x.reshape(groups, n // groups, *space, c), 0, -2)
    return x.reshape(n // groups, *space, groups * c)


def _undoing(
    op: str, padding: Any, extent: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """The padding of the dilated map that undoes a convolution with that padding, as in JAX."""
    padding = arguments.padding(op, padding, len(extent), words=("SAME", "VALID"))
    if padding == "VALID":
        return [(e - 1, s - 1 + max(e - s, 0)) for e, s in zip(extent, strides, strict=True)]
    if padding == "SAME":
        # Not the transpose of SAME everywhere: an odd zero goes to the front.
        low = [
            e - 1 if s > e - 1 else -(-(e + s - 2) // 2)
            for e, s in zip(extent, strides, strict=True)
        ]
        return [(a, e + s - 2 - a) for a, e, s in zip(low, extent, strides, strict=True)]
    return [(e - 1 - low, e - 1 - high) for e, (low, high) in zip(extent, padding, strict=True)]


def _maps(lhs: Array, layout: lax.ConvDimensionNumbers) -> Array:
    """The maps lhs as batch, space, channels."""
    batch, channels, *space = layout.lhs_spec
    return jnp.transpose(lhs, (batch, *space, channels))


def _kernel(rhs: Array, layout: lax.ConvDimensionNumbers) -> Array:
    """The kernel rhs as space, channels in, channels out."""
    channels_out, channels_in, *space = layout.rhs_spec
    return jnp.transpose(rhs, (*space, channels_in, channels_out))


def _laid_out(y: Array, layout: lax.ConvDimensionNumbers) -> Array:
    """Batch, space, channels in the order that is asked for."""
    batch, channels, *space = layout.out_spec
    order = (batch, *space, channels)
    return jnp.transpose(y, [order.index(axis) for axis in range(y.ndim)])
