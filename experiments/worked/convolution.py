"""The convolution by index: Huang in one dimension, Ray and Gwardys in two.

δ is what comes back to the output of the layer. What is differentiated is E = Σ δ • u: its
gradients are those of any loss that sends this δ back.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from experiments.worked.steps import Example, Step


def _huang(note, ops, given):
    y = note("y", ops.sigmoid(given["u"]))
    return jnp.sum(note("u⁺", ops.conv(y, given["w"])) * given["δ"])


def _huang_by_hand(given):
    y = 1 / (1 + np.exp(-given["u"]))
    (w1, w2, w3), (d1, d2, d3) = given["w"], given["δ"]
    above = [w1 * y[i] + w2 * y[i + 1] + w3 * y[i + 2] for i in range(3)]
    full = np.array([d1 * w1, d1 * w2 + d2 * w1, d1 * w3 + d2 * w2 + d3 * w1,
                     d2 * w3 + d3 * w2, d3 * w3])  # fmt: skip
    forward = [
        Step("y", "y = f(u), f the sigmoid", y),
        Step("u⁺", "u⁺ᵢ = w₁yᵢ + w₂yᵢ₊₁ + w₃yᵢ₊₂", above),
    ]
    backward = [
        Step("y", "full(δ, rot180(w)): δ₁w₁, δ₁w₂ + δ₂w₁, δ₁w₃ + δ₂w₂ + δ₃w₁, …", full),
        Step("u", "full(δ, rot180(w)) • f′(u), f′ = y(1 − y)", full * y * (1 - y)),
        Step("w", "∂E/∂wₖ = δ₁yₖ + δ₂yₖ₊₁ + δ₃yₖ₊₂",
             [d1 * y[k] + d2 * y[k + 1] + d3 * y[k + 2] for k in range(3)]),
    ]  # fmt: skip
    return forward, backward


HUANG = Example(
    key="huang",
    title="A convolution of 5 inputs with 3 weights, back to the pre-activations",
    source='Huang, "If layer l is a convolutional layer" (numbers of our own)',
    result="E",
    given={"u": [0.0, 1.0, -1.0, 2.0, 0.5], "w": [0.5, -1.0, 2.0], "δ": [1.0, -2.0, 0.5]},
    run=_huang,
    by_hand=_huang_by_hand,
    remark="Each input collects δ from every output that saw it: one at the ends, three inside.",
)


def _ray(note, ops, given):
    return jnp.sum(note("J", ops.conv(given["I"], given["K"])) * given["δJ"])


def _ray_by_hand(given):
    image, kernel, delta = given["I"], given["K"], given["δJ"]
    y, delta_kernel = np.zeros_like(delta), np.zeros_like(kernel)
    for i, j in np.ndindex(*delta.shape):
        for l, m in np.ndindex(*kernel.shape):  # noqa: E741  # his letters
            y[i, j] += image[i + l, j + m] * kernel[l, m]
            delta_kernel[l, m] += image[i + l, j + m] * delta[i, j]
    forward = [Step("J", "J[i, j] = Σ I[i + l, j + m] K[l, m]", y)]
    backward = [
        Step("K", "δK = I ⋆ δJ", delta_kernel),
        Step("I", "δI = pad(δJ) ⋆ flip(K)", _padded_with_flipped(delta, kernel)),
    ]
    return forward, backward


def _padded_with_flipped(delta, kernel):
    h, w = kernel.shape
    padded = np.pad(delta, ((h - 1, h - 1), (w - 1, w - 1)))
    flipped = kernel[::-1, ::-1]
    size = (delta.shape[0] + h - 1, delta.shape[1] + w - 1)
    return np.array(
        [[np.sum(padded[p : p + h, q : q + w] * flipped) for q in range(size[1])]
         for p in range(size[0])]
    )  # fmt: skip


RAY_CONV = Example(
    key="ray-conv",
    title="The two gradients of a convolution",
    source='Ray, "Derivation of δK" and "Derivation of δI", with the K of his flip (others ours)',
    result="E",
    given={
        "I": [[1, 0, 2, -1], [3, 1, 0, 2], [0, -2, 1, 1]],
        "K": [[1, 3, 5], [2, 4, 6]],
        "δJ": [[1, -1], [2, 0]],
    },
    run=_ray,
    by_hand=_ray_by_hand,
    remark="flip([1 3 5; 2 4 6]) = [6 4 2; 5 3 1], as he prints it.",
)


def _gwardys(note, ops, given):
    return jnp.sum(note("z", ops.true_conv(given["x"], given["w"])) * given["δ"])


def _gwardys_by_hand(given):
    x, w, delta = given["x"], given["w"], given["δ"]
    z, dx, dw = np.zeros_like(delta), np.zeros_like(x), np.zeros_like(w)
    for i, j in np.ndindex(*z.shape):
        for a, b in np.ndindex(*w.shape):
            # A true convolution runs through the input backwards: index i + k − 1 − a.
            row, column = i + w.shape[0] - 1 - a, j + w.shape[1] - 1 - b
            z[i, j] += w[a, b] * x[row, column]
            dx[row, column] += delta[i, j] * w[a, b]
            dw[a, b] += delta[i, j] * x[row, column]
    forward = [Step("z", "z = x ∗ w, the kernel flipped", z)]
    backward = [
        Step("x", "∂E/∂x = δ ∗ rot180(w), full", dx),
        Step("w", "∂E/∂w = rot180(x) ∗ δ, valid", dw),
    ]
    return forward, backward


GWARDYS = Example(
    key="gwardys",
    title="A true convolution of a 3×3 input with a 2×2 filter",
    source="Gwardys, his example's sizes (numbers of our own)",
    result="E",
    given={
        "x": [[1, 2, 0], [0, -1, 3], [2, 1, 1]],
        "w": [[1, -2], [3, 0.5]],
        "δ": [[1, 0], [-1, 2]],
    },
    run=_gwardys,
    by_hand=_gwardys_by_hand,
    remark="Forward flips, so backward does not: just the other way round than with correlation.",
)
