"""Layers that act on channels alone."""

from dataclasses import dataclass, field

import jax.numpy as jnp
from jax.nn import initializers

from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, wanted
from jaxcnn.layers.settings import Amount, Number
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.ops.channels import (
    crop_channels,
    crop_channels_map,
    pad_channels,
    pad_channels_map,
    scale_channels,
    scale_channels_map,
)

ones: Initializer = initializers.ones
zeros: Initializer = initializers.zeros


@dataclass(frozen=True)
class PadChannels(Leaf):
    """y = [0, x, 0]: channels of zeros before and after; see `jaxcnn.pad_channels`."""

    before: Amount = 0
    after: Amount = 0
    rule: Rule = field(default=pad_channels_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return pad_channels(x, self.before, self.after, rule=rule)


@dataclass(frozen=True)
class CropChannels(Leaf):
    """y = x without some channels before and after; see `jaxcnn.crop_channels`."""

    before: Amount = 0
    after: Amount = 0
    rule: Rule = field(default=crop_channels_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return crop_channels(x, self.before, self.after, rule=rule)


@dataclass(frozen=True)
class ScaleChannels(Leaf):
    """y = γx + β with a γ and a β to learn for each channel; see `jaxcnn.scale_channels`."""

    parameter_names = ("scale", "bias")

    use_bias: bool = True
    scale_init: Initializer = ones
    bias_init: Initializer = zeros
    rule: Rule = field(default=scale_channels_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        bias = {"bias": Parameter(shape[-1:], self.bias_init)} if self.use_bias else {}
        return {"scale": Parameter(shape[-1:], self.scale_init), **bias}

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return scale_channels(x, *wanted(self, params), rule=rule)


@dataclass(frozen=True)
class Scale(Leaf):
    """y = the factor times x; there is nothing to learn. See `jaxcnn.scale_channels`."""

    parameter_names = (None,)  # the rule's scale is a constant here

    factor: Number
    rule: Rule = field(default=scale_channels_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        wide = widen(x)  # a half may not hold the factor
        factor = jnp.full(x.shape[-1:], self.factor, wide.dtype)
        return narrow(scale_channels(wide, factor, rule=rule), x.dtype)
