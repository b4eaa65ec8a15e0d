"""Wrong convolutions, each caught."""

# pyright: reportOptionalCall=false

from dataclasses import replace

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen, with_geometry

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import conv

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


MUTANTS = [
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


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
