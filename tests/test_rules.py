"""Every rule at every case of the table: values, gradients of orders 1 to 3, dtypes, transforms."""

import inspect

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn.gradcheck import (
    check_gradients,
    random_like,
    relative_error,
)
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case

CONVOLUTIONS = dict(enumerate([case for case in CASES if case.op is jaxcnn.conv][::3]))


def sampled(*tables):
    """The cases of these tables; all there are with --full."""
    return pytest.mark.parametrize(
        "case",
        [
            case
            if any(case in table.values() for table in tables)
            else pytest.param(case, marks=pytest.mark.full)
            for case in CASES
        ],
        ids=lambda case: case.name,
    )


def public_operations():
    return {
        name: op
        for name, op in vars(jaxcnn).items()
        if inspect.isfunction(op) and "rule" in inspect.signature(op).parameters
    }


def test_every_public_operation_is_in_the_table():
    assert {case.op for case in CASES} == set(public_operations().values())


@sampled(FIRST, CONVOLUTIONS)
def test_gradients_and_differences(case: Case, request):
    """The long programs of order 2 at one case per operation, of order 3 at every third of these.

    With --full, order 3 at all of them.
    """
    full, orders = request.config.getoption("full"), 1
    if case is FIRST[case.op]:
        orders = 2 + (list(FIRST).index(case.op) % 3 == 0)
    findings = check_gradients(
        case.function(),
        *case.arrays(),
        twin=case.function(twin=True),
        orders=1 if case.on_kinks else 3 if full else orders,
        symmetry=full and not case.on_kinks,
        tolerance=1e-10,
        **case.differences(),
    )
    assert not [str(finding) for finding in findings if not finding.passed]


def value_and_gradients(f):
    def both(cotangent, *arrays):
        y, pull = jax.vjp(f, *arrays)
        return y, pull(cotangent)

    return both


# The error of a sum that is rounded once, with room for the sums that follow each other.
PRECISIONS = {jnp.float32: 16, jnp.bfloat16: 4, jnp.float16: 4}


@pytest.mark.sampled(10)
@sampled(FIRST)
def test_dtypes_are_kept_and_sums_are_rounded_once(case: Case):
    f = value_and_gradients(case.function())
    # Numbers that every dtype represents.
    arrays = [a.astype(jnp.float64) for a in case.arrays(jnp.bfloat16)]
    shape = jax.eval_shape(case.function(), *arrays)
    arrays.insert(0, random_like(shape, 2).astype(jnp.bfloat16).astype(jnp.float64))
    exact = jax.jit(f)(*arrays)
    for dtype, ulps in PRECISIONS.items():
        values = jax.jit(f)(*[a.astype(dtype) for a in arrays])
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(values))
        values = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), values)
        error, where = relative_error(values, exact)
        assert error <= ulps * float(jnp.finfo(dtype).eps), f"{jnp.dtype(dtype)}{where}"


@pytest.mark.sampled(8)
@sampled(FIRST)
def test_vmap_over_every_argument(case: Case):
    f = jax.jit(value_and_gradients(case.function()))
    arrays = case.arrays()
    # No ones: along them a norm's gradient is 0, and what is compared would be how it rounds.
    arrays.insert(0, random_like(jax.eval_shape(case.function(), *arrays), 2))
    for position in range(1, len(arrays)):
        scales = (1.0, 0.5, 0.25)
        single = [
            f(*arrays[:position], s * arrays[position], *arrays[position + 1 :]) for s in scales
        ]
        stacked = jnp.stack([s * arrays[position] for s in scales])
        axes = [0 if p == position else None for p in range(len(arrays))]
        batched = jax.jit(jax.vmap(f, axes))(*arrays[:position], stacked, *arrays[position + 1 :])
        expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *single)
        error, where = relative_error(batched, expected)
        assert error < 1e-12, where
