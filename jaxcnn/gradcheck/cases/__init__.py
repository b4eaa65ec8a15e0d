"""The one table of cases: every public operation at awkward arguments.

Odd sizes, windows that are not square, strides that leave a remainder, paddings that differ from
side to side, a batch of one. Tests and `experiments.compare_grad` run through the same rows.
"""

from collections.abc import Callable
from typing import Any

from jaxcnn.gradcheck.cases import (
    activation,
    channels,
    conv,
    dense,
    dropout,
    embedding,
    loss,
    norm,
    pool,
    shape,
    windows,
)
from jaxcnn.gradcheck.cases.case import Case

FAMILIES = (
    conv,
    shape,
    channels,
    pool,
    windows,
    dense,
    embedding,
    activation,
    norm,
    loss,
    dropout,
)

CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]

FIRST: dict[Callable[..., Any], Case] = {case.op: case for case in reversed(CASES)}
"""Every operation's first case."""

# The same operations at shapes of real layers, where time and memory are worth measuring.
LARGE: dict[Callable[..., Any], Case] = {
    case.op: case for family in FAMILIES for case in family.LARGE
}
