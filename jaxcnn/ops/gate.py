"""The gate: a mask that lets elements through. ReLU and dropout send their gradients through it."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from jaxcnn.rules import adjoints, custom_rule


@custom_rule
def gate_map(x: Float[Array, "*n"], mask: Bool[Array, "*n"]) -> Float[Array, "*n"]:
    """y = x where the mask is set, else 0.  With δ = ∂L/∂y:  ∂x = δ where the mask is set, else 0.

    Linear in x and its own transpose; the mask has no gradient.
    """
    return jnp.where(mask, x, jnp.zeros_like(x))


adjoints(gate_map, gate_map)
