"""Random shifts and turns: against plain loops, and SciPy's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from experiments.augment import random_shift, random_turn


def shifted_by_loop(image, dy, dx):
    """y[i, j] = x[i + dy, j + dx], zero outside."""
    h, w, _ = image.shape
    moved = np.zeros_like(image)
    for i in range(h):
        for j in range(w):
            if 0 <= i + dy < h and 0 <= j + dx < w:
                moved[i, j] = image[i + dy, j + dx]
    return moved


def test_random_shift_moves_each_image_by_its_own_whole_pixels():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (60, 5, 7, 2), np.uint8)
    moved = np.asarray(jax.jit(random_shift, static_argnums=2)(jax.random.key(1), images, 2))
    assert moved.dtype == np.uint8
    seen = set()
    for before, after in zip(images, moved, strict=True):
        fits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(shifted_by_loop(before, dy, dx), after)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 15  # of 25


def test_random_shift_of_zero_changes_nothing():
    images = jnp.ones((2, 4, 4, 1), jnp.uint8)
    np.testing.assert_array_equal(random_shift(jax.random.key(0), images, 0), images)
    with pytest.raises(ValueError, match="most must be zero or positive, got -1"):
        random_shift(jax.random.key(0), images, -1)


def test_random_turn_agrees_with_scipy():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 9, 12, 2))
    key, degrees, zoom = jax.random.key(2), 40.0, 0.3
    turned = np.asarray(random_turn(key, jnp.asarray(images), degrees, zoom))
    assert turned.dtype == np.float64

    draws = np.asarray(jax.random.uniform(key, (2, 4), jnp.float32, -1.0, 1.0), np.float64)
    centre = np.array([4.0, 5.5])
    for image, after, angle, factor in zip(images, turned, *draws, strict=True):
        cos, sin = np.cos(np.radians(degrees * angle)), np.sin(np.radians(degrees * angle))
        matrix = np.array([[cos, -sin], [sin, cos]]) / (1 + zoom * factor)
        for channel in range(2):
            # Two zeros all around, since SciPy does not interpolate across the border by itself.
            padded = np.pad(image[..., channel], 2)
            expected = ndimage.affine_transform(
                padded, matrix, centre + 2 - matrix @ (centre + 2), order=1
            )
            np.testing.assert_allclose(after[..., channel], expected[2:-2, 2:-2], atol=1e-10)


def test_random_turn_of_nothing_changes_nothing():
    images = jnp.arange(2 * 4 * 5, dtype=jnp.float32).reshape(2, 4, 5, 1)
    np.testing.assert_array_equal(random_turn(jax.random.key(0), images, 0.0, 0.0), images)


@pytest.mark.parametrize(("degrees", "zoom"), [(-1.0, 0.1), (10.0, 1.0), (10.0, -0.1)])
def test_random_turn_refuses_what_makes_no_sense(degrees, zoom):
    with pytest.raises(ValueError, match=f"got {degrees} and {zoom}"):
        random_turn(jax.random.key(0), jnp.ones((1, 3, 3, 1)), degrees, zoom)
