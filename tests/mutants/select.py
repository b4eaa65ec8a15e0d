"""Wrong embeddings and droppings."""

import jax.numpy as jnp
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, label_array, random_key

IDS = {"ids": label_array(4, (7,))}
EMBEDDING = Case(jc.embedding, {"table": (4, 3)}, fixed=IDS)
TABLE_GRAD = Case(jc.embedding_table_grad, {"delta": (7, 3)}, {"vocabulary": 4}, IDS)
SPATIAL = Case(jc.spatial_dropout, {"x": (3, 2, 2, 5)}, {"rate": 0.4}, {"key": random_key})
BLOCK = Case(
    jc.drop_block, {"x": (1, 7, 6, 2)}, {"rate": 0.4, "block": (3, 2)}, {"key": random_key}
)


def last_wins(ids, delta, vocabulary):
    """The row of the last of equal ids, for their sum."""
    return jnp.zeros((vocabulary, delta.shape[-1])).at[ids].set(delta)


def averaged(right, ids, vocabulary):
    """Over repeated ids."""
    counts = jnp.maximum(jnp.bincount(ids, length=vocabulary), 1)
    return right / counts.astype(right.dtype)[:, None]


def next_row(ids, vocabulary):
    return (ids + 1) % vocabulary


MUTANTS = [
    wrong("embedding: repeated ids do not add up", EMBEDDING, table=last_wins),
    wrong("embedding: averaged over repeated ids", EMBEDDING, table=averaged),
    given("embedding: the row after", EMBEDDING, ids=next_row),
    forgets("embedding: order 2 forgets δ", EMBEDDING, "delta"),
    given("embedding's adjoint: the row after", TABLE_GRAD, ids=next_row),
    wrong("embedding's adjoint: scattered back", TABLE_GRAD,
        delta=lambda right, zeta: jnp.full_like(right, zeta.sum())),
    wrong("spatial dropout: not rescaled", SPATIAL, x=lambda right: 0.6 * right),
    wrong("spatial dropout: no mask", SPATIAL, x=lambda delta, rate: delta / (1 - rate)),
    given("spatial dropout: the mask of another map", SPATIAL, mask=lambda right: jnp.roll(right, 1, -1)),
    wrong("drop block: rescaled by the rate", BLOCK,
        x=lambda mask, delta, rate: jnp.where(mask, delta, 0) / (1 - rate)),
    given("drop block: the squares' neighbours", BLOCK, mask=lambda right: jnp.roll(right, 1, 1)),
    forgets("drop block: order 2 forgets δ", BLOCK, "delta"),
]  # fmt: skip
