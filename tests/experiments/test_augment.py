"""Augmentations, batched: against loops over single images, and SciPy's interpolation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from experiments import augment
from experiments.augment import Ranges
from experiments.augment.affine import affine_maps

KEY = jax.random.key(2)


def some_images(n=4, h=9, w=12, c=2):
    return np.random.default_rng(0).uniform(1, 255, (n, h, w, c))


# Whole pixels


def window(image, dy, dx, mode, edge=3):
    """y[i, j] = x[i + dy, j + dx]; outside zero, or mirrored."""
    h, w, _ = image.shape
    edges = ((edge, edge), (edge, edge), (0, 0))
    padded = np.pad(image, edges) if mode == "zero" else np.pad(image, edges, mode="reflect")
    return padded[edge + dy : edge + dy + h, edge + dx : edge + dx + w]


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_random_shift_moves_each_image_by_its_own_whole_pixels(mode):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (60, 5, 7, 2), np.uint8)
    moved = np.asarray(jax.jit(augment.random_shift, static_argnums=(2, 3))(KEY, images, 2, mode))
    assert moved.dtype == np.uint8
    seen = set()
    for before, after in zip(images, moved, strict=True):
        fits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(window(before, dy, dx, mode), after)
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 15  # of 25


def test_random_shift_of_zero_changes_nothing():
    images = jnp.ones((2, 4, 4, 1), jnp.uint8)
    np.testing.assert_array_equal(augment.random_shift(KEY, images, 0), images)
    with pytest.raises(ValueError, match="most must be zero or positive, got -1"):
        augment.random_shift(KEY, images, -1)
    with pytest.raises(ValueError, match="got 'wrap'"):
        augment.random_shift(KEY, images, 1, "wrap")


@pytest.mark.parametrize("axis", [1, 2])
def test_flip_mirrors_the_chosen_images(axis):
    images = some_images()
    chosen = np.array([True, False, False, True])
    flipped = np.asarray(augment.flip_where(jnp.asarray(chosen), jnp.asarray(images), axis))
    for before, after, is_chosen in zip(images, flipped, chosen, strict=True):
        expected = np.flip(before, axis - 1) if is_chosen else before
        np.testing.assert_array_equal(after, expected)


def test_alternating_flip_shows_both_sides_in_any_two_epochs():
    images = jnp.asarray(np.arange(40 * 6, dtype=np.uint8).reshape(40, 2, 3, 1))
    numbers = jnp.arange(100, 140, dtype=jnp.int32)
    one, two, three = (
        np.asarray(augment.alternating_flip(KEY, images, numbers, epoch)) for epoch in (1, 2, 3)
    )
    np.testing.assert_array_equal(one, three)
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(one, two, strict=True)]
    assert all(mirrored)
    first = [np.array_equal(a, b) for a, b in zip(one, np.asarray(images), strict=True)]
    assert 8 < sum(first) < 32  # a coin decides
    # It goes by the image's number, not by its place in the batch.
    again = augment.alternating_flip(KEY, images[::-1], numbers[::-1], 1)
    np.testing.assert_array_equal(np.asarray(again)[::-1], one)


def test_cutout_blanks_one_square_inside_each_image():
    images = some_images(50)
    cut = np.asarray(augment.random_cutout(KEY, jnp.asarray(images), 4))
    corners = set()
    for before, after in zip(images, cut, strict=True):
        rows, columns = np.nonzero((after == 0).all(-1))
        top, left = rows.min(), columns.min()
        expected = before.copy()
        expected[top : top + 4, left : left + 4] = 0
        np.testing.assert_array_equal(after, expected)
        assert len(rows) == 16
        corners.add((top, left))
    assert len(corners) > 20  # of 54
    with pytest.raises(ValueError, match="got 10"):
        augment.random_cutout(KEY, jnp.asarray(images), 10)


# The affine warp


def by_scipy(image, matrix, move):
    """y(r) = x(c + A (r − c − t)), channel by channel."""
    h, w, channels = image.shape
    centre = np.array([(h - 1) / 2, (w - 1) / 2]) + 2
    out = np.empty_like(image)
    for channel in range(channels):
        # Two zeros all around, since SciPy does not interpolate across the border by itself.
        padded = np.pad(image[..., channel], 2)
        offset = centre - matrix @ (centre + move)
        out[..., channel] = ndimage.affine_transform(padded, matrix, offset, order=1)[2:-2, 2:-2]
    return out


def test_a_turn_with_zoom_agrees_with_scipy():
    images, degrees, zoom = some_images(), 40.0, 0.3
    ranges = Ranges(degrees, zoom, 1.0, 0.0, 1.0, 0.0)
    turned = np.asarray(augment.random_affine(KEY, jnp.asarray(images), ranges))
    assert turned.dtype == np.float64
    draws = np.asarray(jax.random.uniform(KEY, (2, 4), jnp.float32, -1.0, 1.0), np.float64)
    for image, after, angle, factor in zip(images, turned, *draws, strict=True):
        cos, sin = np.cos(np.radians(degrees * angle)), np.sin(np.radians(degrees * angle))
        matrix = np.array([[cos, -sin], [sin, cos]]) / (1 + zoom * factor)
        np.testing.assert_allclose(after, by_scipy(image, matrix, np.zeros(2)), atol=1e-10)


def test_the_whole_warp_is_the_inverse_of_what_is_said_to_happen():
    """A⁻¹ = R(angle) · shear · stretch · magnification, each within its range."""
    images, ranges = some_images(6), Ranges()
    warped = np.asarray(augment.random_affine(KEY, jnp.asarray(images), ranges))
    (a, b, c, d), moves = affine_maps(KEY, 6, ranges, jnp.float64)
    matrices = np.moveaxis(np.array([[a, -b], [c, d]]), -1, 0)
    assert moves is not None
    signs = set()
    for image, after, matrix, move in zip(images, warped, matrices, np.asarray(moves), strict=True):
        np.testing.assert_allclose(after, by_scipy(image, matrix, move), atol=1e-9)
        assert np.abs(move).max() <= 10
        forward = np.linalg.inv(matrix)
        # R · [[1, 0], [s, 1]] · diag(1/k, k) · m: columns of known lengths and angle.
        down, right = forward.T
        m = np.sqrt(np.linalg.det(forward))
        k = np.linalg.norm(right) / m
        s = (down @ right) / (right @ right) * k**2
        assert 1 / 1.6 <= m <= 1.6
        assert 1 / 1.3 <= k <= 1.3
        assert abs(s) <= np.tan(np.radians(20))
        signs.add((m > 1, k > 1, s > 0))
    assert len(signs) > 2


def test_a_translation_moves_by_parts_of_pixels():
    images = np.zeros((3, 9, 9, 1))
    images[:, 4, 4] = 1
    ranges = Ranges(0.0, 0.0, 1.0, 0.0, 1.0, 2.5)
    moved = np.asarray(augment.random_affine(KEY, jnp.asarray(images), ranges))[..., 0]
    _, moves = affine_maps(KEY, 3, ranges, jnp.float64)
    assert moves is not None
    places = np.stack([(moved * np.arange(9)[:, None]).sum((1, 2)), (moved @ np.arange(9)).sum(1)])
    np.testing.assert_allclose(places.T - 4, moves, atol=1e-12)


def test_in_half_precision_only_the_pixels_are_rounded():
    images = jnp.asarray(some_images(2, 64, 48, 1), jnp.bfloat16)
    ranges = Ranges(rotation=30.0, zoom=0.2, scale=1.0, shear=0.0, stretch=1.0, translation=3.0)
    half = augment.random_affine(KEY, images, ranges)
    assert half.dtype == jnp.bfloat16
    exact = augment.random_affine(KEY, images.astype(jnp.float32), ranges)
    assert np.abs(np.asarray(half, np.float32) - exact).max() <= 0.5  # of 255: half a last place


def test_ranges_of_nothing_change_nothing():
    images = jnp.arange(2 * 4 * 5, dtype=jnp.float32).reshape(2, 4, 5, 1)
    nothing = Ranges(0.0, 0.0, 1.0, 0.0, 1.0, 0.0)
    np.testing.assert_array_equal(augment.random_affine(KEY, images, nothing), images)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rotation": -1.0}, "got -1.0, 20.0, 0.0 and 10.0"),
        ({"zoom": 1.0}, "got 180.0, 20.0, 1.0"),
        ({"shear": 90.0}, "got 180.0, 90.0"),
        ({"scale": 0.5}, "got 0.5 and 1.3"),
        ({"stretch": 0.0}, "got 1.6 and 0.0"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        Ranges(**wrong)


# Mixing


def targets_of(n, k=5):
    return jax.nn.one_hot(jnp.arange(n) % k, k)


def test_mixup_blends_neighbours_and_their_targets_alike():
    images, targets = some_images(40), targets_of(40)
    mixed, blended = augment.mixup(KEY, jnp.asarray(images), targets, 0.4)
    shares = []
    for i in range(40):
        j = (i + 1) % 40
        share = float(blended[i, i % 5])
        expected = share * images[i] + (1 - share) * images[j]
        np.testing.assert_allclose(mixed[i], expected, rtol=1e-12)
        np.testing.assert_allclose(blended[i, j % 5], 1 - share, rtol=1e-12)
        shares.append(share)
    assert min(shares) < 0.1
    assert max(shares) > 0.9


def test_cutmix_pastes_a_rectangle_and_counts_its_pixels():
    images, targets = some_images(40), targets_of(40)
    mixed, blended = map(np.asarray, augment.cutmix(KEY, jnp.asarray(images), targets, 1.0))
    parts = []
    for i in range(40):
        j = (i + 1) % 40
        other = (mixed[i] == images[j]).all(-1)
        rows, columns = np.nonzero(other)
        expected = images[i].copy()
        if len(rows):
            box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            expected[box] = images[j][box]
        np.testing.assert_array_equal(mixed[i], expected)
        part = other.mean()
        np.testing.assert_allclose(blended[i, [i % 5, j % 5]], [1 - part, part], rtol=1e-6)
        parts.append(part)
    assert np.ptp(parts) > 0.5


@pytest.mark.parametrize("mix", [augment.mixup, augment.cutmix])
def test_mixing_needs_a_positive_alpha(mix):
    with pytest.raises(ValueError, match="alpha must be positive, got 0"):
        mix(KEY, jnp.ones((2, 3, 3, 1)), jnp.ones((2, 2)), 0.0)
