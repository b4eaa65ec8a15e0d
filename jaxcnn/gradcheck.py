"""Checks of a derivative that share nothing with its derivation.

For any function of arrays, with a rule of ours, of yours, or none: its full Jacobian against
central differences (Gormley, "finite difference"), its pullbacks of any order against those of a
twin that JAX differentiates, and the identity that makes one linear map the adjoint of another.
Every error is relative to the largest element of what it is compared with.

    assert_gradients(my_op, x, kernel, twin=plain_op, orders=3)
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# Below this size the reference counts as zero, and the error is measured against this size instead:
# the rounding of a sum that cancels must not be divided by what is left of the sum.
FLOOR = 1e-3

Function = Callable[..., Any]


class Finding(NamedTuple):
    """One comparison: its largest relative error, where it is, and the bound it has to keep."""

    check: str
    error: float
    where: str
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error keeps its bound; a NaN does not."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        return (
            f"{verdict}: {self.check}: {self.error:.1e} (at most {self.tolerance:.0e}){self.where}"
        )


def relative_error(value: Any, reference: Any) -> tuple[float, str]:
    """max |value − reference| / max |reference| over pytrees of arrays, and where it is reached.

    NaN equals NaN and ∞ itself. A difference in structure, shape or dtype is an infinite error.
    """
    values, tree = jax.tree.flatten_with_path(value)
    references, reference_tree = jax.tree.flatten_with_path(reference)
    if tree != reference_tree:
        return np.inf, f"; the results have structures {tree} and {reference_tree}"
    worst, where = 0.0, ""
    for (path, a), (_, b) in zip(values, references, strict=True):
        name = f"result{jax.tree_util.keystr(path)}"
        if a.shape != b.shape or a.dtype != b.dtype:
            return np.inf, f"; {name} is {a.dtype}{a.shape}, expected {b.dtype}{b.shape}"
        wide = np.result_type(np.float64, np.asarray(b).dtype if a.dtype.kind == "c" else float)
        a, b = np.asarray(a).astype(wide), np.asarray(b).astype(wide)
        finite = np.abs(b[np.isfinite(b)])
        scale = max(finite.max(initial=0), FLOOR)
        with np.errstate(invalid="ignore"):
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            errors = np.where(same, 0, np.abs(a - b) / scale)
        errors = np.where(np.isnan(errors), np.inf, errors)
        if errors.size and errors.max() > worst:
            index = np.unravel_index(errors.argmax(), errors.shape)
            at = tuple(int(i) for i in index)
            worst = float(errors.max())
            where = f"; {name} at {at} is {a[index]:.12g}, expected {b[index]:.12g}"
    return worst, where


def pullback(f: Function, order: int) -> Function:
    """The order-th pullback of f as a function (args, cotangents) → gradients.

    Order 0 is f itself. Order n maps the arguments of order n − 1 and a cotangent of its result to
    the gradients with respect to all those arguments, earlier cotangents included: so a rule that
    forgets that its backward pass depends on δ is found out at order 2.
    """
    g = f
    for _ in range(order):

        def g(args, cotangent, below=g):
            return jax.vjp(below, *args)[1](cotangent)

    return g


def up_to_pullback(f: Function, order: int) -> Function:
    """As `pullback`, with the results of every order from 0 on, in one program.

    A pullback computes those below it on the way; so one program is half of what several would be.
    """

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
    """Arguments for `pullback(f, order)`: args, and normal random cotangents at every order."""
    arguments: tuple = tuple(args)
    for n, shape in enumerate(_cotangent_shapes(f, order, args)):
        arguments = (arguments, random_like(shape, seed + n))
    return arguments


def random_like(tree: Any, seed: int) -> Any:
    """Normal random numbers in the shape of a pytree of arrays or of their shapes.

    Drawn by NumPy: JAX would compile a program for every shape.
    """
    # A stream of its own: a caller who draws arguments from the same seed must not get cotangents
    # equal to them, or xᵀδ would be symmetric and its transpose pass for it.
    generator = np.random.default_rng([seed, 0xDE17A])
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape), leaf.dtype), tree
    )


def _cotangent_shapes(f: Function, order: int, args: Sequence[Any]) -> list[Any]:
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
    """∂f/∂args by the pullback of f, one cotangent per element of the output: outputs × inputs."""
    y, pull = jax.vjp(f, *args)
    basis = jnp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
    rows = jax.lax.map(pull, basis)
    return tuple(row.reshape(y.size, -1) for row in rows)


def finite_differences(f: Function, args: Sequence[Array], step: float) -> tuple[Array, ...]:
    """∂f/∂args by central differences, (f(a + h eᵢ) − f(a − h eᵢ)) / 2h: outputs × inputs."""
    columns = []
    for position, a in enumerate(args):

        def along(direction, position=position, a=a):
            before, after = args[:position], args[position + 1 :]
            high = f(*before, a + step * direction, *after)
            low = f(*before, a - step * direction, *after)
            return (high - low).reshape(-1) / (2 * step)

        basis = jnp.eye(a.size, dtype=a.dtype).reshape(a.size, *a.shape)
        columns.append(jax.lax.map(along, basis).T)
    return tuple(columns)


def default_step(dtype: Any) -> float:
    """The step that balances truncation and rounding in a central difference: ∛ε."""
    return float(np.cbrt(jnp.finfo(dtype).eps))


def check_gradients(
    f: Function,
    *args: Array,
    twin: Function | None = None,
    orders: int = 1,
    tolerance: float = 1e-10,
    difference_tolerance: float | None = 1e-6,
    step: float | None = None,
    seed: int = 0,
) -> list[Finding]:
    """All that can be said about the derivatives of f at these arguments.

    Args:
        f: a function of the arrays in args with one array as its result.
        args: the point, floating-point arrays; float64 for the default tolerances.
        twin: the same function, written so that JAX differentiates it; with it the value and the
            pullbacks up to `orders` are compared, with random cotangents.
        orders: the highest order of reverse derivative to compare with the twin.
        tolerance: for comparisons with the twin.
        difference_tolerance: for the comparison with central differences; None leaves them out.
        step: of the central differences; by default ∛ε of the dtype. A multilinear f has no
            truncation error: step 1 is the most precise there.
        seed: of the random cotangents.

    Raises:
        TypeError: an argument is no floating-point array.
        ValueError: there is nothing to check: no argument, or neither twin nor differences.
    """
    arrays = [jnp.asarray(a) for a in args]
    if not arrays:
        raise ValueError("check_gradients: args must be one array at least, got none")
    for position, a in enumerate(arrays):
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(
                f"check_gradients: args[{position}] must hold floats, got dtype {a.dtype}"
            )
    if twin is None and difference_tolerance is None:
        raise ValueError(
            "check_gradients: twin must be given where differences are left out, got None"
        )
    findings = []
    if twin is not None:
        arguments = pullback_arguments(f, orders, arrays, seed)
        results = jax.jit(up_to_pullback(f, orders))(*arguments)
        expected = jax.jit(up_to_pullback(twin, orders))(*arguments)
        for order in range(orders + 1):
            error, where = relative_error(results[order], expected[order])
            what = "value" if order == 0 else f"derivative of order {order}"
            findings.append(Finding(f"{what} against the twin's", error, where, tolerance))
    if difference_tolerance is not None:
        step = default_step(arrays[0].dtype) if step is None else step
        error, where = relative_error(
            jax.jit(partial(jacobian, f))(arrays),
            jax.jit(partial(finite_differences, f, step=step))(arrays),
        )
        findings.append(
            Finding("Jacobian against central differences", error, where, difference_tolerance)
        )
    return findings


def assert_gradients(f: Function, *args: Array, **options: Any) -> None:
    """Raise AssertionError, naming the worst element, unless `check_gradients` is content."""
    findings = check_gradients(f, *args, **options)
    failed = [str(finding) for finding in findings if not finding.passed]
    if failed:
        raise AssertionError("\n".join(failed))


def adjoint_error(f: Function, adjoint: Function, x: Array, y: Array) -> float:
    """|⟨f(x), y⟩ − ⟨x, f*(y)⟩| relative to Σ|f(x) y|: zero for a linear map and its adjoint."""
    left, right = jax.jit(f)(x) * y, x * jax.jit(adjoint)(y)
    return float(abs(left.sum() - right.sum()) / abs(left).sum())


# All that a rule leaves to JAX to differentiate. Sums, products, selections and moves: polynomials.
# Whatever else a rule needs (an exponential, a maximum, a convolution) has a rule of its own.
ARITHMETIC = frozenset(
    {
        "add", "add_any", "sub", "mul", "neg", "reduce_sum",
        "broadcast_in_dim", "reshape", "squeeze", "transpose", "convert_element_type", "copy",
        "select_n", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "iota", "stop_gradient",
    }
)  # fmt: skip


def open_primitives(f: Function, order: int, *args: Array, home: str = "jaxcnn") -> set[str]:
    """What the order-th pullback of f computes outside rules and beyond `ARITHMETIC`.

    It traces the pullback and looks at every primitive, descending into jitted calls but not into
    `custom_vjp` calls: those are closed, provided that their rules are, which the next order shows.
    An empty set says: written by hand throughout. A `custom_vjp` whose function is not defined in
    the package `home`, and any `custom_jvp`, is reported under its name.
    """
    arguments: tuple = tuple(args)
    for shape in _cotangent_shapes(f, order, args):
        arguments = (arguments, shape)
    found: set[str] = set()
    # The package's own folder, not its name: a checkout may lie in a folder of the same name.
    spec = find_spec(home)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"home must be the name of an installed package, got {home!r}")
    folders = [str(folder) + os.sep for folder in spec.submodule_search_locations]

    def visit(jaxpr):
        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            if name == "custom_vjp_call":
                source = str(eqn.params["call_jaxpr"].jaxpr.debug_info.func_src_info)
                if not any(folder in source for folder in folders):
                    found.add(f"{name}: {source}")
            elif "jaxpr" in eqn.params and not name.startswith("custom"):
                visit(getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"]))
            elif name not in ARITHMETIC:
                found.add(name)

    visit(jax.make_jaxpr(pullback(f, order))(*arguments).jaxpr)
    return found
