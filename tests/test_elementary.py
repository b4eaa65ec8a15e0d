"""The elementary functions that rules are made of: twins up to order 3, extremes, closure."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mutation import with_backward

from jaxcnn.gradcheck import assert_gradients, check_gradients, open_primitives
from jaxcnn.ops import elementary
from jaxcnn.ops.activation import sigmoid_slope
from jaxcnn.ops.smooth import tanh_softplus
from jaxcnn.twins import TWINS

pytestmark = pytest.mark.sampled(5)


ANY = jnp.linspace(-3.1, 3.2, 12, dtype=jnp.float64).reshape(3, 4)
POSITIVE = jnp.linspace(0.2, 4, 12, dtype=jnp.float64).reshape(3, 4)

FUNCTIONS = [
    (elementary.exp, (), ANY),
    (elementary.expm1, (), ANY),
    (sigmoid_slope, (), ANY),
    (tanh_softplus, (), ANY),
    (elementary.log, (), POSITIVE),
    (elementary.reciprocal, (), ANY),
    *((elementary.power, (p,), POSITIVE) for p in (-1.5, -0.75, 0.5, 2.5)),
    *((elementary.power, (p,), ANY) for p in (-2, 0, 1, 2, 3)),
    (elementary.normal_cdf, (), ANY),
    (elementary.normal_pdf, (), ANY),
    (elementary.sigmoids, (), ANY),
]
functions = pytest.mark.parametrize(
    ("rule", "settings", "x"), FUNCTIONS, ids=lambda value: getattr(value, "__name__", "")
)


def bind(rule, settings):
    return (lambda x: rule(x, *settings)) if settings else rule


@functions
def test_derivatives_up_to_order_3(rule, settings, x):
    assert_gradients(
        bind(rule, settings), x, twin=bind(TWINS[rule], settings), orders=3, symmetry=False
    )


@functions
def test_closed_and_of_the_inputs_dtype(rule, settings, x):
    for order in range(4):
        assert open_primitives(bind(rule, settings), order, x) == set()
    for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
        y, pull = jax.vjp(bind(rule, settings), x.astype(dtype))
        assert {leaf.dtype for leaf in jax.tree.leaves((y, pull(y)))} == {jnp.dtype(dtype)}


def test_powers_of_zero():
    for exponent, expected in ((0, [1, 0, 0]), (1, [0, 1, 0]), (2, [0, 0, 2]), (3, [0, 0, 0])):
        f = partial(elementary.power, exponent=exponent)
        derivatives = [g(0.0) for g in (f, jax.grad(f), jax.grad(jax.grad(f)))]
        assert np.array_equal(derivatives, expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("rule", [elementary.normal_cdf, elementary.normal_pdf])
def test_the_normal_distribution_far_out(rule, dtype):
    # Order 3 of the density holds x², which float16 does not.
    orders = 3 if dtype == jnp.float16 else 4
    for x in (-1e4, 1e4):
        f = rule
        for order in range(orders):
            expected = float(rule is elementary.normal_cdf and order == 0 and x > 0)
            assert f(jnp.asarray(x, dtype)) == expected
            f = jax.grad(f)


def test_the_left_tail_is_precise():
    # Abramowitz and Stegun, table 26.1: Φ(−10) = 7.61985302416e−24.
    assert np.isclose(elementary.normal_cdf(jnp.float32(-10)), 7.61985302416e-24, rtol=1e-5, atol=0)


def test_both_sigmoids_are_precise_far_out():
    for x in (30.0, -30.0):
        s, r = elementary.sigmoids(jnp.float32(x))
        np.testing.assert_allclose([s, r], [1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))], rtol=1e-6)
    assert jax.tree.map(float, elementary.sigmoids(jnp.float32(-1e30))) == (0, 1)


WRONG = {
    "log: δ x": (elementary.log, (), lambda x, d: (d * x,)),
    "reciprocal: the sign": (elementary.reciprocal, (), lambda y, d: (d * y * y,)),
    "power: p forgotten": (elementary.power, (2.5,), lambda p, x, d: (d * x ** (p - 1),)),
    "power: xᵖ": (elementary.power, (2.5,), lambda p, x, d: (d * p * x**p,)),
    "cdf: not normalised": (elementary.normal_cdf, (), lambda x, d: (d * jnp.exp(-x * x / 2),)),
    "pdf: x forgotten": (elementary.normal_pdf, (), lambda r, d: (-d * r[1],)),
    "sigmoids: a sum": (elementary.sigmoids, (), lambda y, d: ((d[0] + d[1]) * y[0] * y[1],)),
    "exp: 1": (elementary.exp, (), lambda y, d: (d,)),
    "slope of a sigmoid: tanh x": (
        sigmoid_slope,
        (),
        lambda x, d: (-d * sigmoid_slope(x) * jnp.tanh(x),),
    ),
    "tanh of softplus: 1 − t²": (
        tanh_softplus,
        (),
        lambda x, d: (d * (1 - tanh_softplus(x) ** 2),),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_caught(name):
    rule, settings, backward = WRONG[name]
    wrong, twin = bind(with_backward(rule, backward), settings), bind(TWINS[rule], settings)
    *values, derivative = check_gradients(wrong, POSITIVE, twin=twin, difference_tolerance=None)
    assert all(value.passed for value in values)
    assert not derivative.passed


def test_an_exponential_taken_for_a_constant_is_caught_at_order_2():
    backward = lambda y, delta: (delta * jax.lax.stop_gradient(y),)  # noqa: E731
    wrong = with_backward(elementary.exp, backward)
    *before, last = check_gradients(
        wrong, ANY, twin=jnp.exp, orders=2, symmetry=False, difference_tolerance=None
    )
    assert all(finding.passed for finding in before)
    assert not last.passed
