"""Batch norm: in training with the statistics of the batch, in evaluation with given ones."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.sharding import vary_together, varying
from jaxcnn.lowering.statistics import AxisName
from jaxcnn.ops.elementary import power, reciprocal
from jaxcnn.ops.norm import normalise_map
from jaxcnn.ops.sharing import Sharing, check_parameters
from jaxcnn.rules import Function, custom_rule


@partial(custom_rule, nondiff_argnums=(5,))
def batch_norm_inference_map(
    x: Float[Array, "*n c"], scale: Float[Array, " c"] | None, bias: Float[Array, " c"] | None,
    mean: Float[Array, " c"], variance: Float[Array, " c"], epsilon: float,
) -> Float[Array, "*n c"]:  # fmt: skip
    y = _normalised(x, mean, power(variance + epsilon, -0.5))
    y = y if scale is None else y * _per_channel(scale, y)
    y = y if bias is None else y + _per_channel(bias, y)
    return y.astype(x.dtype)


def _batch_norm_inference_fwd(x, scale, bias, mean, variance, epsilon):
    y = batch_norm_inference_map(x, scale, bias, mean, variance, epsilon)
    return y, (x, scale, bias, mean, power(variance + epsilon, -0.5))


def _batch_norm_inference_bwd(epsilon, residuals, delta):
    x, scale, bias, mean, r = residuals
    dtype, batch = x.dtype, range(x.ndim - 1)
    delta = widen(delta)
    g = delta if scale is None else delta * _per_channel(scale, delta)
    delta_x = g * _per_channel(r, g)
    delta_scale = None
    if scale is not None:
        delta_scale = (delta * _normalised(x, mean, r)).sum(batch).astype(dtype)
    delta_bias = None if bias is None else delta.sum(batch).astype(dtype)
    return delta_x.astype(dtype), delta_scale, delta_bias, None, None


def _batch_norm_inference_tangent(epsilon, residuals, dots):
    """ẏ = γrẋ + γ̇x̂ + β̇."""
    x, scale, _, mean, r = residuals
    x_dot, scale_dot, bias_dot, *_ = dots
    y_dot = widen(x_dot) * _per_channel(r, x_dot)
    y_dot = y_dot if scale is None else y_dot * _per_channel(scale, y_dot)
    if scale_dot is not None:
        y_dot += _normalised(x, mean, r) * _per_channel(scale_dot, y_dot)
    y_dot = y_dot if bias_dot is None else y_dot + _per_channel(bias_dot, y_dot)
    return y_dot.astype(x.dtype)


batch_norm_inference_map.defvjp(_batch_norm_inference_fwd, _batch_norm_inference_bwd)
batch_norm_inference_map.defjvp(_batch_norm_inference_tangent, affine=(0, 1, 2))


@entry.operation
def batch_norm_inference(
    x: Float[ArrayLike, "*n c"], scale: Float[ArrayLike, " c"] | None,
    bias: Float[ArrayLike, " c"] | None, mean: Float[ArrayLike, " c"],
    variance: Float[ArrayLike, " c"],
    *, epsilon: float = 1e-5, rule: Function = batch_norm_inference_map,
) -> Float[Array, "*n c"]:  # fmt: skip
    """y = γx̂ + β, x̂ = (x − μ)/√(σ² + ε), with given μ and σ²: batch norm in evaluation.

    Backward, with δ = ∂L/∂y, r = 1/√(σ² + ε): ∂x = γrδ, ∂γ = Σδx̂, ∂β = Σδ. The statistics are
    constants, as PyTorch's buffers: they have no gradient.
    Source: Ioffe and Szegedy 2015, algorithm 2; Quan, 7.4.

    Args:
        scale, bias, epsilon: as in `batch_norm`.
        mean, variance: μ and σ², one per channel, of any float dtype.
    """
    op = "batch_norm_inference"
    x = check.float_array(op, "x", x)
    check.at_least(op, "x", x, 2, "batch, channels")
    x, scale, bias = check_parameters(op, x, scale, bias, x.shape[-1:])
    constants = []
    for name, value in (("mean", mean), ("variance", variance)):
        array = check.float_array(op, name, value)
        check.shape(op, name, array, x.shape[-1:])
        constants.append(array.astype(accumulator(x.dtype)))
    arrays = vary_together(x, scale, bias, *constants)
    return rule(*arrays, check.positive(op, "epsilon", epsilon))


@entry.operation
def batch_norm(
    x: Float[ArrayLike, "*n c"], scale: Float[ArrayLike, " c"] | None = None,
    bias: Float[ArrayLike, " c"] | None = None,
    *, epsilon: float = 1e-5, axis_name: AxisName | None = None, rule: Function = normalise_map,
) -> tuple[Float[Array, "*n c"], Float[Array, " c"], Float[Array, " c"]]:  # fmt: skip
    """y = γx̂ + β, x̂ = (x − μ)/√(σ² + ε); and μ, σ² of each channel over batch and space.

    Backward, with δ = ∂L/∂y, g = γ•δ, r = 1/√(σ² + ε): ∂x = r·(g − mean(g) − x̂·mean(g x̂)), means
    over batch and space; ∂γ = Σδx̂, ∂β = Σδ. The statistics returned are for running averages: they
    carry no gradient. σ² is the biased one, divided by the number of elements; both are in float32
    at least, and σ² is ∞ where that cannot hold it, from deviations of 1.8e19 on.
    Source: Ioffe and Szegedy 2015, section 3; Quan, 7.4.

    Args:
        scale, bias: γ and β, one per channel, or None for 1 and 0.
        epsilon: ε, added to the variance.
        axis_name: a mapped axis, or several, of `jax.vmap` or `jax.shard_map`: statistics, and
            means of the backward pass, are then over all its places, and gradients are those of the
            sum of the losses at all places. Under `jax.vmap` take the gradient inside: JAX does not
            find the axis in a backward pass outside.
    """
    op = "batch_norm"
    x = check.float_array(op, "x", x)
    check.at_least(op, "x", x, 2, "batch, channels")
    x, scale, bias = check_parameters(op, x, scale, bias, x.shape[-1:])
    axis_name = _check_axis_name(op, axis_name)
    axes = tuple(range(x.ndim - 1))
    sharing = Sharing(axes, check.positive(op, "epsilon", epsilon), axis_name=axis_name)
    y, *statistics = rule(x, scale, bias, sharing)
    mean, variance = _without_unit(*statistics, axis_name=axis_name)
    return y, mean.reshape(x.shape[-1]), variance.reshape(x.shape[-1])


def _per_channel(parameter: Array, x: Array) -> Array:
    """A number per channel at every element of x."""
    return jnp.broadcast_to(widen(parameter), x.shape)


def _normalised(x: Array, mean: Array, r: Array) -> Array:
    wide = widen(x)
    return (wide - _per_channel(mean, wide)) * _per_channel(r, wide)


def _without_unit(
    mean: Array, variance: Array, inverse: Array, axis_name: AxisName | None
) -> tuple[Array, Array]:
    """μ and σ² themselves, as constants, from those measured in a unit."""
    mean, variance, inverse = map(lax.stop_gradient, (mean, variance, inverse))
    unit: Array = reciprocal(inverse)
    mean, variance = mean * unit, variance * unit * unit
    if axis_name is not None and varying(mean):
        # They are the same at every place already; only JAX's types do not say so.
        mean, variance = lax.pmean((mean, variance), axis_name)
    return mean, variance


def _check_axis_name(op: str, axis_name: Any) -> AxisName | None:
    names = None if axis_name is None else check.axis_name(op, "axis_name", axis_name)
    if names:
        try:
            lax.axis_size(names)
        except NameError:
            raise ValueError(
                f"{op}: axis_name must name a mapped axis, of jax.vmap or jax.shard_map around it, "
                f"got {check.shown(axis_name)}"
            ) from None
    return names or None
