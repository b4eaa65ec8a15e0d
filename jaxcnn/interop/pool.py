"""The poolings of Flax: a stride of one by default, any number of batch axes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check
from jaxcnn.geometry import parse_pool_geometry
from jaxcnn.interop import arguments
from jaxcnn.interop.arguments import LaxPadding
from jaxcnn.ops import max_pool as max_pooling
from jaxcnn.ops import sum_pool as sum_pooling


def max_pool(
    inputs: Float[ArrayLike, "*nhw c"],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
) -> Float[Array, "*npq c"]:
    """y = the maximum over every window: Flax's `max_pool` with the rule of `jaxcnn.max_pool`.

    Backward, with δ = ∂L/∂y: ∂x = M(x) • upsample(δ), M one at the first maximum of every window,
    in row-major order, and zero elsewhere; where windows overlap, their gradients add up.
    Source: Huang, "Max pooling layer"; Quan, 7.3; the arguments are those of Flax.

    Args:
        inputs: maps, channels last, with any number of batch axes, none included.
        window_shape: size of the window along each of the 1 to 3 spatial axes, in elements.
        strides: steps of the window; None is one element, not the window's size.
        padding: "SAME", "SAME_LOWER", "VALID" or a (low, high) pair per spatial axis.

    Raises:
        TypeError: inputs is no float array.
        ValueError: ranks or sizes do not fit together.
    """
    return _pool("max_pool", max_pooling.max_pool, inputs, window_shape, strides, padding)


def min_pool(
    inputs: Float[ArrayLike, "*nhw c"],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
) -> Float[Array, "*npq c"]:
    """y = the minimum over every window, −max(−x): Flax's `min_pool`, by the rule of the maximum.

    Backward, with δ = ∂L/∂y: ∂x = M(−x) • upsample(δ), M one at the first minimum of every window;
    the two signs cancel.
    Source: as `max_pool`, of which it is the mirror image; the arguments are those of Flax.

    Args:
        inputs: see `max_pool`, as are window_shape, strides and padding.
        window_shape: see `max_pool`.
        strides: see `max_pool`.
        padding: see `max_pool`.

    Raises:
        TypeError, ValueError: as `max_pool` does.
    """
    inputs = -check.float_array("min_pool", "inputs", inputs)
    return -_pool("min_pool", max_pooling.max_pool, inputs, window_shape, strides, padding)


def avg_pool(
    inputs: Float[ArrayLike, "*nhw c"],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
    count_include_pad: bool = True,
) -> Float[Array, "*npq c"]:
    """y = the mean over every window: Flax's `avg_pool` with the rule of `jaxcnn.avg_pool`.

    Backward, with δ = ∂L/∂y: ∂x = upsample(δ / elements counted in the window); every element
    collects a share from every window that holds it.
    Source: Huang, "Average pooling layer"; Quan, 7.3; the arguments are those of Flax.

    Args:
        inputs: see `max_pool`, as are window_shape, strides and padding.
        window_shape: see `max_pool`.
        strides: see `max_pool`.
        padding: see `max_pool`.
        count_include_pad: whether the mean counts the padding, as zeros.

    Raises:
        TypeError: inputs is no float array.
        ValueError: ranks or sizes do not fit together.
    """
    count = check.boolean("avg_pool", "count_include_pad", count_include_pad)
    return _pool(
        "avg_pool", sum_pooling.avg_pool, inputs, window_shape, strides, padding,
        count_include_pad=count,
    )  # fmt: skip


def _pool(
    op: str,
    pool: Callable[..., Array],
    inputs: Any,
    window_shape: Any,
    strides: Any,
    padding: Any,
    **settings: Any,
) -> Array:
    """The pooling of all batch axes as one, with a stride of one unless said otherwise."""
    x = check.float_array(op, "inputs", inputs)
    window_shape = arguments.entries(window_shape)
    axes = len(window_shape) if check.is_sequence(window_shape) else 0
    if not 1 <= axes <= 3:
        raise ValueError(
            f"{op}: window_shape must hold one integer per spatial axis, 1 to 3 of them, "
            f"got {check.shown(window_shape)}"
        )
    window = check.integers(op, "window_shape", window_shape)
    if x.ndim <= axes:
        raise ValueError(
            f"{op}: inputs must have {axes + 1} axes at least (space as window_shape has it, "
            f"channels), got shape {x.shape}"
        )
    batch, rest = x.shape[: -axes - 1], x.shape[-axes - 1 :]
    stride = arguments.per_axis(op, "strides", strides, axes)
    padding = arguments.padding(op, padding, axes)
    parse_pool_geometry(op, rest[:-1], window, stride, padding)  # whose errors name `op`
    y = pool(x.reshape(math.prod(batch), *rest), window, stride=stride, padding=padding, **settings)
    return y.reshape(*batch, *y.shape[1:])
