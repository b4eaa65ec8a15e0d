"""A graph of ONNX as a function: an interpreter over its nodes, on the rules of jaxcnn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn import check
from jaxcnn.interop.onnx.reading import File, Input, read
from jaxcnn.interop.onnx.table import CONSTANTS, TABLE, Node
from jaxcnn.interop.onnx.values import is_float, known, plain
from jaxcnn.sizes import known as known_sizes

SHAPES = ("Shape", "Size")
"""Operators that read of a value its shape only."""


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A function of parameters and inputs: `graph(params, *inputs)`.

    A value like a network: `jaxcnn.autodiff_twin(graph)` is the same graph on plain operations.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    """Numbers that are not parameters, and what is computed of them."""
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    batched: frozenset[str]
    """What is reshaped into a shape that holds the batch that the file was written for."""

    def __repr__(self) -> str:
        inputs = ", ".join(f"{given.name}: {given.shape}" for given in self.inputs)
        return f"Graph({len(self.nodes)} nodes; {inputs} → {', '.join(self.outputs)})"

    def __call__(self, params: Mapping[str, Any], *inputs: Any) -> Any:
        """The output of the graph, or a tuple of them.

        Args:
            params: arrays by their names in the file.
            inputs: one per entry of `self.inputs`; of the first axis of each the size is free.

        Raises:
            TypeError, ValueError: an input does not fit; a node cannot be computed, and is named.
        """
        values: dict[str, Any] = dict(self.constants)
        values.update((name, jnp.asarray(value)) for name, value in params.items())
        if len(inputs) != len(self.inputs):
            names = ", ".join(given.name for given in self.inputs)
            raise TypeError(f"graph: inputs must be {names}, got {len(inputs)} of them")
        values.update(
            (given.name, _fitting(given, value))
            for given, value in zip(self.inputs, inputs, strict=True)
        )
        written, batch = self._batches(values)
        for node in self.nodes:
            arguments = [_value(values, node, name) for name in node.inputs]
            if node.outputs[0] in self.batched and batch != written:
                arguments[1] = _for_batch(arguments[1], written, batch)
            for name, value in zip(node.outputs, node(*arguments), strict=False):
                values[name] = np.asarray(value) if isinstance(value, np.generic) else value
        found = tuple(jnp.asarray(plain(values[name])) for name in self.outputs)
        return found if len(found) > 1 else next(iter(found))

    def _batches(self, values: Mapping[str, Any]) -> tuple[Any, Any]:
        """The size of the batch in the file, and the one that is given."""
        for given in self.inputs:
            if isinstance(given.batch, int):
                return given.batch, values[given.name].shape[0]
        return None, None


class FromOnnx(NamedTuple):
    """What `from_onnx` makes of a file: `apply(params, *inputs)`."""

    apply: Graph
    params: dict[str, Array]


def from_onnx(source: Any, *, constants: Mapping[str, Any] | None = None) -> FromOnnx:
    """y = graph(params, x): a file of ONNX as a function on the rules of jaxcnn, with its numbers.

    Every floating-point tensor of the file that has an axis is a parameter, under its own name and
    in ONNX's layout, unless it says a shape or another setting. Derivatives of any order and in
    both modes are those of the rules; the statistics of batch norm have none. Inputs and outputs
    have their axes as in the file, whose batch may be of any size. Dropout is left out.
    Source: https://onnx.ai/onnx/operators; versions of the operator set from 7 on.

    Args:
        source: a path, the bytes of a file, or an `onnx.ModelProto`. Data outside the file are read
            from its folder only, and nothing in it is executed.
        constants: inputs that are to be numbers known beforehand, by name: shapes, axes.

    Raises:
        ImportError: the package onnx is missing.
        TypeError: source or constants are of the wrong kind.
        ValueError: the file is broken or foreign, or holds an operator, or a version of one, that
            is not known, or asks for arrays of more than 2^31 elements, or constants of more than
            2^28; the sentence names the node. Functions of the file nest without end, or come to
            more than 2^16 nodes.
    """
    file = read(source)
    given = _constants(file, constants)
    inputs = tuple(entry for entry in file.inputs if entry.name not in given)
    tensors = {**file.tensors, **given}
    nodes, folded = _folded(file, tensors, _settings(file))
    fixed = {**given, **folded}
    params = _parameters(nodes, fixed, file.tensors, _settings(file))
    read_by = {name for node in nodes for name in node.inputs} | set(file.outputs)
    rest = {
        name: value
        for name, value in {**file.tensors, **fixed}.items()
        if name in read_by and name not in params
    }
    graph = Graph(tuple(nodes), rest, inputs, tuple(file.outputs), _batched(nodes, inputs, rest))
    return FromOnnx(graph, {name: jnp.asarray(value) for name, value in params.items()})


def _constants(file: File, constants: Any) -> dict[str, np.ndarray]:
    given = {} if constants is None else constants
    names = [entry.name for entry in file.inputs]
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise TypeError(
            f"from_onnx: constants must be a dict of inputs of the graph, {', '.join(names)}, "
            f"got {check.shown(constants)}"
        )
    return {name: np.asarray(value) for name, value in given.items()}


def _settings(file: File) -> set[str]:
    """The values from which settings are computed, such as shapes."""
    wanted: set[str] = set()
    for node in reversed(file.nodes):
        if node.kind not in SHAPES and wanted & set(node.outputs):
            wanted |= set(node.inputs)
        wanted |= {node.inputs[i] for i in TABLE[node.kind].settings if i < len(node.inputs)}
    return wanted


def _trained(name: str, value: np.ndarray, settings: Iterable[str]) -> bool:
    """Whether it is a parameter: floats with an axis, from which no setting is computed."""
    return is_float(value) and value.ndim > 0 and name not in settings


def _folded(
    file: File, tensors: Mapping[str, np.ndarray], settings: set[str]
) -> tuple[list[Node], dict[str, np.ndarray]]:
    """The nodes that are left when all that depends on numbers of settings alone is computed."""
    values = {n: v for n, v in tensors.items() if not _trained(n, v, settings)}
    left, folded, total = [], {}, 0
    for node in file.nodes:
        if not all(name in values or not name for name in node.inputs):
            left.append(node)
            continue
        computing = replace(node, room=CONSTANTS - total)
        found = computing(*(values.get(name) for name in node.inputs))
        if not known(*found):  # what a rule computes stays in the graph
            left.append(node)
            continue
        for name, value in zip(node.outputs, found, strict=False):
            folded[name] = np.asarray(value)
            # A Constant's numbers the file holds itself.
            total += folded[name].size if node.kind != "Constant" else 0
            if not _trained(name, folded[name], settings):
                values[name] = folded[name]
        if total > CONSTANTS:
            raise node.fail(f"constants must have {CONSTANTS:,} elements at most, all together")
    return left, folded


def _parameters(
    nodes: Sequence[Node],
    folded: Mapping[str, np.ndarray],
    tensors: Mapping[str, np.ndarray],
    settings: set[str],
) -> dict[str, np.ndarray]:
    """Tensors that nodes read, by name."""
    read_by = {name for node in nodes for name in node.inputs}
    return {
        name: value
        for name, value in {**tensors, **folded}.items()
        if name in read_by and _trained(name, value, settings)
    }


def _batched(
    nodes: Sequence[Node], inputs: Sequence[Input], constants: Mapping[str, np.ndarray]
) -> frozenset[str]:
    """What comes of an input and is reshaped into a shape with its batch."""
    made, found = {entry.name for entry in inputs}, set()
    sizes = {entry.batch for entry in inputs if isinstance(entry.batch, int)}
    for node in nodes:
        if not made & set(node.inputs):
            continue
        made |= set(node.outputs)
        if node.kind == "Reshape" and len(sizes) == 1 and node.inputs[1] in constants:
            shape, (batch,) = constants[node.inputs[1]], sizes
            if shape.size and shape[0] > 0 and batch > 0 and shape[0] % batch == 0:
                found.add(node.outputs[0])
    return frozenset(found)


def _for_batch(shape: np.ndarray, written: int, batch: Any) -> np.ndarray:
    """The shape for a batch of another size than the file's."""
    sizes = [int(shape[0]) // written * batch, *map(int, shape[1:])]
    return np.array(sizes, np.int64 if known_sizes(batch) else object)


def _value(values: Mapping[str, Any], node: Node, name: str) -> Any:
    if not name:
        return None
    if name not in values:
        raise node.fail(f"params must hold {name!r}")
    return values[name]


def _fitting(given: Input, value: Any) -> Array:
    """An input, if its dtype and its shape are of the kind that the file says."""
    array = jnp.asarray(value)
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(array.dtype, k) and jnp.issubdtype(given.dtype, k) for k in kinds):
        raise TypeError(f"graph: {given.name} must be of {given.dtype}, got {array.dtype}")
    shape = given.shape
    if shape is None:
        return array
    if array.ndim != len(shape) or any(
        isinstance(wanted, int) and known_sizes(size) and wanted > 0 and size != wanted
        for size, wanted in zip(array.shape[1:], shape[1:], strict=True)
    ):
        raise ValueError(f"graph: {given.name} must have shape {shape}, got {array.shape}")
    return array
