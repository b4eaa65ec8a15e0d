"""Generated cases: for every public operation a strategy that draws its shapes and its options.

What a strategy draws is a `jaxcnn.gradcheck.cases.case.Case`, so that a failure prints as a row
that can be put into the table of cases as it is.
"""

from hypothesis.strategies import SearchStrategy

from generated import activation, conv, loss, norm, pool, select, windows
from jaxcnn.gradcheck.cases.case import Case

Cases = dict[str, SearchStrategy[Case]]

FAMILIES: dict[str, Cases] = {
    "convolutions": conv.STRATEGIES,
    "poolings": pool.STRATEGIES,
    "windows": windows.STRATEGIES,
    "selections": select.STRATEGIES,
    "activations": activation.STRATEGIES,
    "norms": norm.STRATEGIES,
    "losses": loss.STRATEGIES,
}

STRATEGIES: Cases = {name: cases for family in FAMILIES.values() for name, cases in family.items()}
