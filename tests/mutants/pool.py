"""Wrong poolings."""

import jax.numpy as jnp
from mutation import given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, levels, switch_array
from jaxcnn.lowering import pooling as lowering
from jaxcnn.lowering.pooling import upsample
from jaxcnn.ops.sum_pool import sum_pool_input_grad_map, sum_pool_map


def pool(op, size, **settings):
    return Case(op, {"x": size}, settings)


TIES = Case(jc.max_pool, {"x": (2, 6, 6, 2)}, {"window": 2}, draw={"x": levels}, on_kinks=True)
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


def all_ties(geometry, delta):
    """Every element equal to the maximum receives the gradient (levels: every 1 where there is one)."""
    x = TIES.arrays()[0]
    mask = x == upsample(lowering.max_pool(x, geometry), geometry.window)
    return jnp.where(mask, upsample(delta, geometry.window), 0.0)


def last_wins(geometry, delta):
    _, flipped = lowering.max_with_switches(jnp.flip(TIES.arrays()[0], (1, 2)), geometry)
    last = jnp.array(geometry.taps - 1, flipped.dtype) - jnp.flip(flipped, (1, 2))
    return lowering.scatter_at_switches(delta, last, geometry)


def assign_instead_of_add(geometry, delta):
    """`=` for `+=`: the last window that chose an element decides."""
    _, switches = lowering.max_with_switches(OVERLAP.arrays()[0], geometry)
    out = jnp.zeros((1, *geometry.input, delta.shape[-1]), delta.dtype)
    for i in range(geometry.output[0]):
        for j in range(geometry.output[1]):
            one = jnp.zeros_like(delta).at[:, i, j].set(delta[:, i, j])
            part = lowering.scatter_at_switches(one, switches, geometry)
            out = jnp.where(part != 0, part, out)
    return out


def column_major(switches):
    return jnp.arange(4, dtype=switches.dtype).reshape(2, 2).T.ravel()[switches]


def next_tap(right):
    return (right + jnp.uint8(1)) % jnp.uint8(4)


def of_every_step(change):
    """A maximum has switches for the whole window, or for each axis of it."""
    return lambda switches: [change(names) for names in switches]


MUTANTS = [
    wrong("all ties receive the gradient", TIES, x=all_ties),
    wrong("the last of the ties wins", TIES, x=last_wins),
    wrong("ties share the gradient", TIES, x=lambda geometry, delta: all_ties(geometry, delta) / 2),
    wrong("= for += at overlaps", OVERLAP, x=assign_instead_of_add),
    wrong("maximum: the whole window receives δ", REST,
        x=lambda delta, geometry: sum_pool_input_grad_map(delta, geometry)),
    wrong("maximum: divided by the size", REST, x=lambda right: right / 4),
    given("switches in column-major order", REST, switches=of_every_step(column_major)),
    wrong("maximum: the remainder receives something", REST, x=lambda right: right.at[:, -1].set(0.1)),
    wrong("maximum: channels mixed up", REST, x=lambda right: jnp.flip(right, -1)),
    wrong("average: not divided", AVERAGE, x=lambda right: 9 * right),
    wrong("average: divided by one side", AVERAGE, x=lambda right: 3 * right),
    given("average: padding counted though left out", UNPADDED, count_include_pad=lambda: True),
    given("average: padding left out though counted", AVERAGE, count_include_pad=lambda: False),
    wrong("sum: = for += at overlaps", SUM, x=lambda right: jnp.sign(right)),
    wrong("sum: one row off", SUM, x=lambda right: jnp.roll(right, 1, 1)),
    wrong("upsample: the mean", UPSAMPLE, x=lambda right: right / 6),
    wrong("upsample: the first of each window", UPSAMPLE, x=lambda delta: delta[:, ::2, ::3]),
    given("gather: scattered one tap off", GATHER, switches=next_tap),
    given("scatter: gathered one tap off", SCATTER, switches=next_tap),
    wrong("scatter: summed instead of gathered", SCATTER, delta=lambda zeta, geometry: sum_pool_map(zeta, geometry)),
]  # fmt: skip
