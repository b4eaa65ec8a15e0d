"""Wrong dense layers, the first activations and the rest."""

import jax.numpy as jnp
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, levels, random_key
from jaxcnn.ops.dense import dense_map

DENSE = Case(jc.dense, {"x": (3, 4), "weight": (4, 4), "bias": (4,)})
ZERO = Case(jc.relu, {"x": (4, 4)}, draw={"x": levels}, on_kinks=True)
SIGMOID, TANH = Case(jc.sigmoid, {"x": (3, 4)}), Case(jc.tanh, {"x": (3, 4)})
SOFTMAX, LOG = Case(jc.softmax, {"x": (4, 4)}), Case(jc.log_softmax, {"x": (4, 4)})
DROPOUT = Case(jc.dropout, {"x": (6, 6)}, {"rate": 0.4}, {"key": random_key})
FLATTEN, DILATE = (
    Case(jc.flatten, {"x": (2, 3, 3, 2)}),
    Case(jc.dilate, {"x": (1, 3, 4, 2)}, {"rate": 2}),
)
ROT180 = Case(jc.rot180, {"kernel": (3, 2, 2, 2)})
SHUFFLE = Case(jc.pixel_shuffle, {"x": (2, 2, 3, 8)}, {"block": 2, "order": "CRD"})
UNSHUFFLE = Case(jc.pixel_unshuffle, {"x": (2, 4, 6, 2)}, {"block": 2, "order": "DCR"})
JOIN = Case(jc.concatenate, {"a": (2, 3), "b": (2, 3)}, as_one="parts")
SPLIT = Case(jc.split, {"x": (2, 6)}, {"sizes": (3, 3)}, output=0)

MUTANTS = [
    wrong("dense: ∂x with W", DENSE, x=lambda delta, weight: dense_map(delta, weight, None)),
    wrong("dense: ∂W transposed", DENSE, weight=lambda right: right.T),
    wrong("dense: ∂b summed over the features", DENSE, bias=lambda right: jnp.full_like(right, right.sum())),
    wrong("dense: ∂W averaged", DENSE, weight=lambda right: right / 3),
    forgets("dense: order 2 forgets x and W", DENSE, "x", "weight"),
    wrong("relu: passes at 0", ZERO, x=lambda delta: delta),
    wrong("relu: half at 0", ZERO, x=lambda positive, delta: jnp.where(positive, delta, delta / 2)),
    wrong("relu: leaks", Case(jc.relu, {"x": (4, 4)}), x=lambda right: jnp.where(right == 0, 0.01, right)),
    wrong("sigmoid: y for y(1 − y)", SIGMOID, x=lambda x, delta: delta * jc.sigmoid(x)),
    wrong("sigmoid: 1 − y² for y(1 − y)", SIGMOID, x=lambda x, delta: delta * (1 - jc.sigmoid(x) ** 2)),
    forgets("sigmoid: order 2 takes x for a constant", SIGMOID, "x"),
    wrong("tanh: 1 − y", TANH, x=lambda x, delta: delta * (1 - jc.tanh(x))),
    wrong("tanh: y(1 − y)", TANH, x=lambda x, delta: delta * jc.tanh(x) * (1 - jc.tanh(x))),
    wrong("softmax: the sum forgotten", SOFTMAX, x=lambda y, delta: y * delta),
    wrong("softmax: only the diagonal", SOFTMAX, x=lambda y, delta: y * (1 - y) * delta),
    given("softmax: the other axis", SOFTMAX, axis=lambda: 0),
    wrong("log softmax: y for its exponential", LOG, x=lambda y, delta: delta - y * delta.sum(-1, keepdims=True)),
    wrong("log softmax: the sum forgotten", LOG, x=lambda y, delta: delta - jnp.exp(y)),
    given("log softmax: the other axis", LOG, axis=lambda: 0),
    given("dropout: another mask", DROPOUT, mask=lambda right: jnp.roll(right, 1, 0)),
    wrong("dropout: not rescaled", DROPOUT, x=lambda right: 0.6 * right),
    wrong("flatten: column-major", FLATTEN, x=lambda right: jnp.swapaxes(right, 1, 2)),
    wrong("dilate: summed", DILATE, x=lambda right, delta: right + delta.sum() * 0.01),
    given("dilate: one off", DILATE, delta=lambda right: jnp.roll(right, 1, 1)),
    given("pixel shuffle: the other order", SHUFFLE, order=lambda: "DCR"),
    wrong("pixel shuffle: rows for columns", SHUFFLE, x=lambda right: right[..., [0, 2, 1, 3, 4, 6, 5, 7]]),
    wrong("pixel shuffle: averaged over the block", SHUFFLE, x=lambda right: right / 4),
    given("pixel unshuffle: the other order", UNSHUFFLE, order=lambda: "CRD"),
    given("pixel unshuffle: the next block", UNSHUFFLE, delta=lambda right: jnp.roll(right, 1, 1)),
    wrong("rot180: not turned back", ROT180, kernel=lambda delta: delta),
    wrong("concatenate: another order", JOIN, parts=lambda right: right[::-1]),
    wrong("concatenate: only the first part", JOIN, parts=lambda right: (right[0], 0 * right[1])),
    wrong("split: another order", SPLIT, x=lambda delta: jnp.concatenate(delta[::-1], -1)),
    wrong("rot180: one axis only", ROT180, kernel=lambda delta: jnp.flip(delta, 0)),
]  # fmt: skip
