"""What another framework calls an operation: its function under our names, in its layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np

from jaxcnn.gradcheck.cases.case import Case


@dataclass(frozen=True)
class Peer:
    """What PyTorch calls the operation, and where both mean the same."""

    cases: st.SearchStrategy[Case]
    function: Callable[[Case], Callable[..., Any]]
    """From a case to a function of tensors under our names."""
    layout: str | None = None
    """"plain" where PyTorch has the channels last as well."""
    constant: Callable[[Case], Sequence[str]] = lambda case: ()
    """Arrays that PyTorch does not differentiate by."""


def fixed_arguments(case: Case) -> dict[str, Any]:
    """What `case.function()` holds fixed: the same draws."""
    generator = np.random.default_rng(1)
    return {name: draw(generator) for name, draw in case.fixed.items()}


def flat(pads: Sequence[tuple[int, int]], sign: int = 1) -> list[int]:
    """PyTorch's order of paddings: the last axis first."""
    return [sign * amount for pair in reversed(pads) for amount in pair]


def even(pads: Sequence[tuple[int, int]]) -> bool:
    """Whether PyTorch can pad like this by itself."""
    return all(low == high >= 0 for low, high in pads)
