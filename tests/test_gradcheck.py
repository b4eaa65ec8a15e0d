"""The checks themselves: right derivatives pass, wrong ones are caught by each kind of check."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.gradcheck import (
    adjoint_error,
    assert_gradients,
    check_gradients,
    default_step,
    finite_differences,
    relative_error,
    second_derivatives,
)

VALUE = "value of the forward pass against the function's"


def cubes(factor=3.0, order_2=True):
    """Σ x³ along a row, with a backward pass of 3x²δ, or a wrong one."""

    @jax.custom_vjp
    def f(x):
        return (x**3).sum(-1)

    def backward(x, delta):
        kept = x if order_2 else jax.lax.stop_gradient(x)
        return (delta[..., None] * factor * kept * kept,)

    f.defvjp(lambda x: (f(x), x), backward)
    return f


def skew(x):
    """A backward pass that is no gradient of anything: its Jacobian is not symmetric."""

    @jax.custom_vjp
    def f(x):
        return (x * x).sum()

    f.defvjp(lambda x: (f(x), x), lambda x, delta: (delta * (2 * x + jnp.roll(x, 1) ** 2),))
    return f(x)


X = jnp.linspace(0.5, 1.5, 6).reshape(2, 3)


def verdicts(f, *args, **options):
    return {finding.check: finding.passed for finding in check_gradients(f, *args, **options)}


def plain(x):
    return (x**3).sum(-1)


def test_a_right_rule_passes_every_check():
    found = verdicts(cubes(), X, twin=plain, orders=3)
    assert found == dict.fromkeys(found, True)
    assert list(found) == [
        VALUE,
        "value against the twin's",
        "derivative of order 1 against the twin's",
        "derivative of order 2 against the twin's",
        "derivative of order 3 against the twin's",
        "Jacobian against central differences",
        "second derivatives against their transpose",
    ]
    assert_gradients(cubes(), X, twin=plain, orders=3)


def test_a_wrong_factor_is_caught_by_differences_alone():
    assert verdicts(cubes(3.001), X) == {VALUE: True, "Jacobian against central differences": False}


def test_a_pullback_that_is_not_linear_is_caught_by_differences_alone():
    """= for +=: right for every single cotangent, wrong for two at once."""

    @jax.custom_vjp
    def f(x):
        return jnp.stack([x[0] + x[1], x[1] + x[2]])

    def backward(_, delta):
        middle = jnp.where(delta[1] == 0, delta[0], delta[1])
        return (jnp.stack([delta[0], middle, delta[1]]),)

    f.defvjp(lambda x: (f(x), None), backward)
    assert verdicts(f, jnp.ones(3)) == {VALUE: True, "Jacobian against central differences": False}


def test_a_wrong_second_derivative_is_caught_without_a_twin():
    found = verdicts(cubes(order_2=False), X, orders=2)
    assert found["Jacobian against central differences"]
    assert not found["pullback's Jacobian against central differences"]
    assert all(verdicts(cubes(), X, orders=2).values())


def test_second_derivatives_that_are_not_symmetric_are_caught():
    x = jnp.array([0.3, 0.7, 1.1])
    assert not verdicts(skew, x, symmetry=True)["second derivatives against their transpose"]
    matrix = second_derivatives(lambda x, y: (x * y**2).sum(), [x, 2 * x])
    assert relative_error(matrix, matrix.T)[0] < 1e-14
    assert matrix.shape == (6, 6)


def test_the_adjoint_identity():
    matrix = jnp.arange(6.0).reshape(2, 3)
    adjoint = verdicts(lambda x: matrix @ x, jnp.ones(3), adjoint=lambda y: y @ matrix)
    assert adjoint["adjoint identity"]
    wrong = verdicts(lambda x: matrix @ x, jnp.ones(3), adjoint=lambda y: 1.01 * (y @ matrix))
    assert not wrong["adjoint identity"]
    assert adjoint_error(lambda x: 2 * x, lambda y: 3 * y, jnp.ones(2), jnp.ones(2)) == 0.5


def test_the_worst_element_is_named_by_its_index():
    def twin(x):
        return plain(x).at[1].add(0.25)

    with pytest.raises(AssertionError, match=r"value against the twin's.*result at \(1,\) is "):
        assert_gradients(cubes(), X, twin=twin)


def test_arguments_and_results_may_be_pytrees():
    def f(params, x):
        return {"y": params["w"] * x, "z": jnp.tanh(params["b"]) + x}

    params = {"w": jnp.full(3, 0.7), "b": jnp.full(3, 0.2)}
    assert all(verdicts(f, params, jnp.ones(3), twin=f, orders=2).values())


def test_every_dtype_has_its_own_step_and_tolerances():
    assert default_step(jnp.float64) == pytest.approx(6.06e-6, rel=1e-3)
    assert default_step(jnp.float32) == pytest.approx(4.92e-3, rel=1e-3)
    low = X.astype(jnp.float32)
    assert all(verdicts(cubes(), low, twin=plain, orders=2).values())
    assert not verdicts(cubes(3.2), low)["Jacobian against central differences"]
    (found,) = finite_differences(plain, [X])
    exact = np.asarray(X) ** 2 * 3 * np.eye(2)[:, :, None]
    assert np.allclose(found, exact.reshape(2, 6), rtol=0, atol=1e-9)


def test_the_floor_is_what_small_numbers_are_compared_with():
    def nothing(x):
        return jax.lax.stop_gradient(1e-14 * x)

    tiny = partial(check_gradients, nothing, X, twin=lambda x: 1e-14 * x, difference_tolerance=None)
    assert tiny()[-1].passed
    assert not tiny(floor=1e-16)[-1].passed


@pytest.mark.parametrize(
    ("arrays", "error", "sentence"),
    [
        ([X.astype(jnp.float16)], ValueError, "tolerance and difference_tolerance must be given"),
        ([X, X.astype(jnp.float32)], TypeError, r"args\[1\] must have the dtype of args\[0\]"),
        (
            [jnp.arange(3)],
            TypeError,
            r"args\[0\] must hold floating-point numbers, got",
        ),
    ],
)
def test_what_cannot_be_checked_is_told(arrays, error, sentence):
    with pytest.raises(error, match=sentence):
        check_gradients(lambda *a: sum(a), *arrays)
