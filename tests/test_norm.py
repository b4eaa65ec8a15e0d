"""Normalisation where numbers are difficult, and over mapped axes."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import jaxcnn as jc
from jaxcnn.gradcheck import open_primitives, relative_error

pytestmark = pytest.mark.sampled(4)


NORMS = {
    "batch": lambda x: jc.batch_norm(x)[0],
    "layer": lambda x: jc.layer_norm(x),
    "maps": lambda x: jc.layer_norm(x, axes=(-3, -2, -1)),
    "group": lambda x: jc.group_norm(x, groups=2),
    "instance": lambda x: jc.instance_norm(x),
    "rms": lambda x: jc.rms_norm(x),
    "local response": lambda x: jc.local_response_norm(x),
}
SIZE = (16, 32, 32, 16)
norms = pytest.mark.parametrize("name", NORMS)


def normal(seed, shape=SIZE, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def value_and_gradient(f, x, delta):
    y, pull = jax.vjp(f, x)
    return y, *pull(delta)


@pytest.mark.parametrize("name", ["batch", "layer", "maps", "group", "instance"])
@pytest.mark.parametrize("offset", [1e4, -1e4, 1e2])
def test_large_offsets_in_float32(name, offset):
    """Values are as good as without the offset; in gradients the mean has been rounded once,

    which the smallest of the standard deviations, some 0.4, divides.
    """
    x, delta = normal(0) + offset, normal(1)
    x = x.astype(jnp.float32).astype(jnp.float64)
    f = jax.jit(lambda x, d: value_and_gradient(NORMS[name], x, d))
    exact = f(x, delta)
    found = f(x.astype(jnp.float32), delta.astype(jnp.float32))
    eps = float(jnp.finfo(jnp.float32).eps)
    for value, reference, bound in zip(
        found, exact, (32 * eps, 4 * abs(offset) * eps), strict=True
    ):
        error, where = relative_error(value.astype(jnp.float64), reference)
        assert error < bound, where


def test_the_statistics_are_right_at_large_offsets():
    x = (normal(0) + 1e4).astype(jnp.float32)
    _, mean, variance = jc.batch_norm(x)
    wide = np.asarray(x, np.float64)
    assert np.allclose(mean, wide.mean((0, 1, 2)), rtol=1e-7, atol=0)
    assert np.allclose(variance, wide.var((0, 1, 2)), rtol=1e-5, atol=0)


@norms
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16])
def test_constant_and_zero_input_has_finite_gradients(name, dtype):
    for value in (0.0, 1.0, -3e4):
        x = jnp.full((2, 3, 5, 4), value, dtype)
        y, gradient = value_and_gradient(NORMS[name], x, normal(1, x.shape, dtype))
        assert np.isfinite(y.astype(jnp.float32)).all()
        assert np.isfinite(gradient.astype(jnp.float32)).all()
        if name not in ("rms", "local response"):
            assert not y.any()


@norms
@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e25])
def test_extreme_scales_give_no_nan(name, scale):
    x = normal(0, (2, 3, 5, 4), jnp.float32) * jnp.float32(scale)
    y, gradient = value_and_gradient(NORMS[name], x, normal(1, x.shape, jnp.float32))
    assert np.isfinite(y).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", [name for name in NORMS if name != "local response"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_and_slopes_are_those_of_the_numbers_scaled(name, dtype):
    """By powers of two, to where squares overflow, and 2^120 nearly to where numbers do."""
    x, delta = (normal(seed, (16, 3, 5, 4)).astype(dtype) for seed in (0, 1))

    def scaled(f, power):
        half = power // 2  # of the slopes, which are as much smaller as the numbers are larger
        y, gradient = value_and_gradient(f, x * dtype(2.0**power), delta * dtype(2.0**half))
        return y.astype(jnp.float64), gradient.astype(jnp.float64) * 2.0 ** (power - half)

    # Layer norm of long rows, too, by a kernel: a part of 1/σ may be too small for a number.
    rows = (lambda x: jc.layer_norm(x.reshape(16, -1)),) if name == "layer" else ()
    for f in (NORMS[name], *rows):
        for way in (lambda f: f, jax.jit, jc.jit):
            expected = scaled(way(f), 20)
            for power in (66, 90, 120):
                for found, right in zip(scaled(way(f), power), expected, strict=True):
                    assert jnp.abs(found - right).max() <= 1e-5 * jnp.abs(right).max(), power


@pytest.mark.parametrize("name", [name for name in NORMS if name != "local response"])
def test_second_derivatives_of_scaled_numbers_are_scaled(name):
    x, delta, v = (normal(seed, (4, 3, 5, 4), jnp.float32) for seed in range(3))

    def second(power):
        def gradient(x):
            return jax.vjp(NORMS[name], x)[1](delta)[0]

        x_, v_ = x * jnp.float32(2.0**power), v * jnp.float32(2.0**power)
        return jax.vjp(gradient, x_)[1](v_)[0].astype(jnp.float64) * 2.0**power

    expected = second(20)
    assert jnp.abs(second(80) - expected).max() <= 1e-5 * jnp.abs(expected).max()


@pytest.mark.parametrize("name", [name for name in NORMS if name != "local response"])
@pytest.mark.parametrize("scale", [1e-30, 1e-20])
def test_tiny_numbers_with_a_tiny_epsilon(name, scale):
    """Squares that vanish: normalised as the numbers times 1/scale are, with their epsilon."""
    options = {"groups": 2} if name == "group" else {}
    op = {"maps": "layer"}.get(name, name)
    options |= {"axes": (-3, -2, -1)} if name == "maps" else {}

    def f(x, epsilon):
        y = getattr(jc, f"{op}_norm")(x, epsilon=epsilon, **options)
        return y[0] if name == "batch" else y

    x = normal(0, (4, 3, 5, 4), jnp.float32)
    small = x * jnp.float32(scale)
    found, expected = f(small, 1e-70), f(small / jnp.float32(scale), 1e-70 / scale**2)
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("k", "alpha", "beta"),
    [
        (2.0, 1e-4, 0.75),
        (1.0, 1.0, 2.0),
        (1e-30, 1e-4, 0.5),
        (1e-10, 1e30, 0.25),
        (1e20, 1e10, 1.0),
    ],
)
def test_local_responses_are_right_wherever_float32_holds_them(k, alpha, beta):
    """Values and slopes, of windows of one scale and of every scale together."""
    rng = np.random.default_rng(0)
    exponents = np.arange(-38, 38)[:, None, None] * np.ones((76, 2, 7))
    exponents = np.concatenate([exponents, rng.uniform(-37, 38, (40, 2, 7))])
    signs = rng.choice([-1, 1], exponents.shape)
    x = (signs * rng.uniform(1.2, 3.3, exponents.shape) * 10.0**exponents).astype(np.float32)
    delta = rng.uniform(0.5, 2, x.shape).astype(np.float32)

    @jax.jit
    def found(x, delta):
        f = partial(jc.local_response_norm, k=k, alpha=alpha, beta=beta)
        y, moved = jax.jvp(f, (x,), (delta,))
        return y, moved, value_and_gradient(f, x, delta)[1]

    wide = [jnp.asarray(a, jnp.float64) for a in (x, delta)]
    values, *slopes = zip(found(x, delta), found(*wide), strict=True)
    # A slope is a sum over the window: what is left of it is as good as its largest term.
    largest = jnp.abs(values[1] / wide[0] * wide[1]).max(-1, keepdims=True)
    for (y, right), term in [(values, 0), *((pair, largest) for pair in slopes)]:
        holds = (jnp.abs(right) > 1e-35) & (jnp.abs(right) < 3e38)
        error = jnp.abs(jnp.where(holds, y.astype(jnp.float64) - right, 0))
        assert holds.sum() > 100
        assert (error <= 1e-5 * jnp.maximum(jnp.abs(right), term)).all()


def test_a_variance_that_float32_cannot_hold_is_infinite():
    x = normal(0, (16, 4), jnp.float32) * jnp.float32(1e30)
    _, mean, variance = jc.batch_norm(x)
    assert np.allclose(mean, np.asarray(x, np.float64).mean(0), rtol=1e-5, atol=1e24)
    assert np.isinf(variance).all()


@pytest.mark.parametrize("value", [1e38, -3e20, 0.1, 1e-38])
def test_numbers_that_are_all_the_same_become_zero(value):
    for name in ("batch", "layer", "maps", "group", "instance"):
        assert not NORMS[name](jnp.full((7, 3, 5, 4), value, jnp.float32)).any(), name


def test_one_example_far_out_does_not_change_the_others():
    """Under `jax.vmap` all examples take the form that the worst of them needs."""
    x = normal(0, (3, 16, 4), jnp.float32)
    far = x.at[1].multiply(jnp.float32(2.0**90))
    expected = jnp.stack([jc.batch_norm(example)[0] for example in far])
    found = jax.vmap(lambda x: jc.batch_norm(x)[0])(far)
    assert np.allclose(found, expected, rtol=0, atol=1e-6)


@norms
def test_half_precision_takes_its_statistics_in_float32(name):
    """2^15 elements near 1 in float16: a sum in half precision would stop at 2048."""
    x = (1 + normal(0) / 4).astype(jnp.float16)
    f = jax.jit(lambda x, d: value_and_gradient(NORMS[name], x, d))
    delta = normal(1, dtype=jnp.float16)
    found = [v.astype(jnp.float64) for v in f(x, delta)]
    exact = f(x.astype(jnp.float64), delta.astype(jnp.float64))
    error, where = relative_error(found, list(exact))
    assert error < 2 * float(jnp.finfo(jnp.float16).eps), where


def test_batch_statistics_of_half_precision_are_in_float32():
    _, mean, variance = jc.batch_norm(normal(0, (4, 3)).astype(jnp.bfloat16))
    assert mean.dtype == variance.dtype == jnp.float32


@norms
def test_a_nan_is_seen(name):
    x = normal(0, (2, 3, 5, 4)).at[1, 2, 3, 1].set(jnp.nan)
    assert np.isnan(NORMS[name](x)[1, 2, 3, 1])


@pytest.mark.parametrize("size", [4, 5, 2])
def test_local_response_by_loops(size):
    """The formula of the paper, element by element: y and ∂x."""
    c, k, alpha, beta = 7, 1.5, 0.3, 0.75
    x, delta = (np.random.default_rng(seed).standard_normal(c) for seed in (0, 1))
    windows = [
        [j for j in range(i - size // 2, i - size // 2 + size) if 0 <= j < c] for i in range(c)
    ]
    s = np.array([k + alpha * sum(x[j] ** 2 for j in window) for window in windows])
    gradient = [
        delta[i] * s[i] ** -beta
        - 2
        * alpha
        * beta
        * x[i]
        * sum(delta[j] * x[j] * s[j] ** (-beta - 1) for j in range(c) if i in windows[j])
        for i in range(c)
    ]
    y, pull = jax.vjp(
        lambda x: jc.local_response_norm(x, size=size, k=k, alpha=alpha, beta=beta), jnp.asarray(x)
    )
    assert np.allclose(y, x * s**-beta, rtol=0, atol=1e-15)
    assert np.allclose(pull(jnp.asarray(delta))[0], gradient, rtol=0, atol=1e-15)


def test_group_norm_has_layer_and_instance_norm_at_its_ends():
    x, scale, bias = normal(0, (2, 3, 5, 4)), normal(1, (4,)), normal(2, (4,))
    whole = jc.layer_norm(x, axes=(-3, -2, -1))
    scales = [jnp.broadcast_to(p, x.shape) for p in (scale, bias)]
    one = jc.group_norm(x, scale, bias, groups=1)
    assert np.allclose(one, whole * scales[0] + scales[1], rtol=0, atol=1e-14)
    each = jc.group_norm(x, scale, bias, groups=4)
    assert np.allclose(each, jc.instance_norm(x, scale, bias), rtol=0, atol=1e-14)


def test_batch_norm_over_a_mapped_axis_is_that_of_the_whole_batch():
    """Values, statistics and gradients of orders 1 and 2, under vmap with a name."""
    x, delta, v = (normal(seed, (4, 2, 3, 5)) for seed in range(3))
    scale, bias = normal(3, (5,)), normal(4, (5,))

    def local(x, scale, bias):
        return jc.batch_norm(x, scale, bias, axis_name="place")

    def pull(f):
        return lambda x, scale, delta: jax.vjp(lambda *a: f(*a, bias)[0], x, scale)[1](delta)

    def second(f):
        def of(x, scale, delta, v):
            return jax.vjp(lambda *a: pull(f)(*a)[0], x, scale, delta)[1](v)

        return of

    flat = [a.reshape(8, 3, 5) for a in (x, delta, v)]
    y, mean, variance = jax.vmap(local, (0, None, None), axis_name="place")(x, scale, bias)
    whole = jc.batch_norm(flat[0], scale, bias)
    assert np.allclose(y.reshape(8, 3, 5), whole[0], rtol=0, atol=1e-13)
    for found, expected in ((mean, whole[1]), (variance, whole[2])):
        assert np.allclose(found, jnp.broadcast_to(expected, (4, 5)), rtol=0, atol=1e-13)

    first = jax.vmap(pull(local), (0, None, 0), axis_name="place")(x, scale, delta)
    expected = pull(jc.batch_norm)(flat[0], scale, flat[1])
    assert np.allclose(first[0].reshape(8, 3, 5), expected[0], rtol=0, atol=1e-12)
    assert np.allclose(first[1].sum(0), expected[1], rtol=0, atol=1e-12)

    order2 = jax.vmap(second(local), (0, None, 0, 0), axis_name="place")(x, scale, delta, v)
    expected = second(jc.batch_norm)(flat[0], scale, flat[1], flat[2])
    assert np.allclose(order2[0].reshape(8, 3, 5), expected[0], rtol=0, atol=1e-12)
    assert np.allclose(order2[1].sum(0), expected[1], rtol=0, atol=1e-12)
    assert np.allclose(order2[2].reshape(8, 3, 5), expected[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_batch_norm_over_a_mapped_axis_is_closed(order):
    """Its collective means have a rule too; γ and β, replicated, are summed up by shard_map."""
    mesh = jax.make_mesh((1,), ("place",), axis_types=(AxisType.Auto,))
    x, scale = normal(0, (2, 3, 4)), normal(1, (4,))

    def f(x, *scale):
        return jax.shard_map(
            lambda *a: jc.batch_norm(*a, axis_name="place")[0],
            mesh=mesh,
            in_specs=(P("place"), P())[: 1 + len(scale)],
            out_specs=P("place"),
            check_vma=False,
        )(x, *scale)

    assert open_primitives(f, order, x) == set()
    assert open_primitives(f, order, x, scale) <= {"psum"}


def test_running_statistics_over_a_mapped_axis_count_all_places():
    layer = jc.layers.BatchNorm(0.5, axis_name="place", unbiased=True)
    params, state = layer.init(jax.random.key(0), (3, 5), dtype=jnp.float64)
    x = normal(0, (4, 2, 3, 5))
    _, new = jax.vmap(lambda x: layer.apply(params, state, x, train=True), axis_name="place")(x)
    expected = 0.5 + 0.5 * x.reshape(24, 5).var(0, ddof=1)
    assert np.allclose(new["variance"], jnp.broadcast_to(expected, (4, 5)), rtol=0, atol=1e-13)


@pytest.mark.full  # every day, test_sharding.py runs them among all operations
def test_norms_on_eight_devices_agree_with_one():
    """In a process of its own, since the number of simulated devices is fixed at its start."""
    script = Path(__file__).parent / "sharded_norm.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(script.parent.parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all agree" in done.stdout
