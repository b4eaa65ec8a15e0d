"""The three maps by Fourier transforms are those by windows, at every geometry."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.forms import problems
from generated.running import at_most
from hypothesis import given
from programs import primitives

import jaxcnn
from jaxcnn.geometry import parse_geometry
from jaxcnn.gradcheck import check_gradients, open_primitives, relative_error
from jaxcnn.lowering import convolution
from jaxcnn.lowering.convolution import fft

# (input, window, groups, settings): odd sizes, remainders, paddings that differ or cut off.
CASES = {
    "plain": ((7, 5), (3, 2), 1, {}),
    "large window": ((9, 12), (8, 11), 1, {}),
    "one window": ((5, 4), (5, 4), 1, {}),
    "1×1": ((4, 3), (1, 1), 1, {}),
    "same": ((6, 7), (4, 3), 1, {"padding": "SAME"}),
    "full": ((4, 5), (3, 5), 1, {"padding": "FULL"}),
    "stride with a remainder": ((8, 9), (3, 3), 1, {"stride": (3, 2)}),
    "stride beyond the window": ((11, 10), (2, 1), 1, {"stride": 4}),
    "padding that differs": ((6, 5), (3, 3), 1, {"padding": ((0, 3), (2, 1)), "stride": 2}),
    "padding that cuts off": ((9, 8), (2, 3), 1, {"padding": ((-2, 1), (1, -3)), "stride": (1, 2)}),
    "dilation": ((9, 11), (3, 2), 1, {"dilation": (2, 5), "padding": 1}),
    "input dilation": ((4, 3), (3, 2), 1, {"input_dilation": (3, 2), "padding": ((2, 0), (1, 1))}),
    "groups": ((6, 6), (3, 3), 2, {"padding": "SAME"}),
    "everything": (
        (7, 6), (3, 2), 2,
        {"stride": (2, 3), "padding": ((2, -1), (0, 3)), "dilation": (2, 3), "input_dilation": 2},
    ),
    "1-D": ((13,), (5,), 1, {"stride": 2, "padding": "SAME"}),
    "3-D": ((4, 5, 6), (2, 3, 2), 2, {"stride": (1, 2, 1), "padding": "SAME_LOWER"}),
}  # fmt: skip
NAMES = ("correlate", "input_grad", "kernel_grad")


def by_fft(name, a, b, geometry):
    return getattr(convolution, name)(a, b, replace(geometry, method="fft"))


def arrays_of(size, window, groups, settings, dtype=jnp.float64):
    geometry = parse_geometry(
        "conv", size, window, **{"stride": 1, "padding": "VALID", **settings}, groups=groups
    )
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, *size, 2 * groups), dtype)
    kernel = jax.random.normal(keys[1], (*window, 2, 3 * groups), dtype)
    delta = jax.random.normal(keys[2], (2, *geometry.output, 3 * groups), dtype)
    pairs = {"correlate": (x, kernel), "input_grad": (delta, kernel), "kernel_grad": (x, delta)}
    return geometry, pairs


@pytest.mark.sampled(5)
@pytest.mark.parametrize("case", CASES)
def test_each_map_is_the_direct_one(case):
    geometry, pairs = arrays_of(*CASES[case])
    for name in NAMES:
        found = by_fft(name, *pairs[name], geometry)
        expected = getattr(convolution, name)(*pairs[name], geometry)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10, err_msg=name)


def test_generated_problems_have_the_results_of_the_direct_maps(request):
    @at_most(request, 5, 100)
    @given(problems("transforms"))
    def holds(problem):
        x, kernel, delta, geometry = problem

        def both(x, kernel, delta):
            pairs = {"correlate": (x, kernel), "input_grad": (delta, kernel)}
            pairs["kernel_grad"] = (x, delta)
            direct = [getattr(convolution, name)(*pairs[name], geometry) for name in NAMES]
            return [by_fft(name, *pairs[name], geometry) for name in NAMES], direct

        assert relative_error(*jax.jit(both)(x, kernel, delta))[0] < 1e-10

    holds()


def test_the_three_are_partial_gradients_of_one_form():
    geometry, pairs = arrays_of(*CASES["everything"])
    x, kernel = pairs["correlate"]
    delta, _ = pairs["input_grad"]
    forms = [
        jnp.vdot(by_fft("correlate", x, kernel, geometry), delta),
        jnp.vdot(by_fft("input_grad", delta, kernel, geometry), x),
        jnp.vdot(by_fft("kernel_grad", x, delta, geometry), kernel),
    ]
    np.testing.assert_allclose(forms[1:], forms[0], rtol=0, atol=1e-12 * float(abs(forms[0])))


@pytest.mark.parametrize(("dtype", "error"), [("float32", 2e-6), ("bfloat16", 1e-2)])
def test_other_dtypes_stay_as_they_are(dtype, error):
    geometry, pairs = arrays_of(*CASES["same"])
    for name in NAMES:
        expected = np.asarray(getattr(convolution, name)(*pairs[name], geometry))
        halves = [a.astype(dtype) for a in pairs[name]]
        found = by_fft(name, halves[0], halves[1], geometry)
        assert found.dtype == dtype
        worst = np.max(np.abs(np.asarray(found, np.float64) - expected))
        assert worst <= error * np.max(np.abs(expected))


def test_lengths_have_small_prime_factors_and_are_the_next():
    assert fft._lengths((1, 2, 7, 11, 13, 31, 97, 250)) == (
        1,
        2,
        8,
        12,
        15,
        32,
        100,
        250,
    )


# What the public function is called with: arrays, settings.
CALLS = [
    ([(2, 6, 5, 2), (4, 3, 2, 3), (3,)], {"padding": "SAME", "stride": 2}),
    pytest.param([(1, 9, 4), (5, 2, 6)], {"groups": 2, "dilation": 2}, marks=pytest.mark.full),
]


def called(shapes, settings):
    arrays = [jax.random.normal(jax.random.key(i), s, jnp.float64) for i, s in enumerate(shapes)]
    return lambda *a, **more: jaxcnn.conv(*a, **settings, **more), arrays


@pytest.mark.parametrize(("shapes", "settings"), CALLS)
def test_the_method_of_a_convolution_keeps_its_rules(shapes, settings):
    """Gradients up to order 2 are those of the plain twin; nothing but rules is left at order 3."""
    conv, arrays = called(shapes, settings)
    twin = jaxcnn.autodiff_twin(jaxcnn.conv)

    def by_fft(*a):
        return conv(*a, method="fft")

    findings = check_gradients(by_fft, *arrays, twin=lambda *a: twin(*a, **settings), orders=2)
    assert not [str(finding) for finding in findings if not finding.passed]
    for order in (0, 3):
        assert open_primitives(by_fft, order, *arrays) == set()


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_the_method_is_what_is_computed(method):
    conv, arrays = called(*CALLS[0])
    found = primitives(jax.grad(lambda *a: conv(*a, method=method).sum()), *arrays)
    assert ("fft" in found) == (method == "fft")


def test_kernels_of_a_batch_have_the_method_too():
    conv, (x, kernel, _) = called(*CALLS[0])
    kernels = jnp.stack([kernel, -kernel])
    each = jax.jit(jax.vmap(lambda k: conv(x, k, method="fft")))(kernels)
    np.testing.assert_allclose(each, jax.vmap(lambda k: conv(x, k))(kernels), rtol=0, atol=1e-12)
