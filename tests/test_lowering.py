"""Every way to compute a convolution and its gradients gives what XLA's convolution gives."""

from functools import partial

import jax
import numpy as np
import pytest
from generated.forms import problems
from generated.running import at_most
from hypothesis import given
from hypothesis import strategies as st

from jaxcnn import hints
from jaxcnn.geometry import parse_geometry
from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.lowering import (
    banded,
    conv,
    depthwise,
    extended,
    grouped,
    parts,
    patches,
    phases,
    plain,
    pointwise,
    slices,
)


def part(x, kernel, sliding):
    return plain.correlate(x, kernel, sliding=sliding)


def part_of_kernel_grad(x, delta, geometry):
    return plain.kernel_grad(x, delta, geometry=geometry)


TOLERANCE = 1e-10
# By itself XLA keeps sums in float32 where a program rounds them: that would hide all mistakes.
ROUNDING = {"xla_allow_excess_precision": False}
CORRELATIONS = {
    "pointwise": pointwise.correlate,
    "banded": banded.correlate,
    "depthwise": depthwise.correlate,
    "extended": extended.correlate,
    "depthwise phases": partial(phases.correlate, alone=depthwise.correlate),
    "grouped": partial(grouped.correlate, alone=part),
    "phases": phases.correlate,
    "phases joined": phases.correlate_joined,
    "slices": partial(slices.correlate, flat=part),
}
KERNEL_GRADS = {
    "pointwise": pointwise.kernel_grad,
    "depthwise": depthwise.kernel_grad,
    "extended": extended.kernel_grad,
    "grouped": partial(grouped.kernel_grad, alone=part_of_kernel_grad),
    "parts": parts.kernel_grad,
    "patches": patches.kernel_grad,
    "slices": partial(slices.kernel_grad, flat=part_of_kernel_grad),
}


def extend_always(patch):
    """However few the channels are, and however many outputs nobody wants."""
    for name in ("REGISTER", "XLA_NEEDS", "KEPT_BY_XLA"):
        patch.setattr(extended, name, 0)
    patch.setattr(extended, "WASTED", float("inf"))


@pytest.mark.parametrize("kind", CORRELATIONS)
def test_a_form_of_the_correlation_gives_what_the_convolution_gives(kind, request):
    @at_most(request, 5, 100)
    @given(problems(kind))
    def holds(problem):
        x, kernel, _, geometry = problem
        sliding = plain.Sliding.of(geometry)

        def both(x, kernel):
            forms = CORRELATIONS[kind], plain.correlate
            return [form(x, kernel, sliding=sliding) for form in forms]

        with pytest.MonkeyPatch.context() as patch:
            extend_always(patch)
            assert relative_error(*jax.jit(both)(x, kernel))[0] < TOLERANCE

    holds()


@pytest.mark.parametrize("kind", KERNEL_GRADS)
def test_a_form_of_the_kernel_gradient_gives_what_the_convolution_gives(kind, request):
    @at_most(request, 5, 100)
    @given(problems(kind), st.sampled_from((1, 200, 2**20)), st.sampled_from((2, 8)), st.booleans())
    def holds(problem, size, rows, fast):
        x, _, delta, geometry = problem

        def both(x, delta):
            forms = KERNEL_GRADS[kind], plain.kernel_grad
            with hints.fast_convolutions(fast):
                return [form(x, delta, geometry=geometry) for form in forms]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(depthwise, "SUM_BYTES", size)
            patch.setattr(depthwise, "ROWS", rows)  # some rows at a time, or all
            patch.setattr(depthwise, "PRODUCTS", 20 * rows)  # of maps as they lie, or padded
            patch.setattr(patches, "PATCH_BYTES", size)  # blocks of one row, of some, of all
            patch.setattr(parts, "MAP_BYTES", 4 * size)  # one image at a time, some, all
            patch.setattr(parts, "MIN_IMAGES", 1)
            patch.setattr(parts, "SLOW_IMAGES", 1)
            patch.setattr(parts, "FEW_FILTERS", 0)
            patch.setattr(parts, "MIN_PLACES", 1)
            patch.setattr(pointwise, "PLACES", size)  # a sum in parts, or in one
            extend_always(patch)
            assert relative_error(*jax.jit(both)(x, delta))[0] < TOLERANCE

    holds()


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1), (40, 2)])
@pytest.mark.parametrize("stride", [1, 3])
def test_depthwise_taps_that_read_nothing_but_padding(size, stride):
    geometry = parse_geometry("conv", size, (3, 3), stride=stride, padding=5, dilation=5, groups=4)
    x = random_like(jax.numpy.zeros((2, *size, 4)), 0)
    delta = random_like(jax.numpy.zeros((2, *geometry.output, 4)), 1)
    forms = depthwise.kernel_grad, plain.kernel_grad
    found, expected = (form(x, delta, geometry=geometry) for form in forms)
    assert relative_error(found, expected)[0] < TOLERANCE


@pytest.mark.parametrize("fast", [False, True])
def test_the_form_that_is_chosen_gives_what_the_convolution_gives(fast, request):
    """With many channels and few, told that convolutions are fast or not."""
    seen = set()

    @at_most(request, 20, 200)
    @given(problems("chosen"))
    def holds(problem):
        x, kernel, delta, geometry = problem
        told = hints.Hints(fast_convolutions=fast, backward_follows=True)
        with hints.given(told):
            sliding = plain.Sliding.of(geometry)
            form = conv.correlation_form(kernel.shape, sliding)
            gradient = conv.kernel_grad_form(len(x), x.shape[-1], delta.shape[-1], geometry)
        seen.update((form.__module__, gradient.__module__))

        def chosen(x, kernel, delta):
            with hints.given(told):
                return form(x, kernel, sliding=sliding), gradient(x, delta, geometry=geometry)

        def plainly(x, kernel, delta):
            return (
                plain.correlate(x, kernel, sliding=sliding),
                plain.kernel_grad(x, delta, geometry=geometry),
            )

        found, expected = jax.jit(lambda *a: (chosen(*a), plainly(*a)))(x, kernel, delta)
        assert relative_error(found, expected)[0] < TOLERANCE

    holds()
    assert len(seen) > 2


@pytest.mark.sampled(5)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", [*CORRELATIONS, "parts", "patches"])
def test_a_form_in_a_half_is_rounded_once(kind, dtype, monkeypatch):
    """Long sums of numbers of one sign, where every rounding on the way would show."""
    for name in ("MAP_BYTES", "MIN_IMAGES", "MIN_PLACES", "SLOW_IMAGES", "FEW_FILTERS"):
        monkeypatch.setattr(parts, name, 1)
    groups = 4 if kind.startswith(("depthwise", "grouped")) else 1
    size, window = (12, 13), (1, 1) if kind == "pointwise" else (5, 5)
    numbers = np.random.default_rng(0)

    def draw(*shape):
        return jax.numpy.asarray(numbers.uniform(0.5, 1, shape), dtype)

    if kind == "slices":
        size, window = (5, 6, 7), (5, 3, 2)
    x, kernel = draw(2, *size, 2 * groups), draw(*window, 2, 3 * groups)
    geometry = parse_geometry("conv", size, window, stride=1, padding=0, groups=groups)
    delta = draw(2, *geometry.output, 3 * groups)
    found, exact = [], []
    for forms, other, settings_ in (
        (CORRELATIONS, kernel, {"sliding": plain.Sliding.of(geometry)}),
        (KERNEL_GRADS, delta, {"geometry": geometry}),
    ):
        if kind in forms:
            f = jax.jit(partial(forms[kind], **settings_), compiler_options=ROUNDING)
            found.append(f(x, other))
            exact.append(f(x.astype("float64"), other.astype("float64")))
    assert all(y.dtype == dtype for y in found)
    error, _ = relative_error([y.astype("float64") for y in found], exact)
    assert error < 0.6 * float(jax.numpy.finfo(dtype).eps)
