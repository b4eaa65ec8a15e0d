"""The gate: a mask that lets elements through. ReLU and dropout send their gradients through it."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


@jax.custom_vjp
def gate_map(x: Float[Array, "*n"], mask: Bool[Array, "*n"]) -> Float[Array, "*n"]:
    """y = x where the mask is set, else 0.  With δ = ∂L/∂y:  ∂x = δ where the mask is set, else 0.

    Linear in x and its own transpose; the mask has no gradient.
    """
    return jnp.where(mask, x, jnp.zeros_like(x))


def _gate_fwd(x, mask):
    return gate_map(x, mask), mask


def _gate_bwd(mask, delta):
    return gate_map(delta, mask), None


gate_map.defvjp(_gate_fwd, _gate_bwd)
