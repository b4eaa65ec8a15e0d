"""Products of matrices in a program: the three of a dense layer, where ours gain anything."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.lowering.dense import gains
from jaxcnn.ops.dense import dense, dense_input_grad, dense_weight_grad
from jaxcnn.rewriting.found import Left, floats


def product(lhs: Array, rhs: Array, **params: Any) -> Array:
    """x W, δ Wᵀ or xᵀ δ, in whatever order their axes stand."""
    floats(lhs, rhs)
    found = _recognised(lhs, rhs, params)
    maps, matrix = (rhs, lhs) if found.exchanged else (lhs, rhs)
    y = found.by(jnp.transpose(maps, found.maps), jnp.transpose(matrix, found.matrix))
    return jnp.moveaxis(y, -1, 0) if found.exchanged else y


def name_of(lhs: Array, rhs: Array, **params: Any) -> str:
    """Which of the three it is."""
    return _recognised(lhs, rhs, params).by.__name__


class _Product(NamedTuple):
    by: Callable[..., Array]
    maps: Sequence[int]
    """In which order its axes are taken."""
    matrix: Sequence[int]
    exchanged: bool
    """Whether the matrix stands on the left."""


def _recognised(lhs: Array, rhs: Array, params: Any) -> _Product:
    contracted, batch = params["dimension_numbers"]
    if batch[0]:
        raise Left("it is a batch of products")
    if params["preferred_element_type"] not in (None, lhs.dtype) or lhs.dtype != rhs.dtype:
        raise Left("its factors and its result have different types")
    if params.get("out_sharding") is not None:
        raise Left("its sharding is asked for")
    if not _is_default(params["precision"]):
        raise Left(f"its precision is {params['precision']}")
    why = "neither side is a matrix whose rows or columns are summed over"
    for exchanged in (False, True):
        sides = zip((lhs, rhs), contracted, strict=True)
        (x, summed), (w, others) = reversed(list(sides)) if exchanged else sides
        kept = [a for a in range(x.ndim) if a not in summed]
        left = [a for a in range(w.ndim) if a not in others]
        rows, depth = (math.prod(x.shape[a] for a in axes) for axes in (kept, summed))
        if len(summed) == 1 and w.ndim == 2:
            forward = others[0] == 0
            sizes = rows, *(w.shape if forward else w.shape[::-1])
            found = _Product(
                dense if forward else dense_input_grad, (*kept, *summed), (0, 1), exchanged
            )
        elif len(kept) == len(left) == 1:
            sizes = depth, rows, w.shape[left[0]]
            found = _Product(dense_weight_grad, (*summed, *kept), (*others, *left), exchanged)
        else:
            continue
        if gains(*sizes):
            return found
        why = "of these sizes XLA's own is as fast and as exact"
    raise Left(why)


def _is_default(precision: Any) -> bool:
    each = precision if isinstance(precision, tuple) else (precision,)
    return all(p in (None, lax.Precision.DEFAULT) for p in each)
