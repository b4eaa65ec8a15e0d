"""Methods that give the rectifiers another backward pass, and leave everything else as it is."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Literal
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.attribution.target import Model, Target, explained, gradient, run
from jaxcnn.layers import Layer
from jaxcnn.ops.activation import relu_map
from jaxcnn.rewriting import with_rules
from jaxcnn.rewriting.program import OWN_DERIVATIVES
from jaxcnn.rewriting.rectifiers import MOVED, fact, facts, passed, programs, rectifiers
from jaxcnn.swapping import swap_rules, with_backward


def _guided(delta: Array, y: Array, x: Array) -> Array:
    return jnp.where((x > 0) & (delta > 0), delta, 0)


def _deconvolved(delta: Array, y: Array, x: Array) -> Array:
    return jnp.maximum(delta, 0)


def guided_backprop(
    net: Model, params: Any, state: Any, x: Any, target: Target = None
) -> Float[Array, "n ..."]:
    """A = ∂u/∂x, in which a rectifier y = max(x, 0) passes max(δ, 0) on where x > 0, else 0.

    In a function that is max(x, 0) either way round, a clip, a selection or a mask by the sign of
    x; but not a sum or a product that comes to the same, nor what stands inside a function with a
    derivative of its own. Other activations keep their slope.
    Source: Springenberg, Dosovitskiy, Brox and Riedmiller 2015, "Striving for Simplicity",
    section 3.4.

    Raises:
        ValueError: there is no rectifier in it; or a function takes the larger or the smaller of
            two, neither a number that is written down, clamps, takes the smaller of x and 0, or
            adds x to |x|: what may be one is named.
    """
    return _by("guided_backprop", _guided, net, params, state, x, target)


def deconvolution(
    net: Model, params: Any, state: Any, x: Any, target: Target = None
) -> Float[Array, "n ..."]:
    """A = ∂u/∂x, in which a rectifier passes max(δ, 0) on, wherever its input was.

    Convolutions go back by their input gradient, maxima by their switches, as in back-propagation.
    What counts as a rectifier is said at `guided_backprop`.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks",
    section 2.1; as a backward rule: Simonyan, Vedaldi and Zisserman 2013, section 4.

    Raises:
        ValueError: as `guided_backprop` does.
    """
    return _by("deconvolution", _deconvolved, net, params, state, x, target)


def rectified(net: Model, backward: Callable[..., Array]) -> Model:
    """The same network, or function, whose rectifiers have that backward pass."""
    other = with_backward(relu_map, backward)
    return (
        swap_rules(net, {relu_map: other})
        if isinstance(net, Layer)
        else with_rules(net, rules={"relu": other})
    )


def _by(op: str, backward, net, params, state, x, target) -> Array:
    passed: list[Array] = []

    def noted(delta: Array, y: Array, x: Array) -> Array:
        passed.append(y)
        return backward(delta, y, x)

    output = run(op, net, params, state)  # says so if it is no network
    if not isinstance(net, Layer):
        program = jax.make_jaxpr(output)(check.float_array(op, "x", x)).jaxpr
        for found in _bends(program, {}, set(program.invars)):
            raise ValueError(
                f"{op}: net must write its rectifiers as max(x, 0) or jax.nn.relu, got {found}"
            )
    x, score = explained(op, rectified(net, noted), params, state, x, target)
    found = gradient(score, x)
    if not passed:
        raise ValueError(f"{op}: net must have a rectifier, max(x, 0), got none that is known")
    return found


# What may be a rectifier --------------------------------------------------------------------------


def _bends(jaxpr: Any, given: Any, moving: set[Any]) -> Iterator[str]:
    """What bounds from below something that moves, and got no rule.

    Where a program's operands are not known to be numbers, they may be zero.
    """
    relus, known, moving = rectifiers(jaxpr), facts(jaxpr, given), set(moving)
    halves: dict[Any, tuple[Any, bool]] = {}  # what is c • x or c • |x|: its x, and which
    for eqn in jaxpr.eqns:
        moved = [not isinstance(v, Literal) and v in moving for v in eqn.invars]
        if not any(moved):
            continue
        moving.update(eqn.outvars)
        name = eqn.primitive.name
        if (eqn.outvars and eqn.outvars[0] in relus) or name in OWN_DERIVATIVES:
            continue
        sources = [halves.get(v, (v, False)) for v in eqn.invars if not isinstance(v, Literal)]
        if name == "abs":
            halves[eqn.outvars[0]] = (sources[0][0], True)
        elif name in {"neg", *MOVED} or (name in {"mul", "div"} and len(sources) == 1):
            halves[eqn.outvars[0]] = sources[0]
        elif name in {"add", "sub"} and len({x for x, _ in sources}) < len(set(sources)):
            yield f"{name} of x and |x|, {sources[0][0].aval.shape}"
        bounds = {"max": [0, 1], "min": [0, 1], "clamp": [0]}.get(name, [])
        if any(not moved[i] and fact(known, eqn.invars[i]) != "number" for i in bounds):
            yield f"{name} of {', '.join(str(v.aval.shape) for v in eqn.invars)}"
        for program in programs(eqn):
            inner = getattr(program, "jaxpr", program)
            operands = eqn.invars[len(eqn.invars) - len(inner.invars) :]
            if len(operands) != len(inner.invars) or name == "while":
                yield from _bends(inner, {}, set(inner.invars))
            else:
                passing = moved[len(moved) - len(operands) :]
                if name == "scan":  # what is carried moves once it has gone round
                    carried = _whole(eqn.outvars, inner.outvars)
                    stop = _whole(operands, inner.invars)
                    passing[stop - carried : stop] = [True] * carried
                went = {v for v, m in zip(inner.invars, passing, strict=True) if m}
                yield from _bends(inner, passed(known, operands, inner.invars), went)


def _whole(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """How many values a scan does not take apart, which JAX's releases write down differently."""
    return sum(a.aval.ndim == b.aval.ndim for a, b in zip(outside, inside, strict=True))
