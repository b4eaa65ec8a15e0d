"""Rules that users write: what they may be, and what is said of one that is wrong."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from jaxcnn import custom_rule, gradcheck, rules

X = jnp.array([0.5, -1.0, 2.0])


def product(**wrong):
    """y = a b, of which some parts are others."""

    def times(a, b):
        return a * b

    rule = custom_rule(times)
    parts = {
        "fwd": lambda a, b: (rule(a, b), (a, b)),
        "bwd": lambda kept, delta: (delta * kept[1], delta * kept[0]),
        "tangent": lambda kept, dots: dots[0] * kept[1] + kept[0] * dots[1],
    } | wrong
    rule.defvjp(parts["fwd"], parts["bwd"])
    rule.defjvp(parts["tangent"])
    return rule


# Settings and arguments ---------------------------------------------------------------------------


def test_settings_that_are_equal_but_of_another_kind():
    scaled = custom_rule(lambda x, n: x * n, nondiff_argnums=(1,))
    with jax.numpy_dtype_promotion("standard"):
        assert [scaled(jnp.arange(3), n).dtype for n in (2, 2.0)] == [jnp.int64, jnp.float64]
    assert [np.signbit(scaled(X, n)[0]) for n in (0.0, -0.0)] == [False, True]
    chosen = custom_rule(lambda x, n: x if n[0] is True else -x, nondiff_argnums=(1,))
    assert (chosen(X, (True,)) == X).all()
    assert (chosen(X, (1,)) == -X).all()


def test_defaults_and_names():
    cubed = rules.sloped(lambda x, n: 3 * n * x**2, nondiff_argnums=(1,))(lambda x, n=2: n * x**3)
    for args, named, n in (((X,), {}, 2), ((X, 5), {}, 5), ((X,), {"n": 5}, 5), ((), {"x": X}, 2)):
        assert (cubed(*args, **named) == n * X**3).all()
    np.testing.assert_allclose(jax.grad(lambda x: cubed(x).sum())(X), 6 * X**2)
    times = custom_rule(lambda a, b=2.0: a * b)
    times.defvjp(lambda a, b: (times(a, b), (a, b)), lambda k, delta: (delta * k[1], delta * k[0]))
    times.defjvp(lambda k, dots: dots[0] * k[1] + k[0] * dots[1])
    assert (jax.grad(times)(3.0), jax.jvp(times, (3.0,), (1.0,))[1]) == (2, 2)
    assert jax.jvp(times, (3.0, 4.0), (1.0, 1.0)) == (12, 7)


def test_a_rule_made_of_a_rule_has_nothing_of_it():
    other = custom_rule(product())
    assert (other(X, X) == X * X).all()
    with pytest.raises(TypeError, match=r"^times: derivatives need a backward pass"):
        jax.jvp(other, (X, X), (X, X))


@custom_rule
def scaled_tanh(x, scale):
    return scale * jnp.tanh(x)


scaled_tanh.defvjp(
    lambda x, scale: (scaled_tanh(x, scale), (jnp.tanh(x), scale)),
    lambda kept, delta: (delta * kept[1] * (1 - kept[0] ** 2), (delta * kept[0]).sum()),
)
scaled_tanh.defjvp(lambda kept, dots: dots[0] * kept[1] * (1 - kept[0] ** 2) + dots[1] * kept[0])


DERIVATIVES = {
    "gradient": lambda f: jax.grad(f, (0, 1)),
    "tangent": lambda f: lambda *args: jax.jvp(f, args, args),
    "Hessian": lambda f: jax.hessian(f, (0, 1)),
    "gradient of a gradient": lambda f: jax.grad(lambda *a: jax.grad(f)(*a).sum(), (0, 1)),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.parametrize("checked", [True, False])
def test_a_parameter_that_all_places_share(derivative, checked):
    """Its gradient is a sum over them, which its type says: one place is enough to see it."""
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))

    @partial(jax.shard_map, mesh=mesh, in_specs=(P("d"), P()), out_specs=P(), check_vma=checked)
    def spread(x, scale):
        return lax.psum(scaled_tanh(x, scale).sum(), "d")

    found = jax.jit(derivative(spread))(X, jnp.array(1.5))
    expected = derivative(lambda x, scale: (scale * jnp.tanh(x)).sum())(X, jnp.array(1.5))
    assert gradcheck.relative_error(found, expected)[0] < 1e-12


# Wrong rules --------------------------------------------------------------------------------------


def gradient(**wrong):
    return jax.grad(lambda a: product(**wrong)(a, X).sum())(X)


def tangent(result):
    return jax.jvp(product(tangent=result), (X, X), (X, X))


NUMBER: Any = 3


def double(x):
    return 2 * x


def around(transformation):
    """A rule inside a function, one of whose arguments it takes without being given it."""

    def masked_sum(mask, x):
        @custom_rule
        def masked(x):
            return x * mask

        masked.defvjp(lambda x: (masked(x), None), lambda kept, delta: (delta * mask,))
        return masked(x).sum()

    return transformation(masked_sum)(X, X)


def half(*wrong):
    """The transpose of a linear map, in half precision."""
    one, other = custom_rule(double), custom_rule(lambda x: (2 * x).astype(jnp.float16))
    rules.adjoints(one, other)
    return jax.linear_transpose(one, X)(X)


BACK = "times: the backward pass must return a "
WRONG = {
    BACK + "tuple with a gradient, or None, for each of 2 arguments, got 1 of them": (
        lambda: gradient(bwd=lambda kept, delta: (delta,))
    ),
    BACK + "tuple with a gradient, or None, for each of 2 arguments, got float64[3]": (
        lambda: gradient(bwd=lambda kept, delta: delta)
    ),
    BACK + "gradient like its argument, float64[3], got 0.0": (
        lambda: gradient(bwd=lambda kept, delta: (0.0, delta))
    ),
    BACK + "gradient like its argument, float64[3], got float32[3]": (
        lambda: gradient(bwd=lambda kept, delta: (delta.astype(jnp.float32), delta))
    ),
    "double: the backward pass must return a gradient like its argument, float64[3], "
    "got float16[3]": half,
    "times: the forward pass must return two things, y and residuals, got float64[3]": (
        lambda: gradient(fwd=lambda a, b: a * b)
    ),
    "times: the tangent must be like y, float64[3], got float16[3]": (
        lambda: tangent(lambda kept, dots: dots[0].astype(jnp.float16))
    ),
    "times: the tangent must be like y, float64[3], got float64[4]": (
        lambda: tangent(lambda kept, dots: jnp.ones(4))
    ),
    "times: the tangent must be like y, float64[3], got 0.0": (
        lambda: tangent(lambda kept, dots: 0.0)
    ),
    "times: the tangent must be built as y, PyTreeDef(*), got PyTreeDef([*, *])": (
        lambda: tangent(lambda kept, dots: dots)
    ),
    "double: derivatives need a backward pass, given by defvjp; got none": (
        lambda: jax.grad(custom_rule(double))(1.0)
    ),
    "times_scale: a rule takes arguments by position, got scale by name": (
        lambda: custom_rule(times_scale)(X, scale=3.0)
    ),
    "double: missing a required argument: 'x'": lambda: custom_rule(double)(),
    "double: a setting must be hashable, got [1]": (
        lambda: custom_rule(double, nondiff_argnums=(0,))([1])
    ),
    "masked: a rule must take what is traced as an argument, not from around its functions, "
    "got an array of shape (3,)": lambda: around(jax.jit),
    "vmap of masked: a rule must take what is traced as an argument, not from around its "
    "functions, got one of vmap or of a derivative": lambda: around(jax.vmap),
    "masked: a rule must take what is traced as an argument, not from around its functions, "
    "got one of vmap or of a derivative": lambda: around(jax.grad),
    "custom_rule: nondiff_argnums must be different places among 1 arguments, got (5,)": (
        lambda: custom_rule(double, nondiff_argnums=(5,))
    ),
    "adjoints: argument must be different places among 1 arguments, got (5,)": (
        lambda: rules.adjoints(custom_rule(double), custom_rule(double), argument=5)
    ),
    "defjvps: affine must be a sequence of integers, got 3": (
        lambda: custom_rule(double).defjvps(double, affine=NUMBER)
    ),
    "defjvps: tangents must be different places among 1 arguments, got range(0, 2)": (
        lambda: custom_rule(double).defjvps(double, double)
    ),
    "defvjp: fwd must be a function, got 3": lambda: custom_rule(double).defvjp(NUMBER, double),
}


def times_scale(x, *, scale=1.0):
    return x * scale


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_said_of_a_wrong_rule(sentence):
    with pytest.raises((TypeError, ValueError), match=rf"^{re.escape(sentence)}(\n|$)"):
        WRONG[sentence]()


def test_gradcheck_sees_a_forward_pass_of_another_function():
    wave = custom_rule(jnp.sin)
    wave.defvjp(lambda x: (jnp.cos(x), x), lambda x, delta: (delta * jnp.cos(x),))
    with pytest.raises(AssertionError, match="value of the forward pass against the function's"):
        gradcheck.assert_gradients(wave, X)
