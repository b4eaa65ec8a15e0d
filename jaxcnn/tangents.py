"""How arrays move: the types of tangents, and what a rule is given and gives of them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from jaxcnn.check.settings import shown
from jaxcnn.lowering.sharding import sharded_as, varying


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
    if type(tangent) is ad.Zero:
        return False
    return not hasattr(tangent, "dtype") or has_tangent(tangent)  # Python's numbers move


# What a rule returned, in the form that JAX asks for ----------------------------------------------


def kept_with(of: Any, found: Any) -> tuple[Any, Any]:
    """y and the residuals that a forward pass returned."""
    if not isinstance(found, tuple) or len(found) != 2:
        raise TypeError(
            f"{of}: the forward pass must return two things, y and residuals, got {_shown(found)}"
        )
    return found


def tangents_of(of: Any, found: Any, types: Sequence[Any]) -> list[Any]:
    """By leaf, the tangent that a rule returned: None for zeros; axes in front may be left out."""
    leaves, structure = jax.tree.flatten(found, is_leaf=lambda leaf: leaf is None)
    if len(leaves) != len(types):
        raise TypeError(f"{of}: the tangent must be built as y, {of.result}, got {structure}")
    pairs = zip(leaves, types, strict=True)
    return [_in_full(of, leaf, t) for leaf, t in pairs if has_tangent(t)]


def _in_full(of: Any, value: Any, expected: Any) -> Any:
    if value is None:
        return ad.instantiate_zeros(ad.Zero(expected))
    shape = getattr(value, "shape", None)
    if shape is None or value.dtype != expected.dtype or not _spreads(shape, expected.shape):
        raise TypeError(
            f"{of}: the tangent must be like y, {_shown(expected)}, got {_shown(value)}"
        )
    if shape != expected.shape:
        value = jnp.broadcast_to(value, expected.shape)
    return sharded_as(value, expected)


def _spreads(shape: Sequence[Any], whole: Sequence[Any]) -> bool:
    """Whether an array spreads over axes in front, and along those of one element."""
    last = whole[max(len(whole) - len(shape), 0) :]
    return len(last) == len(shape) and all(a in (1, b) for a, b in zip(shape, last, strict=True))


def gradients_of(of: Any, found: Any, arguments: Sequence[Any]) -> list[Any]:
    """By leaf, the gradients that a backward pass returned for arguments of these structures."""
    if not isinstance(found, (tuple, list)) or len(found) != len(arguments):
        raise TypeError(
            f"{of}: the backward pass must return a tuple with a gradient, or None, for each of "
            f"{len(arguments)} arguments, got {_shown(found)}"
        )
    leaves: list[Any] = []
    for structure, gradient in zip(arguments, found, strict=True):
        try:
            none = gradient is None
            leaves += [None] * structure.num_leaves if none else structure.flatten_up_to(gradient)
        except ValueError:
            raise TypeError(
                f"{of}: the backward pass must return gradients built as their arguments, "
                f"{structure}, got {jax.tree.structure(gradient)}"
            ) from None
    return leaves


def gradient_like(of: Any, gradient: Any, expected: Any) -> Any:
    """The gradient that a backward pass returned, if it has the type of its argument.

    Under `shard_map` that of an argument which all places share is the sum of theirs.
    """
    if gradient is None:
        return ad.Zero(expected)
    of_argument = expected.shape, expected.dtype
    if (getattr(gradient, "shape", None), getattr(gradient, "dtype", None)) != of_argument:
        raise TypeError(
            f"{of}: the backward pass must return a gradient like its argument, "
            f"{_shown(expected)}, got {_shown(gradient)}"
        )
    places = varying(gradient) - varying(expected)
    return jax.lax.psum(gradient, tuple(sorted(places, key=str))) if places else gradient


def _shown(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    return f"{len(value)} of them" if isinstance(value, (tuple, list)) else shown(value)


def added(a: Any, b: Any) -> Any:
    """a + b, where either may lack axes in front."""
    larger, smaller = (a, b) if a.ndim >= b.ndim else (b, a)
    return larger + jnp.broadcast_to(smaller, larger.shape)
