"""Gormley's two scalar examples of the chain rule: a table forward, a table backward."""

from __future__ import annotations

import math

import jax.numpy as jnp

from experiments.worked.steps import Example, Step


def _cosine(note, ops, given):
    t = note("t", given["x"] ** 2)
    u1, u2 = note("u1", jnp.sin(t)), note("u2", 3 * t)
    return jnp.cos(note("u", u1 + u2))


def _cosine_by_hand(given):
    x = given["x"]
    t = x**2
    u1, u2 = math.sin(t), 3 * t
    u = u1 + u2
    forward = [
        Step("t", "t = x²", t),
        Step("u1", "u1 = sin(t)", u1),
        Step("u2", "u2 = 3t", u2),
        Step("u", "u = u1 + u2", u),
        Step("J", "J = cos(u)", math.cos(u)),
    ]
    du = -math.sin(u)
    du1, du2 = du * 1, du * 1
    dt = du1 * math.cos(t)
    dt += du2 * 3
    backward = [
        Step("u", "dJ/du += −sin(u)", du),
        Step("u1", "dJ/du1 += dJ/du · 1", du1),
        Step("u2", "dJ/du2 += dJ/du · 1", du2),
        Step("t", "dJ/dt += dJ/du1 · cos(t),  dJ/dt += dJ/du2 · 3", dt),
        Step("x", "dJ/dx += dJ/dt · 2x", dt * 2 * x),
    ]
    return forward, backward


COSINE = Example(
    key="cosine",
    title="J = cos(sin(x²) + 3x²)",
    source='Gormley, "Backpropagation", simple example (at x = 0.5, which he leaves open)',
    result="J",
    given={"x": 0.5},
    run=_cosine,
    by_hand=_cosine_by_hand,
    with_rules=False,
    remark="t reaches J on two ways, so its derivative is a sum of two: hence the +=.",
)


def _quiz(note, ops, given):
    a = note("a", given["x"] * given["z"])
    b = note("b", ops.log(given["x"]))
    c = note("c", jnp.sin(b))
    d = note("d", ops.exp(a))
    e = note("e", a / b)
    f = note("f", c / a)
    return d + e + f


def _quiz_by_hand(given):
    x, z = given["x"], given["z"]
    a, b = x * z, math.log(x)
    c, d = math.sin(b), math.exp(a)
    e, f = a / b, c / a
    forward = [
        Step("a", "a = x z", a),
        Step("b", "b = log(x)", b),
        Step("c", "c = sin(b)", c),
        Step("d", "d = exp(a)", d),
        Step("e", "e = a/b", e),
        Step("f", "f = c/a", f),
        Step("y", "y = d + e + f", d + e + f),
    ]
    dc = 1 / a
    da = d + 1 / b - c / a**2
    db = -a / b**2 + dc * math.cos(b)
    backward = [
        Step("f", "dy/df = 1", 1.0),
        Step("e", "dy/de = 1", 1.0),
        Step("d", "dy/dd = 1", 1.0),
        Step("c", "dy/dc = dy/df · 1/a", dc),
        Step("b", "dy/db = dy/de · (−a/b²) + dy/dc · cos(b)", db),
        Step("a", "dy/da = dy/dd · d + dy/de · 1/b + dy/df · (−c/a²)", da),
        Step("z", "dy/dz = dy/da · x", da * x),
        Step("x", "dy/dx = dy/da · z + dy/db · 1/x", da * z + db / x),
    ]
    return forward, backward


QUIZ_1 = Example(
    key="quiz1",
    title="y = exp(xz) + xz/log(x) + sin(log(x))/(xz) at x = 2, z = 3",
    source='Gormley, "Differentiation Quiz 1"',
    result="y",
    given={"x": 2.0, "z": 3.0},
    run=_quiz,
    by_hand=_quiz_by_hand,
    with_rules=False,
    remark="To the nearest integer dy/dx and dy/dz are 1208 and 810: answer E.",
)
