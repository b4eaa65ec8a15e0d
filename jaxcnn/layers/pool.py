"""The poolings as layers, and the upsampling that undoes their shrinking."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from jaxcnn import check
from jaxcnn.layers.base import Leaf, Rule, Window
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
class _Pool(Leaf):
    """What every pooling with a window of its own has in common."""

    window_size: PerAxis
    stride: Step = None
    padding: PoolPadding = "VALID"
    dilation: PerAxis = 1
    ceil_mode: bool = False

    def window(self, shape):
        axes = len(shape) - 1
        taps = check.per_axis(type(self).__name__, "window_size", self.window_size, axes)
        dilation = check.per_axis(type(self).__name__, "dilation", self.dilation, axes)
        extent = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
        return Window(extent, taps if self.stride is None else self.stride)

    @property
    def settings(self):
        """The arguments that every pooling takes."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }


@dataclass(frozen=True)
class MaxPool(_Pool):
    """y = the maximum over every window; see `jaxcnn.max_pool`."""

    rule: Rule = field(default=max_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return max_pool(x, self.window_size, **self.settings, rule=rule)


@dataclass(frozen=True)
class AvgPool(_Pool):
    """y = the average over every window; see `jaxcnn.avg_pool`."""

    count_include_pad: bool = True
    rule: Rule = field(default=avg_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        counted = self.count_include_pad
        return avg_pool(x, self.window_size, **self.settings, count_include_pad=counted, rule=rule)


@dataclass(frozen=True)
class SumPool(_Pool):
    """y = the sum over every window; see `jaxcnn.sum_pool`."""

    rule: Rule = field(default=sum_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return sum_pool(x, self.window_size, **self.settings, rule=rule)


@dataclass(frozen=True)
class LpPool(_Pool):
    """y = the p-norm of every window; see `jaxcnn.lp_pool`."""

    p: Exponent = field(default=2, kw_only=True)
    rule: Rule = field(default=lp_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return lp_pool(x, self.window_size, self.p, **self.settings, rule=rule)


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
class _AdaptivePool(Leaf):
    """What both adaptive poolings have in common."""

    output_size: PerAxis

    def window(self, shape):
        output = check.per_axis(
            type(self).__name__, "output_size", self.output_size, len(shape) - 1
        )
        return _fractional([Fraction(h, p) for h, p in zip(shape, output, strict=False)])


@dataclass(frozen=True)
class AdaptiveMaxPool(_AdaptivePool):
    """y = the maximum over windows of fitting sizes; see `jaxcnn.adaptive_max_pool`."""

    rule: Rule = field(default=adaptive_max_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return adaptive_max_pool(x, self.output_size, rule=rule)


@dataclass(frozen=True)
class AdaptiveAvgPool(_AdaptivePool):
    """y = the average over windows of fitting sizes; see `jaxcnn.adaptive_avg_pool`."""

    rule: Rule = field(default=adaptive_avg_pool_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return adaptive_avg_pool(x, self.output_size, rule=rule)


@dataclass(frozen=True)
class Upsample(Leaf):
    """y = every element replicated over a window; see `jaxcnn.upsample`."""

    size: PerAxis
    rule: Rule = field(default=upsample_map, kw_only=True)

    def window(self, shape):  # noqa: D102
        size = check.per_axis("Upsample", "size", self.size, len(shape) - 1)
        return _fractional([Fraction(1, k) for k in size])

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return upsample(x, self.size, rule=rule)


def _fractional(steps: Sequence[Fraction]) -> Window:
    """r outputs in a row see r·a/b inputs, and up to (b − 1)/b more for where they begin."""
    return Window([step + 1 - Fraction(1, step.denominator) for step in steps], steps)
