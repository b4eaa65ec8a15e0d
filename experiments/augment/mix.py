"""What makes one example of two: mixup and cutmix, for images and for their targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from experiments.augment.places import _inside

Pair = tuple[Float[Array, "n h w c"], Float[Array, "n k"]]


def mixup(
    key: Key[Array, ""], images: Float[Array, "n h w c"], targets: Float[Array, "n k"], alpha: float
) -> Pair:
    """λ x + (1 − λ) x′ and λ t + (1 − λ) t′, λ ~ Beta(α, α) for each image.

    x′ is the next image of the batch, whose order is random already. Zhang et al. 2018, "mixup".
    """
    share = _shares(key, images, alpha)
    blend = jnp.reshape(share, (-1, 1, 1, 1))
    images = blend * images + (1 - blend) * jnp.roll(images, -1, 0)
    return images, _blended(targets, share)


def cutmix(
    key: Key[Array, ""], images: Float[Array, "n h w c"], targets: Float[Array, "n k"], alpha: float
) -> Pair:
    """X with a rectangle of x′ pasted in; of the targets each counts by its part of the pixels.

    The rectangle has the image's proportions, the area 1 − λ, λ ~ Beta(α, α), and a centre uniform
    in the image; what would hang over is cut off. Yun et al. 2019, "CutMix", algorithm 1.
    """
    n, h, w, _ = images.shape
    area_key, place_key = jax.random.split(key)
    side = jnp.sqrt(1 - _shares(area_key, images, alpha))[:, None]
    centre = jax.random.uniform(place_key, (n, 2), jnp.float32).astype(images.dtype)
    size = jnp.array([[h, w]], images.dtype)
    low = jnp.clip(jnp.round((centre - side / 2) * size), 0, size).astype(jnp.int32)
    high = jnp.clip(jnp.round((centre + side / 2) * size), 0, size).astype(jnp.int32)
    mixed = jnp.where(_inside(low, high, h, w), jnp.roll(images, -1, 0), images)
    pasted = jnp.prod((high - low).astype(images.dtype), axis=1) / (h * w)
    return mixed, _blended(targets, 1 - pasted)


def _shares(key, images, alpha: float):
    if alpha <= 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    draws = jax.random.beta(key, alpha, alpha, (images.shape[0],), jnp.float32)
    return draws.astype(images.dtype)


def _blended(targets, share):
    share = share[:, None].astype(targets.dtype)
    return share * targets + (1 - share) * jnp.roll(targets, -1, 0)
