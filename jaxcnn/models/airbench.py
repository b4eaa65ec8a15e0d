"""The network of the CIFAR-10 speed records: Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a
Single GPU" (airbench94): whitened patches, three groups of two convolutions, scaled logits.

Published: 94.01 % of the test images after 9.9 epochs, 1.97 M parameters.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn import check
from jaxcnn.initializers import Initializer, dirac
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
    residual,
    serial,
)
from jaxcnn.ops.smooth import gelu


def airbench94(
    classes: int = 10,
    *,
    widths: tuple[int, int, int] = (64, 256, 256),
    whitening: Initializer | None = None,
    head: Initializer | None = None,
    scale: float = 1 / 9,
) -> Serial:
    """conv 24@2×2 → GELU → three groups → pool 3×3 → classes, times 1/9; on 32×32×3.

    A group is conv 3×3 → pool 2×2 → norm → GELU → conv 3×3 → norm → GELU. Batch norm learns no
    scale. The kernel of the layer `whitening` is meant to come from the images and to stay as it is
    (its bias is trained): the optimiser must leave it alone.

    Args:
        classes: how many logits come out.
        widths: the maps of the three groups.
        whitening: what draws the first kernel, `jaxcnn.initializers.patch_whitening(images)` in the
            original; by default it is drawn as that of an ordinary convolution.
        head: what draws the last layer's weight; by default as that of an ordinary dense layer.
        scale: the factor of the logits.

    Raises:
        TypeError, ValueError: an argument is no integer above 0 or of the wrong kind, or there are
            not three widths.
    """
    groups = [_group(width) for width in _checked("airbench94", classes, widths, whitening)]
    if head is not None:
        check.function("airbench94", "head", head)
    scale = check.number("airbench94", "scale", scale)
    return _network(classes, groups, whitening, head, scale)


def airbench96(
    classes: int = 10,
    *,
    widths: tuple[int, int, int] = (128, 384, 512),
    whitening: Initializer | None = None,
) -> Serial:
    """The wider, deeper one for 96 %: groups of three convolutions, a shortcut past the last two.

    A group is conv 3×3 → pool 2×2 → norm → GELU → z, then conv → norm → GELU → conv → norm of z,
    plus z, and a GELU. Arguments and errors are those of `airbench94`.
    """
    groups = [_deep_group(width) for width in _checked("airbench96", classes, widths, whitening)]
    return _network(classes, groups, whitening, None, 1 / 9)


def _checked(op: str, classes: int, widths: tuple[int, int, int], whitening: object) -> list[int]:
    if whitening is not None:
        check.function(op, "whitening", whitening)
    classes = check.integer(op, "classes", classes, minimum=1)
    return list(check.integers(op, "widths", widths, count=3))


def _network(
    classes: int,
    groups: list[Layer],
    whitening: Initializer | None,
    head: Initializer | None,
    scale: float,
) -> Serial:
    one, two, three = groups
    return serial(
        whitening=Conv(24, 2, kernel_init=uniform if whitening is None else whitening),
        gelu=_GELU,
        group1=one,
        group2=two,
        group3=three,
        pool=MaxPool(3),
        flatten=Flatten(),
        output=Dense(classes, use_bias=False, weight_init=uniform if head is None else head),
        scale=Scale(scale),
    )


def uniform(key: Array, shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """U(−1/√fan_in, 1/√fan_in), PyTorch's default."""
    fan_in = 1
    for size in shape[:-1]:
        fan_in *= size
    limit = fan_in**-0.5
    return jax.random.uniform(key, shape, dtype, -limit, limit)


# The first filters pass the input maps on, one each.
_PASS_ON = dirac(rest=uniform)
# By tanh, where the original has the exact form, which takes a CPU several times as long.
_GELU = Activation(gelu, {"approximate": True})
# The original's momentum of 0.4 for new statistics is 0.6 for old ones.
_NORM = BatchNorm(0.6, unbiased=True, epsilon=1e-12, use_scale=False)


def _group(features: int) -> Layer:
    conv = Conv(features, 3, padding="SAME", use_bias=False, kernel_init=_PASS_ON)
    return serial(conv, MaxPool(2), _NORM, _GELU, conv, _NORM, _GELU)


def _deep_group(features: int) -> Layer:
    conv = Conv(features, 3, padding="SAME", use_bias=False, kernel_init=_PASS_ON)
    rest = residual(conv, _NORM, _GELU, conv, _NORM)
    return serial(conv, MaxPool(2), _NORM, _GELU, rest, _GELU)
