"""Deliberately wrong rules, each at a case chosen for it: every one is caught.

What they are is in `mutants`, a file per family; `mutation` says how they are made and caught.
"""

import pytest
from mutants.norm import STATISTICS
from mutation import all_mutants, assert_caught, findings_of

from jaxcnn.ops.norm import normalise_map
from jaxcnn.rules import custom_rule

MUTANTS = all_mutants()


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 360
    assert sum(mutant.of_tangent for mutant in MUTANTS) >= 80


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_it_is_caught(mutant):
    assert_caught(mutant)


# At order 2 a rule's own results are differentiated as well: μ, σ² or mean(x²), which the backward
# pass takes from there. Here the forward pass calls the wrong rule too, or it would not be seen.


def through(right, backward, tangent):
    """The rule with these, and with a forward pass that calls it."""

    def forward(*args):
        results = rule(*args)
        return results, (args[0], *results[1:], *args[1:-1])

    rule = custom_rule(right.fun, nondiff_argnums=right.nondiff_argnums)
    rule.defvjp(forward, backward)
    rule.defjvp(tangent)
    return rule


def share(case, result, factor):
    """What takes the share of one result by a factor, among those of all results."""
    both = ("y", "mean", "variance", "inverse"), ("y", "mean_square", "inverse")
    which = both[case.rule is not normalise_map].index(result)
    return lambda each: [factor * d if i == which else d for i, d in enumerate(each)]


@pytest.mark.parametrize(("case", "result", "factor"), STATISTICS.values(), ids=list(STATISTICS))
def test_a_wrong_derivative_of_the_statistics_is_caught_at_order_2(case, result, factor):
    right, taken = case.rule, share(case, result, factor)
    wrong = through(right, lambda s, r, deltas: right.bwd(s, r, taken(deltas)), right.tangent)
    *before, last = findings_of(case, wrong, 2)
    assert all(finding.passed for finding in before)
    assert not last.passed
    findings = findings_of(case, through(right, right.bwd, right.tangent), 2)
    assert all(finding.passed for finding in findings)


@pytest.mark.parametrize(("case", "result", "factor"), STATISTICS.values(), ids=list(STATISTICS))
def test_a_wrong_tangent_of_the_statistics_is_caught_at_order_2(case, result, factor):
    right, taken = case.rule, share(case, result, factor)
    wrong = through(right, right.bwd, lambda *args: taken(right.tangent(*args)))
    failed = {f.check[:13] for f in findings_of(case, wrong, 2, modes="both") if not f.passed}
    assert failed
    assert failed <= {f"derivative {word}" for word in ("ff", "fr", "rf")}
