"""Back-propagation, explicitly: no automatic differentiation, only the rules, called in order.

Huang, "BP Algorithm summary"; Gwardys, steps 1 to 5; Gormley, Algorithm 1; Ray, "Putting it all
together". Forward, every layer's rule returns its output and what its backward pass needs; then,
for l = L, L − 1, …, 0, the same rule's backward pass turns δ at the layer's output into the
gradients of its parameters and δ at its input. `jax.grad` calls the very same rules.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxcnn import check
from jaxcnn.layers.base import Layer, Leaf, Tree, check_pass, named
from jaxcnn.layers.combinators import Branches, Serial, without_empty
from jaxcnn.ops import rule_of
from jaxcnn.ops.join import split

Loss = Callable[..., Array]


class Backprop(NamedTuple):
    """What one forward and one backward pass find.

    loss: the number that was differentiated. outputs: of the network. state: the network's new one.
    gradients: ∂loss/∂params, in the structure of the parameters. deltas: for every layer δ, the
    gradient at its output, under its name; for a convolution or a dense layer that is ∂E/∂u at the
    pre-activation, Huang's definition. input_delta: ∂loss/∂x; None where x holds integers.
    """

    loss: Array
    outputs: Any
    state: Tree
    gradients: Tree
    deltas: Any
    input_delta: Array | None


class _Call(NamedTuple):
    """One application of a rule: what it was given and what its backward pass needs."""

    rule: Any
    arguments: tuple[Any, ...]
    output: Any
    residuals: Any

    def backward(self, delta: Any) -> tuple[Any, ...]:
        """The rule's backward pass: a gradient for every argument that has one."""
        if isinstance(self.output, tuple):
            # What a rule returns besides y (switches, statistics) takes no part in the loss.
            y, *others = self.output
            delta = (delta.reshape(y.shape), *map(jnp.zeros_like, others))
        else:
            # An operation may drop axes of size one from what its rule returns.
            delta = delta.reshape(self.output.shape)
        static = [self.arguments[i] for i in self.rule.nondiff_argnums]
        return self.rule.bwd(*static, self.residuals, delta)


def backprop(
    net: Layer,
    params: Tree,
    state: Tree,
    x: Array,
    targets: Any,
    loss: Loss | Mapping[str, Loss],
    *,
    key: Array | None = None,
    train: bool = True,
) -> Backprop:
    """Forward through the network and the loss, then back, layer by layer.

    Under `jax.shard_map` the gradients are each device's own share: sum them by `jax.lax.psum`.
    (`jax.grad` sums them where it differentiates the sharing of the parameters; here nothing does.)

    Args:
        net: a network of `jaxcnn.layers`.
        params: its parameters.
        state: its state.
        x: a batch.
        targets: what the loss compares the output with; for several heads a dict.
        loss: an operation of jaxcnn such as `softmax_cross_entropy`; for several heads a dict of
            one for each, whose sum is the loss.
        key: for layers that draw random numbers in training.
        train: whether this is a training pass.

    Raises:
        TypeError: a layer's rule, or the loss, has no backward pass of ours (a twin, for example).
        ValueError: as the operations do; or losses and heads do not go by the same names.
    """
    check_pass("backprop", params, state, key, train)
    outputs, state, record = _forward(net, params, state, x, key, train)
    if isinstance(loss, Mapping):
        heads, given = (
            sorted(tree) if isinstance(tree, Mapping) else "one array"
            for tree in (outputs, targets)
        )
        if not sorted(loss) == heads == given:
            raise ValueError(
                f"backprop: loss and targets must name the heads of the network, "
                f"got losses {sorted(loss)} and targets {given} for {heads}"
            )
        found = {name: _loss(loss[name], outputs[name], targets[name]) for name in outputs}
        value = sum(number for number, _ in found.values())
        delta = {name: head for name, (_, head) in found.items()}
    else:
        value, delta = _loss(loss, outputs, targets)
    input_delta, gradients, deltas = _backward(net, record, delta)
    return Backprop(jnp.asarray(value), outputs, state, gradients, deltas, input_delta)


def _loss(loss: Loss, outputs: Array, targets: Any) -> tuple[Array, Array]:
    """The loss, and δ⁽ᴸ⁾ at the outputs."""
    kept: list[_Call] = []
    value = loss(outputs, targets, rule=_keeping(rule_of(loss, "backprop: loss"), kept))
    if value.ndim:
        raise ValueError(f"backprop: loss must be one number, got shape {value.shape}")
    return value, kept[0].backward(jnp.ones_like(value))[0]


def _forward(
    net: Layer, params: Tree, state: Tree, x: Any, key: Array | None, train: bool
) -> tuple[Any, Tree, Any]:
    """The output, the new state, and a record of calls in the shape of the network."""
    match net:
        case Leaf():
            kept: list[_Call] = []
            first = net.first(x)
            if first is not None:
                x, _, kept = _forward(first, {}, {}, x, None, train)
            y, state = net.run(
                params, state, x, key=key, train=train, rule=_keeping(net.rule_for(train), kept)
            )
            return y, state, kept
        case Serial(children):
            records, states = {}, {}
            for (name, layer), child_key in zip(children, net.keys(key), strict=True):
                with named(name):
                    x, states[name], records[name] = _forward(
                        layer, params.get(name, {}), state.get(name, {}), x, child_key, train
                    )
            return x, without_empty(states), records
        case Branches(children):
            outputs, records, states = {}, {}, {}
            for (name, layer), child_key in zip(children, net.keys(key), strict=True):
                with named(name):
                    outputs[name], states[name], records[name] = _forward(
                        layer, params.get(name, {}), state.get(name, {}), x, child_key, train
                    )
            return net.join(outputs), without_empty(states), (records, outputs)
    raise TypeError(f"backprop: net must be a layer of jaxcnn.layers, got {check.shown(net)}")


def _backward(net: Layer, record: Any, delta: Any) -> tuple[Any, Tree, Any]:
    """δ at the input, the gradients of the parameters, and δ at every output, for l = L, …, 0."""
    match net:
        case Leaf():
            if not record:  # the layer passes its input on, as dropout does out of training
                return delta, {}, delta
            *earlier, call = record
            below, *others = call.backward(delta)
            for first in reversed(earlier):
                below, *_ = first.backward(below)
            gradients = dict(zip(net.parameter_names, others, strict=False))
            if any(other is not None for other in others[len(gradients) :]):
                raise TypeError(
                    f"backprop: parameter_names of {type(net).__name__} must name all that its "
                    f"rule has gradients for, got {net.parameter_names}"
                )
            learnt = {n: g for n, g in gradients.items() if n is not None and g is not None}
            return below, learnt, delta
        case Serial(children):
            gradients, deltas = {}, {}
            for name, layer in reversed(children):
                delta, gradients[name], deltas[name] = _backward(layer, record[name], delta)
            return delta, without_empty(_reversed(gradients)), _reversed(deltas)
        case Branches(children):
            records, outputs = record
            gradients, deltas, total = {}, {}, None
            parts = _parts(net, outputs, delta)
            for name, layer in children:
                below, gradients[name], deltas[name] = _backward(layer, records[name], parts[name])
                total = below if total is None else total + below
            return total, without_empty(gradients), deltas
    raise TypeError(f"backprop: net must be a layer of jaxcnn.layers, got {check.shown(net)}")


def _parts(net: Branches, outputs: dict[str, Any], delta: Any) -> dict[str, Any]:
    """δ at the output of every branch: the transpose of `Branches.join`."""
    match net.merge:
        case "outputs":
            return delta
        case "concatenate":
            pieces = split(delta, [output.shape[-1] for output in outputs.values()])
            return dict(zip(outputs, pieces, strict=True))
    return dict.fromkeys(outputs, delta)


def _keeping(rule: Any, kept: list[_Call]) -> Callable[..., Any]:
    """The rule, putting down what its backward pass needs whenever it is applied."""

    def apply(*arguments: Any) -> Any:
        if getattr(rule, "bwd", None) is None:
            raise TypeError(
                f"backprop: every rule must be hand-written, "
                f"got the plain function {check.shown(rule)}"
            )
        y, residuals = rule.fwd(*arguments)
        kept.append(_Call(rule, arguments, y, residuals))
        return y

    return apply


def _reversed(tree: Tree) -> Tree:
    return dict(reversed(tree.items()))
