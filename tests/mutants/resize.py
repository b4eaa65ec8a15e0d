"""Wrong maps to another size."""

from dataclasses import replace

import jax.numpy as jnp
from mutation import given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case

LINEAR = Case(jc.resize, {"x": (1, 5, 4, 2)}, {"size": (7, 9), "method": "linear"})
CUBIC = Case(jc.resize, {"x": (2, 5, 2)}, {"size": 8, "method": "cubic"})
NEAREST = Case(jc.resize, {"x": (1, 6, 2)}, {"size": 4})
GRAD = Case(
    jc.resize_input_grad, {"delta": (1, 7, 9, 2)}, {"input_size": (5, 4), "method": "linear"}
)
SCALED = Case(jc.resize, {"x": (1, 5, 2)}, {"scale": 1.5, "method": "linear"})


def other(**settings):
    """The same sizes by other settings."""
    return lambda right: replace(right, **settings)


MUTANTS = [
    given("resize: corners on corners", LINEAR, geometry=other(coordinates="align_corners")),
    given("resize: from the first element on", LINEAR, geometry=other(coordinates="asymmetric")),
    given("resize: the nearest one only", LINEAR, geometry=other(method="nearest")),
    wrong("resize: averaged", LINEAR, x=lambda right: right * 20 / 63),
    given("resize: one off", LINEAR, delta=lambda right: jnp.roll(right, 1, 1)),
    given("resize: straight lines for cubics", CUBIC, geometry=other(method="linear")),
    given("resize: rounded up", NEAREST, geometry=other(rounding="ceil")),
    given("resize: p / h for the scale", SCALED, geometry=other(scale=None)),
    given("resized gradient: corners on corners", GRAD, geometry=other(coordinates="align_corners")),
    wrong("resized gradient: doubled", GRAD, delta=lambda right: 2 * right),
]  # fmt: skip
