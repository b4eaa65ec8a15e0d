"""All checks of a function's derivatives."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn import check
from jaxcnn.gradcheck.derivatives import (
    Function,
    default_step,
    pullback_arguments,
    pulled_and_expected,
    random_like,
    second_derivatives,
    up_to_pullback,
)
from jaxcnn.gradcheck.errors import FLOOR, Finding, relative_error
from jaxcnn.gradcheck.modes import derivative, derivative_arguments, mixtures

# By the dtype of the arguments: for comparisons with a twin, and with central differences.
TOLERANCES = {"float64": (1e-10, 1e-6), "float32": (1e-4, 2e-2)}


def check_gradients(
    f: Function,
    *args: Any,
    twin: Function | None = None,
    adjoint: Function | None = None,
    orders: int = 1,
    modes: str = "reverse",
    symmetry: bool | None = None,
    tolerance: float | None = None,
    difference_tolerance: float | str | None = "default",
    step: float | None = None,
    floor: float = FLOOR,
    seed: int = 0,
) -> list[Finding]:
    """All that can be said about the derivatives of f at these arguments.

    Its forward pass must give its value. Its Jacobian, and its pullback at a random cotangent,
    which shows whether that is linear, are compared with central differences; with a twin its value
    and its pullbacks are compared with the twin's. Without one, and if orders is 2 or more, its
    pullback is compared with central differences too. Second derivatives must be symmetric.

    Args:
        f: a function of args; its result is an array, or a pytree of arrays.
        args: the point: arrays, or pytrees of them, of one floating-point dtype. Only float64,
            which `jax.config.update("jax_enable_x64", True)` switches on, shows small mistakes.
        twin: the same function, written so that JAX differentiates it; with it the value and the
            pullbacks up to `orders` are compared, with random cotangents.
        adjoint: of a linear f of one array: ⟨f(x), y⟩ = ⟨x, adjoint(y)⟩ is checked.
        orders: the highest order of derivative to check.
        modes: "reverse", or "both": tangents are checked too. Each is compared with central
            differences, and with the pullback whose transpose it is; with a twin, derivatives in
            every mixture of the modes up to `orders` are compared with the twin's.
        symmetry: whether second derivatives are compared with their transpose; by default if orders
            is 2 or more.
        tolerance: for comparisons with the twin, the adjoint and the transpose; by default 1e-10
            in float64, 1e-4 in float32.
        difference_tolerance: for comparisons with central differences; by default 1e-6 in float64,
            2e-2 in float32. None leaves them out.
        step: of the central differences; by default ∛ε of the dtype. A multilinear f has no
            truncation error: step 1 is the most precise there.
        floor: where the largest element is smaller than this, errors are relative to this instead.
        seed: of the random cotangents.

    Raises:
        TypeError: an argument holds no floating-point numbers, or numbers of two dtypes.
        ValueError: there is nothing to check: no argument, or neither twin nor differences; or the
            dtype is a half, for which there are no default tolerances.
    """
    op = "check_gradients"
    leaves, structure = jax.tree.flatten(args)
    arrays = _arrays(op, leaves)
    orders = check.integer(op, "orders", orders, minimum=0)
    floor = check.positive(op, "floor", floor)
    seed = check.integer(op, "seed", seed, minimum=0)
    if step is not None:
        check.positive(op, "step", step)
    if symmetry is not None:
        check.boolean(op, "symmetry", symmetry)
    check.choice(op, "modes", modes, ("reverse", "both"))
    check.function(op, "f", f)
    for name, function in (("twin", twin), ("adjoint", adjoint)):
        if function is not None:
            check.function(op, name, function)
    if adjoint is not None and len(arrays) != 1:
        raise ValueError(f"{op}: adjoint must be that of an f of one array, got {len(arrays)} args")
    tolerance, difference_tolerance = _tolerances(op, arrays, tolerance, difference_tolerance)
    if twin is None and difference_tolerance is None:
        raise ValueError(f"{op}: twin must be given where differences are left out, got None")
    f, twin = (_of_leaves(function, structure) for function in (f, twin))
    findings = []

    def compare(what: str, value: Any, reference: Any, bound: float) -> None:
        error, where = relative_error(value, reference, floor)
        findings.append(Finding(what, error, where, bound))

    if orders > 0:
        y, of_forward = jax.jit(lambda *a: (f(*a), jax.vjp(f, *a)[0]))(*arrays)
        compare("value of the forward pass against the function's", of_forward, y, tolerance)
    if twin is not None:
        arguments = pullback_arguments(f, orders, arrays, seed)
        results = jax.jit(up_to_pullback(f, orders))(*arguments)
        expected = jax.jit(up_to_pullback(twin, orders))(*arguments)
        for order in range(orders + 1):
            what = "value" if order == 0 else f"derivative of order {order}"
            compare(f"{what} against the twin's", results[order], expected[order], tolerance)
        if modes == "both":
            mixed = _mixtures(f, twin, orders, arrays, seed)
            for word, (found, reference) in mixed.items():
                compare(f"derivative {word} against the twin's", found, reference, tolerance)
    if modes == "both":
        compare("tangent against its transpose", *_two_pairings(f, arrays, seed), tolerance)
        if difference_tolerance is not None:
            compare(
                "tangent against central differences",
                *_tangent_and_difference(f, arrays, step, seed),
                difference_tolerance,
            )
    if difference_tolerance is not None:
        flat = _one_result(f)
        compare(
            "Jacobian against central differences",
            *pulled_and_expected(flat, arrays, step, seed),
            difference_tolerance,
        )
        if twin is None and orders > 1:
            pulled = _one_result(lambda cotangent, *a: jax.vjp(f, *a)[1](cotangent))
            (cotangent,) = pullback_arguments(f, 1, arrays, seed)[1:]
            flat_pulled = _of_leaves(pulled, jax.tree.structure((cotangent, *arrays)))
            both = jax.tree.leaves((cotangent, *arrays))
            compare(
                "pullback's Jacobian against central differences",
                *pulled_and_expected(flat_pulled, both, step, seed + 1),
                difference_tolerance,
            )
    if orders > 1 if symmetry is None else symmetry:
        matrix = jax.jit(partial(second_derivatives, _one_result(f), seed=seed))(arrays)
        compare("second derivatives against their transpose", matrix, matrix.T, tolerance)
    if adjoint is not None:
        (x,) = arrays
        y = random_like(jax.eval_shape(f, x), seed)
        error = adjoint_error(f, adjoint, x, y)
        findings.append(Finding("adjoint identity", error, "", tolerance))
    return findings


def _arrays(op: str, leaves: list[Any]) -> list[Array]:
    """The leaves of the arguments as arrays of floats of one dtype."""
    if not leaves:
        raise ValueError(f"{op}: args must hold at least one array, got none")
    first = check.float_array(op, "args[0]", leaves[0])
    like = "args[0]", first
    others = [
        check.float_array(op, f"args[{position}]", leaf, like=like)
        for position, leaf in enumerate(leaves[1:], start=1)
    ]
    return [first, *others]


def _tolerances(
    op: str, arrays: list[Array], tolerance: float | None, differences: float | str | None
) -> tuple[float, float | None]:
    """Those given, or the defaults for the dtype of the arrays."""
    if isinstance(differences, str) and differences != "default":
        raise ValueError(
            f'{op}: difference_tolerance must be "default", a number or None, '
            f"got {check.shown(differences)}"
        )
    if tolerance is not None:
        tolerance = check.number(op, "tolerance", tolerance, minimum=0)
    if differences is not None and not isinstance(differences, str):
        differences = check.number(op, "difference_tolerance", differences, minimum=0)
    found = TOLERANCES.get(arrays[0].dtype.name)
    if found is None and (tolerance is None or differences == "default"):
        raise ValueError(
            f"{op}: tolerance and difference_tolerance must be given for {arrays[0].dtype}, "
            f"got {tolerance} and {differences}"
        )
    by_twin, by_differences = found or (0.0, 0.0)
    return (
        by_twin if tolerance is None else tolerance,
        by_differences if isinstance(differences, str) else differences,
    )


def _of_leaves(f: Function | None, structure: Any) -> Any:
    """The function of the arrays that its arguments are made of."""
    if f is None:
        return None
    return lambda *leaves: f(*jax.tree.unflatten(structure, leaves))


def _mixtures(
    f: Function, twin: Function, orders: int, arrays: list[Array], seed: int
) -> dict[str, tuple[Any, Any]]:
    """Derivatives of both in every mixture but pure reverse, by one program: faster to compile."""
    words = [word for order in range(1, orders + 1) for word in mixtures(order)[:-1]]
    arguments = {word: derivative_arguments(f, word, arrays, seed) for word in words}

    @jax.jit
    def both(arguments):
        return {
            word: tuple(derivative(g, word)(*arguments[word]) for g in (f, twin)) for word in words
        }

    return both(arguments)


def _two_pairings(f: Function, arrays: list[Array], seed: int) -> tuple[Array, Array]:
    """⟨ẏ, w⟩ and ⟨ẋ, ∂x⟩, with ẏ the tangent at a random ẋ and ∂x the pullback of a random w.

    Each is divided by what it would be without cancelling.
    """

    @jax.jit
    def pairings(arrays, dots):
        y, moved = jax.jvp(f, tuple(arrays), tuple(dots))
        w = random_like(y, seed + 1)
        pulled = jax.vjp(f, *arrays)[1](w)
        (forward, size), (backward, _) = (_pairing(*pair) for pair in ((moved, w), (dots, pulled)))
        size = jnp.where(size > 0, size, 1)  # where nothing moves, nothing comes back either
        return forward / size, backward / size

    return pairings(arrays, random_like(arrays, seed))


def _pairing(left: Any, right: Any) -> tuple[Array, Array]:
    """⟨left, right⟩ and the same of absolute values."""
    products = [
        (a * b).reshape(-1)
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    ]
    flat = jnp.concatenate(products)
    return flat.sum(), abs(flat).sum()


def _tangent_and_difference(
    f: Function, arrays: list[Array], step: float | None, seed: int
) -> tuple[Any, Any]:
    """How y moves along a random ẋ, by the tangent and by a central difference."""
    h = default_step(arrays[0].dtype) if step is None else step

    @jax.jit
    def both(arrays, dots):
        high, low = (
            f(*(a + s * h * dot for a, dot in zip(arrays, dots, strict=True))) for s in (1, -1)
        )
        moved = jax.jvp(f, tuple(arrays), tuple(dots))[1]
        return moved, jax.tree.map(lambda a, b: (a - b) / (2 * h), high, low)

    return both(arrays, random_like(arrays, seed))


def _one_result(f: Function) -> Function:
    """The function, its results one after the other in one row."""

    def flat(*args):
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(f(*args))])

    return flat


def assert_gradients(f: Function, *args: Any, **options: Any) -> None:
    """Raise AssertionError, naming the worst element, if a finding of `check_gradients` is off."""
    findings = check_gradients(f, *args, **options)
    failed = [str(finding) for finding in findings if not finding.passed]
    if failed:
        raise AssertionError("\n".join(failed))


def adjoint_error(f: Function, adjoint: Function, x: Array, y: Array) -> float:
    """|⟨f(x), y⟩ − ⟨x, f*(y)⟩| relative to Σ|f(x) y|: zero for a linear map and its adjoint.

    Args:
        f: a linear map of one array.
        adjoint: what is said to be its adjoint.
        x: an array of the shape that f takes.
        y: an array of the shape that f returns.

    Raises:
        TypeError: f or adjoint is no function, or x or y no float array.
        ValueError: the shapes of f(x) and y differ, or those of adjoint(y) and x.
    """
    op = "adjoint_error"
    check.function(op, "f", f)
    check.function(op, "adjoint", adjoint)
    x = check.float_array(op, "x", x)
    y = check.float_array(op, "y", y)
    check.shape(op, "y", y, jax.eval_shape(f, x).shape)
    check.shape(op, "x", x, jax.eval_shape(adjoint, y).shape)
    left, right = jax.jit(f)(x) * y, x * jax.jit(adjoint)(y)
    return float(abs(left.sum() - right.sum()) / abs(left).sum())
