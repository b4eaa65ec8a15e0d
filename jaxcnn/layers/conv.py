"""The convolution as a layer, and what all convolutions have in common."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from jaxcnn import check
from jaxcnn.geometry import check_padding, parse_geometry
from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, Tree, Window, take
from jaxcnn.layers.leaves import he_normal, zeros
from jaxcnn.layers.settings import AnyPadding, By, Count, Mode, PerAxis, Products
from jaxcnn.layers.shape import Pad
from jaxcnn.ops.conv import conv, conv_map
from jaxcnn.ops.conv_variants import true_conv, true_conv_map
from jaxcnn.ops.pad import pad_map


class _Fields:
    """What every convolution has as fields, each in an order of its own."""

    window_size: PerAxis
    stride: PerAxis
    padding: AnyPadding
    dilation: PerAxis
    use_bias: bool
    bias_init: Initializer


@dataclass(frozen=True)
class Convolution(_Fields, Leaf):
    """What all of them have in common: a window, a bias if wanted, the precision of products."""

    parameter_names: ClassVar[tuple[str, ...]] = ("kernel", "bias")

    precision: Products = field(default=None, kw_only=True)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _per_axis(self, name: str, shape: Sequence[int]) -> tuple[int, ...]:
        """A setting along every spatial axis of examples of that shape."""
        return check.per_axis(self._name, name, getattr(self, name), len(shape) - 1)

    def _extent(self, shape: Sequence[int]) -> tuple[int, ...]:
        sizes = (self._per_axis(name, shape) for name in ("window_size", "dilation"))
        return tuple((k - 1) * d + 1 for k, d in zip(*sizes, strict=True))

    def _biases(self, count: int) -> dict[str, Parameter]:
        return {"bias": Parameter((count,), self.bias_init)} if self.use_bias else {}

    def _taken(self, params: Tree) -> list[Any]:
        """The kernel, and the bias or None."""
        kernel, bias = self.parameter_names
        return [take(params, kernel), take(params, bias) if self.use_bias else None]


@dataclass(frozen=True)
class Padded(Convolution):
    """Those whose padding can show other things than zeros.

    `padding` says how much there is, `padding_mode` what it shows: "zeros", "reflect", "replicate"
    or "circular", as `jaxcnn.pad` has them. Other things than zeros are put there by that
    operation, whose rule is `pad_rule`, and the convolution pads no more. "CAUSAL" is an amount.
    """

    padding_mode: Mode = field(default="zeros", kw_only=True)
    pad_rule: Rule = field(default=pad_map, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if self.padding_mode != "zeros":
            check_padding(self._name, "padding", self.padding, minimum=0)

    def first(self, x):  # noqa: D102
        if self.padding_mode == "zeros":
            return None
        shape = check.maps(self._name, "x", x).shape[1:]
        geometry = parse_geometry(
            self._name,
            shape[:-1],
            self._per_axis("window_size", shape),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )
        return Pad(geometry.padding, self.padding_mode, rule=self.pad_rule)

    def window(self, shape):  # noqa: D102
        return Window(self._extent(shape), self._per_axis("stride", shape))

    @property
    def _settings(self) -> dict[str, Any]:
        """The arguments that every convolution takes."""
        return {
            "stride": self.stride,
            "padding": self.padding if self.padding_mode == "zeros" else "VALID",
            "dilation": self.dilation,
            "precision": self.precision,
        }


@dataclass(frozen=True)
class _Full(Padded):
    """Those in which every filter reads all maps of its group."""

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
        given = self.input_dilation
        dilated = any(rate != 1 for rate in (given if isinstance(given, Sequence) else (given,)))
        if dilated and self.padding_mode != "zeros":
            raise ValueError(
                f"{self._name}: input_dilation must be 1 where the padding shows other things "
                f"than zeros, got {check.shown(given)} "
                f"with padding_mode {check.shown(self.padding_mode)}"
            )

    def parameters(self, shape):
        window, inputs = self._per_axis("window_size", shape), shape[-1] // self.groups
        kernel = Parameter((*window, inputs, self.features), self.kernel_init)
        return {"kernel": kernel, **self._biases(self.features)}

    def window(self, shape):
        # Of so many places in a row one in `input_dilation` holds an element of x.
        dilation = self._per_axis("input_dilation", shape)
        sizes = self._extent(shape), self._per_axis("stride", shape)
        return Window(*(fractions(size, dilation) for size in sizes))

    @property
    def _settings(self):
        return super()._settings | {"input_dilation": self.input_dilation, "groups": self.groups}


@dataclass(frozen=True)
class Conv(_Full):
    """y = x ⋆ k + b, with `features` output channels; see `jaxcnn.conv`.

    `padding_mode` says what the padding shows: "zeros", "reflect", "replicate" or "circular"; all
    but the first are `jaxcnn.pad` before the convolution, by its own rule, `pad_rule`. `method` is
    "direct" or "fft".
    """

    method: By = field(default="direct", kw_only=True)
    rule: Rule = field(default=conv_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return conv(x, *self._taken(params), **self._settings, method=self.method, rule=rule)


@dataclass(frozen=True)
class TrueConv(_Full):
    """y = x ⋆ rot180(k) + b, the convolution of mathematics; see `Conv` and `jaxcnn.true_conv`."""

    rule: Rule = field(default=true_conv_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return true_conv(x, *self._taken(params), **self._settings, rule=rule)


def fractions(sizes: Sequence[int], parts: Sequence[int]) -> list[Fraction]:
    """Size / part along every axis."""
    return [Fraction(size, part) for size, part in zip(sizes, parts, strict=True)]
