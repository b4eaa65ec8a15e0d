"""Weights of PyTorch in a network of jaxcnn: a `state_dict`, as torchvision and others save it.

    tensors = read("resnet18.safetensors")          # or .pt, .pth: needs torch
    params, state = load(models.resnet_imagenet(18), (224, 224, 3), tensors)

By structure: modules with numbers stand in the file in the order in which they are made, layers in
the network's, the body of a block before its shortcut. By name where that is not so: `names` says
which module a layer's numbers are in. Nothing is left over on either side, and a file of pickles is
read without running what it holds.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import jax
import numpy as np

from experiments.command_line.options import UserError
from experiments.peers.structure import Path, output_shape
from jaxcnn import layers
from jaxcnn.layers import Branches, Layer, Leaf, Serial

# What a module of each kind holds: its name there, and ours.
NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
COUNTER = "num_batches_tracked"  # which nothing here needs


@dataclass(frozen=True)
class _Place:
    """A layer with numbers."""

    path: Path
    layer: Leaf
    shape: tuple[int, ...]
    """Of an example of its input, before it was flattened."""

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def wanted(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Their names: ours, and our shapes."""
        shape = (math.prod(self.shape),) if self._dense else self.shape
        made = jax.eval_shape(lambda key: self.layer.init(key, shape), jax.random.key(0))
        ours = {name: tuple(a.shape) for part in made for name, a in part.items()}
        if isinstance(self.layer, layers.BatchNorm):
            names = NORM
        else:
            names = {"weight": "weight" if self._dense else "kernel", "bias": "bias"}
        return {theirs: (mine, ours[mine]) for theirs, mine in names.items() if mine in ours}

    @property
    def _dense(self) -> bool:
        return isinstance(self.layer, layers.Dense)

    def converted(self, name: str, array: np.ndarray) -> np.ndarray:
        """In our layout."""
        if self._dense and name == "weight":  # its columns are c h w, our rows h w c
            *space, c = self.shape
            size = array.shape[-1]
            if size != math.prod(self.shape):
                return array.T
            return np.moveaxis(array.reshape(-1, c, *space), 1, -1).reshape(len(array), size).T
        if array.ndim > 1:  # d c kh kw to kh kw c d
            return np.moveaxis(array, (0, 1), (-1, -2))
        return array


def load(
    net: Layer,
    shape: Sequence[int],
    tensors: Mapping[str, Any],
    names: Mapping[str, str] | None = None,
) -> tuple[Any, Any]:
    """Parameters and state of the network with the numbers of a `state_dict`.

    Args:
        net: the network.
        shape: of one example, channels last.
        tensors: the arrays by PyTorch's names, such as "layer1.0.conv1.weight".
        names: modules by the paths of layers, both joined by dots, where the order does not tell.

    Raises:
        UserError: a layer, or a tensor, is left over; or shapes differ.
    """
    names = dict(names or {})
    places = list(_places(net, tuple(shape)))
    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        module, _, name = key.rpartition(".")
        if name != COUNTER:
            modules.setdefault(module, {})[name] = np.asarray(tensor)
    if unknown := sorted(set(names) - {place.name for place in places}):
        raise UserError(f"names must be of layers with numbers, got {', '.join(unknown)}.")
    if missing := sorted(set(names.values()) - set(modules)):
        raise UserError(f"The weights hold no module {', '.join(missing)}, which names asks for.")
    others = (module for module in list(modules) if module not in names.values())
    params, state = (
        jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), part)
        for part in jax.eval_shape(lambda key: net.init(key, tuple(shape)), jax.random.key(0))
    )
    for place in places:
        module = names.get(place.name) or next(others, None)
        if module is None:
            raise UserError(f"The weights end before the layer {place.name}.")
        _put(place, module, modules.pop(module), params, state)
    if modules:
        raise UserError(
            f"The network has no layer for {', '.join(list(modules)[:5])} of the weights."
        )
    return params, state


def _put(place: _Place, module: str, held: dict[str, np.ndarray], params: Any, state: Any) -> None:
    wanted = place.wanted()
    if set(wanted) != set(held):
        raise UserError(
            f"The layer {place.name} takes {', '.join(sorted(wanted))}, the module {module} holds "
            f"{', '.join(sorted(held))}."
        )
    for theirs, (mine, expected) in wanted.items():
        array = place.converted(theirs, held[theirs])
        if array.shape != expected:
            raise UserError(
                f"{module}.{theirs} has the shape {held[theirs].shape}, {mine} of the layer "
                f"{place.name} {expected}."
            )
        branch = state if theirs.startswith("running_") else params
        for name in place.path:
            branch = branch[name]
        branch[mine] = np.ascontiguousarray(array, branch[mine].dtype)


def _places(net: Layer, shape: tuple[int, ...]) -> Iterator[_Place]:
    """The layers with numbers, in order; a flattened map keeps its shape for the next dense one."""
    flattened: list[tuple[int, ...]] = []

    def walk(layer: Layer, shape: tuple[int, ...], path: Path) -> Iterator[Any]:
        if isinstance(layer, Serial):
            for name, child in layer.children:
                shape = yield from walk(child, shape, (*path, name))
            return shape
        if isinstance(layer, Branches):
            shapes = []
            for name, child in layer.children:
                shapes.append((yield from walk(child, shape, (*path, name))))
            if layer.merge == "concatenate":
                return (*shapes[0][:-1], sum(each[-1] for each in shapes))
            return shapes[0]
        assert isinstance(layer, Leaf)
        after = output_shape(layer, shape)
        if isinstance(layer, layers.Flatten):
            flattened.append(shape)
        made = jax.eval_shape(lambda key: layer.init(key, shape), jax.random.key(0))
        if jax.tree.leaves(made):
            dense = isinstance(layer, layers.Dense)
            yield _Place(path, layer, flattened.pop() if dense and flattened else shape)
        return after

    yield from walk(net, shape, ())


def read(path: File) -> dict[str, np.ndarray]:
    """The tensors of a file by name: safetensors, or a `state_dict` that torch saved.

    Raises:
        UserError: it cannot be read, holds no tensors, or is a pickle and torch is missing.
    """
    if not path.is_file():
        raise UserError(f"{path} is no file.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError, KeyError) as error:
            raise UserError(f"{path} is no safetensors file that can be read: {error}.") from error
    try:
        import torch
    except ImportError as error:
        raise UserError(f"{path} needs torch to be read; .safetensors does not.") from error
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive, or a pickle of more than tensors
        raise UserError(
            f"{path} is no state_dict that can be read: it is damaged, or holds more than tensors."
        ) from error
    held = held.get("state_dict", held) if isinstance(held, dict) else held
    if not isinstance(held, dict) or not all(isinstance(t, torch.Tensor) for t in held.values()):
        raise UserError(f"{path} holds no state_dict: names and tensors.")
    return {name: tensor.to(torch.float32).numpy() for name, tensor in held.items()}
