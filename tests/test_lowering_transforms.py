"""The forms of a convolution that a CPU takes, under `vmap`, in scans, and in every dtype.

`test_rules.py` has every operation; here are the convolutions that are computed differently.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn.gradcheck import random_like, relative_error

FULL = pytest.mark.full
# The form that computes a map of it, shapes of x and kernel, settings.
CASES = {
    "pointwise": ("pointwise", (2, 5, 6, 4), (1, 1, 4, 3), {}),
    "depthwise": ("depthwise", (2, 6, 7, 16), (3, 3, 1, 32), {"groups": 16, "padding": 1}),
    "grouped": ("grouped", (2, 5, 6, 48), (3, 2, 24, 32), {"groups": 2}),
    "banded": ("banded", (2, 9, 10, 1), (5, 5, 1, 6), {"padding": "SAME"}),
    "phases joined": (
        "phases joined",
        (2, 9, 8, 3),
        (3, 3, 3, 4),
        {"stride": 2, "padding": "SAME"},
    ),
    "parts": ("parts", (32, 40, 60, 7), (3, 3, 7, 2), {}),
    "taps": ("taps", (2, 70, 2), (64, 2, 3), {"stride": 2, "padding": 3}),
    "patches": ("patches", (2, 7, 6, 8), (3, 3, 8, 16), {"padding": "SAME"}),
}


@pytest.fixture(params=CASES)
def case(request):
    """(function → value and gradients, its arguments)."""
    form, size, window, settings = CASES[request.param]
    x, kernel = random_like([jnp.zeros(size), jnp.zeros(window)], 0)
    delta = random_like(jax.eval_shape(lambda x, k: jc.conv(x, k, **settings), x, kernel), 1)

    def both(x, kernel, delta):
        y, pull = jax.vjp(lambda x, k: jc.conv(x, k, **settings), x, kernel)
        return y, *pull(delta)

    found = jc.explain_forms(both, x, kernel, delta, backward=False)
    assert form in {choice.form.name for choice in found}
    return jax.jit(both), (x, kernel, delta)


EACH = [pytest.param((i,), marks=FULL) for i in range(3)]


@pytest.mark.parametrize("mapped", [(0, 1, 2), *EACH])
def test_mapped_over_maps_kernels_gradients_or_all(case, mapped):
    f, arguments = case
    scales = np.array([1.0, 0.5, -0.25])
    stacked = [
        jnp.stack([s * a for s in scales]) if i in mapped else a for i, a in enumerate(arguments)
    ]
    axes = [0 if i in mapped else None for i in range(3)]
    found = jax.jit(jax.vmap(f, axes))(*stacked)
    each = [f(*(s * a if i in mapped else a for i, a in enumerate(arguments))) for s in scales]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    error, where = relative_error(found, expected)
    assert error < 1e-12, where


def test_scanned_and_computed_again(case):
    f, arguments = case
    scales = jnp.array([1.0, 0.5, -0.25])

    def body(total, scale):
        values = jax.checkpoint(f)(scale * arguments[0], *arguments[1:])
        return jax.tree.map(jnp.add, total, values), None

    zeros = jax.tree.map(jnp.zeros_like, f(*arguments))
    found, _ = jax.jit(lambda scales: jax.lax.scan(body, zeros, scales))(scales)
    each = [f(s * arguments[0], *arguments[1:]) for s in scales]
    error, where = relative_error(found, jax.tree.map(lambda *leaves: sum(leaves), *each))
    assert error < 1e-12, where


@pytest.mark.parametrize(
    "dtype", ["bfloat16", *(pytest.param(name, marks=FULL) for name in ("float16", "float32"))]
)
def test_every_dtype_is_kept_and_rounded_once(case, dtype):
    f, arguments = case
    low = [a.astype(dtype) for a in arguments]
    found = f(*low)
    assert {leaf.dtype.name for leaf in found} == {dtype}
    exact = f(*(a.astype("float64") for a in low))
    error, where = relative_error([leaf.astype("float64") for leaf in found], list(exact))
    assert error < (16 if dtype == "float32" else 2) * float(jnp.finfo(dtype).eps), where
