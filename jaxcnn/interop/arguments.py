"""Checks of arguments in the spelling of `jax.lax`, which errors keep."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn import check

LaxPadding = str | Sequence[tuple[int, int]]
DimensionNumbers = tuple[str, str, str] | lax.ConvDimensionNumbers | None


def layout(op: str, lhs: Array, rhs: Array, numbers: Any) -> lax.ConvDimensionNumbers:
    """Which axis is which, of lhs, rhs and the result."""
    if lhs.ndim != rhs.ndim or lhs.ndim < 2:
        raise ValueError(
            f"{op}: lhs and rhs must have the same number of axes, 2 at least, "
            f"got shapes {lhs.shape} and {rhs.shape}"
        )
    try:
        found = lax.conv_dimension_numbers(lhs.shape, rhs.shape, numbers)
        if any(sorted(spec) != list(range(lhs.ndim)) for spec in found):
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            f"{op}: dimension_numbers must be None, ConvDimensionNumbers or three strings of "
            f'{lhs.ndim} letters such as ("NHWC", "HWIO", "NHWC"), got {check.shown(numbers)}'
        ) from None
    return found


def groups(op: str, x: Array, kernel: Array, feature_groups: Any, batch_groups: Any) -> int:
    """The number of groups, of either kind, if they fit the batch and the channels."""
    feature = check.integer(op, "feature_group_count", feature_groups, minimum=1)
    batch = check.integer(op, "batch_group_count", batch_groups, minimum=1)
    n, c, d = x.shape[0], x.shape[-1], kernel.shape[-1]
    if feature > 1 and batch > 1:
        raise ValueError(
            f"{op}: feature_group_count or batch_group_count must be 1, got {feature} and {batch}"
        )
    if c % feature or d % feature:
        raise ValueError(
            f"{op}: feature_group_count must divide the channels in and out, "
            f"got {feature} for {c} and {d}"
        )
    if n % batch or d % batch:
        raise ValueError(
            f"{op}: batch_group_count must divide the batch and the channels out, "
            f"got {batch} for {n} and {d}"
        )
    if kernel.shape[-2] * feature != c:
        raise ValueError(
            f"{op}: rhs must have as many input channels as lhs has per group, "
            f"got {kernel.shape[-2]} for {c} channels in {feature} group{'s' * (feature > 1)}"
        )
    return feature * batch


def per_axis(op: str, name: str, value: Any, axes: int) -> tuple[int, ...]:
    """One integer per spatial axis; None is 1."""
    if value is None:
        return (1,) * axes
    return check.per_axis(op, name, entries(value), axes)


def entries(value: Any) -> Any:
    """The entries of an array of one axis, which `jax.lax` takes for a sequence."""
    return tuple(value) if getattr(value, "ndim", 0) == 1 else value


def padding(
    op: str, value: Any, axes: int, *, words: Sequence[str] = ("SAME", "SAME_LOWER", "VALID")
) -> Any:
    """One of the words, or a pair of integers per spatial axis."""
    if isinstance(value, str) and value.upper() in words:
        return value
    try:
        pairs = tuple(
            (check.integer(op, "padding", low), check.integer(op, "padding", high))
            for low, high in list[Any](value)
        )
        if len(pairs) != axes:
            raise ValueError
    except (TypeError, ValueError):
        spelled = "".join(f'"{word}", ' for word in words)
        raise ValueError(
            f"{op}: padding must be {spelled}or one (low, high) pair of integers per spatial axis "
            f"({axes}), got {check.shown(value)}"
        ) from None
    return pairs


def result_dtype(op: str, dtype: jnp.dtype, preferred: Any) -> jnp.dtype:
    """The dtype of the products and the result: that of the arguments, or a wider one."""
    if preferred is None:
        return dtype
    wanted = check.parse_dtype(preferred)
    if (
        wanted is None
        or not jnp.issubdtype(wanted, jnp.floating)
        or wanted.itemsize < dtype.itemsize
    ):
        raise TypeError(
            f"{op}: preferred_element_type must be a dtype of floats no narrower than {dtype}, "
            f"got {wanted or check.shown(preferred)}"
        )
    return wanted
