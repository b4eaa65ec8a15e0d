"""Means across the places of a mapped axis: devices of a mesh, or examples under `jax.vmap`.

Inside `jax.shard_map`, JAX keeps track of the mesh axes over which a value varies. A rule wants
cotangents that vary as its arguments do; `vary_like` brings replicated parameters there, and JAX
sums their gradients on the way back.
"""

from functools import partial

import jax
from jax import Array, lax
from jaxtyping import Float

from jaxcnn.rules import adjoints, custom_rule

AxisName = str | tuple[str, ...]


@partial(custom_rule, nondiff_argnums=(1,))
def mean_across_map(x: Float[Array, "*n"], axis_name: AxisName) -> Float[Array, "*n"]:
    """y = 1/m Σ x over the m places of the axis.  With δ = ∂L/∂y:  ∂x = 1/m Σ δ over them.

    Every place holds a copy of y and sends the δ of its copy: the map is its own transpose.
    """
    return vary_like(lax.pmean(x, axis_name), x)


adjoints(mean_across_map, mean_across_map)


def varying_axes(x: Array) -> frozenset[str]:
    """The mesh axes over which x varies inside `jax.shard_map`; elsewhere none."""
    return jax.typeof(x).manual_axis_type.varying


def vary_like(array: Array, x: Array) -> Array:
    """The array, varying over the mesh axes that x varies over as well."""
    missing = tuple(sorted(varying_axes(x) - varying_axes(array)))
    return lax.pcast(array, missing, to="varying") if missing else array
