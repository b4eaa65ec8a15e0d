"""The kernel gradient as a sum over parts of the batch, each of some images.

As a convolution it has the images as channels, so the map is transposed: numbers that were side by
side end up far apart. With a few images at a time that happens in the cache. What a loop reads must
also have been computed before; in one large transposition XLA's CPU backend computes, number by
number, everything that the map comes from once more: the normalisation, the activation and the sums
of the residual blocks before it. With XLA's default options, moreover, a convolution takes longer
for each image if many of them are its channels.
"""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.places import sum_over_parts
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.thresholds import (
    FEW_FILTERS,
    MAP_BYTES,
    MAX_TAPS,
    MIN_IMAGES,
    MIN_PLACES,
    SLOW_IMAGES,
)
from jaxcnn.sizes import known


def cannot(problem: Problem) -> str:
    """Why there are no parts."""
    if problem.groups > 1:
        return "there are groups"
    return "" if known(problem.n) else "the number of images is a symbol"


def slower(problem: Problem) -> str:
    """Why the map is too small, or its parts would have too few images."""
    if problem.fast and problem.geometry.taps > MAX_TAPS:
        return f"a window of more than {MAX_TAPS} elements hides the transposition"
    if _images(problem) == problem.n:
        return f"the maps of {problem.n} images are small, or do not divide"
    return ""


def kernel_grad(x: Array, delta: Array, *, problem: Problem, images: int | None = None) -> Array:
    """w = Σ over parts of x ⋆ dilate(δ): n h w c, n p q d → kh kw c d."""
    images = _images(problem) if images is None else images
    part = replace(problem, n=images)

    def of_part(x: Array, delta: Array) -> Array:
        return plain.kernel_grad(widen(x), widen(delta), problem=part)

    shape = (*problem.geometry.window, problem.c, problem.d)
    zero = jnp.zeros(shape, accumulator(x.dtype))
    return sum_over_parts(of_part, zero, x, delta, images=images).astype(x.dtype)


def _images(problem: Problem) -> int:
    """How many images make a part, the same number from every device; all of them if all fit."""
    geometry = problem.geometry
    devices = math.gcd(problem.n, jax.device_count())
    own = problem.n // devices
    if problem.fast:
        size = 4 * math.prod(geometry.input) * problem.c
        places = (MIN_PLACES + 1) // math.prod(geometry.output)
        least = max(MIN_IMAGES + 1, places, MAP_BYTES // size)
    else:
        least = 2 * SLOW_IMAGES if problem.d <= FEW_FILTERS else SLOW_IMAGES
    parts = (m for m in range(least, own // 2 + 1) if own % m == 0)
    return devices * next(parts, own)
