"""Pullbacks of any order, Jacobians by pullback and by differences, second derivatives."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn import check

Function = Callable[..., Any]


def pullback(f: Function, order: int) -> Function:
    """The order-th pullback of f as a function (args, cotangents) → gradients.

    Order 0 is f itself. Order n maps the arguments of order n − 1 and a cotangent of its result to
    the gradients with respect to all those arguments, earlier cotangents included: so a rule that
    forgets that its backward pass depends on δ is found out at order 2.

    Raises:
        TypeError: f is no function, or order no integer.
        ValueError: order is negative.
    """
    g = f
    for _ in range(_checked("pullback", f, order)):

        def g(args, cotangent, below=g):
            return jax.vjp(below, *args)[1](cotangent)

    return g


def up_to_pullback(f: Function, order: int) -> Function:
    """As `pullback`, with the results of every order from 0 on, in one program.

    A pullback computes those below it on the way; so one program is half of what several would be.

    Raises:
        TypeError, ValueError: as `pullback` does.
    """
    order = _checked("up_to_pullback", f, order)

    def results(order: int, arguments: tuple) -> tuple[Any, tuple]:
        """The result of that order, and those of all orders up to it."""
        if order == 0:
            y = f(*arguments)
            return y, (y,)
        below, cotangent = arguments
        _, pull, found = jax.vjp(lambda *a: results(order - 1, a), *below, has_aux=True)
        gradients = pull(cotangent)
        return gradients, (*found, gradients)

    return lambda *arguments: results(order, arguments)[1]


def pullback_arguments(f: Function, order: int, args: Sequence[Array], seed: int = 0) -> tuple:
    """Arguments for `pullback(f, order)`: args, and normal random cotangents at every order.

    Raises:
        TypeError, ValueError: as `pullback` does; or seed is no integer of 0 or more.
    """
    order = _checked("pullback_arguments", f, order)
    seed = check_start("pullback_arguments", args, seed)
    arguments: tuple = tuple(args)
    for n, shape in enumerate(cotangent_shapes(f, order, args)):
        arguments = (arguments, random_like(shape, seed + n))
    return arguments


def random_like(tree: Any, seed: int) -> Any:
    """Normal random numbers in the shape of a pytree of arrays or of their shapes.

    Drawn by NumPy: JAX would compile a program for every shape.

    Raises:
        TypeError: a leaf of tree is no array and no shape of one, or seed no integer.
        ValueError: seed is negative.
    """
    seed = check.integer("random_like", "seed", seed, minimum=0)
    for leaf in jax.tree.leaves(tree):
        if not check.holds_numbers(leaf):
            raise TypeError(
                f"random_like: tree must hold arrays or their shapes, got {check.shown(leaf)}"
            )
    # A stream of its own: a caller who draws arguments from the same seed must not get cotangents
    # equal to them, or xᵀδ would be symmetric and its transpose pass for it.
    generator = np.random.default_rng([seed, 0xDE17A])
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape), leaf.dtype), tree
    )


def cotangent_shapes(f: Function, order: int, args: Sequence[Any]) -> list[Any]:
    """The shapes of the results of the pullbacks below the given order.

    Those of f are its own; every other pullback has the shapes of what it differentiates.
    """
    arguments: tuple = tuple(args)
    shapes: list[Any] = []
    for n in range(order):
        shapes.append(jax.eval_shape(f, *args) if n == 0 else arguments[0])
        arguments = (arguments, shapes[-1])
    return shapes


def jacobian(f: Function, args: Sequence[Array]) -> tuple[Array, ...]:
    """∂f/∂args by the pullback of f, one cotangent per element of the output: outputs × inputs.

    Raises:
        TypeError: f is no function, or an argument no float array.
    """
    args = _arrays("jacobian", f, args)
    y = jax.eval_shape(f, *args)
    return _pulled(f, args, jnp.eye(y.size, dtype=y.dtype))


def _pulled(f: Function, args: Sequence[Array], cotangents: Array) -> tuple[Array, ...]:
    """The pullback of f at every row of cotangents, flat: rows × inputs for every argument."""
    y, pull = jax.vjp(f, *args)
    rows = jax.lax.map(pull, cotangents.reshape(-1, *y.shape))
    return tuple(row.reshape(len(cotangents), -1) for row in rows)


def pulled_and_expected(
    f: Function, args: Sequence[Array], step: float | None, seed: int
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The Jacobian by the pullback of f, and by central differences, with a last row in both.

    That is the pullback of a random cotangent w, and wᵀ times the differences: single cotangents
    do not show a pullback that is not linear, as one that puts = for +=.
    """
    y = jax.eval_shape(f, *args)
    w = random_like(y, seed).reshape(1, -1)

    def found(args):
        return _pulled(f, args, jnp.concatenate([jnp.eye(y.size, dtype=y.dtype), w]))

    def expected(args):
        differences = finite_differences(f, args, step)
        # On an accelerator a product of matrices may be coarser than what it is made of.
        return tuple(
            jnp.concatenate([rows, jnp.matmul(w, rows, precision="highest")])
            for rows in differences
        )

    return jax.jit(found)(args), jax.jit(expected)(args)


def finite_differences(
    f: Function, args: Sequence[Array], step: float | None = None
) -> tuple[Array, ...]:
    """∂f/∂args by central differences, (f(a + h eᵢ) − f(a − h eᵢ)) / 2h: outputs × inputs.

    The step h is by default that of each argument's dtype.

    Raises:
        TypeError: f is no function, an argument no float array, or step no number.
        ValueError: step is not above 0.
    """
    args = _arrays("finite_differences", f, args)
    if step is not None:
        step = check.positive("finite_differences", "step", step)
    columns = []
    for position, a in enumerate(args):
        h = default_step(a.dtype) if step is None else step

        def along(direction, position=position, a=a, h=h):
            before, after = args[:position], args[position + 1 :]
            high = f(*before, a + h * direction, *after)
            low = f(*before, a - h * direction, *after)
            return (high - low).reshape(-1) / (2 * h)

        basis = jnp.eye(a.size, dtype=a.dtype).reshape(a.size, *a.shape)
        columns.append(jax.lax.map(along, basis).T)
    return tuple(columns)


def _checked(op: str, f: Any, order: Any) -> int:
    check.function(op, "f", f)
    return check.integer(op, "order", order, minimum=0)


def check_start(op: str, args: Any, seed: Any) -> int:
    """The seed; raise unless args are float arrays, or pytrees of them, to add cotangents to."""
    seed = check.integer(op, "seed", seed, minimum=0)
    _check_sequence(op, args)
    for position, leaf in enumerate(jax.tree.leaves(args)):
        check.float_array(op, f"args[{position}]", leaf)
    return seed


def _check_sequence(op: str, args: Any) -> None:
    if not check.is_sequence(args):
        raise TypeError(f"{op}: args must be a sequence of arrays, got {check.shown(args)}")
    if not args:
        raise ValueError(f"{op}: args must hold at least one array, got none")


def _arrays(op: str, f: Any, args: Any) -> list[Array]:
    check.function(op, "f", f)
    _check_sequence(op, args)
    return [check.float_array(op, f"args[{i}]", a) for i, a in enumerate(args)]


def default_step(dtype: Any) -> float:
    """The step that balances truncation and rounding in a central difference: ∛ε.

    Raises:
        TypeError: dtype is none of floats.
    """
    check.float_dtype("default_step", "dtype", dtype)
    return float(np.cbrt(jnp.finfo(dtype).eps))


def second_derivatives(f: Function, args: Sequence[Array], seed: int = 0) -> Array:
    """The matrix ∂²⟨f, w⟩/∂a∂b over all elements of all args, w random: symmetric, or wrong.

    Reverse over reverse: a row is the pullback of a gradient, so that a rule whose backward pass
    forgets what it depends on shows.

    Raises:
        TypeError: f is no function, an argument no float array, or seed no integer.
        ValueError: seed is negative.
    """
    args = _arrays("second_derivatives", f, args)
    seed = check.integer("second_derivatives", "seed", seed, minimum=0)
    weights = random_like(jax.eval_shape(f, *args), seed)
    sizes = np.cumsum([a.size for a in args])[:-1]

    def gradient(flat):
        parts = [p.reshape(a.shape) for p, a in zip(jnp.split(flat, sizes), args, strict=True)]
        _, pull = jax.vjp(f, *parts)
        return jnp.concatenate([g.reshape(-1) for g in pull(weights)])

    flat = jnp.concatenate([a.reshape(-1) for a in args])
    _, pull = jax.vjp(gradient, flat)
    return jax.lax.map(lambda row: pull(row)[0], jnp.eye(flat.size, dtype=flat.dtype))
