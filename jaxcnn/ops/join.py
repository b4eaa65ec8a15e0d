"""Join maps along their channels and split them again: each map is the other's transpose."""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.rules import Function, adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def concatenate_map(
    parts: tuple[Float[Array, "*n _"], ...], sizes: tuple[int, ...]
) -> Float[Array, "*n c"]:
    del sizes  # the parts have them; the backward pass needs them as static values
    return jnp.concatenate(parts, -1)


def concatenate(
    parts: Sequence[Float[ArrayLike, "*n _"]], *, rule: Function = concatenate_map
) -> Float[Array, "*n c"]:
    """y = [x₁, x₂, …], the parts side by side along their last axis, the channels.

    Backward, with δ = ∂L/∂y: [∂x₁, ∂x₂, …] = δ, to each part the channels that came from it.
    Source: Quan, "DenseNet".

    Args:
        parts: arrays that agree in all axes but the last.

    Raises:
        ValueError: there is no part.
    """
    op = "concatenate"
    if not check.is_sequence(parts) or not parts:
        got = "none" if check.is_sequence(parts) else check.shown(parts)
        raise ValueError(f"{op}: parts must be a sequence of at least one array, got {got}")
    arrays: list[Array] = []
    for position, part in enumerate(parts):
        name, like = f"parts[{position}]", ("parts[0]", arrays[0]) if arrays else None
        array = check.float_array(op, name, part, like=like)
        check.channels(op, name, array)
        if arrays and array.shape[:-1] != arrays[0].shape[:-1]:
            raise ValueError(
                f"{op}: {name} must have the shape of parts[0] but for the last axis, "
                f"got {array.shape} for {arrays[0].shape}"
            )
        arrays.append(array)
    return check.rule(op, rule)(vary_together(*arrays), tuple(array.shape[-1] for array in arrays))


@partial(custom_rule, nondiff_argnums=(1,))
def split_map(x: Float[Array, "*n c"], sizes: tuple[int, ...]) -> tuple[Float[Array, "*n _"], ...]:
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        lax.slice_in_dim(x, start, start + size, axis=-1)
        for start, size in zip(starts, sizes, strict=True)
    )


adjoints(concatenate_map, split_map)


@entry.operation
def split(
    x: Float[ArrayLike, "*n c"], sizes: Sequence[int], *, rule: Function = split_map
) -> tuple[Float[Array, "*n _"], ...]:
    """[y₁, y₂, …] = x, consecutive channels of it, as many as the sizes say.

    Backward, with δ_i = ∂L/∂y_i: ∂x = [δ₁, δ₂, …].
    Source: the transpose of `concatenate`.

    Args:
        sizes: how many channels each result has; together those of x.

    Raises:
        ValueError: the sizes do not add up to the channels of x.
    """
    x = check.float_array("split", "x", x)
    sizes = check.integers("split", "sizes", sizes)
    if sum(sizes) != check.channels("split", "x", x):
        raise ValueError(
            f"split: sizes must add up to the last axis of x, got {sizes} for shape {x.shape}"
        )
    return rule(x, sizes)
