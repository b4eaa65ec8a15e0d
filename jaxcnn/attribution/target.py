"""What is attributed: one number for every example, made of a network's output."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.layers import Layer

Model = Layer | Callable[..., Any]
Target = int | Array | Callable[[Any], Array] | None
Score = Callable[[Array], Array]


def run(op: str, net: Model, params: Any, state: Any) -> Callable[[Array], Any]:
    """The output for an input, outside training."""
    if isinstance(net, Layer):
        return lambda x: net.apply(params, state, x)[0]
    if not callable(net):
        raise TypeError(
            f"{op}: net must be a network of jaxcnn.layers or a function of params, state and x, "
            f"got {check.shown(net)}"
        )

    def output(x: Array) -> Any:
        result = net(params, state, x)
        return result[0] if isinstance(result, tuple) else result

    return output


def explained(
    op: str, net: Model, params: Any, state: Any, x: Any, target: Target
) -> tuple[Float[Array, "n ..."], Score]:
    """The batch, and the score as a function of it, the class of every example chosen for good."""
    x = check.float_array(op, "x", x)
    check.at_least(op, "x", x, 1, "a batch first")
    output = run(op, net, params, state)
    return x, scored(op, output, chosen(op, output, x, target))


def scored(op: str, output: Callable[[Array], Any], choose: Callable[[Any], Array]) -> Score:
    """The score as a function of the input: one number for every example."""

    def score(x: Array) -> Array:
        found = choose(output(x))
        if getattr(found, "shape", None) != x.shape[:1]:
            raise ValueError(
                f"{op}: target must make one number of each of {x.shape[0]} examples, "
                f"got {check.shown(found)}"
            )
        return found

    return score


def chosen(
    op: str, output: Callable[[Array], Any], x: Array, target: Target
) -> Callable[[Any], Array]:
    """From an output the score of every example."""
    if callable(target):
        return target
    logits = jax.eval_shape(output, x)
    if getattr(logits, "ndim", None) != 2 or logits.shape[0] != x.shape[0]:
        raise ValueError(
            f"{op}: target must be a function of the output to one number for each example where "
            f"that is no row of classes, got {check.shown(target)} for {check.shown(logits)}"
        )
    if target is None:
        classes = lax.stop_gradient(jnp.argmax(output(x), -1))
    else:
        given = check.integer_array(op, "target", target)
        if given.ndim:
            check.shape(op, "target", given, x.shape[:1])
        check.concrete_range(op, "target", given, 0, logits.shape[1] - 1)
        classes = jnp.broadcast_to(given, x.shape[:1])
    return lambda y: jnp.take_along_axis(y, classes[:, None], -1)[:, 0]


def gradient(score: Score, x: Array) -> Array:
    """∂Σₙ score/∂x: of every example its own, as examples do not meet outside training."""
    return jax.grad(lambda x: score(x).sum())(x)
