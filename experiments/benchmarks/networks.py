"""The networks that are timed, and their first parameters."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.program import CLASSES
from experiments.benchmarks.row import NetworkRow
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


def translated(framework: str, row: NetworkRow, dtype: str) -> Any:
    """The same network, with the same parameters, as a module of another framework.

    Raises:
        AbsentError: there is no translator for it.
    """
    net = network(row.network)
    try:
        translator = import_module(f"experiments.peers.to_{framework}")
        params, state = parameters(net, row.images, dtype)
        return translator.translate(net, params, state, row.images[1:]).module
    except (ModuleNotFoundError, NotImplementedError) as error:
        raise AbsentError(f"{row.network}: {error}") from error
