"""DropBlock: a gate that closes over squares, scaled by what it leaves open."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Key

from jaxcnn import check
from jaxcnn.geometry import PerAxis
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.sharding import drawn_like
from jaxcnn.ops.dropout import dropping
from jaxcnn.ops.elementary import reciprocal
from jaxcnn.ops.gate import gate_map
from jaxcnn.rules import Function, constant, custom_rule
from jaxcnn.sizes import surely


def _drop(x: Array, mask: Array, *_: Any) -> Array:
    wide = widen(gate_map(x, mask))
    left = mask.astype(jnp.int32).sum().astype(wide.dtype)
    left = jnp.where(left == 0, jnp.ones_like(left), left)  # nothing is left: 0, not 0 · ∞
    return narrow(wide * (mask.size * reciprocal(left)), x.dtype)


def _mask(x: Array, key: Array, rate: float, block: tuple[int, ...]) -> Array:
    return drawn_like(x, lambda key, shape: drop_block_mask(key, rate, block, shape), key)


@partial(custom_rule, nondiff_argnums=(2, 3))
def drop_block_map(
    x: Float[Array, "n *hw c"], key: Key[Array, ""], rate: float, block: tuple[int, ...]
) -> Float[Array, "n *hw c"]:
    return _drop(x, _mask(x, key, rate, block))


dropping(drop_block_map, _mask, _drop)


def drop_block(
    x: Float[ArrayLike, "n *hw c"], key: Key[ArrayLike, ""], rate: float, block: PerAxis,
    *, rule: Function = drop_block_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y = x • M count(M) / Σ M, M zero on squares at random places of every map, else one.

    Backward, with δ = ∂L/∂y: ∂x = δ • M count(M) / Σ M, with the same M, drawn from the same key.
    Source: Ghiasi, Lin, Le 2018, "DropBlock", algorithm 1 and equation 1, a mask for each channel.

    Args:
        key: a key of jax.random; the same key gives the same squares.
        rate: roughly the share of the elements that is dropped, in [0, 1]; less where squares
            overlap, so that even 1 does not drop all. The rest is scaled by its true share of the
            batch.
        block: size of the square, in elements; one for all spatial axes or one per axis.

    Raises:
        ValueError: the block is larger than the map.
    """
    op = "drop_block"
    x = check.maps(op, "x", x)
    rate = check.probability(op, "rate", rate)
    block = check.per_axis(op, "block", block, x.ndim - 2)
    if any(surely(lambda b=b, h=h: b > h) for b, h in zip(block, x.shape[1:-1], strict=True)):
        raise ValueError(
            f"{op}: block must not be larger than the map, got {block} on a map of {x.shape[1:-1]}"
        )
    check.key(op, "key", key)
    return check.rule(op, rule)(x, key, rate, block)


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def drop_block_mask(
    key: Key[Array, ""], rate: float, block: tuple[int, ...], shape: tuple[int, ...]
) -> Bool[Array, "n *hw c"]:
    """M = false on blocks at random places wholly inside the map, else true; it has no gradient.

    A place starts a block with probability γ = p · Π h / (b (h − b + 1)).
    """
    size = shape[1:-1]
    places = tuple(h - b + 1 for h, b in zip(size, block, strict=True))
    gamma = rate * math.prod(h / (b * m) for h, b, m in zip(size, block, places, strict=True))
    starts = jax.random.bernoulli(key, jnp.minimum(gamma, 1.0), (shape[0], *places, shape[-1]))
    pads = ((0, 0), *((b - 1, b - 1) for b in block), (0, 0))
    window, stride = (1, *block, 1), (1,) * len(shape)
    covered = lax.reduce_window(
        starts.astype(jnp.uint8), jnp.uint8(0), lax.max, window, stride, pads
    )
    return covered == 0


constant(drop_block_mask)
