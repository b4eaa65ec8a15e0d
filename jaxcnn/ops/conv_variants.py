"""Relatives of the convolution: a flipped kernel, one filter per map, the adjoint as a layer."""

from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, Precision, parse_transposed_geometry
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.conv import (
    check_groups,
    checked_conv,
    checked_maps,
    conv_input_grad_map,
    conv_kernel_grad_map,
    conv_map,
)
from jaxcnn.ops.shape import rot180_map
from jaxcnn.rules import Function, custom_rule, product


@partial(custom_rule, nondiff_argnums=(3,))
def true_conv_map(
    x: Float[Array, "n *hw c"],
    kernel: Float[Array, "*k c/g d"],
    bias: Float[Array, " d"] | None,
    geometry: Geometry,
) -> Float[Array, "n *pq d"]:
    return conv_map(x, rot180_map(kernel), bias, geometry)


def _true_conv_bwd(geometry, residuals, delta):
    x, kernel, bias = residuals
    delta_bias = None if bias is None else delta.sum(range(delta.ndim - 1))
    return (
        conv_input_grad_map(delta, rot180_map(kernel), geometry),
        rot180_map(conv_kernel_grad_map(x, delta, geometry)),
        delta_bias,
    )


product(true_conv_map, _true_conv_bwd, bias=True)


@entry.operation
def true_conv(
    x: Float[ArrayLike, "n *hw c"], kernel: Float[ArrayLike, "*k c/g d"],
    bias: Float[ArrayLike, " d"] | None = None,
    *, stride: PerAxis = 1, padding: Padding = "VALID", dilation: PerAxis = 1,
    input_dilation: PerAxis = 1, groups: int = 1, precision: Precision = None,
    rule: Function = true_conv_map,
) -> Float[Array, "n *pq d"]:  # fmt: skip
    """y = x ∗ k + b: the convolution of mathematics, with the kernel flipped; `conv` does not flip.

    Backward, with δ = ∂L/∂y: ∂x = full(dilate(δ), k), ∂k = rot180(x ⋆ dilate(δ)), ∂b = Σδ.
    Source: Gwardys; Huang, "Forward pass".

    Args:
        x, kernel, bias, stride, padding, dilation, input_dilation, groups, precision: as in `conv`.
    """
    return checked_conv(
        "true_conv", x, kernel, bias, stride=stride, padding=padding, dilation=dilation,
        input_dilation=input_dilation, groups=groups, precision=precision, rule=rule,
    )  # fmt: skip


@entry.operation
def depthwise_conv(
    x: Float[ArrayLike, "n *hw c"], kernel: Float[ArrayLike, "*k 1 cm"],
    bias: Float[ArrayLike, " cm"] | None = None,
    *, stride: PerAxis = 1, padding: Padding = "VALID", dilation: PerAxis = 1,
    precision: Precision = None, rule: Function = conv_map,
) -> Float[Array, "n *pq cm"]:  # fmt: skip
    """y = x ⋆ k + b with every map by itself: filters c·m to c·m + m − 1 read map c.

    Backward, with δ = ∂L/∂y: ∂x = full(dilate(δ), rot180(k)), ∂k = x ⋆ dilate(δ), ∂b = Σδ, per map.
    Source: Quan, "Depth-wise convolution".

    Args:
        kernel: window by 1 by c times the channel multiplier m.
        stride, padding, dilation, precision: as in `conv`.
    """
    x = check.maps("depthwise_conv", "x", x)
    return checked_conv(
        "depthwise_conv", x, kernel, bias, stride=stride, padding=padding, dilation=dilation,
        groups=x.shape[-1], precision=precision, rule=rule,
    )  # fmt: skip


@partial(custom_rule, nondiff_argnums=(3,))
def conv_transpose_map(
    x: Float[Array, "n *pq d"],
    kernel: Float[Array, "*k c/g d"],
    bias: Float[Array, " c"] | None,
    geometry: Geometry,
) -> Float[Array, "n *hw c"]:
    y: Array = conv_input_grad_map(x, kernel, geometry)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _conv_transpose_bwd(geometry, residuals, delta):
    x, kernel, bias = residuals
    delta_bias = None if bias is None else delta.sum(range(delta.ndim - 1))
    delta_x: Array = conv_map(delta, kernel, None, geometry)
    return delta_x, conv_kernel_grad_map(delta, x, geometry), delta_bias


product(conv_transpose_map, _conv_transpose_bwd, bias=True)


@entry.operation
def conv_transpose(
    x: Float[ArrayLike, "n *pq d"], kernel: Float[ArrayLike, "*k c/g d"],
    bias: Float[ArrayLike, " c"] | None = None,
    *, stride: PerAxis = 1, padding: Padding = "VALID", output_padding: PerAxis = 0,
    dilation: PerAxis = 1, groups: int = 1, precision: Precision = None,
    rule: Function = conv_transpose_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y = full(dilate(x), rot180(k)) + b: the adjoint of `conv` with the same arguments and kernel.

    Its size is h = (p − 1)·stride + (k − 1)·dilation + 1 − low − high + output_padding; with "SAME"
    it is p·stride. Backward, with δ = ∂L/∂y: ∂x = δ ⋆ k, ∂k = δ ⋆ dilate(x), ∂b = Σδ.
    Source: Huang, "Backward pass in general"; Zeiler et al. 2010.

    Args:
        x: maps with as many channels as the kernel has outputs: d.
        kernel: window by c/groups by d, as for the convolution that this is the adjoint of.
        stride: of that convolution: y is larger than x by this factor.
        padding: of that convolution: it crops y. See `conv`.
        output_padding: elements that the convolution's stride would leave over at the end of y, in
            [0, stride); they say which of the possible sizes y has. With "SAME" it has the largest.
        dilation, groups, precision: as in `conv`.

    Raises:
        ValueError: an output_padding is given although padding is "SAME".
    """
    op = "conv_transpose"
    x, kernel = checked_maps(op, "x", x, kernel)
    groups = check.integer(op, "groups", groups, minimum=1)
    c, d = kernel.shape[-2] * groups, kernel.shape[-1]
    check_groups(op, c, kernel.shape[-2], d, groups)
    if x.shape[-1] != d:
        raise ValueError(
            f"{op}: x must have as many channels as the kernel has outputs, "
            f"got {x.shape[-1]} for a kernel of {kernel.shape}"
        )
    bias = check.parameter(op, "bias", bias, ("x", x), (c,))
    geometry = parse_transposed_geometry(
        op, x.shape[1:-1], kernel.shape[:-2], stride=stride, padding=padding,
        output_padding=output_padding, dilation=dilation, groups=groups,
        precision=check.precision(op, precision),
    )  # fmt: skip
    return rule(*vary_together(x, kernel, bias), geometry)
