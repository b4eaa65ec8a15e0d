"""VGGs: Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", table 1; and a small one, cut down to three blocks for maps of 32×32.
"""

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool,
    Serial,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu

# How many convolutions each block has: configurations A, B, D and E.
BLOCKS = {11: (1, 1, 2, 2, 2), 13: (2,) * 5, 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(
    depth: int = 16,
    classes: int = 1000,
    *,
    batch_norm: bool = False,
    width: int = 64,
    hidden: int = 4096,
) -> Serial:
    """Five blocks of convolutions 3×3, each with a pooling after it; three dense; for 224×224×3.

    138,357,544 parameters for depth 16, 132,863,336 for 11.

    Args:
        depth: 11, 13, 16 or 19, the layers with weights.
        classes: how many logits come out.
        batch_norm: whether a batch norm follows each convolution, as in later implementations.
        width: the maps of the first block; 2, 4, 8 and 8 times as many in the others.
        hidden: the units of the two dense layers before the logits.

    Raises:
        TypeError, ValueError: there is no such depth, batch_norm is no bool, or another argument no
            integer above 0.
    """
    if check.integer("vgg", "depth", depth) not in BLOCKS:
        raise ValueError(f"vgg: depth must be one of 11, 13, 16, 19, got {check.shown(depth)}")
    classes = check.integer("vgg", "classes", classes, minimum=1)
    batch_norm = check.boolean("vgg", "batch_norm", batch_norm)
    width = check.integer("vgg", "width", width, minimum=1)
    hidden = check.integer("vgg", "hidden", hidden, minimum=1)
    norm, activation = [BatchNorm()] * batch_norm, Activation(relu)
    blocks = {}
    for number, count in enumerate(BLOCKS[depth]):
        conv = Conv(width << min(number, 3), 3, padding=1)
        blocks[f"block{number + 1}"] = serial(*[conv, *norm, activation] * count, MaxPool(2))
    return serial(
        **blocks,
        flatten=Flatten(),
        dense1=Dense(hidden),
        relu1=activation,
        drop1=Dropout(0.5),
        dense2=Dense(hidden),
        relu2=activation,
        drop2=Dropout(0.5),
        output=Dense(classes, weight_init=lecun_normal),
    )


def vgg6(classes: int = 10, *, hidden: int = 128) -> Serial:
    """Six convolutions of 3×3, 32-32-64-64-128-128 wide, a pooling after each pair; two dense.

    550,570 parameters for 32×32×3 and 10 classes.

    Args:
        classes: how many logits come out.
        hidden: the units of the dense layer before them.

    Raises:
        TypeError, ValueError: an argument is no integer above 0.
    """
    classes = check.integer("vgg6", "classes", classes, minimum=1)
    hidden = check.integer("vgg6", "hidden", hidden, minimum=1)
    return serial(
        block1=_block(32),
        block2=_block(64),
        block3=_block(128),
        flatten=Flatten(),
        dense=Dense(hidden),
        relu=Activation(relu),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _block(features: int) -> Layer:
    conv, activation = Conv(features, 3, padding="SAME"), Activation(relu)
    return serial(conv, activation, conv, activation, MaxPool(2))
