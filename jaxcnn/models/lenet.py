"""LeNet-5: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition"; as in Quan, "LeNet-5": 61,706 parameters, every map of C3 reads every map of S2. In
the paper a table says which it reads (table I).
"""

from jax.nn import initializers

from jaxcnn import check
from jaxcnn.layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    MaxPool,
    ScaleChannels,
    Serial,
    SumPool,
    TableConv,
    serial,
)
from jaxcnn.models.initial import he_normal, lecun_normal
from jaxcnn.ops.activation import relu, tanh

FLAVOURS = ("relu", "1998", "paper")

# Table I: the maps of S2 that each map of C3 reads.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# The coefficients of the subsampling begin at what makes an average of the sum.
_QUARTER = initializers.constant(0.25)


def lenet5(flavour: str = "relu", *, classes: int = 10) -> Serial:
    """conv 6@5×5 → pool → conv 16@5×5 → pool → 120 → 84 → classes, on 32×32 maps.

    28×28 digits are padded by 2 first. Layers have the paper's names; those in between are named
    after what they do.

    Args:
        flavour: "relu", max pooling and rectifiers, as in the lecture; "1998", average pooling and
            tanh, closer to the paper; or "paper", with its table for C3 (1,516 parameters) and its
            subsampling, a sum times a coefficient plus a bias, both trained for each map: the
            paper's 60,000 parameters up to F6. Its scaled tanh and its fixed radial basis functions
            behind F6 are a tanh and a dense layer here.
        classes: how many logits come out.

    Raises:
        TypeError, ValueError: flavour is none of these, or classes no integer above 0.
    """
    check.choice("lenet5", "flavour", flavour, FLAVOURS)
    classes = check.integer("lenet5", "classes", classes, minimum=1)
    if flavour == "relu":
        pool, activation, init = MaxPool(2), Activation(relu), he_normal
    else:
        pool, activation, init = AvgPool(2), Activation(tanh), lecun_normal
    c3: Layer = Conv(16, 5, kernel_init=init)
    if flavour == "paper":
        pool = serial(SumPool(2), ScaleChannels(scale_init=_QUARTER), activation)
        c3 = TableConv(C3_TABLE, 5, kernel_init=init)
    return serial(
        c1=Conv(6, 5, kernel_init=init),
        c1_activation=activation,
        s2=pool,
        c3=c3,
        c3_activation=activation,
        s4=pool,
        flatten=Flatten(),
        c5=Dense(120, weight_init=init),
        c5_activation=activation,
        f6=Dense(84, weight_init=init),
        f6_activation=activation,
        output=Dense(classes, weight_init=lecun_normal),
    )
