"""The windows of poolings: how they are read off what a user gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jax import Array
from jax.typing import ArrayLike

from jaxcnn import check
from jaxcnn.geometry.padding import follows_size
from jaxcnn.geometry.sliding import Geometry, parse_geometry, smallest_input
from jaxcnn.sizes import known, surely


def pooled(op: str, x: ArrayLike, *settings: Any) -> tuple[Array, Geometry]:
    """Maps, and how the windows of a pooling slide over them."""
    maps = check.maps(op, "x", x)
    return maps, parse_pool_geometry(op, maps.shape[1:-1], *settings)


def unpooled(
    op: str, name: str, delta: ArrayLike, input_size: Any, *settings: Any
) -> tuple[Array, Geometry]:
    """Maps of a pooling's output, and how its windows slide over an input of the given size."""
    maps = check.maps(op, name, delta)
    size = check.per_axis(op, "input_size", input_size, maps.ndim - 2)
    geometry = parse_pool_geometry(op, size, *settings)
    check.shape(op, name, maps, (maps.shape[0], *geometry.output, maps.shape[-1]))
    return maps, geometry


def parse_pool_geometry(
    op: str,
    input_size: Sequence[int],
    window: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    ceil_mode: Any = False,
) -> Geometry:
    """The geometry of a pooling: the stride is the window's size unless said otherwise.

    The padding must be smaller than the window, or a window could consist of padding alone.
    """
    window = check.per_axis(op, "window", window, len(input_size))
    geometry = parse_geometry(
        op,
        input_size,
        window,
        stride=window if stride is None else stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=check.boolean(op, "ceil_mode", ceil_mode),
        window_name="window",
    )
    for pair, extent in zip(geometry.counted_padding, geometry.extent, strict=True):
        if any(surely(lambda pad=pad, e=extent: pad < 0 or pad >= e) for pad in pair):
            raise ValueError(
                f"{op}: padding must be at least 0 and smaller than the window, "
                f"got {pair} for a window of {extent}"
            )
    _check_every_window_meets_the_map(op, geometry)
    return geometry


def _check_every_window_meets_the_map(op: str, geometry: Geometry) -> None:
    """Between the taps of a dilated window a small map can disappear."""
    for axis, d in enumerate(geometry.dilation):
        h, k, (low, high) = geometry.input[axis], geometry.window[axis], geometry.padding[axis]
        if not known(h) or d <= h or not low + high:
            continue
        for start in range(
            -low, geometry.stride[axis] * geometry.output[axis] - low, geometry.stride[axis]
        ):
            if not any(0 <= start + t * d < h for t in range(k)):
                raise ValueError(
                    f"{op}: padding must leave every window an element of the map, "
                    f"got {(low, high)} for a map of {h} and {k} taps at a distance of {d}"
                )


def smallest_pooled(
    op: str, output: Sequence[int], window: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: Any,
) -> list[int]:  # fmt: skip
    """The size of the smallest map whose pooling has that size."""
    ceil_mode = check.boolean(op, "ceil_mode", ceil_mode)
    if ceil_mode or follows_size(padding):
        raise ValueError(
            f"{op}: input_size must be given with ceil_mode or padding that depends on it, "
            f"got None with ceil_mode={ceil_mode} and padding={check.shown(padding)}"
        )
    axes = len(output)
    taps = check.per_axis(op, "window", window, axes)
    apart = check.per_axis(op, "dilation", dilation, axes)
    # The geometry of one window, on a map of its own size, has the padding and the stride.
    one = parse_pool_geometry(
        op, [(k - 1) * d + 1 for k, d in zip(taps, apart, strict=True)],
        taps, stride, padding, apart,
    )  # fmt: skip
    return smallest_input(output, one)


@dataclass(frozen=True)
class AdaptiveGeometry:
    """Windows made to give an output of a certain size: they differ in size and may overlap.

    Window i of p on a map of h reaches from floor(i·h/p) up to but not including ceil((i+1)·h/p).
    """

    input: tuple[int, ...]
    output: tuple[int, ...]

    def windows(self, axis: int) -> list[tuple[int, int]]:
        """(start, end) of every window along a spatial axis."""
        h, p = self.input[axis], self.output[axis]
        return [(i * h // p, -(-(i + 1) * h // p)) for i in range(p)]

    def reached_by(self, axis: int) -> list[tuple[int, int]]:
        """(first, last + 1) of the windows that hold each element: they follow one another."""
        windows = list(enumerate(self.windows(axis)))
        holders = [[i for i, (a, b) in windows if a <= h < b] for h in range(self.input[axis])]
        return [(held[0], held[-1] + 1) for held in holders]
