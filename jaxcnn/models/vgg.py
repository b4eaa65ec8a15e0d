"""A small VGG: Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", cut down to three blocks for maps of 32×32.
"""

from jaxcnn import check
from jaxcnn.layers import Activation, Conv, Dense, Flatten, Layer, MaxPool, Serial, serial
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu


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
