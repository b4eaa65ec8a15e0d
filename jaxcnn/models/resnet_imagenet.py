"""ResNets for ImageNet: He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image
Recognition", table 1 with projections where the shape changes (option B); Quan, "ResNet".
"""

from collections.abc import Sequence

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    Dense,
    GlobalAvgPool,
    Identity,
    Layer,
    MaxPool,
    Serial,
    residual,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.models.resnet import basic_block, conv_norm
from jaxcnn.ops.activation import relu

# How many blocks each stage has.
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
# From this many layers on a block is a bottleneck, whose output is four times as wide.
_BOTTLENECKS = 50


def resnet_imagenet(
    depth: int = 18,
    classes: int = 1000,
    *,
    width: int = 64,
    stages: Sequence[int] | None = None,
) -> Serial:
    """A stem of stride 2, a pooling 3×3, four stages of twice the width each; for 224×224×3.

    11,689,512 parameters for depth 18, 25,557,032 for 50. In a bottleneck the convolution 3×3 has
    the stride, as in later implementations; in the paper it is the first one, 1×1.

    Args:
        depth: 18 or 34, of two convolutions 3×3 per block; 50 or 101, of 1×1, 3×3, 1×1.
        classes: how many logits come out.
        width: the maps of the stem.
        stages: how many blocks each stage has; by default as many as the depth says.

    Raises:
        TypeError, ValueError: there is no such depth, or another argument is no integer above 0.
    """
    op = "resnet_imagenet"
    if check.integer(op, "depth", depth) not in STAGES:
        raise ValueError(
            f"{op}: depth must be one of {', '.join(map(str, STAGES))}, got {check.shown(depth)}"
        )
    classes = check.integer(op, "classes", classes, minimum=1)
    width = check.integer(op, "width", width, minimum=1)
    counts = check.integers(op, "stages", STAGES[depth] if stages is None else stages)
    if not counts:
        raise ValueError(f"{op}: stages must hold at least one number of blocks, got none")
    block, factor = (_bottleneck, 4) if depth >= _BOTTLENECKS else (basic_block, 1)
    body, wide = {}, width
    for number, count in enumerate(counts):
        features, stride = width << number, 2 if number > 0 else 1
        out = factor * features
        shortcut = Identity() if wide == out else conv_norm(out, 1, stride)
        others = [block(features, 1, Identity())] * (count - 1)
        body[f"stage{number + 1}"] = serial(block(features, stride, shortcut), *others)
        wide = out
    return serial(
        stem=conv_norm(width, 7, 2),
        relu=Activation(relu),
        pool=MaxPool(3, 2, 1),
        **body,
        average=GlobalAvgPool(),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _bottleneck(features: int, stride: int, shortcut: Layer) -> Layer:
    activation = Activation(relu)
    body = serial(
        conv_norm(features, 1),
        activation,
        conv_norm(features, 3, stride),
        activation,
        conv_norm(4 * features, 1),
    )
    return serial(residual(body, shortcut=shortcut), activation)
