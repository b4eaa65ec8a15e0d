"""The poolings as layers, and the upsampling that undoes their shrinking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from jaxcnn.layers.base import Leaf, Rule, Window, extents, per_axis
from jaxcnn.layers.settings import Exponent, PerAxis, PoolPadding, Step
from jaxcnn.ops.adaptive_pool import (
    adaptive_avg_pool,
    adaptive_avg_pool_map,
    adaptive_max_pool,
    adaptive_max_pool_map,
)
from jaxcnn.ops.global_pool import global_avg_pool, global_max_pool
from jaxcnn.ops.lp_pool import lp_pool, lp_pool_map
from jaxcnn.ops.max_pool import max_pool, max_pool_map
from jaxcnn.ops.sum_pool import (
    avg_pool,
    avg_pool_map,
    sum_pool,
    sum_pool_map,
    upsample,
    upsample_map,
)


@dataclass(frozen=True)
class MaxPool(Leaf):
    """y = the maximum over every window; see `jaxcnn.max_pool`."""

    rule: Rule = field(default=max_pool_map, kw_only=True)
    window_size: PerAxis
    stride: Step = None
    padding: PoolPadding = "VALID"
    dilation: PerAxis = 1
    ceil_mode: bool = False

    def window(self, shape):  # noqa: D102
        return _window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return max_pool(
            x, self.window_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            ceil_mode=self.ceil_mode, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class AvgPool(Leaf):
    """y = the average over every window; see `jaxcnn.avg_pool`."""

    rule: Rule = field(default=avg_pool_map, kw_only=True)
    window_size: PerAxis
    stride: Step = None
    padding: PoolPadding = "VALID"
    dilation: PerAxis = 1
    ceil_mode: bool = False
    count_include_pad: bool = True

    def window(self, shape):  # noqa: D102
        return _window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return avg_pool(
            x, self.window_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            ceil_mode=self.ceil_mode, count_include_pad=self.count_include_pad, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class SumPool(Leaf):
    """y = the sum over every window; see `jaxcnn.sum_pool`."""

    rule: Rule = field(default=sum_pool_map, kw_only=True)
    window_size: PerAxis
    stride: Step = None
    padding: PoolPadding = "VALID"
    dilation: PerAxis = 1
    ceil_mode: bool = False

    def window(self, shape):  # noqa: D102
        return _window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return sum_pool(
            x, self.window_size, stride=self.stride, padding=self.padding, dilation=self.dilation,
            ceil_mode=self.ceil_mode, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class LpPool(Leaf):
    """y = the p-norm of every window; see `jaxcnn.lp_pool`."""

    rule: Rule = field(default=lp_pool_map, kw_only=True)
    window_size: PerAxis
    stride: Step = None
    padding: PoolPadding = "VALID"
    dilation: PerAxis = 1
    ceil_mode: bool = False
    p: Exponent = field(default=2, kw_only=True)

    def window(self, shape):  # noqa: D102
        return _window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return lp_pool(
            x, self.window_size, self.p, stride=self.stride, padding=self.padding,
            dilation=self.dilation, ceil_mode=self.ceil_mode, rule=rule,
        )  # fmt: skip


@dataclass(frozen=True)
class GlobalMaxPool(Leaf):
    """y = the maximum of the whole map; see `jaxcnn.global_max_pool`."""

    keepdims: bool = False
    rule: Rule = field(default=max_pool_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return global_max_pool(x, keepdims=self.keepdims, rule=rule)


@dataclass(frozen=True)
class GlobalAvgPool(Leaf):
    """y = the average of the whole map; see `jaxcnn.global_avg_pool`."""

    keepdims: bool = False
    rule: Rule = field(default=avg_pool_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return global_avg_pool(x, keepdims=self.keepdims, rule=rule)


@dataclass(frozen=True)
class AdaptiveMaxPool(Leaf):
    """y = the maximum over windows of fitting sizes; see `jaxcnn.adaptive_max_pool`."""

    rule: Rule = field(default=adaptive_max_pool_map, kw_only=True)
    output_size: PerAxis

    def window(self, shape):  # noqa: D102
        return _fitted_window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return adaptive_max_pool(x, self.output_size, rule=rule)


@dataclass(frozen=True)
class AdaptiveAvgPool(Leaf):
    """y = the average over windows of fitting sizes; see `jaxcnn.adaptive_avg_pool`."""

    rule: Rule = field(default=adaptive_avg_pool_map, kw_only=True)
    output_size: PerAxis

    def window(self, shape):  # noqa: D102
        return _fitted_window(self, shape)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return adaptive_avg_pool(x, self.output_size, rule=rule)


@dataclass(frozen=True)
class Upsample(Leaf):
    """y = every element replicated over a window; see `jaxcnn.upsample`."""

    size: PerAxis
    rule: Rule = field(default=upsample_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        return _fractional([Fraction(1, k) for k in per_axis(self, "size", shape)])

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return upsample(x, self.size, rule=rule)


def _window(layer: MaxPool | AvgPool | SumPool | LpPool, shape: Sequence[int]) -> Window:
    step = "window_size" if layer.stride is None else "stride"
    return Window(extents(layer, shape), per_axis(layer, step, shape))


def _fitted_window(layer: AdaptiveMaxPool | AdaptiveAvgPool, shape: Sequence[int]) -> Window:
    output = per_axis(layer, "output_size", shape)
    return _fractional([Fraction(h, p) for h, p in zip(shape, output, strict=False)])


def _fractional(steps: Sequence[Fraction]) -> Window:
    """r outputs in a row see r·a/b inputs, and up to (b − 1)/b more for where they begin."""
    return Window([step + 1 - Fraction(1, step.denominator) for step in steps], steps)
