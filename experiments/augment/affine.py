"""One affine warp for whatever turns, scales, shears, stretches and moves an image; and its parts.

The ranges that are the defaults of `Ranges` are those of the lectures: any angle, ±10 pixels,
1/1.6 to 1.6, ±20°, 1/1.3 to 1.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from jaxcnn.lowering.precision import widen


@dataclass(frozen=True)
class Ranges:
    """How far each image is changed at most; every image draws amounts of its own.

    rotation: by an angle uniform in ± so many degrees. zoom: magnified by a factor uniform in
    1 ± zoom. scale: magnified by a factor in [1/scale, scale], uniform in its logarithm. shear: by
    an angle uniform in ± so many degrees, columns moving along rows. stretch: columns stretched by
    a factor in [1/stretch, stretch], uniform in its logarithm, and rows shrunk by it. translation:
    moved along each axis by a distance uniform in ± so many pixels, parts of them included.
    """

    rotation: float = 180.0
    zoom: float = 0.0
    scale: float = 1.6
    shear: float = 20.0
    stretch: float = 1.3
    translation: float = 10.0

    def __post_init__(self):
        angles_fit = self.rotation >= 0 and 0 <= self.shear < 90
        if not (angles_fit and 0 <= self.zoom < 1 and self.translation >= 0):
            raise ValueError(
                f"rotation, shear, zoom and translation must be at least 0, zoom below 1 and shear "
                f"below 90, got {self.rotation}, {self.shear}, {self.zoom} and {self.translation}"
            )
        if not (self.scale >= 1 and self.stretch >= 1):
            raise ValueError(
                f"scale and stretch must be at least 1, got {self.scale} and {self.stretch}"
            )

    @property
    def nothing(self) -> bool:
        """Whether no image is changed at all."""
        return self == Ranges(0.0, 0.0, 1.0, 0.0, 1.0, 0.0)


class Matrix(NamedTuple):
    """A = [[a, −b], [c, d]] of n images; a turn has a = d and b = c."""

    a: Float[Array, " n"]
    b: Float[Array, " n"]
    c: Float[Array, " n"]
    d: Float[Array, " n"]


def random_affine(
    key: Key[Array, ""], images: Float[Array, "n h w c"], ranges: Ranges
) -> Float[Array, "n h w c"]:
    """y(r) = x(c + A (r − c) − A t), c the centre: one bilinear warp, zero outside.

    A⁻¹ = R(angle) · shear · stretch · magnification is what happens to the image, which then moves
    by t.
    """
    if ranges.nothing:
        return images
    # Places in float32 at least: a half would round them to eighths of a pixel, or to whole ones.
    wide = widen(images)
    matrix, moves = affine_maps(key, images.shape[0], ranges, wide.dtype)
    return warp(wide, matrix, moves).astype(images.dtype)


def affine_maps(
    key: Key[Array, ""], n: int, ranges: Ranges, dtype
) -> tuple[Matrix, Float[Array, "n 2"] | None]:
    """A and t of n images: `random_affine` without the images. None where nothing moves."""
    draws = jax.random.uniform(key, (2, n), jnp.float32, -1.0, 1.0).astype(dtype)
    angle, factor = draws[0] * math.radians(ranges.rotation), 1 + draws[1] * ranges.zoom
    cos, sin = jnp.cos(angle) / factor, jnp.sin(angle) / factor
    matrix = Matrix(cos, sin, sin, cos)
    others = ranges.shear, ranges.stretch - 1, ranges.scale - 1, ranges.translation
    if any(others):
        # Drawn apart, so that turns and zooms do not depend on whether anything else is asked for.
        more = jax.random.uniform(jax.random.fold_in(key, 1), (5, n), jnp.float32, -1.0, 1.0)
        more = more.astype(dtype)
        slope = jnp.tan(more[0] * math.radians(ranges.shear))
        stretch = jnp.exp(more[1] * math.log(ranges.stretch))
        scale = jnp.exp(more[2] * math.log(ranges.scale))
        # (R · [[1, 0], [slope, 1]] · diag(1/stretch, stretch) · scale)⁻¹, written out.
        down, right = stretch / scale, 1 / (stretch * scale)
        back = -slope * right
        matrix = Matrix(down * cos, down * sin, back * cos + right * sin, right * cos - back * sin)
        if ranges.translation > 0:
            return matrix, more[3:].T * ranges.translation
    return matrix, None


def warp(
    images: Float[Array, "n h w c"], matrix: Matrix, moves: Float[Array, "n 2"] | None = None
) -> Float[Array, "n h w c"]:
    """y(r) = x(c + A (r − c − t)), bilinear between pixels, zero outside."""
    n, h, w, _ = images.shape
    dtype = images.dtype
    i = jnp.reshape(jnp.arange(h, dtype=dtype) - (h - 1) / 2, (1, h, 1))
    j = jnp.reshape(jnp.arange(w, dtype=dtype) - (w - 1) / 2, (1, 1, w))
    if moves is not None:
        i = i - jnp.reshape(moves[:, 0], (n, 1, 1))
        j = j - jnp.reshape(moves[:, 1], (n, 1, 1))
    a, b, c, d = (jnp.reshape(entry, (n, 1, 1)) for entry in matrix)
    rows = a * i - b * j + (h - 1) / 2
    columns = c * i + d * j + (w - 1) / 2
    return _bilinear(images, rows, columns)


def _bilinear(images, rows, columns):
    """x at (rows, columns), each n h w and real; zero outside."""
    n, h, w, _ = images.shape
    # An edge of one zero on each side stands for all that is outside.
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = jnp.clip(rows, -1, h) + 1, jnp.clip(columns, -1, w) + 1
    top = jnp.minimum(jnp.floor(rows), h)
    left = jnp.minimum(jnp.floor(columns), w)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    n_index = jnp.arange(n, dtype=jnp.int32)[:, None, None]

    def corner(dy, dx):
        return padded[n_index, top + dy, left + dx]

    upper = (1 - right) * corner(0, 0) + right * corner(0, 1)
    lower = (1 - right) * corner(1, 0) + right * corner(1, 1)
    return (1 - down) * upper + down * lower
