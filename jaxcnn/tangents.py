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


def is_dot(value: Any) -> bool:
    """Whether this says how an array moves."""
    return isinstance(value, Dot)


def dots_of(tree: Any) -> list[Any]:
    """The leaves of a tree of them."""
    return jax.tree.leaves(tree, is_leaf=is_dot)


def filled(tree: Any) -> Any:
    """Arrays for dots; whoever calls a tangent by hand may give arrays."""
    return jax.tree.map(lambda d: d.filled() if is_dot(d) else d, tree, is_leaf=is_dot)


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


def added(a: Any, b: Any) -> Any:
    """a + b, where either may lack axes in front."""
    larger, smaller = (a, b) if a.ndim >= b.ndim else (b, a)
    return larger + jnp.broadcast_to(smaller, larger.shape)
