"""The network behind many of the best results on MNIST: Chris Deotte 2018, "25 Million Images!".

Published: 99.64 % ± 0.05 of the test digits for one network, 30 epochs of augmented digits, Adam at
1e-3 times 0.95 per epoch, batch 64.
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
    Serial,
    serial,
)
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu


def accurate_mnist(classes: int = 10) -> Serial:
    """Seven convolutions, 32-32-32-64-64-64-128 wide, no pooling; 326,410 parameters, on 28×28.

    Every third convolution halves the maps by its stride. Batch norm comes after the rectifiers,
    dropout of 0.4 after every third layer.

    Raises:
        TypeError, ValueError: classes is no integer above 0.
    """
    classes = check.integer("accurate_mnist", "classes", classes, minimum=1)
    return serial(
        group1=_group(32),
        group2=_group(64),
        top=_layer(Conv(128, 4)),
        flatten=Flatten(),
        dropout=Dropout(0.4),
        output=Dense(classes, weight_init=lecun_normal),
    )


def _group(features: int) -> Layer:
    conv, halving = Conv(features, 3), Conv(features, 5, stride=2, padding="SAME")
    return serial(_layer(conv), _layer(conv), _layer(halving), Dropout(0.4))


def _layer(conv: Conv) -> Layer:
    # The settings of Keras, which the original uses by default.
    return serial(conv, Activation(relu), BatchNorm(0.99, epsilon=1e-3))
