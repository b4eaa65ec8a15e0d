"""Sums of half-precision numbers: formed in float32, rounded once.

Read off the traced programs of every operation, up to the second derivative; and measured where
many numbers are added one by one, which a trace does not show as a sum.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import equations

import jaxcnn as jc
from jaxcnn.gradcheck import pullback, pullback_arguments, relative_error
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case

SECOND = {case.op: case for case in reversed(CASES) if case is not FIRST[case.op]}
HALVES = (jnp.bfloat16, jnp.float16)
SUMS = {
    "reduce", "reduce_sum", "reduce_window_sum", "reduce_window", "cumsum", "scatter-add",
    "scatter_add", "dot_general", "conv_general_dilated",
}  # fmt: skip
# All terms of their sums but one are zero, or there is only one: exact in any dtype.
SELECTIONS = {
    jc.max_pool, jc.max_pool_with_switches, jc.global_max_pool, jc.gather_at_switches,
    jc.scatter_at_switches, jc.max_unpool, jc.maxout,
}  # fmt: skip


def half_sums(f, order: int, *args) -> set[str]:
    """The sums in the order-th pullback whose result is a half: they are formed in it."""
    program = jax.make_jaxpr(pullback(f, order))(*pullback_arguments(f, order, args))
    sums = (eqn for eqn in equations(program.jaxpr) if eqn.primitive.name in SUMS)
    results = ((eqn.primitive.name, eqn.outvars[0].aval) for eqn in sums)
    return {f"{name} {result}" for name, result in results if result.dtype in HALVES}


@pytest.mark.sampled(36)
@pytest.mark.parametrize(
    "case",
    [
        case
        if case in FIRST.values() or case in SECOND.values()
        else pytest.param(case, marks=pytest.mark.full)
        for case in CASES
        if case.op not in SELECTIONS
    ],
    ids=lambda case: case.name,
)
def test_no_sum_is_formed_in_a_half(case: Case):
    arrays = case.arrays(jnp.float16)
    for order in range(3):
        assert not half_sums(case.function(), order, *arrays), order


def test_a_sum_in_a_half_is_seen():
    def careless(x):
        return lax.reduce_sum(x, (0,))

    assert half_sums(careless, 0, jnp.ones(3, jnp.float16))
    assert half_sums(lambda x: jnp.broadcast_to(x, (5,)), 1, jnp.ones((), jnp.float16))
    assert half_sums(lambda x, w: x @ w, 0, *(jnp.ones((2, 2), jnp.bfloat16),) * 2)


def positive(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(0.5, 1, shape), jnp.bfloat16)


def peaks(x):
    """One peak that most windows choose: their δ all go there."""
    return jc.max_pool(x.at[:, 40].add(8), 64, stride=1)


# Operations whose forward or backward pass adds up 64 numbers or more, and the shape of x.
LONG = {
    "local_response_norm": (lambda x: jc.local_response_norm(x, size=255, alpha=1.0), (2, 256)),
    "patches": (lambda x: jc.patches(x, 64), (1, 128, 8)),
    "fold": (lambda x: jc.fold(x, 64, input_size=(128,)), (1, 65, 512)),
    "max_pool": (peaks, (1, 128, 8)),
    "sum_pool": (lambda x: jc.sum_pool(x, 64, stride=1), (1, 128, 8)),
    "upsample": (lambda x: jc.upsample(x, 64), (1, 2, 8)),
    "avg_pool": (lambda x: jc.avg_pool(x, 64, stride=1), (1, 128, 8)),
    # Sums beyond what a float16 holds, averages within.
    "global_avg_pool": (lambda x: jc.global_avg_pool(x * 2048), (1, 128, 8)),
    "adaptive_avg_pool": (lambda x: jc.adaptive_avg_pool(x, 2), (1, 131, 1)),
    "lp_pool": (lambda x: jc.lp_pool(x, 64, 2, stride=1), (1, 128, 1)),
    "pad": (lambda x: jc.pad(x, 64, "replicate"), (1, 3, 1)),
    "embedding": (lambda x: jc.embedding(jnp.zeros(512, jnp.int32), x), (1, 3)),
    "conv": (lambda x: jc.conv(x, jnp.full((64, 1, 1), 0.75, x.dtype)), (1, 128, 1)),
    "softmax": (jc.softmax, (2, 512)),
    "layer_norm": (jc.layer_norm, (2, 512)),
    "squared_error": (lambda x: jc.squared_error(x, jnp.zeros_like(x)), (64, 64)),
}


def error_of(name, dtype):
    """The largest error of the value and the gradient, in last places; rounded once, half a one."""
    f, shape = LONG[name]
    x = positive(shape)
    delta = positive(jax.eval_shape(f, x).shape, 1)

    def both(x, delta):
        y, pull = jax.vjp(f, x)
        return y, pull(delta)[0]

    # By itself XLA keeps a chain of sums on the CPU in float32, and would hide what is looked for.
    compiled = jax.jit(both, compiler_options={"xla_allow_excess_precision": False})
    exact = compiled(x.astype(jnp.float64), delta.astype(jnp.float64))
    values = compiled(x.astype(dtype), delta.astype(dtype))
    assert all(value.dtype == dtype for value in values)
    values = jax.tree.map(lambda value: value.astype(jnp.float64), values)
    return relative_error(values, exact)[0] / float(jnp.finfo(dtype).eps)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", LONG)
def test_a_long_sum_is_rounded_once(name):
    for dtype in HALVES:
        assert error_of(name, dtype) < 0.6, jnp.dtype(dtype)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("local_response_norm", "jaxcnn.ops.local_response"),
        ("patches", "jaxcnn.lowering.pooling.windows"),
        ("sum_pool", "jaxcnn.lowering.pooling.sums"),
    ],
)
def test_a_long_sum_in_a_half_is_caught(monkeypatch, name, module):
    monkeypatch.setattr(f"{module}.widen", lambda x: x)
    jax.clear_caches()  # what was traced before does not know
    errors = [error_of(name, dtype) for dtype in HALVES]
    jax.clear_caches()
    assert min(errors) > 1


@pytest.mark.parametrize("order", [0, 1, 2])
def test_products_are_as_precise_as_the_context_of_the_call_says(order):
    # Derivatives are traced out of that context; and other calls of the same rule lie between.
    def precise(x, weight):
        with jax.default_matmul_precision("highest"):
            return jc.dense(x, weight)

    args = pullback_arguments(jc.dense, order, (jnp.ones((2, 3)), jnp.ones((3, 4))))
    programs = [jax.jit(pullback(f, order)) for f in (jc.dense, precise, jc.dense)]
    texts = [program.lower(*args).as_text() for program in programs]
    assert ["HIGHEST" in text for text in texts] == [False, True, False]
    assert texts[1].count("HIGHEST") == 2 * texts[1].count("stablehlo.dot_general")
