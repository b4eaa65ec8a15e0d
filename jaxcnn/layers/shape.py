"""Layers that move elements and compute nothing: padding, zeros between, patches, shapes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from jaxcnn import check
from jaxcnn.layers.base import Leaf, Rule, Window
from jaxcnn.layers.settings import AnyPadding, MapSize, Mode, PadAmount, PerAxis, Size
from jaxcnn.ops.pad import pad, pad_map
from jaxcnn.ops.patches import fold, fold_map, patches, patches_map
from jaxcnn.ops.shape import dilate, dilate_map, subsample, subsample_map, unflatten, unflatten_map


@dataclass(frozen=True)
class Pad(Leaf):
    """y = x with elements added around it: zeros, reflected, replicated or wrapped; see `pad`."""

    padding: PadAmount
    mode: Mode = "zeros"
    rule: Rule = field(default=pad_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return pad(x, self.padding, self.mode, rule=rule)


@dataclass(frozen=True)
class Subsample(Leaf):
    """y = every element at a multiple of the rate; see `jaxcnn.subsample`."""

    rate: PerAxis
    rule: Rule = field(default=subsample_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return Window(1, self.rate)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return subsample(x, self.rate, rule=rule)


@dataclass(frozen=True)
class Dilate(Leaf):
    """y = x with rate − 1 zeros between its elements; see `jaxcnn.dilate`."""

    rate: PerAxis
    rule: Rule = field(default=dilate_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        rate = check.per_axis("Dilate", "rate", self.rate, len(shape) - 1)
        parts = [Fraction(1, s) for s in rate]
        return Window(parts, parts)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return dilate(x, self.rate, rule=rule)


@dataclass(frozen=True)
class _Windows(Leaf):
    """What patches and their folding have in common."""

    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = field(default=1, kw_only=True)

    def _sizes(self, shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The extent of the window and its stride, along every axis."""
        taps, stride, dilation = (
            check.per_axis(type(self).__name__, name, getattr(self, name), len(shape) - 1)
            for name in ("window_size", "stride", "dilation")
        )
        return tuple((k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)), stride


@dataclass(frozen=True)
class Patches(_Windows):
    """y = one row of elements per window, in the place of channels; see `jaxcnn.patches`."""

    rule: Rule = field(default=patches_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return Window(*self._sizes(shape))

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return patches(
            x, self.window_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class Fold(_Windows):
    """y = the rows of windows put back on a map of `input_size`, added up; see `jaxcnn.fold`."""

    input_size: MapSize = field(kw_only=True)
    rule: Rule = field(default=fold_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        # An element lies in the windows that begin at it or less than an extent before.
        extent, stride = self._sizes(shape)
        parts = [Fraction(1, s) for s in stride]
        return Window([e * part for e, part in zip(extent, parts, strict=True)], parts)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return fold(
            x, self.window_size, input_size=self.input_size, stride=self.stride,
            padding=self.padding, dilation=self.dilation, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class Unflatten(Leaf):
    """y = every row of x in the given shape; see `jaxcnn.unflatten`."""

    shape: Size
    rule: Rule = field(default=unflatten_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return unflatten(x, self.shape, rule=rule)
