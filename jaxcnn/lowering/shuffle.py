"""Depth to space and back: every element's channels spread over a block of elements."""

import itertools
import math
from functools import partial

import numpy as np
from jax import Array

from jaxcnn.lowering.sharding import by_batch, whole_channels


@partial(by_batch, result=whole_channels)
def shuffled(x: Array, block: tuple[int, ...], order: str) -> Array:
    """The channels of every element spread over a block: n h w ab·d → n h·a w·b d."""
    n, *size, c = x.shape
    d = c // math.prod(block)
    deep = (d, *block) if order == "CRD" else (*block, d)
    y = x.reshape(n, *size, *deep).transpose(_beside_offsets(len(block), order))
    return y.reshape(n, *(h * b for h, b in zip(size, block, strict=True)), d)


@partial(by_batch, result=whole_channels)
def unshuffled(x: Array, block: tuple[int, ...], order: str) -> Array:
    """Every block in the channels of one element: the inverse of `shuffled`."""
    n, *size, d = x.shape
    size = [p // b for p, b in zip(size, block, strict=True)]
    split = x.reshape(n, *(s for pair in zip(size, block, strict=True) for s in pair), d)
    y = split.transpose(np.argsort(_beside_offsets(len(block), order)))
    return y.reshape(n, *size, d * math.prod(block))


def _beside_offsets(axes: int, order: str) -> list[int]:
    """Where n h a w b d stand in n h w d a b, or in n h w a b d: every axis beside its offset."""
    by_channel = order == "CRD"
    pairs = [(1 + i, axes + 1 + by_channel + i) for i in range(axes)]
    return [0, *itertools.chain(*pairs), axes + 1 if by_channel else 2 * axes + 1]
