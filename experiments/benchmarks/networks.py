"""The networks that are timed, and their first parameters."""

from typing import Any

import jax
import jax.numpy as jnp

import jaxcnn
from experiments.benchmarks.program import CLASSES


class AbsentError(LookupError):
    """A row that this peer cannot compute, and why: shown, and left out."""


def network(name: str) -> Any:
    """The value of `jaxcnn.layers` with this name among the models.

    Raises:
        AbsentError: there is none.
    """
    build = getattr(jaxcnn.models, name, None)
    if build is None:
        raise AbsentError(f"jaxcnn.models has no {name}")
    return build(classes=CLASSES)


def parameters(net: Any, images: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Parameters and state for images of this shape, the same for every peer."""
    tree = net.init(jax.random.key(0), images[1:], dtype=jnp.float32)
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
