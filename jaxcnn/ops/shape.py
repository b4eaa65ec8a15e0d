"""Linear maps that only move elements: turn, spread and gather, fold into channels, put in a row.

Most come in pairs of transposes, whose rules call each other.
"""

import math
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import PerAxis
from jaxcnn.lowering import shuffle as lowering
from jaxcnn.rules import Function, adjoints, custom_rule
from jaxcnn.sizes import surely

ORDERS = ("CRD", "DCR")  # channel or offset first


@custom_rule
def rot180_map(kernel: Float[Array, "*k c d"]) -> Float[Array, "*k c d"]:
    return jnp.flip(kernel, range(kernel.ndim - 2))


adjoints(rot180_map, rot180_map)


@entry.operation
def rot180(
    kernel: Float[ArrayLike, "*k c d"], *, rule: Function = rot180_map
) -> Float[Array, "*k c d"]:
    """y = rot180(k): the kernel turned by 180° in its spatial axes, channels untouched.

    Backward, with δ = ∂L/∂y: ∂k = rot180(δ). x ⋆ rot180(k) is the true convolution of x and k.
    Source: Huang, "Forward pass"; Gwardys; Ray, "Derivation of δI" (there flip).
    """
    kernel = check.float_array("rot180", "kernel", kernel)
    check.at_least("rot180", "kernel", kernel, 3, "space, channels in, channels out")
    return rule(kernel)


@partial(custom_rule, nondiff_argnums=(1, 2))
def dilate_map(
    x: Float[Array, "n *hw c"], rate: tuple[int, ...], size: tuple[int, ...]
) -> Float[Array, "n *pq c"]:
    config = [
        (0, full - (h - 1) * s - 1, s - 1)
        for h, s, full in zip(x.shape[1:-1], rate, size, strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


@entry.operation
def dilate(
    x: Float[ArrayLike, "n *hw c"], rate: PerAxis, *, rule: Function = dilate_map
) -> Float[Array, "n *pq c"]:
    """y[i·s] = x[i], zeros between: s − 1 of them along every spatial axis, p = (h − 1)·s + 1.

    Backward, with δ = ∂L/∂y: ∂x[i] = δ[i·s]. Not to be confused with `upsample`, which replicates.
    Source: Quan, 7.2 (what a stride asks for in the backward pass).

    Args:
        rate: the distance s of the elements in y; one for all spatial axes or one per axis.
    """
    x = check.maps("dilate", "x", x)
    rate = check.per_axis("dilate", "rate", rate, x.ndim - 2)
    size = tuple((h - 1) * s + 1 for h, s in zip(x.shape[1:-1], rate, strict=True))
    return rule(x, rate, size)


@partial(custom_rule, nondiff_argnums=(1, 2))
def subsample_map(
    x: Float[Array, "n *pq c"], rate: tuple[int, ...], size: tuple[int, ...]
) -> Float[Array, "n *hw c"]:
    del size  # x has it; the backward pass needs it as a static value
    return lax.slice(x, (0,) * x.ndim, x.shape, (1, *rate, 1))


adjoints(dilate_map, subsample_map)


@entry.operation
def subsample(
    x: Float[ArrayLike, "n *pq c"], rate: PerAxis, *, rule: Function = subsample_map
) -> Float[Array, "n *hw c"]:
    """y[i] = x[i·s]: every s-th element along every spatial axis, from the first on.

    Backward, with δ = ∂L/∂y: ∂x = dilate(δ), with zeros for what lies beyond the last element kept.
    Source: the transpose of `dilate`.

    Args:
        rate: the step s; one for all spatial axes or one per axis.
    """
    x = check.maps("subsample", "x", x)
    rate = check.per_axis("subsample", "rate", rate, x.ndim - 2)
    return rule(x, rate, x.shape[1:-1])


@partial(custom_rule, nondiff_argnums=(1, 2))
def pixel_shuffle_map(
    x: Float[Array, "n *hw c"], block: tuple[int, ...], order: str
) -> Float[Array, "n *pq d"]:
    return lowering.shuffled(x, block, order)


@entry.operation
def pixel_shuffle(
    x: Float[ArrayLike, "n *hw c"], block: PerAxis, order: str = "CRD",
    *, rule: Function = pixel_shuffle_map,
) -> Float[Array, "n *pq d"]:  # fmt: skip
    """y[i·b + a] = x[i], the channel for offset a: depth to space, p = h·b, d = c / Πb.

    Backward, with δ = ∂L/∂y: ∂x = `pixel_unshuffle`(δ).
    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network", equation 4.

    Args:
        block: b, one for all spatial axes or one per axis.
        order: of the channels of x: "CRD", a channel of y and then the offset, as in PyTorch; or
            "DCR", the offset and then a channel of y, as in TensorFlow. The names are ONNX's.

    Raises:
        ValueError: block does not divide the channels of x, once per axis.
    """
    op = "pixel_shuffle"
    x = check.maps(op, "x", x)
    block = check.per_axis(op, "block", block, x.ndim - 2)
    order = check.choice(op, "order", order, ORDERS)
    if x.shape[-1] % math.prod(block):
        raise ValueError(
            f"{op}: block must divide the channels of x once per axis, "
            f"got {block} for shape {x.shape}"
        )
    return rule(x, block, order)


@partial(custom_rule, nondiff_argnums=(1, 2))
def pixel_unshuffle_map(
    x: Float[Array, "n *pq d"], block: tuple[int, ...], order: str
) -> Float[Array, "n *hw c"]:
    return lowering.unshuffled(x, block, order)


adjoints(pixel_shuffle_map, pixel_unshuffle_map)


@entry.operation
def pixel_unshuffle(
    x: Float[ArrayLike, "n *pq d"], block: PerAxis, order: str = "CRD",
    *, rule: Function = pixel_unshuffle_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """y[i] = x[i·b + a], offset a in the channels: space to depth, the inverse of `pixel_shuffle`.

    Backward, with δ = ∂L/∂y: ∂x = `pixel_shuffle`(δ).
    Source: the transpose of `pixel_shuffle`.

    Args:
        block, order: as in `pixel_shuffle`; the order is that of the channels of y.

    Raises:
        ValueError: block does not divide the spatial sizes of x.
    """
    op = "pixel_unshuffle"
    x = check.maps(op, "x", x)
    block = check.per_axis(op, "block", block, x.ndim - 2)
    order = check.choice(op, "order", order, ORDERS)
    if not surely(lambda: all(p % b == 0 for p, b in zip(x.shape[1:-1], block, strict=True))):
        raise ValueError(
            f"{op}: block must divide the spatial sizes of x, got {block} for shape {x.shape}"
        )
    return rule(x, block, order)


@partial(custom_rule, nondiff_argnums=(1,))
def flatten_map(x: Float[Array, "n *hwc"], shape: tuple[int, ...]) -> Float[Array, "n m"]:
    return x.reshape(x.shape[0], math.prod(shape))


@entry.operation
def flatten(x: Float[ArrayLike, "n *hwc"], *, rule: Function = flatten_map) -> Float[Array, "n m"]:
    """y = x with all axes but the batch made one, in row-major order.

    Backward, with δ = ∂L/∂y: ∂x = δ in the shape of x.
    Source: Gormley, "Fully-Connected Layer (w/ tensor input)"; Quan, 7.1.
    """
    x = check.float_array("flatten", "x", x)
    check.at_least("flatten", "x", x, 2, "batch, what is made one")
    return rule(x, x.shape[1:])


@partial(custom_rule, nondiff_argnums=(1,))
def unflatten_map(x: Float[Array, "n m"], shape: tuple[int, ...]) -> Float[Array, "n *hwc"]:
    return x.reshape(x.shape[0], *shape)


adjoints(flatten_map, unflatten_map)


@entry.operation
def unflatten(
    x: Float[ArrayLike, "n m"], shape: Sequence[int], *, rule: Function = unflatten_map
) -> Float[Array, "n *hwc"]:
    """y = x with its second axis split into the given shape, in row-major order.

    Backward, with δ = ∂L/∂y: ∂x = δ in one row.
    Source: the transpose of `flatten`.

    Args:
        x: one row per example.
        shape: of one example of the result, without the batch axis.

    Raises:
        ValueError: shape has another number of elements than the rows of x.
    """
    x = check.float_array("unflatten", "x", x)
    check.rank("unflatten", "x", x, 2, "batch, elements")
    shape = check.integers("unflatten", "shape", shape)
    if math.prod(shape) != x.shape[1]:
        raise ValueError(
            f"unflatten: shape must have as many elements as a row of x, "
            f"got {shape} for rows of {x.shape[1]}"
        )
    return rule(x, shape)
