"""The formula of a layer outside training, from the docstring of the operation that it applies."""

from __future__ import annotations

import inspect
import re

import jaxcnn
from jaxcnn.layers import Branches, DropBlock, Dropout, Layer, Leaf, SpatialDropout


def formula_of(layer: Layer) -> str:
    """Forward and backward, a line each; "" for a layer that applies no public operation."""
    if isinstance(layer, Branches):
        if layer.merge == "add":
            return "y = Σᵢ fᵢ(x)\n∂x = Σᵢ ∂xᵢ of the branches, each of which gets δ"
        return "y = [f₁(x), f₂(x), …]\n∂x = Σᵢ ∂xᵢ of the branches, among which δ is split"
    if isinstance(layer, Dropout | SpatialDropout | DropBlock):
        return "y = x, since nothing is dropped outside training\n∂x = δ"
    operation = _operation_of(layer)
    text = inspect.getdoc(operation) if operation is not None else None
    if not text:
        return ""
    forward = text.splitlines()[0].rstrip(".")
    found = re.search(r"Backward[^:]*: (.*?)(?:\n\s*\n|\nSource:|$)", text, re.DOTALL)
    backward = " ".join(found[1].split()).rstrip(".") if found else ""
    return f"{forward}\n{backward}".strip()


def _operation_of(layer: Layer):
    """The public operation whose default rule is the layer's; of several the one of its name."""
    if not isinstance(layer, Leaf):
        return None
    rule, found = layer.rule_for(train=False), []
    for operation in filter(inspect.isfunction, vars(jaxcnn).values()):
        parameter = inspect.signature(operation).parameters.get("rule")
        if parameter is not None and parameter.default is rule:
            found.append(operation)
    named = [
        each for each in found if each.__name__.replace("_", "") == type(layer).__name__.lower()
    ]
    return next(iter(named or found), None)


def kind_of(layer: Layer) -> str:
    """What a layer does, in a word: conv, relu, maxpool."""
    return layer.kind if isinstance(layer, Leaf) else type(layer).__name__.lower()
