"""Maxout: the largest of a few pieces; once the choice is fixed, a selection of channels."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Integer

from jaxcnn import check, entry
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, constant, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def maxout_map(x: Float[Array, "*n dk"], pieces: int) -> Float[Array, "*n d"]:
    return _split(x, pieces).max(-1)


def _maxout_fwd(x, pieces):
    return maxout_map(x, pieces), _chosen(x, pieces)


def _maxout_bwd(pieces, chosen, delta):
    spread = gate_map(jnp.broadcast_to(delta[..., None], chosen.shape), chosen)
    return (spread.reshape(*delta.shape[:-1], delta.shape[-1] * pieces),)


def _maxout_tangent(pieces, chosen, dots):
    """ẏ_j = ẋ_jk for the first maximal piece k of feature j."""
    return gate_map(_split(dots[0], pieces), chosen).sum(-1)


maxout_map.defvjp(_maxout_fwd, _maxout_bwd)
maxout_map.defjvp(_maxout_tangent)


@entry.operation
def maxout(
    x: Float[ArrayLike, "*n dk"], pieces: int, *, rule: Function = maxout_map
) -> Float[Array, "*n d"]:
    """y_j = max_k x_jk: the channels fall into features, each of `pieces` neighbours.

    Backward, with δ = ∂L/∂y: ∂x_jk = δ_j for the first maximal piece k of feature j, else 0.
    Source: Goodfellow et al. 2013, "Maxout Networks", section 3.

    Args:
        x: channels last; channel j · pieces + k is piece k of feature j.
        pieces: how many pieces a feature has; it divides the channels.
    """
    x = check.float_array("maxout", "x", x)
    return rule(x, check.divisor("maxout", "pieces", pieces, x))


@partial(custom_rule, nondiff_argnums=(1,))
def maxout_choice(x: Float[Array, "*n dk"], pieces: int) -> Integer[Array, "*n d"]:
    """k = argmax_k x_jk, the first of equals; a NaN is the maximum. It has no gradient."""
    return jnp.argmax(_split(x, pieces), -1).astype(jnp.uint8 if pieces <= 256 else jnp.int32)


constant(maxout_choice)


def _chosen(x: Array, pieces: int) -> Array:
    """Whether each piece is the first maximum of its feature."""
    choice = maxout_choice(x, pieces)
    shape = (*choice.shape, pieces)
    places = jax.lax.broadcasted_iota(choice.dtype, shape, choice.ndim)
    return places == jnp.broadcast_to(choice[..., None], shape)


def _split(x: Array, pieces: int) -> Array:
    return x.reshape(*x.shape[:-1], x.shape[-1] // pieces, pieces)
