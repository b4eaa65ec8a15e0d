"""Wrong tangents, each caught: by the twin, as no transpose of the backward pass, by differences.

The backward pass beside them is right.
"""

from dataclasses import replace

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.activation import stretched
from jaxcnn.gradcheck.cases.case import (
    Case,
    distribution,
    label_array,
    levels,
    normal,
    random_key,
    switch_array,
)
from jaxcnn.gradcheck.cases.loss import far_targets, positive
from jaxcnn.gradcheck.cases.norm import affine, statistics
from jaxcnn.lowering import pool as lowering
from jaxcnn.ops.conv import conv_kernel_grad_map, conv_map
from jaxcnn.ops.elementary import power
from jaxcnn.ops.sum_pool import sum_pool_map

CONV = Case(jc.conv, {"x": (2, 6, 6, 3), "kernel": (3, 3, 3, 3), "bias": (3,)})
PADDED = Case(jc.conv, {"x": (1, 6, 5, 2), "kernel": (3, 2, 2, 3)}, {"padding": ((1, 1), (1, 0))})
GROUPED = Case(jc.conv, {"x": (2, 5, 5, 4), "kernel": (3, 3, 2, 4)}, {"groups": 2})
INPUT_GRAD = Case(
    jc.conv_input_grad, {"delta": (2, 4, 4, 3), "kernel": (3, 3, 3, 3)}, {"input_size": (6, 6)}
)
KERNEL_GRAD = Case(
    jc.conv_kernel_grad, {"x": (2, 6, 6, 3), "delta": (2, 4, 4, 3)}, {"kernel_size": (3, 3)}
)
TRUE = Case(jc.true_conv, {"x": (1, 6, 5, 2), "kernel": (3, 3, 2, 2), "bias": (2,)})
TABLED = Case(
    jc.table_conv,
    {"x": (1, 5, 6, 3), "weights": (3, 2, 6), "bias": (3,)},
    {"table": ((0, 1), (1, 2), (0, 2))},
)
TRANSPOSE = Case(jc.conv_transpose, {"x": (2, 3, 3, 3), "kernel": (3, 3, 3, 3)}, {"stride": 2})
DENSE = Case(jc.dense, {"x": (3, 4), "weight": (4, 4), "bias": (4,)})
SCALE = Case(jc.scale_channels, {"x": (2, 3, 4), "scale": (4,), "bias": (4,)})


def pool(op, size, **settings):
    return Case(op, {"x": size}, settings, kinked=True)


MAXIMUM = pool(jc.max_pool, (1, 7, 5, 2), window=2)
TIES = Case(jc.max_pool, {"x": (2, 6, 6, 2)}, {"window": 2}, draw={"x": levels}, on_kinks=True)
AVERAGE = pool(jc.avg_pool, (1, 7, 6, 2), window=3, stride=2, padding=1)
UNPADDED = pool(jc.avg_pool, (1, 6, 6, 2), window=3, stride=2, padding=1, count_include_pad=False)
SUM = pool(jc.sum_pool, (1, 7, 7, 2), window=3, stride=2)
NORM = pool(jc.lp_pool, (1, 5, 6, 2), window=(2, 3), stride=2, p=3)
FITTED = pool(jc.adaptive_avg_pool, (1, 7, 5, 2), output_size=(3, 4))
FITTED_MAX = pool(jc.adaptive_max_pool, (1, 7, 5, 2), output_size=(3, 4))
SWITCHES = {"switches": switch_array(4, (1, 3, 3, 2))}
GATHER = Case(jc.gather_at_switches, {"x": (1, 6, 6, 2)}, {"window": 2}, SWITCHES)
SCATTER = Case(
    jc.scatter_at_switches, {"delta": (1, 3, 3, 2)}, {"window": 2, "input_size": (6, 6)}, SWITCHES
)
PATCHES = pool(jc.patches, (1, 5, 6, 2), window=(2, 3), stride=(1, 2))
UPSAMPLE = Case(jc.upsample, {"x": (1, 3, 2, 2)}, {"size": (2, 3)})


def activation(op, **settings):
    return Case(op, {"x": (3, 4, 2)}, settings, draw={"x": stretched})


ZERO = Case(jc.relu, {"x": (4, 4)}, draw={"x": lambda *a: levels(*a) - 1}, on_kinks=True)
SIGMOID, TANH = Case(jc.sigmoid, {"x": (3, 4)}), Case(jc.tanh, {"x": (3, 4)})
SOFTMAX, LOG = Case(jc.softmax, {"x": (4, 4)}), Case(jc.log_softmax, {"x": (4, 4)})
GELU, ELU, LEAKY = (
    activation(jc.gelu, approximate=True),
    activation(jc.elu, alpha=0.3),
    activation(jc.leaky_relu),
)
MAXOUT = Case(jc.maxout, {"x": (3, 6)}, {"pieces": 3}, kinked=True)

BATCH = Case(jc.batch_norm, affine((3, 2, 3, 4), (4,)), {"epsilon": 0.1}, output=0)
LAYER = Case(jc.layer_norm, affine((3, 4, 5), (5,)))
GROUP = Case(jc.group_norm, affine((2, 3, 2, 6), (6,)), {"groups": 2})
RMS = Case(jc.rms_norm, {"x": (3, 5), "scale": (5,)})
INFERENCE = Case(jc.batch_norm_inference, affine((4, 3, 2), (2,)), fixed=statistics(2))
LRN = Case(jc.local_response_norm, {"x": (2, 3, 7)}, {"alpha": 0.5, "size": 4})

LABELS = Case(jc.softmax_cross_entropy, {"logits": (3, 4)}, fixed={"targets": label_array(4, (3,))})
SOFT = Case(
    jc.softmax_cross_entropy, {"logits": (3, 4), "targets": (3, 4)}, draw={"targets": normal}
)
WEIGHTED = Case(
    jc.softmax_cross_entropy,
    {"logits": (5, 4), "class_weights": (4,)},
    {"label_smoothing": 0.2, "ignore_index": 2},
    {"targets": label_array(4, (5,))},
    {"class_weights": positive},
)
BINARY = Case(
    jc.sigmoid_binary_cross_entropy,
    {"logits": (3, 4), "targets": (3, 4)},
    draw={"targets": distribution},
)


def errors(op, **settings):
    shapes = {"predictions": (3, 4), "targets": (3, 4)}
    return Case(op, shapes, settings, draw={"targets": far_targets}, kinked=True)


SQUARED, ABSOLUTE = errors(jc.squared_error), errors(jc.absolute_error)
HUBER = errors(jc.huber, delta=1.3)
KL = Case(
    jc.kl_divergence, {"log_predictions": (3, 4), "targets": (3, 4)}, draw={"targets": distribution}
)
DECAY = Case(jc.weight_decay, {"params": (3, 4)}, {"strength": 0.3})

KEY = {"key": random_key}
DROPOUT = Case(jc.dropout, {"x": (6, 6)}, {"rate": 0.4}, KEY)
SPATIAL = Case(jc.spatial_dropout, {"x": (3, 2, 2, 5)}, {"rate": 0.4}, KEY)
BLOCK = Case(jc.drop_block, {"x": (1, 7, 6, 2)}, {"rate": 0.4, "block": (3, 2)}, KEY)
EMBEDDING = Case(jc.embedding, {"table": (4, 3)}, fixed={"ids": label_array(4, (7,))})
REFLECT = Case(jc.pad, {"x": (1, 4, 5, 2)}, {"padding": ((1, 2), (2, 0)), "mode": "reflect"})
FLATTEN = Case(jc.flatten, {"x": (2, 3, 3, 2)})
ROT180 = Case(jc.rot180, {"kernel": (3, 2, 2, 2)})
DILATE = Case(jc.dilate, {"x": (1, 3, 4, 2)}, {"rate": 2})
JOIN = Case(jc.concatenate, {"a": (2, 3), "b": (2, 3)}, together="parts")


def flip(right):
    return jnp.flip(right, range(right.ndim - 2))


def none(right):
    return 0 * right


def inverted(right):
    return ~right


def twice(right):
    return 2 * right


def next_one(right):
    return jnp.roll(right, 1, 0)


def next_tap(right):
    return (right + jnp.uint8(1)) % jnp.uint8(4)


def shifted(right):
    return replace(right, padding=tuple((low - 1, high + 1) for low, high in right.padding))


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
    tangent_of("conv: x ⋆ k̇ forgotten", CONV, kernel_dot=none),
    tangent_of("conv: ẋ ⋆ k forgotten", CONV, x_dot=none),
    tangent_of("conv: ḃ forgotten", CONV, bias_dot=none),
    tangent_of("conv: k̇ flipped", CONV, kernel_dot=flip),
    tangent_of("conv: k flipped", CONV, kernel=flip),
    tangent_of("conv: another example's", CONV, x_dot=next_one),
    tangent_of("conv: channels swapped", CONV, kernel=lambda right: jnp.swapaxes(right, -1, -2)),
    wrong("conv: negative", CONV, tangent=lambda right: -right),
    wrong("conv: twice", CONV, tangent=twice),
    wrong("conv: with ẋ ⋆ k̇, which is not linear", CONV, tangent=lambda right, x_dot, kernel_dot, geometry: right + conv_map(x_dot, kernel_dot, None, geometry)),
    forgets("conv: order 2 forgets x and k", CONV, "residuals", of="tangent"),
    forgets("conv: order 2 forgets k", CONV, "kernel", of="tangent"),
    tangent_of("padded conv: padding off by one", PADDED, geometry=shifted),
    tangent_of("grouped conv: groups swapped", GROUPED, x_dot=lambda right: jnp.roll(right, 2, -1)),
    tangent_of("input gradient: full(δ, rot180(k̇)) forgotten", INPUT_GRAD, kernel_dot=none),
    tangent_of("input gradient: k̇ turned", INPUT_GRAD, kernel_dot=flip),
    wrong("kernel gradient: the value", KERNEL_GRAD, tangent=lambda x, delta, geometry: conv_kernel_grad_map(x, delta, geometry)),
    tangent_of("true conv: k̇ not turned", TRUE, kernel_dot=flip),
    tangent_of("table: weights in another order", TABLED, weights_dot=lambda right: jnp.roll(right, 1, -1)),
    tangent_of("transposed: k flipped", TRANSPOSE, kernel=flip),
    tangent_of("dense: Ẇ transposed", DENSE, weight_dot=lambda right: right.T),
    tangent_of("dense: x Ẇ forgotten", DENSE, weight_dot=none),
    tangent_of("dense: ḃ of the first feature", DENSE, bias_dot=lambda right: jnp.full_like(right, right[0])),
    forgets("dense: order 2 forgets x", DENSE, "x", of="tangent"),
    tangent_of("scale channels: x γ̇ forgotten", SCALE, scale_dot=none),
    wrong("maximum: the window's average", MAXIMUM, tangent=lambda x_dot, geometry: sum_pool_map(x_dot, geometry) / geometry.taps),
    wrong("maximum: of ẋ, which is not linear", MAXIMUM, tangent=lambda x_dot, geometry: lowering.max_pool(x_dot, geometry)),
    tangent_of("maximum: one tap off", MAXIMUM, switches=next_tap),
    tangent_of("maximum: the last of the ties", TIES, switches=lambda geometry: last_maximum(TIES.arrays()[0], geometry)),
    wrong("average: not divided", AVERAGE, tangent=lambda right: 9 * right),
    tangent_of("average: padding counted though left out", UNPADDED, count_include_pad=lambda: True),
    tangent_of("sum: one row off", SUM, x_dot=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("norm: the sign forgotten", NORM, x=lambda right: abs(right)),
    tangent_of("norm: one y for all windows", NORM, y=lambda right: jnp.full_like(right, right.mean())),
    forgets("norm: order 2 forgets y", NORM, "y", of="tangent"),
    tangent_of("adaptive average: turned", FITTED, x_dot=lambda right: jnp.flip(right, 1)),
    tangent_of("adaptive maximum: the place before", FITTED_MAX, positions=lambda right: abs(right - 1)),
    tangent_of("gather: one tap off", GATHER, switches=next_tap),
    tangent_of("scatter: one tap off", SCATTER, switches=next_tap),
    wrong("patches: the taps reversed", PATCHES, tangent=lambda right: jnp.flip(right, -1)),
    wrong("upsample: averaged", UPSAMPLE, tangent=lambda right: right / 6),
    tangent_of("relu: passes at 0", ZERO, positive=lambda right: jnp.ones_like(right)),
    tangent_of("leaky relu: the branches exchanged", LEAKY, positive=inverted),
    tangent_of("relu6: the mask inverted", activation(jc.relu6), between=inverted),
    tangent_of("hard swish: mirrored", activation(jc.hard_swish), x=lambda right: -right),
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
    tangent_of("batch norm: γ forgotten", BATCH, scale=lambda right: jnp.ones_like(right)),
    forgets("batch norm: order 2 forgets μ and σ²", BATCH, "mean", "variance", of="tangent"),
    tangent_of("layer norm: ẋ of another example", LAYER, x_dot=next_one),
    tangent_of("layer norm: another μ", LAYER, mean=none),
    tangent_of("group norm: as if over one group", GROUP, sharing=lambda right: replace(right, epsilon=0.3)),
    tangent_of("rms norm: x̂ γ̇ forgotten", RMS, scale_dot=none),
    wrong("rms norm: twice", RMS, tangent=part(0, twice)),
    tangent_of("inference: μ forgotten", INFERENCE, mean=none),
    tangent_of("local response: another β", LRN, beta=lambda right: right + 1),
    tangent_of("local response: a window of 3", LRN, size=lambda: 3),
    forgets("local response: order 2 forgets x", LRN, "x", of="tangent"),
    wrong("cross-entropy: t − y", LABELS, tangent=lambda right: -right),
    tangent_of("cross-entropy: summed over the batch", LABELS, weighing=lambda right: replace(right, reduction="sum")),
    tangent_of("cross-entropy: ṫ forgotten", SOFT, targets_dot=none),
    tangent_of("cross-entropy: ẇ forgotten", WEIGHTED, class_weights_dot=none),
    tangent_of("cross-entropy: nothing ignored", WEIGHTED, weighing=lambda right: replace(right, ignore_index=None)),
    forgets("cross-entropy: order 2 forgets y", SOFT, "y", of="tangent"),
    tangent_of("binary cross-entropy: ṫ with the sign of u̇", BINARY, targets_dot=lambda right: -right),
    tangent_of("squared error: ṫ has the sign of ẏ", SQUARED, targets_dot=lambda right: -right),
    tangent_of("absolute error: the sign inverted", ABSOLUTE, above=inverted),
    tangent_of("huber: clipped at 1", HUBER, delta=lambda: 1.0),
    tangent_of("KL: ṫ forgotten", KL, targets_dot=none),
    wrong("weight decay: twice", DECAY, tangent=twice),
    tangent_of("dropout: the mask inverted", DROPOUT, mask=inverted),
    wrong("dropout: not rescaled", DROPOUT, tangent=lambda right: 0.6 * right),
    tangent_of("spatial dropout: the mask of another map", SPATIAL, mask=lambda right: jnp.roll(right, 1, -1)),
    tangent_of("drop block: the squares' neighbours", BLOCK, mask=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("embedding: the row after", EMBEDDING, ids=lambda right: (right + 1) % 4),
    tangent_of("pad: circular for reflected", REFLECT, mode=lambda: "circular"),
    tangent_of("flatten: column-major", FLATTEN, x_dot=lambda right: jnp.swapaxes(right, 1, 2)),
    tangent_of("rot180: turned twice", ROT180, kernel_dot=flip),
    tangent_of("dilate: one off", DILATE, x_dot=lambda right: jnp.roll(right, 1, 1)),
    tangent_of("concatenate: another order", JOIN, parts_dot=lambda right: right[::-1]),
]  # fmt: skip


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 80
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_tangent_is_caught(mutant: Mutant):
    assert_caught(mutant)
