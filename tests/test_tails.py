"""Where nearly nothing is left of a number: to the last digit; and other edges of the dtypes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

E, TINY = np.exp, 1e-36  # below it parts of a sum are lost, which are too small for a float32
# In the tails, and at a place or two between them.
TAILS = np.array([s * x for s in (-1, 1) for x in (0.5, 6.2, 9, 12.7, 18, 25, 40, 43.5, 60, 80)])


def sigmoid(x):
    return 1 / (1 + E(-x))


def slope(x):
    return sigmoid(x) * sigmoid(-x)


def bend(x):
    return -slope(x) * np.tanh(x / 2)


def one(x):
    return np.ones_like(x)


def by_logit(loss, target):
    return lambda u: loss(u[None, None], jnp.full((1, 1), target, u.dtype), reduction="sum")


def logits(f):
    """Of the first of three logits, the others 0 and −1; ln(1 + e⁻¹) is taken off it."""
    return lambda u: f(jnp.stack([u + np.log1p(E(-1)).astype(u.dtype), 0 * u, 0 * u - 1]))


# Value and first two derivatives, none of them a difference of numbers that are nearly equal.
FUNCTIONS = {
    "sigmoid": (jc.sigmoid, sigmoid, slope, bend),
    "tanh": (
        jc.tanh,
        np.tanh,
        lambda x: 4 * slope(2 * x),
        lambda x: -8 * slope(2 * x) * np.tanh(x),
    ),
    "softplus": (jc.softplus, lambda x: np.log1p(E(x)), sigmoid, slope),
    "elu": (jc.elu, np.expm1, E, E),
    "selu": (
        jc.selu,
        lambda x: 1.7580993408473768 * np.expm1(x),
        lambda x: 1.7580993408473768 * E(x),
        lambda x: 1.7580993408473768 * E(x),
    ),
    "softmax, first": (logits(lambda x: jc.softmax(x)[0]), sigmoid, slope, bend),
    "log softmax, first": (
        logits(lambda x: jc.log_softmax(x)[0]),
        lambda x: -np.log1p(E(-x)),
        lambda x: sigmoid(-x),
        lambda x: -slope(x),
    ),
    "cross-entropy": (
        logits(lambda x: jc.softmax_cross_entropy(x[None], jnp.array([0]))),
        lambda x: np.log1p(E(-x)),
        lambda x: -sigmoid(-x),
        slope,
    ),
    "weighed": (
        logits(
            lambda x: jc.softmax_cross_entropy(
                x[None], jnp.array([0]), class_weights=2 + 0 * x, reduction="sum"
            )
        ),
        lambda x: 2 * np.log1p(E(-x)),
        lambda x: -2 * sigmoid(-x),
        lambda x: 2 * slope(x),
    ),
    "binary, t = 1": (
        by_logit(jc.sigmoid_binary_cross_entropy, 1),
        lambda x: np.log1p(E(-x)),
        lambda x: -sigmoid(-x),
        slope,
    ),
    "binary, t = 0": (
        by_logit(jc.sigmoid_binary_cross_entropy, 0),
        lambda x: np.log1p(E(x)),
        sigmoid,
        slope,
    ),
    "squared, t = 1": (
        by_logit(jc.sigmoid_squared_error, 1),
        lambda x: sigmoid(-x) ** 2 / 2,
        lambda x: -sigmoid(-x) * slope(x),
        lambda x: slope(x) * sigmoid(-x) * (2 * sigmoid(x) - sigmoid(-x)),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_to_the_last_digit_far_out(name):
    f, *expected = FUNCTIONS[name]
    x = TAILS[TAILS < 0] if name in ("elu", "selu") else TAILS
    g = f
    for exact in expected:
        found = np.asarray(jax.jit(jax.vmap(g))(jnp.asarray(x, jnp.float32)), np.float64)
        # The logit shifted by a rounded logarithm is off by 2e-6 of it, and e^u by as much.
        rounding = 8e-6 if f.__qualname__.startswith("logits") else 1e-6
        right = exact(np.asarray(jnp.asarray(x, jnp.float32), np.float64))
        assert np.allclose(found, right, rtol=rounding, atol=TINY)
        g = jax.grad(g)


def test_mish_and_gelu_bend_less_and_less():
    """mish ≈ x (1 − 2e⁻²ˣ), so that mish″ ≈ 8 (1 − x) e⁻²ˣ; gelu″ = (2 − x²) φ(x)."""
    x = np.float32(20)
    mish, gelu = (jax.grad(jax.grad(f)) for f in (jc.mish, jc.gelu))
    assert np.isclose(mish(x), 8 * (1 - 20) * E(-40.0), rtol=1e-5, atol=0)
    x = np.float32(9)
    assert np.isclose(gelu(x), -79 * E(-40.5) / np.sqrt(2 * np.pi), rtol=1e-5, atol=0)


@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_is_the_same_from_the_other_side(target):
    f = by_logit(jc.sigmoid_binary_cross_entropy, target)
    other = by_logit(jc.sigmoid_binary_cross_entropy, 1 - target)
    for u in TAILS.astype(np.float32):
        (a, up), (b, down) = jax.value_and_grad(f)(u), jax.value_and_grad(other)(-u)
        assert np.isclose(a, b, rtol=1e-6, atol=0)
        assert np.isclose(up, -down, rtol=1e-6, atol=0)


def test_the_losses_of_a_sure_network_are_those_of_the_issue():
    loss = by_logit(jc.sigmoid_binary_cross_entropy, 1)
    value, gradient = jax.value_and_grad(loss)(np.float32(18))
    assert np.isclose(value, 1.5229979e-8, rtol=1e-6, atol=0)
    assert np.isclose(gradient, -1.5229979e-8, rtol=1e-6, atol=0)
    assert np.isclose(jax.grad(jc.elu)(np.float32(-20)), 2.0611537e-9, rtol=1e-6, atol=0)


def test_factors_that_a_half_does_not_hold():
    x = jnp.ones((2, 500, 2), jnp.float16)
    key = jax.random.key(0)
    drops = partial(jc.dropout, rate=0.99999), partial(jc.spatial_dropout, rate=0.99999)
    for drop in drops:
        y, pull = jax.vjp(lambda x, drop=drop: drop(x, key), x)
        assert not np.isnan(y).any()
        assert not np.isnan(pull(x)[0]).any()
    kept = jc.dropout(x * 1e-4, key, rate=0.9999)
    assert set(np.unique(np.asarray(kept, np.float32)).round(2)) <= {0, 1}
    places = jnp.array([0, -0.5], jnp.float16)
    for f, slope in ((partial(jc.leaky_relu, slope=1e5), 1e5), (partial(jc.elu, alpha=1e5), None)):
        y = f(places)
        assert y[0] == 0
        assert slope is None or y[1] == -slope / 2
    gradient = jax.grad(lambda y: jc.smooth_l1(y, 0 * y, beta=1e-8, reduction="sum"))
    assert np.array_equal(gradient(jnp.array([[1, -1]], jnp.float16)), [[1, -1]])


SAME = (jc.relu, jc.sigmoid, jc.tanh, jc.softplus, jc.silu, jc.mish, jc.gelu, jc.relu6)
SAME += (jc.leaky_relu, jc.elu, jc.selu, jc.hard_sigmoid, jc.hard_tanh, jc.hard_swish)
SAME += (jc.celu, jc.thresholded_relu, jc.hard_shrink, jc.soft_shrink, jc.softsign, jc.erf)


@pytest.mark.parametrize("f", [*SAME, partial(jc.gelu, approximate=True)])
def test_a_python_number_stays_a_weak_one(f):
    assert f(2.0).weak_type
    assert (f(2.0) + jnp.ones((), jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["jax_debug_nans", "jax_debug_infs"])
def test_a_search_for_what_is_not_finite_finds_nothing_of_ours(name):
    u, labels = jnp.ones((2, 3)), jnp.array([0, 2])
    lost = u.at[:, 1].set(-jnp.inf)
    maps = jnp.arange(24.0).reshape(1, 4, 6, 1)
    jax.config.update(name, True)
    try:
        jax.value_and_grad(jc.softmax_cross_entropy)(u, labels)
        if name == "jax_debug_nans":
            jax.value_and_grad(jc.softmax_cross_entropy)(lost, labels)
        jax.value_and_grad(lambda x: jc.max_pool(x, 3, stride=2, padding=1).sum())(maps)
    finally:
        jax.config.update(name, False)


@pytest.mark.parametrize("kind", ["int2", "int4", "uint4", "int8", "uint16", "int64"])
def test_labels_ids_and_switches_of_any_integers(kind):
    numbers = jnp.array([0, 1], kind)
    u = jax.random.normal(jax.random.key(0), (2, 300))
    expected = jc.softmax_cross_entropy(u, jnp.array([0, 1]))
    assert jc.softmax_cross_entropy(u, numbers) == expected
    assert np.array_equal(jc.embedding(numbers, u.T), u.T[:2])
    switches = numbers.reshape(1, 2, 1)
    chosen = jc.gather_at_switches(u[:1, :18, None], switches, 9)
    assert np.array_equal(chosen.ravel(), u[0, jnp.array([0, 10])])


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_whatever_implementation_is_the_default(kind):
    with jax.default_prng_impl(kind):
        for key in (jax.random.key(0), jax.random.PRNGKey(0)):
            jc.dropout(jnp.ones(3), key, 0.5)
            jc.drop_block(jnp.ones((1, 3, 1)), key, 0.5, 1)
            jc.layers.Dense(2).init(key, (3,))
    with pytest.raises(TypeError, match=r"key must be one key of jax.random"):
        jc.dropout(jnp.ones(3), jnp.zeros(3, jnp.uint32), 0.5)


@pytest.mark.parametrize("switch", [4, -1, 255])
def test_a_switch_that_no_window_has(switch):
    x = jnp.arange(1.0, 17).reshape(1, 4, 4, 1)
    delta = x[:, :2, :2]
    switches = jnp.zeros((1, 2, 2, 1), jnp.int32).at[0, 1, 0, 0].set(switch)
    scatter = partial(jc.scatter_at_switches, input_size=(4, 4))
    calls = (
        lambda s: jc.gather_at_switches(x, s, 2),
        lambda s: scatter(delta, s, 2),
        lambda s: jc.max_unpool(delta, s, 2),
    )
    for call in calls:
        with pytest.raises(ValueError, match=rf"switches must lie in \[0, 3\], got {switch} at"):
            call(switches)
        assert np.isnan(jax.jit(call)(switches)).sum() == 1

    @jax.jit
    def both(s):
        y, pull = jax.vjp(lambda x: jc.gather_at_switches(x, s, 2), x)
        return y, pull(delta)[0], scatter(delta, s, 2)

    y, gradient, scattered = both(switches)
    assert np.array_equal(np.isnan(y).ravel(), [False, False, True, False])
    assert np.array_equal(gradient, scattered, equal_nan=True)


def test_a_check_that_meets_nan_does_not_pass():
    with pytest.raises(AssertionError, match="nan"):
        jc.gradcheck.assert_gradients(
            lambda x: jnp.nan * x, jnp.ones(2), twin=lambda x: jnp.nan * x
        )


def test_gelu_is_exact_unless_told_otherwise():
    """Abramowitz and Stegun, table 26.1: Φ(1) = 0.841344746068543."""
    assert np.isclose(jc.gelu(1.0), 0.841344746068543, rtol=1e-12, atol=0)
    assert abs(jc.gelu(1.0, approximate=True) - 0.841344746068543) > 1e-4
