"""Plain twins of the elementary functions."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.stats import norm

from jaxcnn.ops import elementary


def _absolute_power(x: Array, exponent: float, signed: bool) -> Array:
    y = jnp.abs(x) ** exponent
    return jnp.sign(x) * y if signed else y


TWINS = {
    elementary.exp: jnp.exp,
    elementary.expm1: jnp.expm1,
    elementary.log: jnp.log,
    elementary.reciprocal: jnp.reciprocal,
    elementary.sigmoids: lambda x: (jax.nn.sigmoid(x), jax.nn.sigmoid(-x)),
    elementary.power: jnp.power,
    elementary.absolute_power: _absolute_power,
    elementary.ratio: jnp.divide,
    elementary.normal_cdf: norm.cdf,
    elementary.normal_pdf: norm.pdf,
}
