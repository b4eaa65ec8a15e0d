"""Layers that normalise. Batch norm has a state: the running statistics of its channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jax import Array, lax
from jax.nn import initializers

from jaxcnn import check
from jaxcnn.layers.base import SAME_PLACE, Initializer, Leaf, Parameter, Rule, take, wanted
from jaxcnn.layers.settings import Axes, Count, Mapped, Positive, Share
from jaxcnn.ops.batch_norm import batch_norm, batch_norm_inference, batch_norm_inference_map
from jaxcnn.ops.local_response import local_response_norm, local_response_norm_map
from jaxcnn.ops.norm import (
    group_norm,
    instance_norm,
    layer_norm,
    normalise_map,
    rms_norm,
    rms_norm_map,
)

ones: Initializer = initializers.ones
zeros: Initializer = initializers.zeros


@dataclass(frozen=True)
class BatchNorm(Leaf):
    """y = γx̂ + β over batch and space; see `jaxcnn.batch_norm` and `batch_norm_inference`.

    In training x is normalised by the statistics of the batch, and the state goes on as
    momentum · state + (1 − momentum) · batch; in evaluation the state takes their place. The state
    is {"mean": 0, "variance": 1} at first. Its variance averages the biased one, as Flax's does;
    with `unbiased` the one divided by n − 1, as PyTorch's does (whose momentum is 1 − ours).
    """

    parameter_names = ("scale", "bias")

    rule: Rule = field(default=normalise_map, kw_only=True)
    epsilon: Positive = field(default=1e-5, kw_only=True)
    use_scale: bool = field(default=True, kw_only=True)
    use_bias: bool = field(default=True, kw_only=True)
    scale_init: Initializer = field(default=ones, kw_only=True)
    bias_init: Initializer = field(default=zeros, kw_only=True)
    momentum: Share = 0.9
    axis_name: Mapped = None
    unbiased: bool = False
    inference_rule: Rule = field(default=batch_norm_inference_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        return scale_and_bias(self, shape[-1:])

    def states(self, shape):  # noqa: D102
        return {"mean": Parameter(shape[-1:], zeros), "variance": Parameter(shape[-1:], ones)}

    def rule_for(self, train):  # noqa: D102
        return self.rule if train else self.inference_rule

    def run(self, params, state, x, *, key, train, rule):  # noqa: D102
        scale, bias = wanted(self, params)
        mean, variance = take(state, "mean", "state"), take(state, "variance", "state")
        if not train:
            y = batch_norm_inference(
                x, scale, bias, mean, variance, epsilon=self.epsilon, rule=rule
            )
            return y, state
        y, batch_mean, batch_variance = batch_norm(
            x, scale, bias, epsilon=self.epsilon, axis_name=self.axis_name, rule=rule
        )
        return y, {
            "mean": self._blend(mean, batch_mean),
            "variance": self._blend(variance, batch_variance * self._correction(x)),
        }

    def _blend(self, old: Array, new: Array) -> Array:
        return self.momentum * old + (1 - self.momentum) * new.astype(old.dtype)

    def _correction(self, x: Any) -> float:
        """n / (n − 1) for n elements per channel, or 1."""
        if not self.unbiased:
            return 1.0
        places = 1 if self.axis_name is None else lax.axis_size(self.axis_name)
        count = math.prod(x.shape[:-1]) * places
        if count < 2:
            raise ValueError(
                "BatchNorm: x must hold 2 elements per channel at least for an unbiased variance, "
                f"got shape {x.shape}"
            )
        return count / (count - 1)


@dataclass(frozen=True)
class LayerNorm(Leaf):
    """y = γx̂ + β over the last axes of each example; see `jaxcnn.layer_norm`."""

    parameter_names = ("scale", "bias")

    rule: Rule = field(default=normalise_map, kw_only=True)
    epsilon: Positive = field(default=1e-5, kw_only=True)
    use_scale: bool = field(default=True, kw_only=True)
    use_bias: bool = field(default=True, kw_only=True)
    scale_init: Initializer = field(default=ones, kw_only=True)
    bias_init: Initializer = field(default=zeros, kw_only=True)
    axes: Axes = -1

    def parameters(self, shape):  # noqa: D102
        return scale_and_bias(self, _last_axes("LayerNorm", shape, self.axes))

    def window(self, shape):  # noqa: D102
        return SAME_PLACE if len(_last_axes("LayerNorm", shape, self.axes)) == 1 else None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        affine = wanted(self, params)
        return layer_norm(x, *affine, axes=self.axes, epsilon=self.epsilon, rule=rule)


@dataclass(frozen=True)
class GroupNorm(Leaf):
    """y = γx̂ + β over space and groups of channels; see `jaxcnn.group_norm`."""

    parameter_names = ("scale", "bias")

    rule: Rule = field(default=normalise_map, kw_only=True)
    epsilon: Positive = field(default=1e-5, kw_only=True)
    use_scale: bool = field(default=True, kw_only=True)
    use_bias: bool = field(default=True, kw_only=True)
    scale_init: Initializer = field(default=ones, kw_only=True)
    bias_init: Initializer = field(default=zeros, kw_only=True)
    groups: Count

    def parameters(self, shape):  # noqa: D102
        return scale_and_bias(self, shape[-1:])

    def window(self, shape):  # noqa: D102
        return None if len(shape) > 1 else SAME_PLACE

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        affine = wanted(self, params)
        return group_norm(x, *affine, groups=self.groups, epsilon=self.epsilon, rule=rule)


@dataclass(frozen=True)
class InstanceNorm(Leaf):
    """y = γx̂ + β over the space of each map; see `jaxcnn.instance_norm`."""

    parameter_names = ("scale", "bias")

    rule: Rule = field(default=normalise_map, kw_only=True)
    epsilon: Positive = field(default=1e-5, kw_only=True)
    use_scale: bool = field(default=True, kw_only=True)
    use_bias: bool = field(default=True, kw_only=True)
    scale_init: Initializer = field(default=ones, kw_only=True)
    bias_init: Initializer = field(default=zeros, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        return scale_and_bias(self, shape[-1:])

    def window(self, shape):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return instance_norm(x, *wanted(self, params), epsilon=self.epsilon, rule=rule)


@dataclass(frozen=True)
class RMSNorm(Leaf):
    """y = γx̂, x̂ = x / root mean square over the last axes; see `jaxcnn.rms_norm`."""

    parameter_names = ("scale",)

    axes: Axes = -1
    epsilon: Positive = field(default=1e-6, kw_only=True)
    use_scale: bool = field(default=True, kw_only=True)
    scale_init: Initializer = field(default=ones, kw_only=True)
    rule: Rule = field(default=rms_norm_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        size = _last_axes("RMSNorm", shape, self.axes)
        return {"scale": Parameter(size, self.scale_init)} if self.use_scale else {}

    def window(self, shape):  # noqa: D102
        return SAME_PLACE if len(_last_axes("RMSNorm", shape, self.axes)) == 1 else None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return rms_norm(x, *wanted(self, params), axes=self.axes, epsilon=self.epsilon, rule=rule)


@dataclass(frozen=True)
class LocalResponseNorm(Leaf):
    """y = x / (k + α Σx²)^β over neighbouring channels; see `jaxcnn.local_response_norm`."""

    size: Count = 5
    k: Positive = 2.0
    alpha: Positive = 1e-4
    beta: Positive = 0.75
    average: bool = False
    rule: Rule = field(default=local_response_norm_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return local_response_norm(
            x,
            size=self.size,
            k=self.k,
            alpha=self.alpha,
            beta=self.beta,
            average=self.average,
            rule=rule,
        )


def scale_and_bias(
    layer: BatchNorm | LayerNorm | GroupNorm | InstanceNorm, size: tuple[int, ...]
) -> dict[str, Parameter]:
    """γ and β, each if wanted."""
    scale = {"scale": Parameter(size, layer.scale_init)} if layer.use_scale else {}
    return scale | ({"bias": Parameter(size, layer.bias_init)} if layer.use_bias else {})


def _last_axes(op: str, shape: tuple[int, ...], axes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape of a parameter along the last axes of examples of that shape, after the batch."""
    batched = (1, *shape)
    first, *_ = check.last_axes(op, batched, axes)
    if first == 0:
        raise ValueError(f"{op}: axes must leave out the batch axis, got {axes} for {batched}")
    return batched[first:]
