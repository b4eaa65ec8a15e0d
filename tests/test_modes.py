"""Both modes, at every order: derivatives in every mixture, against those of the plain twins."""

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn.gradcheck import (
    check_gradients,
    derivative,
    derivative_arguments,
    mixtures,
    relative_error,
)
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case


@pytest.mark.parametrize(
    "case",
    [c if c is FIRST[c.op] else pytest.param(c, marks=pytest.mark.full) for c in CASES],
    ids=lambda case: case.name,
)
def test_every_mixture_of_the_modes_is_the_twins(case: Case, request):
    """Orders 1 and 2; on kinks 1, where there is no second one. With --full, order 3 as well."""
    orders = 1 if case.on_kinks else 3 if request.config.getoption("full") else 2
    f, twin, arrays = case.function(), case.function(twin=True), case.arrays()
    words = [word for order in range(1, orders + 1) for word in mixtures(order)[:-1]]
    arguments = {word: derivative_arguments(f, word, arrays) for word in words}

    @jax.jit
    def both(arguments):
        return [{word: derivative(g, word)(*arguments[word]) for word in words} for g in (f, twin)]

    found, expected = both(arguments)
    for word in words:
        error, where = relative_error(found[word], expected[word])
        assert error < 1e-10, (word, where)


@pytest.mark.parametrize("op", list(FIRST)[::4], ids=lambda op: op.__name__)
def test_a_tangent_is_the_transpose_of_the_backward_pass_and_agrees_with_differences(op):
    case = FIRST[op]
    findings = check_gradients(
        case.function(), *case.arrays(), twin=case.function(twin=True), modes="both",
        **case.differences(),
    )  # fmt: skip
    assert not [str(finding) for finding in findings if not finding.passed]


def test_a_linear_map_and_a_pullback_can_be_transposed():
    case = next(case for case in CASES if case.op.__name__ == "conv")
    x, kernel, *bias = case.arrays()
    f = case.function()

    def linear(x):
        return f(x, kernel, *(jnp.zeros_like(b) for b in bias))

    y = linear(x)
    (transposed,) = jax.linear_transpose(linear, x)(y)
    (pulled,) = jax.vjp(linear, x)[1](y)
    assert relative_error(transposed, pulled)[0] < 1e-12
    pullback = jax.vjp(f, x, kernel, *bias)[1]
    (pushed,) = jax.linear_transpose(pullback, y)((x, kernel, *bias))
    expected = jax.jvp(f, (x, kernel, *bias), (x, kernel, *bias))[1]
    assert relative_error(pushed, expected)[0] < 1e-12
    with pytest.raises(TypeError, match="linear in one argument"):
        jax.linear_transpose(jaxcnn.tanh, x)(x)
