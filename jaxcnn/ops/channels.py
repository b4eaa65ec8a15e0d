"""Maps on the channels alone: add channels of zeros, leave some out, multiply each by a factor."""

from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.rules import Function, adjoints, custom_rule, product
from jaxcnn.sizes import surely


@partial(custom_rule, nondiff_argnums=(1, 2))
def pad_channels_map(x: Float[Array, "*n c"], before: int, after: int) -> Float[Array, "*n d"]:
    return lax.pad(x, jnp.zeros((), x.dtype), _config(x, before, after))


@entry.operation
def pad_channels(
    x: Float[ArrayLike, "*n c"], before: int = 0, after: int = 0,
    *, rule: Function = pad_channels_map,
) -> Float[Array, "*n d"]:  # fmt: skip
    """y = [0, x, 0]: channels of zeros before and after those of x.

    Backward, with δ = ∂L/∂y: ∂x = δ without the channels that were added, which is `crop_channels`.
    Source: He et al. 2015, "Deep Residual Learning", 3.3, option (A) of the shortcuts.

    Args:
        before: how many channels to add before the first one.
        after: how many channels to add after the last one.
    """
    x = _check_channels("pad_channels", x)
    before = check.integer("pad_channels", "before", before, minimum=0)
    return rule(x, before, check.integer("pad_channels", "after", after, minimum=0))


@partial(custom_rule, nondiff_argnums=(1, 2))
def crop_channels_map(x: Float[Array, "*n d"], before: int, after: int) -> Float[Array, "*n c"]:
    return lax.pad(x, jnp.zeros((), x.dtype), _config(x, -before, -after))


adjoints(pad_channels_map, crop_channels_map)


@entry.operation
def crop_channels(
    x: Float[ArrayLike, "*n d"], before: int = 0, after: int = 0,
    *, rule: Function = crop_channels_map,
) -> Float[Array, "*n c"]:  # fmt: skip
    """y = x without some of its first and of its last channels.

    Backward, with δ = ∂L/∂y: ∂x = [0, δ, 0], which is `pad_channels`.
    Source: the transpose of `pad_channels`.

    Args:
        before: how many of the first channels to leave out.
        after: how many of the last channels to leave out.

    Raises:
        ValueError: no channel would be left.
    """
    x = _check_channels("crop_channels", x)
    before = check.integer("crop_channels", "before", before, minimum=0)
    after = check.integer("crop_channels", "after", after, minimum=0)
    if not surely(lambda: before + after < x.shape[-1]):
        raise ValueError(
            f"crop_channels: before and after must leave a channel of x, "
            f"got {before} and {after} for {x.shape[-1]}"
        )
    return rule(x, before, after)


@custom_rule
def scale_channels_map(
    x: Float[Array, "*n c"], scale: Float[Array, " c"], bias: Float[Array, " c"] | None
) -> Float[Array, "*n c"]:
    y = widen(x)
    y = y * jnp.broadcast_to(widen(scale), y.shape)
    return (y if bias is None else y + jnp.broadcast_to(widen(bias), y.shape)).astype(x.dtype)


def _scale_channels_bwd(residuals, delta):
    x, scale, bias = residuals
    batch = range(x.ndim - 1)
    delta_scale = (widen(delta) * widen(x)).sum(batch).astype(scale.dtype)
    delta_bias = None if bias is None else widen(delta).sum(batch).astype(bias.dtype)
    return scale_channels_map(delta, scale, None), delta_scale, delta_bias


product(scale_channels_map, _scale_channels_bwd, bias=True)


@entry.operation
def scale_channels(
    x: Float[ArrayLike, "*n c"], scale: Float[ArrayLike, " c"],
    bias: Float[ArrayLike, " c"] | None = None,
    *, rule: Function = scale_channels_map,
) -> Float[Array, "*n c"]:  # fmt: skip
    """y = γx + β, with one γ and one β for each channel.

    Backward, with δ = ∂L/∂y: ∂x = γδ, ∂γ = Σδx, ∂β = Σδ, sums over batch and space.
    Source: LeCun et al. 1998, section II B: the coefficient and the bias of a subsampling layer.

    Args:
        scale: γ, one per channel.
    """
    op = "scale_channels"
    x = _check_channels(op, x)
    scale = check.float_array(op, "scale", scale, like=("x", x))
    check.shape(op, "scale", scale, x.shape[-1:])
    bias = check.parameter(op, "bias", bias, ("x", x), x.shape[-1:])
    return rule(*vary_together(x, scale, bias))


def _config(x: Array, before: int, after: int) -> list[tuple[int, int, int]]:
    return [(0, 0, 0)] * (x.ndim - 1) + [(before, after, 0)]


def _check_channels(op: str, x: ArrayLike) -> Array:
    array = check.float_array(op, "x", x)
    check.channels(op, "x", array)
    return array
