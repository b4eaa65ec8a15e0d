"""Derivatives in any mixture of the two modes.

A word of the letters f and r names one: "fr" is the pullback (reverse) of the pushforward
(forward) of f, first letter first.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn import check
from jaxcnn.gradcheck.derivatives import Function, check_start, random_like


def mixtures(order: int) -> list[str]:
    """All words of that length: "ff", "fr", "rf", "rr" for order 2.

    Raises:
        TypeError: order is no integer.
        ValueError: it is negative.
    """
    order = check.integer("mixtures", "order", order, minimum=0)
    return ["".join(letters) for letters in product("fr", repeat=order)]


def derivative(f: Function, modes: str) -> Function:
    """The derivative of f in these modes, as a function of nested arguments.

    "" is f itself. A word that ends with r maps the arguments of the one before it and a cotangent
    of its result to gradients with respect to all those arguments; one that ends with f maps them
    and tangents of theirs to the tangent of its result.

    Raises:
        TypeError: f is no function.
        ValueError: modes has other letters than f and r.
    """
    check.function("derivative", "f", f)
    for mode in checked_modes("derivative", modes):
        f = _pushforward(f) if mode == "f" else _pullback(f)
    return f


def _pushforward(f: Function) -> Function:
    return lambda args, dots: jax.jvp(f, args, dots)[1]


def _pullback(f: Function) -> Function:
    return lambda args, delta: jax.vjp(f, *args)[1](delta)


def derivative_arguments(f: Function, modes: str, args: Sequence[Array], seed: int = 0) -> tuple:
    """Arguments for `derivative(f, modes)`: args, and normal random tangents and cotangents.

    Raises:
        TypeError, ValueError: as `derivative` does; or seed is no integer of 0 or more.
    """
    check.function("derivative_arguments", "f", f)
    seed = check_start("derivative_arguments", args, seed)
    arguments: tuple[Any, ...] = jax.tree.map(jnp.asarray, tuple(args))
    for n, mode in enumerate(checked_modes("derivative_arguments", modes)):
        moved = arguments if mode == "f" else jax.eval_shape(derivative(f, modes[:n]), *arguments)
        arguments = (arguments, random_like(moved, seed + n))
    return arguments


def checked_modes(op: str, modes: Any, name: str = "modes") -> str:
    """The word, if it is one of the letters f and r."""
    if not isinstance(modes, str) or set(modes) - {"f", "r"}:
        raise ValueError(
            f"{op}: {name} must be a word of the letters f and r, got {check.shown(modes)}"
        )
    return modes
