"""RMS norm: layer norm without the mean, so that one term of its backward pass falls away."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.ops.elementary import power
from jaxcnn.ops.sharing import Sharing, check_parameter
from jaxcnn.rules import custom_rule


@partial(custom_rule, nondiff_argnums=(2,))
def rms_norm_map(
    x: Float[Array, "*n"], scale: Float[Array, "*c"] | None, sharing: Sharing
) -> tuple[Float[Array, "*n"], Float[Array, "*s"], Float[Array, "*s"]]:
    """y = γx̂ with x̂ = x r, r = 1/√(mean(x²) + ε); and mean(x²).  With δ = ∂L/∂y and g = γ•δ:
    ∂x = r·(g − x̂·mean(g x̂)),  ∂γ = Σδx̂.

    With a cotangent s′ of the mean square, besides: ∂x = 2x s′/N. Zhang and Sennrich 2019.

    As in `normalise_map`, x, its square and ε are those in a unit u; 1/u is the last result.
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
    return (
        delta_x.reshape(x.shape).astype(x.dtype),
        sharing.parameter_grad(delta * normalised, scale),
    )


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


def rms_norm(
    x: Float[ArrayLike, "*n"],
    scale: Float[ArrayLike, "*c"] | None = None,
    *,
    axes: int | Sequence[int] = -1,
    epsilon: float = 1e-6,
    rule: Callable[..., Any] = rms_norm_map,
) -> Float[Array, "*n"]:
    """y = γx̂, x̂ = x/√(mean(x²) + ε): each example has its own root mean square, over its last axes.

    Backward, with δ = ∂L/∂y, g = γ•δ, r = 1/√(mean(x²) + ε): ∂x = r·(g − x̂·mean(g x̂)), means over
    those axes; ∂γ = Σδx̂, over the other axes.
    Source: Zhang and Sennrich 2019.

    Args:
        x: of any shape.
        scale: γ, of the shape of those axes, or None for 1.
        axes: the last axis, or the last ones, as (-3, -2, -1) for whole maps.
        epsilon: ε, added to the mean square. Flax's default; PyTorch's depends on the dtype.
        rule: the map to apply, hand-written (`rms_norm_map`) or a twin.

    Raises:
        TypeError: an argument is no float array, or the dtypes differ.
        ValueError: axes are not the last ones, a shape does not fit, or epsilon is not above 0.
    """
    op = "rms_norm"
    x = check.float_array(op, "x", x)
    axes = check.last_axes(op, x.shape, axes)
    scale = check_parameter(op, "scale", scale, x, x.shape[axes[0] :])
    return rule(x, scale, Sharing(axes, check.positive(op, "epsilon", epsilon)))[0]
