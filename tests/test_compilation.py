"""The recommended compiler options: probed, told to the rules, and right."""

import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import compilation, hints
from jaxcnn.gradcheck import random_like, relative_error

X, KERNEL = ((4, 9, 8, 5), jnp.float32), ((3, 3, 5, 16), jnp.float32)
SHAPES = [jax.ShapeDtypeStruct(*shape) for shape in (X, KERNEL)]


def loss(x, kernel):
    return (jaxcnn.max_pool(jaxcnn.conv(x, kernel, stride=(1, 2), padding=1), 2) ** 2).sum()


gradients = jax.value_and_grad(loss, (0, 1))


def test_options_that_the_compiler_does_not_know_are_left_out(monkeypatch):
    known = jaxcnn.compiler_options("cpu")
    unknown = {"xla_cpu_no_such_option": True, **known}
    monkeypatch.setattr(compilation, "_RECOMMENDED", unknown)
    assert jaxcnn.compiler_options("cpu") == known


def test_other_platforms_need_none():
    assert jaxcnn.compiler_options("cuda") == jaxcnn.compiler_options("tpu") == {}


def test_with_the_options_the_numbers_are_those_of_double_precision_to_rounding():
    single = [random_like(shape, seed) for seed, shape in enumerate(SHAPES)]
    double = [jnp.asarray(a, jnp.float64) for a in single]
    found = [jnp.asarray(a, jnp.float64) for a in jax.tree.leaves(jaxcnn.jit(gradients)(*single))]
    error, where = relative_error(found, jax.tree.leaves(jax.jit(gradients)(*double)))
    assert 0 < error < 2e-6, where


def test_the_rules_know_what_the_program_is_compiled_with():
    seen = []

    def observer():
        def f(x):
            seen.append(hints.fast_convolutions.value)
            return x + 1

        return f

    x, known = jnp.ones(3), bool(jaxcnn.compiler_options())
    jaxcnn.jit(observer())(x)
    jaxcnn.jit(observer(), compiler_options={})(x)
    inner = jaxcnn.jit(observer())
    jaxcnn.jit(lambda x: inner(x))(x)
    inner = jaxcnn.jit(observer())
    jax.jit(lambda x: inner(x))(x)
    # The last two are traced once with the options, which a nested program cannot have, and again.
    assert seen == [known, False, *[True] * known, known, *[True] * known, False]
    assert not hints.fast_convolutions.value


def test_a_gradient_of_a_jitted_function_and_a_gradient_jitted_are_the_same():
    arguments = [random_like(shape, seed) for seed, shape in enumerate(SHAPES)]
    inside = jax.grad(jaxcnn.jit(loss))(*arguments)
    np.testing.assert_allclose(inside, jaxcnn.jit(jax.grad(loss))(*arguments), 1e-5, 1e-5)


def test_it_makes_methods_as_jit_does():
    class Scaled:
        factor = 3

        @partial(jaxcnn.jit, static_argnums=0)
        def times(self, x):
            return self.factor * x

    assert Scaled().times(jnp.ones(2)).tolist() == [3, 3]
    assert Scaled.times(Scaled(), jnp.ones(2)).tolist() == [3, 3]
    Scaled.times.clear_cache()


def test_a_decorator_does_not_start_the_backend():
    """What is decided about devices after an import must still count."""
    program = """
import jax, jaxcnn

@jaxcnn.jit
def f(x):
    return x + 1

jax.config.update("jax_num_cpu_devices", 3)
assert jax.device_count() == 3
assert f(1) == 2
"""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_it_lowers_donates_and_takes_static_arguments_as_jit_does():
    f = jaxcnn.jit(lambda x, n: x * n, static_argnames="n", donate_argnames="x")
    assert f(jnp.ones(2), n=3).tolist() == [3, 3]
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    assert f.lower(shape, n=2).compile()(jnp.ones(2, jnp.float32)).tolist() == [2, 2]
    assert f.eval_shape(shape, n=2).shape == (2,)
    assert f.trace(shape, n=2).jaxpr is not None


def test_options_of_ones_own_replace_ours():
    f = jaxcnn.jit(lambda x: x, compiler_options={"xla_cpu_no_such_option": True})
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_cpu_no_such_option"):
        f(jnp.ones(2))
