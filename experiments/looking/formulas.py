"""The formula of a layer, from the docstring of the operation that it applies."""

from __future__ import annotations

import inspect
import re

import jaxcnn
from jaxcnn.layers import Branches, Layer, Leaf


def formula_of(layer: Layer) -> str:
    """Forward and backward, in one line; "" for a layer that applies no public operation."""
    if isinstance(layer, Branches):
        added = {"add": "y = Σᵢ fᵢ(x)        ∂x = Σᵢ of the branches' ∂x"}
        return added.get(layer.merge, "y = [f₁(x), f₂(x), …]        δ is split among the branches")
    operation = _operation_of(layer)
    text = inspect.getdoc(operation) if operation is not None else None
    if not text:
        return ""
    forward = text.splitlines()[0].rstrip(".")
    found = re.search(r"Backward[^:]*: (.*?)(?:\n\s*\n|\nSource:|$)", text, re.DOTALL)
    backward = " ".join(found[1].split()).rstrip(".") if found else ""
    return f"{forward}        {backward}"


def _operation_of(layer: Layer):
    """The public operation whose default rule is the layer's."""
    if not isinstance(layer, Leaf):
        return None
    for operation in vars(jaxcnn).values():
        if inspect.isfunction(operation):
            parameter = inspect.signature(operation).parameters.get("rule")
            if parameter is not None and parameter.default is layer.rule:
                return operation
    return None
