"""Maps over pooling windows: maxima with their positions, sums, and the adjoints of both.

A window's taps are visited in row-major order as strided slices of the whole map, which XLA fuses
into one pass; for the gradient of a maximum this is what makes the difference to select-and-scatter.
"""

import itertools
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.precision import accumulator


def max_pool(x: Array, geometry: Geometry) -> Array:
    """The maximum of every window, nothing else: what a pass without a gradient needs."""
    return lax.reduce_window(
        x,
        jnp.array(-jnp.inf, x.dtype),
        lax.max,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1, *geometry.stride, 1),
        padding=((0, 0), *geometry.padding, (0, 0)),
        window_dilation=(1, *geometry.dilation, 1),
    )


def max_with_switches(x: Array, geometry: Geometry) -> tuple[Array, Array]:
    """The maximum of every window and the tap that holds it; the first one wins a tie."""
    padded = any(low or high for low, high in geometry.padding)
    dtype = switch_dtype(geometry)
    best, switches, seen = None, None, None
    for tap, (part, valid) in enumerate(_taps(x, geometry, fill=-jnp.inf)):
        if best is None:
            best, switches, seen = part, jnp.zeros(part.shape, dtype), valid
            continue
        # A NaN is the maximum, as in JAX and PyTorch, and the first NaN stays. A padded position
        # is never chosen, even where everything else in the window is −∞ as well.
        better = (part > best) | (jnp.isnan(part) & ~jnp.isnan(best))
        if padded:
            better |= jnp.broadcast_to(valid & ~seen, better.shape)
            seen = seen | valid
        best = jnp.where(better, part, best)
        switches = jnp.where(better, jnp.array(tap, dtype), switches)
    assert best is not None
    assert switches is not None
    return best, switches


def switch_dtype(geometry: Geometry) -> jnp.dtype:
    """The smallest unsigned dtype that can number the taps of a window."""
    for dtype in (jnp.uint8, jnp.uint16, jnp.uint32):
        if geometry.taps - 1 <= jnp.iinfo(dtype).max:
            return jnp.dtype(dtype)
    raise ValueError(f"max_pool: window must have fewer than 2^32 elements, got {geometry.window}")


def gather_at_switches(x: Array, switches: Array, geometry: Geometry) -> Array:
    """From every window the element that its switch names."""
    y = jnp.zeros(switches.shape, x.dtype)
    for tap, (part, _) in enumerate(_taps(x, geometry, fill=0)):
        y = jnp.where(switches == jnp.array(tap, switches.dtype), part, y)
    return y


def scatter_at_switches(delta: Array, switches: Array, geometry: Geometry) -> Array:
    """M • upsample(δ): every δ at the place its switch names; where windows overlap, they add up."""
    parts = [
        jnp.where(switches == jnp.array(tap, switches.dtype), delta, jnp.zeros_like(delta))
        for tap in range(geometry.taps)
    ]
    if geometry.tiling:
        return _interleave(parts, geometry)
    return _overlap_add(parts, geometry, delta.dtype)


def sum_pool(x: Array, geometry: Geometry) -> Array:
    """The sum of every window; padding counts as zero."""
    total = lax.reduce_window(
        x.astype(accumulator(x.dtype)),
        jnp.zeros((), accumulator(x.dtype)),
        lax.add,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1, *geometry.stride, 1),
        padding=((0, 0), *geometry.padding, (0, 0)),
        window_dilation=(1, *geometry.dilation, 1),
    )
    return total.astype(x.dtype)


def sum_pool_input_grad(delta: Array, geometry: Geometry) -> Array:
    """full(dilate(δ), ones): every δ at each place of its window; where windows overlap, they add.

    The high padding runs up to the size of the input, as for a convolution: a remainder gets zeros.
    """
    if geometry.tiling:
        return _fill_remainder(upsample(delta, geometry.window), geometry)
    config = []
    for axis, (low, _) in enumerate(geometry.padding):
        before = geometry.extent[axis] - 1 - low
        after = geometry.input[axis] - 1 + low - geometry.dilated_output[axis] + 1
        config.append((before, after, geometry.stride[axis] - 1))
    wide = accumulator(delta.dtype)
    zero = jnp.zeros((), wide)
    spread = lax.reduce_window(
        lax.pad(delta.astype(wide), zero, [(0, 0, 0), *config, (0, 0, 0)]),
        zero,
        lax.add,
        window_dimensions=(1, *geometry.window, 1),
        window_strides=(1,) * delta.ndim,
        padding="VALID",
        window_dilation=(1, *geometry.dilation, 1),
    )
    return spread.astype(delta.dtype)


def window_counts(geometry: Geometry) -> np.ndarray:
    """How many elements of each window lie on the map and not in its padding: 1 p q 1."""
    counts = np.ones((1,) * (geometry.axes + 2), np.int64)
    for axis, k in enumerate(geometry.window):
        along = np.sum([_valid(geometry, axis, tap) for tap in range(k)], axis=0)
        counts = counts * _along(along, axis, geometry)
    return counts


def _taps(x: Array, geometry: Geometry, *, fill: float) -> Iterator[tuple[Array, Array]]:
    """Per tap, in row-major order: its slice of the padded map, and where that is no padding."""
    padded = lax.pad(
        x,
        jnp.array(fill, x.dtype),
        [(0, 0, 0), *((low, high, 0) for low, high in geometry.padding), (0, 0, 0)],
    )
    for tap in itertools.product(*(range(k) for k in geometry.window)):
        start = [t * d for t, d in zip(tap, geometry.dilation, strict=True)]
        limit = [b + p for b, p in zip(start, geometry.dilated_output, strict=True)]
        part = lax.slice(
            padded,
            (0, *start, 0),
            (x.shape[0], *limit, x.shape[-1]),
            (1, *geometry.stride, 1),
        )
        valid = np.ones((1,) * x.ndim, bool)
        for axis, t in enumerate(tap):
            valid = valid & _along(_valid(geometry, axis, t), axis, geometry)
        yield part, jnp.asarray(valid)


def _valid(geometry: Geometry, axis: int, tap: int) -> np.ndarray:
    """For which outputs along the axis the tap lies on the map."""
    start = tap * geometry.dilation[axis] - geometry.padding[axis][0]
    position = start + geometry.stride[axis] * np.arange(geometry.output[axis])
    return (0 <= position) & (position < geometry.input[axis])


def _along(values: np.ndarray, axis: int, geometry: Geometry) -> np.ndarray:
    """Values per position of one spatial axis, shaped to broadcast against n p q c."""
    return np.expand_dims(values, [a for a in range(geometry.axes + 2) if a != axis + 1])


def _interleave(parts: list[Array], geometry: Geometry) -> Array:
    """Tap t of every window side by side, for windows that tile the map: one transposed copy."""
    n, c = parts[0].shape[0], parts[0].shape[-1]
    axes = geometry.axes
    stacked = jnp.stack(parts).reshape(*geometry.window, n, *geometry.output, c)
    # kh kw n p q c → n p kh q kw c
    order = [axes]
    for axis in range(axes):
        order += [axes + 1 + axis, axis]
    covered = tuple(p * k for p, k in zip(geometry.output, geometry.window, strict=True))
    dx = stacked.transpose(*order, 2 * axes + 1).reshape(n, *covered, c)
    return _fill_remainder(dx, geometry)


def _fill_remainder(x: Array, geometry: Geometry) -> Array:
    """Zeros for the rows and columns at the end that no window reached."""
    rest = [h - k for h, k in zip(geometry.input, x.shape[1:-1], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((0, r, 0) for r in rest), (0, 0, 0)])


def _overlap_add(parts: list[Array], geometry: Geometry, dtype: jnp.dtype) -> Array:
    """Σ over taps of the part, dilated by the stride and moved to the tap's place."""
    wide = accumulator(dtype)
    total = jnp.zeros((), wide)
    taps = itertools.product(*(range(k) for k in geometry.window))
    for part, tap in zip(parts, taps, strict=True):
        config = []
        for axis, t in enumerate(tap):
            low = t * geometry.dilation[axis] - geometry.padding[axis][0]
            high = geometry.input[axis] - low - geometry.dilated_output[axis]
            config.append((low, high, geometry.stride[axis] - 1))
        moved = lax.pad(
            part.astype(wide), jnp.zeros((), wide), [(0, 0, 0), *config, (0, 0, 0)]
        )
        total = moved if total.ndim == 0 else total + moved
    return total.astype(dtype)


def upsample(x: Array, size: tuple[int, ...]) -> Array:
    """Every element replicated over a window of the given size."""
    n, c = x.shape[0], x.shape[-1]
    maps = x.shape[1:-1]
    spread = []
    for h in maps:
        spread += [h, 1]
    target = []
    for h, k in zip(maps, size, strict=True):
        target += [h, k]
    replicated = jnp.broadcast_to(x.reshape(n, *spread, c), (n, *target, c))
    return replicated.reshape(n, *(h * k for h, k in zip(maps, size, strict=True)), c)
