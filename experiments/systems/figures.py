"""Articulated figures of eleven joints, rendered on the device, with noise and stray limbs.

A figure is a tree: pelvis → neck → head, neck → elbows → hands, pelvis → knees → feet. Angles are
drawn, lengths are fixed fractions of the figure's size; every limb is a capsule around a segment.
Coordinates (x, y) are in pixels from the canvas's upper left corner.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

SIDE = 48
JOINTS = (
    "head", "neck", "pelvis", "left elbow", "left hand", "right elbow", "right hand",
    "left knee", "left foot", "right knee", "right foot",
)  # fmt: skip
# Pairs of joints with a limb between them.
LIMBS = ((0, 1), (1, 2), (1, 3), (3, 4), (1, 5), (5, 6), (2, 7), (7, 8), (2, 9), (9, 10))
STRAY = 5
NOISE = 0.1
THICKNESS = 1.1
HEAD = 0.09  # of the figure's size


class Figures(NamedTuple):
    """Canvases with pixels around [0, 1], and the x and y of every joint."""

    canvas: Float[Array, "n h w 1"]
    joints: Float[Array, "n k 2"]


def draw_figures(key: Key[Array, ""], count: int) -> Figures:
    """So many figures, wholly on their canvases, each in a pose of its own."""
    return jax.vmap(_draw)(jax.random.split(key, count))


def _draw(key: Key[Array, ""]) -> Figures:
    pose_key, place_key, stray_key, noise_key = jax.random.split(key, 4)
    size = 28 + 12 * jax.random.uniform(place_key, (), jnp.float32)
    joints = _pose(pose_key) * size
    radius = HEAD * size
    low, high = joints.min(0) - radius, joints.max(0) + radius
    # The largest figures may be wider than the canvas: those are made to fit.
    fit = jnp.minimum(1, (SIDE - 2) / (high - low).max())
    joints, low, high, radius = joints * fit, low * fit, high * fit, radius * fit
    room = jnp.maximum(SIDE - (high - low), 0)
    place = jax.random.uniform(jax.random.fold_in(place_key, 1), (2,), jnp.float32) * room
    joints = joints + (place - low)[None]

    limbs = jnp.asarray(LIMBS)
    segments = joints[limbs[:, 0]], joints[limbs[:, 1]]
    image = _capsules(*segments, jnp.float32(THICKNESS))
    head = _capsules(joints[:1], joints[:1], radius)
    image = jnp.maximum(image, head)
    image = jnp.maximum(image, _stray_limbs(stray_key))
    image = image + NOISE * jax.random.normal(noise_key, image.shape, jnp.float32)
    return Figures(image[..., None], joints)


def _pose(key: Key[Array, ""]) -> Float[Array, "k 2"]:
    """Joints of a figure of size one, pelvis at the origin; each limb stays on its own side.

    Without that no one could tell a left hand from a right one.
    """
    draws = iter(jax.random.uniform(key, (9,), jnp.float32))

    def between(low: float, high: float) -> Float[Array, ""]:
        return jnp.float32(math.radians(low)) + next(draws) * jnp.float32(math.radians(high - low))

    lean = between(-20, 20)

    def along(angle: Float[Array, ""], length: float, side: int) -> Float[Array, " 2"]:
        """A limb hanging down, lifted outwards by an angle."""
        turned = side * angle + lean
        return length * jnp.stack([jnp.sin(turned), jnp.cos(turned)])

    pelvis = jnp.zeros(2, jnp.float32)
    neck = pelvis - along(jnp.float32(0), 0.36, 1)
    head = neck - along(jnp.float32(0), 0.16, 1)
    joints = {"head": head, "neck": neck, "pelvis": pelvis}
    for name, side in (("left", -1), ("right", 1)):
        upper = between(25, 140)
        elbow = neck + along(upper, 0.22, side)
        joints[f"{name} elbow"] = elbow
        joints[f"{name} hand"] = elbow + along(upper + between(-10, 70), 0.22, side)
        thigh = between(8, 50)
        knee = pelvis + along(thigh, 0.26, side)
        joints[f"{name} knee"] = knee
        joints[f"{name} foot"] = knee + along(thigh - between(0, 45), 0.26, side)
    return jnp.stack([joints[name] for name in JOINTS])


def _stray_limbs(key: Key[Array, ""]) -> Float[Array, "h w"]:
    """Segments that belong to nobody."""
    place_key, turn_key = jax.random.split(key)
    start = SIDE * jax.random.uniform(place_key, (STRAY, 2), jnp.float32)
    draws = jax.random.uniform(turn_key, (2, STRAY), jnp.float32)
    angle, length = 2 * math.pi * draws[0], 4 + 5 * draws[1]
    end = start + length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
    return _capsules(start, end, jnp.float32(THICKNESS))


def _capsules(
    start: Float[Array, "m 2"], end: Float[Array, "m 2"], radius: Float[Array, ""]
) -> Float[Array, "h w"]:
    """One within a distance of any of the segments, fading to zero over a pixel."""
    centres = jnp.arange(SIDE, dtype=jnp.float32) + 0.5
    x, y = jnp.meshgrid(centres, centres)
    point = jnp.stack([x, y], -1)[None]  # 1 h w 2
    start, along = start[:, None, None], (end - start)[:, None, None]
    squared = jnp.maximum((along**2).sum(-1), 1e-6)
    share = jnp.clip(((point - start) * along).sum(-1) / squared, 0, 1)
    gap = point - start - share[..., None] * along
    distance = jnp.sqrt((gap**2).sum(-1) + 1e-12)
    return jnp.clip(radius + 0.5 - distance, 0, 1).max(0)
