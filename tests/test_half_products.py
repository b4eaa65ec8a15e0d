"""Products of factors rounded to bfloat16, "BF16_BF16_F32", in both modes and at every order.

What they are equal to is the same arithmetic in float64, of factors rounded before: to the bound of
a sum in float32, which grows with the number of its terms and with the sum of their magnitudes.
"""

from functools import partial
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxcnn as jc
from jaxcnn.lowering import convolution, native
from jaxcnn.lowering.forms import names

HALVES = "BF16_BF16_F32"
FORMS = [name for name in names(convolution.TABLES.values()) if name != "fft"]  # rounds otherwise


def dense(x, weight):
    with jax.default_matmul_precision(HALVES):
        return jc.dense(x, weight)


def conv(**settings):
    return partial(jc.conv, precision=HALVES, **settings), partial(jc.conv, **settings)


# The operation of halves, the operation, and the shapes of its factors.
CASES = {
    "dense": ((dense, jc.dense), (37, 50), (50, 11)),
    "dense of one row": ((dense, jc.dense), (1, 4500), (4500, 3)),
    "dense to one": ((dense, jc.dense), (5000, 6), (6, 1)),
    "dense, large": ((dense, jc.dense), (2, 90), (90, 300)),
    "conv": (conv(stride=2, padding=((2, 1), (0, 3))), (3, 11, 9, 5), (3, 4, 5, 7)),
    "conv of one axis": (conv(padding=2, dilation=2), (4, 40, 16), (3, 16, 24)),
    "conv of three axes": (conv(padding=1), (2, 5, 6, 7, 3), (3, 3, 3, 3, 8)),
    "zeros between": (conv(padding=1, input_dilation=2), (2, 6, 7, 8), (3, 3, 8, 5)),
    "groups": (conv(padding="SAME", groups=2), (5, 8, 8, 32), (3, 3, 16, 32)),
    "depthwise": (conv(padding=1, groups=16), (4, 9, 9, 16), (3, 3, 1, 16)),
    "one element": (conv(), (4, 7, 5, 24), (1, 1, 24, 16)),
    "one element, strides": (conv(stride=2), (4, 7, 5, 24), (1, 1, 24, 16)),
    "one element, many places": (conv(), (3, 70, 70, 3), (1, 1, 3, 2)),
    "many channels": (conv(padding=1), (8, 8, 8, 64), (3, 3, 64, 64)),
}


def to_halves(tree):
    """Rounded, in float64."""
    return jax.tree.map(lambda a: a.astype(jnp.bfloat16).astype(jnp.float64), tree)


def magnitudes(tree):
    return jax.tree.map(abs, tree)


def factors(name):
    """Of numbers whose magnitudes differ."""
    _, *shapes = CASES[name]
    generator = np.random.default_rng(0)
    arrays = (generator.standard_normal(s) * 2.0 ** generator.integers(-6, 6, s) for s in shapes)
    return [jnp.asarray(a, jnp.float32) for a in arrays]


def terms(x, kernel):
    """At least as many as the longest sum has."""
    return prod(x.shape[:-1]) + prod(kernel.shape[:-1]) + prod(kernel.shape[:-2]) * kernel.shape[-1]


def check(f, exactly, arguments, *, count, sums=1):
    """f(*arguments), of float32, is what `exactly` makes of them, rounded, in float64."""
    found = f(*arguments)
    exact, sizes = (exactly(*g(to_halves(arguments))) for g in (lambda a: a, magnitudes))
    for y, z, size in zip(*map(jax.tree.leaves, (found, exact, sizes)), strict=True):
        assert y.dtype == jnp.float32
        bound = (count + 2 * sums) * 2.0**-24 * sums * np.asarray(size)
        error = np.abs(np.asarray(y, np.float64) - z)
        assert (error <= bound).all(), (error / bound).max()
    return found


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", CASES)
def test_factors_are_rounded_and_nothing_else(name):
    (halves, op), *_ = CASES[name]
    x, kernel = factors(name)
    count, twin = terms(x, kernel), jc.autodiff_twin(op)
    wide = x.astype(jnp.float64), kernel.astype(jnp.float64)
    for run in (halves, jc.jit(halves)):
        y = check(run, twin, (x, kernel), count=count).astype(jnp.float64)
        # Of each factor, 2⁻⁸ at most; and they are not those of float32.
        error, size = jnp.abs(y - twin(*wide)), twin(*magnitudes(wide))
        assert (error <= (2.0**-7 + 2.0**-16 + count * 2.0**-24) * size).all()
        assert (error / size).max() > 2.0**-13


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", CASES)
def test_gradients_of_both_orders_are_of_rounded_factors_too(name):
    (halves, op), *_ = CASES[name]
    x, kernel = factors(name)
    twin, count = jc.autodiff_twin(op), terms(x, kernel)
    generator = np.random.default_rng(1)

    def like(a):
        return jnp.asarray(generator.standard_normal(a.shape), jnp.float32)

    delta = like(jax.eval_shape(op, x, kernel))

    def gradients(f, x, kernel, delta):
        return jax.vjp(f, x, kernel)[1](delta)

    check(
        jc.jit(partial(gradients, halves)), partial(gradients, twin), (x, kernel, delta),
        count=count,
    )  # fmt: skip

    def second(f, x, kernel, delta, *cotangents):
        return jax.vjp(partial(gradients, f), x, kernel, delta)[1](cotangents)

    check(
        jc.jit(partial(second, halves)), partial(second, twin),
        (x, kernel, delta, like(x), like(kernel)), count=count, sums=2,
    )  # fmt: skip

    def moved(f, x, kernel, *dots):
        return jax.jvp(f, (x, kernel), dots)[1]

    check(
        jc.jit(partial(moved, halves)), partial(moved, twin), (x, kernel, like(x), like(kernel)),
        count=count, sums=2,
    )  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_computes_them(form):
    """Where it can; else another one does."""
    if form == "native" and native.obstacle():
        pytest.skip(f"{native.obstacle()} (extra: native)")
    for name in ("conv", "groups", "zeros between", "one element, strides", "conv of three axes"):
        (halves, op), *_ = CASES[name]
        x, kernel = factors(name)
        twin = jc.autodiff_twin(op)
        delta = jnp.ones(jax.eval_shape(op, x, kernel).shape, jnp.float32) * 1.2345

        def both(f, x, kernel, delta):
            y, pull = jax.vjp(f, x, kernel)
            return y, pull(delta)

        with jc.forms(form):
            check(
                jc.jit(partial(both, halves)), partial(both, twin), (x, kernel, delta),
                count=terms(x, kernel),
            )  # fmt: skip


def _scanned(f, x, kernel):
    return jax.lax.scan(lambda _, each: (0, f(each[None], kernel)[0]), 0, x)[1]


def _sharded(f, x, kernel):
    mesh = jax.make_mesh((1,), ("n",), axis_types=(jax.sharding.AxisType.Auto,))
    return jax.shard_map(f, mesh=mesh, in_specs=(P("n"), P()), out_specs=P("n"))(x, kernel)


TRANSFORMED = {
    "vmap": lambda f, x, k: jax.vmap(lambda each: f(each[None], k)[0])(x),
    "vmap of kernels": lambda f, x, k: jax.vmap(f, (None, 0))(x, jnp.stack([k, k]))[1],
    "scan": _scanned,
    "cond": lambda f, x, k: jax.lax.cond(x[(0,) * x.ndim] > 1e9, lambda x, k: f(x, -k), f, x, k),
    "checkpoint": lambda f, x, k: jax.checkpoint(f)(x, k),
    "shard_map": _sharded,
    "linearised": lambda f, x, k: jax.linearize(partial(f, x), k)[1](k),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["dense", "conv", "one element"])
@pytest.mark.parametrize("transformation", TRANSFORMED)
def test_transformations_keep_them(transformation, name):
    (halves, op), *_ = CASES[name]
    x, kernel = factors(name)
    transformed, twin = TRANSFORMED[transformation], jc.autodiff_twin(op)

    def both(f, x, kernel):
        y, pull = jax.vjp(partial(transformed, f), x, kernel)
        return y, pull(jnp.ones_like(y))

    def exactly(x, kernel):
        y, pull = jax.vjp(twin, x, kernel)
        return y, pull(jnp.ones_like(y))

    check(jc.jit(partial(both, halves)), exactly, (x, kernel), count=terms(x, kernel), sums=2)


def test_a_context_asks_for_them_of_every_operation_called_in_it():
    x, kernel = factors("conv")
    settings: dict[str, Any] = {"stride": 2, "padding": 1}
    with jax.default_matmul_precision(HALVES):
        y, pull = jax.vjp(partial(jc.conv, **settings), x, kernel)
    named, pull_named = jax.vjp(partial(jc.conv, precision=HALVES, **settings), x, kernel)
    for ours, theirs in zip((y, *pull(y)), (named, *pull_named(named)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (named != jc.conv(x, kernel, **settings)).any()


def test_what_is_not_finite_stays_so():
    x, kernel = jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 2))
    x = x.astype(jnp.float32).at[0, 0, 0].set(jnp.array([jnp.nan, -jnp.inf], jnp.float32))
    y = jc.conv(x, kernel.astype(jnp.float32), precision=HALVES)
    assert jnp.isnan(y[0, 0, 0]).all()
    np.testing.assert_array_equal(y[0, 1:], 18)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_results_have_the_dtype_of_the_factors(dtype):
    x, kernel = (a.astype(dtype) for a in factors("many channels"))
    with jax.default_matmul_precision(HALVES):
        found = jc.conv(x, kernel), jc.dense(x, kernel[0, 0])
    rounded_first = [a.astype(jnp.bfloat16).astype(dtype) for a in (x, kernel)]
    expected = jc.conv(*rounded_first), jc.dense(rounded_first[0], rounded_first[1][0, 0])
    for y, z in zip(found, expected, strict=True):
        assert y.dtype == dtype
        assert jnp.abs(y - z).max() <= 4 * float(jnp.finfo(dtype).eps) * jnp.abs(z).max()
