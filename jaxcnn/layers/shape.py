"""Layers that move elements and compute nothing: padding, zeros between, patches, shapes."""

from dataclasses import dataclass, field
from fractions import Fraction

from jaxcnn.geometry import parse_resize_geometry
from jaxcnn.layers.base import Leaf, Rule, Window, extents, per_axis
from jaxcnn.layers.settings import (
    AnyPadding,
    Coordinates,
    Interpolation,
    MapSize,
    Mode,
    Order,
    PadAmount,
    PerAxis,
    Rounding,
    Scales,
    Size,
    Step,
)
from jaxcnn.ops.pad import pad, pad_map
from jaxcnn.ops.patches import fold, fold_map, patches, patches_map
from jaxcnn.ops.resize import resize, resize_map
from jaxcnn.ops.shape import (
    dilate,
    dilate_map,
    pixel_shuffle,
    pixel_shuffle_map,
    pixel_unshuffle,
    pixel_unshuffle_map,
    subsample,
    subsample_map,
    unflatten,
    unflatten_map,
)


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
        parts = [Fraction(1, s) for s in per_axis(self, "rate", shape)]
        return Window(parts, parts)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return dilate(x, self.rate, rule=rule)


@dataclass(frozen=True)
class Resize(Leaf):
    """y = x given another size, or scaled; see `jaxcnn.resize`."""

    size: Step = None
    scale: Scales = None
    method: Interpolation = "nearest"
    coordinates: Coordinates = "half_pixel"
    rounding: Rounding = "round_prefer_floor"
    rule: Rule = field(default=resize_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        geometry = parse_resize_geometry(
            "resize", shape[:-1], self.size, self.scale, self.method, self.coordinates,
            self.rounding,
        )  # fmt: skip
        taps = {"nearest": 1, "linear": 2, "cubic": 4}[self.method]
        return Window(taps, [geometry.step(axis) for axis in range(len(shape) - 1)])

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return resize(
            x, self.size, scale=self.scale, method=self.method, coordinates=self.coordinates,
            rounding=self.rounding, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class PixelShuffle(Leaf):
    """y = x with every element's channels spread over a block; see `jaxcnn.pixel_shuffle`."""

    block: PerAxis
    order: Order = "CRD"
    rule: Rule = field(default=pixel_shuffle_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return Window(1, [Fraction(1, b) for b in per_axis(self, "block", shape)])

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return pixel_shuffle(x, self.block, self.order, rule=rule)


@dataclass(frozen=True)
class PixelUnshuffle(Leaf):
    """y = x with every block put into the channels of one element; see `jaxcnn.pixel_unshuffle`."""

    block: PerAxis
    order: Order = "CRD"
    rule: Rule = field(default=pixel_unshuffle_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return Window(self.block, self.block)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return pixel_unshuffle(x, self.block, self.order, rule=rule)


@dataclass(frozen=True)
class Patches(Leaf):
    """y = one row of elements per window, in the place of channels; see `jaxcnn.patches`."""

    rule: Rule = field(default=patches_map, kw_only=True)
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = field(default=1, kw_only=True)

    def window(self, shape):  # noqa: D102
        return Window(extents(self, shape), per_axis(self, "stride", shape))

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return patches(
            x, self.window_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class Fold(Leaf):
    """y = the rows of windows put back on a map of `input_size`, added up; see `jaxcnn.fold`."""

    rule: Rule = field(default=fold_map, kw_only=True)
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = field(default=1, kw_only=True)
    input_size: MapSize = field(kw_only=True)

    def window(self, shape):  # noqa: D102
        # An element lies in the windows that begin at it or less than an extent before.
        parts = [Fraction(1, s) for s in per_axis(self, "stride", shape)]
        reach = zip(extents(self, shape), parts, strict=True)
        return Window([e * part for e, part in reach], parts)

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
