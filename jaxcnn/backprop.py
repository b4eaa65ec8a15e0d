"""Back-propagation, explicitly: no automatic differentiation, only the rules, called in order.

Huang, "BP Algorithm summary"; Gwardys, steps 1 to 5; Gormley, Algorithm 1; Ray, "Putting it all
together". Forward, every layer's rule returns its output and what its backward pass needs; then,
for l = L, L − 1, …, 0, the same rule's backward pass turns δ at the layer's output into the
gradients of its parameters and δ at its input. `jax.grad` calls the very same rules. The first δ,
that at the network's output, is given, or comes from the rule of a loss of ours; of any other loss
`jax.grad` computes it, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcnn import check, pictures
from jaxcnn.layers.base import Layer, Leaf, Tree, check_pass, named
from jaxcnn.layers.combinators import Branches, Serial, without_empty
from jaxcnn.layers.partial import up_to
from jaxcnn.ops import is_operation, rule_of
from jaxcnn.ops.join import split

Loss = Callable[..., Array]


class Backprop(NamedTuple):
    """What one forward and one backward pass find.

    loss: the number that was differentiated; None where δ was given. outputs: of the network.
    state: the network's new one. gradients: ∂loss/∂params, in the structure of the parameters.
    deltas: for every layer δ, the gradient at its output, under its name; for a convolution or a
    dense layer that is ∂E/∂u at the pre-activation, Huang's definition. input_delta: ∂loss/∂x; None
    where x holds integers.
    """

    loss: Any
    outputs: Any
    state: Tree
    gradients: Tree
    deltas: Any
    input_delta: Array | None

    def _repr_html_(self) -> str:
        """For notebooks: every δ of the first example as a picture, from the image up."""
        named = self.deltas if isinstance(self.deltas, Mapping) else {"output": self.deltas}
        return pictures.table({"the input": self.input_delta, **named})


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
    targets: Any = None,
    loss: Loss | Mapping[str, Loss] | None = None,
    *,
    delta: Any = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    key: Array | None = None,
    train: bool = True,
) -> Backprop:
    """Forward through the network and the loss, then back, layer by layer, from δ⁽ᴸ⁾ = ∂loss/∂y.

        backprop(net, params, state, x, labels, softmax_cross_entropy)   # from a loss
        backprop(net, params, state, x, unit=3)                          # from a logit
        backprop(net, params, state, x, layer="c3", unit=(5, 5, 0))      # from a unit in the middle
        backprop(net, params, state, x, layer="c3", delta=delta)         # from any δ

    Under `jax.shard_map` the gradients are each device's own share: sum them by `jax.lax.psum`.
    (`jax.grad` sums them where it differentiates the sharing of the parameters; here nothing does.)

    Args:
        net: a network of `jaxcnn.layers`.
        params: its parameters.
        state: its state.
        x: a batch.
        targets: what the loss compares the output with; for several heads and losses a dict.
        loss: an operation of jaxcnn such as `softmax_cross_entropy`, or any function of the output
            and the targets whose result is one number: δ at the output is then `jax.grad` of it.
            For several heads a dict of one for each, whose sum is the loss, or one function of the
            dict of outputs.
        delta: δ at the output, in its shape (for several heads a dict), in the place of a loss.
        unit: the place of one element in an example's output, as 3 or (row, column, map), in the
            place of a loss: the sum of this element over the batch is what is differentiated.
        layer: where the network ends, as `jaxcnn.layers.up_to` names it; all that is said of the
            output, and everything returned, is then that of this layer and of what is below it.
        key: for layers that draw random numbers in training.
        train: whether this is a training pass.

    Raises:
        TypeError: a layer's rule has no backward pass of ours (a twin, for example), or loss is no
            function.
        ValueError: as the operations do; or losses and heads do not go by the same names; or a loss
            is not one number, delta does not fit the output, unit is outside it, there is no such
            layer, or there is none of loss, delta and unit, or more than one.
    """
    check_pass("backprop", params, state, key, train)
    starts = {"loss": loss, "delta": delta, "unit": unit}
    given = [name for name, start in starts.items() if start is not None]
    if len(given) != 1:
        raise ValueError(
            "backprop: one of loss, delta and unit must be given, "
            f"got {' and '.join(given) or 'none'}"
        )
    net = net if layer is None else up_to(net, layer)
    outputs, state, record = _forward(net, params, state, x, key, train)
    if unit is not None:
        value, delta = _one_unit(unit, outputs)
    elif loss is None:
        value, delta = None, _given(delta, outputs)
    elif isinstance(loss, Mapping):
        heads, given = (
            sorted(map(str, tree)) if isinstance(tree, Mapping) else "one array"
            for tree in (outputs, targets)
        )
        if not sorted(map(str, loss)) == heads == given:
            raise ValueError(
                f"backprop: loss and targets must name the heads of the network, "
                f"got losses {sorted(map(str, loss))} and targets {given} for {heads}"
            )
        found = {name: _loss(loss[name], outputs[name], targets[name]) for name in outputs}
        value = sum(number for number, _ in found.values())
        delta = {name: head for name, (_, head) in found.items()}
    else:
        value, delta = _loss(loss, outputs, targets)
    input_delta, gradients, deltas = _backward(net, record, delta)
    value = None if value is None else jnp.asarray(value)
    return Backprop(value, outputs, state, gradients, deltas, input_delta)


def _loss(loss: Loss, outputs: Any, targets: Any) -> tuple[Array, Any]:
    """The loss, and δ⁽ᴸ⁾ at the outputs: by its rule, or by JAX where it is not of ours."""
    check.function("backprop", "loss", loss)
    if not is_operation(loss):
        value, pull = jax.vjp(lambda y: _one_number(loss(y, targets)), outputs)
        return value, pull(jnp.ones_like(value))[0]
    kept: list[_Call] = []
    value = _one_number(loss(outputs, targets, rule=_keeping(rule_of(loss), kept)))
    return value, kept[0].backward(jnp.ones_like(value))[0]


def _one_number(value: Any) -> Array:
    if not check.holds_numbers(value) or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"backprop: loss must be one number, got {check.shown(value)}")
    if value.ndim:
        raise ValueError(f"backprop: loss must be one number, got shape {value.shape}")
    return value


def _one_unit(unit: Any, outputs: Any) -> tuple[Array, Array]:
    """An element of every example's output, summed over the batch, and its δ."""
    if isinstance(outputs, Mapping):
        raise ValueError(
            f"backprop: unit must be in one output, got heads {sorted(outputs)}; "
            "name one of them as layer"
        )
    wanted = unit if check.is_sequence(unit) else (unit,)
    place = check.integers("backprop", "unit", wanted, count=outputs.ndim - 1, minimum=0)
    if any(i >= size for i, size in zip(place, outputs.shape[1:], strict=True)):
        raise ValueError(
            f"backprop: unit must lie in an example's output {outputs.shape[1:]}, got {place}"
        )
    at = (slice(None), *place)
    return outputs[at].sum(), jnp.zeros_like(outputs).at[at].set(1)


def _given(delta: Any, outputs: Any) -> Any:
    """δ⁽ᴸ⁾ as it was given, if it is one for these outputs."""
    if not isinstance(outputs, Mapping):
        found = check.float_array("backprop", "delta", delta, like=("the output", outputs))
        check.shape("backprop", "delta", found, outputs.shape)
        return found
    if not isinstance(delta, Mapping) or delta.keys() != outputs.keys():
        got = sorted(map(str, delta)) if isinstance(delta, Mapping) else check.shown(delta)
        raise ValueError(
            f"backprop: delta must name the heads of the network, got {got} for {sorted(outputs)}"
        )
    return {name: _given(delta[name], output) for name, output in outputs.items()}


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
            if not record:  # the layer passes its input on, as dropout does outside training
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
    """The rule, which notes at every call what its backward pass needs."""

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
