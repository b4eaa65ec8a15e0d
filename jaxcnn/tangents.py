"""How arrays move: the types of tangents, and what a rule is given and gives of them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from jaxcnn.lowering.sharding import sharded_as


class Dot:
    """How an array moves; its value is None where it does not."""

    def __init__(self, tangent_type: Any, value: Any = None):
        self.type, self.value = tangent_type, value

    def filled(self) -> Any:
        """The tangent: zeros for what does not move, None for what cannot."""
        if self.value is None and has_tangent(self.type):
            return ad.instantiate_zeros(ad.Zero(self.type))
        return self.value


def tangent_type(x: Any) -> Any:
    """The type of what x moves by."""
    return jax.typeof(x).to_tangent_aval()


def has_tangent(tangent_type: Any) -> bool:
    """Whether something moves at all: integers, booleans and keys do not."""
    return tangent_type.dtype != jax.dtypes.float0


def moves(tangent: Any) -> bool:
    """Whether this is the tangent of something that moves, and no symbolic zero."""
    return type(tangent) is not ad.Zero and has_tangent(tangent)


def in_full(value: Any, expected: Any) -> Any:
    """The whole tangent, for a rule gives None for zeros and may leave out axes in front."""
    if value is None:
        return ad.instantiate_zeros(ad.Zero(expected))
    if value.shape != expected.shape:
        value = jnp.broadcast_to(value, expected.shape)
    return sharded_as(value, expected)


def gradient_like(of: Any, gradient: Any, expected: Any) -> Any:
    """The gradient that a backward pass returned, if it has the type of its argument."""
    if gradient is None:
        return ad.Zero(expected)
    if (gradient.shape, gradient.dtype) != (expected.shape, expected.dtype):
        raise TypeError(
            f"{of}: the backward pass must return a gradient like its argument, "
            f"{expected.dtype}{list(expected.shape)}, got {gradient.dtype}{list(gradient.shape)}"
        )
    return gradient
