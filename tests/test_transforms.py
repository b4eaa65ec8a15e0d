"""Rules under rematerialisation and scan; forward mode, and the ways around it.

`jit`, `vmap` and the orders of reverse derivative are in test_rules.py, devices in
test_sharding.py, other platforms in test_export.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import primitives

import jaxcnn
from jaxcnn import models
from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.gradcheck.cases import FAMILIES, FIRST
from jaxcnn.gradcheck.cases.case import Case

STEPS = 2


def step(f, arrays, cotangent):
    """One step along the gradients, and all that it computed."""
    y, pull = jax.vjp(f, *arrays)
    gradients = pull(cotangent)
    moved = tuple(a + 0.01 * g for a, g in zip(arrays, gradients, strict=True))
    return moved, (y, gradients)


def arguments(case: Case):
    arrays = tuple(case.arrays())
    shape = jax.eval_shape(case.function(), *arrays)
    stacked = jax.ShapeDtypeStruct((STEPS, *shape.shape), shape.dtype)
    return arrays, random_like(stacked, 5)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.split(".")[-1])
def test_remat_and_scan_give_the_values_of_direct_calls(family, request):
    """One program per family: a scan whose carry the gradients change, its body rematerialised."""
    full = request.config.getoption("full")
    cases = {c.name: c for c in family.CASES if full or c is FIRST[c.op]}

    def scanned(args):
        bodies = {n: partial(step, jax.checkpoint(case.function())) for n, case in cases.items()}
        return {n: jax.lax.scan(bodies[n], *args[n]) for n in cases}

    def direct(args):
        results = {}
        for name, (arrays, deltas) in args.items():
            found = []
            for delta in deltas:
                arrays, both = step(cases[name].function(), arrays, delta)
                found.append(both)
            results[name] = arrays, jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
        return results

    args = {name: arguments(case) for name, case in cases.items()}
    results, expected = jax.jit(scanned)(args), jax.jit(direct)(args)
    for name in cases:
        error, where = relative_error(results[name], expected[name])
        assert error < 1e-12, (name, where)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(results[name])), name


def test_the_backward_pass_of_a_remat_computes_the_forward_pass_again():
    def f(x, kernel):
        return jaxcnn.softmax(jaxcnn.conv(x, kernel), axis=1).sum()

    arrays = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    kept, again = (primitives(jax.grad(g, 1), *arrays) for g in (f, jax.checkpoint(f)))
    forward = primitives(f, *arrays)
    for name in ("conv_general_dilated", "exp"):
        assert again[name] == kept[name] + forward[name] > kept[name]


X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 4, 2)))
KERNEL = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 2, 3)))


def energy(conv, tanh, pool):
    return lambda x: (pool(tanh(conv(x, KERNEL)), 2) ** 2).sum()


def test_second_derivatives_of_a_network_in_every_mixture_of_the_modes():
    ops = jaxcnn.conv, jaxcnn.tanh, jaxcnn.max_pool
    ruled, twin = energy(*ops), energy(*map(jaxcnn.autodiff_twin, ops))
    v = random_like(X, 2)
    expected = jax.jit(lambda x, v: jax.jvp(jax.grad(twin), (x,), (v,))[1])(X, v)
    products = {
        "forward over reverse": lambda x: jax.jvp(jax.grad(ruled), (x,), (v,))[1],
        "reverse over reverse": jax.grad(lambda x: jnp.vdot(jax.grad(ruled)(x), v)),
        "reverse over forward": jax.grad(lambda x: jax.jvp(ruled, (x,), (v,))[1]),
        "linearized": lambda x: jax.linearize(jax.grad(ruled), x)[1](v),
    }
    for name, product in products.items():
        assert relative_error(jax.jit(product)(X), expected)[0] < 1e-12, name
    hessian = jax.jit(jax.hessian(twin))(X)
    for way in (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacrev(f)),
        lambda f: jax.jacrev(jax.jacfwd(f)),
    ):
        assert relative_error(jax.jit(way(ruled))(X), hessian)[0] < 1e-12


def test_second_derivatives_of_a_network_of_layers_in_every_mixture_of_the_modes():
    """LeNet-5: a product with the Hessian in all parameters, and the Hessian in one bias."""
    net = models.lenet5("1998")
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float64)
    x = jnp.asarray(np.random.default_rng(2).standard_normal((2, 32, 32, 1)))
    dots, labels = random_like(params, 1), jnp.array([3, 1])

    def loss(net, cross_entropy):
        return lambda params: cross_entropy(net.apply(params, state, x)[0], labels)

    def product(energy):
        return jax.jit(lambda p, v: jax.jvp(jax.grad(energy), (p,), (v,))[1])(params, dots)

    cross_entropy = jaxcnn.softmax_cross_entropy
    ruled = loss(net, cross_entropy)
    twin = loss(jaxcnn.autodiff_twin(net), jaxcnn.autodiff_twin(cross_entropy))
    expected = product(twin)
    assert relative_error(product(ruled), expected)[0] < 1e-10
    over_forward = jax.jit(jax.grad(lambda p: jax.jvp(ruled, (p,), (dots,))[1]))(params)
    assert relative_error(over_forward, expected)[0] < 1e-10
    leaves, tree = jax.tree.flatten(params)
    smallest = min(range(len(leaves)), key=lambda i: leaves[i].size)

    def in_one(energy):
        def of(leaf):
            return energy(tree.unflatten([*leaves[:smallest], leaf, *leaves[smallest + 1 :]]))

        return jax.jit(jax.hessian(of))(leaves[smallest])

    assert relative_error(in_one(ruled), in_one(twin))[0] < 1e-10
