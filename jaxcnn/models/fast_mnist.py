"""A small network that reads MNIST to 99 % after one epoch: Tuomas Oikarinen, "train_mnist_fast".

Published: 99.04 % ± 0.07 of the test digits (30 runs) after one epoch of Adam, batch 256.
"""

from jaxcnn import check
from jaxcnn.layers import Activation, Conv, Dense, Flatten, MaxPool, Serial, serial
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops.activation import relu


def fast_mnist(classes: int = 10) -> Serial:
    """conv 24@5×5 → pool → relu → conv 32@3×3 → pool → relu → 256 → classes, on 28×28 digits.

    The rectifier comes after the pooling: the result is the same, with a quarter of the work.

    Raises:
        TypeError, ValueError: classes is no integer above 0.
    """
    classes = check.integer("fast_mnist", "classes", classes, minimum=1)
    return serial(
        conv1=Conv(24, 5),
        pool1=MaxPool(2),
        relu1=Activation(relu),
        conv2=Conv(32, 3),
        pool2=MaxPool(2),
        relu2=Activation(relu),
        flatten=Flatten(),
        dense=Dense(256),
        relu3=Activation(relu),
        output=Dense(classes, weight_init=lecun_normal),
    )
