"""DenseNets: Huang, Liu, van der Maaten and Weinberger 2017, "Densely Connected Convolutional
Networks", section 4 (DenseNet-BC for CIFAR). Quan, "DenseNet": every layer reads the union of all
earlier maps of its block.
"""

import math

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    Identity,
    Layer,
    Serial,
    concatenated,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu


def densenet(
    depth: int = 100, classes: int = 10, *, growth: int = 12, compression: float = 0.5
) -> Serial:
    """A stem, then three blocks of n layers, each adding `growth` maps to all before; for 32×32×3.

    A layer is a bottleneck, 1×1 to 4·growth maps, then 3×3 (the B). Between blocks a transition
    keeps a part of the maps and halves their size (the C). 769,162 parameters for L = 100, k = 12.

    Args:
        depth: 6n + 4, the layers with weights.
        classes: how many logits come out.
        growth: k, the maps that each layer adds.
        compression: θ, the part of the maps that a transition keeps, in (0, 1].

    Raises:
        TypeError, ValueError: depth is not 6n + 4, growth or classes no integer above 0, or
            compression not in (0, 1].
    """
    depth = check.integer("densenet", "depth", depth)
    classes = check.integer("densenet", "classes", classes, minimum=1)
    growth = check.integer("densenet", "growth", growth, minimum=1)
    compression = check.positive("densenet", "compression", compression)
    compression = check.probability("densenet", "compression", compression)
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"densenet: depth must be 6n + 4, as 40 or 100, got {depth}")
    layers = (depth - 4) // 6
    wide, body = 2 * growth, {}
    for number in range(1, 4):
        body[f"block{number}"] = serial(*[_dense_layer(growth)] * layers)
        wide += layers * growth
        if number < 3:
            wide = math.floor(wide * compression)
            body[f"transition{number}"] = serial(*_norm_relu_conv(wide, 1), AvgPool(2))
    return serial(
        stem=Conv(2 * growth, 3, padding=1, use_bias=False),
        **body,
        norm=BatchNorm(),
        relu=Activation(relu),
        pool=GlobalAvgPool(),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _dense_layer(growth: int) -> Layer:
    return concatenated(
        all_before=Identity(),
        new=serial(*_norm_relu_conv(4 * growth, 1), *_norm_relu_conv(growth, 3)),
    )


def _norm_relu_conv(features: int, window: int) -> tuple[Layer, ...]:
    conv = Conv(features, window, padding=window // 2, use_bias=False)
    return BatchNorm(), Activation(relu), conv
