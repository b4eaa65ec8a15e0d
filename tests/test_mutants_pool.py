"""Wrong poolings, each caught."""

# pyright: reportOptionalCall=false

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, switch_array
from jaxcnn.lowering import pool as lowering
from jaxcnn.lowering.sums import upsample
from jaxcnn.ops import max_pool, switches
from jaxcnn.ops import sum_pool as sums


def levels(generator, size):
    """Few different numbers: many ties."""
    return generator.integers(0, 2, size)


def pool(op, size, draw=None, **settings):
    return Case(op, {"x": size}, settings, draw={} if draw is None else {"x": draw})


TIES = pool(jc.max_pool, (2, 6, 6, 2), levels, window=2)
OVERLAP = pool(jc.max_pool, (1, 7, 7, 2), window=3, stride=2)
REST = pool(jc.max_pool, (1, 7, 5, 2), window=(2, 2))
AVERAGE = pool(jc.avg_pool, (1, 7, 6, 2), window=3, stride=2, padding=1)
UNPADDED = pool(jc.avg_pool, (1, 6, 6, 2), window=3, stride=2, padding=1, count_include_pad=False)
SUM = pool(jc.sum_pool, (1, 7, 7, 2), window=3, stride=2)
UPSAMPLE = Case(jc.upsample, {"x": (1, 3, 2, 2)}, {"size": (2, 3)})
SWITCHES = {"switches": switch_array(4, (1, 3, 3, 2))}
GATHER = Case(jc.gather_at_switches, {"x": (1, 6, 6, 2)}, {"window": 2}, SWITCHES)
SCATTER = Case(
    jc.scatter_at_switches, {"delta": (1, 3, 3, 2)}, {"window": 2, "input_size": (6, 6)}, SWITCHES
)
max_map = max_pool.max_pool_map


def all_ties(geometry, switches, delta):
    """Every element equal to the maximum receives the gradient (levels: every 1 where there is one)."""
    x = TIES.arrays()[0]
    y = lowering.max_pool(x, geometry)
    mask = x == upsample(y, geometry.window)
    return (jnp.where(mask, upsample(delta, geometry.window), 0.0),)


def last_wins(geometry, switches, delta):
    x = TIES.arrays()[0]
    _, flipped = lowering.max_with_switches(jnp.flip(x, (1, 2)), geometry)
    last = jnp.array(geometry.taps - 1, flipped.dtype) - jnp.flip(flipped, (1, 2))
    return (lowering.scatter_at_switches(delta, last, geometry),)


def assign_instead_of_add(geometry, switches, delta):
    """`=` for `+=`: the last window that chose an element decides."""
    out = jnp.zeros((1, *geometry.input, delta.shape[-1]), delta.dtype)
    for i in range(geometry.output[0]):
        for j in range(geometry.output[1]):
            one = jnp.zeros_like(delta).at[:, i, j].set(delta[:, i, j])
            part = lowering.scatter_at_switches(one, switches, geometry)
            out = jnp.where(part != 0, part, out)
    return (out,)


def column_major(geometry, switches, delta):
    taps = jnp.arange(4, dtype=switches.dtype).reshape(2, 2).T.ravel()
    return (lowering.scatter_at_switches(delta, taps[switches], geometry),)


MUTANTS = [
    Mutant("all ties receive the gradient", TIES, all_ties),
    Mutant("the last of the ties wins", TIES, last_wins),
    Mutant("ties share the gradient", TIES, lambda *a: (all_ties(*a)[0] / 2,)),
    Mutant("= for += at overlaps", OVERLAP, assign_instead_of_add),
    Mutant("maximum: the whole window receives δ", REST, lambda g, s, d: (sums.sum_pool_input_grad_map(d, g),)),
    Mutant("maximum: divided by the size", REST, changed(max_map, lambda x: (x / 4,))),
    Mutant("switches in column-major order", REST, column_major),
    Mutant("maximum: the remainder receives something", REST, changed(max_map, lambda x: (x.at[:, -1].set(0.1),))),
    Mutant("maximum: channels mixed up", REST, changed(max_map, lambda x: (jnp.flip(x, -1),))),
    Mutant("average: not divided", AVERAGE, changed(sums.avg_pool_map, lambda x: (9 * x,))),
    Mutant("average: divided by one side", AVERAGE, changed(sums.avg_pool_map, lambda x: (3 * x,))),
    Mutant("average: padding counted though left out", UNPADDED, lambda g, p, r, d: sums.avg_pool_map.bwd(g, True, r, d)),
    Mutant("average: padding left out though counted", AVERAGE, lambda g, p, r, d: sums.avg_pool_map.bwd(g, False, r, d)),
    Mutant("sum: = for += at overlaps", SUM, changed(sums.sum_pool_map, lambda x: (jnp.sign(x),))),
    Mutant("sum: one row off", SUM, changed(sums.sum_pool_map, lambda x: (jnp.roll(x, 1, 1),))),
    Mutant("upsample: the mean", UPSAMPLE, changed(sums.upsample_map, lambda x: (x / 6,))),
    Mutant("upsample: the first of each window", UPSAMPLE, lambda s, r, d: (d[:, ::2, ::3],)),
    Mutant("gather: scattered one tap off", GATHER, lambda g, s, d: (switches.scatter_at_switches_map(d, (s[0] + jnp.uint8(1)) % jnp.uint8(4), g), None)),
    Mutant("scatter: gathered one tap off", SCATTER, lambda g, s, d: (switches.gather_at_switches_map(d, (s[0] + jnp.uint8(1)) % jnp.uint8(4), g), None)),
    Mutant("scatter: summed instead of gathered", SCATTER, lambda g, s, d: (sums.sum_pool_map(d, g), None)),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
