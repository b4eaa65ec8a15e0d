"""DenseNets: Huang, Liu, van der Maaten and Weinberger 2017, "Densely Connected Convolutional
Networks", section 4 (DenseNet-BC for CIFAR) and table 1 (for ImageNet). Quan,
"DenseNet": every layer reads the union of all earlier maps of its block.
"""

import math
from collections.abc import Sequence

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
    MaxPool,
    Serial,
    concatenated,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.models.resnet import conv_norm
from jaxcnn.ops.activation import relu

# How many layers each block for ImageNet has.
STAGES = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


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
    stem = Conv(2 * growth, 3, padding=1, use_bias=False)
    return serial(
        stem=stem, **_blocks([(depth - 4) // 6] * 3, 2 * growth, growth, compression, classes)
    )


def densenet_imagenet(
    depth: int = 121,
    classes: int = 1000,
    *,
    growth: int = 32,
    stages: Sequence[int] | None = None,
) -> Serial:
    """A stem of stride 2, a pooling 3×3, four blocks as in `densenet`; for 224×224×3.

    7,978,856 parameters for depth 121.

    Args:
        depth: 121, 169 or 201, the layers with weights.
        classes: how many logits come out.
        growth: k, the maps that each layer adds.
        stages: how many layers each block has; by default as many as the depth says.

    Raises:
        TypeError, ValueError: there is no such depth, or another argument is no integer above 0.
    """
    op = "densenet_imagenet"
    if check.integer(op, "depth", depth) not in STAGES:
        raise ValueError(f"{op}: depth must be one of 121, 169, 201, got {check.shown(depth)}")
    classes = check.integer(op, "classes", classes, minimum=1)
    growth = check.integer(op, "growth", growth, minimum=1)
    counts = check.integers(op, "stages", STAGES[depth] if stages is None else stages)
    if not counts:
        raise ValueError(f"{op}: stages must hold at least one number of layers, got none")
    return serial(
        stem=conv_norm(2 * growth, 7, 2),
        relu0=Activation(relu),
        pool0=MaxPool(3, 2, 1),
        **_blocks(counts, 2 * growth, growth, 0.5, classes),
    )


def _blocks(
    counts: Sequence[int], wide: int, growth: int, compression: float, classes: int
) -> dict[str, Layer]:
    """Blocks with transitions between them, and what makes logits of the last one's maps."""
    body = {}
    for number, count in enumerate(counts, 1):
        body[f"block{number}"] = serial(*[_dense_layer(growth)] * count)
        wide += count * growth
        if number < len(counts):
            wide = math.floor(wide * compression)
            body[f"transition{number}"] = serial(*_norm_relu_conv(wide, 1), AvgPool(2))
    output = Dense(classes, weight_init=lecun_normal)
    last = {"norm": BatchNorm(), "relu": Activation(relu)}
    return {**body, **last, "pool": GlobalAvgPool(), "output": output}


def _dense_layer(growth: int) -> Layer:
    return concatenated(
        all_before=Identity(),
        new=serial(*_norm_relu_conv(4 * growth, 1), *_norm_relu_conv(growth, 3)),
    )


def _norm_relu_conv(features: int, window: int) -> tuple[Layer, ...]:
    conv = Conv(features, window, padding=window // 2, use_bias=False)
    return BatchNorm(), Activation(relu), conv
