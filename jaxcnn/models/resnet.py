"""ResNets: He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition": those of
section 4.2, for CIFAR. Quan, "ResNet": conv – bn – relu – conv – bn, plus the shortcut, and a relu
after the addition.
"""

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    Identity,
    Layer,
    PadChannels,
    Serial,
    Subsample,
    residual,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu


def resnet(depth: int = 20, classes: int = 10, *, width: int = 16, shortcut: str = "A") -> Serial:
    """A stem, then three stages of n blocks, `width`, 2 and 4 times as wide; for 32×32×3.

    With the default width 0.27 M parameters for depth 20, 0.85 M for 56, 1.7 M for 110.

    Args:
        depth: 6n + 2, the layers with weights.
        classes: how many logits come out.
        width: the maps of the first stage.
        shortcut: where a stage begins, at half the size: "A", every other element and zeros for the
            new maps, without parameters; or "B", a convolution 1×1.

    Raises:
        TypeError, ValueError: depth is not 6n + 2, width or classes no integer above 0, or there is
            no such shortcut.
    """
    depth = check.integer("resnet", "depth", depth)
    classes = check.integer("resnet", "classes", classes, minimum=1)
    width = check.integer("resnet", "width", width, minimum=1)
    check.choice("resnet", "shortcut", shortcut, ("A", "B"))
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"resnet: depth must be 6n + 2, as 20, 56 or 110, got {depth}")
    stages, wide = {}, width
    for number in range(3):
        blocks = []
        for block in range(depth // 6):
            stride = 2 if number > 0 and block == 0 else 1
            way = Identity() if stride == 1 else _shortcut(shortcut, wide)
            blocks.append(basic_block(width << number, stride, way))
            wide = width << number
        stages[f"stage{number + 1}"] = serial(*blocks)
    return serial(
        stem=conv_norm(width, 3),
        relu=Activation(relu),
        **stages,
        pool=GlobalAvgPool(),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _shortcut(kind: str, wide: int) -> Layer:
    """From `wide` maps to twice as many of half the size."""
    if kind == "A":
        return serial(Subsample(2), PadChannels(after=wide))
    return conv_norm(2 * wide, 1, 2)


def basic_block(features: int, stride: int, shortcut: Layer) -> Layer:
    """Two convolutions 3×3, plus the shortcut, and a rectifier after the addition."""
    body = conv_norm(features, 3, stride), Activation(relu), conv_norm(features, 3)
    return serial(residual(*body, shortcut=shortcut), Activation(relu))


def conv_norm(features: int, window: int, stride: int = 1) -> Layer:
    """A convolution that keeps the size but for its stride, and batch norm in place of its bias."""
    conv = Conv(features, window, stride=stride, padding=window // 2, use_bias=False)
    return serial(conv, BatchNorm())
