"""What a worked example is, and how JAX's numbers come beside those of the lecture.

An example is worked three times: by hand, with the formulas that the lecture writes down and NumPy
for the arithmetic; through jaxcnn's rules; and by JAX's own differentiation of plain operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

import jaxcnn
from jaxcnn.ops import elementary


class Step(NamedTuple):
    """A quantity, the formula that gives it, and its value, worked by hand.

    In a backward table the value is the derivative of the result with respect to the quantity.
    """

    quantity: str
    formula: str
    value: Any


class Line(NamedTuple):
    """A step with what the rules and JAX find for the same quantity; None: no rule takes part."""

    quantity: str
    formula: str
    by_hand: np.ndarray
    by_rules: np.ndarray | None
    by_jax: np.ndarray


class Note(Protocol):
    """note(name, value): name an intermediate quantity, and go on with what comes back."""

    def __call__(self, name: str, value: Any) -> Array: ...  # noqa: D102


@dataclass(frozen=True)
class Example:
    """A function of a few numbers, worked forward and backward.

    run(note, ops, given): the function in JAX, on the operations of `ops`; it returns one number.
    by_hand(given): the lecture's forward and backward tables. result: what is differentiated.
    """

    key: str
    title: str
    source: str
    result: str
    given: Mapping[str, Any]
    run: Callable[[Note, SimpleNamespace, Mapping[str, Array]], Array]
    by_hand: Callable[[Mapping[str, np.ndarray]], tuple[Sequence[Step], Sequence[Step]]]
    with_rules: bool = True
    remark: str = ""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What is given, in float64."""
        return {name: np.asarray(value, np.float64) for name, value in self.given.items()}


# One name, two implementations: the rules, and plain operations for JAX to differentiate.
RULES = SimpleNamespace(
    exp=elementary.exp,
    log=elementary.log,
    sigmoid=jaxcnn.sigmoid,
    relu=jaxcnn.relu,
    dense=lambda x, weight: jaxcnn.dense(x[None], weight)[0],
    conv=lambda x, k: jaxcnn.conv(_maps(x), _kernel(k))[0, ..., 0],
    true_conv=lambda x, k: jaxcnn.true_conv(_maps(x), _kernel(k))[0, ..., 0],
    max_pool=lambda x: jaxcnn.max_pool(_maps(x), 2)[0, ..., 0],
)
PLAIN = SimpleNamespace(
    exp=jnp.exp,
    log=jnp.log,
    sigmoid=jax.nn.sigmoid,
    relu=jax.nn.relu,
    dense=lambda x, weight: x @ weight,
    conv=lambda x, k: lax.conv(x[None, None], k[None, None], (1,) * k.ndim, "VALID")[0, 0],
    true_conv=lambda x, k: PLAIN.conv(x, jnp.flip(k)),
    max_pool=lambda x: lax.reduce_window(
        x, np.asarray(-np.inf, x.dtype), lax.max, (2, 2), (2, 2), "VALID"
    ),
)


def _maps(x: Array) -> Array:
    return x[None, ..., None]


def _kernel(k: Array) -> Array:
    return k[..., None, None]


def lines(example: Example) -> tuple[list[Line], list[Line]]:
    """The forward and the backward table of an example; needs JAX's 64-bit mode."""
    forward, backward = example.by_hand(example.arrays)
    values, derivatives = evaluate(example, PLAIN)
    ruled = evaluate(example, RULES) if example.with_rules else ({}, {})

    def beside(steps: Sequence[Step], found: dict[str, Any], rules: dict[str, Any]) -> list[Line]:
        return [
            Line(
                step.quantity,
                step.formula,
                np.asarray(step.value, np.float64),
                np.asarray(rules[step.quantity]) if rules else None,
                np.asarray(found[step.quantity]),
            )
            for step in steps
        ]

    return beside(forward, values, ruled[0]), beside(backward, derivatives, ruled[1])


def evaluate(example: Example, ops: SimpleNamespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """(value of every quantity, derivative of the result with respect to every quantity).

    Every quantity that the run names gets a nought added. The gradient in the noughts is the
    derivative with respect to the quantities, which `jax.grad` does not give otherwise.
    """

    def run(given: dict[str, Any], noughts: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        values: dict[str, Any] = {}

        def note(name: str, value: Any) -> Array:
            values[name] = value + noughts[name] if name in noughts else value
            return values[name]

        return example.run(note, ops, given), values

    given = {name: jnp.asarray(value) for name, value in example.arrays.items()}
    _, shapes = jax.eval_shape(lambda given: run(given, {}), given)
    noughts = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    differentiate = jax.jit(jax.value_and_grad(run, (0, 1), has_aux=True))
    (result, values), (by_given, by_nought) = differentiate(given, noughts)
    return {**values, example.result: result}, {**by_given, **by_nought}
