"""Digits at random places and scales among fragments of other digits, drawn on the device.

Every scene is a function of its key and two batches of images, so that each epoch sees new ones.
Coordinates are in pixels from the canvas's upper left corner: pixel (i, j) covers [i, i + 1].
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Key, UInt8

SIDE = 48
SCALES = (0.75, 1.4)
FRAGMENTS = 4
FRAGMENT = 8
NOISE = 0.1
INK = 64  # of 255: what is darker does not belong to a digit's box


class Scenes(NamedTuple):
    """Canvases with pixels around [0, 1], and each digit's box: x0, y0, x1, y1."""

    canvas: Float[Array, "n h w 1"]
    box: Float[Array, "n 4"]


@jax.jit
def draw_scenes(
    key: Key[Array, ""], digits: UInt8[Array, "n 28 28 1"], others: UInt8[Array, "n 28 28 1"]
) -> Scenes:
    """Each digit, scaled, somewhere on a canvas, whole; fragments of the others all over it."""
    n = digits.shape[0]
    place_key, clutter_key, noise_key = jax.random.split(key, 3)
    pixels = digits[..., 0].astype(jnp.float32) / 255
    uniform = jax.random.uniform(place_key, (3, n), jnp.float32)
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * uniform[0]
    inked = digits[..., 0] > INK
    first_row, last_row = _extent(inked.any(2))
    first_column, last_column = _extent(inked.any(1))
    y0 = uniform[1] * (SIDE - scale * (last_row - first_row))
    x0 = uniform[2] * (SIDE - scale * (last_column - first_column))
    box = jnp.stack([x0, y0, x0 + scale * (last_column - first_column),
                     y0 + scale * (last_row - first_row)], -1)  # fmt: skip
    rows = _resampling(y0, first_row, scale)
    columns = _resampling(x0, first_column, scale)
    canvas = jnp.einsum("nik,nkl,njl->nij", rows, pixels, columns)
    clutter = jax.vmap(_clutter)(jax.random.split(clutter_key, n), others[..., 0])
    canvas = jnp.maximum(canvas, clutter)
    canvas = canvas + NOISE * jax.random.normal(noise_key, canvas.shape, jnp.float32)
    return Scenes(canvas[..., None], box)


def _extent(inked: Bool[Array, "n 28"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Where the ink begins and ends, in the digit's own pixels."""
    first = jnp.argmax(inked, 1).astype(jnp.float32)
    last = inked.shape[1] - jnp.argmax(inked[:, ::-1], 1).astype(jnp.float32)
    return first, last


def _resampling(
    start: Float[Array, " n"], first: Float[Array, " n"], scale: Float[Array, " n"]
) -> Float[Array, "n side 28"]:
    """Bilinear weights of a digit's pixels for a row of the canvas: hats of width one."""
    centres = jnp.arange(SIDE, dtype=jnp.float32)[None, :] + 0.5
    source = (centres - start[:, None]) / scale[:, None] + first[:, None] - 0.5
    pixels = jnp.arange(28, dtype=jnp.float32)[None, None, :]
    return jnp.maximum(0, 1 - jnp.abs(source[:, :, None] - pixels))


def _clutter(key: Key[Array, ""], image: UInt8[Array, "28 28"]) -> Float[Array, "side side"]:
    """Squares cut out of the image's middle, thrown on an empty canvas."""
    draw = partial(jax.random.randint, dtype=jnp.int32)
    cut_key, place_key = jax.random.split(key)
    cuts = draw(cut_key, (FRAGMENTS, 2), 5, 28 - 5 - FRAGMENT + 1)
    places = draw(place_key, (FRAGMENTS, 2), 1 - FRAGMENT // 2, SIDE - FRAGMENT // 2)
    offsets = jnp.arange(SIDE, dtype=jnp.int32)[None, None] - places.T[..., None]
    inside = (offsets >= 0) & (offsets < FRAGMENT)

    def one(cut, rows_inside, columns_inside, rows, columns):
        piece = image[(cut[0] + rows)[:, None], (cut[1] + columns)[None, :]]
        return jnp.where(rows_inside[:, None] & columns_inside[None, :], piece, jnp.uint8(0))

    clipped = jnp.clip(offsets, 0, FRAGMENT - 1)
    pieces = jax.vmap(one)(cuts, inside[0], inside[1], clipped[0], clipped[1])
    return pieces.max(0).astype(jnp.float32) / 255


def corners_of(box: Float[Array, "n 4"]) -> Float[Array, "n 8"]:
    """x and y of the upper left, upper right, lower right and lower left corner."""
    x0, y0, x1, y1 = jnp.moveaxis(box, -1, 0)
    return jnp.stack([x0, y0, x1, y0, x1, y1, x0, y1], -1)


def box_of(corners: Float[np.ndarray, "n 8"]) -> Float[np.ndarray, "n 4"]:
    """The box of four corners that need not be one: each side is where its two corners agree."""
    x, y = corners[:, 0::2], corners[:, 1::2]
    sides = (x[:, [0, 3]], y[:, [0, 1]], x[:, [1, 2]], y[:, [2, 3]])
    return np.stack([side.mean(1) for side in sides], -1)


def intersection_over_union(
    one: Float[np.ndarray, "*n 4"], other: Float[np.ndarray, "*n 4"]
) -> Float[np.ndarray, "*n"]:
    """Area of the intersection of two boxes ÷ area of their union; 0 where they do not meet.

    Axes before the last are broadcast against each other.
    """
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    both = np.maximum(high - low, 0).prod(-1)
    areas = [np.maximum(box[..., 2:] - box[..., :2], 0).prod(-1) for box in (one, other)]
    return both / np.maximum(areas[0] + areas[1] - both, 1e-9)
