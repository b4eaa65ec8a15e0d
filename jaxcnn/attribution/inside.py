"""What a network computes on the way: the value at a layer, and the score as a function of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from jaxcnn import check
from jaxcnn.attribution.target import Model, run
from jaxcnn.layers import Layer, up_to
from jaxcnn.layers.combinators import Combinator
from jaxcnn.rewriting import with_rules

Tap = Callable[[Array], Array]


@dataclass(frozen=True)
class Tapped(Layer):
    """A layer whose output goes through a function."""

    layer: Layer
    tap: Tap

    def apply(self, params, state, x, *, key=None, train=False):  # noqa: D102
        y, state = self.layer.apply(params, state, x, key=key, train=train)
        return self.tap(y), state


def tapped(op: str, net: Model, params: Any, state: Any, layer: Any, tap: Tap) -> Any:
    """The output for an input where what a layer returns goes through a function.

    In a function the layer is what `jax.ad_checkpoint.checkpoint_name` calls by that name.
    """
    if not isinstance(layer, str):
        raise TypeError(f"{op}: layer must be the name of a layer, got {check.shown(layer)}")
    if isinstance(net, Layer):
        up_to(net, layer)  # says so if there is none
        return run(op, _put(net, layer.split("/"), tap), params, state)
    met: list[str] = []

    def noted(value: Array) -> Array:
        met.append(layer)
        return tap(value)

    # Programs of calls are opened, so that the value found belongs to the caller's own trace.
    def opened(program: str) -> Callable[..., Any]:
        return lambda *args, **params: with_rules(
            jaxpr_as_fun(_closed(params[program])), rules=rules
        )(*args)

    rules = {
        f"name:{layer}": noted,
        **{name: opened("jaxpr") for name in ("jit", "pjit", "remat2", "checkpoint")},
        "closed_call": opened("call_jaxpr"),
    }
    found = with_rules(run(op, net, params, state), rules=rules)

    def output(x: Array) -> Any:
        met.clear()
        y = found(x)
        if len(met) != 1:
            raise ValueError(
                f"{op}: layer must be what checkpoint_name calls one value of the function, "
                f"got {layer!r}, of which there are {len(met)}"
            )
        return y

    return output


def _closed(program: Any) -> Any:
    return program if hasattr(program, "consts") else ClosedJaxpr(program, ())


def _put(net: Any, path: list[str], tap: Tap) -> Layer:
    if not path:
        return Tapped(net, tap)
    assert isinstance(net, Combinator)
    children = tuple(
        (name, _put(child, path[1:], tap) if name == path[0] else child)
        for name, child in net.children
    )
    return type(net)(children, *((net.merge,) if hasattr(net, "merge") else ()))  # type: ignore


def value_and_gradient(
    op: str, net: Model, params: Any, state: Any, x: Array, layer: Any, score_of: Any
) -> tuple[Array, Array]:
    """y at the layer, and ∂Σ score/∂y; `score_of(output)` is the score as a function of x."""
    kept: list[Array] = []

    def look(y: Array) -> Array:
        kept.append(y)
        return y

    jax.eval_shape(tapped(op, net, params, state, layer, look), x)
    added = jnp.zeros(kept.pop().shape, x.dtype)

    def moved(added: Array) -> tuple[Array, Array]:
        inside: list[Array] = []

        def add(y: Array) -> Array:
            inside.append(y)
            return y + added

        score = score_of(tapped(op, net, params, state, layer, add))
        return score(x).sum(), inside[-1]

    gradient, value = jax.grad(moved, has_aux=True)(added)
    return value, gradient
