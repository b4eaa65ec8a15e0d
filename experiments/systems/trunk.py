"""The kind of trunk that the detector, the pose estimator and the transfer share."""

from __future__ import annotations

from jaxcnn.layers import Activation, BatchNorm, Conv, Layer, MaxPool, Serial, serial
from jaxcnn.ops.activation import relu


def trunk(*widths: int) -> Serial:
    """conv 5×5 → conv 3×3 → …, each with batch norm and rectifier.

    The first convolution has stride 2, between the others lies a 2×2 maximum. With four widths an
    element of the result sees 39×39 pixels, about as much as the largest digit or figure takes.
    """
    layers: list[Layer] = []
    for number, width in enumerate(widths):
        if number > 1:
            layers.append(MaxPool(2))
        window, stride = (3, 1) if number else (5, 2)
        # Batch norm has a bias of its own.
        layers += [
            Conv(width, window, stride, padding="SAME", use_bias=False),
            BatchNorm(),
            Activation(relu),
        ]
    return serial(*layers)
