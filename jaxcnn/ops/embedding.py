"""Embedding: rows of a table, by number; its adjoint adds every δ to the row that it came from."""

from functools import partial

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Integer

from jaxcnn import check
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.sharding import declared, vary_together
from jaxcnn.rules import Function, adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(2,))
def embedding_map(
    ids: Integer[Array, "*n"], table: Float[Array, "v c"], vocabulary: int
) -> Float[Array, "*n c"]:
    del vocabulary  # the table has it; the backward pass needs it as a static value

    def rows(ids: Array, table: Array) -> Array:
        return table.at[_numbered(ids, table.shape[0])].get(
            mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
        )

    return declared(rows, lambda ids, table: (*ids, table[1]), ids, table)


def embedding(
    ids: Integer[ArrayLike, "*n"], table: Float[ArrayLike, "v c"], *, rule: Function = embedding_map
) -> Float[Array, "*n c"]:
    """y_n = T[i_n]: for every id its row of the table.

    Backward, with δ = ∂L/∂y: ∂T[v] = Σ δ_n over all n with i_n = v; the ids have no gradient.
    Source: Bengio et al. 2003, "A Neural Probabilistic Language Model", section 2; Kim 2014.

    Args:
        ids: row numbers, in an array of any shape.
        table: one row per entry of the vocabulary.

    Raises:
        ValueError: a concrete id is outside [0, rows). One that is only traced cannot be looked at:
            outside the range it makes a row of NaN, and its δ is lost.
    """
    ids = check.integer_array("embedding", "ids", ids)
    table = check.float_array("embedding", "table", table)
    check.rank("embedding", "table", table, 2, "vocabulary, features")
    check.concrete_range("embedding", "ids", ids, 0, table.shape[0] - 1)
    return check.rule("embedding", rule)(*vary_together(ids, table), table.shape[0])


@partial(custom_rule, nondiff_argnums=(2,))
def embedding_table_grad_map(
    ids: Integer[Array, "*n"], delta: Float[Array, "*n c"], vocabulary: int
) -> Float[Array, "v c"]:

    def sums(ids: Array, delta: Array) -> Array:
        rows = jnp.zeros((vocabulary, delta.shape[-1]), accumulator(delta.dtype))
        rows = rows.at[_numbered(ids, vocabulary)].add(
            widen(delta), mode="drop", wrap_negative_indices=False
        )
        return rows.astype(delta.dtype)

    return declared(sums, lambda ids, delta: (None, delta[-1]), ids, delta)


def _numbered(ids: Array, vocabulary: int) -> Array:
    """The ids, with one number for all outside: JAX would cut those of 64 bits to 32."""
    wide = check.counting(ids)
    return jnp.where((wide >= 0) & (wide < vocabulary), wide, vocabulary)


adjoints(embedding_map, embedding_table_grad_map, argument=1)


def embedding_table_grad(
    ids: Integer[ArrayLike, "*n"], delta: Float[ArrayLike, "*n c"],
    *, vocabulary: int, rule: Function = embedding_table_grad_map,
) -> Float[Array, "v c"]:  # fmt: skip
    """∂T[v] = Σ δ_n over all n with i_n = v: the adjoint of `embedding` in its table.

    Backward, with ζ the incoming gradient: ∂δ_n = ζ[i_n]; the ids have no gradient.
    Source: the transpose of `embedding`.

    Args:
        ids: row numbers, in an array of any shape.
        vocabulary: how many rows the table has.

    Raises:
        ValueError: a concrete id is outside [0, vocabulary). The δ of one that is only traced and
            outside is lost.
    """
    op = "embedding_table_grad"
    ids = check.integer_array(op, "ids", ids)
    delta = check.float_array(op, "delta", delta)
    vocabulary = check.integer(op, "vocabulary", vocabulary, minimum=1)
    check.shape(op, "delta", delta, (*ids.shape, *delta.shape[-1:]))
    check.concrete_range(op, "ids", ids, 0, vocabulary - 1)
    return check.rule(op, rule)(*vary_together(ids, delta), vocabulary)
