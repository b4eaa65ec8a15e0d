"""The plain twins: what one would write with `jax.lax` and leave to JAX to differentiate.

One table, rule → twin of the same signature. The twins are what the rules are compared with, in
tests and in experiments, and the way `--rules autodiff` works. Nothing here has a rule of ours.
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from typing import Any

from jaxcnn.ops import rule_of
from jaxcnn.swapping import swapped
from jaxcnn.twins import (
    activation,
    adaptive_pool,
    channels,
    conv,
    dense,
    dropout,
    elementary,
    embedding,
    loss,
    norm,
    pool,
    shape,
)

TWINS: dict[Callable[..., Any], Callable[..., Any]] = {
    **conv.TWINS,
    **shape.TWINS,
    **channels.TWINS,
    **pool.TWINS,
    **adaptive_pool.TWINS,
    **dense.TWINS,
    **embedding.TWINS,
    **elementary.TWINS,
    **activation.TWINS,
    **norm.TWINS,
    **dropout.TWINS,
    **loss.TWINS,
}


def autodiff_twin(thing: Any) -> Any:
    """The same operation, or the same network, on plain `lax` operations that JAX differentiates.

    Args:
        thing: a public operation such as `jaxcnn.conv`, a rule such as `conv_map`, or a network
            (a value of `jaxcnn.layers`), whose every rule is swapped for its twin.

    Raises:
        TypeError: thing is none of these.
    """
    if is_dataclass(thing) and not isinstance(thing, type):
        return swapped(thing, TWINS)
    if callable(thing) and thing in TWINS:
        return TWINS[thing]
    rule = rule_of(thing, "autodiff_twin: thing, if no rule and no network,")
    return partial(thing, rule=TWINS[rule])
