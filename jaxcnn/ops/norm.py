"""Normalisation over any axes: one rule for batch, layer, group and instance norm; RMS norm.

The members of the family differ in the elements that share a mean μ and a variance σ², and in the
shape of γ and β. In the backward pass γ stays inside the means; only along axes where it is
constant, as in batch and instance norm, is it taken out of their sums. RMS norm is layer norm
without the mean, so that one term falls away. Statistics are formed in float32 at least. Batch
norm, which returns them, is in `jaxcnn.ops.batch_norm`.
"""

from functools import partial

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import PerAxis
from jaxcnn.lowering import rows
from jaxcnn.lowering.statistics import centred_sums, gradient_sums, moments
from jaxcnn.lowering.statistics import mean_square as mean_of_squares
from jaxcnn.ops.elementary import power
from jaxcnn.ops.sharing import Sharing, check_parameters
from jaxcnn.rules import Function, arithmetic, custom_rule

gradient_sums_map = arithmetic(gradient_sums, centred_sums, linear=(0,), nondiff_argnums=(5,))


@partial(custom_rule, nondiff_argnums=(3,))
def normalise_map(
    x: Float[Array, "*n"],
    scale: Float[Array, "*c"] | None,
    bias: Float[Array, "*c"] | None,
    sharing: Sharing,
) -> tuple[Float[Array, "*n"], Float[Array, "*s"], Float[Array, "*s"], Float[Array, "*s"]]:
    """Gradients that reach μ and σ², which derivatives of higher order send, add μ′/N and
    2(x − μ)σ²′/N to ∂x. Numbers whose squares overflow or vanish are measured in a unit u, a power
    of two, which is 1 for all others: x, μ, σ² and ε are those of x/u; the last result is 1/u.
    """
    if sharing.in_rows(x, scale, bias):
        whole = Sharing((1,), sharing.epsilon)
        return rows.normalised(_plainly, x, scale, bias, sharing.axes, sharing.epsilon, whole)
    return _plainly(x, scale, bias, sharing)


def _plainly(
    x: Array, scale: Array | None, bias: Array | None, sharing: Sharing
) -> tuple[Array, Array, Array, Array]:
    wide = sharing.split(x)
    inverse, near, left, variance = moments(wide, sharing.axes, sharing.epsilon, sharing.axis_name)
    r: Array = power(sharing.with_epsilon(variance, inverse), -0.5)
    # A large mean is taken off in two parts: their sum would be rounded.
    r_of_x = r * inverse
    y = sharing.weighted((wide - near) * r_of_x - left * r_of_x, scale)
    y = y if bias is None else y + sharing.along(bias, y)
    return y.reshape(x.shape).astype(x.dtype), (near + left) * inverse, variance, inverse


def _normalise_fwd(x, scale, bias, sharing):
    y_and_statistics: tuple[Array, ...] = normalise_map(x, scale, bias, sharing)
    return y_and_statistics, (x, *y_and_statistics[1:], scale, bias)


def _normalise_bwd(sharing, residuals, deltas):
    x, mean, variance, inverse, scale, bias = residuals
    delta, delta_mean, delta_variance, _ = deltas
    spread = sharing.with_epsilon(variance, inverse)
    r = power(spread, -0.5)
    r_of_x = r * inverse
    if sharing.in_rows(x, scale, bias):
        shift, slope = (sharing.share(d, x) * inverse for d in (delta_mean, delta_variance))
        of_rows = r_of_x, mean * r, shift, 2 * (r * spread) * slope
        of_x, *of_both = rows.gradients(x, delta, of_rows, scale, sharing.axes)
        given = zip(of_both, (scale, bias), strict=True)
        return of_x, *(None if p is None else grad for grad, p in given)
    wide, delta = sharing.split(x), sharing.split(delta)
    normalised = wide * r_of_x - mean * r
    g = sharing.weighted(delta, scale)
    if axes := sharing.alike(scale if bias is None else bias, delta):
        # γ does not change along these axes: sum first, as ∂β and ∂γ do, then multiply by it.
        of_bias, of_scale = gradient_sums_map(delta, wide, mean, variance, inverse, axes)
        of_scale = of_scale * r
    else:
        of_bias, of_scale = delta, delta * normalised
    of_mean, of_projection = (sharing.weighted_sum(a, scale) for a in (of_bias, of_scale))
    # First the terms that are the same for all elements that share statistics.
    shift = sharing.share(delta_mean, g) - r * sharing.share(of_mean, g)
    # In the unit, x − μ is x̂/r.
    projection = r * sharing.share(of_projection, g)
    slope = 2 * (r * spread) * sharing.share(delta_variance, g) - projection
    delta_x = r_of_x * g + shift * inverse + normalised * (slope * inverse)
    of_both = sharing.parameter_grad(of_scale, scale), sharing.parameter_grad(of_bias, bias)
    return delta_x.reshape(x.shape).astype(x.dtype), *of_both


def _normalise_tangent(sharing, residuals, dots):
    """ẏ = γ•r·(ẋ − mean(ẋ) − x̂·mean(ẋ x̂)) + γ̇x̂ + β̇."""
    x, mean, variance, inverse, scale, _ = residuals
    x_dot, scale_dot, bias_dot = dots
    spread = sharing.with_epsilon(variance, inverse)
    r = power(spread, -0.5)
    normalised, moved = sharing.split(x) * (r * inverse) - mean * r, sharing.split(x_dot) * inverse
    mean_dot, projection = sharing.mean(moved), sharing.mean(moved * normalised)
    y_dot = sharing.weighted(r * (moved - mean_dot - normalised * projection), scale)
    y_dot = y_dot if scale_dot is None else y_dot + sharing.weighted(normalised, scale_dot)
    y_dot = y_dot if bias_dot is None else y_dot + sharing.along(bias_dot, y_dot)
    return y_dot.reshape(x.shape).astype(x.dtype), mean_dot, 2 * (r * spread) * projection, None


normalise_map.defvjp(_normalise_fwd, _normalise_bwd)
normalise_map.defjvp(_normalise_tangent, affine=(1, 2))


@entry.operation
def layer_norm(
    x: Float[ArrayLike, "*n"], scale: Float[ArrayLike, "*c"] | None = None,
    bias: Float[ArrayLike, "*c"] | None = None,
    *, axes: PerAxis = -1, epsilon: float = 1e-5, rule: Function = normalise_map,
) -> Float[Array, "*n"]:  # fmt: skip
    """y = γx̂ + β, x̂ = (x − μ)/√(σ² + ε): each example has its own μ and σ², over its last axes.

    Backward, with δ = ∂L/∂y: ∂x as `batch_norm`, with means over those axes; ∂γ = Σδx̂ and ∂β = Σδ,
    over the other axes.
    Source: Ba, Kiros and Hinton 2016; Quan, 7.4.

    Args:
        scale, bias: γ and β, of the shape of those axes, or None for 1 and 0.
        axes: the last axis, or the last ones, as (-3, -2, -1) for whole maps.
        epsilon: ε, added to the variance. PyTorch's default; Flax's is 1e-6.
    """
    op = "layer_norm"
    x = check.float_array(op, "x", x)
    axes = check.last_axes(op, x.shape, axes)
    x, scale, bias = check_parameters(op, x, scale, bias, x.shape[axes[0] :])
    sharing = Sharing(axes, check.positive(op, "epsilon", epsilon))
    return rule(x, scale, bias, sharing)[0]


@entry.operation
def group_norm(
    x: Float[ArrayLike, "n *hw c"], scale: Float[ArrayLike, " c"] | None = None,
    bias: Float[ArrayLike, " c"] | None = None,
    *, groups: int, epsilon: float = 1e-5, rule: Function = normalise_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y = γx̂ + β, x̂ = (x − μ)/√(σ² + ε): each group of channels of an example has its own μ, σ².

    Backward, with δ = ∂L/∂y: ∂x as `batch_norm`, with means over space and the channels of a group;
    ∂γ = Σδx̂ and ∂β = Σδ, over batch and space.
    Source: Wu and He 2018; Quan, 7.4.

    Args:
        scale, bias: as in `batch_norm`.
        groups: into how many groups of neighbours the channels fall; 1 is layer norm with a γ per
            channel, one group per channel is instance norm.
        epsilon: as in `layer_norm`.
    """
    op = "group_norm"
    x = check.float_array(op, "x", x)
    check.at_least(op, "x", x, 2, "batch, channels")
    groups = check.divisor(op, "groups", groups, x)
    x, scale, bias = check_parameters(op, x, scale, bias, x.shape[-1:])
    axes = (*range(1, x.ndim - 1), x.ndim)
    return rule(x, scale, bias, Sharing(axes, check.positive(op, "epsilon", epsilon), groups))[0]


@entry.operation
def instance_norm(
    x: Float[ArrayLike, "n *hw c"], scale: Float[ArrayLike, " c"] | None = None,
    bias: Float[ArrayLike, " c"] | None = None,
    *, epsilon: float = 1e-5, rule: Function = normalise_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y = γx̂ + β, x̂ = (x − μ)/√(σ² + ε): each map, a channel of an example, has its own μ and σ².

    Backward, with δ = ∂L/∂y: ∂x as `batch_norm`, with means over space; ∂γ = Σδx̂ and ∂β = Σδ, over
    batch and space.
    Source: Ulyanov, Vedaldi and Lempitsky 2016; Quan, 7.4.

    Args:
        scale, bias: as in `batch_norm`.
        epsilon: as in `layer_norm`.
    """
    op = "instance_norm"
    x = check.maps(op, "x", x)
    x, scale, bias = check_parameters(op, x, scale, bias, x.shape[-1:])
    sharing = Sharing(tuple(range(1, x.ndim - 1)), check.positive(op, "epsilon", epsilon))
    return rule(x, scale, bias, sharing)[0]


@partial(custom_rule, nondiff_argnums=(2,))
def rms_norm_map(
    x: Float[Array, "*n"], scale: Float[Array, "*c"] | None, sharing: Sharing
) -> tuple[Float[Array, "*n"], Float[Array, "*s"], Float[Array, "*s"]]:
    """A gradient s′ that reaches the mean square adds 2x s′/N to ∂x. As in `normalise_map`, x, its
    square and ε are those in a unit u, and the last result is 1/u.
    """
    wide = sharing.split(x)
    inverse, mean_square = mean_of_squares(wide, sharing.axes, sharing.epsilon, sharing.axis_name)
    r: Array = power(sharing.with_epsilon(mean_square, inverse), -0.5)
    y = sharing.weighted(wide * (r * inverse), scale)
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
    of_scale = delta * normalised
    projection = r * sharing.share(sharing.weighted_sum(of_scale, scale), g)
    slope = 2 * (r * spread) * sharing.share(delta_square, g) - projection
    delta_x = r_of_x * g + normalised * (slope * inverse)
    return delta_x.reshape(x.shape).astype(x.dtype), sharing.parameter_grad(of_scale, scale)


def _rms_norm_tangent(sharing, residuals, dots):
    """ẏ = γ•r·(ẋ − x̂·mean(ẋ x̂)) + γ̇x̂."""
    x, mean_square, inverse, scale = residuals
    x_dot, scale_dot = dots
    spread = sharing.with_epsilon(mean_square, inverse)
    r = power(spread, -0.5)
    normalised, moved = sharing.split(x) * (r * inverse), sharing.split(x_dot) * inverse
    projection = sharing.mean(moved * normalised)
    y_dot = sharing.weighted(r * (moved - normalised * projection), scale)
    y_dot = y_dot if scale_dot is None else y_dot + sharing.weighted(normalised, scale_dot)
    return y_dot.reshape(x.shape).astype(x.dtype), 2 * (r * spread) * projection, None


rms_norm_map.defvjp(_rms_norm_fwd, _rms_norm_bwd)
rms_norm_map.defjvp(_rms_norm_tangent, affine=(1,))


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
        axes: as in `layer_norm`.
        epsilon: ε, added to the mean square. Flax's default; PyTorch's depends on the dtype.
    """
    op = "rms_norm"
    x = check.float_array(op, "x", x)
    axes = check.last_axes(op, x.shape, axes)
    x, scale, _ = check_parameters(op, x, scale, None, x.shape[axes[0] :])
    return rule(x, scale, Sharing(axes, check.positive(op, "epsilon", epsilon)))[0]
