"""Wrong dense layers, the first activations and the rest, each caught."""

# pyright: reportOptionalCall=false, reportIndexIssue=false

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, random_key
from jaxcnn.ops import activation, dense, dropout, join, shape


def levels(generator, size):
    """Few different numbers: many ties."""
    return generator.integers(0, 2, size)


DENSE = Case(jc.dense, {"x": (3, 4), "weight": (4, 4), "bias": (4,)})
ZERO = Case(jc.relu, {"x": (4, 4)}, draw={"x": lambda generator, size: levels(generator, size) - 1})
SIGMOID, TANH = Case(jc.sigmoid, {"x": (3, 4)}), Case(jc.tanh, {"x": (3, 4)})
SOFTMAX, LOG = Case(jc.softmax, {"x": (4, 4)}), Case(jc.log_softmax, {"x": (4, 4)})
DROPOUT = Case(jc.dropout, {"x": (6, 6)}, {"rate": 0.4}, {"key": random_key})
FLATTEN, DILATE = (
    Case(jc.flatten, {"x": (2, 3, 3, 2)}),
    Case(jc.dilate, {"x": (1, 3, 4, 2)}, {"rate": 2}),
)
ROT180 = Case(jc.rot180, {"kernel": (3, 2, 2, 2)})
JOIN = Case(jc.concatenate, {"a": (2, 3), "b": (2, 3)}, together="parts")
SPLIT = Case(jc.split, {"x": (2, 6)}, {"sizes": (3, 3)}, output=0)
split_map = join.split_map

MUTANTS = [
    Mutant("dense: ∂x with W", DENSE, lambda r, d: (dense.dense_map(d, r[1], None), *dense.dense_map.bwd(r, d)[1:])),
    Mutant("dense: ∂W transposed", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w.T, b))),
    Mutant("dense: ∂b summed over the features", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w, jnp.full_like(b, b.sum())))),
    Mutant("dense: ∂W averaged", DENSE, changed(dense.dense_map, lambda x, w, b: (x, w / 3, b))),
    Mutant("dense: order 2 forgets x and W", DENSE, frozen(dense.dense_map, "residuals"), 2),
    Mutant("relu: passes at 0", ZERO, lambda r, d: (d,)),
    Mutant("relu: half at 0", ZERO, lambda r, d: (d / 2,)),
    Mutant("relu: leaks", Case(jc.relu, {"x": (4, 4)}), changed(activation.relu_map, lambda x: (jnp.where(x == 0, 0.01, x),))),
    Mutant("sigmoid: y for y(1 − y)", SIGMOID, lambda y, d: (d * y,)),
    Mutant("sigmoid: 1 − y² for y(1 − y)", SIGMOID, lambda y, d: (d * (1 - y * y),)),
    Mutant("sigmoid: order 2 takes y for a constant", SIGMOID, frozen(activation.sigmoid_map, "residuals"), 2),
    Mutant("tanh: 1 − y", TANH, lambda y, d: (d * (1 - y),)),
    Mutant("tanh: y(1 − y)", TANH, lambda y, d: (d * y * (1 - y),)),
    Mutant("softmax: the sum forgotten", SOFTMAX, lambda a, y, d: (y * d,)),
    Mutant("softmax: only the diagonal", SOFTMAX, lambda a, y, d: (y * (1 - y) * d,)),
    Mutant("softmax: the other axis", SOFTMAX, lambda a, y, d: activation.softmax_map.bwd(0, y, d)),
    Mutant("log softmax: y for its exponential", LOG, lambda a, y, d: (d - y * d.sum(-1, keepdims=True),)),
    Mutant("log softmax: the sum forgotten", LOG, lambda a, y, d: (d - jnp.exp(y),)),
    Mutant("log softmax: the other axis", LOG, lambda a, y, d: activation.log_softmax_map.bwd(0, y, d)),
    Mutant("dropout: another mask", DROPOUT, lambda p, mask, d: dropout.dropout_map.bwd(p, jnp.roll(mask, 1, 0), d)),
    Mutant("dropout: not rescaled", DROPOUT, changed(dropout.dropout_map, lambda x, key: (0.6 * x, key))),
    Mutant("flatten: column-major", FLATTEN, lambda s, r, d: (jnp.swapaxes(shape.unflatten_map(d, s), 1, 2),)),
    Mutant("dilate: summed", DILATE, lambda rate, size, r, d: (shape.subsample_map(d, rate, size) + d.sum() * 0.01,)),
    Mutant("dilate: one off", DILATE, lambda rate, size, r, d: (shape.subsample_map(jnp.roll(d, 1, 1), rate, size),)),
    Mutant("rot180: not turned back", ROT180, lambda r, d: (d,)),
    Mutant("concatenate: another order", JOIN, lambda s, r, d: (split_map(d, s)[::-1],)),
    Mutant("concatenate: only the first part", JOIN, lambda s, r, d: ((split_map(d, s)[0], 0 * split_map(d, s)[1]),)),
    Mutant("split: another order", SPLIT, lambda s, r, d: (jnp.concatenate(d[::-1], -1),)),
    Mutant("rot180: one axis only", ROT180, lambda r, d: (jnp.flip(d, 0),)),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
