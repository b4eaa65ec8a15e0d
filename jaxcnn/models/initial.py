"""Initialisers that the networks share; made once, so that two networks of a kind are equal."""

from jax.nn import initializers

from jaxcnn.layers.base import Initializer

# Variance 2/fan_in suits rectifiers (He et al. 2015, the default of the layers), 1/fan_in suits
# tanh and the logits (LeCun et al. 1998, "Efficient BackProp").
he_normal: Initializer = initializers.he_normal()
lecun_normal: Initializer = initializers.lecun_normal()
