"""A network of inverted residuals: Sandler, Howard, Zhu, Zhmoginov and Chen 2018, "MobileNetV2:
Inverted Residuals and Linear Bottlenecks", tables 1 and 2.
"""

from collections.abc import Sequence

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    GlobalAvgPool,
    Layer,
    Serial,
    residual,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.rectifiers import relu6

# Table 2: t, how much wider a block is inside; c maps; n blocks; s, the stride of the first.
STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


def mobilenet_v2(
    classes: int = 1000,
    *,
    width: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = STAGES,
) -> Serial:
    """A convolution 3×3, seventeen blocks, a convolution 1×1, the average, logits; for 224×224×3.

    A block widens its maps by a convolution 1×1, convolves each by itself, and narrows them by
    another 1×1, with no activation behind. 3,504,872 parameters.

    Args:
        classes: how many logits come out.
        width: the multiplier of all widths, which are then rounded to multiples of 8; that of the
            last convolution grows only.
        stages: t, c, n and s of each row of the table.

    Raises:
        TypeError, ValueError: classes or an entry of stages is no integer above 0, or width no
            number above 0.
    """
    op = "mobilenet_v2"
    classes = check.integer(op, "classes", classes, minimum=1)
    width = check.positive(op, "width", width)
    if not check.is_sequence(stages):
        raise TypeError(
            f"{op}: stages must be a sequence of rows of t, c, n and s, got {check.shown(stages)}"
        )
    if not stages:
        raise ValueError(f"{op}: stages must hold at least one row, got none")
    rows = [
        check.integers(op, f"stages[{position}]", row, count=4)
        for position, row in enumerate(stages)
    ]
    wide = _scaled(width, 32)
    stem, body = _conv_norm_relu(wide, 3, 2), {}
    for number, (factor, features, count, stride) in enumerate(rows, 1):
        blocks = {}
        for block in range(count):
            maps, step = _scaled(width, features), stride if block == 0 else 1
            blocks[f"block{block + 1}"] = _inverted(wide, factor, maps, step)
            wide = maps
        body[f"stage{number}"] = serial(**blocks)
    return serial(
        stem=stem,
        **body,
        head=_conv_norm_relu(_scaled(max(1.0, width), 1280), 1),
        pool=GlobalAvgPool(),
        dropout=Dropout(0.2),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _scaled(width: float, maps: int) -> int:
    """The multiple of 8 next to width · maps, 8 at least, and no less than 0.9 of it."""
    wanted = width * maps
    near = max(8, check.integer("mobilenet_v2", "width · maps", int(wanted + 4)) // 8 * 8)
    return near + 8 * (near < 0.9 * wanted)


def _conv_norm_relu(features: int, window: int, stride: int = 1) -> Layer:
    conv = Conv(features, window, stride=stride, padding=window // 2, use_bias=False)
    return serial(conv, BatchNorm(), Activation(relu6))


def _inverted(wide: int, factor: int, features: int, stride: int) -> Layer:
    body = {} if factor == 1 else {"expand": _conv_norm_relu(factor * wide, 1)}
    depthwise = DepthwiseConv(3, stride=stride, padding=1, use_bias=False)
    block = serial(
        **body,
        depthwise=serial(depthwise, BatchNorm(), Activation(relu6)),
        project=Conv(features, 1, use_bias=False),
        norm=BatchNorm(),
    )
    return residual(block) if stride == 1 and wide == features else block
