"""A graph of ONNX in the making: nodes, tensors, and names for what they make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from jaxcnn.interop.onnx.package import package
from jaxcnn.layers import Layer, Leaf

OPSET = 21
"""The version of the operator set that files are written in; onnxruntime 1.20 and later read it."""


class Value(NamedTuple):
    """What a node makes: its name, and the shape of an example as the layers have it.

    In the file channels stand before space.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def axes(self) -> int:
        """How many axes of space it has."""
        return len(self.shape) - 1


@dataclass
class Writer:
    """Where nodes and tensors are put; `path` names the layer that puts them."""

    dtype: np.dtype
    nodes: list[Any] = field(default_factory=list)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    path: str = ""

    def at(self, name: str) -> "Writer":
        """The same graph, for a layer inside."""
        return replace(self, path=f"{self.path}/{name}" if self.path else name)

    def _new(self, name: str) -> str:
        wanted = f"{self.path}/{name}" if self.path else name
        found, count = wanted, 1
        while found in self.names:
            count += 1
            found = f"{wanted}_{count}"
        self.names.add(found)
        return found

    def tensor(self, name: str, array: Any, dtype: Any = None) -> str:
        """A tensor of the file; floats have the dtype of the network's parameters."""
        found = self._new(name)
        self.tensors[found] = np.asarray(array, dtype or self.dtype, order="C")
        return found

    def integers(self, name: str, numbers: Sequence[int]) -> str:
        """A tensor of sizes, axes or amounts."""
        return self.tensor(name, list(numbers), np.int64)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node; the name of what it makes."""
        name = self._new(kind.lower())
        make = package("to_onnx").helper.make_node
        self.nodes.append(make(kind, list(inputs), [name], name=name, **attributes))
        return name

    # Moves of axes, which many layers need.

    def transpose(self, name: str, order: Sequence[int]) -> str:
        """The axes in another order."""
        if list(order) == list(range(len(order))):
            return name
        return self.add("Transpose", name, perm=list(order))

    def last(self, x: Value) -> str:
        """Channels last, as the layers have them."""
        return self.transpose(x.name, [0, *range(2, x.axes + 2), 1]) if x.axes else x.name

    def first(self, name: str, axes: int) -> str:
        """Channels first, as the file has them."""
        return self.transpose(name, [0, axes + 1, *range(1, axes + 1)]) if axes else name

    def along_channels(self, name: str, array: Any, x: Value) -> str:
        """A tensor of one number per channel, for maps like x."""
        array = np.asarray(array)
        return self.tensor(name, array.reshape(array.shape + (1,) * (x.axes if array.ndim else 0)))


Write = Callable[[Any, Writer, Value, Any, Any], str]
TABLE: dict[type[Layer], Write] = {}


def writes(*kinds: type[Leaf]) -> Callable[[Write], Write]:
    """Enter the function that writes such layers: layer, writer, input, parameters, state."""

    def enter(write: Write) -> Write:
        TABLE.update(dict.fromkeys(kinds, write))
        return write

    return enter
