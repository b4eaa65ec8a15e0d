"""Operators that normalise."""

from math import prod
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.interop.onnx.table import Node, operator
from jaxcnn.lowering.precision import widen
from jaxcnn.ops.batch_norm import batch_norm, batch_norm_inference
from jaxcnn.ops.local_response import local_response_norm
from jaxcnn.ops.norm import group_norm, instance_norm, layer_norm, rms_norm

WIDEST = 2**10
"""So many channels a window may have: each is an operation of the program."""


@operator("BatchNormalization", 15, batch_norm_inference, batch_norm, layout="maps")
def _batch_norm(node: Node, x: Array, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    epsilon = node.get("epsilon", 1e-5)
    scale, bias = (jnp.asarray(a).astype(x.dtype) for a in (scale, bias))
    if not node.get("spatial", 1):
        raise node.fail("statistics for every place (spatial = 0) have no rule")
    training = node.get("training_mode", 0)
    if not training and len(node.outputs) > 1:
        raise node.fail("it gives statistics of the batch without training_mode")
    if not training:
        return node.of(batch_norm_inference)(x, scale, bias, mean, variance, epsilon=epsilon)
    momentum = node.get("momentum", 0.9)
    y, *of_batch = node.of(batch_norm)(x, scale, bias, epsilon=epsilon)
    running = [
        momentum * old + (1 - momentum) * new.astype(old.dtype)
        for old, new in zip((mean, variance), of_batch, strict=True)
    ]
    return (y, *running)


@operator("InstanceNormalization", 22, instance_norm, layout="maps")
def _instance_norm(node: Node, x: Array, scale: Any, bias: Any) -> Array:
    return node.of(instance_norm)(x, scale, bias, epsilon=node.get("epsilon", 1e-5))


@operator("GroupNormalization", 21, group_norm, layout="maps")
def _group_norm(node: Node, x: Array, scale: Any, bias: Any) -> Array:
    groups = node.get("num_groups")
    if node.version < 21:  # a γ and a β for each group
        if groups < 1 or x.shape[-1] % groups:
            raise node.fail(f"num_groups must divide {x.shape[-1]} channels, got {groups}")
        node.claim((*scale.shape, x.shape[-1] // groups))
        scale, bias = (jnp.repeat(jnp.asarray(a), x.shape[-1] // groups) for a in (scale, bias))
    return node.of(group_norm)(x, scale, bias, groups=groups, epsilon=node.get("epsilon", 1e-5))


@operator("LayerNormalization", 17, layer_norm)
def _layer_norm(node: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    axes, epsilon = _last(node, x), node.get("epsilon", 1e-5)
    own, after = _parameters(x, len(axes), scale, bias)
    y = _affine(node.of(layer_norm)(x, *own, axes=axes, epsilon=epsilon), *after)
    if len(node.outputs) < 2:
        return y
    wide = widen(x)  # as stash_type has it
    mean = jnp.mean(wide, axes, keepdims=True)
    variance = jnp.mean(jnp.square(wide - mean), axes, keepdims=True)
    return y, mean, lax.rsqrt(variance + jnp.asarray(epsilon, wide.dtype))


@operator("RMSNormalization", 23, rms_norm)
def _rms_norm(node: Node, x: Any, scale: Any) -> Array:
    axes = _last(node, x)
    own, after = _parameters(x, len(axes), scale)
    y = node.of(rms_norm)(x, *own, axes=axes, epsilon=node.get("epsilon", 1e-5))
    return _affine(y, *after)


def _last(node: Node, x: Any) -> tuple[int, ...]:
    (first,) = node.axes([node.get("axis", -1)], x.ndim)
    return tuple(range(first, x.ndim))


def _parameters(x: Any, count: int, *given: Any) -> tuple[list[Any], list[Any]]:
    """γ and β that the rule is given, on all of the last axes, and those that come after it.

    The file may have them on some of those axes, or on others too, as broadcasting goes.
    """
    size, none = x.shape[x.ndim - count :], [None] * len(given)
    lead = [() if p is None else p.shape[: max(p.ndim - count, 0)] for p in given]
    if any(len(shape) > x.ndim - count or prod(shape) != 1 for shape in lead):
        return none, [p if p is None else jnp.broadcast_to(jnp.asarray(p), x.shape) for p in given]
    return [
        p if p is None else jnp.broadcast_to(jnp.asarray(p).reshape(p.shape[len(shape) :]), size)
        for p, shape in zip(given, lead, strict=True)
    ], none


def _affine(y: Array, scale: Any = None, bias: Any = None) -> Array:
    y = y if scale is None else y * scale.astype(y.dtype)
    return y if bias is None else y + bias.astype(y.dtype)


@operator("LRN", 13, local_response_norm, layout="maps")
def _lrn(node: Node, x: Array) -> Array:
    size = node.get("size")
    if size > WIDEST:
        raise node.fail(f"size must be at most {WIDEST}, got {size}")
    # Of an even window more lies behind a channel here, and before it in ours.
    turned = jnp.flip(x, -1) if size % 2 == 0 else x
    y = node.of(local_response_norm)(
        turned,
        size=size,
        k=node.get("bias", 1.0),
        alpha=node.get("alpha", 1e-4),
        beta=node.get("beta", 0.75),
        average=True,
    )
    return jnp.flip(y, -1) if size % 2 == 0 else y


@operator("LpNormalization", 22)
def _lp_norm(node: Node, x: Any) -> Any:
    (axis,) = node.axes([node.get("axis", -1)], x.ndim)
    p = node.get("p", 2)
    if p not in (1, 2):
        raise node.fail(f"p must be 1 or 2, got {p}")
    total = jnp.sum(jnp.abs(x) if p == 1 else jnp.square(x), axis, keepdims=True)
    # Where all is 0 it stays 0, and so do gradients.
    some = total > 0
    size = jnp.where(some, total, jnp.ones_like(total))
    return x * some.astype(x.dtype) / (size if p == 1 else jnp.sqrt(size))


@operator("MeanVarianceNormalization", 13)
def _mean_variance_norm(node: Node, x: Any) -> Any:
    axes = node.axes(node.get("axes", [0, 2, 3]), x.ndim)
    away = x - jnp.mean(x, axes, keepdims=True)
    deviation = jnp.sqrt(jnp.mean(jnp.square(away), axes, keepdims=True))
    return away / (deviation + jnp.asarray(1e-9, x.dtype))
