"""Convolution: one trilinear form, three partial gradients, three rules that call each other.

T(x, k, δ) = ⟨x ⋆ k, δ⟩ is linear in each argument. Its gradients are the convolution (in δ), the
input gradient (in x) and the kernel gradient (in k). The derivative of each of the three is one of
the other two, so reverse derivatives of every order are written by hand. How each of the three
maps is computed, term by term, is in `jaxcnn.lowering.convolution`.

⋆ is the valid cross-correlation, (x ⋆ k)[i,j] = Σ x[i+a, j+e] k[a,e], as in every framework; a true
convolution is x ⋆ rot180(k). full(a, k) pads a by the size of k − 1 on every side and correlates.
dilate(δ) puts stride − 1 zeros between the elements of δ.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Method, Padding, PerAxis, Precision, parse_geometry
from jaxcnn.lowering import convolution as lowering
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.rules import Function, custom_rule, product


@partial(custom_rule, nondiff_argnums=(3,))
def conv_map(
    x: Float[Array, "n *hw c"],
    kernel: Float[Array, "*k c/g d"],
    bias: Float[Array, " d"] | None,
    geometry: Geometry,
) -> Float[Array, "n *pq d"]:
    y = lowering.correlate(x, kernel, geometry)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _conv_fwd(x, kernel, bias, geometry):
    return conv_map(x, kernel, bias, geometry), (x, kernel, bias)


def _conv_bwd(geometry, residuals, delta):
    x, kernel, bias = residuals
    delta_bias = None if bias is None else delta.sum(range(delta.ndim - 1))
    return (
        conv_input_grad_map(delta, kernel, geometry),
        conv_kernel_grad_map(x, delta, geometry),
        delta_bias,
    )


conv_map.defvjp(_conv_fwd, _conv_bwd)
product(conv_map, bias=True)  # ẏ = ẋ ⋆ k + x ⋆ k̇ + ḃ


@entry.operation
def conv(
    x: Float[ArrayLike, "n *hw c"], kernel: Float[ArrayLike, "*k c/g d"],
    bias: Float[ArrayLike, " d"] | None = None,
    *, stride: PerAxis = 1, padding: Padding = "VALID", dilation: PerAxis = 1,
    input_dilation: PerAxis = 1, groups: int = 1, precision: Precision = None,
    method: Method = "direct", rule: Function = conv_map,
) -> Float[Array, "n *pq d"]:  # fmt: skip
    """y = x ⋆ k + b, in 1, 2 or 3 spatial dimensions, read off the kernel's rank.

    Backward, with δ = ∂L/∂y: ∂x = full(dilate(δ), rot180(k)), ∂k = x ⋆ dilate(δ), ∂b = Σδ.
    Source: Huang, "Convolutional layer" and "Backward pass in general"; Quan, 7.2; Ray.

    Args:
        x: input maps, channels last: n w c, n h w c or n d h w c.
        kernel: window by c/groups by d output channels.
        stride: step of the window, in elements; one for all axes or one per axis.
        padding: "SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL" (all of it in front), an integer,
            or one entry per spatial axis, each an integer or a (low, high) pair; in elements,
            negative ones crop. For other modes than zeros, see `pad`.
        dilation: distance between the taps of the kernel, in elements.
        input_dilation: distance at which the elements of x are put, zeros between them.
        groups: into how many groups the channels fall; each output reads its group only.
        precision: of the products, here and in all gradients: a `jax.lax.Precision`, its name, one
            for x and one for the kernel, or None for what `jax.default_matmul_precision` says.
            "BF16_BF16_F32": both factors of each product are rounded to bfloat16, by 2⁻⁸ at most,
            and summed in float32, which the result has.
        method: "direct", the form that is expected to be the fastest, which `explain_forms` shows;
            or the name of a form, which then computes this map and each gradient if it can. "fft",
            products of spectra, always can: it pays for large kernels (`experiments.benchmark`
            shows from which size), rounds relative to the largest elements, and spreads a NaN or ∞
            over the whole map.
    """
    return checked_conv(
        "conv", x, kernel, bias, stride=stride, padding=padding, dilation=dilation,
        input_dilation=input_dilation, groups=groups, precision=precision, method=method,
        rule=rule,
    )  # fmt: skip


@partial(custom_rule, nondiff_argnums=(2,))
def conv_input_grad_map(
    delta: Float[Array, "n *pq d"], kernel: Float[Array, "*k c/g d"], geometry: Geometry
) -> Float[Array, "n *hw c"]:
    return lowering.input_grad(delta, kernel, geometry)


def _conv_input_grad_bwd(geometry, residuals, zeta):
    delta, kernel = residuals
    return conv_map(zeta, kernel, None, geometry), conv_kernel_grad_map(zeta, delta, geometry)


product(conv_input_grad_map, _conv_input_grad_bwd)


@entry.operation
def conv_input_grad(
    delta: Float[ArrayLike, "n *pq d"], kernel: Float[ArrayLike, "*k c/g d"],
    *, input_size: Sequence[int], stride: PerAxis = 1, padding: Padding = "VALID",
    dilation: PerAxis = 1, input_dilation: PerAxis = 1, groups: int = 1,
    precision: Precision = None, rule: Function = conv_input_grad_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """∂x = full(dilate(δ), rot180(k)): the adjoint of `conv` in its input.

    Backward, with ζ the incoming gradient: ∂δ = ζ ⋆ k, ∂k = ζ ⋆ dilate(δ).
    Source: Huang, "Backward pass in general"; Gwardys, step 4; Ray, "Derivation of δI".

    Args:
        input_size: the spatial size of the convolution's input, which the strides leave open.
        stride, padding, dilation, input_dilation, groups, precision: the convolution's; see `conv`.
    """
    op = "conv_input_grad"
    delta, kernel = checked_maps(op, "delta", delta, kernel)
    groups = check.integer(op, "groups", groups, minimum=1)
    check_groups(op, kernel.shape[-2] * groups, kernel.shape[-2], kernel.shape[-1], groups)
    geometry = parse_geometry(
        op, check.per_axis(op, "input_size", input_size, kernel.ndim - 2), kernel.shape[:-2],
        stride=stride, padding=padding, dilation=dilation, input_dilation=input_dilation,
        groups=groups, precision=check.precision(op, precision),
    )  # fmt: skip
    check.shape(op, "delta", delta, (delta.shape[0], *geometry.output, kernel.shape[-1]))
    return rule(*vary_together(delta, kernel), geometry)


@partial(custom_rule, nondiff_argnums=(2,))
def conv_kernel_grad_map(
    x: Float[Array, "n *hw c"], delta: Float[Array, "n *pq d"], geometry: Geometry
) -> Float[Array, "*k c/g d"]:
    return lowering.kernel_grad(x, delta, geometry)


def _conv_kernel_grad_bwd(geometry, residuals, omega):
    x, delta = residuals
    return conv_input_grad_map(delta, omega, geometry), conv_map(x, omega, None, geometry)


product(conv_kernel_grad_map, _conv_kernel_grad_bwd)


@entry.operation
def conv_kernel_grad(
    x: Float[ArrayLike, "n *hw c"], delta: Float[ArrayLike, "n *pq d"],
    *, kernel_size: Sequence[int], stride: PerAxis = 1, padding: Padding = "VALID",
    dilation: PerAxis = 1, input_dilation: PerAxis = 1, groups: int = 1,
    precision: Precision = None, rule: Function = conv_kernel_grad_map,
) -> Float[Array, "*k c/g d"]:  # fmt: skip
    """∂k = x ⋆ dilate(δ): the adjoint of `conv` in its kernel.

    Backward, with ω the incoming gradient: ∂x = full(dilate(δ), rot180(ω)), ∂δ = x ⋆ ω.
    Source: Huang, "Backward pass in general"; Quan, "The filter derivative"; Ray.

    Args:
        kernel_size: the spatial size of the convolution's kernel, which the strides leave open.
        stride, padding, dilation, input_dilation, groups, precision: the convolution's; see `conv`.
    """
    op = "conv_kernel_grad"
    x = check.maps(op, "x", x)
    delta = check.float_array(op, "delta", delta, like=("x", x))
    check.rank(op, "delta", delta, x.ndim, "batch, space, channels")
    groups = check.integer(op, "groups", groups, minimum=1)
    check_groups(op, x.shape[-1], x.shape[-1] // groups, delta.shape[-1], groups)
    geometry = parse_geometry(
        op, x.shape[1:-1], check.per_axis(op, "kernel_size", kernel_size, x.ndim - 2),
        stride=stride, padding=padding, dilation=dilation, input_dilation=input_dilation,
        groups=groups, precision=check.precision(op, precision),
    )  # fmt: skip
    check.shape(op, "delta", delta, (x.shape[0], *geometry.output, delta.shape[-1]))
    return rule(*vary_together(x, delta), geometry)


def checked_conv(
    op: str, x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None,
    *, groups: int, precision: Precision, rule: Function, **settings: Any,
) -> Array:  # fmt: skip
    """`conv` and its relatives, under the name that errors are to give."""
    x, kernel = checked_maps(op, "x", x, kernel)
    lowering.check_method(op, "method", settings.get("method", "direct"))
    groups = check_groups(op, x.shape[-1], kernel.shape[-2], kernel.shape[-1], groups)
    bias = check.parameter(op, "bias", bias, ("x", x), kernel.shape[-1:])
    geometry = parse_geometry(
        op, x.shape[1:-1], kernel.shape[:-2],
        groups=groups, precision=check.precision(op, precision), **settings,
    )  # fmt: skip
    return rule(*vary_together(x, kernel, bias), geometry)


def checked_maps(op: str, name: str, x: ArrayLike, kernel: ArrayLike) -> tuple[Array, Array]:
    """Maps, and a kernel with as many axes of space."""
    maps = check.maps(op, name, x)
    weights = check.float_array(op, "kernel", kernel, like=(name, maps))
    check.at_least(op, "kernel", weights, 3, "space, channels in, channels out")
    check.rank(op, name, maps, weights.ndim, "batch, space as the kernel has it, channels")
    return maps, weights


def check_groups(op: str, c: int, kernel_c: int, d: int, groups: int) -> int:
    """The number of groups, if it divides the channels and the kernel fits."""
    groups = check.integer(op, "groups", groups, minimum=1)
    if c % groups or d % groups:
        raise ValueError(
            f"{op}: groups must divide the channels in and out, got {groups} for {c} and {d}"
        )
    if kernel_c * groups != c:
        raise ValueError(
            f"{op}: kernel must have as many input channels as x has per group, "
            f"got {kernel_c} for {c} channels in {groups} group{'s' if groups > 1 else ''}"
        )
    return groups
