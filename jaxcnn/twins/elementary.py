"""Plain twins of the elementary functions."""

import jax.numpy as jnp
from jax.scipy.stats import norm

from jaxcnn.ops import elementary

TWINS = {
    elementary.exp: jnp.exp,
    elementary.log: jnp.log,
    elementary.reciprocal: jnp.reciprocal,
    elementary.power: jnp.power,
    elementary.normal_cdf: norm.cdf,
    elementary.normal_pdf: norm.pdf,
}
