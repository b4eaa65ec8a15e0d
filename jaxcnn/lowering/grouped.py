"""Convolutions in groups, taken apart: each group by itself.

XLA's CPU backend runs a convolution in groups, and above all its kernel gradient, several times
slower than the convolutions it consists of. Taken apart it also leaves the batch an axis of its
own, so that a batch spread over devices is not gathered.
"""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.lowering import plain
from jaxcnn.lowering.plain import Sliding

# Beyond so many groups it is one convolution again: the program would be long.
MAX_GROUPS = 64


def correlate(x: Array, kernel: Array, *, sliding: Sliding) -> Array:
    """Each group by itself."""
    alone = replace(sliding, groups=1)
    pairs = zip(*(jnp.split(a, sliding.groups, -1) for a in (x, kernel)), strict=True)
    return jnp.concatenate([plain.correlate(*pair, sliding=alone) for pair in pairs], -1)


def kernel_grad(x: Array, delta: Array, *, geometry: Geometry) -> Array:
    """Each group by itself."""
    alone = replace(geometry, groups=1)
    pairs = zip(*(jnp.split(a, geometry.groups, -1) for a in (x, delta)), strict=True)
    return jnp.concatenate([plain.kernel_grad(*pair, geometry=alone) for pair in pairs], -1)
