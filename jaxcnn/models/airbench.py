"""The network of the CIFAR-10 speed records: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a
Single GPU" (airbench94): whitened patches, three groups of two convolutions, scaled logits.

Published: 94.01 % of the test images after 9.9 epochs, 1.97 M parameters.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    Scale,
    Serial,
    serial,
)
from jaxcnn.ops.smooth import gelu


def airbench94(classes: int = 10, *, widths: tuple[int, int, int] = (64, 256, 256)) -> Serial:
    """conv 24@2×2 → GELU → three groups → pool 3×3 → classes, times 1/9; on 32×32×3.

    A group is conv 3×3 → pool 2×2 → norm → GELU → conv 3×3 → norm → GELU. Batch norm learns no
    scale. The kernel of the layer `whitening` is meant to be `whitening_kernel(images)` and to stay
    as it is (its bias is trained): it is for the optimiser to leave it alone.

    Args:
        classes: how many logits come out.
        widths: the maps of the three groups.

    Raises:
        TypeError, ValueError: an argument is no integer above 0, or there are not three widths.
    """
    check.integer("airbench94", "classes", classes, minimum=1)
    if len(widths) != 3:
        raise ValueError(f"airbench94: widths must be three numbers of maps, got {tuple(widths)}")
    one, two, three = (check.integer("airbench94", "widths", w, minimum=1) for w in widths)
    return serial(
        whitening=Conv(24, 2),
        gelu=_GELU,
        group1=_group(one),
        group2=_group(two),
        group3=_group(three),
        pool=MaxPool(3),
        flatten=Flatten(),
        output=Dense(classes, use_bias=False, weight_init=uniform),
        scale=Scale(1 / 9),
    )


def uniform(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """U(−1/√fan_in, 1/√fan_in), PyTorch's default."""
    fan_in = 1
    for size in shape[:-1]:
        fan_in *= size
    limit = fan_in**-0.5
    return jax.random.uniform(key, shape, dtype, -limit, limit)


def dirac(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """The first filters pass the input maps on, one each; the others are `uniform`."""
    *window, inputs, outputs = shape
    passed = min(inputs, outputs)
    middle = tuple(size // 2 for size in window)
    identity = jnp.zeros((*window, inputs, passed), dtype)
    identity = identity.at[middle].set(jnp.eye(inputs, passed, dtype=dtype))
    return jnp.concatenate([identity, uniform(key, shape, dtype)[..., passed:]], -1)


_GELU = Activation(gelu)
# The original's momentum of 0.4 for new statistics is 0.6 for old ones.
_NORM = BatchNorm(0.6, unbiased=True, epsilon=1e-12, use_scale=False)


def _group(features: int) -> Layer:
    conv = Conv(features, 3, padding="SAME", use_bias=False, kernel_init=dirac)
    return serial(conv, MaxPool(2), _NORM, _GELU, conv, _NORM, _GELU)


def whitening_kernel(
    images: Float[ArrayLike, "n h w c"], window: int = 2, *, epsilon: float = 5e-4
) -> Float[Array, "k k c d"]:
    """d = 2k²c filters that give patches of the images unit variance, and their negatives.

    They are the eigenvectors of the patches' second moment, each divided by √(eigenvalue + ε), the
    largest eigenvalue first.

    Args:
        images: normalised images; 5,000 are enough.
        window: k, the size of a patch.
        epsilon: ε, which keeps the smallest directions from being blown up.

    Raises:
        TypeError: images is no float array.
        ValueError: it has not four axes, window is below 1, or epsilon not above 0.
    """
    op = "whitening_kernel"
    images = check.float_array(op, "images", images)
    check.rank(op, "images", images, 4, "batch, height, width, channels")
    check.integer(op, "window", window, minimum=1)
    check.positive(op, "epsilon", epsilon)
    places = [images.shape[axis] - window + 1 for axis in (1, 2)]
    if min(places) < 1:
        raise ValueError(f"{op}: window must fit into images, got {window} for {images.shape}")
    taps = [
        lax.slice_in_dim(
            lax.slice_in_dim(images, a, a + places[0], axis=1), b, b + places[1], axis=2
        )
        for a in range(window)
        for b in range(window)
    ]
    patches = jnp.concatenate(taps, -1).reshape(-1, window * window * images.shape[-1])
    values, vectors = jnp.linalg.eigh(patches.T @ patches * (1 / patches.shape[0]))
    filters = vectors * jnp.broadcast_to(lax.rsqrt(values + epsilon), vectors.shape)
    filters = filters[:, ::-1].reshape(window, window, images.shape[-1], -1)
    return jnp.concatenate([filters, -filters], -1)
