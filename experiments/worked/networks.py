"""Gormley's networks: logistic regression, one hidden layer, two hidden layers.

J is the log-likelihood of the target t, which he writes y*: a loss has the opposite sign. He leaves
the numbers open; those here were chosen to have few digits. x₀ = z₀ = 1 take the place of biases.
"""

from __future__ import annotations

import numpy as np

from experiments.worked.steps import Example, Step


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


def _likelihood(ops, y, target):
    return target * ops.log(y) + (1 - target) * ops.log(1 - y)


def _likelihood_by_hand(y, t):
    """J, and dJ/dy as Case 1 prints it; in Case 2 a misprint has 1 − y for y − 1."""
    return t * np.log(y) + (1 - t) * np.log(1 - y), t / y + (1 - t) / (y - 1)


LIKELIHOOD = "J = t log(y) + (1 − t) log(1 − y)"


def _case_1(note, ops, given):
    a = note("a", ops.dense(given["x"], given["θ"][:, None])[0])
    return _likelihood(ops, note("y", ops.sigmoid(a)), given["t"])


def _case_1_by_hand(given):
    x, theta, t = given["x"], given["θ"], given["t"]
    a = sum(theta[j] * x[j] for j in range(len(x)))
    y = _sigmoid(a)
    j, dy = _likelihood_by_hand(y, t)
    da = dy * np.exp(-a) / (np.exp(-a) + 1) ** 2
    forward = [
        Step("a", "a = Σ θⱼ xⱼ", a),
        Step("y", "y = 1 / (1 + exp(−a))", y),
        Step("J", LIKELIHOOD, j),
    ]
    backward = [
        Step("y", "dJ/dy = t/y + (1 − t)/(y − 1)", dy),
        Step("a", "dJ/da = dJ/dy · exp(−a) / (exp(−a) + 1)²", da),
        Step("θ", "dJ/dθⱼ = dJ/da · xⱼ", [da * x[j] for j in range(len(x))]),
        Step("x", "dJ/dxⱼ = dJ/da · θⱼ", [da * theta[j] for j in range(len(x))]),
    ]
    return forward, backward


CASE_1 = Example(
    key="logistic",
    title="Logistic regression",
    source='Gormley, "Case 1: Logistic Regression"',
    result="J",
    given={"x": [1.0, 0.5, -1.0], "θ": [0.2, 0.6, -0.4], "t": 1.0},
    run=_case_1,
    by_hand=_case_1_by_hand,
    remark="dJ/da comes out as t − y: the δ = y − t of cross-entropy, with a likelihood's sign.",
)


def _case_2(note, ops, given):
    a = note("a", ops.dense(given["x"], given["α"].T))
    z = note("z", ops.sigmoid(a))
    b = note("b", ops.dense(z, given["β"][:, None])[0])
    return _likelihood(ops, note("y", ops.sigmoid(b)), given["t"])


def _case_2_by_hand(given):
    x, alpha, beta, t = given["x"], given["α"], given["β"], given["t"]
    units, inputs = alpha.shape
    a = np.array([sum(alpha[j, i] * x[i] for i in range(inputs)) for j in range(units)])
    z = _sigmoid(a)
    b = sum(beta[j] * z[j] for j in range(units))
    y = _sigmoid(b)
    likelihood, dy = _likelihood_by_hand(y, t)
    db = dy * y * (1 - y)
    dz = np.array([db * beta[j] for j in range(units)])
    da = np.array([dz[j] * z[j] * (1 - z[j]) for j in range(units)])
    forward = [
        Step("a", "aⱼ = Σ αⱼᵢ xᵢ", a),
        Step("z", "zⱼ = 1 / (1 + exp(−aⱼ))", z),
        Step("b", "b = Σ βⱼ zⱼ", b),
        Step("y", "y = 1 / (1 + exp(−b))", y),
        Step("J", LIKELIHOOD, likelihood),
    ]
    backward = [
        Step("y", "dJ/dy = t/y + (1 − t)/(y − 1)", dy),
        Step("b", "dJ/db = dJ/dy · y(1 − y)", db),
        Step("β", "dJ/dβⱼ = dJ/db · zⱼ", [db * z[j] for j in range(units)]),
        Step("z", "dJ/dzⱼ = dJ/db · βⱼ", dz),
        Step("a", "dJ/daⱼ = dJ/dzⱼ · zⱼ(1 − zⱼ)", da),
        Step("α", "dJ/dαⱼᵢ = dJ/daⱼ · xᵢ", [[d * x[i] for i in range(inputs)] for d in da]),
        Step(
            "x",
            "dJ/dxᵢ = Σⱼ dJ/daⱼ · αⱼᵢ",
            [sum(da[j] * alpha[j, i] for j in range(units)) for i in range(inputs)],
        ),
    ]
    return forward, backward


CASE_2 = Example(
    key="hidden1",
    title="A network with one hidden layer",
    source='Gormley, "Case 2: Neural Network"',
    result="J",
    given={
        "x": [1.0, -0.5],
        "α": [[0.2, 0.6], [-0.4, 0.3], [0.1, -0.8]],
        "β": [0.5, -0.3, 0.9],
        "t": 1.0,
    },
    run=_case_2,
    by_hand=_case_2_by_hand,
    remark="His slide has + 1 − y in dJ/dy, a misprint; Case 1 has it right.",
)


def _quiz(note, ops, given):
    z1 = note("z1", ops.sigmoid(note("a1", ops.dense(given["x"], given["α1"].T))))
    z2 = note("z2", ops.sigmoid(note("a2", ops.dense(z1, given["α2"].T))))
    return ops.sigmoid(note("b", ops.dense(z2, given["β"][:, None])[0]))


def _quiz_by_hand(given):
    a1 = given["α1"] @ given["x"]
    z1 = _sigmoid(a1)
    a2 = given["α2"] @ z1
    z2 = _sigmoid(a2)
    b = given["β"] @ z2
    y = _sigmoid(b)
    forward = [
        Step("a1", "a⁽¹⁾ = α⁽¹⁾x", a1),
        Step("z1", "z⁽¹⁾ = σ(a⁽¹⁾)", z1),
        Step("a2", "a⁽²⁾ = α⁽²⁾z⁽¹⁾", a2),
        Step("z2", "z⁽²⁾ = σ(a⁽²⁾)", z2),
        Step("b", "b = βᵀz⁽²⁾", b),
        Step("y", "y = σ(b)", y),
    ]
    db = y * (1 - y)
    da2 = db * given["β"] * z2 * (1 - z2)
    da1 = (given["α2"].T @ da2) * z1 * (1 - z1)
    backward = [
        Step("b", "dy/db = y(1 − y)", db),
        Step("β", "dy/dβⱼ = dy/db · zⱼ⁽²⁾", db * z2),
        Step("a2", "dy/daⱼ⁽²⁾ = dy/db · βⱼ · zⱼ⁽²⁾(1 − zⱼ⁽²⁾)", da2),
        Step("α2", "dy/dαⱼᵢ⁽²⁾ = dy/daⱼ⁽²⁾ · zᵢ⁽¹⁾", np.outer(da2, z1)),
        Step("a1", "dy/daᵢ⁽¹⁾ = Σⱼ dy/daⱼ⁽²⁾ αⱼᵢ⁽²⁾ · zᵢ⁽¹⁾(1 − zᵢ⁽¹⁾)", da1),
        Step("α1", "dy/dαᵢₖ⁽¹⁾ = dy/daᵢ⁽¹⁾ · xₖ", np.outer(da1, given["x"])),
    ]
    return forward, backward


QUIZ_2 = Example(
    key="quiz2",
    title="y = σ(βᵀσ(α⁽²⁾σ(α⁽¹⁾x))): two hidden layers",
    source='Gormley, "Differentiation Quiz 2"',
    result="y",
    given={
        "x": [1.0, 2.0],
        "α1": [[0.1, -0.2], [0.4, 0.3], [-0.5, 0.2]],
        "α2": [[0.3, -0.1, 0.2], [-0.6, 0.5, 0.4]],
        "β": [0.7, -0.9],
    },
    run=_quiz,
    by_hand=_quiz_by_hand,
    remark="His α⁽ⁱ⁾ has a row for every output, so that no transpose is needed.",
)
