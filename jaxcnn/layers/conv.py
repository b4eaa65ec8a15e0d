"""Layers that are relatives of the convolution."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from jax.nn import initializers

from jaxcnn import check
from jaxcnn.geometry import Padding
from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, Window, take
from jaxcnn.layers.combinators import Serial, serial
from jaxcnn.layers.leaves import Conv, he_normal, zeros
from jaxcnn.ops.conv import conv_map
from jaxcnn.ops.conv_transpose import conv_transpose, conv_transpose_map
from jaxcnn.ops.conv_variants import depthwise_conv, table_conv, table_conv_map
from jaxcnn.ops.pad import pad, pad_map

# The kernel is that of the convolution whose adjoint the layer is: its last axis comes in.
he_normal_transposed: Initializer = initializers.he_normal(in_axis=-1, out_axis=-2)


def _extent(shape, window_size, dilation):
    axes = len(shape) - 1
    window = check.per_axis("summary", "window_size", window_size, axes)
    steps = check.per_axis("summary", "dilation", dilation, axes)
    return tuple((k - 1) * d + 1 for k, d in zip(window, steps, strict=True))


@dataclass(frozen=True)
class DepthwiseConv(Leaf):
    """y = x ⋆ k + b, every map by itself, with `multiplier` filters each; see `depthwise_conv`."""

    parameter_names = ("kernel", "bias")

    window_size: int | Sequence[int]
    multiplier: int = 1
    stride: int | Sequence[int] = 1
    padding: Padding = "VALID"
    dilation: int | Sequence[int] = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    rule: Rule = field(default=conv_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        window = check.per_axis("DepthwiseConv", "window_size", self.window_size, len(shape) - 1)
        filters = shape[-1] * check.integer(
            "DepthwiseConv", "multiplier", self.multiplier, minimum=1
        )
        bias = {"bias": Parameter((filters,), self.bias_init)} if self.use_bias else {}
        return {"kernel": Parameter((*window, 1, filters), self.kernel_init), **bias}

    def window(self, shape):  # noqa: D102
        return Window(_extent(shape, self.window_size, self.dilation), self.stride)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return depthwise_conv(
            x,
            take(params, "kernel"),
            take(params, "bias") if self.use_bias else None,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            rule=rule,
        )


@dataclass(frozen=True)
class TableConv(Leaf):
    """y_d = Σ_{c ∈ M_d} x_c ⋆ w_cd + b_d: output d reads the maps that table[d] names."""

    parameter_names = ("weights", "bias")

    table: tuple[tuple[int, ...], ...]
    window_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "VALID"
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    rule: Rule = field(default=table_conv_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        window = check.per_axis("TableConv", "window_size", self.window_size, len(shape) - 1)
        bias = {"bias": Parameter((len(self.table),), self.bias_init)} if self.use_bias else {}
        return {"weights": Parameter((*window, sum(map(len, self.table))), self._init), **bias}

    def _init(self, key, shape, dtype):
        # The initialiser reads fan_in off a whole kernel: as wide as a typical selection.
        inputs = max(1, round(shape[-1] / len(self.table)))
        return self.kernel_init(key, (*shape[:-1], inputs, shape[-1]), dtype)[..., 0, :]

    def window(self, shape):  # noqa: D102
        return Window(_extent(shape, self.window_size, 1), self.stride)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return table_conv(
            x,
            take(params, "weights"),
            take(params, "bias") if self.use_bias else None,
            table=self.table,
            stride=self.stride,
            padding=self.padding,
            rule=rule,
        )


@dataclass(frozen=True)
class ConvTranspose(Leaf):
    """y = full(dilate(x), rot180(k)) + b, with `features` channels; see `jaxcnn.conv_transpose`."""

    parameter_names = ("kernel", "bias")

    features: int
    window_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "VALID"
    output_padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal_transposed
    bias_init: Initializer = zeros
    rule: Rule = field(default=conv_transpose_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        window = check.per_axis("ConvTranspose", "window_size", self.window_size, len(shape) - 1)
        features = check.integer("ConvTranspose", "features", self.features, minimum=1)
        groups = check.integer("ConvTranspose", "groups", self.groups, minimum=1)
        if features % groups:
            raise ValueError(
                f"ConvTranspose: groups must divide features, got {groups} for {features}"
            )
        kernel = (*window, features // groups, shape[-1])
        bias = {"bias": Parameter((features,), self.bias_init)} if self.use_bias else {}
        return {"kernel": Parameter(kernel, self.kernel_init), **bias}

    def window(self, shape):  # noqa: D102
        # An element of y reads at most ⌈extent / stride⌉ neighbouring elements of x; neighbours of
        # y are closer than those of x, which a jump in whole elements cannot say: it stays 1.
        extent = _extent(shape, self.window_size, self.dilation)
        steps = check.per_axis("summary", "stride", self.stride, len(shape) - 1)
        return Window(tuple(-(-e // s) for e, s in zip(extent, steps, strict=True)), 1)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return conv_transpose(
            x,
            take(params, "kernel"),
            take(params, "bias") if self.use_bias else None,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
            rule=rule,
        )


@dataclass(frozen=True)
class Pad(Leaf):
    """y = x with elements added around it: zeros, reflected, replicated or wrapped; see `pad`."""

    padding: Padding
    mode: str = "zeros"
    rule: Rule = field(default=pad_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return pad(x, self.padding, self.mode, rule=rule)


def separable_conv(
    features: int,
    window_size: int | Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    multiplier: int = 1,
    use_bias: bool = True,
) -> Serial:
    """A depthwise convolution, then a 1×1 convolution: N·M + M·K² weights instead of N·M·K².

    Quan, "Conventional vs. depth-wise convolution": M maps in, N out, K×K windows.
    """
    depthwise = DepthwiseConv(window_size, multiplier, stride, padding, use_bias=False)
    return serial(depthwise=depthwise, pointwise=Conv(features, 1, use_bias=use_bias))
