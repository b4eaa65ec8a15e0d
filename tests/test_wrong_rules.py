"""Wrong rules at the rows of the one table of cases, and by central differences alone.

`test_mutants` shows that each is caught at a case that was chosen for it. Here the table's own
rows have to do it, with the checks of `test_rules`, for every mutant of a first derivative:

    pytest -n 1 --full tests/test_wrong_rules.py

245 mutants when last run: all are caught at a row of the table, all but three by differences.
"""

from dataclasses import replace

import pytest
from mutation import Mutant, all_mutants

from jaxcnn.gradcheck import check_gradients
from jaxcnn.gradcheck.cases import CASES
from jaxcnn.gradcheck.cases.case import Case

MUTANTS = [mutant for mutant in all_mutants() if mutant.orders == 1 and not mutant.of_tangent]
# What differs from the right rule at kinks and ties alone, where differences say nothing.
ON_KINKS = {
    "all ties receive the gradient",
    "ties share the gradient",
    "whole maximum: all ties receive the gradient",
}


def by_twin(case: Case, rule) -> bool:
    """Whether value and gradients are the twin's, to the bound of `test_rules`."""
    return passes(case, rule, twin=case.function(twin=True), difference_tolerance=None)


def by_differences(case: Case, rule) -> bool:
    """Whether the Jacobian is that of central differences, to the bound of `test_rules`."""
    return passes(case, rule, **case.differences())


def passes(case: Case, rule, **checks) -> bool:
    f = replace(case, settings={**case.settings, "rule": rule}).function()
    return all(finding.passed for finding in check_gradients(f, *case.arrays(), **checks))


def caught(mutant: Mutant, case: Case, check) -> bool:
    """Whether the wrong rule fails the check; one that does not fit the case's shapes does not."""
    try:
        return not check(case, mutant.rule)
    except (TypeError, ValueError, IndexError):
        return False


def rows(mutant: Mutant) -> list[Case]:
    """The rows of the table with the same rule, those of the same operation first."""
    found = [case for case in CASES if case.rule is mutant.case.rule]
    return sorted(found, key=lambda case: case.op is not mutant.case.op)


@pytest.mark.full
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_it_fails_at_a_row_of_the_table(mutant: Mutant):
    assert any(caught(mutant, case, by_twin) for case in rows(mutant))


@pytest.mark.full
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_it_fails_by_differences_alone(mutant: Mutant):
    """At its own case or at a row, wherever the right rule passes."""
    cases = [case for case in (mutant.case, *rows(mutant)) if not case.on_kinks]
    found = any(
        by_differences(case, case.rule) and caught(mutant, case, by_differences) for case in cases
    )
    assert found == (mutant.name not in ON_KINKS)


def test_a_right_rule_passes_where_a_wrong_one_is_caught():
    """So that being caught says something; the everyday sample of the tests above."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "tanh: 1 − y")
    for check in (by_twin, by_differences):
        assert check(mutant.case, mutant.case.rule)
        assert caught(mutant, mutant.case, check)
