"""Every way to compute a pooling and its adjoint gives what XLA's reduction of windows gives."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.forms import poolings, with_ties
from generated.running import at_most
from hypothesis import example, given

from jaxcnn import forms, max_pool
from jaxcnn.geometry import parse_pool_geometry
from jaxcnn.gradcheck import relative_error
from jaxcnn.lowering.forms import choose
from jaxcnn.lowering.pooling import GATHERS, MAXIMA, SWITCHES, TABLES, max_with_switches
from jaxcnn.lowering.problem import Problem
from jaxcnn.ops.max_pool import max_pool_map


def problem(size, **settings):
    """Maps with ties, infinities and no numbers; the geometry."""
    named = {"stride": None, "padding": "VALID", "dilation": 1, "ceil_mode": False}
    x = with_ties(np.random.default_rng(4), (2, *size, 3))
    return x, parse_pool_geometry("max_pool", size, **(named | settings))


# Both ends of a window at either side of a map of one element: most taps see padding only.
PADDING_ONLY = problem((1, 2), window=2, stride=4, dilation=3, padding=(3, 2))
FIXED = [
    problem((7, 6), window=2),
    problem((9, 8), window=3, stride=2, padding=1),
    problem((5, 6), window=(3, 2), stride=(1, 3), padding=((1, 1), (0, 1))),
    problem((11,), window=3, stride=2, dilation=3, padding=3),
    problem((4, 5, 6), window=2, stride=3, padding=1),
    problem((8, 7), window=3, stride=2, ceil_mode=True),
    PADDING_ONLY,
]


def computed(table, geometry, *arrays):
    """By each form that can, under its name."""
    problem = Problem.of(geometry, arrays[0])
    forms = [form for form in table if not form.refuses(problem)]
    asked = [replace(problem, asked=(form.name,)) for form in forms]
    assert [choose(table, p) for p in asked] == [(form, True) for form in forms]
    return [f.run(*arrays, problem=p) for f, p in zip(forms, asked, strict=True)]


def same_maxima(x, geometry):
    """Those of every form, with and without switches, and the elements that switches name."""

    def by_forms(x):
        maxima, pairs = computed(MAXIMA, geometry, x), computed(SWITCHES, geometry, x)
        best, switches = zip(*pairs, strict=True)
        found = [*maxima, *best, *computed(GATHERS, geometry, x, switches[0])]
        return found, switches

    found, switches = jax.jit(by_forms)(x)
    assert len(found) > 3
    equal = all(np.array_equal(y, found[0], equal_nan=True) for y in found)
    return equal and all(np.array_equal(s, switches[0]) for s in switches)


@pytest.mark.parametrize("case", range(len(FIXED)))
def test_the_forms_of_a_maximum_are_equal(case):
    assert same_maxima(*FIXED[case])


def test_the_forms_of_a_maximum_are_equal_at_generated_windows(request):
    @at_most(request, 12, 200)
    @given(poolings())
    def holds(problem):
        assert same_maxima(*problem)

    holds()


@pytest.mark.parametrize("map", ["sum of windows", "gradient of sums", "gradient at switches"])
def test_the_forms_of_a_sum_and_of_the_adjoints_are_equal(map, request):
    @at_most(request, 12, 200)
    @example(PADDING_ONLY)
    @example(problem((7, 6), window=2))
    @given(poolings())
    def holds(problem):
        x, geometry = problem
        x = np.nan_to_num(x, neginf=5)
        arrays = [x]
        if map != "sum of windows":
            arrays = [np.resize(x, (len(x), *geometry.output, x.shape[-1]))]
        if map == "gradient at switches":
            arrays.append(max_with_switches(x, geometry)[1])
        found = jax.jit(lambda *arrays: computed(TABLES[map], geometry, *arrays))(*arrays)
        for y in found:
            assert relative_error(y, found[-1])[0] < 1e-12

    holds()


def test_a_gradient_goes_back_and_forth_axis_by_axis_as_at_once(request):
    """The same first maximum of every window, whatever ties, is infinite or no number."""

    def by_form(name, geometry):
        def both(x, delta, dot):
            with forms(name):
                y, pull = jax.vjp(lambda x: max_pool_map(x, geometry), x)
                _, moved = jax.jvp(lambda x: max_pool_map(x, geometry), (x,), (dot,))
                return y, pull(delta)[0], moved

        return both

    @at_most(request, 12, 200)
    @example(PADDING_ONLY)
    @given(poolings())
    def holds(problem):
        x, geometry = problem
        numbers = np.random.default_rng(5)
        delta = numbers.standard_normal((len(x), *geometry.output, x.shape[-1]))
        arrays = x, delta, numbers.standard_normal(x.shape)
        ways = [by_form(name, geometry) for name in ("axis by axis", "plain")]
        (y, *found), (best, *expected) = jax.jit(lambda *a: [f(*a) for f in ways])(*arrays)
        assert np.array_equal(y, best, equal_nan=True)
        assert relative_error(found, expected)[0] < 1e-12

    holds()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_gradient_that_goes_back_axis_by_axis_is_rounded_once(dtype):
    numbers = np.random.default_rng(6)
    x, delta = (jnp.asarray(numbers.uniform(0.5, 1, (1, 20, 20, 2)), dtype) for _ in range(2))

    def gradient(x, delta):
        return jax.vjp(lambda x: max_pool(x, 7, stride=1, padding=3), x)[1](delta)[0]

    found, exact = gradient(x, delta), gradient(x.astype("float64"), delta.astype("float64"))
    assert found.dtype == dtype
    error, _ = relative_error(found.astype("float64"), exact)
    assert error < 0.6 * float(jnp.finfo(dtype).eps)
