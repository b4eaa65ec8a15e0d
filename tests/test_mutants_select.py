"""Wrong embeddings and droppings, each caught."""

# pyright: reportOptionalCall=false

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, label_array, random_key
from jaxcnn.ops import drop_block, dropout, embedding

IDS = {"ids": label_array(4, (7,))}
EMBEDDING = Case(jc.embedding, {"table": (4, 3)}, fixed=IDS)
TABLE_GRAD = Case(jc.embedding_table_grad, {"delta": (7, 3)}, {"vocabulary": 4}, IDS)
SPATIAL = Case(jc.spatial_dropout, {"x": (3, 2, 2, 5)}, {"rate": 0.4}, {"key": random_key})
BLOCK = Case(
    jc.drop_block, {"x": (1, 7, 6, 2)}, {"rate": 0.4, "block": (3, 2)}, {"key": random_key}
)
forward, adjoint = embedding.embedding_map, embedding.embedding_table_grad_map
spatial, block = dropout.spatial_dropout_map, drop_block.drop_block_map


def last_wins(vocabulary, residuals, delta):
    """The row of the last of equal ids, for their sum."""
    (ids,) = residuals
    return None, jnp.zeros((vocabulary, delta.shape[-1])).at[ids].set(delta)


def averaged(vocabulary, residuals, delta):
    (ids,) = residuals
    counts = jnp.maximum(jnp.bincount(ids, length=vocabulary), 1).astype(delta.dtype)
    return None, forward.bwd(vocabulary, residuals, delta)[1] / counts[:, None]


MUTANTS = [
    Mutant("embedding: repeated ids do not add up", EMBEDDING, last_wins),
    Mutant("embedding: averaged over repeated ids", EMBEDDING, averaged),
    Mutant("embedding: the row after", EMBEDDING, lambda v, r, d: forward.bwd(v, [(r[0] + 1) % v], d)),
    Mutant("embedding: order 2 forgets δ", EMBEDDING, frozen(forward, "delta"), 2),
    Mutant("embedding's adjoint: the row after", TABLE_GRAD, lambda v, r, z: adjoint.bwd(v, [(r[0] + 1) % v], z)),
    Mutant("embedding's adjoint: scattered back", TABLE_GRAD, lambda v, r, z: (None, jnp.full((*r[0].shape, z.shape[-1]), z.sum()))),
    Mutant("spatial dropout: not rescaled", SPATIAL, changed(spatial, lambda x, key: (0.6 * x, key))),
    Mutant("spatial dropout: no mask", SPATIAL, lambda p, mask, d: (d / 0.6, None)),
    Mutant("spatial dropout: the mask of another map", SPATIAL, lambda p, mask, d: spatial.bwd(p, jnp.roll(mask, 1, -1), d)),
    Mutant("drop block: rescaled by the rate", BLOCK, lambda p, b, mask, d: (jnp.where(mask, d, 0) / (1 - p), None)),
    Mutant("drop block: the squares' neighbours", BLOCK, lambda p, b, mask, d: block.bwd(p, b, jnp.roll(mask, 1, 1), d)),
    Mutant("drop block: order 2 forgets δ", BLOCK, frozen(block, "delta"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
