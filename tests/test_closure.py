"""Closed under differentiation: in every mixture of the modes only rules and arithmetic remain."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn.gradcheck import mixtures, open_primitives
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.rules import custom_rule


@pytest.mark.parametrize(
    "case",
    [
        case if case is FIRST[case.op] else pytest.param(case, marks=pytest.mark.full)
        for case in CASES
    ],
    ids=lambda case: case.name,
)
def test_only_rules_and_arithmetic_remain(case: Case, request):
    """Orders 0 to 2 in every mixture, and the third pullback; with --full all of order 3."""
    orders = range(4 if request.config.getoption("full") else 3)
    for word in {*(word for order in orders for word in mixtures(order)), "rrr"}:
        assert open_primitives(case.function(), word, *case.arrays()) == set(), word


@pytest.mark.parametrize("order", ["f", 1, 2, "fr", "rf"])
def test_a_whole_network_is_closed(order):
    net = models.lenet5("1998")
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float64)
    leaves, tree = jax.tree.flatten(params)
    labels = jnp.array([3, 1])
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 1), jnp.float64)

    def loss(*leaves):
        logits, _ = net.apply(tree.unflatten(leaves), state, x)
        return jaxcnn.softmax_cross_entropy(logits, labels)

    assert open_primitives(loss, order, *leaves) == set()


@pytest.mark.parametrize("order", [1, 2, "f", "rf"])
@pytest.mark.parametrize("case", [CASES[0]], ids=lambda case: case.name)
def test_the_test_sees_plain_operations(case: Case, order):
    assert "conv_general_dilated" in open_primitives(
        case.function(twin=True), order, *case.arrays()
    )


def test_the_test_sees_foreign_rules():
    @jax.custom_vjp
    def foreign(x):
        return x

    foreign.defvjp(lambda x: (foreign(x), None), lambda _, delta: (delta,))
    assert any("foreign" in name for name in open_primitives(foreign, 1, jnp.ones(3)))


def test_the_test_sees_a_transcendental_function_in_a_backward_pass():
    assert "exp" in open_primitives(lambda x: jaxcnn.relu(jnp.exp(x)), 1, jnp.ones(3))


def test_the_test_sees_a_plain_operation_in_a_tangent():
    """Only there: the backward pass, which is what reverse mode runs, is closed."""
    conv = next(case for case in CASES if case.op is jaxcnn.conv)
    right = conv.rule
    wrong = custom_rule(right.fun, nondiff_argnums=right.nondiff_argnums)
    wrong.defvjp(right.fwd, right.bwd)
    wrong.defjvp(lambda geometry, r, dots: jnp.exp(right.tangent(geometry, r, dots)))
    f = replace(conv, settings={**conv.settings, "rule": wrong}).function()
    assert open_primitives(f, 1, *conv.arrays()) == set()
    assert open_primitives(f, "f", *conv.arrays()) == {"exp"}
    assert open_primitives(jax.vmap(f), "f", *(a[None] for a in conv.arrays())) == {"exp"}
