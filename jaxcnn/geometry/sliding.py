"""A window that slides over a map: its sizes, and how they are read off what a user gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jax import lax

from jaxcnn import check
from jaxcnn.geometry.padding import pads_of
from jaxcnn.sizes import larger, surely

PerAxis = int | Sequence[int]  # one number for all axes of space, or one for each
Method = str  # "direct" or the name of a form, of `jaxcnn.lowering`
Precision = (
    None | str | lax.Precision | lax.DotAlgorithmPreset
    | tuple[str, str] | tuple[lax.Precision, lax.Precision]
)  # fmt: skip


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
        """The output's size with stride − 1 zeros between its elements; none of none."""
        sizes = zip(self.output, self.stride, strict=True)
        return tuple(larger((p - 1) * s + 1, 0) for p, s in sizes)

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
    def transposed(self) -> "Geometry":
        """The geometry of full(dilate(δ), rot180(k)), the correlation that is the input gradient.

        `full` pads by extent − 1, of which the padding here supplied `low` already; at the high end
        it pads up to the size of the input, so a remainder that no window reached gets zeros.
        """
        sizes = zip(self.dilated_input, self.dilated_output, self.extent, self.padding, strict=True)
        return replace(
            self,
            input=self.output,
            output=self.input,
            stride=self.input_dilation,
            padding=tuple((e - 1 - low, h - p + low) for h, p, e, (low, _) in sizes),
            input_dilation=self.stride,
        )

    @property
    def of_kernel_grad(self) -> "Geometry":
        """The geometry of x ⋆ dilate(δ), whose taps are the places of δ: stride and dilation change
        places. The high padding stops where the last tap stops, whatever remainder was left.
        """
        sizes = zip(self.dilated_input, self.dilated_output, self.extent, self.padding, strict=True)
        return replace(
            self,
            window=self.output,
            output=self.window,
            stride=self.dilation,
            padding=tuple((low, e - 1 + p - h - low) for h, p, e, (low, _) in sizes),
            dilation=self.stride,
        )

    def changed(self, **settings: Any) -> "Geometry":
        """The same with other values of some settings; the output follows from all of them."""
        new = replace(self, **settings)
        rooms = zip(new.dilated_input, new.padding, new.extent, new.stride, strict=True)
        output = (larger((h + low + high - e) // s + 1, 0) for h, (low, high), e, s in rooms)
        return replace(new, output=tuple(output))

    @property
    def whole(self) -> bool:
        """Whether the only window is the whole map."""
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
    stride = check.per_axis(op, "stride", stride, axes)
    dilation = check.per_axis(op, "dilation", dilation, axes)
    input_dilation = check.per_axis(op, "input_dilation", input_dilation, axes)
    dilated = [(h - 1) * a + 1 for h, a in zip(input_size, input_dilation, strict=True)]
    extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    pads = pads_of(op, padding, dilated, extent, stride)
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
        output.append(larger(p, 0))  # 0 where a symbol stands for too small a map
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


def smallest_input(output: Sequence[int], geometry: Geometry) -> list[int]:
    """(p − 1)·stride + extent − low − high: the smallest map with p of these windows.

    The geometry's own sizes do not matter.
    """
    return [
        (p - 1) * s + e - low - high
        for p, s, e, (low, high) in zip(
            output, geometry.stride, geometry.extent, geometry.padding, strict=True
        )
    ]
