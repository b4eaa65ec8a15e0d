"""Padding by what is there already: reflected, repeated at the edge, or wrapped around.

Padding is linear: every place of the result shows one place of x. So its transpose adds every
gradient to the place that was shown: the middle stays, the edges are folded back.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Padding, parse_padding
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import by_batch
from jaxcnn.rules import Function, adjoints, custom_rule
from jaxcnn.sizes import arange, surely

MODES = ("zeros", "reflect", "replicate", "circular")  # as PyTorch calls them
Pads = tuple[tuple[int, int], ...]


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def pad_map(
    x: Float[Array, "n *hw c"], pads: Pads, mode: str, size: tuple[int, ...]
) -> Float[Array, "n *pq c"]:
    """y[i] = x[s(i)], s(i) the place shown at i."""
    if mode == "zeros":
        return lax.pad(x, jnp.zeros((), x.dtype), _config(pads))
    for axis, (pair, h) in enumerate(zip(pads, size, strict=True), start=1):
        if any(pair):
            x = jnp.take(x, _shown(h, pair, mode), axis)
    return x


@entry.operation
def pad(
    x: Float[ArrayLike, "n *hw c"], padding: Padding, mode: str = "zeros",
    *, rule: Function = pad_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = x[s(i)]: x with elements added around it in space; s(i) says which one is shown there.

    Backward, with δ = ∂L/∂y: ∂x[j] = Σ_{i: s(i) = j} δ[i]; what was added is folded back.
    Source: Quan, 7.2 (zero padding); the modes are those of PyTorch.

    Args:
        padding: an integer, or one entry per spatial axis, each an integer or a (low, high) pair;
            in elements.
        mode: "zeros"; "reflect" without repeating the edge; "replicate" the edge; "circular".

    Raises:
        ValueError: the mode is none of these, an amount is negative, or larger than the map allows.
    """
    op = "pad"
    x = check.maps(op, "x", x)
    mode = check.choice(op, "mode", mode, MODES)
    size = x.shape[1:-1]
    pads = parse_padding(op, padding, len(size), minimum=0)
    for axis, (pair, h) in enumerate(zip(pads, size, strict=True)):
        if not _fit(pair, h, mode):
            raise ValueError(
                f"{op}: padding must be at least 0 and for mode {mode!r} at most {_most(h, mode)} "
                f"on a map of {h}, got {pair} in spatial axis {axis}"
            )
    return rule(x, pads, mode, size)


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def fold_back_map(
    delta: Float[Array, "n *pq c"], pads: Pads, mode: str, size: tuple[int, ...]
) -> Float[Array, "n *hw c"]:
    """z[j] = Σ_{i: s(i) = j} δ[i]."""
    if mode == "zeros":
        return lax.pad(delta, jnp.zeros((), delta.dtype), _config(pads, -1))
    return _folded_back(delta, pads, mode, size)


adjoints(pad_map, fold_back_map)


@entry.operation
def fold_back(
    delta: Float[ArrayLike, "n *pq c"], padding: Padding, mode: str = "zeros",
    *, rule: Function = fold_back_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z[j] = Σ_{i: s(i) = j} δ[i]: the adjoint of `pad`.

    Backward, with ζ = ∂L/∂z: ∂δ[i] = ζ[s(i)], which is `pad`.
    Source: the transpose of `pad`.

    Args:
        delta: of the size of the padded maps.
        padding: what `pad` was given.
        mode: what `pad` was given.

    Raises:
        ValueError: the mode is none of pad's, or the padding does not fit the size.
    """
    op = "fold_back"
    delta = check.maps(op, "delta", delta)
    mode = check.choice(op, "mode", mode, MODES)
    pads = parse_padding(op, padding, delta.ndim - 2, minimum=0)
    size = tuple(p - low - high for p, (low, high) in zip(delta.shape[1:-1], pads, strict=True))
    for axis, ((low, high), h) in enumerate(zip(pads, size, strict=True)):
        if surely(lambda h=h: h < 1) or not _fit((low, high), h, mode):
            raise ValueError(
                f"{op}: padding must be at least 0 and fit into delta, "
                f"got {(low, high)} for {h + low + high} in spatial axis {axis}"
            )
    return rule(delta, pads, mode, size)


@by_batch
def _folded_back(delta: Array, pads: Pads, mode: str, size: tuple[int, ...]) -> Array:
    total = widen(delta)
    for axis, (pair, h) in enumerate(zip(pads, size, strict=True), start=1):
        if any(pair):
            total = jnp.moveaxis(total, axis, 0)
            shown = _shown(h, pair, mode)
            folded = jnp.zeros((h, *total.shape[1:]), total.dtype).at[shown].add(total)
            total = jnp.moveaxis(folded, 0, axis)
    return total.astype(delta.dtype)


def _shown(size: int, pair: tuple[int, int], mode: str) -> np.ndarray | Array:
    """Which place of the axis is shown at every place of the padded one."""
    place = arange(size + sum(pair)) - pair[0]
    if mode == "circular":
        return place % size
    if mode == "replicate":
        return place.clip(0, size - 1)
    return abs(size - 1 - abs(size - 1 - place))


def _fit(pair: tuple[int, int], size: int, mode: str) -> bool:
    """Whether the mode can show that much of an axis, whatever a symbol stands for."""
    return surely(lambda: max(pair) <= _most(size, mode))


def _most(size: int, mode: str) -> float:
    """The largest amount that the mode can show of an axis of that size."""
    return {"reflect": size - 1, "circular": size}.get(mode, float("inf"))


def _config(pads: Pads, sign: int = 1) -> list[tuple[int, int, int]]:
    return [(0, 0, 0), *((sign * low, sign * high, 0) for low, high in pads), (0, 0, 0)]
