"""Mixed precision: arithmetic in a half, parameters in float32; loss scaling for float16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

# The scale doubles after so many steps without an overflow, and is halved by each of them.
PATIENCE = 1000
# float16 ends at 65,504, and δ at the loss is the scale itself.
FIRST, HIGHEST, LOWEST = 2.0**12, 2.0**15, 1.0


# As JAX calls products of factors rounded to bfloat16.
PRODUCTS = "BF16_BF16_F32"


def products(precision: str) -> AbstractContextManager[None]:
    """Within it, products are as `--precision` says."""
    halves = precision == "bfloat16-products"
    return jax.default_matmul_precision(PRODUCTS) if halves else nullcontext()


class LossScale(NamedTuple):
    """What the loss is multiplied by, and the steps since that last changed."""

    scale: Float[Array, ""]
    steps: Int[Array, ""]


def initial_scale() -> LossScale:
    """The scale that a run begins with."""
    return LossScale(jnp.asarray(FIRST, jnp.float32), jnp.asarray(0, jnp.int32))


def next_scale(now: LossScale, finite: Bool[Array, ""]) -> LossScale:
    """After a step whose gradients were finite, or were not."""
    steps = jnp.where(finite, now.steps + 1, 0)
    grown = jnp.where(steps >= PATIENCE, jnp.minimum(now.scale * 2, HIGHEST), now.scale)
    scale = jnp.where(finite, grown, jnp.maximum(now.scale / 2, LOWEST))
    return LossScale(scale, jnp.where(steps >= PATIENCE, 0, steps).astype(jnp.int32))


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether no number of the tree is NaN or infinite."""
    found = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]
    return jnp.all(jnp.stack(found)) if found else jnp.asarray(True)


def cast(tree: PyTree, dtype) -> PyTree:
    """The tree in that dtype."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def choose(condition: Bool[Array, ""], one: PyTree, other: PyTree) -> PyTree:
    """`one` where the condition holds, else the `other`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)
