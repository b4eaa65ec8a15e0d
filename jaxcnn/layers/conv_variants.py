"""Relatives of the convolution as layers: depthwise, by a table of connections, transposed."""

from dataclasses import dataclass, field

from jax.nn import initializers

from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, Window, extents, per_axis, wanted
from jaxcnn.layers.combinators import Serial, serial
from jaxcnn.layers.conv import Conv, check_padding_mode, fractions, own_padding, shown_padding
from jaxcnn.layers.leaves import he_normal, zeros
from jaxcnn.layers.settings import (
    Amounts,
    AnyPadding,
    Count,
    Mode,
    PerAxis,
    Products,
    check_arguments,
)
from jaxcnn.ops.conv import conv_map
from jaxcnn.ops.conv_variants import conv_transpose, conv_transpose_map, depthwise_conv
from jaxcnn.ops.pad import pad_map
from jaxcnn.ops.table_conv import check_table, table_conv, table_conv_map

# The kernel is that of the convolution whose adjoint the layer is: its last axis comes in.
he_normal_transposed: Initializer = initializers.he_normal(in_axis=-1, out_axis=-2)


@dataclass(frozen=True)
class DepthwiseConv(Leaf):
    """y = x ⋆ k + b, every map by itself, with `multiplier` filters each; see `depthwise_conv`.

    `padding_mode` as for `Conv`.
    """

    parameter_names = ("kernel", "bias")

    rule: Rule = field(default=conv_map, kw_only=True)
    precision: Products = field(default=None, kw_only=True)
    padding_mode: Mode = field(default="zeros", kw_only=True)
    pad_rule: Rule = field(default=pad_map, kw_only=True)
    window_size: PerAxis
    multiplier: Count = 1
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    dilation: PerAxis = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros

    def __post_init__(self):
        super().__post_init__()
        check_padding_mode(self)

    def parameters(self, shape):  # noqa: D102
        filters = shape[-1] * self.multiplier
        kernel = (*per_axis(self, "window_size", shape), 1, filters)
        bias = {"bias": Parameter((filters,), self.bias_init)} if self.use_bias else {}
        return {"kernel": Parameter(kernel, self.kernel_init), **bias}

    def first(self, x):  # noqa: D102
        return shown_padding(self, x)

    def window(self, shape):  # noqa: D102
        return Window(extents(self, shape), per_axis(self, "stride", shape))

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return depthwise_conv(
            x, *wanted(self, params), stride=self.stride, padding=own_padding(self),
            dilation=self.dilation, precision=self.precision, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class TableConv(Leaf):
    """y_d = Σ_{c ∈ M_d} x_c ⋆ w_cd + b_d: output d reads the maps that table[d] names.

    `padding_mode` as for `Conv`; see `jaxcnn.table_conv`.
    """

    parameter_names = ("weights", "bias")

    rule: Rule = field(default=table_conv_map, kw_only=True)
    precision: Products = field(default=None, kw_only=True)
    padding_mode: Mode = field(default="zeros", kw_only=True)
    pad_rule: Rule = field(default=pad_map, kw_only=True)
    table: tuple[tuple[int, ...], ...]
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    dilation: PerAxis = field(default=1, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        check_padding_mode(self)
        check_table("TableConv", self.table)

    def parameters(self, shape):  # noqa: D102
        weights = (*per_axis(self, "window_size", shape), sum(map(len, self.table)))
        bias = {"bias": Parameter((len(self.table),), self.bias_init)} if self.use_bias else {}
        return {"weights": Parameter(weights, self._init), **bias}

    def _init(self, key, shape, dtype):
        # The initialiser reads fan_in off a whole kernel: as wide as a typical selection.
        whole = (*shape[:-1], max(1, round(shape[-1] / len(self.table))), shape[-1])
        kernel = self.kernel_init(key, whole, dtype)
        return kernel[..., 0, :] if getattr(kernel, "shape", None) == whole else kernel

    def first(self, x):  # noqa: D102
        return shown_padding(self, x)

    def window(self, shape):  # noqa: D102
        return Window(extents(self, shape), per_axis(self, "stride", shape))

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return table_conv(
            x, *wanted(self, params), table=self.table, stride=self.stride,
            padding=own_padding(self), dilation=self.dilation, precision=self.precision, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class ConvTranspose(Leaf):
    """y = full(dilate(x), rot180(k)) + b, with `features` channels; see `jaxcnn.conv_transpose`.

    Its padding crops y, so that there is nothing for a `padding_mode` to show: as in PyTorch, whose
    transposed convolutions take "zeros" alone, there is none. Put a `Pad` before it instead.
    """

    parameter_names = ("kernel", "bias")

    rule: Rule = field(default=conv_transpose_map, kw_only=True)
    precision: Products = field(default=None, kw_only=True)
    features: Count
    window_size: PerAxis
    stride: PerAxis = 1
    padding: AnyPadding = "VALID"
    output_padding: Amounts = 0
    dilation: PerAxis = 1
    groups: Count = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal_transposed
    bias_init: Initializer = zeros

    def __post_init__(self):
        super().__post_init__()
        if self.features % self.groups:
            raise ValueError(
                f"ConvTranspose: groups must divide features, got {self.groups} for {self.features}"
            )

    def parameters(self, shape):  # noqa: D102
        window = per_axis(self, "window_size", shape)
        kernel = (*window, self.features // self.groups, shape[-1])
        bias = {"bias": Parameter((self.features,), self.bias_init)} if self.use_bias else {}
        return {"kernel": Parameter(kernel, self.kernel_init), **bias}

    def window(self, shape):  # noqa: D102
        # Among neighbours of y, one in `stride` is at the place of an element of x.
        stride = per_axis(self, "stride", shape)
        ones = (1,) * len(stride)
        return Window(fractions(extents(self, shape), stride), fractions(ones, stride))

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return conv_transpose(
            x, *wanted(self, params), stride=self.stride, padding=self.padding,
            output_padding=self.output_padding, dilation=self.dilation, groups=self.groups,
            precision=self.precision, rule=rule,
        )  # fmt: skip


def separable_conv(
    features: Count,
    window_size: PerAxis,
    *,
    stride: PerAxis = 1,
    padding: AnyPadding = "SAME",
    dilation: PerAxis = 1,
    multiplier: Count = 1,
    use_bias: bool = True,
    padding_mode: Mode = "zeros",
    precision: Products = None,
) -> Serial:
    """A depthwise convolution, then a 1×1 convolution: N·M + M·K² weights instead of N·M·K².

    Quan, "Conventional vs. depth-wise convolution": M maps in, N out, K×K windows.

    Args:
        features: how many maps come out.
        window_size: of the depthwise convolution, as stride, padding, dilation and padding_mode.
        stride: see `jaxcnn.conv`.
        padding: see `jaxcnn.conv`.
        dilation: see `jaxcnn.conv`.
        multiplier: how many filters every map has in the depthwise convolution.
        use_bias: whether the 1×1 convolution has a bias; the depthwise one has none.
        padding_mode: see `Conv`.
        precision: of the products of both.

    Raises:
        ValueError: padding_mode is none of those of `jaxcnn.pad`.
    """
    check_arguments(separable_conv, locals())
    depthwise = DepthwiseConv(
        window_size, multiplier, stride, padding, dilation, use_bias=False,
        padding_mode=padding_mode, precision=precision,
    )  # fmt: skip
    pointwise = Conv(features, 1, use_bias=use_bias, precision=precision)
    return serial(depthwise=depthwise, pointwise=pointwise)
