"""Maps over pooling windows and their adjoints. How each is computed depends on sizes: the forms
that there are, and when each is taken, are the tables of `jaxcnn.lowering.pooling.table`.
"""

from functools import partial

import jax
from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.forms import compute
from jaxcnn.lowering.pooling.maxima import axis_steps
from jaxcnn.lowering.pooling.maxima import switch_dtype as switch_dtype
from jaxcnn.lowering.pooling.sums import upsample as upsample
from jaxcnn.lowering.pooling.sums import window_counts as window_counts
from jaxcnn.lowering.pooling.table import GATHERS, MAXIMA, SCATTERS, SPREADS, STEPS, SUMS, SWITCHES
from jaxcnn.lowering.problem import Problem
from jaxcnn.lowering.sharding import by_batch

TABLES = {
    "maximum": MAXIMA,
    "maximum with a gradient": STEPS,
    "maximum with switches": SWITCHES,
    "elements at switches": GATHERS,
    "gradient at switches": SCATTERS,
    "sum of windows": SUMS,
    "gradient of sums": SPREADS,
}


@by_batch
def max_pool(x: Array, geometry: Geometry) -> Array:
    """The maximum of every window, nothing else: what a pass without a gradient needs."""
    return compute("maximum", MAXIMA, Problem.of(geometry, x), x)


def steps_of(geometry: Geometry, count: int) -> tuple[Geometry, ...]:
    """The steps of a forward pass that had `count` of them."""
    return (geometry,) if count == 1 else axis_steps(geometry)


def maximum_steps(x: Array, geometry: Geometry) -> tuple[Geometry, ...]:
    """The windows that give, one after the other, a maximum whose gradient is wanted."""
    return compute("maximum with a gradient", STEPS, Problem.of(geometry, x), x)


# As one program even where it is called eagerly, so that a search for infinities does not find the
# −∞ of its padding.
@by_batch
@partial(jax.jit, static_argnames=("geometry",))
def max_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The maximum of every window and the tap that holds it; the first one wins a tie."""
    return compute("maximum with switches", SWITCHES, Problem.of(geometry, x), x)


@by_batch
def gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    """From every window the element that its switch names."""
    return compute("elements at switches", GATHERS, Problem.of(geometry, x), x, switches)


@by_batch
def scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    """M • upsample(δ): every δ at the place its switch names; overlaps add up."""
    problem = Problem.of(geometry, delta)
    return compute("gradient at switches", SCATTERS, problem, delta, switches)


@by_batch
def sum_pool(x: Array, geometry: Geometry) -> Array:
    """The sum of every window; padding counts as zero."""
    return compute("sum of windows", SUMS, Problem.of(geometry, x), x)


@by_batch
def sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    """Every δ at each place of its window; where windows overlap, they add up."""
    return compute("gradient of sums", SPREADS, Problem.of(geometry, delta), delta)
