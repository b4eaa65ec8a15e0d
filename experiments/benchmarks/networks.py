"""The networks that are timed, and their first parameters."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.program import CLASSES
from jaxcnn import models

NETWORKS: dict[str, Callable[..., Any]] = {
    "lenet5": models.lenet5,
    "fast_mnist": models.fast_mnist,
    "vgg6": models.vgg6,
    "resnet20": partial(models.resnet, 20),
    "separable": partial(models.mobilenet, width=0.5),
    "alexnet": models.alexnet,
}


RANDOM = ("alexnet",)
"""Those with dropout: no two frameworks draw the same masks."""


class AbsentError(LookupError):
    """A row that this peer cannot compute, and why: shown, and left out."""


def network(name: str) -> Any:
    """A value of `jaxcnn.layers`."""
    return NETWORKS[name](classes=CLASSES)


def parameters(net: Any, images: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Parameters and state for images of this shape, the same for every peer."""
    tree = net.init(jax.random.key(0), images[1:], dtype=jnp.float32)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def translated(framework: str, net: Any, parameters_and_state: tuple[Any, Any]) -> Any:
    """The same network, with the same parameters, as a module of another framework.

    Raises:
        AbsentError: there is no translator for it.
    """
    try:
        translator = import_module(f"experiments.peers.{framework}")
    except ModuleNotFoundError as error:
        raise AbsentError(f"no translator of networks into {framework}") from error
    return translator.translate(net, *parameters_and_state)
