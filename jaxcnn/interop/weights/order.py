"""The order in which the modules of a `state_dict` were made, where something tells it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

NUMBER = re.compile("0|[1-9][0-9]*")


def told(tensors: Mapping[str, Any]) -> bool:
    """Whether tensors stand in the order in which they were made.

    Torch's own `state_dict` notes its modules as it meets them. Otherwise any order will do but
    that of the alphabet, and that of what safetensors writes: by dtype, then by the alphabet.
    """
    keys = list(tensors)
    modules = dict.fromkeys(key.rpartition(".")[0] for key in keys)
    noted = getattr(tensors, "_metadata", None)
    # Who sorts the tensors (older versions of torch, as they take off a prefix) leaves the notes.
    if isinstance(noted, Mapping) and [name for name in noted if name in modules] == list(modules):
        return True
    dtypes = {key: str(getattr(tensor, "dtype", "")) for key, tensor in tensors.items()}
    ranks = {dtype: rank for rank, dtype in enumerate(dict.fromkeys(dtypes.values()))}
    by_dtype = sorted(keys, key=lambda key: (ranks[dtypes[key]], key))
    return keys not in (sorted(keys), by_dtype)


def as_made(modules: Iterable[str], told: bool) -> list[str] | None:
    """The modules in the order in which they were made; None where nothing tells it.

    Side by side, numbers tell it, whatever the order is; other names stand in order where that is
    told. Tensors that a module holds itself come before those of the modules inside.
    """
    root: dict[Any, Any] = {}  # by their names, the modules inside; under None, its own path
    for module in modules:
        node = root
        for name in module.split(".") if module else ():
            # Torch is done with a module before it begins the next: coming back is another's order.
            told = told and (name not in node or name == next(reversed(node)))
            node = node.setdefault(name, {})
        node[None] = module
    made, left = [], [root]
    while left:
        node = left.pop()
        if None in node:
            made.append(node.pop(None))
        names = list(node)
        if all(map(NUMBER.fullmatch, names)):
            names.sort(key=lambda name: (len(name), name))
        elif len(names) > 1 and not told:
            return None
        left += [node[name] for name in reversed(names)]
    return made
