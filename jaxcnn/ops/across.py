"""Means across the places of a mapped axis: devices of a mesh, or examples under `jax.vmap`."""

from functools import partial

from jax import Array, lax
from jaxtyping import Float

from jaxcnn.lowering.sharding import vary_together
from jaxcnn.lowering.statistics import AxisName
from jaxcnn.rules import adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def mean_across_map(x: Float[Array, "*n"], axis_name: AxisName) -> Float[Array, "*n"]:
    """y = 1/m Σ x over the m places of the axis.  With δ = ∂L/∂y:  ∂x = 1/m Σ δ over them.

    Every place holds a copy of y and sends the δ of its copy: the map is its own transpose.
    """
    return vary_together(lax.pmean(x, axis_name), x)[0]


adjoints(mean_across_map, mean_across_map)
