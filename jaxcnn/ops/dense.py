"""Dense layers: one trilinear form ⟨x W, δ⟩, three partial gradients, as for a convolution."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering import dense as lowering
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.rules import Function, custom_rule, product


@custom_rule
def dense_map(
    x: Float[Array, "*n c"], weight: Float[Array, "c d"], bias: Float[Array, " d"] | None
) -> Float[Array, "*n d"]:
    y = lowering.matmul(x, weight)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _dense_bwd(residuals, delta):
    x, weight, bias = residuals
    delta_bias = None if bias is None else delta.sum(range(delta.ndim - 1))
    return dense_input_grad_map(delta, weight), dense_weight_grad_map(x, delta), delta_bias


product(dense_map, _dense_bwd, bias=True)


@entry.operation
def dense(
    x: Float[ArrayLike, "*n c"], weight: Float[ArrayLike, "c d"],
    bias: Float[ArrayLike, " d"] | None = None,
    *, rule: Function = dense_map,
) -> Float[Array, "*n d"]:  # fmt: skip
    """y = x W + b, over the last axis of x.

    Backward, with δ = ∂L/∂y: ∂x = δ Wᵀ, ∂W = xᵀ δ, ∂b = Σδ, summed over all leading axes.
    Source: Huang, "Classification layer (all-to-all)"; Gormley, Case 2.
    """
    x, weight = _checked("dense", "x", x, weight, 0)
    bias = check.parameter("dense", "bias", bias, ("x", x), weight.shape[-1:])
    return rule(*vary_together(x, weight, bias))


@custom_rule
def dense_input_grad_map(
    delta: Float[Array, "*n d"], weight: Float[Array, "c d"]
) -> Float[Array, "*n c"]:
    return lowering.matmul_transposed(delta, weight)


def _dense_input_grad_bwd(residuals, zeta):
    delta, weight = residuals
    return dense_map(zeta, weight, None), dense_weight_grad_map(zeta, delta)


product(dense_input_grad_map, _dense_input_grad_bwd)


@entry.operation
def dense_input_grad(
    delta: Float[ArrayLike, "*n d"], weight: Float[ArrayLike, "c d"],
    *, rule: Function = dense_input_grad_map,
) -> Float[Array, "*n c"]:  # fmt: skip
    """∂x = δ Wᵀ: the adjoint of `dense` in its input.

    Backward, with ζ the incoming gradient: ∂δ = ζ W, ∂W = ζᵀ δ.
    Source: Huang, "Classification layer (all-to-all)".
    """
    return rule(*vary_together(*_checked("dense_input_grad", "delta", delta, weight, 1)))


@custom_rule
def dense_weight_grad_map(
    x: Float[Array, "*n c"], delta: Float[Array, "*n d"]
) -> Float[Array, "c d"]:
    return lowering.weight_grad(x, delta)


def _dense_weight_grad_bwd(residuals, omega):
    x, delta = residuals
    return dense_input_grad_map(delta, omega), dense_map(x, omega, None)


product(dense_weight_grad_map, _dense_weight_grad_bwd)


@entry.operation
def dense_weight_grad(
    x: Float[ArrayLike, "*n c"], delta: Float[ArrayLike, "*n d"],
    *, rule: Function = dense_weight_grad_map,
) -> Float[Array, "c d"]:  # fmt: skip
    """∂W = xᵀ δ: the adjoint of `dense` in its weight, summed over all leading axes.

    Backward, with Ω the incoming gradient: ∂x = δ Ωᵀ, ∂δ = x Ω.
    Source: Huang, "Classification layer (all-to-all)".
    """
    op = "dense_weight_grad"
    x = check.float_array(op, "x", x)
    delta = check.float_array(op, "delta", delta, like=("x", x))
    check.channels(op, "x", x)
    check.shape(op, "delta", delta, (*x.shape[:-1], check.channels(op, "delta", delta)))
    return rule(*vary_together(x, delta))


def _checked(
    op: str, name: str, maps: ArrayLike, weight: ArrayLike, axis: int
) -> tuple[Array, Array]:
    """The maps, whose features must be as many as an axis of the weight has; and the weight."""
    array = check.float_array(op, name, maps)
    matrix = check.float_array(op, "weight", weight, like=(name, array))
    check.rank(op, "weight", matrix, 2, "features in, features out")
    if array.shape[-1:] != matrix.shape[axis : axis + 1]:
        raise ValueError(
            f"{op}: {name} must have as many features as weight has {('rows', 'columns')[axis]}, "
            f"got shape {array.shape} for a weight of {matrix.shape}"
        )
    return array, matrix
