"""Methods that give the rectifiers another backward pass, and leave everything else as it is."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxcnn.attribution.target import Model, Target, explained, gradient, run
from jaxcnn.layers import Layer
from jaxcnn.ops.activation import relu_map
from jaxcnn.rewriting import with_rules
from jaxcnn.swapping import swap_rules, with_backward


def _guided(delta: Array, y: Array, x: Array) -> Array:
    return jnp.where((x > 0) & (delta > 0), delta, 0)


def _deconvolved(delta: Array, y: Array, x: Array) -> Array:
    return jnp.maximum(delta, 0)


def guided_backprop(
    net: Model, params: Any, state: Any, x: Any, target: Target = None
) -> Float[Array, "n ..."]:
    """A = ∂u/∂x, in which a rectifier y = max(x, 0) passes max(δ, 0) on where x > 0, else 0.

    In a function that is max(x, 0) and `jax.nn.relu`, but not inside a function with a derivative
    of its own. Other activations, max(x, 0) in other words included, keep their slope.
    Source: Springenberg, Dosovitskiy, Brox and Riedmiller 2015, "Striving for Simplicity",
    section 3.4.

    Raises:
        ValueError: there is no rectifier in it.
    """
    return _by("guided_backprop", _guided, net, params, state, x, target)


def deconvolution(
    net: Model, params: Any, state: Any, x: Any, target: Target = None
) -> Float[Array, "n ..."]:
    """A = ∂u/∂x, in which a rectifier passes max(δ, 0) on, wherever its input was.

    Convolutions go back by their input gradient, maxima by their switches, as in back-propagation.
    What counts as a rectifier is said at `guided_backprop`.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks",
    section 2.1; as a backward rule: Simonyan, Vedaldi and Zisserman 2013, section 4.

    Raises:
        ValueError: there is no rectifier in it.
    """
    return _by("deconvolution", _deconvolved, net, params, state, x, target)


def rectified(net: Model, backward: Callable[..., Array]) -> Model:
    """The same network, or function, whose rectifiers have that backward pass."""
    other = with_backward(relu_map, backward)
    return (
        swap_rules(net, {relu_map: other})
        if isinstance(net, Layer)
        else with_rules(net, rules={"relu": other})
    )


def _by(op: str, backward, net, params, state, x, target) -> Array:
    passed: list[Array] = []

    def noted(delta: Array, y: Array, x: Array) -> Array:
        passed.append(y)
        return backward(delta, y, x)

    run(op, net, params, state)  # says so if it is no network
    x, score = explained(op, rectified(net, noted), params, state, x, target)
    found = gradient(score, x)
    if not passed:
        raise ValueError(f"{op}: net must have a rectifier, max(x, 0), got none that is known")
    return found
