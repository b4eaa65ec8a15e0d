"""The words by which one looks for an operation: those of its name written out, and other names."""

import re
from itertools import product

WORDS = {
    "conv": "convolution", "pool": "pooling", "unpool": "unpooling", "avg": "average",
    "lp": "Lp", "norm": "normalisation", "grad": "gradient", "l1": "L1", "kl": "KL",
    "relu": "ReLU", "rms": "RMS",
}  # fmt: skip
"""What parts of names are short for."""
NAMES: dict[str, tuple[str, ...]] = {
    "conv": ("convolution", "cross-correlation"),
    "conv_input_grad": ("gradient of a convolution by its input",),
    "conv_kernel_grad": ("gradient of a convolution by its kernel",),
    "true_conv": ("convolution with the kernel flipped", "true convolution"),
    "table_conv": ("convolution by a table of connections",),
    "conv_transpose": ("transposed convolution", "deconvolution"),
    "pad": ("padding", "zero padding"),
    "rot180": ("rotation by 180°", "flipped kernel"),
    "dilate": ("dilation by zeros",),
    "subsample": ("subsampling",),
    "sum_pool_input_grad": ("gradient of sum pooling",),
    "upsample": ("upsampling", "nearest-neighbour upsampling"),
    "resize": ("resizing", "bilinear interpolation", "interpolation"),
    "resize_input_grad": ("gradient of resizing",),
    "pixel_shuffle": ("pixel shuffle", "depth to space", "sub-pixel convolution"),
    "pixel_unshuffle": ("pixel unshuffle", "space to depth"),
    "patches": ("im2col", "unfold"),
    "fold": ("col2im",),
    "dense": ("fully connected layer", "linear layer", "dense layer"),
    "dense_input_grad": ("gradient of a dense layer by its input",),
    "dense_weight_grad": ("gradient of a dense layer by its weight",),
    "embedding": ("lookup in a table", "word embedding"),
    "embedding_table_grad": ("gradient of an embedding by its table",),
    "concatenate": ("concatenation of channels", "concatenation"),
    "relu": ("rectified linear unit",),
    "leaky_relu": ("leaky rectified linear unit", "leaky ReLU"),
    "prelu": ("parametric ReLU", "parametric rectified linear unit"),
    "elu": ("exponential linear unit",),
    "celu": ("continuously differentiable exponential linear unit",),
    "selu": ("scaled exponential linear unit",),
    "gelu": ("Gaussian error linear unit",),
    "silu": ("sigmoid linear unit", "swish"),
    "erf": ("error function",),
    "sigmoid": ("logistic function",),
    "tanh": ("hyperbolic tangent",),
    "batch_norm_inference": ("batch normalisation in evaluation", "batch normalisation inference"),
    "rms_norm": ("RMS normalisation", "root mean square normalisation"),
    "softmax_cross_entropy": ("softmax cross-entropy", "cross-entropy loss", "cross-entropy"),
    "sigmoid_binary_cross_entropy": ("binary cross-entropy", "sigmoid binary cross-entropy"),
    "squared_error": ("squared error", "mean squared error", "L2 loss"),
    "absolute_error": ("absolute error", "mean absolute error", "L1 loss"),
    "huber": ("Huber loss",),
    "kl_divergence": ("Kullback–Leibler divergence", "KL divergence"),
    "weight_decay": ("weight decay", "L2 regularisation"),
    "spatial_dropout": ("spatial dropout", "channel dropout"),
}
"""Of operations that are called by more than their own names."""


def heading(name: str) -> str:
    """An operation's name, and what it is in words, if they say more."""
    words = NAMES.get(name, (written_out(name),))[0]
    return name if words == name else f"{name}: {words}"


def written_out(name: str) -> str:
    """max_pool as max pooling."""
    return " ".join(WORDS.get(part, part) for part in name.split("_"))


def phrases(name: str) -> list[str]:
    """All that one may type to find an operation, in either spelling, with hyphens or without."""
    found = [*NAMES.get(name, ()), written_out(name), name, name.replace("_", " ")]
    spellings = (
        (("", ""), ("isation", "ization"), ("neighbour", "neighbor")),
        (("", ""), ("-", " ")),
    )
    for phrase, *changes in product(tuple(found), *spellings):
        for old, new in changes:
            phrase = phrase.replace(old, new) if old else phrase
        found.append(phrase)
    return list(dict.fromkeys(re.sub(r"[;!,]", "", phrase) for phrase in found))
