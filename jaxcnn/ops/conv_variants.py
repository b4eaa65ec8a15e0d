"""Relatives of the convolution: a flipped kernel, one filter per map."""

from functools import partial

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, Precision
from jaxcnn.ops.conv import checked_conv, conv_input_grad_map, conv_kernel_grad_map, conv_map
from jaxcnn.ops.shape import rot180_map
from jaxcnn.rules import Function, custom_rule, product


@partial(custom_rule, nondiff_argnums=(3,))
def true_conv_map(
    x: Float[Array, "n *hw c"],
    kernel: Float[Array, "*k c/g d"],
    bias: Float[Array, " d"] | None,
    geometry: Geometry,
) -> Float[Array, "n *pq d"]:
    """y = x ⋆ rot180(k) + b."""
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
