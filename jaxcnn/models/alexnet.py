"""AlexNet: Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional
Neural Networks"; as in Quan, "AlexNet": one column, 62,378,344 parameters. The later one is that of
Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks". The small one
for CIFAR is that of Zhang et al. 2017, "Understanding Deep Learning Requires Rethinking
Generalization", appendix A, with 1,387,786 parameters for their crops of 28×28.
"""

from collections.abc import Sequence
from functools import partial

from jax.nn import initializers

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LocalResponseNorm,
    MaxPool,
    Serial,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu

WIDTHS = (96, 256, 384, 384, 256)
WIDTHS_2014 = (64, 192, 384, 256, 256)

# The paper's 5: normal with standard deviation 0.01; biases of 1 start the rectifiers off.
_NORMAL, _ONES = initializers.normal(0.01), initializers.ones


def alexnet(classes: int = 1000, *, widths: Sequence[int] = WIDTHS, hidden: int = 4096) -> Serial:
    """Five convolutions, overlapping poolings 3×3 at stride 2, three dense layers; on 227×227×3.

    In the paper's order: relu, local response normalisation, pooling. (Its two columns, which share
    the convolutions between two GPUs, are one here; Quan prints conv2 with stride 2: it is 1.)

    Args:
        classes: how many logits come out.
        widths: the maps of the five convolutions.
        hidden: the units of the two hidden dense layers.

    Raises:
        TypeError, ValueError: classes, hidden or a width is no integer above 0, or there are not
            five widths.
    """
    classes = check.integer("alexnet", "classes", classes, minimum=1)
    hidden = check.integer("alexnet", "hidden", hidden, minimum=1)
    one, two, three, four, five = check.integers("alexnet", "widths", widths, count=5)
    pool, norm, activation = MaxPool(3, 2), LocalResponseNorm(), Activation(relu)
    conv, dense = partial(Conv, kernel_init=_NORMAL), partial(Dense, weight_init=_NORMAL)
    return serial(
        conv1=conv(one, 11, stride=4),
        relu1=activation,
        norm1=norm,
        pool1=pool,
        conv2=conv(two, 5, padding=2, bias_init=_ONES),
        relu2=activation,
        norm2=norm,
        pool2=pool,
        conv3=conv(three, 3, padding=1),
        relu3=activation,
        conv4=conv(four, 3, padding=1, bias_init=_ONES),
        relu4=activation,
        conv5=conv(five, 3, padding=1, bias_init=_ONES),
        relu5=activation,
        pool5=pool,
        flatten=Flatten(),
        dropout6=Dropout(0.5),
        dense6=dense(hidden, bias_init=_ONES),
        relu6=activation,
        dropout7=Dropout(0.5),
        dense7=dense(hidden, bias_init=_ONES),
        relu7=activation,
        output=dense(classes),
    )


def alexnet_2014(
    classes: int = 1000, *, widths: Sequence[int] = WIDTHS_2014, hidden: int = 4096
) -> Serial:
    """AlexNet in one column as its author had it later, without local responses; on 224×224×3.

    61,100,840 parameters; the network whose weights PyTorch has.

    Args:
        classes: how many logits come out.
        widths: the maps of the five convolutions.
        hidden: the units of the two hidden dense layers.

    Raises:
        TypeError, ValueError: classes, hidden or a width is no integer above 0, or there are not
            five widths.
    """
    classes = check.integer("alexnet_2014", "classes", classes, minimum=1)
    hidden = check.integer("alexnet_2014", "hidden", hidden, minimum=1)
    one, two, three, four, five = check.integers("alexnet_2014", "widths", widths, count=5)
    pool, activation = MaxPool(3, 2), Activation(relu)
    return serial(
        conv1=Conv(one, 11, stride=4, padding=2),
        relu1=activation,
        pool1=pool,
        conv2=Conv(two, 5, padding=2),
        relu2=activation,
        pool2=pool,
        conv3=Conv(three, 3, padding=1),
        relu3=activation,
        conv4=Conv(four, 3, padding=1),
        relu4=activation,
        conv5=Conv(five, 3, padding=1),
        relu5=activation,
        pool5=pool,
        flatten=Flatten(),
        dropout6=Dropout(0.5),
        dense6=Dense(hidden),
        relu6=activation,
        dropout7=Dropout(0.5),
        dense7=Dense(hidden),
        relu7=activation,
        output=Dense(classes, weight_init=lecun_normal),
    )


def small_alexnet(classes: int = 10) -> Serial:
    """Two times conv 64@5×5 → relu → pool 3×3 at stride 2 → normalisation; then 384, 192, classes.

    For maps of 28×28×3 (1,387,786 parameters) or 32×32×3; 24×24×3 gives the 1,068,298 parameters of
    TensorFlow's tutorial on CIFAR-10.

    Raises:
        TypeError, ValueError: classes is no integer above 0.
    """
    classes = check.integer("small_alexnet", "classes", classes, minimum=1)
    conv, pool, activation = Conv(64, 5, padding="SAME"), MaxPool(3, 2, "SAME"), Activation(relu)
    # Four neighbours on either side, as the tutorial has it.
    norm = LocalResponseNorm(9, k=1.0, alpha=0.001 / 9)
    return serial(
        conv1=conv,
        relu1=activation,
        pool1=pool,
        norm1=norm,
        conv2=conv,
        relu2=activation,
        pool2=pool,
        norm2=norm,
        flatten=Flatten(),
        dense3=Dense(384),
        relu3=activation,
        dense4=Dense(192),
        relu4=activation,
        output=Dense(classes, weight_init=lecun_normal),
    )
