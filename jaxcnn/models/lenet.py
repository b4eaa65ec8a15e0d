"""LeNet-5: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition"; as in Quan, "LeNet-5": 61,706 parameters, every map of C3 reads every map of S2.
"""

from jax.nn import initializers

from jaxcnn import check
from jaxcnn.layers import Activation, AvgPool, Conv, Dense, Flatten, MaxPool, Serial, serial
from jaxcnn.ops.activation import relu, tanh

FLAVOURS = ("relu", "1998")

# Variance 2/fan_in suits rectifiers (He et al. 2015), 1/fan_in suits tanh and the logits (LeCun et
# al. 1998, "Efficient BackProp"). Made once, so that two networks of the same kind are equal.
_HE, _LECUN = initializers.he_normal(), initializers.lecun_normal()


def lenet5(flavour: str = "relu", *, classes: int = 10) -> Serial:
    """conv 6@5×5 → pool → conv 16@5×5 → pool → 120 → 84 → classes, on 32×32 maps.

    28×28 digits are padded by 2 first. Layers have the paper's names; those in between are named
    after what they do.

    Args:
        flavour: "relu", max pooling and rectifiers, as in the lecture; or "1998", average pooling
            and tanh, closer to the paper.
        classes: how many logits come out.

    Raises:
        ValueError: flavour is neither.
    """
    check.choice("lenet5", "flavour", flavour, FLAVOURS)
    if flavour == "relu":
        pool, activation, init = MaxPool(2), Activation(relu), _HE
    else:
        pool, activation, init = AvgPool(2), Activation(tanh), _LECUN
    return serial(
        c1=Conv(6, 5, kernel_init=init),
        c1_activation=activation,
        s2=pool,
        c3=Conv(16, 5, kernel_init=init),
        c3_activation=activation,
        s4=pool,
        flatten=Flatten(),
        c5=Dense(120, weight_init=init),
        c5_activation=activation,
        f6=Dense(84, weight_init=init),
        f6_activation=activation,
        output=Dense(classes, weight_init=_LECUN),
    )
