"""Calls outside `jit`: the same one again compiles nothing, and says and computes the same."""

import gc
import logging
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxcnn as jc
from jaxcnn.rules import custom_rule


def compiled(caplog, f, *args) -> int:
    """How many programs a call compiles."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jax.block_until_ready(f(*args))
    return sum("Compiling" in record.getMessage() for record in caplog.records)


MODES = {
    "forward": lambda f: f,
    "grad": lambda f: jax.grad(lambda *args: jnp.sum(f(*args))),
    "jvp": lambda f: lambda x, *rest: jax.jvp(lambda x: f(x, *rest), (x,), (x,)),
    "vmap": lambda f: lambda x, *rest: jax.vmap(lambda x: f(x, *rest))(x[None]),
    "vmap of grad": lambda f: (
        lambda x, *rest: jax.vmap(jax.grad(lambda x: jnp.sum(f(x, *rest))))(x[None])
    ),
}
MAPS = np.ones((2, 6, 6, 3))
ROWS = np.ones((2, 5))
OPERATIONS = {
    "conv": (
        lambda x, k: jc.conv(x, k, padding="SAME", stride=(2, 1)),
        MAPS,
        np.ones((3, 3, 3, 4)),
    ),
    "max_pool": (lambda x: jc.max_pool(x, 2), MAPS),
    "avg_pool": (lambda x: jc.avg_pool(x, 3, padding=((1, 1), (0, 1))), MAPS),
    "dense": (jc.dense, ROWS, np.ones((5, 3)), np.ones(3)),
    "relu": (jc.relu, ROWS),
    "sigmoid": (jc.sigmoid, ROWS),
    "tanh": (jc.tanh, ROWS),
    "gelu": (jc.gelu, ROWS),
    "softmax": (jc.softmax, ROWS),
    "softmax_cross_entropy": (lambda x: jc.softmax_cross_entropy(x, jnp.zeros(2, int)), ROWS),
    "layer_norm": (jc.layer_norm, ROWS, np.ones(5), np.ones(5)),
    "flatten": (jc.flatten, MAPS),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_call_again_compiles_nothing(name, mode, caplog):
    f, *args = OPERATIONS[name]
    args = [jnp.asarray(a) for a in args]
    call = MODES[mode](f)
    first, second = compiled(caplog, call, *args), compiled(caplog, call, *args)
    assert second == 0, first


def test_a_public_call_is_one_program(caplog):
    # Of a shape of their own, so that nothing is there; a plain function would be two or more.
    x = jnp.asarray(np.ones((7, 11)))
    assert compiled(caplog, jc.softmax, x) == 1
    assert compiled(caplog, lambda: jc.softmax(x, axis=0)) == 1
    assert compiled(caplog, lambda: jc.softmax(x, axis=0)) == 0


def test_within_another_program_a_call_is_no_program_of_its_own():
    x = jnp.ones((2, 3))
    for f in (lambda x: jc.tanh(jc.relu(x)), jax.grad(lambda x: jc.dense(x, x.T).sum())):
        program = jax.make_jaxpr(f)(x)
        assert not [eqn for eqn in program.eqns if eqn.primitive.name in ("jit", "pjit")]


@pytest.mark.parametrize("setting", [True, np.True_, 1.0, "1"])
def test_settings_that_are_equal_are_not_the_same(setting):
    x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((2, 2, 2, 2))
    jc.conv(x, kernel, groups=1, stride=1)
    wrong: list[dict[str, Any]]
    wrong = [{"groups": setting}, {"stride": setting}, {"stride": (1, setting)}]
    for settings in wrong:
        with pytest.raises((TypeError, ValueError), match="must be an integer"):
            jc.conv(x, kernel, **settings)


def test_a_setting_may_be_what_only_a_plain_call_can_read():
    x = jnp.ones((2, 3))
    axis: Any = jnp.asarray(0)
    np.testing.assert_array_equal(jc.softmax(x, axis), jc.softmax(x, 0))
    np.testing.assert_array_equal(jc.relu(np.ones((2, 3))), x)
    assert jc.conv(jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1)), stride=[2, 2]).shape[1] == 2
    with pytest.raises(TypeError, match="relu: x must hold floating-point numbers, got dtype int"):
        jc.relu(jnp.ones(3, jnp.int32))


def test_a_rule_that_is_given_is_called_every_time():
    calls = []

    def rule(x):
        calls.append(x)
        return lax.neg(x)

    x = jnp.ones(3)
    for _ in range(2):
        np.testing.assert_array_equal(jc.relu(x, rule=rule), -x)
    assert [type(call) for call in calls] == [type(x)] * 2


def test_arrays_of_the_other_order_of_bytes_are_read_as_they_are():
    for order in "<>":
        np.testing.assert_array_equal(jc.relu(np.arange(3, dtype=order + "f4")), jnp.arange(3))


def test_calls_from_several_threads_are_right():
    def call(i):
        return jc.elu(jnp.full((2, 3), -1.0), alpha=float(i % 5))

    with ThreadPoolExecutor(8) as threads:
        for i, y in enumerate(threads.map(call, range(100))):
            np.testing.assert_allclose(y, (i % 5) * np.expm1(-1.0))


class Held(np.ndarray):
    """An array that can be referred to weakly."""


@pytest.mark.parametrize("derivative", [lambda f: f, jax.grad, lambda f: jax.jit(jax.grad(f))])
def test_a_rule_goes_with_what_it_holds(derivative):
    def use():
        held = np.ones(()).view(Held)

        @custom_rule
        def f(x):
            return x * float(held)

        f.defvjp(lambda x: (f(x), ()), lambda _, delta: (delta * float(held),))
        f.defjvps(lambda _, x_dot: x_dot * float(held))
        derivative(lambda x: f(x))(jnp.ones(()))
        return weakref.ref(held)

    reference = use()
    gc.collect()
    assert reference() is None
