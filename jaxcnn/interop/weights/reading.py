"""Weights of PyTorch in a network of jaxcnn: a `state_dict`, as torchvision and others save it."""

import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

from jaxcnn import check
from jaxcnn.interop.weights import names as known_names
from jaxcnn.interop.weights import order, safetensors
from jaxcnn.interop.weights.places import Place, check_net, places
from jaxcnn.layers import Layer
from jaxcnn.layers.base import Tree

OP = "from_torch"
COUNTER = "num_batches_tracked"  # which nothing here needs
WRAPPED = "module."  # what DataParallel puts before every name
INSIDE = ("state_dict", "model")
"""Under which names training scripts put a `state_dict` beside other things."""
SHOWN = 5  # names that a message repeats

Weights = str | os.PathLike[str] | Mapping[str, Any]
Modules = dict[str, dict[str, Any]]


def from_torch(
    net: Layer,
    weights: Weights,
    input_shape: Sequence[int],
    *,
    names: Mapping[str, str] | None = None,
    dtype: DTypeLike = jnp.float32,
) -> tuple[Tree, Tree]:
    """params, state = those of the network, with the numbers of a `state_dict`.

        net = jaxcnn.models.resnet_imagenet(50)
        params, state = from_torch(net, "resnet50.safetensors", (224, 224, 3))

    Layers find their modules by name where the names are those of torchvision, timm, a Sequential
    or the tutorials; otherwise by structure: modules with numbers stand in the order in which they
    were made, layers in the network's, the body of a block before its shortcut. A Sequential's
    modules are ordered by their numbers, others as a `state_dict` of torch has them, which no file
    of safetensors keeps. `names` says it where nothing else does. Kernels d c kh kw become
    kh kw c d; the rows of a dense layer behind a `Flatten` go from c h w to h w c. Nothing is left
    over on either side. What `to_safetensors` wrote of a network comes in again.

    Args:
        net: the network.
        weights: a file, *.safetensors or what torch saved (which needs torch, and is read without
            running anything in it), or arrays or tensors by name.
        input_shape: of one example, channels last.
        names: modules by the paths of layers, as in {"block1/conv1": "features.0"}.
        dtype: of the parameters.

    Raises:
        TypeError: an argument is of the wrong kind, or PyTorch has no such layer as one of net's.
        ValueError: a file cannot be read; a layer or a tensor is left over; or shapes differ.
    """
    shape = check_net(OP, net, input_shape)
    check.float_dtype(OP, "dtype", dtype)
    given = _given_names(names)
    tensors = weights if isinstance(weights, Mapping) else _read(weights)
    tensors = _unwrapped(tensors)
    told = order.told(tensors)
    tensors = _without_prefix(tensors)
    kind = np.dtype(dtype)
    made = jax.eval_shape(lambda key: net.init(key, shape, dtype=kind), jax.random.key(0))
    wanted = safetensors.by_name({"params": made[0], "state": made[1]}, OP)
    if tensors and all(name.partition("/")[0] in ("params", "state") for name in tensors):
        found = _own(tensors, wanted)
    else:
        found = _foreign(places(OP, net, shape), tensors, told, given, wanted)
    return _tree(made[0], "params", found), _tree(made[1], "state", found)


def _given_names(names: Any) -> dict[str, str]:
    given = {} if names is None else names
    if not isinstance(given, Mapping) or not all(
        isinstance(word, str) for pair in given.items() for word in pair
    ):
        raise TypeError(f"{OP}: names must be modules by layers, got {check.shown(names)}")
    return dict(given)


def _tree(like: Any, name: str, found: Mapping[str, Array]) -> Any:
    if not isinstance(like, Mapping):
        return found[name]
    return {child: _tree(inner, f"{name}/{child}", found) for child, inner in like.items()}


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


# Arrays under our names ---------------------------------------------------------------------------


def _own(tensors: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Array]:
    if left := sorted(tensors.keys() - wanted.keys()):
        raise ValueError(f"{OP}: net must have a place for each of weights, got {_listed(left)}")
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ValueError(f"{OP}: weights must hold {_listed(missing)} for net, got none")
    for name, like in wanted.items():
        _check_shape(name, tensors[name], [like.shape], name)
    return {name: _array(name, tensors[name], like.dtype) for name, like in wanted.items()}


# Arrays under PyTorch's names ---------------------------------------------------------------------


def _foreign(
    found: Sequence[Place],
    tensors: Mapping[str, Any],
    told: bool,
    given: dict[str, str],
    wanted: Mapping[str, Any],
) -> dict[str, Array]:
    modules: Modules = {}
    for key, tensor in tensors.items():
        module, _, name = key.rpartition(".")
        if name != COUNTER:
            modules.setdefault(module, {})[name] = tensor
    pairs = _pairs([place for place in found if place.held], modules, told, given, found)
    for place, module in pairs:
        _check_module(place, module, modules[module])
    arrays = {}
    for place, module in pairs:
        for theirs, mine in place.wanted().items():
            tensor = modules[module][theirs]
            part = "state" if theirs.startswith("running_") else "params"
            name = "/".join((part, *place.path, mine))
            array = _array(f"{module}.{theirs}", tensor, wanted[name].dtype, place, mine)
            arrays[name] = array
    return arrays


def _pairs(
    held: Sequence[Place],
    modules: Modules,
    told: bool,
    given: dict[str, str],
    every: Sequence[Place],
) -> list[tuple[Place, str]]:
    """Each layer that holds numbers with its module; all modules are taken."""
    if unknown := sorted(given.keys() - {place.name for place in held}):
        raise ValueError(
            f"{OP}: names must be of layers that hold numbers, got {_listed(unknown)} "
            f"where there are {_listed([place.name for place in held])}"
        )
    if not given:
        schemes = known_names.known(every)
        given = max(schemes, key=lambda names: len(modules.keys() & names.values()), default={})
        exact = set(given.values()) == modules.keys()
        # Names of which most are known say best what is missing.
        most = 2 * len(modules.keys() & given.values()) >= len(modules)
        if not exact and (not most or order.as_made(modules, told) is not None):
            given = {}
    others = order.as_made([module for module in modules if module not in given.values()], told)
    if others is None and any(place.name not in given for place in held):
        raise ValueError(
            f"{OP}: names must say which module each layer is, since the names of tensors are "
            f"of no scheme that is known here, and their order does not tell it, as in files of "
            f"safetensors: modules are {_listed(list(modules))}, layers "
            f"{_listed([place.name for place in held])}"
        )
    others = iter(others or ())
    pairs = [(place, given.get(place.name) or next(others, "")) for place in held]
    for place, module in pairs:
        if module not in modules:
            what = f" {module}" if module else ""
            raise ValueError(
                f"{OP}: weights must hold a module{what} for the layer {place.name}, "
                f"got none among {_listed(list(modules))}"
            )
    if left := [module for module in modules if module not in {module for _, module in pairs}]:
        raise ValueError(
            f"{OP}: net must have a layer for each module of weights, got none for {_listed(left)}"
        )
    if len({module for _, module in pairs}) < len(pairs):
        raise ValueError(f"{OP}: names must give each layer a module of its own, got one twice")
    return pairs


def _check_module(place: Place, module: str, held: Mapping[str, Any]) -> None:
    wanted = place.wanted()
    if wanted.keys() != held.keys():
        raise ValueError(
            f"{OP}: weights must hold {', '.join(sorted(wanted))} for the layer {place.name}, "
            f"got {', '.join(sorted(held))} in the module {module}"
        )
    for theirs, mine in wanted.items():
        _check_shape(f"{module}.{theirs}", held[theirs], place.shapes(mine), f"{place.name}/{mine}")


def _check_shape(name: str, tensor: Any, shapes: Sequence[tuple[int, ...]], where: str) -> None:
    """Before any of its numbers is read."""
    shape = getattr(tensor, "shape", None)
    shape = np.shape(tensor) if shape is None else tuple(shape)
    if shape not in shapes:
        raise ValueError(
            f"{OP}: weights must have the shape {shapes[0]} for {where} of net, "
            f"got {shape} in {name}"
        )


def _array(
    name: str, tensor: Any, dtype: np.dtype, place: Place | None = None, mine: str = ""
) -> Array:
    """In our layout and dtype."""
    if hasattr(tensor, "detach"):  # a tensor of torch, of which NumPy does not know every dtype
        narrow = tensor.is_floating_point() and tensor.itemsize < 4
        tensor = (tensor.float() if narrow else tensor).detach().cpu().numpy()
    if not check.holds_numbers(tensor) or not jnp.issubdtype(
        np.asarray(tensor).dtype, jnp.floating
    ):
        raise TypeError(
            f"{OP}: weights must be arrays of floating-point numbers, got {check.shown(tensor)} "
            f"under {name}"
        )
    array = np.asarray(tensor)
    array = array if place is None else place.ours(mine, array)
    return jnp.asarray(np.array(array, dtype, order="C"))


# Files --------------------------------------------------------------------------------------------


def _unwrapped(tensors: Mapping[str, Any]) -> Mapping[str, Any]:
    """What training scripts put other things around."""
    for name in INSIDE:
        inside = tensors.get(name)
        tensors = inside if isinstance(inside, Mapping) else tensors
    for name in tensors:
        if not isinstance(name, str):
            raise TypeError(
                f"{OP}: weights must be a file, or arrays by name, got the name {check.shown(name)}"
            )
    return tensors


def _without_prefix(tensors: Mapping[str, Any]) -> dict[str, Any]:
    wrapped = bool(tensors) and all(name.startswith(WRAPPED) for name in tensors)
    return {name.removeprefix(WRAPPED) if wrapped else name: t for name, t in tensors.items()}


def _read(weights: Any) -> Mapping[str, Any]:
    """What a file holds."""
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            f"{OP}: weights must be a file, or arrays by name, got {check.shown(weights)}"
        )
    path = Path(weights)
    try:
        there = path.is_file()
    except ValueError:  # a name that holds a zero
        there = False
    if not there:
        raise ValueError(f"{OP}: weights must be a file or arrays by name, got no file at {path!s}")
    if path.suffix == ".safetensors":
        # Whoever wrote it: in which order its arrays lie says nothing of when they were made.
        return dict(sorted(safetensors.read(OP, path).items()))
    return _read_pickle(path)


def _read_pickle(path: Path) -> Mapping[str, Any]:
    try:
        import torch  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(
            f"{OP}: weights must be a file of safetensors where torch is not installed, got {path}"
        ) from error
    try:
        # torch does not compress: a file that unpacks to more bytes than it has is not torch's.
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                if sum(part.file_size for part in parts.infolist()) > path.stat().st_size:
                    raise ValueError("it unpacks to more bytes than it has")
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive, or a pickle of more than tensors
        raise ValueError(
            f"{OP}: weights must be a file of tensors by name that torch can read, got {path}, "
            f"which is damaged or holds more ({type(error).__name__})"
        ) from error
    if not isinstance(held, Mapping):
        raise ValueError(
            f"{OP}: weights must be a file of tensors by name, got {path}, which holds "
            f"{type(held).__name__}"
        )
    return held
