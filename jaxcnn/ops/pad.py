"""Padding by what is there already: reflected, repeated at the edge, or wrapped around.

Padding is linear: every place of the result shows one place of x. So its transpose adds every
gradient to the place that was shown: the middle stays, the edges are folded back.
"""

from functools import partial
from typing import Any

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
from jaxcnn.sizes import arange, known, surely

MODES = ("zeros", "reflect", "replicate", "circular")  # as PyTorch calls them
Pads = tuple[tuple[int, int], ...]


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def pad_map(
    x: Float[Array, "n *hw c"], pads: Pads, mode: str, size: tuple[int, ...]
) -> Float[Array, "n *pq c"]:
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
        mode: "zeros"; "reflect" without repeating the edge; "replicate" the edge; "circular". The
            second shows at most h − 1 elements of an axis of h, the last one h.
    """
    x = check.maps("pad", "x", x)
    return rule(x, *_parse("pad", padding, mode, x.shape[1:-1]))


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def fold_back_map(
    delta: Float[Array, "n *pq c"], pads: Pads, mode: str, size: tuple[int, ...]
) -> Float[Array, "n *hw c"]:
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
        padding, mode: what `pad` was given.
    """
    delta = check.maps("fold_back", "delta", delta)
    return rule(delta, *_parse("fold_back", padding, mode, delta.shape[1:-1], padded=True))


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


def _parse(
    op: str, padding: Any, mode: Any, size: tuple[int, ...], *, padded: bool = False
) -> tuple[Pads, str, tuple[int, ...]]:
    """The amounts, the mode, and the size of the map, whose size or, if padded, result is given."""
    mode = check.choice(op, "mode", mode, MODES)
    pads = parse_padding(op, padding, len(size), minimum=0)
    if padded:
        size = tuple(p - low - high for p, (low, high) in zip(size, pads, strict=True))
    for axis, (pair, h) in enumerate(zip(pads, size, strict=True)):
        if not known(h) and not surely(lambda h=h: h >= 0):
            raise ValueError(
                f"{op}: padding must leave something of the map, got {pair} for {h + sum(pair)} in "
                f"spatial axis {axis}: give jax.export.symbolic_shape a constraint that shows it"
            )
        if surely(lambda h=h: h < 1):
            raise ValueError(
                f"{op}: padding must leave something of the map, "
                f"got {pair} for {h + sum(pair)} in spatial axis {axis}"
            )
        most = {"reflect": h - 1, "circular": h}.get(mode)
        # Nor if it is not known.
        if most is not None and not surely(lambda p=pair, most=most: max(p) <= most):
            raise ValueError(
                f"{op}: padding must be at most {most} for mode {mode!r} on a map of {h}, "
                f"got {pair} in spatial axis {axis}"
            )
    return pads, mode, size


def _config(pads: Pads, sign: int = 1) -> list[tuple[int, int, int]]:
    return [(0, 0, 0), *((sign * low, sign * high, 0) for low, high in pads), (0, 0, 0)]
