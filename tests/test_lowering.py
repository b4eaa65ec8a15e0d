"""Every way to compute a convolution and its gradients gives what XLA's convolution gives."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from generated.forms import problems
from generated.running import at_most
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxcnn import hints
from jaxcnn.geometry import parse_geometry
from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.lowering.convolution import CORRELATIONS, KERNEL_GRADS, depthwise
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.forms import choose, plain

TOLERANCE = 1e-10
# By itself XLA keeps sums in float32 where a program rounds them: that would hide all mistakes.
ROUNDING = {"xla_allow_excess_precision": False}
ELSEWHERE = ("plain", "fft", "native")  # tried in test_fft.py, test_native.py
FORMS = [form for form in CORRELATIONS if form.name not in ELSEWHERE]
OF_KERNEL_GRADS = [form for form in KERNEL_GRADS if form.name not in ELSEWHERE]


def problem_of(geometry, x, d, name):
    """That of a map where the form was named."""
    return Problem.of(replace(geometry, method=name), x, d)


def named(form):
    return form.name


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_a_form_of_the_correlation_gives_what_the_convolution_gives(form, request):
    @at_most(request, 5, 100)
    @given(problems(form.name))
    def holds(problem):
        x, kernel, _, geometry = problem
        problem = problem_of(geometry, x, kernel.shape[-1], form.name)
        assert choose(CORRELATIONS, problem) == (form, True)

        def both(x, kernel):
            return [f.run(x, kernel, problem=problem) for f in (form, plain(CORRELATIONS))]

        assert relative_error(*jax.jit(both)(x, kernel))[0] < TOLERANCE

    holds()


# How much of it is computed at a time: little, more, all.
SIZES = {
    "depthwise": [
        {"blocks": depthwise.Blocks(rows, 20 * rows, size, taps)}
        for rows in (2, 8)
        for size, taps in ((1, 2), (200, 100), (2**20, 100))
    ],
    "parts": [{"images": images} for images in (1, 2, 3)],
    "patches": [{"patch_bytes": size} for size in (1, 200, 2**20)],
    "taps": [{"at_once": taps} for taps in (1, 2, 8)],
    "pointwise": [{"places": places} for places in (1, 200)],
}


@pytest.mark.parametrize("form", OF_KERNEL_GRADS, ids=named)
def test_a_form_of_the_kernel_gradient_gives_what_the_convolution_gives(form, request):
    @at_most(request, 8, 100)
    @given(problems(form.name), st.sampled_from(SIZES.get(form.name, [{}])), st.booleans())
    def holds(problem, settings, fast):
        x, _, delta, geometry = problem
        assume(len(x) % settings.get("images", 1) == 0)
        with hints.fast_convolutions(fast):
            problem = problem_of(geometry, x, delta.shape[-1], form.name)
        assert choose(KERNEL_GRADS, problem) == (form, True)

        def both(x, delta):
            found = form.run(x, delta, problem=problem, **settings)
            return found, plain(KERNEL_GRADS).run(x, delta, problem=problem)

        assert relative_error(*jax.jit(both)(x, delta))[0] < TOLERANCE

    holds()


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1), (40, 2)])
@pytest.mark.parametrize("stride", [1, 3])
def test_depthwise_taps_that_read_nothing_but_padding(size, stride):
    geometry = parse_geometry("conv", size, (3, 3), stride=stride, padding=5, dilation=5, groups=4)
    x = random_like(jax.numpy.zeros((2, *size, 4)), 0)
    delta = random_like(jax.numpy.zeros((2, *geometry.output, 4)), 1)
    problem = problem_of(geometry, x, 4, "depthwise")
    forms = choose(KERNEL_GRADS, problem)[0], plain(KERNEL_GRADS)
    found, expected = (form.run(x, delta, problem=problem) for form in forms)
    assert relative_error(found, expected)[0] < TOLERANCE


@pytest.mark.parametrize("fast", [False, True])
def test_the_form_that_is_chosen_gives_what_the_convolution_gives(fast, request):
    """With many channels and few, told that convolutions are fast or not."""
    seen = set()

    @at_most(request, 20, 200)
    @given(problems("chosen"))
    def holds(problem):
        x, kernel, delta, geometry = problem
        pairs = (CORRELATIONS, kernel), (KERNEL_GRADS, delta)
        with hints.given(hints.Hints(fast_convolutions=fast)):
            asked = Problem.of(geometry, x, delta.shape[-1])
        seen.update(choose(table, asked)[0].name for table, _ in pairs)

        def chosen(*others):
            return [
                choose(table, asked)[0].run(x, other, problem=asked)
                for (table, _), other in zip(pairs, others, strict=True)
            ]

        def plainly(*others):
            return [
                plain(table).run(x, other, problem=asked)
                for (table, _), other in zip(pairs, others, strict=True)
            ]

        found, expected = jax.jit(lambda *a: (chosen(*a), plainly(*a)))(kernel, delta)
        assert relative_error(found, expected)[0] < TOLERANCE

    holds()
    assert len(seen) > 2


@pytest.mark.sampled(5)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", dict.fromkeys(map(named, (*FORMS, *OF_KERNEL_GRADS))))
def test_a_form_in_a_half_is_rounded_once(kind, dtype):
    """Long sums of numbers of one sign, where every rounding on the way would show."""
    groups = 4 if kind.startswith(("depthwise", "grouped")) else 1
    size, window = (12, 13), (1, 1) if kind == "pointwise" else (5, 5)
    numbers = np.random.default_rng(0)

    def draw(*shape):
        return jax.numpy.asarray(numbers.uniform(0.5, 1, shape), dtype)

    if kind == "slices":
        size, window = (5, 6, 7), (5, 3, 2)
    zeros = 2 if kind == "dilated" or "phases" in kind else 1
    x, kernel = draw(2, *size, 2 * groups), draw(*window, 2, 3 * groups)
    geometry = parse_geometry(
        "conv", size, window, stride=1, padding=0, input_dilation=zeros, groups=groups
    )
    delta = draw(2, *geometry.output, 3 * groups)
    problem = problem_of(geometry, x, 3 * groups, kind)
    found, exact = [], []
    for table, other in ((CORRELATIONS, kernel), (KERNEL_GRADS, delta)):
        form, was_named = choose(table, problem)
        if was_named:
            settings = {"images": 1} if kind == "parts" else {}
            run = partial(form.run, problem=problem, **settings)
            found.append(jax.jit(run, compiler_options=ROUNDING)(x, other))
            exact.append(jax.jit(run)(x.astype("float64"), other.astype("float64")))
    assert found
    assert all(y.dtype == dtype for y in found)
    error, _ = relative_error([y.astype("float64") for y in found], exact)
    assert error < 0.6 * float(jax.numpy.finfo(dtype).eps)
