"""The convolutions as layers; and what padding with other things than zeros asks of a layer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from jaxcnn import check
from jaxcnn.geometry import check_padding, parse_geometry
from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, Window, extents, per_axis, wanted
from jaxcnn.layers.leaves import he_normal, zeros
from jaxcnn.layers.settings import AnyPadding, By, Count, Mode, PerAxis, Products
from jaxcnn.layers.shape import Pad
from jaxcnn.ops.conv import conv, conv_map
from jaxcnn.ops.conv_variants import true_conv, true_conv_map
from jaxcnn.ops.pad import pad_map


@dataclass(frozen=True)
class Conv(Leaf):
    """y = x ⋆ k + b, with `features` output channels; see `jaxcnn.conv`.

    `padding_mode` says what the padding shows: "zeros", "reflect", "replicate" or "circular"; all
    but the first are `jaxcnn.pad` before the convolution, by its own rule, `pad_rule`. `method` is
    "direct" or "fft".
    """

    parameter_names = ("kernel", "bias")

    rule: Rule = field(default=conv_map, kw_only=True)
    precision: Products = field(default=None, kw_only=True)
    padding_mode: Mode = field(default="zeros", kw_only=True)
    pad_rule: Rule = field(default=pad_map, kw_only=True)
    features: Count
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = 1
    groups: Count = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    input_dilation: PerAxis = field(default=1, kw_only=True)
    method: By = field(default="direct", kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        check_padding_mode(self, self.input_dilation)

    def parameters(self, shape):  # noqa: D102
        return kernel_and_bias(self, shape)

    def first(self, x):  # noqa: D102
        return shown_padding(self, x)

    def window(self, shape):  # noqa: D102
        return dilated_window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return conv(
            x, *wanted(self, params), stride=self.stride, padding=own_padding(self),
            dilation=self.dilation, input_dilation=self.input_dilation, groups=self.groups,
            precision=self.precision, method=self.method, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class TrueConv(Leaf):
    """y = x ⋆ rot180(k) + b, the convolution of mathematics; see `Conv` and `jaxcnn.true_conv`."""

    parameter_names = ("kernel", "bias")

    rule: Rule = field(default=true_conv_map, kw_only=True)
    precision: Products = field(default=None, kw_only=True)
    padding_mode: Mode = field(default="zeros", kw_only=True)
    pad_rule: Rule = field(default=pad_map, kw_only=True)
    features: Count
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = 1
    groups: Count = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    input_dilation: PerAxis = field(default=1, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        check_padding_mode(self, self.input_dilation)

    def parameters(self, shape):  # noqa: D102
        return kernel_and_bias(self, shape)

    def first(self, x):  # noqa: D102
        return shown_padding(self, x)

    def window(self, shape):  # noqa: D102
        return dilated_window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return true_conv(
            x, *wanted(self, params), stride=self.stride, padding=own_padding(self),
            dilation=self.dilation, input_dilation=self.input_dilation, groups=self.groups,
            precision=self.precision, rule=rule,
        )  # fmt: skip


def kernel_and_bias(layer: Conv | TrueConv, shape: Sequence[int]) -> dict[str, Parameter]:
    """Every filter reads all maps of its group."""
    kernel = *per_axis(layer, "window_size", shape), shape[-1] // layer.groups, layer.features
    bias = {"bias": Parameter((layer.features,), layer.bias_init)} if layer.use_bias else {}
    return {"kernel": Parameter(kernel, layer.kernel_init), **bias}


def dilated_window(layer: Conv | TrueConv, shape: Sequence[int]) -> Window:
    """The window as seen by x: of `input_dilation` places in a row, one holds an element of x."""
    dilation = per_axis(layer, "input_dilation", shape)
    sizes = extents(layer, shape), per_axis(layer, "stride", shape)
    return Window(*(fractions(size, dilation) for size in sizes))


def fractions(sizes: Sequence[int], parts: Sequence[int]) -> list[Fraction]:
    """Size / part along every axis."""
    return [Fraction(size, part) for size, part in zip(sizes, parts, strict=True)]


# Padding that shows other things than zeros ------------------------------------------------------
#
# `padding` says how much there is, `padding_mode` what it shows, as `jaxcnn.pad` has it. Other
# things than zeros are put there by that operation, whose rule is `pad_rule`, and the convolution
# pads no more. "CAUSAL" is an amount.


def check_padding_mode(layer: Any, input_dilation: int | Sequence[int] = 1) -> None:
    """Raise unless the layer's padding can show what it is to show."""
    if layer.padding_mode == "zeros":
        return
    name, given = type(layer).__name__, input_dilation
    check_padding(name, "padding", layer.padding, minimum=0)
    if any(rate != 1 for rate in (given if isinstance(given, Sequence) else (given,))):
        raise ValueError(
            f"{name}: input_dilation must be 1 where the padding shows other things than zeros, "
            f"got {check.shown(given)} with padding_mode {check.shown(layer.padding_mode)}"
        )


def own_padding(layer: Any) -> Any:
    """What is left for the convolution to pad."""
    return layer.padding if layer.padding_mode == "zeros" else "VALID"


def shown_padding(layer: Any, x: Any) -> Pad | None:
    """What x goes through first."""
    if layer.padding_mode == "zeros":
        return None
    name = type(layer).__name__
    shape = check.maps(name, "x", x).shape[1:]
    geometry = parse_geometry(
        name, shape[:-1], per_axis(layer, "window_size", shape), stride=layer.stride,
        padding=layer.padding, dilation=layer.dilation,
    )  # fmt: skip
    return Pad(geometry.padding, layer.padding_mode, rule=layer.pad_rule)
