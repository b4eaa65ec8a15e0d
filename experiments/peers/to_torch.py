"""A network of jaxcnn as a `torch.nn.Module` with the same parameters.

Maps are n c h w in torch's memory order channels_last, which is n h w c in memory; kernels are
d c kh kw. Where maps are flattened, the rows of the next dense layer are put into torch's order.
Running statistics are carried over; torch's own average the unbiased variance in training.

    peer = translate(net, params, state, (32, 32, 3))
    logits = peer.module(to_images(x))
    loss.backward(); peer.gradients()        # in the structure of params
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import jaxcnn
from experiments.peers.structure import Path, geometry_of, output_shape, unknown
from experiments.peers.torch_modules import Add, Concatenate, PadChannels, Scale, Subsample
from jaxcnn import layers
from jaxcnn.layers import Layer, Leaf

ACTIVATIONS: dict[Callable[..., Any], Callable[[], nn.Module]] = {
    jaxcnn.relu: nn.ReLU,
    jaxcnn.relu6: nn.ReLU6,
    jaxcnn.elu: nn.ELU,
    jaxcnn.selu: nn.SELU,
    jaxcnn.silu: nn.SiLU,
    jaxcnn.mish: nn.Mish,
    jaxcnn.softplus: nn.Softplus,
    jaxcnn.sigmoid: nn.Sigmoid,
    jaxcnn.tanh: nn.Tanh,
}


class Link(NamedTuple):
    """A parameter of the module, where it came from, and how its numbers get back there."""

    path: Path
    parameter: nn.Parameter
    back: Callable[[np.ndarray], np.ndarray]


class Peer(NamedTuple):
    """A module and its links to the parameters of the network."""

    module: nn.Module
    links: list[Link]

    def parameters(self) -> dict[str, Any]:
        """The module's parameters in the structure and layout of the network's."""
        return self._tree(lambda parameter: parameter.detach())

    def gradients(self) -> dict[str, Any]:
        """The gradients that `backward` has left, in the structure and layout of the network's."""
        return self._tree(lambda parameter: parameter.grad)

    def _tree(self, number: Callable[[nn.Parameter], Any]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for path, parameter, back in self.links:
            branch = tree
            for name in path[:-1]:
                branch = branch.setdefault(name, {})
            branch[path[-1]] = back(number(parameter).numpy())
        return tree


def translate(net: Layer, params: Any, state: Any, shape: Sequence[int]) -> Peer:
    """The network for examples of the given shape, as a module in training mode.

    Raises:
        NotImplementedError: there is no translation for one of its layers.
    """
    builder = _Builder()
    module, _ = builder.build(net, params, state, tuple(shape), ())
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has it
    return Peer(module, builder.links)


def to_images(x: Any) -> torch.Tensor:
    """Maps n h w c as a tensor n c h w whose memory is n h w c."""
    array = torch.from_numpy(np.array(x))
    return array.movedim(-1, 1) if array.ndim > 2 else array


# The interpreter ----------------------------------------------------------------------------------


@dataclass
class _Builder:
    """Collects the links while it walks through the network."""

    links: list[Link] = field(default_factory=list)
    flattened: tuple[int, ...] | None = None
    """The shape of the maps that were flattened on the way to the next dense layer."""

    def build(
        self, layer: Layer, params: Any, state: Any, shape: tuple[int, ...], path: Path
    ) -> tuple[nn.Module, tuple[int, ...]]:
        """The module, and the shape of one example of its output in jaxcnn."""
        match layer:
            case layers.Serial(children):
                parts: OrderedDict[str, nn.Module] = OrderedDict()
                for name, child in children:
                    parts[name], shape = self._child(name, child, params, state, shape, path)
                return nn.Sequential(parts), shape
            case layers.Branches(children) if layer.merge in ("add", "concatenate"):
                built = [self._child(*child, params, state, shape, path) for child in children]
                modules, shapes = zip(*built, strict=True)
                if layer.merge == "add":
                    return Add(*modules), shapes[0]
                channels = sum(each[-1] for each in shapes)
                return Concatenate(modules), (*shapes[0][:-1], channels)
            case Leaf():
                module = self._leaf(layer, params, state, shape, path)
                return module, output_shape(layer, shape)
        raise unknown(layer, "PyTorch")

    def _child(self, name, layer, params, state, shape, path):
        return self.build(layer, params.get(name, {}), state.get(name, {}), shape, (*path, name))

    def _leaf(self, layer: Leaf, params, state, shape, path) -> nn.Module:
        axes = len(shape) - 1
        match layer:
            case layers.Conv() | layers.DepthwiseConv() if _plain(layer):
                return self._conv(layer, params, shape, path)
            case layers.Dense():
                return self._dense(layer, params, shape, path)
            case layers.BatchNorm():
                return self._batch_norm(layer, params, state, shape, path)
            case layers.LocalResponseNorm() if layer.size % 2:
                alpha = layer.alpha * (1 if layer.average else layer.size)  # torch divides by size
                return nn.LocalResponseNorm(layer.size, alpha, layer.beta, layer.k)
            case layers.MaxPool():
                return _pool(layer, shape, -float("inf"), f"MaxPool{axes}d")
            case layers.AvgPool() if layer.count_include_pad and not layer.ceil_mode:
                return _pool(layer, shape, 0.0, f"AvgPool{axes}d")
            case layers.GlobalAvgPool():
                return _whole(f"AdaptiveAvgPool{axes}d", layer.keepdims)
            case layers.GlobalMaxPool():
                return _whole(f"AdaptiveMaxPool{axes}d", layer.keepdims)
            case layers.Flatten():
                self.flattened = shape if self.flattened is None else self.flattened
                return nn.Flatten()
            case layers.Dropout():
                return nn.Dropout(layer.rate)
            case layers.Identity():
                return nn.Identity()
            case layers.Subsample():
                rate = layer.rate
                return Subsample((rate,) * axes if isinstance(rate, int) else tuple(rate))
            case layers.PadChannels():
                return PadChannels(layer.before, layer.after, axes)
            case layers.Scale():
                return Scale(layer.factor)
            case layers.Activation() if layer.op in ACTIVATIONS and not layer.settings:
                return ACTIVATIONS[layer.op]()
            case layers.Activation() if layer.op is jaxcnn.gelu:
                return nn.GELU("tanh" if dict(layer.settings).get("approximate") else "none")
        raise unknown(layer, "PyTorch")

    def _conv(self, layer, params, shape, path) -> nn.Module:
        axes, geometry = len(shape) - 1, geometry_of(layer, shape)
        outputs = params["kernel"].shape[-1]
        groups = shape[-1] if isinstance(layer, layers.DepthwiseConv) else layer.groups
        pads, before = _padding(geometry.padding, 0.0)
        conv = getattr(nn, f"Conv{axes}d")(
            shape[-1],
            outputs,
            geometry.window,
            geometry.stride,
            pads,
            geometry.dilation,
            groups,
            layer.use_bias,
        )
        self._set(conv, "weight", params, (*path, "kernel"), _kernel, _kernel_back)
        if layer.use_bias:
            self._set(conv, "bias", params, (*path, "bias"))
        return conv if before is None else nn.Sequential(before, conv)

    def _dense(self, layer, params, shape, path) -> nn.Module:
        inputs, outputs = params["weight"].shape
        dense = nn.Linear(inputs, outputs, layer.use_bias)
        maps, self.flattened = self.flattened or shape, None
        order = np.arange(inputs).reshape(maps)
        order = np.moveaxis(order, -1, 0).ravel()  # row c h w of torch's is row h w c of ours
        self._set(
            dense,
            "weight",
            params,
            (*path, "weight"),
            lambda weight: weight[order].T,
            lambda weight: weight.T[np.argsort(order)],
        )
        if layer.use_bias:
            self._set(dense, "bias", params, (*path, "bias"))
        return dense

    def _batch_norm(self, layer, params, state, shape, path) -> nn.Module:
        kind = nn.BatchNorm1d if len(shape) < 3 else getattr(nn, f"BatchNorm{len(shape) - 1}d")
        norm = kind(shape[-1], layer.epsilon, 1 - layer.momentum)
        norm.running_mean = torch.from_numpy(np.array(state["mean"]))
        norm.running_var = torch.from_numpy(np.array(state["variance"]))
        for mine, theirs, used, number in (
            ("scale", "weight", layer.use_scale, np.ones),
            ("bias", "bias", layer.use_bias, np.zeros),
        ):
            if used:
                self._set(norm, theirs, params, (*path, mine))
            else:  # torch has both or neither: the one without stays as it is
                fixed = torch.from_numpy(number(shape[-1:], state["mean"].dtype))
                setattr(norm, theirs, nn.Parameter(fixed, requires_grad=False))
        return norm

    def _set(self, module, name, params, path, to=lambda a: a, back=lambda a: a) -> None:
        """Copy a parameter into the module and remember where it came from."""
        array = np.array(to(np.asarray(params[path[-1]])))  # a copy, in its own memory
        parameter = nn.Parameter(torch.from_numpy(array))
        setattr(module, name, parameter)
        self.links.append(Link(path, parameter, back))


def _plain(layer: Any) -> bool:
    """Whether a convolution has no setting without a translation."""
    return layer.padding_mode == "zeros" and getattr(layer, "input_dilation", 1) == 1


def _kernel(kernel: np.ndarray) -> np.ndarray:
    """Kh kw c d → d c kh kw."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _kernel_back(kernel: np.ndarray) -> np.ndarray:
    """D c kh kw → kh kw c d."""
    return np.moveaxis(kernel, (0, 1), (-1, -2))


def _padding(
    pads: Sequence[tuple[int, int]], value: float, most: Sequence[int] | None = None
) -> tuple[tuple[int, ...], nn.Module | None]:
    """The padding that torch's module takes itself, and a layer before it for what it does not."""
    low = tuple(pair[0] for pair in pads)
    fits = most is None or all(pad <= limit for pad, limit in zip(low, most, strict=True))
    if fits and all(pair[0] == pair[1] for pair in pads):
        return low, None
    flat = tuple(number for pair in reversed(pads) for number in pair)  # the last axis first
    return (0,) * len(pads), getattr(nn, f"ConstantPad{len(pads)}d")(flat, value)


def _pool(layer, shape, value: float, kind: str) -> nn.Module:
    geometry = geometry_of(layer, shape)
    pads, before = _padding(geometry.padding, value, [size // 2 for size in geometry.window])
    settings = (geometry.dilation,) if kind.startswith("Max") else ()
    if not settings and set(geometry.dilation) != {1}:
        raise unknown(layer, "PyTorch")
    pool = getattr(nn, kind)(geometry.window, geometry.stride, pads, *settings)
    return pool if before is None else nn.Sequential(before, pool)


def _whole(kind: str, keepdims: bool) -> nn.Module:
    pool = getattr(nn, kind)(1)
    return pool if keepdims else nn.Sequential(pool, nn.Flatten())
