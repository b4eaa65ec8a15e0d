"""Class activation maps: where the maps of a layer speak for a class."""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.attribution.inside import value_and_gradient
from jaxcnn.attribution.target import Model, Target, chosen, run, scored


def grad_cam(
    net: Model, params: Any, state: Any, x: Any, layer: str, target: Target = None,
    *, relu: bool = True,
) -> Float[Array, "n *pq"]:  # fmt: skip
    """L = max(Σ_k α_k A_k, 0), α_k the mean over space of ∂u/∂A_k, for the maps A of a layer.

    It has the layer's size: enlarge it, for example with `jax.image.resize`, to lay it over x.
    Source: Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2.

    Args:
        layer: the name of a layer, as `jaxcnn.layers.up_to` takes it, whose output is maps; in a
            function, what `jax.ad_checkpoint.checkpoint_name` calls a value.
        relu: whether what speaks against the class is left out.

    Raises:
        ValueError: there is no such layer, or its output is not maps n … c.
    """
    maps, gradient = _maps("grad_cam", net, params, state, x, layer, target)
    check.boolean("grad_cam", "relu", relu)
    weights = gradient.mean(tuple(range(1, maps.ndim - 1)), keepdims=True)
    found = (weights * maps).sum(-1)
    return jnp.maximum(found, 0) if relu else found


def grad_cam_plus_plus(
    net: Model, params: Any, state: Any, x: Any, layer: str, target: Target = None
) -> Float[Array, "n *pq"]:
    """L = max(Σ_k w_k A_k, 0), w_k = Σ α_k max(g_k, 0), α_k = g_k² / (2 g_k² + Σ A_k • g_k³).

    Sums go over space, and g = ∂u/∂A. The score of the paper is e^u, for which its second and third
    derivatives are e^u g² and e^u g³; the factor e^u, one for the whole map, is left out.
    Source: Chattopadhay, Sarkar, Howlader and Balasubramanian 2018, "Grad-CAM++", equations 10, 19.

    Raises:
        ValueError: there is no such layer, or its output is not maps n … c.
    """
    maps, g = _maps("grad_cam_plus_plus", net, params, state, x, layer, target)
    space = tuple(range(1, maps.ndim - 1))
    below = 2 * g**2 + (maps * g**3).sum(space, keepdims=True)
    share = jnp.where(g == 0, 0, g**2 / jnp.where(below == 0, 1, below))
    weights = (share * jnp.maximum(g, 0)).sum(space, keepdims=True)
    return jnp.maximum((weights * maps).sum(-1), 0)


def _maps(op, net, params, state, x, layer, target) -> tuple[Array, Array]:
    """The maps of a layer, and ∂Σ score/∂maps."""
    x = check.float_array(op, "x", x)
    choose = chosen(op, run(op, net, params, state), x, target)
    found = value_and_gradient(
        op, net, params, state, x, layer, lambda output: scored(op, output, choose)
    )
    if found[0].ndim < 3:
        raise ValueError(
            f"{op}: layer must be one whose output is maps n … c, "
            f"got {layer!r} with shape {found[0].shape}"
        )
    return found
