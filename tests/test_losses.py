"""Losses at extremes, weighed, smoothed, left out, and in relation to each other."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(4)
REGRESSIONS = [jc.squared_error, jc.absolute_error, jc.huber, jc.smooth_l1]


def normal(seed, shape, dtype=jnp.float64):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def second(f, x):
    """The gradient of the sum of the squares of the gradient."""
    return jax.grad(lambda x: (jax.grad(f)(x) ** 2).sum())(x)


@pytest.mark.parametrize("size", [jnp.inf, jnp.nan, 1e38, -jnp.inf])
@pytest.mark.parametrize("weighted", [False, True])
def test_ignored_rows_have_no_gradient_whatever_their_logits(size, weighted):
    logits = normal(0, (4, 3), jnp.float32)
    labels = jnp.array([0, -1, 2, -1])
    weights = jnp.array([0.5, 1, 2], jnp.float32) if weighted else None
    loss = partial(jc.softmax_cross_entropy, class_weights=weights)
    spoilt = logits.at[jnp.array([1, 3])].set(jnp.array([size, 0, size], jnp.float32))
    here = jnp.array([0, 2])

    def ignoring(u):
        return loss(u, labels, ignore_index=-1)

    def selecting(u):
        return loss(u[here], labels[here])

    assert np.isclose(ignoring(spoilt), selecting(logits), rtol=1e-6, atol=0)
    for derivative in (jax.grad, lambda f: partial(second, f)):
        found, expected = derivative(ignoring)(spoilt), derivative(selecting)(logits)
        assert np.allclose(found, expected, rtol=0, atol=1e-6)
        assert not found[jnp.array([1, 3])].any()
    none = loss(spoilt, labels, ignore_index=-1, reduction="none")
    assert np.array_equal(none[jnp.array([1, 3])], [0, 0])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_mean_over_no_example_is_nan_and_its_gradient_zero(weighted):
    u, labels = normal(0, (2, 3)), jnp.array([1, 1])
    weights = jnp.ones(3) if weighted else None

    def loss(u, weights):
        return jc.softmax_cross_entropy(u, labels, class_weights=weights, ignore_index=1)

    assert np.isnan(loss(u, weights))
    gradients = jax.grad(loss, (0, 1) if weighted else 0)(u, weights)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int64])
def test_labels_of_one_byte_with_more_classes_than_it_counts(dtype):
    u = normal(0, (2, 300))
    narrow = jax.value_and_grad(jc.softmax_cross_entropy)(u, jnp.array([3, 100], dtype))
    wide = jax.value_and_grad(jc.softmax_cross_entropy)(u, jnp.array([3, 100], jnp.int32))
    assert jax.tree.all(jax.tree.map(np.array_equal, narrow, wide))


def test_a_traced_label_outside_is_nan_but_an_ignored_one_is_not():
    def loss(u, labels):
        return jc.softmax_cross_entropy(u, labels, ignore_index=-100, reduction="none")

    u, labels = normal(0, (3, 4)), jnp.array([-100, 4, 1])
    y = jax.jit(loss)(u, labels)
    delta = jax.jit(jax.grad(lambda u, labels: loss(u, labels).sum()))(u, labels)
    assert np.array_equal(np.isnan(y), [False, True, False])
    assert np.array_equal(np.isnan(delta).any(-1), [False, True, False])


def test_weights_of_one_no_smoothing_and_nothing_ignored_change_nothing():
    u, labels = normal(0, (5, 4)), jnp.array([0, 3, 1, 1, 2])
    plain = jax.value_and_grad(jc.softmax_cross_entropy)(u, labels)
    loss = partial(
        jc.softmax_cross_entropy, class_weights=jnp.ones(4), label_smoothing=0.0, ignore_index=-1
    )
    weighed = jax.value_and_grad(loss)(u, labels)
    assert all(np.allclose(a, b, rtol=0, atol=1e-15) for a, b in zip(plain, weighed, strict=True))


def test_weighing_examples_is_repeating_them():
    """An integer weight of a class counts its examples as often, in the mean too."""
    u, labels = normal(0, (3, 2)), jnp.array([0, 1, 1])
    repeated = jnp.array([0, 0, 0, 1, 2])
    weighed = jc.softmax_cross_entropy(u, labels, class_weights=jnp.array([3.0, 1.0]))
    assert np.isclose(weighed, jc.softmax_cross_entropy(u[repeated], labels[repeated]))


def test_smoothed_labels_are_soft_targets():
    u, labels = normal(0, (3, 4)), jnp.array([2, 0, 3])
    soft = 0.9 * jax.nn.one_hot(labels, 4, dtype=jnp.float64) + 0.1 / 4
    smooth = jax.value_and_grad(partial(jc.softmax_cross_entropy, label_smoothing=0.1))(u, labels)
    direct = jax.value_and_grad(jc.softmax_cross_entropy)(u, soft)
    assert all(np.allclose(a, b, rtol=0, atol=1e-15) for a, b in zip(smooth, direct, strict=True))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (jc.softmax_cross_entropy, [1, 0]),
        (jc.sigmoid_binary_cross_entropy, [[0, 1], [1, 0]]),
        (jc.sigmoid_squared_error, [[0, 1], [1, 0]]),
    ],
)
def test_what_is_left_of_a_sure_answers_error_is_not_lost_in_a_half(loss, targets, dtype):
    """δ = y − t, y within a half's rounding of t."""
    u = jnp.array([[-3.0, 4.0], [4.5, -3.0]])
    t = jnp.asarray(targets, None if loss is jc.softmax_cross_entropy else dtype)
    exact = jax.grad(loss)(u, t if t.ndim == 1 else t.astype(jnp.float64))
    found = jax.grad(loss)(u.astype(dtype), t).astype(jnp.float64)
    least = jnp.finfo(dtype)
    error = np.abs(found - exact)
    assert (error <= 2 * float(least.eps) * np.abs(exact) + float(least.smallest_subnormal)).all()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32])
def test_many_examples_in_half_precision(dtype):
    """More examples than float16 counts: W and the mean are formed in float32."""
    n = 70_000
    u, labels = jnp.zeros((n, 2), dtype), jnp.zeros(n, jnp.int32)
    loss = partial(jc.softmax_cross_entropy, ignore_index=1)
    assert np.isclose(loss(u, labels), np.log(2), rtol=1e-3)
    delta = jax.grad(lambda u: loss(u, labels) * 1000)(u)
    assert np.allclose(delta.astype(jnp.float32), [[-500 / n, 500 / n]] * n, rtol=1e-2, atol=0)


@pytest.mark.parametrize("op", REGRESSIONS)
def test_regressions_are_finite_far_out(op):
    y, t = jnp.array([[1e4, -1e4, 0.0]], jnp.float32), jnp.zeros((1, 3), jnp.float32)
    for f in (jax.grad(op), jax.grad(lambda y, t: jax.grad(op)(y, t).sum())):
        assert np.isfinite(f(y, t)).all()
    assert np.isfinite(op(y, t))


def test_huber_of_an_error_whose_square_overflows():
    y = jnp.array([[1e30]], jnp.float32)
    assert np.isclose(jc.huber(y, jnp.zeros_like(y)), 1e30, rtol=1e-6)
    assert jax.grad(jc.huber)(y, jnp.zeros_like(y)) == 1


def test_smooth_l1_is_huber_divided_by_beta():
    y, t = 3 * normal(0, (4, 3)), normal(1, (4, 3))
    both = jax.value_and_grad(partial(jc.smooth_l1, beta=0.4), (0, 1))(y, t)
    huber = jax.value_and_grad(lambda y, t: jc.huber(y, t, delta=0.4) / 0.4, (0, 1))(y, t)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-15), both, huber))


def test_kinks_of_the_regressions():
    y = jnp.array([[0.0, 1.0, -1.0]])
    t = jnp.zeros_like(y)
    for op, expected, curvature in (
        (jc.absolute_error, [[1, 1, -1]], [[0, 0, 0]]),
        (jc.huber, [[0, 1, -1]], [[1, 1, 1]]),
        (jc.smooth_l1, [[0, 1, -1]], [[1, 1, 1]]),
    ):
        assert np.array_equal(jax.grad(op)(y, t), expected)
        assert np.array_equal(jax.grad(lambda y, op=op: jax.grad(op)(y, t).sum())(y), curvature)
        twin = jc.autodiff_twin(op)
        assert np.array_equal(jax.grad(twin)(y, t), expected)


def test_squared_error_of_sigmoids_is_sigmoid_squared_error():
    u, t = normal(0, (3, 4)), normal(1, (3, 4))
    ours = jax.value_and_grad(jc.sigmoid_squared_error, (0, 1))(u, t)
    composed = jax.value_and_grad(lambda u, t: jc.squared_error(jc.sigmoid(u), t), (0, 1))(u, t)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-15), ours, composed))


def test_kl_where_nothing_occurs_or_nothing_is_predicted():
    """0 ln 0 = 0, even against ln y = −∞, and no NaN in any gradient; t > 0 against it is ∞."""
    log_y = jnp.array([[0.0, -jnp.inf]])
    t = jnp.array([[1.0, 0.0]])
    assert jc.kl_divergence(log_y, t) == 0
    assert np.array_equal(jax.grad(jc.kl_divergence)(log_y, t), [[-1, 0]])
    assert np.array_equal(jax.grad(jc.kl_divergence, 1)(log_y, t), [[1, 0]])
    assert np.isfinite(second(lambda t: jc.kl_divergence(log_y, t), t)).all()
    assert jc.kl_divergence(log_y, jnp.array([[0.5, 0.5]])) == jnp.inf


def test_the_second_derivatives_of_the_divergence_are_symmetric_where_a_target_is_zero():
    log_y, t = jc.log_softmax(normal(0, (1, 3))), jnp.array([[0.25, 0.75, 0]])
    first = jax.jacrev(jax.grad(jc.kl_divergence, 0), 1)(log_y, t).reshape(3, 3)
    other = jax.jacrev(jax.grad(jc.kl_divergence, 1), 0)(log_y, t).reshape(3, 3)
    assert np.array_equal(first, np.diag([-1, -1, 0]))
    assert np.array_equal(first, other.T)


def test_kl_is_cross_entropy_less_entropy():
    u, t = normal(0, (3, 4)), jc.softmax(normal(1, (3, 4)))
    entropy = jc.kl_divergence(jnp.zeros_like(t), t)
    divergence = jc.kl_divergence(jc.log_softmax(u), t)
    assert np.isclose(divergence, jc.softmax_cross_entropy(u, t) + entropy, rtol=0, atol=1e-14)


def test_weight_decay_over_a_tree_with_a_mask():
    params = {
        "conv": {"kernel": normal(0, (3, 2)), "bias": normal(1, (2,))},
        "head": (normal(2, (4,)), normal(3, ())),
    }
    mask = {"conv": {"kernel": True, "bias": False}, "head": True}
    value, gradient = jax.value_and_grad(partial(jc.weight_decay, strength=0.3, mask=mask))(params)
    expected = jax.tree.map(lambda w: 0.3 * w, params)
    expected["conv"]["bias"] = jnp.zeros(2)
    assert jax.tree.all(
        jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-15), gradient, expected)
    )
    leaves = [params["conv"]["kernel"], *params["head"]]
    assert np.isclose(value, 0.15 * sum((w**2).sum() for w in leaves))


def test_weight_decay_of_different_dtypes_has_the_widest():
    params = [jnp.full((3,), 2, dtype) for dtype in (jnp.bfloat16, jnp.float32, jnp.float16)]
    value, gradient = jax.value_and_grad(lambda params: jc.weight_decay(params, 0.5))(params)
    assert value.dtype == jnp.float32
    assert value == 9
    assert [g.dtype for g in gradient] == [w.dtype for w in params]
    assert all((g == 1).all() for g in gradient)


def test_weight_decay_is_the_update_of_the_source():
    """Huang, "Weight adjustment": w ← w − α ∂E/∂w − α λ w."""
    w, x, t = normal(0, (4, 2)), normal(1, (3, 4)), normal(2, (3, 2))

    def loss(w):
        return jc.squared_error(jc.dense(x, w), t)

    both = jax.grad(lambda w: loss(w) + jc.weight_decay(w, 5e-4))(w)
    assert np.allclose(w - 0.1 * both, w - 0.1 * jax.grad(loss)(w) - 0.1 * 5e-4 * w, atol=1e-15)


@pytest.mark.parametrize("beta", [1e-300, 1e-45, 1e-38, 1.0, 1e39])
def test_smooth_l1_with_a_beta_at_the_ends_of_float32(beta):
    d = np.array([0.0, 1e-30, 0.3, -2.0, 1e10, -3e38], np.float32)
    wide = d.astype(np.float64)
    with np.errstate(over="ignore"):
        inside = np.minimum(np.abs(wide) / beta, 1)
    expected = inside * (np.abs(wide) - 0.5 * np.minimum(np.abs(wide), beta))
    for error, value, slope in zip(d, expected, np.sign(wide) * inside, strict=True):
        found = jax.value_and_grad(
            lambda y: jc.smooth_l1(y, jnp.zeros((1, 1), jnp.float32), beta=beta)
        )(jnp.full((1, 1), error))
        assert np.allclose(found[0], value, rtol=1e-6, atol=1e-37)
        assert np.allclose(found[1], slope, rtol=1e-6, atol=1e-37)
