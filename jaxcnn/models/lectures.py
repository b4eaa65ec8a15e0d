"""The small examples of the lectures: Huang, Gormley, Ray; the documentation says who they are."""

from collections.abc import Callable, Sequence
from typing import Any

from jaxcnn import check
from jaxcnn.layers import Activation, AvgPool, Conv, Dense, Flatten, MaxPool, Serial, serial
from jaxcnn.models.initial import lecun_normal
from jaxcnn.ops import rule_of
from jaxcnn.ops.activation import relu, sigmoid


def conv_pool_dense(
    outputs: int = 10, *, features: Sequence[int] = (4, 8), window: int = 3
) -> Serial:
    """conv → pool → … → dense, sigmoids after the convolutions, on signals or on maps.

    Huang, "Forward pass" and "2D CNN". Average pooling of two neighbours. The last layer gives
    pre-activations: his outputs are their sigmoid or softmax, which the losses take care of.

    Args:
        outputs: K, how many numbers come out.
        features: the maps of each convolution; there are as many as numbers here.
        window: the size of the filters.

    Raises:
        TypeError, ValueError: an argument is no integer above 0, or features is empty.
    """
    blocks = [
        (conv, Activation(sigmoid), AvgPool(2))
        for conv in _convolutions("conv_pool_dense", outputs, features, window, 1)
    ]
    return serial(*(layer for block in blocks for layer in block), Flatten(), _logits(outputs))


def conv_dense(
    outputs: int = 10, *, features: Sequence[int] = (4, 8), window: int = 3, stride: int = 2
) -> Serial:
    """conv → … → dense without pooling: a stride shrinks signals or maps.

    Huang, "Relationship to MLP?" and its remark that pooling can be done without.

    Args:
        outputs: K, how many numbers come out.
        features: the maps of each convolution; there are as many as numbers here.
        window: the size of the filters.
        stride: of the convolutions.

    Raises:
        TypeError, ValueError: an argument is no integer above 0, or features is empty.
    """
    stride = check.integer("conv_dense", "stride", stride, minimum=1)
    blocks = [
        (conv, Activation(sigmoid))
        for conv in _convolutions("conv_dense", outputs, features, window, stride)
    ]
    return serial(*(layer for block in blocks for layer in block), Flatten(), _logits(outputs))


def gormley_cnn(classes: int = 10, *, features: tuple[int, int] = (4, 8)) -> Serial:
    """conv(α) → max-pool → conv(β) → relu → linear(w): z⁽¹⁾ to z⁽⁵⁾, whose softmax is y.

    Gormley, "SGD for CNNs". θ = [α, β, w]: there are no biases. He leaves the sizes open.

    Args:
        classes: how many logits come out.
        features: the maps of the two convolutions.

    Raises:
        TypeError, ValueError: an argument is no integer above 0, or there are not two widths.
    """
    classes = check.integer("gormley_cnn", "classes", classes, minimum=1)
    one, two = check.integers("gormley_cnn", "features", features, count=2)
    return serial(
        z1=Conv(one, 3, use_bias=False),
        z2=MaxPool(2),
        z3=Conv(two, 3, use_bias=False),
        z4=Activation(relu),
        flatten=Flatten(),
        z5=Dense(classes, use_bias=False, weight_init=lecun_normal),
    )


def ray_cnn(window: int = 3, *, pool: int = 2) -> Serial:
    """I → conv K → relu → max-pool: one filter, one map, no bias, compared with an ideal map.

    Ray, "Putting it all together"; 2×2 windows of stride 2 as in his example.

    Args:
        window: the size of the filter K.
        pool: the size and the stride of the pooling.

    Raises:
        TypeError, ValueError: an argument is no integer above 0.
    """
    window = check.integer("ray_cnn", "window", window, minimum=1)
    pool = check.integer("ray_cnn", "pool", pool, minimum=1)
    return serial(conv=Conv(1, window, use_bias=False), relu=Activation(relu), pool=MaxPool(pool))


def logistic_regression(outputs: int = 1) -> Serial:
    """u = θ·x + b, whose sigmoid (or, for several outputs, softmax) is the prediction.

    Gormley, "Case 1: Logistic Regression".

    Raises:
        TypeError, ValueError: outputs is no integer above 0.
    """
    outputs = check.integer("logistic_regression", "outputs", outputs, minimum=1)
    return serial(Flatten(), _logits(outputs))


def mlp(*widths: int, outputs: int = 1, activation: Callable[..., Any] = sigmoid) -> Serial:
    """Dense layers with an activation between them: mlp(4) is Gormley's Case 2, mlp(4, 3) Quiz 2.

    Gormley, "Case 2: Neural Network" and "Differentiation Quiz 2"; Huang, "Relationship to MLP?".

    Args:
        widths: the units of the hidden layers.
        outputs: how many numbers come out.
        activation: an operation of jaxcnn without settings.

    Raises:
        TypeError, ValueError: a width is no integer above 0, or activation no operation of jaxcnn.
    """
    outputs = check.integer("mlp", "outputs", outputs, minimum=1)
    rule_of(activation, "mlp: activation")
    hidden = [
        layer
        for width in widths
        for layer in (
            Dense(check.integer("mlp", "widths", width, minimum=1), weight_init=lecun_normal),
            Activation(activation),
        )
    ]
    return serial(Flatten(), *hidden, _logits(outputs))


def _convolutions(
    op: str, outputs: int, features: Sequence[int], window: int, stride: int
) -> list[Conv]:
    outputs = check.integer(op, "outputs", outputs, minimum=1)
    window = check.integer(op, "window", window, minimum=1)
    widths = check.integers(op, "features", features)
    if not widths:
        raise ValueError(f"{op}: features must hold at least one number of maps, got none")
    return [Conv(width, window, stride=stride, kernel_init=lecun_normal) for width in widths]


def _logits(outputs: int) -> Dense:
    return Dense(outputs, weight_init=lecun_normal)
