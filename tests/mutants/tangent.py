"""Wrong tangents; the backward pass beside them is right."""

from dataclasses import replace

import jax.numpy as jnp
from mutants.activation import CELU, ELU, GELU, LEAKY, PRELU, SHRUNK, case
from mutants.channels import SCALE
from mutants.conv import GROUPED, INPUT_GRAD, KERNEL_GRAD, PADDED, SQUARE, flip, shift
from mutants.loss import (
    ABSOLUTE,
    BINARY,
    DECAY,
    HUBER,
    KL,
    LABELS,
    SOFT,
    SQUARED,
    WEIGHTED,
    negative,
    twice,
)
from mutants.norm import BATCH, EVEN, GROUP, INFERENCE, LAYER, RMS, none, ones
from mutants.other import (
    DENSE,
    DILATE,
    DROPOUT,
    FLATTEN,
    JOIN,
    LOG,
    ROT180,
    SHUFFLE,
    SIGMOID,
    SOFTMAX,
    TANH,
    ZERO,
)
from mutants.pool import (
    AVERAGE,
    GATHER,
    SCATTER,
    SUM,
    TIES,
    UNPADDED,
    UPSAMPLE,
    next_tap,
    of_every_step,
)
from mutants.resize import LINEAR, other
from mutants.select import BLOCK, EMBEDDING, SPATIAL, next_row
from mutants.variants import REFLECT, TABLED, TRANSPOSE, TRUE
from mutants.windows import FITTED_AVG, FITTED_MAX, NORM, PATCHES
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.lowering import pooling as lowering
from jaxcnn.ops.conv import conv_kernel_grad_map, conv_map
from jaxcnn.ops.elementary import power
from jaxcnn.ops.sum_pool import sum_pool_map

MAXIMUM = Case(jc.max_pool, {"x": (1, 7, 5, 2)}, {"window": 2}, kinked=True)
MAXOUT = Case(jc.maxout, {"x": (3, 6)}, {"pieces": 3}, kinked=True)


def inverted(right):
    return ~right


def next_one(right):
    return jnp.roll(right, 1, 0)


def part(index, change):
    """Of several results."""
    return lambda right: tuple(change(r) if i == index else r for i, r in enumerate(right))


def last_maximum(x, geometry):
    _, flipped = lowering.max_with_switches(jnp.flip(x, (1, 2)), geometry)
    return jnp.array(geometry.taps - 1, flipped.dtype) - jnp.flip(flipped, (1, 2))


def with_given_statistics(
    right, sharing, x, mean, variance, inverse, scale, x_dot, scale_dot, bias_dot
):
    """ẏ = γ r ẋ + x̂ γ̇ + β̇."""
    r = power(sharing.with_epsilon(variance, inverse), -0.5)
    normalised = (sharing.split(x) * inverse - mean) * r
    moved = sharing.weighted(sharing.split(x_dot) * (r * inverse), scale)
    moved = moved + sharing.weighted(normalised, scale_dot) + sharing.along(bias_dot, moved)
    return moved.reshape(x.shape), *right[1:]


def tangent_of(name, case, **formulas):
    """The right tangent of something else."""
    return given(name, case, of="tangent", **formulas)


MUTANTS = [
    tangent_of("conv: x ⋆ k̇ forgotten", SQUARE, kernel_dot=none),
    tangent_of("conv: ẋ ⋆ k forgotten", SQUARE, x_dot=none),
    tangent_of("conv: ḃ forgotten", SQUARE, bias_dot=none),
    tangent_of("conv: k̇ flipped", SQUARE, kernel_dot=flip),
    tangent_of("conv: k flipped", SQUARE, kernel=flip),
    tangent_of("conv: another example's", SQUARE, x_dot=next_one),
    tangent_of("conv: channels swapped", SQUARE, kernel=lambda right: jnp.swapaxes(right, -1, -2)),
    wrong("conv: negative", SQUARE, tangent=negative),
    wrong("conv: twice", SQUARE, tangent=twice),
    wrong("conv: with ẋ ⋆ k̇, which is not linear", SQUARE,
        tangent=lambda right, x_dot, kernel_dot, geometry: right + conv_map(x_dot, kernel_dot, None, geometry)),
    forgets("conv: order 2 forgets x and k", SQUARE, "residuals", of="tangent"),
    forgets("conv: order 2 forgets k", SQUARE, "kernel", of="tangent"),
    tangent_of("padded conv: padding off by one", PADDED, geometry=shift),
    tangent_of("grouped conv: groups swapped", GROUPED, x_dot=lambda right: jnp.roll(right, 2, -1)),
    tangent_of("input gradient: full(δ, rot180(k̇)) forgotten", INPUT_GRAD, kernel_dot=none),
    tangent_of("input gradient: k̇ turned", INPUT_GRAD, kernel_dot=flip),
    wrong("kernel gradient: the value", KERNEL_GRAD,
        tangent=lambda x, delta, geometry: conv_kernel_grad_map(x, delta, geometry)),
    tangent_of("true conv: k̇ not turned", TRUE, kernel_dot=flip),
    tangent_of("table: weights in another order", TABLED, weights_dot=lambda right: jnp.roll(right, 1, -1)),
    tangent_of("transposed: k flipped", TRANSPOSE, kernel=flip),
    tangent_of("dense: Ẇ transposed", DENSE, weight_dot=lambda right: right.T),
    tangent_of("dense: x Ẇ forgotten", DENSE, weight_dot=none),
    tangent_of("dense: ḃ of the first feature", DENSE, bias_dot=lambda right: jnp.full_like(right, right[0])),
    forgets("dense: order 2 forgets x", DENSE, "x", of="tangent"),
    tangent_of("scale channels: x γ̇ forgotten", SCALE, scale_dot=none),
    wrong("maximum: the window's average", MAXIMUM,
        tangent=lambda x_dot, geometry: sum_pool_map(x_dot, geometry) / geometry.taps),
    wrong("maximum: of ẋ, which is not linear", MAXIMUM,
        tangent=lambda x_dot, geometry: lowering.max_pool(x_dot, geometry)),
    tangent_of("maximum: one tap off", MAXIMUM, switches=of_every_step(next_tap)),
    tangent_of("maximum: the last of the ties", TIES,
        switches=lambda geometry: [last_maximum(TIES.arrays()[0], geometry)]),
    wrong("average: not divided", AVERAGE, tangent=lambda right: 9 * right),
    tangent_of("average: padding counted though left out", UNPADDED, count_include_pad=lambda: True),
    tangent_of("sum: one row off", SUM, x_dot=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("norm: the sign forgotten", NORM, x=lambda right: abs(right)),
    tangent_of("norm: one y for all windows", NORM, y=lambda right: jnp.full_like(right, right.mean())),
    forgets("norm: order 2 forgets y", NORM, "y", of="tangent"),
    tangent_of("adaptive average: turned", FITTED_AVG, x_dot=lambda right: jnp.flip(right, 1)),
    tangent_of("adaptive maximum: the place before", FITTED_MAX, positions=lambda right: abs(right - 1)),
    tangent_of("gather: one tap off", GATHER, switches=next_tap),
    tangent_of("scatter: one tap off", SCATTER, switches=next_tap),
    wrong("patches: the taps reversed", PATCHES, tangent=lambda right: jnp.flip(right, -1)),
    wrong("upsample: averaged", UPSAMPLE, tangent=lambda right: right / 6),
    tangent_of("relu: passes at 0", ZERO, positive=ones),
    tangent_of("leaky relu: the branches exchanged", LEAKY, positive=inverted),
    tangent_of("relu6: the mask inverted", case(jc.relu6), between=inverted),
    tangent_of("hard swish: mirrored", case(jc.hard_swish), x=negative),
    wrong("sigmoid: y for y(1 − y)", SIGMOID, tangent=lambda x, x_dot: x_dot * jc.sigmoid(x)),
    wrong("tanh: not linear", TANH, tangent=lambda right: right * right),
    tangent_of("gelu: exact for approximate", GELU, approximate=lambda: False),
    tangent_of("elu: α forgotten", ELU, alpha=lambda: 1.0),
    forgets("elu: order 2 takes x for a constant", ELU, "x", of="tangent"),
    wrong("softmax: the sum forgotten", SOFTMAX, tangent=lambda y, x_dot: y * x_dot),
    tangent_of("log softmax: the other axis", LOG, axis=lambda: 0),
    tangent_of("maxout: the first piece", MAXOUT, chosen=lambda right: next_one(right)),
    wrong("batch norm: statistics taken for constants", BATCH, tangent=with_given_statistics),
    tangent_of("batch norm: x̂ γ̇ forgotten", BATCH, scale_dot=none),
    tangent_of("batch norm: β̇ forgotten", BATCH, bias_dot=none),
    tangent_of("batch norm: γ forgotten", BATCH, scale=ones),
    forgets("batch norm: order 2 forgets μ and σ²", BATCH, "mean", "variance", of="tangent"),
    tangent_of("layer norm: ẋ of another example", LAYER, x_dot=next_one),
    tangent_of("layer norm: another μ", LAYER, mean=none),
    tangent_of("group norm: as if over one group", GROUP, sharing=lambda right: replace(right, epsilon=0.3)),
    tangent_of("rms norm: x̂ γ̇ forgotten", RMS, scale_dot=none),
    wrong("rms norm: twice", RMS, tangent=part(0, twice)),
    tangent_of("inference: μ forgotten", INFERENCE, mean=none),
    tangent_of("local response: another β", EVEN, beta=lambda right: right + 1),
    tangent_of("local response: a window of 3", EVEN, size=lambda: 3),
    forgets("local response: order 2 forgets x", EVEN, "x", of="tangent"),
    wrong("cross-entropy: t − y", LABELS, tangent=negative),
    tangent_of("cross-entropy: summed over the batch", LABELS, weighing=lambda right: replace(right, reduction="sum")),
    tangent_of("cross-entropy: ṫ forgotten", SOFT, targets_dot=none),
    tangent_of("cross-entropy: ẇ forgotten", WEIGHTED, class_weights_dot=none),
    tangent_of("cross-entropy: nothing ignored", WEIGHTED, weighing=lambda right: replace(right, ignore_index=None)),
    forgets("cross-entropy: order 2 forgets y", SOFT, "y", of="tangent"),
    tangent_of("binary cross-entropy: ṫ with the sign of u̇", BINARY, targets_dot=negative),
    tangent_of("squared error: ṫ has the sign of ẏ", SQUARED, targets_dot=negative),
    tangent_of("absolute error: the sign inverted", ABSOLUTE, above=inverted),
    tangent_of("huber: clipped at 1", HUBER, delta=lambda: 1.0),
    tangent_of("KL: ṫ forgotten", KL, targets_dot=none),
    wrong("weight decay: twice", DECAY, tangent=twice),
    tangent_of("dropout: the mask inverted", DROPOUT, mask=inverted),
    wrong("dropout: not rescaled", DROPOUT, tangent=lambda right: 0.6 * right),
    tangent_of("spatial dropout: the mask of another map", SPATIAL, mask=lambda right: jnp.roll(right, 1, -1)),
    tangent_of("drop block: the squares' neighbours", BLOCK, mask=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("embedding: the row after", EMBEDDING, ids=next_row),
    tangent_of("pad: circular for reflected", REFLECT, mode=lambda: "circular"),
    tangent_of("flatten: column-major", FLATTEN, x_dot=lambda right: jnp.swapaxes(right, 1, 2)),
    tangent_of("soft shrink: the bias for the threshold", SHRUNK, threshold=lambda bias: bias),
    tangent_of("celu: α = 1", CELU, alpha=lambda: 1.0),
    tangent_of("prelu: ṡ forgotten", PRELU, slope_dot=none),
    tangent_of("prelu: ẋ forgotten", PRELU, x_dot=none),
    forgets("prelu: order 2 forgets s", PRELU, "slope", of="tangent"),
    tangent_of("resize: corners on corners", LINEAR, geometry=other(coordinates="align_corners")),
    tangent_of("pixel shuffle: the other order", SHUFFLE, order=lambda: "DCR"),
    tangent_of("rot180: turned twice", ROT180, kernel_dot=flip),
    tangent_of("dilate: one off", DILATE, x_dot=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("concatenate: another order", JOIN, parts_dot=lambda right: right[::-1]),
]  # fmt: skip
