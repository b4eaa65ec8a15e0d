"""Floating-point operations of convolutions and matrix products, counted in a program's text."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def count(f: Callable[..., Any], *arguments: Any) -> int:
    """Multiplications and additions in the convolutions and products of one call of f.

    f is to be plain: what stands in a dilated convolution's holes would be counted too.
    """
    return _count(jax.make_jaxpr(f)(*arguments).jaxpr)


def _count(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            total += _convolution(equation)
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = _shape(equation.invars[0])
            depth = math.prod(left[axis] for axis in contracted)
            total += 2 * math.prod(_shape(equation.outvars[0])) * depth
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for value in equation.params.values():
            if isinstance(value, core.ClosedJaxpr):
                total += times * _count(value.jaxpr)
            elif isinstance(value, core.Jaxpr):
                total += times * _count(value)
    return total


def _convolution(equation: Any) -> int:
    """2 · (elements of the map without holes) · (taps of one output channel or input channel)."""
    x, kernel = map(_shape, equation.invars)
    y = _shape(equation.outvars[0])
    numbers = equation.params["dimension_numbers"]
    outputs = kernel[numbers.rhs_spec[0]]
    if math.prod(equation.params["lhs_dilation"]) > 1:
        # Every element of x meets every tap: a transposed convolution.
        inputs = x[numbers.lhs_spec[1]]
        return 2 * math.prod(x) * math.prod(kernel) // inputs
    return 2 * math.prod(y) * math.prod(kernel) // outputs


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape
