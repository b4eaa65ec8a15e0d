"""What a rule is: a function whose derivatives are written by hand, in both modes, at every order.

A rule is four things, each said once: the function; the forward pass, which keeps residuals; the
backward pass, δ ↦ the gradients of the arguments; and the tangent, ẋ ↦ ẏ, which is its transpose.

    @partial(custom_rule, nondiff_argnums=(1,))
    def softmax(x, axis): …                                # y
    def _softmax_fwd(x, axis): …                           # y, residuals
    def _softmax_bwd(axis, residuals, delta): …            # (∂x,)
    def _softmax_tangent(axis, residuals, dots): …         # ẏ
    softmax.defvjp(_softmax_fwd, _softmax_bwd)
    softmax.defjvp(_softmax_tangent)

`jax.custom_vjp`, of which a rule is an instance, refuses forward mode (JAX issue 3996). Here JAX
sees one primitive: its derivative is that primitive again with the tangent in it, and what
transposes the tangent is the backward pass. What the two call has rules too, or is arithmetic; so
every order, in any mixture of the modes, is by hand.

Most rules need not be written out. They are of a kind: `adjoints`, `unary`, `product`, `selection`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxcnn import check, primitive
from jaxcnn.applications import Parameters
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.tangents import added, dots_of, filled, is_dot

Function = Callable[..., Any]


class custom_rule(jax.custom_vjp):  # noqa: N801 - a decorator, as jax.custom_vjp is
    """y = f(x, …), with derivatives by hand in both modes, under every transformation of JAX.

    Backward, with δ = ∂L/∂y: the gradients that `defvjp` is given, as for `jax.custom_vjp`, whose
    interface this is. Forward, with ẋ how the arguments move: the tangent that `defjvp` or
    `defjvps` is given, the transpose of the backward pass; `jaxcnn.gradcheck` checks that.

    Args:
        fun: the function, of arrays, pytrees of them, None, and settings; what is traced must be
            among them. Integers, booleans and keys have no derivative: their gradient is None.
        nondiff_argnums: which arguments are settings; those must be hashable.
    """

    tangent: Function | None
    kind: str  # which of those below made it; the documentation tells them apart
    linear: tuple[int, ...]  # in which arguments, settings not counted; in each by itself
    affine: tuple[int, ...]  # in which others it is linear but for a constant, as in a bias

    def __new__(cls, fun: Function, nondiff_argnums: Sequence[int] = ()) -> "custom_rule":
        """A rule, whichever class `jax.custom_vjp` makes."""
        return object.__new__(cls)

    def __init__(self, fun: Function, nondiff_argnums: Sequence[int] = ()):
        check.function("custom_rule", "fun", fun)
        parameters = Parameters(fun, nondiff_argnums)
        super().__init__(fun, nondiff_argnums)
        # JAX copies what fun has, which may be a rule itself.
        self.tangent, self.kind, self.linear, self.affine = None, "written out", (), ()
        self.parameters = parameters
        self.applications = primitive.applications(self)

    def defvjp(self, fwd: Function, bwd: Function) -> None:
        """Say what the forward pass keeps, y, residuals = fwd(*args), and the gradients of all
        arguments that are no settings: bwd(*settings, residuals, δ).
        """
        check.functions("defvjp", fwd=fwd, bwd=bwd)
        super().defvjp(fwd, bwd)

    def defjvp(self, tangent: Function, *, affine: Sequence[int] = ()) -> None:
        """Say how y moves: ẏ = tangent(*settings, residuals, dots), in the structure of y.

        dots holds how each argument moves that is no setting, in its structure: zeros where it does
        not, None for what has no derivative. Where y is affine, it can be transposed.
        """
        check.functions("defjvp", tangent=tangent)
        self.affine = self.parameters.places("defjvp", "affine", affine)
        self.tangent = lambda *args: tangent(*args[:-1], filled(args[-1]))
        self.tangent.__doc__ = tangent.__doc__

    def defjvps(self, *tangents: Function, affine: Sequence[int] = ()) -> None:
        """Say how y moves with each argument: ẏ = Σᵢ tangentsᵢ(*settings, residuals, ẋᵢ).

        Arguments that do not move cost nothing; the last ones, if they have no derivative, are left
        out. A share may lack axes in front, as that of a bias does: it is the same along them.
        """
        check.functions("defjvps", **{f"tangents[{i}]": t for i, t in enumerate(tangents)})
        self.parameters.places("defjvps", "tangents", range(len(tangents)))

        def summed(*args):
            *before, dots = args
            total = None
            for tangent, dot in zip(tangents, dots, strict=False):
                if any(not is_dot(d) or d.value is not None for d in dots_of(dot)):
                    share = tangent(*before, filled(dot))
                    total = share if total is None else jax.tree.map(added, total, share)
            return total

        self.tangent, self.affine = summed, self.parameters.places("defjvps", "affine", affine)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function; JAX sees one primitive."""
        given = self.parameters.given(self.__name__, args, kwargs)
        settings = tuple(given[i] for i in self.nondiff_argnums)
        return primitive.apply(self, settings, self.without_settings(given))

    def without_settings(self, args: Sequence[Any]) -> list[Any]:
        """The arguments that are arrays, pytrees of them or None."""
        return [a for i, a in enumerate(args) if i not in self.nondiff_argnums]

    def arguments(self, settings: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
        """Settings and other arguments, each at its place again."""
        arguments = list(arrays)
        for position, setting in zip(self.nondiff_argnums, settings, strict=True):
            arguments.insert(position, setting)
        return arguments


# The kinds of rules -------------------------------------------------------------------------------


def adjoints(f: custom_rule, g: custom_rule, *, argument: int = 0) -> None:
    """Make f and g each other's transpose, ⟨f(x), y⟩ = ⟨x, g(y)⟩; both linear in one argument.

    Backward ∂x = g(δ), forward ẏ = f(ẋ). Other arguments, such as a mask, and settings are the same
    for both; they have no derivative. A map that is its own transpose is given twice.
    """
    check.rules("adjoints", f=f, g=g)
    check.integer("adjoints", "argument", argument, minimum=0)
    for one, other in ((f, g), (g, f)):
        one.parameters.places("adjoints", "argument", (argument,))

        def transpose(others, settings, delta, other=other):
            return other(*other.arguments(settings, _inserted(others, argument, delta)))

        _transposed(one, transpose, argument)


def _transposed(f: custom_rule, transpose: Function, argument: int) -> None:
    def fwd(*args):
        return f(*args), [a for i, a in enumerate(f.without_settings(args)) if i != argument]

    def bwd(*args):
        *settings, others, delta = args
        x = transpose(others, settings, delta)
        return tuple(x if i == argument else None for i in range(len(others) + 1))

    def tangent(*args):
        *settings, others, dots = args
        return f(*f.arguments(settings, _inserted(others, argument, dots[argument])))

    f.defvjp(fwd, bwd)
    f.defjvp(tangent)
    f.kind, f.linear = "linear", (argument,)


def _inserted(others: Sequence[Any], position: int, value: Any) -> list[Any]:
    return [*others[:position], value, *others[position:]]


def unary(*, keep: Function, back: Function, nondiff_argnums: Sequence[int] = ()) -> Function:
    """Make a rule of a function that acts element by element, y = f(x, *settings).

    Backward ∂x = back(δ, kept, *settings), forward ẏ = back(ẋ, kept, *settings): one slope for each
    element is its own transpose, as are those of a softmax. kept = keep(x, y) is what back needs,
    and no more. Further arguments, such as labels, have no derivative.
    """
    check.functions("unary", keep=keep, back=back)

    def decorate(fun: Function) -> custom_rule:
        f = custom_rule(fun, nondiff_argnums=nondiff_argnums)
        others = f.parameters.arrays - 1

        def fwd(x, *given):
            y = f(x, *given)
            return y, keep(x, y)

        def slope(*args):
            *settings, kept, moved = args
            return back(moved, kept, *settings)

        f.defvjp(fwd, lambda *args: (slope(*args), *[None] * others))
        f.defjvps(slope)
        f.kind = "slope"
        return f

    return decorate


def sloped(slope: Function, nondiff_argnums: Sequence[int] = ()) -> Function:
    """As `unary`, for a slope that is made of x: y′ = slope(x, *settings).

    It keeps x, and computes in the dtype of sums, float32 for halves.
    """
    check.functions("sloped", slope=slope)

    def back(moved, x, *settings):
        return narrow(widen(moved) * slope(widen(x), *settings), x.dtype)

    return unary(keep=lambda x, y: x, back=back, nondiff_argnums=nondiff_argnums)


def linear(f: custom_rule, bwd: Function) -> None:
    """Let f be linear in its first argument; bwd(*settings, δ, *others) is its transpose.

    Forward ẏ = f(ẋ). Others and settings have no derivative. Where the transpose is a rule with the
    same arguments, `adjoints` says it for both.
    """
    check.rules("linear", f=f)
    check.functions("linear", bwd=bwd)
    _transposed(f, lambda others, settings, delta: bwd(*settings, delta, *others), 0)


def product(
    f: custom_rule, bwd: Function | None = None, *, factors: int = 2, bias: bool = False
) -> None:
    """Let f(a, b), or of more factors, be linear in each; f(a, b, bias) may add a bias.

    Forward ẏ = f(ȧ, b) + f(a, ḃ) and the bias's. Backward bwd(*settings, residuals, δ), and the
    residuals are the arguments; where f has both already, `bwd` is left out.
    """
    check.rules("product", f=f)
    check.functions("product", bwd=f if bwd is None else bwd)
    check.integer("product", "factors", factors, minimum=1)
    check.boolean("product", "bias", bias)

    def of(position):
        def tangent(*args):
            *settings, arguments, dot = args
            moved = [dot if i == position else a for i, a in enumerate(arguments[:factors])]
            return f(*f.arguments(settings, [*moved, None] if bias else moved))

        return tangent

    if bwd is not None:
        f.defvjp(lambda *args: (f(*args), tuple(f.without_settings(args))), bwd)
    of_bias, affine = ([lambda *args: args[-1]], [factors]) if bias else ([], [])
    f.defjvps(*map(of, range(factors)), *of_bias, affine=affine)
    f.kind, f.linear = "product", tuple(range(factors))


def arithmetic(
    f: Function, plainly: Function, *, linear: Sequence[int], nondiff_argnums: Sequence[int] = ()
) -> custom_rule:
    """Make a rule of f, which adds up in a way of its own what `plainly` does, linear in some.

    Such sums rules leave to JAX anyway: its derivatives of `plainly` serve, in both modes.
    """
    check.functions("arithmetic", f=f, plainly=plainly)
    rule = custom_rule(f, nondiff_argnums=nondiff_argnums)
    rule.parameters.places("arithmetic", "linear", linear)

    def of_arrays(settings):
        return lambda *arrays: plainly(*rule.arguments(settings, arrays))

    def bwd(*args):
        return jax.vjp(of_arrays(args[:-2]), *args[-2])[1](args[-1])

    rule.defvjp(lambda *args: (rule(*args), tuple(rule.without_settings(args))), bwd)
    rule.defjvp(lambda *args: jax.jvp(of_arrays(args[:-2]), args[-2], tuple(args[-1]))[1])
    rule.kind, rule.linear = "arithmetic", tuple(linear)
    return rule


def selection(
    f: custom_rule, scatter: Function, gather: Function, value: custom_rule | None = None
) -> None:
    """Let y, s = f(x, *settings) choose elements of x and say which; `value` gives y alone.

    Once the choice is fixed it is linear: backward ∂x = scatter(δ, s, *settings), forward
    ẏ = gather(ẋ, s, *settings). The choice has no derivative.
    """
    check.rules("selection", f=f, value=f if value is None else value)
    check.functions("selection", scatter=scatter, gather=gather)

    def fwd(*args):
        y_and_choice = f(*args)
        return y_and_choice, y_and_choice[1]

    f.defvjp(fwd, lambda *args: (scatter(args[-1][0], args[-2], *args[:-2]),))
    f.defjvp(lambda *args: (gather(args[-1][0], args[-2], *args[:-2]), None))
    f.kind = "selection"
    if value is not None:
        value.defvjp(f, lambda *args: (scatter(args[-1], args[-2], *args[:-2]),))
        value.defjvp(lambda *args: gather(args[-1][0], args[-2], *args[:-2]))
        value.kind = "selection"


def constant(f: custom_rule) -> None:
    """Let f have no derivative: a mask, a choice; or numbers that count as given."""
    check.rules("constant", f=f)
    f.defvjp(
        lambda *args: (f(*args), tuple(f.without_settings(args))),
        lambda *args: tuple(None for _ in args[-2]),
    )
    f.defjvps()
    f.kind = "constant"
