"""Layers that normalise. Batch norm has a state: the running statistics of its channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jax import Array, lax
from jax.nn import initializers

from jaxcnn import check
from jaxcnn.layers.base import SAME_PLACE, Initializer, Leaf, Parameter, Rule, Tree, take
from jaxcnn.layers.settings import Axes, Count, Mapped, Positive, Share
from jaxcnn.ops.batch_norm import batch_norm, batch_norm_inference, batch_norm_inference_map
from jaxcnn.ops.local_response import local_response_norm, local_response_norm_map
from jaxcnn.ops.norm import group_norm, instance_norm, layer_norm, normalise_map
from jaxcnn.ops.rms_norm import rms_norm, rms_norm_map

ones: Initializer = initializers.ones
zeros: Initializer = initializers.zeros


@dataclass(frozen=True, kw_only=True)
class _Norm(Leaf):
    """What the norms have in common: a scale γ and a bias β, each of them if wanted."""

    parameter_names = ("scale", "bias")

    epsilon: Positive = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    scale_init: Initializer = ones
    bias_init: Initializer = zeros
    rule: Rule = normalise_map

    def parameters(self, shape):
        size = self._parameter_shape(shape)
        scale = {"scale": Parameter(size, self.scale_init)} if self.use_scale else {}
        bias = {"bias": Parameter(size, self.bias_init)} if self.use_bias else {}
        return scale | bias

    def _parameter_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[-1:]

    def _affine(self, params: Tree) -> dict[str, Array | None]:
        return {
            "scale": take(params, "scale") if self.use_scale else None,
            "bias": take(params, "bias") if self.use_bias else None,
        }


@dataclass(frozen=True)
class BatchNorm(_Norm):
    """y = γx̂ + β over batch and space; see `jaxcnn.batch_norm` and `batch_norm_inference`.

    In training x is normalised by the statistics of the batch, and the state goes on as
    momentum · state + (1 − momentum) · batch; in evaluation the state takes their place. The state
    is {"mean": 0, "variance": 1} at first. Its variance averages the biased one, as Flax's does;
    with `unbiased` the one divided by n − 1, as PyTorch's does (whose momentum is 1 − ours).
    """

    momentum: Share = 0.9
    axis_name: Mapped = None
    unbiased: bool = False
    inference_rule: Rule = field(default=batch_norm_inference_map, kw_only=True)

    def states(self, shape):  # noqa: D102
        return {"mean": Parameter(shape[-1:], zeros), "variance": Parameter(shape[-1:], ones)}

    def rule_for(self, train):  # noqa: D102
        return self.rule if train else self.inference_rule

    def run(self, params, state, x, *, key, train, rule):  # noqa: D102
        affine = self._affine(params)
        mean, variance = take(state, "mean", "state"), take(state, "variance", "state")
        if not train:
            y = batch_norm_inference(
                x, mean=mean, variance=variance, epsilon=self.epsilon, rule=rule, **affine
            )
            return y, state
        y, batch_mean, batch_variance = batch_norm(
            x, epsilon=self.epsilon, axis_name=self.axis_name, rule=rule, **affine
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
class LayerNorm(_Norm):
    """y = γx̂ + β over the last axes of each example; see `jaxcnn.layer_norm`."""

    axes: Axes = -1

    def window(self, shape):  # noqa: D102
        return SAME_PLACE if self._parameter_shape(shape) == shape[-1:] else None

    def _parameter_shape(self, shape):
        return _last_axes("LayerNorm", shape, self.axes)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        affine = self._affine(params)
        return layer_norm(x, axes=self.axes, epsilon=self.epsilon, rule=rule, **affine)


@dataclass(frozen=True)
class GroupNorm(_Norm):
    """y = γx̂ + β over space and groups of channels; see `jaxcnn.group_norm`."""

    groups: Count

    def window(self, shape):  # noqa: D102
        return None if len(shape) > 1 else SAME_PLACE

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        affine = self._affine(params)
        return group_norm(x, groups=self.groups, epsilon=self.epsilon, rule=rule, **affine)


@dataclass(frozen=True)
class InstanceNorm(_Norm):
    """y = γx̂ + β over the space of each map; see `jaxcnn.instance_norm`."""

    def window(self, shape):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return instance_norm(x, epsilon=self.epsilon, rule=rule, **self._affine(params))


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
        scale = take(params, "scale") if self.use_scale else None
        return rms_norm(x, scale, axes=self.axes, epsilon=self.epsilon, rule=rule)


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


def _last_axes(op: str, shape: tuple[int, ...], axes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape of a parameter along the last axes of examples of that shape, after the batch."""
    batched = (1, *shape)
    first, *_ = check.last_axes(op, batched, axes)
    if first == 0:
        raise ValueError(f"{op}: axes must leave out the batch axis, got {axes} for {batched}")
    return batched[first:]
