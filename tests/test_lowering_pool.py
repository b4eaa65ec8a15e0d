"""Every way to compute a pooling and its adjoint gives what XLA's reduction of windows gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.forms import poolings, with_ties
from generated.running import at_most
from hypothesis import example, given

from jaxcnn.geometry import parse_pool_geometry
from jaxcnn.gradcheck import relative_error
from jaxcnn.lowering import pool, sums


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


def same_maxima(x, geometry):
    """A CPU's, one axis after the other, with and without switches, and XLA's own."""

    def forms(x):
        best, switches = pool.max_with_switches(x, geometry)
        gathered = pool.gather_at_switches(x, switches, geometry)
        chosen, by_axis = pool.max_pool(x, geometry), pool._max_by_axis(x, geometry)
        return pool._max(x, geometry), by_axis, chosen, best, gathered

    expected, *found = jax.jit(forms)(x)
    return all(np.array_equal(y, expected, equal_nan=True) for y in found)


@pytest.mark.parametrize("case", range(len(FIXED)))
def test_the_forms_of_a_maximum_are_equal(case):
    assert same_maxima(*FIXED[case])


def test_the_forms_of_a_maximum_are_equal_at_generated_windows(request):
    @at_most(request, 12, 200)
    @given(poolings())
    def holds(problem):
        assert same_maxima(*problem)

    holds()


@pytest.mark.parametrize("form", ["sums", "spread"])
def test_the_forms_of_a_sum_and_of_its_adjoint_are_equal(form, request):
    @at_most(request, 12, 200)
    @example(PADDING_ONLY)
    @given(poolings())
    def holds(problem):
        x, geometry = problem
        x = np.nan_to_num(x, neginf=5)
        if form == "spread":
            x = np.resize(x, (len(x), *geometry.output, x.shape[-1]))

        def both(x):
            by_axis, at_once = (getattr(sums, f"_{form}{how}") for how in ("_by_axis", ""))
            return by_axis(x, geometry=geometry), at_once(x, geometry=geometry)

        found, expected = jax.jit(both)(jnp.asarray(x))
        assert relative_error(found, expected)[0] < 1e-12

    holds()
