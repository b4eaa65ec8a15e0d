"""The static geometry of a window that slides over a map: parsed and checked once, here.

A frozen, hashable `Geometry` is shared by a convolution, its two gradients and every pooling, so a
strided adjoint is never ambiguous: it gets the geometry of the forward pass, remainder included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jax import lax

from jaxcnn import check
from jaxcnn.sizes import known, larger, surely

Padding = str | int | Sequence[int | tuple[int, int]]
PerAxis = int | Sequence[int]  # one number for all axes of space, or one for each
Method = Literal["direct", "fft"]
Precision = None | str | lax.Precision | tuple[str, str] | tuple[lax.Precision, lax.Precision]


@dataclass(frozen=True)
class Geometry:
    """Sizes per spatial axis. Output: p = (dilated input + low + high − extent) // stride + 1.

    The extent of a window of k taps is (k − 1)·dilation + 1. `groups`, `precision`, that of the
    products, and `method` concern convolutions only; all gradients keep them. `overhang` concerns
    poolings: how much of the high padding a rounding up has added, () for none.
    """

    input: tuple[int, ...]
    window: tuple[int, ...]
    output: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...]
    groups: int = 1
    overhang: tuple[int, ...] = ()
    precision: Any = None
    method: Method = "direct"

    @classmethod
    def tiles(cls, size: tuple[int, ...], window: tuple[int, ...]) -> "Geometry":
        """Windows side by side, without padding; a remainder at the end stays outside."""
        return cls(
            input=size,
            window=window,
            output=tuple(h // k for h, k in zip(size, window, strict=True)),
            stride=window,
            padding=((0, 0),) * len(size),
            dilation=(1,) * len(size),
            input_dilation=(1,) * len(size),
        )

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.input)

    @property
    def dilated_input(self) -> tuple[int, ...]:
        """The input's size with the zeros of the input dilation in it."""
        return tuple((h - 1) * a + 1 for h, a in zip(self.input, self.input_dilation, strict=True))

    @property
    def dilated_output(self) -> tuple[int, ...]:
        """The output's size with stride − 1 zeros between its elements."""
        return tuple((p - 1) * s + 1 for p, s in zip(self.output, self.stride, strict=True))

    @property
    def extent(self) -> tuple[int, ...]:
        """The window's size with its dilation."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.window, self.dilation, strict=True))

    @property
    def taps(self) -> int:
        """How many elements a window has."""
        return math.prod(self.window)

    @property
    def counted_padding(self) -> tuple[tuple[int, int], ...]:
        """The padding that was asked for, without the overhang."""
        overhang = self.overhang or (0,) * self.axes
        return tuple(
            (low, high - over) for (low, high), over in zip(self.padding, overhang, strict=True)
        )

    @property
    def whole(self) -> bool:
        """Whether there is one window, and it is the map."""
        return self.tiling and self.window == self.input

    @property
    def tiling(self) -> bool:
        """Whether the windows neither overlap nor leave gaps nor reach into padding."""
        return (
            self.window == self.stride
            and not any(low or high for low, high in self.padding)
            and set(self.dilation) | set(self.input_dilation) == {1}
        )


def parse_geometry(
    op: str,
    input_size: Sequence[int],
    window: Sequence[int],
    *,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    input_dilation: Any = 1,
    groups: int = 1,
    precision: Any = None,
    method: Method = "direct",
    ceil_mode: bool = False,
    window_name: str = "kernel",
) -> Geometry:
    """Parse and check everything that says how a window slides over a map of the given size."""
    axes = len(window)
    check_method(op, "method", method)
    stride = check.per_axis(op, "stride", stride, axes)
    dilation = check.per_axis(op, "dilation", dilation, axes)
    input_dilation = check.per_axis(op, "input_dilation", input_dilation, axes)
    dilated = [(h - 1) * a + 1 for h, a in zip(input_size, input_dilation, strict=True)]
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    pads = _parse_padding(op, padding, dilated, extent, stride)
    if ceil_mode or method == "fft":
        what = "ceil_mode" if ceil_mode else "method 'fft'"
        check.known_sizes(op, what, (*input_size, *window))
    output, overhang = [], []
    for axis, (h, (low, high), e, s) in enumerate(zip(dilated, pads, extent, stride, strict=True)):
        room = h + low + high - e
        p = room // s + 1
        # PyTorch's rule: a last window that overhangs must start on the map or in its low padding.
        if ceil_mode and room % s and p * s < h + low:
            p += 1
        if surely(lambda p=p: p < 1):
            raise ValueError(
                f"{op}: {window_name} must not be larger than the padded map, got an extent of {e} "
                f"on a map of {h} + {low} + {high} in spatial axis {axis}"
            )
        output.append(p)
        overhang.append(max((p - 1) * s - room, 0) if ceil_mode else 0)
    return Geometry(
        input=tuple(input_size),
        window=tuple(window),
        output=tuple(output),
        stride=stride,
        padding=tuple((low, high + o) for (low, high), o in zip(pads, overhang, strict=True)),
        dilation=dilation,
        input_dilation=input_dilation,
        groups=groups,
        overhang=tuple(overhang) if any(overhang) else (),
        precision=precision,
        method=method,
    )


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


_WORDS = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")


def parse_padding(
    op: str, padding: Any, axes: int, *, words: bool = False, minimum: int | None = None
) -> tuple[tuple[int, int], ...]:
    """(low, high) per spatial axis, from numbers; `words`: whether a message offers those too."""
    if not isinstance(padding, (Sequence, str)):
        amount = check.integer(op, "padding", padding, minimum=minimum)
        return ((amount, amount),) * axes
    pairs = None
    if check.is_sequence(padding) and len(padding) == axes:
        pairs = [entry if check.is_sequence(entry) else (entry, entry) for entry in padding]
    if pairs is None or any(len(pair) != 2 for pair in pairs):
        spelled = "".join(f'"{word}", ' for word in _WORDS) if words else ""
        raise ValueError(
            f"{op}: padding must be {spelled}an integer, or one entry per spatial axis ({axes}), "
            f"each an integer or a (low, high) pair, got {check.shown(padding)}"
        )
    low_high = [check.integers(op, "padding", pair, minimum=minimum) for pair in pairs]
    return tuple((low, high) for low, high in low_high)


def check_padding(
    op: str, name: str, value: Any, *, words: bool = True, minimum: int | None = None
) -> None:
    """Raise unless this can be a padding, however many axes there are."""
    del name
    if not (words and isinstance(value, str) and value.upper() in _WORDS):
        axes = len(value) if check.is_sequence(value) and 1 <= len(value) <= 3 else 1
        parse_padding(op, value, axes, words=words, minimum=minimum)


def check_method(op: str, name: str, value: Any) -> None:
    """Raise unless this is a way to convolve."""
    if not isinstance(value, str) or value not in ("direct", "fft"):
        raise ValueError(f'{op}: {name} must be "direct" or "fft", got {check.shown(value)}')


def _parse_padding(
    op: str, padding: Any, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """(low, high) per spatial axis, from any of the accepted spellings."""
    match padding.upper() if isinstance(padding, str) else None:
        case "VALID":
            return ((0, 0),) * len(size)
        case "FULL":
            return tuple((e - 1, e - 1) for e in extent)
        case "CAUSAL":
            # No output sees what comes after it, along any axis.
            return tuple((e - 1, 0) for e in extent)
        case "SAME" | "SAME_LOWER" as word:
            # The output has ceil(h / stride) elements; an odd zero goes to the end for SAME.
            total = [
                larger((-(-h // s) - 1) * s + e - h, 0)
                for h, e, s in zip(size, extent, stride, strict=True)
            ]
            less, more = [t // 2 for t in total], [t - t // 2 for t in total]
            low, high = (less, more) if word == "SAME" else (more, less)
            return tuple(zip(low, high, strict=True))
    return parse_padding(op, padding, len(size), words=True)
