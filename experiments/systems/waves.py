"""Tones of eight timbres and the logarithmic spectra of their power, drawn on the device."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

TIMBRES = (
    "sine", "square", "sawtooth", "octaves", "tremolo", "vibrato", "clarinet", "bell",
)  # fmt: skip
SAMPLES = 1024
BINS = SAMPLES // 4  # the lower half of the spectrum: hardly anything sounds above
PARTIALS = 8
NOISE = (0.5, 2.0)


class Tones(NamedTuple):
    """Spectra, in units of their own standard deviation around their mean, and the timbres."""

    spectra: Float[Array, "n f 1"]
    labels: Int[Array, " n"]


def draw_tones(key: Key[Array, ""], count: int) -> Tones:
    """So many tones: timbre, pitch, phases and loudness of the noise are drawn for each."""
    label_key, tone_key = jax.random.split(key)
    labels = jax.random.randint(label_key, (count,), 0, len(TIMBRES), dtype=jnp.int32)
    spectra = jax.vmap(_spectrum)(jax.random.split(tone_key, count), labels)
    return Tones(spectra[..., None], labels)


def _spectrum(key: Key[Array, ""], label: Int[Array, ""]) -> Float[Array, " f"]:
    keys = jax.random.split(key, 4)
    draws = jax.random.uniform(keys[0], (4,), jnp.float32)
    pitch = 8 * 4.0 ** draws[0]  # periods in the window: two octaves
    time = jnp.arange(SAMPLES, dtype=jnp.float32) / SAMPLES
    slow = jnp.sin(2 * math.pi * (3 + 3 * draws[1]) * time + 2 * math.pi * draws[2])
    wobble = jnp.where(label == TIMBRES.index("vibrato"), jnp.float32(0.03), jnp.float32(0))
    phase = pitch * (time + wobble * slow / 4)
    swell = jnp.where(label == TIMBRES.index("tremolo"), 1 + 0.8 * slow, jnp.float32(1))

    number = jnp.arange(1, PARTIALS + 1, dtype=jnp.float32)
    strength = _strengths()[label]
    # The partials of a bell are not in tune.
    stretch = jnp.where(label == TIMBRES.index("bell"), number**1.1, number)
    turns = stretch[:, None] * phase[None] + jax.random.uniform(keys[1], (PARTIALS, 1), jnp.float32)
    wave = (strength[:, None] * jnp.sin(2 * math.pi * turns)).sum(0) * swell
    wave = wave / jnp.sqrt((wave**2).mean())
    loudness = NOISE[0] + (NOISE[1] - NOISE[0]) * draws[3]
    wave = wave + loudness * jax.random.normal(keys[2], (SAMPLES,), jnp.float32)
    window = 0.5 - 0.5 * jnp.cos(2 * math.pi * time)
    power = jnp.abs(jnp.fft.rfft(wave * window)[:BINS]) ** 2
    level = jnp.log(power + 1e-3)
    return (level - level.mean()) / level.std()


def _strengths() -> Float[Array, "8 partials"]:
    number = jnp.arange(1, PARTIALS + 1, dtype=jnp.float32)
    odd = (number % 2 == 1).astype(jnp.float32)
    first = (number == 1).astype(jnp.float32)
    octaves = jnp.asarray([1, 0.7, 0, 0.5, 0, 0, 0, 0.35], jnp.float32)
    by_timbre = {
        "sine": first,
        "square": odd / number,
        "sawtooth": 1 / number,
        "octaves": octaves,
        "tremolo": first,
        "vibrato": first,
        "clarinet": odd / jnp.sqrt(number),
        "bell": 1 / number,
    }
    return jnp.stack([by_timbre[name] for name in TIMBRES])
