"""A network is data: the same one with other rules in it, and a rule with another backward pass."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import jax

from jaxcnn import check
from jaxcnn.ops import is_operation, rule_of
from jaxcnn.rules import custom_rule

Function = Callable[..., Any]


def swap_rules(net: Any, rules: Mapping[Function, Function]) -> Any:
    """The same network with other rules in the place of some; what is not named stays.

        plain = with_backward(jaxcnn.relu, lambda delta, y, x: jnp.where(y > 0, delta, 0))
        net = swap_rules(net, {jaxcnn.relu: plain})

    Args:
        net: a network of `jaxcnn.layers`.
        rules: by a rule, or by the public operation whose rule it is, a function of the same
            arguments: a rule of your own, or one of ours that `with_backward` changed.

    Raises:
        TypeError: net is no network, or rules are no mapping from functions to functions.
    """
    if not is_dataclass(net) or isinstance(net, type):
        raise TypeError(
            f"swap_rules: net must be a network of jaxcnn.layers, got {check.shown(net)}"
        )
    if not isinstance(rules, Mapping) or not all(map(callable, (*rules, *rules.values()))):
        raise TypeError(
            f"swap_rules: rules must be a mapping from rules to rules, got {check.shown(rules)}"
        )
    return swapped(net, {rule_of(r) if is_operation(r) else r: f for r, f in rules.items()})


def swapped(value: Any, rules: Mapping[Function, Function]) -> Any:
    """The value with every rule in it, however deep, replaced by what the table has for it."""
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: swapped(getattr(value, f.name), rules) for f in fields(value) if f.init}
        return replace(value, **changes)
    if isinstance(value, tuple):
        return tuple(swapped(entry, rules) for entry in value)
    if callable(value):
        return rules.get(value, value)
    return value


def with_backward(of: Any, backward: Function) -> Function:
    """The same function with another backward pass, reverse mode only: ∂x = backward(δ, y, …).

    `backward` gets δ at the output, the output, then the rule's own arguments, settings included.
    It returns the gradient of the first one; or a tuple, one for each that is no setting.

    Args:
        of: a rule, or the public operation whose rule it is.
        backward: the backward pass.

    Raises:
        TypeError: of is no rule of jaxcnn, or backward is no function.
    """
    rule = rule_of(of) if is_operation(of) else of
    if not isinstance(rule, custom_rule):
        raise TypeError(
            f"with_backward: of must be an operation of jaxcnn or a rule, got {check.shown(rule)}"
        )
    check.function("with_backward", "backward", backward)
    places = tuple(rule.nondiff_argnums)
    other = jax.custom_vjp(lambda *args: rule(*args), nondiff_argnums=places)

    def forward(*args: Any) -> Any:
        y = rule(*args)
        return y, (y, rule.without_settings(args))

    def back(*args: Any) -> tuple[Any, ...]:
        *settings, (y, arrays), delta = args
        found = backward(delta, y, *rule.arguments(settings, arrays))
        if isinstance(found, tuple):
            return found
        return (found, *(jax.tree.map(jax.numpy.zeros_like, a) for a in arrays[1:]))

    other.defvjp(forward, back)
    return other
