"""Activations that are 0 up to a threshold. δ = ∂E/∂y • f′(u), 1 or 0, and 0 at the threshold."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, unary


@unary(
    keep=lambda x, y: x,
    back=lambda moved, x, alpha: gate_map(moved, ~(widen(x) <= alpha)),
    nondiff_argnums=(1,),
)
def thresholded_relu_map(x: Float[Array, "*n"], alpha: float) -> Float[Array, "*n"]:
    return jnp.where(widen(x) <= alpha, jnp.zeros_like(x), x)


@entry.operation
def thresholded_relu(
    x: Float[ArrayLike, "*n"], alpha: float = 1.0, *, rule: Function = thresholded_relu_map
) -> Float[Array, "*n"]:
    """y = x where x > α, else 0, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where x > α, else 0, at the step too.
    Source: Konda, Memisevic, Krueger 2015, "Zero-bias autoencoders", section 3.

    Args:
        alpha: α, any number.
    """
    x = check.float_array("thresholded_relu", "x", x)
    return rule(x, check.number("thresholded_relu", "alpha", alpha))


def _within(x: Array, threshold: float) -> Array:
    wide = widen(x)  # a half may not hold the threshold
    return (wide >= -threshold) & (wide <= threshold)


@unary(
    keep=lambda x, y: x,
    back=lambda moved, x, threshold, bias: gate_map(moved, ~_within(x, threshold)),
    nondiff_argnums=(1, 2),
)
def shrink_map(x: Float[Array, "*n"], threshold: float, bias: float) -> Float[Array, "*n"]:
    wide = widen(x)
    y = wide - bias * jnp.sign(wide) if bias else wide
    return narrow(jnp.where(_within(wide, threshold), jnp.zeros_like(y), y), x.dtype)


@entry.operation
def hard_shrink(
    x: Float[ArrayLike, "*n"], threshold: float = 0.5, *, rule: Function = shrink_map
) -> Float[Array, "*n"]:
    """y = x where |x| > λ, else 0, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where |x| > λ, else 0, at both steps too.
    Source: Donoho, Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", section 2.

    Args:
        threshold: λ, not negative.
    """
    x = check.float_array("hard_shrink", "x", x)
    return rule(x, check.number("hard_shrink", "threshold", threshold, minimum=0), 0.0)


@entry.operation
def soft_shrink(
    x: Float[ArrayLike, "*n"], threshold: float = 0.5, bias: float | None = None,
    *, rule: Function = shrink_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """y = x − β sign(x) where |x| > λ, else 0, element by element.

    Backward, with δ = ∂L/∂y: ∂x = δ where |x| > λ, else 0, at both kinks too.
    Source: Donoho, Johnstone 1994, "Ideal spatial adaptation by wavelet shrinkage", section 2.

    Args:
        threshold: λ, not negative.
        bias: β, any number; λ unless said otherwise.
    """
    x = check.float_array("soft_shrink", "x", x)
    threshold = check.number("soft_shrink", "threshold", threshold, minimum=0)
    return rule(
        x, threshold, threshold if bias is None else check.number("soft_shrink", "bias", bias)
    )
