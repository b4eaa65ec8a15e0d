"""Activations far out, at their kinks, and against what the sources and neighbours say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn.layers import Scale

pytestmark = pytest.mark.sampled(8)


SMOOTH = [jc.softplus, jc.softsign, jc.erf, jc.silu, jc.mish, jc.gelu, lambda x: jc.gelu(x, True)]
PIECES = [jc.relu6, jc.leaky_relu, jc.elu, jc.selu, jc.hard_sigmoid, jc.hard_tanh, jc.hard_swish]
PIECES += [jc.celu, jc.thresholded_relu, jc.hard_shrink, jc.soft_shrink]
FAR = np.array([*(s * x for s in (-1, 1) for x in (1e4, 300, 100, 40)), *range(-30, 31)])


def name(value):
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("f", SMOOTH + PIECES, ids=name)
def test_finite_and_right_far_out_in_float32(f, order):
    """Against float64, which has room for every intermediate result."""
    wide = jnp.asarray(FAR, jnp.float64)
    g = f
    for _ in range(order):
        g = jax.grad(g)
    exact, y = jax.vmap(g)(wide), jax.vmap(g)(wide.astype(jnp.float32))
    assert np.isfinite(y).all()
    assert np.allclose(y, exact, rtol=1e-6, atol=1e-6)
    # The limits: constant or straight on both sides, at which softsign does not arrive.
    if order == 2 and f is not jc.softsign:
        assert not y[np.abs(FAR) >= 100].any()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("f", SMOOTH + PIECES, ids=name)
def test_finite_far_out_in_half_precision(f, dtype):
    x = jnp.asarray(FAR, dtype)
    for g in (f, jax.grad(f), jax.grad(jax.grad(f))):
        y = jax.vmap(g)(x)
        assert y.dtype == dtype
        assert np.isfinite(y.astype(jnp.float32)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("f", [jc.thresholded_relu, jc.hard_shrink, jc.soft_shrink])
def test_a_threshold_may_be_more_than_a_half_holds(f):
    x = jnp.array([-6e4, 1, 6e4], jnp.float16)
    y, moved = jax.jvp(lambda x: f(x, 1e6), (x,), (jnp.ones_like(x),))
    assert not y.any()
    assert not moved.any()
    assert not jax.vmap(jax.grad(lambda x: f(x, 1e6)))(x).any()


def test_a_layer_may_scale_by_more_or_less_than_a_half_holds():
    for factor, x, y in ((1e6, 1e-3, 1000), (1e-9, 6e4, 6e-5)):
        found, _ = Scale(factor).apply({}, {}, jnp.full((1, 2), x, jnp.float16))
        assert found.dtype == jnp.float16
        assert np.allclose(found, y, rtol=2e-3)


@pytest.mark.parametrize("f", SMOOTH + PIECES, ids=name)
def test_numbers_whose_cubes_overflow_are_far_out_as_well(f):
    x = jnp.array([-3e38, -1e20, 1e20, 3e38], jnp.float32)
    for order, g in enumerate((jax.grad(f), jax.grad(jax.grad(f)))):
        y = jax.vmap(g)(x)
        assert np.isfinite(y).all()
        assert order == 0 or not y.any()


KINKS = {
    "relu6": ([0, 6], [0, 0]),
    "leaky_relu": ([0], [1]),
    "elu": ([0], [1]),
    "celu": ([0], [1]),
    "thresholded_relu": ([1], [0]),
    "hard_shrink": ([-0.5, 0.5], [0, 0]),
    "soft_shrink": ([-0.5, 0.5], [0, 0]),
    "selu": ([0], [1.0507009873554805 * 1.6732632423543772]),
    "hard_sigmoid": ([-3, 3], [0, 0]),
    "hard_tanh": ([-1, 1], [1, 1]),
    "hard_swish": ([-3, 3], [0, 1]),
}


@pytest.mark.parametrize("op", KINKS)
def test_kinks_are_those_of_jax_nn(op):
    places, expected = (jnp.asarray(values, jnp.float64) for values in KINKS[op])
    f, twin = getattr(jc, op), jc.autodiff_twin(getattr(jc, op))
    for g, h in ((jax.grad(f), jax.grad(twin)), (jax.grad(jax.grad(f)), jax.grad(jax.grad(twin)))):
        assert np.allclose(jax.vmap(g)(places), jax.vmap(h)(places), rtol=0, atol=1e-15)
    assert np.allclose(jax.vmap(jax.grad(f))(places), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("f", SMOOTH + PIECES, ids=name)
def test_a_nan_stays_one(f):
    assert np.isnan(f(jnp.array([jnp.nan], jnp.float32))).all()


def test_selu_keeps_mean_0_and_variance_1():
    """Klambauer et al. 2017, equation 14: the fixed point for which α and λ were computed."""
    x = np.linspace(-12, 12, 200_001)
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    y = np.asarray(jc.selu(jnp.asarray(x)))
    assert abs((density * y).sum()) < 1e-9
    assert abs((density * y * y).sum() - 1) < 1e-9


def test_relu6_and_leaky_relu_and_elu_are_relu_where_they_should_be():
    x = jnp.linspace(-5, 5, 21)
    relu = jc.relu(x)
    assert np.array_equal(jc.relu6(x), relu)
    assert np.array_equal(jc.leaky_relu(x, 0), relu)
    assert np.array_equal(jc.elu(x, 0), relu)


def test_maxout_chooses_the_first_of_equals_and_a_nan():
    x = jnp.array([[1.0, 1.0, 0.0, 2.0, jnp.nan, 3.0]])
    y, pull = jax.vjp(lambda x: jc.maxout(x, 3), x)
    assert np.array_equal(y, [[1, np.nan]], equal_nan=True)
    assert np.array_equal(pull(jnp.array([[5.0, 7.0]]))[0], [[5, 0, 0, 0, 7, 0]])


def test_maxout_of_two_pieces_is_a_relu_where_one_is_0():
    """Goodfellow et al. 2013, figure 1."""
    x = jax.random.normal(jax.random.key(0), (4, 3))
    pieces = jnp.stack([x, jnp.zeros_like(x)], -1).reshape(4, 6)
    assert np.array_equal(jc.maxout(pieces, 2), jc.relu(x))


def test_maxout_of_many_pieces_counts_beyond_a_byte():
    x = jnp.zeros((1, 600)).at[0, 299].set(1).at[0, 557].set(2)
    delta = jax.grad(lambda x: jc.maxout(x, 300).sum())(x)
    assert np.array_equal(np.flatnonzero(delta), [299, 557])
