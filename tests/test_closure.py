"""Closed under reverse differentiation: at every order nothing but rules and arithmetic is left."""

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn.gradcheck import open_primitives
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case


@pytest.mark.parametrize(
    "case",
    [
        case if case is FIRST[case.op] else pytest.param(case, marks=pytest.mark.full)
        for case in CASES
    ],
    ids=lambda case: case.name,
)
def test_only_rules_and_arithmetic_remain(case: Case):
    for order in range(4):
        assert open_primitives(case.function(), order, *case.arrays()) == set(), order


@pytest.mark.parametrize("order", [1, 2])
def test_a_whole_network_is_closed(order: int):
    net = models.lenet5("1998")
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float64)
    leaves, tree = jax.tree.flatten(params)
    labels = jnp.array([3, 1])
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 1), jnp.float64)

    def loss(*leaves):
        logits, _ = net.apply(tree.unflatten(leaves), state, x)
        return jaxcnn.softmax_cross_entropy(logits, labels)

    assert open_primitives(loss, order, *leaves) == set()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", [CASES[0]], ids=lambda case: case.name)
def test_the_test_sees_plain_operations(case: Case, order: int):
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
