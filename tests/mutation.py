"""Deliberately wrong rules: what a mutant is, how it is made, and how it must be caught.

A mutant is a right rule with one thing exchanged. Its formulas ask for what they need by name: a
setting or an argument's residual as the rule calls it (`kernel`), δ as `delta` (`zeta` where the
rule has something else of that name), how an argument moves as `x_dot`, the right gradient of an
argument as `d_x`, and the right result of what is exchanged as `right`:

    wrong("∂x: no rot180", CONV, x=lambda delta, kernel, geometry: input_grad(delta, flip(kernel), geometry))
    wrong("∂b: the mean", CONV, bias=lambda right: right / 32)
    given("padding off by one", CONV, geometry=lambda right: shift(right))
    forgets("order 2: ∂x forgets k", CONV, "residuals")
    wrong("ẏ: x ⋆ k̇ forgotten", CONV, tangent=lambda right, x, kernel_dot: …)
"""  # noqa: E501

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import jax

from jaxcnn.gradcheck import Finding, check_gradients
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import (
    activation,
    adaptive_pool,
    batch_norm,
    cross_entropy,
    drop_block,
    dropout,
    elementary,
    local_response,
    lp_pool,
    max_pool,
    maxout,
    norm,
    probabilities,
    rectifiers,
    regression,
    weight_decay,
)
from jaxcnn.rules import custom_rule

Formula = Callable[..., Any]

# What rules keep, where it is something else than x of an activation, and than the arguments of
# another rule, or those but the one that it is linear in. A single name: that, not a tuple.
RESIDUALS: dict[Any, str | tuple[str, ...]] = {
    **dict.fromkeys((activation.softmax_map, activation.log_softmax_map, elementary.exp), "y"),
    **dict.fromkeys((activation.relu_map, rectifiers.leaky_relu_map), "positive"),
    **dict.fromkeys((rectifiers.relu6_map, rectifiers.hard_sigmoid_map), "between"),
    rectifiers.hard_tanh_map: "between",
    maxout.maxout_map: "chosen",
    max_pool.max_pool_map: "switches",
    adaptive_pool.adaptive_max_pool_map: "positions",
    lp_pool.lp_pool_map: ("x", "y"),
    dropout.dropout_map: "mask",
    dropout.spatial_dropout_map: "mask",
    drop_block.drop_block_map: "mask",
    batch_norm.batch_norm_inference_map: ("x", "scale", "bias", "mean", "r"),
    norm.normalise_map: ("x", "mean", "variance", "inverse", "scale", "bias"),
    norm.rms_norm_map: ("x", "mean_square", "inverse", "scale"),
    local_response.local_response_norm_map: "x",
    cross_entropy.softmax_cross_entropy_map: ("y", "log_y", "targets", "class_weights"),
    probabilities.sigmoid_binary_cross_entropy_map: ("logits", "targets"),
    probabilities.kl_divergence_map: ("log_predictions", "targets"),
    regression.sigmoid_squared_error_map: ("logits", "targets"),
    regression.absolute_error_map: "above",
    **dict.fromkeys((regression.squared_error_map, regression.huber_map), "error"),
    regression.smooth_l1_map: "error",
    weight_decay.weight_decay_map: "params",
}


@dataclass(frozen=True)
class Mutant:
    name: str
    case: Case
    orders: int = 1
    wrong: dict[str, Formula] = field(default_factory=dict)
    """For gradients, by argument, or for the tangent."""
    given: dict[str, Formula] = field(default_factory=dict)
    """For what the right backward pass, or the right tangent, is given."""
    of_tangent: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def rule(self) -> custom_rule:
        return mutate(self.case.rule, self)


def all_mutants() -> list[Mutant]:
    """Those of every file of `mutants`."""
    paths = sorted((Path(__file__).parent / "mutants").glob("*.py"))
    modules = [importlib.import_module(f"mutants.{path.stem}") for path in paths]
    return [mutant for module in modules for mutant in module.MUTANTS]


def wrong(name: str, case: Case, orders: int = 1, **formulas: Formula) -> Mutant:
    """These gradients by other formulas, or the tangent."""
    return Mutant(name, case, wrong=formulas, of_tangent="tangent" in formulas, orders=orders)


def given(name: str, case: Case, *, of: str = "gradients", **formulas: Formula) -> Mutant:
    """The right gradients, or the right tangent, but of something else."""
    return Mutant(name, case, given=formulas, of_tangent=of == "tangent")


def forgets(name: str, case: Case, *what: str, of: str = "gradients") -> Mutant:
    """Right at order 1, but the derivative of these gradients, or of the tangent, forgets that they
    depend on this: a name, or "residuals" for all that is kept.
    """
    frozen: Formula = lambda right: jax.tree.map(jax.lax.stop_gradient, right)  # noqa: E731
    return Mutant(
        name, case, given=dict.fromkeys(what, frozen), of_tangent=of == "tangent", orders=2
    )


def called(formula: Formula, names: dict[str, Any]) -> Any:
    """The formula, of what its parameters name."""
    return formula(**{name: names[name] for name in signature(formula).parameters})


def with_backward(rule: Any, backward: Formula) -> custom_rule:
    """The rule with another backward pass."""
    mutated = custom_rule(rule.fun, nondiff_argnums=rule.nondiff_argnums)
    mutated.tangent, mutated.linear = rule.tangent, rule.linear
    mutated.defvjp(rule.fwd, backward)
    return mutated


def mutate(rule: Any, mutant: Mutant) -> custom_rule:
    parameters = list(signature(rule.fun).parameters)
    settings = [parameters[i] for i in rule.nondiff_argnums]
    arguments = [name for name in parameters if name not in settings]

    def kept(residuals: Any) -> str | tuple[str, ...]:
        """The names of what the rule keeps."""
        if rule.kind == "slope":
            return RESIDUALS.get(rule, arguments[0])
        others = [name for i, name in enumerate(arguments) if i not in rule.linear]
        by_default = arguments if len(residuals) == len(arguments) else others
        return RESIDUALS.get(rule, tuple(by_default))

    def exchanged(right: Formula, args: Any, last: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The right result for what the mutant is given, and everything by its name."""
        *given, residuals, _ = args
        found = kept(residuals)
        each, values = ([found], [residuals]) if isinstance(found, str) else (found, residuals)
        names = {**dict(zip(settings, given, strict=True)), **dict(zip(each, values, strict=True))}
        names |= last
        changed = dict(names)
        for name, formula in mutant.given.items():
            for one in each if name == "residuals" else [name]:
                changed[one] = called(formula, {**names, "right": names[one]})
        residuals = changed[found] if isinstance(found, str) else tuple(changed[k] for k in found)
        return right(*(changed[s] for s in settings), residuals, [changed[k] for k in last]), names

    def backward(*args):
        incoming = {"zeta" if "delta" in parameters else "delta": args[-1]}
        found, names = exchanged(lambda *a: rule.bwd(*a[:-1], *a[-1]), args, incoming)
        gradients = dict(zip(arguments, found, strict=True))
        names |= {f"d_{name}": gradient for name, gradient in gradients.items()}
        for name, formula in mutant.wrong.items():
            gradients[name] = called(formula, {**names, "right": gradients[name]})
        return tuple(gradients.values())

    def tangent(*args):
        dots = {f"{a}_dot": dot for a, dot in zip(arguments, args[-1], strict=True)}
        found, names = exchanged(rule.tangent, args, dots)
        return called(mutant.wrong.get("tangent", lambda right: right), {**names, "right": found})

    mutated = with_backward(rule, rule.bwd if mutant.of_tangent else backward)
    if mutant.of_tangent:
        mutated.defjvp(tangent)
    return mutated


def findings_of(case: Case, rule: Any, orders: int, **options: Any) -> list[Finding]:
    options.setdefault("difference_tolerance", None)
    settings = {**case.settings, "rule": rule}
    return check_gradients(
        replace(case, settings=settings).function(),
        *case.arrays(),
        twin=case.function(twin=True),
        orders=orders,
        symmetry=False,
        **options,
    )


@cache
def _right_rule_passes(name: str, modes: str) -> bool:
    """Once per case, whatever the number of its mutants."""
    case = _CASES[name]
    return all(finding.passed for finding in findings_of(case, case.rule, 1, modes=modes))


_CASES: dict[str, Case] = {}


def assert_caught(mutant: Mutant) -> None:
    """The right rule passes at this case; the wrong one fails at its order, and only there."""
    case = mutant.case
    _CASES.setdefault(case.name, case)
    if mutant.of_tangent:
        assert _right_rule_passes(case.name, "both")
        _assert_tangent_caught(mutant)
        return
    assert _right_rule_passes(case.name, "reverse")
    *before, last = findings_of(case, mutant.rule, mutant.orders)
    assert all(finding.passed for finding in before)
    assert not last.passed


def _assert_tangent_caught(mutant: Mutant) -> None:
    """At order 1 by twin, transpose and, off kinks, differences; at order 2 by the twin."""
    differences: dict[str, Any] = {} if mutant.orders > 1 else mutant.case.differences()
    findings = findings_of(mutant.case, mutant.rule, mutant.orders, modes="both", **differences)
    failed = {finding.check for finding in findings if not finding.passed}
    if mutant.orders > 1:
        assert failed
        assert failed <= {f"derivative {word} against the twin's" for word in ("ff", "fr", "rf")}
        return
    expected = {"derivative f against the twin's", "tangent against its transpose"}
    if not mutant.case.on_kinks:
        expected.add("tangent against central differences")
    assert failed == expected
