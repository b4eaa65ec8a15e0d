"""Random changes of a batch of images, jittable: they run on the device inside a scanned epoch."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Key, Shaped


def random_shift(
    key: Key[Array, ""], images: Shaped[Array, "n h w c"], most: int
) -> Shaped[Array, "n h w c"]:
    """Each image moved by its own (dy, dx), uniform on the integers −most … most; zeros move in.

    Raises:
        ValueError: most is negative.
    """
    if most < 0:
        raise ValueError(f"most must be zero or positive, got {most}")
    if most == 0:
        return images
    n, h, w, c = images.shape
    padded = jnp.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    # An explicit dtype draws the same shifts whether or not JAX's 64-bit mode is on.
    corners = jax.random.randint(key, (n, 2), 0, 2 * most + 1, dtype=jnp.int32)

    def window(image, corner):
        return lax.dynamic_slice(image, (corner[0], corner[1], jnp.int32(0)), (h, w, c))

    return jax.vmap(window)(padded, corners)


def random_turn(
    key: Key[Array, ""], images: Float[Array, "n h w c"], degrees: float, zoom: float
) -> Float[Array, "n h w c"]:
    """Each image turned and magnified about its centre, by its own angle and factor.

    The angle is uniform in ±degrees, the factor in 1 ± zoom. y(r) = x(c + A (r − c)) A the
    rotation divided by the factor, bilinear between pixels, zero outside.

    Raises:
        ValueError: degrees is negative, or zoom not in [0, 1).
    """
    if degrees < 0 or not 0 <= zoom < 1:
        raise ValueError(
            f"degrees must be zero or positive and zoom in [0, 1), got {degrees} and {zoom}"
        )
    n, h, w, _ = images.shape
    dtype = images.dtype
    draws = jax.random.uniform(key, (2, n), jnp.float32, -1.0, 1.0).astype(dtype)
    angle, factor = draws[0] * math.radians(degrees), 1 + draws[1] * zoom
    cos, sin = (jnp.reshape(f(angle) / factor, (n, 1, 1)) for f in (jnp.cos, jnp.sin))
    i = jnp.reshape(jnp.arange(h, dtype=dtype) - (h - 1) / 2, (1, h, 1))
    j = jnp.reshape(jnp.arange(w, dtype=dtype) - (w - 1) / 2, (1, 1, w))
    rows = cos * i - sin * j + (h - 1) / 2
    columns = sin * i + cos * j + (w - 1) / 2
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
