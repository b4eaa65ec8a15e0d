"""The forms of the three maps, in order: the first that serves is taken.

On GPUs and TPUs each map is one call of XLA's convolution (`plain`), which libraries there know.

A NaN or ∞ spoils the outputs that read it and no others, as in a sum over taps written as a loop;
where a tap that is not finite meets padding, there may be 0 or NaN. Banded kernels, and those of
joined phases, have zeros between their taps, and 0 · ∞ is NaN: they are for finite maps, `plain`
for all others. Only Fourier transforms spread everything over the whole map.
"""

from functools import partial
from typing import Any

from jax import Array

from jaxcnn.lowering.convolution import (
    banded,
    depthwise,
    dilated,
    fft,
    grouped,
    native,
    parts,
    patches,
    phases,
    plain,
    pointwise,
    slices,
    taps,
)
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.forms import Form, choose
from jaxcnn.lowering.places import where_finite


def _part(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """A part of the problem, left to the form that is the best for it."""
    return choose(CORRELATIONS, problem)[0].run(x, kernel, problem=problem)


def _part_of_kernel_grad(x: Array, delta: Array, *, problem: Problem) -> Array:
    return choose(KERNEL_GRADS, problem)[0].run(x, delta, problem=problem)


def _no_kernel(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """By the form that is taken where there are no kernels."""
    problem = problem.without_kernels
    form, _ = choose(CORRELATIONS, problem)
    return guarded(form, problem)(x, kernel, problem=problem)


def _no_kernel_for_grad(x: Array, delta: Array, *, problem: Problem) -> Array:
    return _part_of_kernel_grad(x, delta, problem=problem.without_kernels)


def _only_named(problem: Problem) -> str:
    del problem
    return "it is taken where it is named"


CORRELATIONS: tuple[Form[Problem], ...] = (
    Form(
        "fft",
        fft.correlate,
        "hardly any cost for a larger kernel",
        slower=_only_named,
        any_sizes=True,
    ),
    Form(
        "native",
        partial(native.correlate, otherwise=_no_kernel),
        "a kernel of its own: sums that stay in registers, maps read as they lie",
        cannot=native.cannot,
        slower=native.slower,
    ),
    Form(
        "pointwise",
        pointwise.correlate,
        "a product of matrices",
        cannot=pointwise.cannot_correlate,
        slower=pointwise.slower,
    ),
    Form(
        "depthwise phases",
        partial(phases.correlate, alone=depthwise.correlate),
        "no products with the zeros in the map, channels side by side in registers",
        cannot=lambda problem: depthwise.cannot(problem) or phases.cannot(problem),
        slower=lambda problem: depthwise.slower(problem) or phases.many(problem),
    ),
    Form(
        "depthwise",
        depthwise.correlate,
        "a sum of shifted products, channels side by side in registers",
        cannot=depthwise.cannot,
        slower=depthwise.slower,
    ),
    Form(
        "grouped",
        partial(grouped.correlate, alone=_part),
        "each group by the form that is the best for it",
        cannot=grouped.cannot,
        slower=grouped.slower,
        left=grouped.of_one,
    ),
    Form(
        "phases",
        phases.correlate,
        "no products with the zeros in the map",
        cannot=phases.cannot,
        slower=phases.slower_apart,
    ),
    Form(
        "phases joined",
        phases.correlate_joined,
        "hardly any products with the zeros in the map, in one large product",
        cannot=phases.cannot_join,
        slower=phases.slower_joined,
        adds_zeros=True,
    ),
    Form(
        "slices",
        partial(slices.correlate, flat=_part),
        "two axes of space, which XLA is several times faster over",
        cannot=slices.cannot,
        left=slices.of_two_axes,
    ),
    Form(
        "banded",
        banded.correlate,
        "neighbours in a row become channels, which fill vector registers",
        cannot=banded.cannot,
        slower=banded.slower,
        adds_zeros=True,
    ),
    Form("plain", plain.correlate, "XLA's convolution", any_sizes=True),
)

INPUT_GRADS: tuple[Form[Problem], ...] = (
    Form(
        "fft",
        fft.input_grad,
        "hardly any cost for a larger kernel",
        slower=_only_named,
        any_sizes=True,
    ),
    *CORRELATIONS[1:],
)

KERNEL_GRADS: tuple[Form[Problem], ...] = (
    Form(
        "fft",
        fft.kernel_grad,
        "hardly any cost for a larger kernel",
        slower=_only_named,
        any_sizes=True,
    ),
    Form(
        "dilated",
        partial(dilated.kernel_grad, alone=_part_of_kernel_grad),
        "no products with the zeros in the map: x and δ change roles",
        cannot=dilated.cannot,
        left=dilated.turned,
    ),
    Form(
        "native",
        partial(native.kernel_grad, otherwise=_no_kernel_for_grad),
        "a kernel of its own: sums that stay in registers, maps read as they lie",
        cannot=native.cannot_sum,
        slower=native.slower_sum,
    ),
    Form(
        "pointwise",
        pointwise.kernel_grad,
        "a product of matrices",
        cannot=pointwise.cannot,
    ),
    Form(
        "depthwise",
        depthwise.kernel_grad,
        "rows of products added element by element, all taps in one pass",
        cannot=depthwise.cannot,
        slower=depthwise.slower,
    ),
    Form(
        "grouped",
        partial(grouped.kernel_grad, alone=_part_of_kernel_grad),
        "each group by the form that is the best for it",
        cannot=grouped.cannot,
        slower=grouped.slower,
        left=grouped.of_one,
    ),
    Form(
        "slices",
        partial(slices.kernel_grad, flat=_part_of_kernel_grad),
        "two axes of space, which XLA is several times faster over",
        cannot=slices.cannot,
        left=slices.of_two_axes,
    ),
    Form(
        "taps",
        taps.kernel_grad,
        "a product of matrices for each tap, in a loop",
        cannot=parts.cannot,
        slower=taps.slower,
    ),
    Form(
        "patches",
        patches.kernel_grad,
        "products of matrices, of patches that stay in the cache",
        cannot=parts.cannot,
        slower=patches.slower,
    ),
    Form(
        "parts",
        parts.kernel_grad,
        "maps are transposed in the cache, some images at a time",
        cannot=parts.cannot,
        slower=parts.slower,
    ),
    Form(
        "plain", plain.kernel_grad, "XLA's convolution, in the layout it knows best", any_sizes=True
    ),
)


def adds_zeros(problem: Problem) -> bool:
    """Whether the form of a correlation, or that of its parts, puts zeros between the taps."""
    form, _ = choose(CORRELATIONS, problem)
    return form.adds_zeros or (form.left is not None and adds_zeros(form.left(problem)))


def guarded(form: Form[Problem], problem: Problem) -> Any:
    """What computes the correlation: with a condition where its zeros might meet NaN or ∞."""
    return _of_finite_maps if adds_zeros(problem) else form.run


def _of_finite_maps(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """By the chosen form; by XLA's convolution where zeros would meet what is not finite."""
    maps = (partial(run, problem=problem) for run in (_part, _plainly))
    return where_finite(x, *maps, x, kernel)


def _plainly(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """Each group by itself: XLA's CPU backend puts zeros between groups of one channel."""
    return grouped.correlate(x, kernel, problem=problem, alone=plain.correlate)
