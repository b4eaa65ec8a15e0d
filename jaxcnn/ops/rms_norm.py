"""RMS norm: layer norm without the mean, so that one term of its backward pass falls away."""

from functools import partial

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import PerAxis
from jaxcnn.ops.elementary import power
from jaxcnn.ops.sharing import Sharing, check_parameters
from jaxcnn.rules import Function, custom_rule


@partial(custom_rule, nondiff_argnums=(2,))
def rms_norm_map(
    x: Float[Array, "*n"], scale: Float[Array, "*c"] | None, sharing: Sharing
) -> tuple[Float[Array, "*n"], Float[Array, "*s"], Float[Array, "*s"]]:
    """y = γx̂, x̂ = x r, r = 1/√(mean(x²) + ε); and mean(x²).

    A gradient s′ that reaches the mean square adds 2x s′/N to ∂x. As in `normalise_map`, x, its
    square and ε are those in a unit u, and the last result is 1/u.
    """
    wide = sharing.split(x)
    inverse, mean_square = sharing.mean_square(wide)
    r: Array = power(sharing.with_epsilon(mean_square, inverse), -0.5)
    y = wide * (r * inverse)
    y = y if scale is None else y * sharing.along(scale, y)
    return y.reshape(x.shape).astype(x.dtype), mean_square, inverse


def _rms_norm_fwd(x, scale, sharing):
    y_and_square: tuple[Array, ...] = rms_norm_map(x, scale, sharing)
    return y_and_square, (x, *y_and_square[1:], scale)


def _rms_norm_bwd(sharing, residuals, deltas):
    x, mean_square, inverse, scale = residuals
    delta, delta_square, _ = deltas
    spread = sharing.with_epsilon(mean_square, inverse)
    r = power(spread, -0.5)
    r_of_x = r * inverse
    normalised, delta = sharing.split(x) * r_of_x, sharing.split(delta)
    g = delta if scale is None else delta * sharing.along(scale, delta)
    # In the unit, x is x̂/r.
    slope = 2 * (r * spread) * sharing.share(delta_square, g) - r * sharing.mean(g * normalised)
    delta_x = r_of_x * g + normalised * (slope * inverse)
    delta_scale = sharing.parameter_grad(delta * normalised, scale)
    return delta_x.reshape(x.shape).astype(x.dtype), delta_scale


def _rms_norm_tangent(sharing, residuals, dots):
    x, mean_square, inverse, scale = residuals
    x_dot, scale_dot = dots
    spread = sharing.with_epsilon(mean_square, inverse)
    r = power(spread, -0.5)
    normalised, moved = sharing.split(x) * (r * inverse), sharing.split(x_dot) * inverse
    projection = sharing.mean(moved * normalised)
    y_dot = sharing.weighted(r * (moved - normalised * projection), scale)
    if scale_dot is not None:
        y_dot = y_dot + sharing.weighted(normalised, scale_dot)
    return y_dot.reshape(x.shape).astype(x.dtype), 2 * (r * spread) * projection, None


rms_norm_map.defvjp(_rms_norm_fwd, _rms_norm_bwd)
rms_norm_map.defjvp(_rms_norm_tangent)


@entry.operation
def rms_norm(
    x: Float[ArrayLike, "*n"], scale: Float[ArrayLike, "*c"] | None = None,
    *, axes: PerAxis = -1, epsilon: float = 1e-6, rule: Function = rms_norm_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """y = γx̂, x̂ = x/√(mean(x²) + ε): each example has its own root mean square, over its last axes.

    Backward, with δ = ∂L/∂y, g = γ•δ, r = 1/√(mean(x²) + ε): ∂x = r·(g − x̂·mean(g x̂)), means over
    those axes; ∂γ = Σδx̂, over the other axes.
    Source: Zhang and Sennrich 2019.

    Args:
        scale: γ, of the shape of those axes, or None for 1.
        axes: the last axis, or the last ones, as (-3, -2, -1) for whole maps.
        epsilon: ε, added to the mean square. Flax's default; PyTorch's depends on the dtype.
    """
    op = "rms_norm"
    x = check.float_array(op, "x", x)
    axes = check.last_axes(op, x.shape, axes)
    x, scale, _ = check_parameters(op, x, scale, None, x.shape[axes[0] :])
    return rule(x, scale, Sharing(axes, check.positive(op, "epsilon", epsilon)))[0]
