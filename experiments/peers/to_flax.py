"""A network of jaxcnn as a `flax.nnx.Module` with the same parameters.

Layouts are the same in both. Modules have the names of the layers, so that gradients are found
under the paths of the parameters; a dense layer's weight is called kernel there.

    peer = translate(net, params, state, (32, 32, 3))
    gradients = nnx.grad(lambda module: loss(module(x)))(peer.module)
    peer.tree(gradients)                     # in the structure of params
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
from flax import nnx
from jax import lax

import jaxcnn
from experiments.peers.structure import Path, geometry_of, output_shape, unknown
from jaxcnn import layers
from jaxcnn.layers import Layer, Leaf

ACTIVATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    jaxcnn.relu: nnx.relu,
    jaxcnn.relu6: nnx.relu6,
    jaxcnn.leaky_relu: nnx.leaky_relu,
    jaxcnn.elu: nnx.elu,
    jaxcnn.selu: nnx.selu,
    jaxcnn.silu: nnx.silu,
    jaxcnn.softplus: nnx.softplus,
    jaxcnn.sigmoid: nnx.sigmoid,
    jaxcnn.tanh: nnx.tanh,
}


class Link(NamedTuple):
    """The path of a parameter in the network and in the module."""

    path: Path
    theirs: Path


class Peer(NamedTuple):
    """A module and its links to the parameters of the network."""

    module: nnx.Module
    links: list[Link]

    def tree(self, found: Any) -> dict[str, Any]:
        """A state of parameters or gradients in the structure of the network's parameters."""
        pure, tree = nnx.to_pure_dict(found), {}
        for path, theirs in self.links:
            branch = tree
            for name in path[:-1]:
                branch = branch.setdefault(name, {})
            leaf = pure
            for name in theirs:
                leaf = leaf[name]
            branch[path[-1]] = leaf
        return tree


class Chain(nnx.Module):
    """Modules and functions one after the other, under their names."""

    def __init__(self, parts: dict[str, Any]):
        self.names = tuple(parts)
        for name, part in parts.items():
            setattr(self, name, part)

    def __call__(self, x):
        """y = … second(first(x))."""
        for name in self.names:
            x = getattr(self, name)(x)
        return x


class Add(nnx.Module):
    """The sum of a block and its shortcut."""

    def __init__(self, body: Any, shortcut: Any):
        self.body, self.shortcut = body, shortcut

    def __call__(self, x):
        """y = body(x) + shortcut(x)."""
        return self.body(x) + self.shortcut(x)


class Concatenate(Chain):
    """Branches side by side as channels."""

    def __call__(self, x):
        """y = [branch(x), …]."""
        return jnp.concatenate([getattr(self, name)(x) for name in self.names], -1)


def translate(net: Layer, params: Any, state: Any, shape: Sequence[int]) -> Peer:
    """The network for examples of the given shape, as a module in training mode.

    Raises:
        NotImplementedError: there is no translation for one of its layers.
    """
    links: list[Link] = []
    module, _ = _build(net, params, state, tuple(shape), (), links)
    return Peer(module, links)


def _build(
    layer: Layer, params: Any, state: Any, shape: tuple[int, ...], path: Path, links: list[Link]
) -> tuple[Any, tuple[int, ...]]:
    """The module, and the shape of one example of its output."""

    def child(name: str, layer: Layer, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
        inner = params.get(name, {}), state.get(name, {})
        return _build(layer, *inner, shape, (*path, name), links)

    match layer:
        case layers.Serial(children):
            parts = {}
            for name, each in children:
                parts[name], shape = child(name, each, shape)
            return Chain(parts), shape
        case layers.Branches(children) if layer.merge in ("add", "concatenate"):
            built = {name: child(name, each, shape) for name, each in children}
            modules = {name: module for name, (module, _) in built.items()}
            shapes = [size for _, size in built.values()]
            if layer.merge == "add":
                return Add(**modules), shapes[0]
            return Concatenate(modules), (*shapes[0][:-1], sum(size[-1] for size in shapes))
        case Leaf():
            module = _leaf(layer, params, state, shape)
            for name, array in params.items():
                theirs = "kernel" if name == "weight" else name
                getattr(module, theirs).set_value(jnp.array(array))
                links.append(Link((*path, name), (*path, theirs)))
            return module, output_shape(layer, shape)
    raise unknown(layer, "Flax")


def _leaf(layer: Leaf, params: Any, state: Any, shape: tuple[int, ...]) -> Any:
    # Nothing is drawn: the parameters are set afterwards.
    rngs, zeros = nnx.Rngs(0), nnx.initializers.zeros
    match layer:
        case layers.Conv() | layers.DepthwiseConv() if layer.padding_mode == "zeros":
            geometry = geometry_of(layer, shape)
            depthwise = isinstance(layer, layers.DepthwiseConv)
            return nnx.Conv(
                shape[-1],
                params["kernel"].shape[-1],
                geometry.window,
                geometry.stride,
                padding=geometry.padding,
                input_dilation=geometry.input_dilation,
                kernel_dilation=geometry.dilation,
                feature_group_count=shape[-1] if depthwise else layer.groups,
                precision=cast("Any", layer.precision),  # handed on to JAX
                use_bias=layer.use_bias,
                kernel_init=zeros,
                param_dtype=params["kernel"].dtype,
                rngs=rngs,
            )
        case layers.Dense():
            return nnx.Linear(
                *params["weight"].shape,
                use_bias=layer.use_bias,
                kernel_init=zeros,
                param_dtype=params["weight"].dtype,
                rngs=rngs,
            )
        case layers.BatchNorm():
            norm = nnx.BatchNorm(
                shape[-1],
                momentum=layer.momentum,
                epsilon=layer.epsilon,
                use_scale=layer.use_scale,
                use_bias=layer.use_bias,
                param_dtype=state["mean"].dtype,
                use_running_average=False,
                rngs=rngs,
            )
            norm.mean.set_value(jnp.array(state["mean"]))
            norm.var.set_value(jnp.array(state["variance"]))
            return norm
        case layers.Dropout():
            return nnx.Dropout(layer.rate, deterministic=False, rngs=rngs)
    return _function(layer, shape)


def _function(layer: Leaf, shape: tuple[int, ...]) -> Callable[..., Any]:
    """What has no parameters is a function."""
    space = tuple(range(1, len(shape)))
    match layer:
        case layers.MaxPool() if layer.dilation == 1:
            return _pool(nnx.max_pool, layer, shape)
        case layers.AvgPool() if layer.dilation == 1 and not layer.ceil_mode:
            counted = layer.count_include_pad
            return _pool(partial(nnx.avg_pool, count_include_pad=counted), layer, shape)
        case layers.GlobalAvgPool():
            return partial(jnp.mean, axis=space, keepdims=layer.keepdims)
        case layers.GlobalMaxPool():
            return partial(jnp.max, axis=space, keepdims=layer.keepdims)
        case layers.Flatten():
            return lambda x: x.reshape(x.shape[0], -1)
        case layers.Identity():
            return lambda x: x
        case layers.Subsample():
            rate = layer.rate
            rates = (rate,) * len(space) if isinstance(rate, int) else tuple(rate)
            return lambda x: x[(slice(None), *(slice(None, None, r) for r in rates))]
        case layers.PadChannels():
            return lambda x: jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((layer.before, layer.after),))
        case layers.Scale():
            return lambda x: x * layer.factor
        case layers.LocalResponseNorm():
            return partial(_local_response_norm, layer=layer)
        case layers.Activation() if layer.op in ACTIVATIONS and not layer.settings:
            return ACTIVATIONS[layer.op]
        case layers.Activation() if layer.op is jaxcnn.gelu:
            return partial(nnx.gelu, approximate=dict(layer.settings).get("approximate", False))
    raise unknown(layer, "Flax")


def _pool(pool: Callable[..., Any], layer: Any, shape: tuple[int, ...]) -> Callable[..., Any]:
    geometry = geometry_of(layer, shape)
    return partial(
        pool,
        window_shape=geometry.window,
        strides=geometry.stride,
        padding=geometry.padding,
    )


def _local_response_norm(x: Any, *, layer: layers.LocalResponseNorm) -> Any:
    """Flax has none: as one would write it with jax.lax."""
    before = layer.size // 2
    window = (1,) * (x.ndim - 1) + (layer.size,)
    pads = ((0, 0),) * (x.ndim - 1) + ((before, layer.size - 1 - before),)
    total = lax.reduce_window(x * x, 0.0, lax.add, window, (1,) * x.ndim, pads)
    alpha = layer.alpha / (layer.size if layer.average else 1)
    return x * (layer.k + alpha * total) ** -layer.beta
