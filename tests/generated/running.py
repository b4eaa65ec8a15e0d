"""One way to run a check at generated cases: it counts them, and the summary tells how many."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

from jaxcnn.gradcheck.cases.case import Case


def at_most(request: pytest.FixtureRequest, everyday: int, full: int) -> settings:
    """So many examples every day, and so many with --full."""
    return settings(max_examples=full if request.config.getoption("full") else everyday)


def for_all(
    cases: SearchStrategy[Case],
    check: Callable[[Case], None],
    count: int,
    record_property: Callable[[str, Any], None],
) -> int:
    """Check at so many cases, and record how many there were of each operation; return the sum."""
    counted = Counter()

    @settings(max_examples=count)
    @given(cases)
    def holds(case):
        counted[case.op.__name__] += 1
        check(case)

    holds()
    record_property("configurations", dict(counted))
    return counted.total()
