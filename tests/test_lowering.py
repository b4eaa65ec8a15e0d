"""Every way to compute a convolution and its gradients gives what XLA's convolution gives."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxcnn.geometry import Geometry, parse_geometry
from jaxcnn.gradcheck import relative_error
from jaxcnn.lowering import banded, depthwise, grouped, patches, phases, plain, pointwise

TOLERANCE = 1e-10
CORRELATIONS = {
    "pointwise": pointwise.correlate,
    "banded": banded.correlate,
    "depthwise": depthwise.correlate,
    "grouped": grouped.correlate,
    "phases": phases.correlate,
    "phases together": phases.correlate_together,
}
KERNEL_GRADS = {
    "pointwise": pointwise.kernel_grad,
    "banded": banded.kernel_grad,
    "depthwise": depthwise.kernel_grad,
    "grouped": grouped.kernel_grad,
    "patches": patches.kernel_grad,
}


@st.composite
def problems(draw, kind):
    """Arguments that the form takes: maps, kernel, geometry."""
    axes = draw(st.integers(1, 3))
    few = st.integers(1, 3)

    def each(choice):
        return tuple(draw(choice) for _ in range(axes))

    window = (1,) * axes if kind == "pointwise" else each(st.integers(1, 4))
    stride, input_dilation = each(few), each(few)
    if kind == "pointwise" and draw(st.booleans()):
        input_dilation = (1,) * axes
    elif kind.startswith(("pointwise", "phases")):
        stride = (1,) * axes
    dilation = each(few)
    if kind == "banded":
        dilation, input_dilation = (*dilation[:-1], 1), (*input_dilation[:-1], 1)
    groups = draw(st.integers(2, 4)) if kind in ("depthwise", "grouped") else 1
    size = each(st.integers(1, 9 if axes < 3 else 5))
    padding = each(st.tuples(st.integers(-1, 3), st.integers(-1, 3)))
    try:
        geometry = parse_geometry(
            "conv", size, window, stride=stride, padding=padding,
            dilation=dilation, input_dilation=input_dilation, groups=groups,
        )  # fmt: skip
    except ValueError:
        assume(False)
        raise
    assume(all(h + low > 0 and h + high > 0 for h, (low, high) in zip(size, padding, strict=True)))
    n, c, d = draw(st.integers(1, 6)), draw(few), draw(few)
    numbers = np.random.default_rng(draw(st.integers(0, 99)))
    x = numbers.standard_normal((n, *size, c * groups))
    kernel = numbers.standard_normal((*window, c, d * groups))
    delta = numbers.standard_normal((n, *geometry.output, d * groups))
    return x, kernel, delta, geometry


def sliding_of(geometry: Geometry):
    names = (
        "stride", "padding", "dilation", "input_dilation", "groups", "precision",
        "fast_convolutions",
    )  # fmt: skip
    return plain.Sliding(**{name: getattr(geometry, name) for name in names})


def at_most(request, everyday, full):
    return settings(max_examples=full if request.config.getoption("full") else everyday)


@pytest.mark.parametrize("kind", CORRELATIONS)
def test_a_form_of_the_correlation_gives_what_the_convolution_gives(kind, request):
    @at_most(request, 5, 100)
    @given(problems(kind))
    def holds(problem):
        x, kernel, _, geometry = problem
        sliding = sliding_of(geometry)

        def both(x, kernel):
            forms = CORRELATIONS[kind], plain.correlate
            return [form(x, kernel, sliding=sliding) for form in forms]

        assert relative_error(*jax.jit(both)(x, kernel))[0] < TOLERANCE

    holds()


@pytest.mark.parametrize("kind", KERNEL_GRADS)
def test_a_form_of_the_kernel_gradient_gives_what_the_convolution_gives(kind, request):
    @at_most(request, 5, 100)
    @given(problems(kind), st.sampled_from((1, 200, 2**20)))
    def holds(problem, size):
        x, _, delta, geometry = problem

        def both(x, delta):
            forms = KERNEL_GRADS[kind], plain.kernel_grad
            return [form(x, delta, geometry=geometry) for form in forms]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(patches, "BYTES", size)  # blocks of one row, of some, of all
            assert relative_error(*jax.jit(both)(x, delta))[0] < TOLERANCE

    holds()
