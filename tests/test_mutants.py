"""Deliberately wrong rules: the ordinary checks must catch every one of them.

Each mutant replaces the backward pass of a real rule; everything else stays as it is.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

import jaxcnn as jc
from experiments.case import Case, distribution, label_array, normal, random_key, switch_array
from jaxcnn.gradcheck import check_gradients
from jaxcnn.lowering import pool as lowering
from jaxcnn.ops import activation, conv, dense, dropout, loss, max_pool, shape
from jaxcnn.ops import sum_pool as sums

Backward = Callable[..., Any]


class Mutant(NamedTuple):
    name: str
    case: Case
    backward: Backward
    orders: int = 1


def mutate(rule: Any, backward: Backward) -> Any:
    wrong = jax.custom_vjp(rule.fun, nondiff_argnums=rule.nondiff_argnums)
    wrong.defvjp(rule.fwd, backward)
    return wrong


def changed(rule: Any, change: Callable[..., Any]) -> Backward:
    """The right backward pass, its gradients changed afterwards."""
    return lambda *args: change(*rule.bwd(*args))


def with_geometry(rule: Any, change: Callable[[Any], Any]) -> Backward:
    """The right backward pass for another geometry."""
    return lambda geometry, *rest: rule.bwd(change(geometry), *rest)


def frozen(rule: Any, which: str) -> Backward:
    """Right at order 1, but the derivative forgets that it depends on its residuals or on δ."""

    def backward(*args):
        *static, residuals, delta = args
        stop = jax.lax.stop_gradient
        if which == "residuals":
            residuals = jax.tree.map(stop, residuals)
        else:
            delta = stop(delta)
        return rule.bwd(*static, residuals, delta)

    return backward


# Convolution --------------------------------------------------------------------------------------

SQUARE = Case(jc.conv, {"x": (2, 6, 6, 3), "kernel": (3, 3, 3, 3), "bias": (3,)})
PADDED = Case(jc.conv, {"x": (1, 6, 5, 2), "kernel": (3, 2, 2, 3)}, {"padding": ((1, 1), (1, 0))})
STRIDED = Case(jc.conv, {"x": (1, 8, 8, 2), "kernel": (3, 3, 2, 2)}, {"stride": 3})
GROUPED = Case(jc.conv, {"x": (2, 5, 5, 4), "kernel": (3, 3, 2, 4)}, {"groups": 2})
DILATED = Case(jc.conv, {"x": (1, 7, 7, 2), "kernel": (3, 3, 2, 2)}, {"dilation": 2})
INPUT_GRAD = Case(
    jc.conv_input_grad, {"delta": (2, 4, 4, 3), "kernel": (3, 3, 3, 3)}, {"input_size": (6, 6)}
)
KERNEL_GRAD = Case(
    jc.conv_kernel_grad, {"x": (2, 6, 6, 3), "delta": (2, 4, 4, 3)}, {"kernel_size": (3, 3)}
)
conv_map, input_grad, kernel_grad = (
    conv.conv_map,
    conv.conv_input_grad_map,
    conv.conv_kernel_grad_map,
)


def flip(kernel):
    return jnp.flip(kernel, range(kernel.ndim - 2))


def shift(geometry):
    return replace(geometry, padding=tuple((low - 1, high + 1) for low, high in geometry.padding))


def unstrided_delta(geometry, residuals, delta):
    """∂x with the δ side by side instead of dilated: the zeros of the stride are missing."""
    x, kernel, bias = residuals
    dense_geometry = replace(geometry, stride=(1, 1))
    rows = [(0, p - q) for p, q in zip((6, 6), delta.shape[1:-1], strict=True)]
    spread = jnp.pad(delta, [(0, 0), *rows, (0, 0)])
    wrong = input_grad(spread, kernel, replace(dense_geometry, output=(6, 6)))
    return wrong, kernel_grad(x, delta, geometry), None if bias is None else delta.sum((0, 1, 2))


CONVOLUTION = [
    Mutant("∂x: no rot180", SQUARE, lambda g, r, d: (input_grad(d, flip(r[1]), g), *conv_map.bwd(g, r, d)[1:])),
    Mutant("∂x: channels swapped", SQUARE, lambda g, r, d: (input_grad(d, jnp.swapaxes(r[1], -1, -2), g), *conv_map.bwd(g, r, d)[1:])),
    Mutant("∂x: height and width swapped", SQUARE, changed(conv_map, lambda x, k, b: (jnp.swapaxes(x, 1, 2), k, b))),
    Mutant("∂x: of another example", SQUARE, changed(conv_map, lambda x, k, b: (jnp.roll(x, 1, 0), k, b))),
    Mutant("∂x: twice", SQUARE, changed(conv_map, lambda x, k, b: (2 * x, k, b))),
    Mutant("∂x: negative", SQUARE, changed(conv_map, lambda x, k, b: (-x, k, b))),
    Mutant("∂x: only where δ is valid", SQUARE, changed(conv_map, lambda x, k, b: (x.at[:, -1].set(0), k, b))),
    Mutant("∂x: of the first kernel row only", SQUARE, lambda g, r, d: (input_grad(d, r[1].at[1:].set(0), g), *conv_map.bwd(g, r, d)[1:])),
    Mutant("∂k: flipped", SQUARE, changed(conv_map, lambda x, k, b: (x, flip(k), b))),
    Mutant("∂k: channels swapped", SQUARE, changed(conv_map, lambda x, k, b: (x, jnp.swapaxes(k, -1, -2), b))),
    Mutant("∂k: height and width swapped", SQUARE, changed(conv_map, lambda x, k, b: (x, jnp.swapaxes(k, 0, 1), b))),
    Mutant("∂k: of one example", SQUARE, lambda g, r, d: (*conv_map.bwd(g, r, d)[:1], kernel_grad(r[0][:1], d[:1], g), d.sum((0, 1, 2)))),
    Mutant("∂k: averaged over the batch", SQUARE, changed(conv_map, lambda x, k, b: (x, k / 2, b))),
    Mutant("∂b: the mean", SQUARE, changed(conv_map, lambda x, k, b: (x, k, b / 32))),
    Mutant("∂b: of one example", SQUARE, lambda g, r, d: (*conv_map.bwd(g, r, d)[:2], d[0].sum((0, 1)))),
    Mutant("∂b: none", SQUARE, changed(conv_map, lambda x, k, b: (x, k, 0 * b))),
    Mutant("padding off by one", PADDED, with_geometry(conv_map, shift)),
    Mutant("∂x: paddings of the axes swapped", PADDED, lambda g, r, d: (input_grad(d, r[1], replace(g, padding=((1, 1), (0, 1)))), *conv_map.bwd(g, r, d)[1:])),
    Mutant("∂k: padding forgotten", PADDED, lambda g, r, d: (conv_map.bwd(g, r, d)[0], kernel_grad(r[0], d, replace(g, padding=((0, 0), (0, 0)))), None)),
    Mutant("∂x: no zeros for the stride", STRIDED, unstrided_delta),
    Mutant("∂x: stride and its remainder one to the right", STRIDED, changed(conv_map, lambda x, k, b: (jnp.roll(x, 1, 1), k, b))),
    Mutant("∂x: the remainder gets something", STRIDED, changed(conv_map, lambda x, k, b: (x.at[:, -1].set(0.1), k, b))),
    Mutant("∂k: the last part instead of the first", STRIDED, changed(conv_map, lambda x, k, b: (x, jnp.roll(k, -1, 0), b))),
    Mutant("∂x: groups swapped", GROUPED, changed(conv_map, lambda x, k, b: (jnp.roll(x, 2, -1), k, b))),
    Mutant("∂k: groups swapped", GROUPED, changed(conv_map, lambda x, k, b: (x, jnp.roll(k, 2, -1), b))),
    Mutant("∂x: groups interleaved", GROUPED, changed(conv_map, lambda x, k, b: (x[..., jnp.array([0, 2, 1, 3])], k, b))),
    Mutant("∂x: dilation forgotten", DILATED, lambda g, r, d: (input_grad(d, r[1], replace(g, dilation=(1, 1))), *conv_map.bwd(g, r, d)[1:])),
    Mutant("order 2: ∂x forgets k", SQUARE, frozen(conv_map, "residuals"), 2),
    Mutant("order 2: forgets δ", SQUARE, frozen(conv_map, "delta"), 2),
    Mutant("input gradient: ∂δ flipped", INPUT_GRAD, lambda g, r, d: (conv_map(d, flip(r[1]), None, g), input_grad.bwd(g, r, d)[1])),
    Mutant("input gradient: ∂k flipped", INPUT_GRAD, changed(input_grad, lambda d, k: (d, flip(k)))),
    Mutant("input gradient: ∂k of δ with itself", INPUT_GRAD, changed(input_grad, lambda d, k: (d, 0 * k))),
    Mutant("kernel gradient: ∂x without rot180", KERNEL_GRAD, lambda g, r, d: (input_grad(r[1], flip(d), g), kernel_grad.bwd(g, r, d)[1])),
    Mutant("kernel gradient: ∂δ flipped", KERNEL_GRAD, lambda g, r, d: (kernel_grad.bwd(g, r, d)[0], conv_map(r[0], flip(d), None, g))),
]  # fmt: skip

# Pooling ------------------------------------------------------------------------------------------


def levels(generator, size):
    """Few different numbers: many ties."""
    return generator.integers(0, 2, size)


def pool(op, size, draw=None, **settings):
    return Case(op, {"x": size}, settings, draw={} if draw is None else {"x": draw})


TIES = pool(jc.max_pool, (2, 6, 6, 2), levels, window=2)
OVERLAP = pool(jc.max_pool, (1, 7, 7, 2), window=3, stride=2)
REST = pool(jc.max_pool, (1, 7, 5, 2), window=(2, 2))
AVERAGE = pool(jc.avg_pool, (1, 7, 6, 2), window=3, stride=2, padding=1)
UNPADDED = pool(jc.avg_pool, (1, 6, 6, 2), window=3, stride=2, padding=1, count_include_pad=False)
SUM = pool(jc.sum_pool, (1, 7, 7, 2), window=3, stride=2)
UPSAMPLE = Case(jc.upsample, {"x": (1, 3, 2, 2)}, {"size": (2, 3)})
SWITCHES = {"switches": switch_array(4, (1, 3, 3, 2))}
GATHER = Case(jc.gather_at_switches, {"x": (1, 6, 6, 2)}, {"window": 2}, SWITCHES)
SCATTER = Case(
    jc.scatter_at_switches, {"delta": (1, 3, 3, 2)}, {"window": 2, "input_size": (6, 6)}, SWITCHES
)
max_map = max_pool.max_pool_map


def all_ties(geometry, switches, delta):
    """Every element equal to the maximum receives the gradient (levels: every 1 where there is one)."""
    x = TIES.arrays()[0]
    y = lowering.max_pool(x, geometry)
    mask = x == lowering.upsample(y, geometry.window)
    return (jnp.where(mask, lowering.upsample(delta, geometry.window), 0.0),)


def last_wins(geometry, switches, delta):
    x = TIES.arrays()[0]
    _, flipped = lowering.max_with_switches(jnp.flip(x, (1, 2)), geometry)
    last = jnp.array(geometry.taps - 1, flipped.dtype) - jnp.flip(flipped, (1, 2))
    return (lowering.scatter_at_switches(delta, last, geometry),)


def assign_instead_of_add(geometry, switches, delta):
    """`=` for `+=`: the last window that chose an element decides."""
    out = jnp.zeros((1, *geometry.input, delta.shape[-1]), delta.dtype)
    for i in range(geometry.output[0]):
        for j in range(geometry.output[1]):
            one = jnp.zeros_like(delta).at[:, i, j].set(delta[:, i, j])
            part = lowering.scatter_at_switches(one, switches, geometry)
            out = jnp.where(part != 0, part, out)
    return (out,)


def column_major(geometry, switches, delta):
    taps = jnp.arange(4, dtype=switches.dtype).reshape(2, 2).T.ravel()
    return (lowering.scatter_at_switches(delta, taps[switches], geometry),)


POOLING = [
    Mutant("all ties receive the gradient", TIES, all_ties),
    Mutant("the last of the ties wins", TIES, last_wins),
    Mutant("ties share the gradient", TIES, lambda *a: (all_ties(*a)[0] / 2,)),
    Mutant("= for += at overlaps", OVERLAP, assign_instead_of_add),
    Mutant("maximum: the whole window receives δ", REST, lambda g, s, d: (sums.sum_pool_input_grad_map(d, g),)),
    Mutant("maximum: divided by the size", REST, changed(max_map, lambda x: (x / 4,))),
    Mutant("switches in column-major order", REST, column_major),
    Mutant("maximum: the remainder receives something", REST, changed(max_map, lambda x: (x.at[:, -1].set(0.1),))),
    Mutant("maximum: channels mixed up", REST, changed(max_map, lambda x: (jnp.flip(x, -1),))),
    Mutant("average: not divided", AVERAGE, changed(sums.avg_pool_map, lambda x: (9 * x,))),
    Mutant("average: divided by one side", AVERAGE, changed(sums.avg_pool_map, lambda x: (3 * x,))),
    Mutant("average: padding counted though left out", UNPADDED, lambda g, p, r, d: sums.avg_pool_map.bwd(g, True, r, d)),
    Mutant("average: padding left out though counted", AVERAGE, lambda g, p, r, d: sums.avg_pool_map.bwd(g, False, r, d)),
    Mutant("sum: = for += at overlaps", SUM, changed(sums.sum_pool_map, lambda x: (jnp.sign(x),))),
    Mutant("sum: one row off", SUM, changed(sums.sum_pool_map, lambda x: (jnp.roll(x, 1, 1),))),
    Mutant("upsample: the mean", UPSAMPLE, changed(sums.upsample_map, lambda x: (x / 6,))),
    Mutant("upsample: the first of each window", UPSAMPLE, lambda s, r, d: (d[:, ::2, ::3],)),
    Mutant("gather: scattered one tap off", GATHER, lambda g, s, d: (max_pool.scatter_at_switches_map(d, (s + jnp.uint8(1)) % jnp.uint8(4), g), None)),
    Mutant("scatter: gathered one tap off", SCATTER, lambda g, s, d: (max_pool.gather_at_switches_map(d, (s + jnp.uint8(1)) % jnp.uint8(4), g), None)),
    Mutant("scatter: summed instead of gathered", SCATTER, lambda g, s, d: (sums.sum_pool_map(d, g), None)),
]  # fmt: skip

# Everything else ----------------------------------------------------------------------------------

DENSE = Case(jc.dense, {"x": (3, 4), "weight": (4, 4), "bias": (4,)})
ZERO = Case(jc.relu, {"x": (4, 4)}, draw={"x": lambda generator, size: levels(generator, size) - 1})
SIGMOID, TANH = Case(jc.sigmoid, {"x": (3, 4)}), Case(jc.tanh, {"x": (3, 4)})
SOFTMAX, LOG = Case(jc.softmax, {"x": (4, 4)}), Case(jc.log_softmax, {"x": (4, 4)})
LABELS = Case(jc.softmax_cross_entropy, {"logits": (3, 4)}, fixed={"targets": label_array(4, (3,))})
SOFT = Case(
    jc.softmax_cross_entropy, {"logits": (3, 4), "targets": (3, 4)}, draw={"targets": normal}
)
SQUARED = Case(jc.sigmoid_squared_error, {"logits": (3, 4), "targets": (3, 4)})
BINARY = Case(
    jc.sigmoid_binary_cross_entropy,
    {"logits": (3, 4), "targets": (3, 4)},
    draw={"targets": distribution},
)
DROPOUT = Case(jc.dropout, {"x": (6, 6)}, {"rate": 0.4}, {"key": random_key})
FLATTEN, DILATE = (
    Case(jc.flatten, {"x": (2, 3, 3, 2)}),
    Case(jc.dilate, {"x": (1, 3, 4, 2)}, {"rate": 2}),
)
ROT180 = Case(jc.rot180, {"kernel": (3, 2, 2, 2)})
cross = loss.softmax_cross_entropy_map

OTHERS = [
    Mutant("dense: ∂x with W", DENSE, lambda r, d: (dense.dense_map(d, r[1], None), *dense.dense_map.bwd(r, d)[1:])),
    Mutant("dense: ∂W transposed", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w.T, b))),
    Mutant("dense: ∂b summed over the features", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w, jnp.full_like(b, b.sum())))),
    Mutant("dense: ∂W averaged", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w / 3, b))),
    Mutant("dense: order 2 forgets x and W", DENSE, frozen(dense.dense_map, "residuals"), 2),
    Mutant("relu: passes at 0", ZERO, lambda r, d: (d,)),
    Mutant("relu: half at 0", ZERO, lambda r, d: (d / 2,)),
    Mutant("relu: leaks", Case(jc.relu, {"x": (4, 4)}), changed(activation.relu_map, lambda x: (jnp.where(x == 0, 0.01, x),))),
    Mutant("sigmoid: y for y(1 − y)", SIGMOID, lambda y, d: (d * y,)),
    Mutant("sigmoid: 1 − y² for y(1 − y)", SIGMOID, lambda y, d: (d * (1 - y * y),)),
    Mutant("sigmoid: order 2 takes y for a constant", SIGMOID, frozen(activation.sigmoid_map, "residuals"), 2),
    Mutant("tanh: 1 − y", TANH, lambda y, d: (d * (1 - y),)),
    Mutant("tanh: y(1 − y)", TANH, lambda y, d: (d * y * (1 - y),)),
    Mutant("softmax: the sum forgotten", SOFTMAX, lambda a, y, d: (y * d,)),
    Mutant("softmax: only the diagonal", SOFTMAX, lambda a, y, d: (y * (1 - y) * d,)),
    Mutant("softmax: the other axis", SOFTMAX, lambda a, y, d: activation.softmax_map.bwd(0, y, d)),
    Mutant("log softmax: y for its exponential", LOG, lambda a, y, d: (d - y * d.sum(-1, keepdims=True),)),
    Mutant("log softmax: the sum forgotten", LOG, lambda a, y, d: (d - jnp.exp(y),)),
    Mutant("log softmax: the other axis", LOG, lambda a, y, d: activation.log_softmax_map.bwd(0, y, d)),
    Mutant("cross-entropy: t − y", LABELS, changed(cross, lambda u, t: (-u, t))),
    Mutant("cross-entropy: not averaged", LABELS, lambda a, r, g: cross.bwd("sum", r, g)),
    Mutant("cross-entropy: incoming gradient ignored", LABELS, lambda a, r, g: cross.bwd(a, r, jnp.ones_like(g))),
    Mutant("cross-entropy: Σt taken for 1", SOFT, lambda a, r, g: (g / 3 * (jnp.exp(r[0]) - r[1]), cross.bwd(a, r, g)[1])),
    Mutant("cross-entropy: ∂t forgotten", SOFT, changed(cross, lambda u, t: (u, 0 * t))),
    Mutant("cross-entropy: times y(1 − y)", LABELS, lambda a, r, g: (cross.bwd(a, r, g)[0] * jnp.exp(r[0]), None)),
    Mutant("squared error: f′ forgotten", SQUARED, lambda a, r, g: (g / 3 * (r[0] - r[1]), loss.sigmoid_squared_error_map.bwd(a, r, g)[1])),
    Mutant("squared error: factor 2", SQUARED, changed(loss.sigmoid_squared_error_map, lambda u, t: (2 * u, t))),
    Mutant("squared error: ∂t has the sign of ∂u", SQUARED, changed(loss.sigmoid_squared_error_map, lambda u, t: (u, -t))),
    Mutant("binary cross-entropy: times f′", BINARY, lambda a, r, g: (loss.sigmoid_binary_cross_entropy_map.bwd(a, r, g)[0] * 0.25, -g / 3 * r[0])),
    Mutant("binary cross-entropy: Gormley's sign", BINARY, changed(loss.sigmoid_binary_cross_entropy_map, lambda u, t: (-u, t))),
    Mutant("binary cross-entropy: averaged over the outputs too", BINARY, changed(loss.sigmoid_binary_cross_entropy_map, lambda u, t: (u / 4, t / 4))),
    Mutant("dropout: another mask", DROPOUT, lambda p, mask, d: dropout.dropout_map.bwd(p, jnp.roll(mask, 1, 0), d)),
    Mutant("dropout: not rescaled", DROPOUT, changed(dropout.dropout_map, lambda x, key: (0.6 * x, key))),
    Mutant("flatten: column-major", FLATTEN, lambda s, r, d: (jnp.swapaxes(shape.unflatten_map(d, s), 1, 2),)),
    Mutant("dilate: summed", DILATE, lambda rate, size, r, d: (shape.subsample_map(d, rate, size) + d.sum() * 0.01,)),
    Mutant("dilate: one off", DILATE, lambda rate, size, r, d: (shape.subsample_map(jnp.roll(d, 1, 1), rate, size),)),
    Mutant("rot180: not turned back", ROT180, lambda r, d: (d,)),
    Mutant("rot180: one axis only", ROT180, lambda r, d: (jnp.flip(d, 0),)),
]  # fmt: skip

MUTANTS = [*CONVOLUTION, *POOLING, *OTHERS]


def findings_of(case: Case, rule: Any, orders: int):
    settings = {**case.settings, "rule": rule}
    return check_gradients(
        replace(case, settings=settings).function(),
        *case.arrays(),
        twin=case.function(twin=True),
        orders=orders,
        difference_tolerance=None,
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    wrong = findings_of(mutant.case, mutate(mutant.case.rule, mutant.backward), mutant.orders)
    *before, last = wrong
    assert all(finding.passed for finding in before)  # the mutation is where it claims to be
    assert not last.passed


@pytest.mark.parametrize(
    "case", {id(m.case): m.case for m in MUTANTS}.values(), ids=lambda case: case.name
)
def test_the_right_rule_passes_at_the_same_case(case: Case):
    assert all(finding.passed for finding in findings_of(case, case.rule, 1))


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
