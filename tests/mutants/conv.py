"""Wrong convolutions."""

from dataclasses import replace

import jax.numpy as jnp
from mutation import forgets, given, wrong

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


def flip(right):
    return jnp.flip(right, range(right.ndim - 2))


def shift(right):
    return replace(right, padding=tuple((low - 1, high + 1) for low, high in right.padding))


def unstrided_delta(delta, kernel, geometry):
    """∂x with the δ side by side instead of dilated: the zeros of the stride are missing."""
    rows = [(0, p - q) for p, q in zip((6, 6), delta.shape[1:-1], strict=True)]
    spread = jnp.pad(delta, [(0, 0), *rows, (0, 0)])
    return input_grad(spread, kernel, replace(geometry, stride=(1, 1), output=(6, 6)))


def of_kernel(change):
    """∂x, by another kernel."""
    return lambda delta, kernel, geometry: input_grad(delta, change(kernel), geometry)


def of_geometry(**changes):
    """∂x, by another geometry."""
    return lambda delta, kernel, geometry: input_grad(delta, kernel, replace(geometry, **changes))


MUTANTS = [
    wrong("∂x: no rot180", SQUARE, x=of_kernel(flip)),
    wrong("∂x: channels swapped", SQUARE, x=of_kernel(lambda kernel: jnp.swapaxes(kernel, -1, -2))),
    wrong("∂x: height and width swapped", SQUARE, x=lambda right: jnp.swapaxes(right, 1, 2)),
    wrong("∂x: of another example", SQUARE, x=lambda right: jnp.roll(right, 1, 0)),
    wrong("∂x: twice", SQUARE, x=lambda right: 2 * right),
    wrong("∂x: negative", SQUARE, x=lambda right: -right),
    wrong("∂x: only where δ is valid", SQUARE, x=lambda right: right.at[:, -1].set(0)),
    wrong("∂x: of the first kernel row only", SQUARE, x=of_kernel(lambda kernel: kernel.at[1:].set(0))),
    wrong("∂k: flipped", SQUARE, kernel=flip),
    wrong("∂k: channels swapped", SQUARE, kernel=lambda right: jnp.swapaxes(right, -1, -2)),
    wrong("∂k: height and width swapped", SQUARE, kernel=lambda right: jnp.swapaxes(right, 0, 1)),
    wrong("∂k: of one example", SQUARE, kernel=lambda x, delta, geometry: kernel_grad(x[:1], delta[:1], geometry)),
    wrong("∂k: averaged over the batch", SQUARE, kernel=lambda right: right / 2),
    wrong("∂b: the mean", SQUARE, bias=lambda right: right / 32),
    wrong("∂b: of one example", SQUARE, bias=lambda delta: delta[0].sum((0, 1))),
    wrong("∂b: none", SQUARE, bias=lambda right: 0 * right),
    given("padding off by one", PADDED, geometry=shift),
    wrong("∂x: paddings of the axes swapped", PADDED, x=of_geometry(padding=((1, 1), (0, 1)))),
    wrong("∂k: padding forgotten", PADDED,
        kernel=lambda x, delta, geometry: kernel_grad(x, delta, replace(geometry, padding=((0, 0), (0, 0))))),
    wrong("∂x: no zeros for the stride", STRIDED, x=unstrided_delta),
    wrong("∂x: stride and its remainder one to the right", STRIDED, x=lambda right: jnp.roll(right, 1, 1)),
    wrong("∂x: the remainder gets something", STRIDED, x=lambda right: right.at[:, -1].set(0.1)),
    wrong("∂k: the last part instead of the first", STRIDED, kernel=lambda right: jnp.roll(right, -1, 0)),
    wrong("∂x: groups swapped", GROUPED, x=lambda right: jnp.roll(right, 2, -1)),
    wrong("∂k: groups swapped", GROUPED, kernel=lambda right: jnp.roll(right, 2, -1)),
    wrong("∂x: groups interleaved", GROUPED, x=lambda right: right[..., jnp.array([0, 2, 1, 3])]),
    wrong("∂x: dilation forgotten", DILATED, x=of_geometry(dilation=(1, 1))),
    forgets("order 2: ∂x forgets k", SQUARE, "residuals"),
    forgets("order 2: forgets δ", SQUARE, "delta"),
    wrong("input gradient: ∂δ flipped", INPUT_GRAD,
        delta=lambda zeta, kernel, geometry: conv_map(zeta, flip(kernel), None, geometry)),
    wrong("input gradient: ∂k flipped", INPUT_GRAD, kernel=flip),
    wrong("input gradient: ∂k of δ with itself", INPUT_GRAD, kernel=lambda right: 0 * right),
    wrong("kernel gradient: ∂x without rot180", KERNEL_GRAD,
        x=lambda delta, zeta, geometry: input_grad(delta, flip(zeta), geometry)),
    wrong("kernel gradient: ∂δ flipped", KERNEL_GRAD,
        delta=lambda zeta, x, geometry: conv_map(x, flip(zeta), None, geometry)),
]  # fmt: skip
