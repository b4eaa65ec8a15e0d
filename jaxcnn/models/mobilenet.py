"""A network of depthwise-separable convolutions: Howard et al. 2017, "MobileNets: Efficient
Convolutional Neural Networks for Mobile Vision Applications", table 1; Quan, "Conventional vs.
depth-wise convolution".
"""

from collections.abc import Sequence

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    GlobalAvgPool,
    Layer,
    Serial,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu
from jaxcnn.ops.rectifiers import relu6

# The maps and the stride of each block.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2),
    (1024, 1),
)  # fmt: skip


def mobilenet(
    classes: int = 10,
    *,
    width: float = 1.0,
    stem_stride: int = 1,
    blocks: Sequence[tuple[int, int]] = BLOCKS,
    clipped: bool = False,
) -> Serial:
    """A convolution 3×3, thirteen blocks, each depthwise 3×3 then 1×1, the average, the logits.

    For 32×32×3, where the first convolution does not shrink the maps; `mobilenet(1000,
    stem_stride=2)` is the paper's network for 224×224×3, of 4.2 M parameters.

    Args:
        classes: how many logits come out.
        width: the paper's multiplier α of all widths.
        stem_stride: the stride of the first convolution.
        blocks: the maps and the stride of each block.
        clipped: whether rectifiers stop at 6, as in the authors' code, but not in the paper.

    Raises:
        TypeError, ValueError: classes, stem_stride or an entry of blocks is no integer above 0,
            width no number above 0, or clipped no bool.
    """
    classes = check.integer("mobilenet", "classes", classes, minimum=1)
    stem_stride = check.integer("mobilenet", "stem_stride", stem_stride, minimum=1)
    if not check.is_sequence(blocks):
        raise TypeError(
            "mobilenet: blocks must be a sequence of pairs of maps and a stride, "
            f"got {check.shown(blocks)}"
        )
    if not blocks:
        raise ValueError("mobilenet: blocks must hold at least one pair, got none")
    shapes = [
        check.integers("mobilenet", f"blocks[{position}]", block, count=2)
        for position, block in enumerate(blocks)
    ]
    width = check.positive("mobilenet", "width", width)
    activation = Activation(relu6 if check.boolean("mobilenet", "clipped", clipped) else relu)

    def scaled(features: int) -> int:
        return max(1, check.integer("mobilenet", "width · maps", round(width * features)))

    stem = Conv(scaled(32), 3, stride=stem_stride, padding=1, use_bias=False)
    return serial(
        stem=serial(stem, BatchNorm(), activation),
        blocks=serial(
            *(_separable(scaled(features), step, activation) for features, step in shapes)
        ),
        pool=GlobalAvgPool(),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _separable(features: int, stride: int, activation: Layer) -> Layer:
    return serial(
        depthwise=DepthwiseConv(3, stride=stride, padding=1, use_bias=False),
        norm1=BatchNorm(),
        relu1=activation,
        pointwise=Conv(features, 1, use_bias=False),
        norm2=BatchNorm(),
        relu2=activation,
    )
