"""Models of Flax train the same with the drop-ins as without."""

import inspect
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcnn import interop
from jaxcnn.gradcheck import random_like, relative_error

nnx = pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")
from flax import linen as nn  # noqa: E402


@pytest.fixture(autouse=True)
def promotion():
    """Flax promotes dtypes, in `avg_pool` and elsewhere."""
    with jax.numpy_dtype_promotion("standard"):
        yield


POOLS = ("max_pool", "avg_pool", "min_pool")


class Network(nnx.Module):
    """Convolutions of several kinds, poolings, batch norm, dense."""

    def __init__(self, functions, dtype, rngs):
        conv = partial(
            nnx.Conv, conv_general_dilated=functions.conv_general_dilated, param_dtype=dtype,
            rngs=rngs,
        )  # fmt: skip
        self.functions = functions
        self.stem = conv(3, 8, (3, 3), precision="highest")
        self.depthwise = conv(8, 8, (3, 2), feature_group_count=8, padding=((1, 1), (1, 0)))
        self.norm = nnx.BatchNorm(8, param_dtype=dtype, rngs=rngs)
        self.strided = conv(8, 6, (3, 3), strides=(2, 1), kernel_dilation=(1, 2))
        self.dense = nnx.Linear(6, 5, param_dtype=dtype, rngs=rngs)

    def __call__(self, x):
        x = self.functions.max_pool(nnx.relu(self.stem(x)), (2, 2), strides=(2, 2))
        x = nnx.relu(self.norm(self.depthwise(x)))
        x = self.functions.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
        return self.dense(nnx.relu(self.strided(x)).mean((1, 2)))


class LinenNetwork(nn.Module):
    """The same in linen, with a convolution of several batch axes."""

    functions: Any

    @nn.compact
    def __call__(self, x):
        conv = partial(nn.Conv, conv_general_dilated=self.functions.conv_general_dilated)
        x = nn.relu(conv(8, (3, 3), padding="CIRCULAR")(x))
        x = self.functions.max_pool(x, (2, 2), strides=(2, 2))
        x = conv(8, (3,), feature_group_count=4, padding="CAUSAL")(x)
        x = self.functions.min_pool(nn.relu(x), (2, 2), padding=((1, 0), (0, 0)))
        return nn.Dense(5)(x.mean((1, 2)))


class Plain:
    """What Flax uses itself."""

    conv_general_dilated = staticmethod(lax.conv_general_dilated)
    max_pool = staticmethod(nnx.max_pool)
    avg_pool = staticmethod(nnx.avg_pool)
    min_pool = staticmethod(nnx.min_pool)


def data(dtype):
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.standard_normal((8, 10, 9, 3)), dtype)
    return x, jnp.asarray(generator.integers(0, 5, 8))


def cross_entropy(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def losses_of_nnx(functions, dtype):
    model = Network(functions, dtype, nnx.Rngs(0))
    # Its statistics are float32 whatever the parameters are.
    nnx.update(model, jax.tree.map(lambda leaf: leaf.astype(dtype), nnx.state(model)))
    x, labels = data(dtype)

    @nnx.jit
    def step(model):
        value, gradients = nnx.value_and_grad(lambda model: cross_entropy(model(x), labels))(model)
        params = nnx.state(model, nnx.Param)
        nnx.update(model, jax.tree.map(lambda p, g: p - g, params, gradients))
        return value

    return jnp.stack([step(model) for _ in range(10)])


def losses_of_linen(functions, dtype):
    x, labels = data(dtype)
    network = LinenNetwork(functions)
    params = jax.jit(network.init)(jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)

    def step(params, _):
        value, gradients = jax.value_and_grad(lambda p: cross_entropy(network.apply(p, x), labels))(
            params
        )
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, gradients), value

    return jax.jit(lambda params: lax.scan(step, params, None, 10)[1])(params)


@pytest.mark.parametrize(
    ("losses", "dtype", "tolerance"),
    [
        (losses_of_nnx, jnp.float64, 1e-10),
        pytest.param(losses_of_nnx, jnp.float32, 1e-4, marks=pytest.mark.full),
        pytest.param(losses_of_linen, jnp.float32, 1e-4, marks=pytest.mark.full),
        pytest.param(losses_of_linen, jnp.float64, 1e-10, marks=pytest.mark.full),
    ],
)
def test_a_model_trains_the_same_with_the_drop_ins(losses, dtype, tolerance):
    ours, theirs = losses(interop, dtype), losses(Plain, dtype)
    assert ours.dtype == dtype
    assert theirs[-1] < 0.8 * theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=tolerance)


@pytest.mark.parametrize("name", POOLS)
def test_the_signatures_of_the_poolings_are_those_of_flax(name):
    def named(f):
        return [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]

    assert named(getattr(interop, name)) == named(getattr(nnx, name))


@pytest.mark.full
@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(
    ("shape", "window", "settings"),
    [
        ((2, 5, 6, 3), (2, 3), {"padding": "SAME"}),
        ((5, 6, 3), (2, 3), {"strides": (2, 1), "padding": ((1, 0), (0, 2))}),
        ((2, 3, 5, 6, 3), (2, 3), {"strides": (2, 1)}),
    ],
)
def test_poolings(name, shape, window, settings):
    x = jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)
    ours, theirs = (getattr(f, name)(x, window, **settings) for f in (interop, nnx))
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_second_derivatives_of_a_model_are_the_same_with_the_drop_ins():
    """The Hessian in a bias, and its product with a vector in all, forward over reverse."""
    x, labels = data(jnp.float64)
    x, labels = x[:3, :6, :5], labels[:3]

    def results(functions):
        network = LinenNetwork(functions)
        params = jax.jit(network.init)(jax.random.key(0), x)
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)

        def loss(params):
            return cross_entropy(network.apply(params, x), labels)

        def of_bias(bias):
            return loss({"params": {**params["params"], "Conv_0": {**first, "bias": bias}}})

        first = params["params"]["Conv_0"]
        dots = random_like(params, 1)
        product = jax.jit(lambda p, v: jax.jvp(jax.grad(loss), (p,), (v,))[1])
        return product(params, dots), jax.jit(jax.hessian(of_bias))(first["bias"])

    error, where = relative_error(results(interop), results(Plain))
    assert error < 1e-10, where
