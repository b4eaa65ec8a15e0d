"""Ray's examples of a rectifier and a maximum, and his network, put together and trained a step."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from experiments.worked.steps import Example, Step


def _relu(note, ops, given):
    return jnp.sum(note("y", ops.relu(given["x"])) * given["δy"])


def _relu_by_hand(given):
    x = given["x"]
    forward = [Step("y", "y = max(x, 0)", np.where(x > 0, x, 0))]
    backward = [Step("x", "δx = δy where x > 0, else 0", np.where(x > 0, given["δy"], 0))]
    return forward, backward


RAY_RELU = Example(
    key="ray-relu",
    title="A rectifier",
    source='Ray, "BP for a ReLU layer" (δ₁ to δ₄ are 1 to 4)',
    result="E",
    given={"x": [[-5, 4], [0, 2]], "δy": [[1, 3], [2, 4]]},
    run=_relu,
    by_hand=_relu_by_hand,
    remark="At 0 nothing comes back: relu′(0) = 0.",
)


def _pool(note, ops, given):
    return jnp.sum(note("y", ops.max_pool(given["x"])) * given["δy"])


def _pool_by_hand(given):
    y, delta = _max_pool_by_hand(given["x"], given["δy"])
    forward = [Step("y", "y = max of every 2×2 window", y)]
    return forward, [Step("x", "δx = δy at the first argmax, else 0", delta)]


def _max_pool_by_hand(x, delta):
    y, back = np.zeros_like(delta), np.zeros_like(x)
    for i, j in np.ndindex(*delta.shape):
        window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        row, column = divmod(int(np.argmax(window)), 2)
        y[i, j] = window[row, column]
        back[2 * i + row, 2 * j + column] += delta[i, j]
    return y, back


RAY_MAX_POOL = Example(
    key="ray-max-pool",
    title="The maximum of 2×2 windows, stride 2",
    source='Ray, "BP for a max pooling layer", his places of the maxima (δ₁ to δ₄ are 1 to 4)',
    result="E",
    given={
        "x": [[0, 2, 9, 1], [3, 9, 4, 0], [9, 5, 2, 6], [1, 8, 7, 9]],
        "δy": [[1, 3], [2, 4]],
    },
    run=_pool,
    by_hand=_pool_by_hand,
    remark="Of equal maxima the first would be chosen, in row-major order: a single one.",
)


def _network(note, ops, given):
    y = note("y", ops.conv(given["x"], given["K"]))
    z = note("z", ops.relu(y))
    p = note("p", ops.max_pool(z))
    return jnp.sum((p - given["q"]) ** 2) / 2


def _network_by_hand(given):
    x, kernel = given["x"], given["K"]
    size = (x.shape[0] - kernel.shape[0] + 1, x.shape[1] - kernel.shape[1] + 1)
    y = np.zeros(size)
    for i, j in np.ndindex(*size):
        y[i, j] = np.sum(x[i : i + kernel.shape[0], j : j + kernel.shape[1]] * kernel)
    z = np.where(y > 0, y, 0)
    p, _ = _max_pool_by_hand(z, np.zeros_like(given["q"]))
    delta_p = p - given["q"]
    _, delta_z = _max_pool_by_hand(z, delta_p)
    delta_y = np.where(y > 0, delta_z, 0)
    delta_kernel = np.zeros_like(kernel)
    for i, j in np.ndindex(*size):
        delta_kernel += delta_y[i, j] * x[i : i + kernel.shape[0], j : j + kernel.shape[1]]
    forward = [
        Step("y", "y = x ⋆ K", y),
        Step("z", "z = relu(y)", z),
        Step("p", "p = maxpool(z)", p),
        Step("E", "E = ½ Σ (p − q)²", np.sum(delta_p**2) / 2),
    ]
    backward = [
        Step("p", "δp = p − q", delta_p),
        Step("z", "δz = δp at the argmax", delta_z),
        Step("y", "δy = δz where y > 0", delta_y),
        Step("K", "δK = x ⋆ δy", delta_kernel),
    ]
    return forward, backward


RAY_NETWORK = Example(
    key="ray-network",
    title="conv → relu → max-pool, steps 1 to 3 of his training algorithm",
    source='Ray, "Putting it all together" (numbers of our own)',
    result="E",
    given={
        "x": [[1, 0, 2, 1, 0], [0, 1, 1, 0, 2], [2, 1, 0, 1, 1], [1, 0, 1, 2, 0], [0, 2, 1, 0, 1]],
        "K": [[1, -1], [0.5, 2]],
        "q": [[3, 4], [2, 5]],
    },
    run=_network,
    by_hand=_network_by_hand,
    remark="Step 4 would be K ← K − η δK, η the learning rate.",
)
