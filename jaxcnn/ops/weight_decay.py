"""Weight decay: ½ λ Σ w² over all parameters, or those that a mask names."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from jaxcnn import check
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.rules import Function, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def weight_decay_map(params: PyTree[Float[Array, "..."]], strength: float) -> Float[Array, ""]:
    squares, widest = _products(params, params)
    return (0.5 * strength * jnp.stack(squares).sum()).astype(widest)


def _products(a: Any, b: Any) -> tuple[list[Array], Any]:
    """Σ a b of every array, and the widest of their dtypes."""
    leaves = jax.tree.leaves(a)
    widest = max((leaf.dtype for leaf in leaves), key=lambda dtype: jnp.finfo(dtype).bits)
    pairs = zip(leaves, jax.tree.leaves(b), strict=True)
    return [(widen(u) * widen(v)).sum().astype(accumulator(widest)) for u, v in pairs], widest


def _weight_decay_fwd(params, strength):
    return weight_decay_map(params, strength), params


def _weight_decay_bwd(strength, params, delta):
    def gradient(w):
        wide = widen(w)
        return (delta.astype(wide.dtype) * (strength * wide)).astype(w.dtype)

    return (jax.tree.map(gradient, params),)


def _weight_decay_tangent(strength, params, dots):
    """Ė = λ Σ w ẇ."""
    (first, *others), widest = _products(params, dots[0])
    return (strength * sum(others, first)).astype(widest)


weight_decay_map.defvjp(_weight_decay_fwd, _weight_decay_bwd)
weight_decay_map.defjvp(_weight_decay_tangent)


def weight_decay(
    params: PyTree[Float[Array, "..."]], strength: float, mask: PyTree[bool] = True,
    *, rule: Function = weight_decay_map,
) -> Float[Array, ""]:  # fmt: skip
    """E = ½ λ Σ w², to be added to a loss.

    Backward, with δ = ∂L/∂E: ∂w = δ λ w where the mask is set, else 0.
    Source: Huang, "Weight adjustment"; Quan, "Learning magic in AlexNet"; Krogh, Hertz 1992.

    Args:
        params: arrays in any tree; where dtypes differ, E has the widest.
        strength: λ, a number, not negative; for one that changes while training, take 1 and
            multiply the result.
        mask: a tree of True and False, a prefix of that of params: one for all, for each branch, or
            for each array. Biases are often left out.

    Raises:
        ValueError: the mask is no prefix of the tree of params, or lets no array through.
    """
    op = "weight_decay"
    strength = check.number(op, "strength", strength, minimum=0)
    decaying = _decaying(op, mask, params)
    if not decaying:
        raise ValueError(f"{op}: params must hold an array that the mask lets through, got none")
    return check.rule(op, rule)(decaying, strength)


def _decaying(op: str, mask: Any, params: Any) -> list[Array]:
    """The parameters that the mask lets through; all are checked."""
    entries, tree = jax.tree.flatten(mask)
    flags = [check.boolean(op, "mask", entry) for entry in entries]
    try:
        branches = tree.flatten_up_to(params)
    except (TypeError, ValueError):
        raise ValueError(
            f"{op}: mask must be a prefix of the tree of params, "
            f"got {tree} for {jax.tree.structure(params)}"
        ) from None
    decaying = []
    for through, branch in zip(flags, branches, strict=True):
        for path, leaf in jax.tree.leaves_with_path(branch):
            leaf = check.float_array(op, f"params{jax.tree_util.keystr(path)}", leaf)
            if through:
                decaying.append(leaf)
    return decaying
