"""Dropout, of elements or of maps: a random gate, scaled so that the expectation stays."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Key

from jaxcnn import check
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.sharding import drawn_like
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, constant, custom_rule


def dropping(f: custom_rule, draw: Function, drop: Function) -> None:
    """Let f drop elements by a mask: y = drop(x, mask, …), mask = draw(x, key, …), linear in x.

    Backward ∂x = drop(δ, mask, …), forward ẏ = drop(ẋ, mask, …), with the same mask.
    """

    def fwd(x, key, *settings):
        mask = draw(x, key, *settings)
        return drop(x, mask, *settings), mask

    f.defvjp(fwd, lambda *args: (drop(args[-1], args[-2], *args[:-2]), None))
    f.defjvp(lambda *args: drop(args[-1][0], args[-2], *args[:-2]))
    f.kind, f.linear = "slope", (0,)


def _drop(x: Array, mask: Array, rate: float) -> Array:
    scale = 1 / (1 - rate) if rate < 1 else 0.0  # which may overflow a half
    wide = widen(gate_map(x, jnp.broadcast_to(mask, x.shape)))
    return narrow(wide * scale, x.dtype)


def _mask(x: Array, key: Array, rate: float, shape: tuple[int, ...] | None = None) -> Array:
    return drawn_like(x, lambda key, shape: dropout_mask(key, rate, shape), key, shape)


def _mask_of_maps(x: Array, key: Array, rate: float) -> Array:
    return _mask(x, key, rate, (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1]))


@partial(custom_rule, nondiff_argnums=(2,))
def dropout_map(x: Float[Array, "*n"], key: Key[Array, ""], rate: float) -> Float[Array, "*n"]:
    return _drop(x, _mask(x, key, rate), rate)


dropping(dropout_map, _mask, _drop)


def dropout(
    x: Float[ArrayLike, "*n"], key: Key[ArrayLike, ""], rate: float, *, rule: Function = dropout_map
) -> Float[Array, "*n"]:
    """y = x • mask / (1 − p), the mask one with probability 1 − p at each element by itself.

    Backward, with δ = ∂L/∂y: ∂x = δ • mask / (1 − p), with the same mask, drawn from the same key.
    Source: Quan, "Learning magic in AlexNet"; Srivastava et al. 2014.

    Args:
        key: a key of jax.random; the same key gives the same mask.
        rate: the probability p that an element is dropped, in [0, 1]; at 1 everything is.
    """
    x = check.float_array("dropout", "x", x)
    rate = check.probability("dropout", "rate", rate)
    check.key("dropout", "key", key)
    return check.rule("dropout", rule)(x, key, rate)


@partial(custom_rule, nondiff_argnums=(2,))
def spatial_dropout_map(
    x: Float[Array, "n *hw c"], key: Key[Array, ""], rate: float
) -> Float[Array, "n *hw c"]:
    return _drop(x, _mask_of_maps(x, key, rate), rate)


dropping(spatial_dropout_map, _mask_of_maps, _drop)


def spatial_dropout(
    x: Float[ArrayLike, "n *hw c"], key: Key[ArrayLike, ""], rate: float,
    *, rule: Function = spatial_dropout_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y = x • mask / (1 − p), the mask one with probability 1 − p for each map of each example.

    Backward, with δ = ∂L/∂y: ∂x = δ • mask / (1 − p), with the same mask, drawn from the same key.
    Source: Tompson et al. 2015, section 3.2: neighbours in a map are alike, so that a single one
    dropped is no loss, and all go together.

    Args:
        key: a key of jax.random; the same key gives the same mask.
        rate: the probability p that a map is dropped, in [0, 1]; at 1 everything is.
    """
    x = check.maps("spatial_dropout", "x", x)
    rate = check.probability("spatial_dropout", "rate", rate)
    check.key("spatial_dropout", "key", key)
    return check.rule("spatial_dropout", rule)(x, key, rate)


@partial(custom_rule, nondiff_argnums=(1, 2))
def dropout_mask(key: Key[Array, ""], rate: float, shape: tuple[int, ...]) -> Bool[Array, "*n"]:
    """mask = true with probability 1 − p, independently at each element; it has no gradient."""
    return jax.random.bernoulli(key, 1 - rate, shape)


constant(dropout_mask)
