"""Convolutions in groups, taken apart: each group by itself.

XLA's CPU backend runs a convolution in groups, and above all its kernel gradient, several times
slower than the convolutions it consists of, for each of which its own form is the best. Taken
apart it also leaves the batch an axis of its own, so that a batch spread over devices is not
gathered.
"""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.plain import Correlation, KernelGrad, Sliding

# With more groups it is one convolution again: the program would be long.
MAX_GROUPS = 64


def correlate(x: Array, kernel: Array, *, sliding: Sliding, alone: Correlation) -> Array:
    """Each group by `alone`, side by side."""
    by_itself = replace(sliding, groups=1)
    maps, kernels = (jnp.split(a, sliding.groups, -1) for a in (x, kernel))
    pairs = zip(maps, kernels, strict=True)
    return jnp.concatenate([alone(x, kernel, by_itself) for x, kernel in pairs], -1)


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry, alone: KernelGrad) -> Array:
    """Each group by `alone`, side by side."""
    by_itself = replace(geometry, groups=1)
    maps, deltas = (jnp.split(a, geometry.groups, -1) for a in (x, delta))
    pairs = zip(maps, deltas, strict=True)
    return jnp.concatenate([alone(x, delta, by_itself) for x, delta in pairs], -1)
