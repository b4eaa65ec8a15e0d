"""A file of ONNX, read and checked: nothing in it is believed before it is looked at.

Nothing is executed: a graph is a list of names of operators. What a node may say of itself, the
schemas of the package `onnx` know.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcnn import check
from jaxcnn.interop.onnx.inlining import called, inlined, name_of
from jaxcnn.interop.onnx.package import package
from jaxcnn.interop.onnx.table import TABLE, Node, rules_of
from jaxcnn.interop.onnx.tensors import dtype_of, tensor

OLDEST = 7
"""The operator set from which on operators broadcast as NumPy does."""

MARKED = ("GroupNormalization",)
"""Operators of which the schemas mark a version as deprecated that still has its meaning."""

DOMAINS = ("", "ai.onnx")
QUANTISED = re.compile("(^|[a-z])Q[A-Z0-9]|[Qq]uantize|Integer|NBits|Bnb4")
"""In names of operators on numbers of few bits, those of onnxruntime too."""


@dataclass(frozen=True)
class Input:
    """An input of the graph; a size is a number, a name, or None where the file does not say."""

    name: str
    shape: tuple[int | str | None, ...] | None
    dtype: np.dtype

    @property
    def batch(self) -> int | str | None:
        """The size of its first axis, if the file says one."""
        return self.shape[0] if self.shape else None


class File(NamedTuple):
    """What a file holds."""

    nodes: list[Node]
    tensors: dict[str, np.ndarray]
    inputs: list[Input]
    outputs: list[str]


def read(source: Any) -> File:
    """The graph of a file, of its bytes, or of a model of the package `onnx`."""
    model, folder = _model(source)
    opset = _opset(model)
    graph = model.graph
    tensors = {t.name: tensor(t, folder, f"tensor {t.name!r}") for t in graph.initializer}
    if graph.sparse_initializer:
        raise ValueError("from_onnx: sparse tensors are not read, and the graph holds some")
    inputs = [_input(value) for value in graph.input if value.name not in tensors]
    nodes = [_node(node, i, opset, folder) for i, node in enumerate(graph.node)]
    outputs = [value.name for value in graph.output]
    _check_edges(nodes, [*tensors, *(given.name for given in inputs)], outputs)
    return File(nodes, tensors, inputs, outputs)


def _model(source: Any) -> tuple[Any, Path | None]:
    """The model, and the folder of its file."""
    onnx, folder = package("from_onnx"), None
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            folder, source = path.resolve().parent, path.read_bytes()
        except (OSError, ValueError) as error:
            raise ValueError(
                f"from_onnx: source must be a file that can be read, got {str(path)!r}: {error}"
            ) from error
    if isinstance(source, bytes):
        from google.protobuf.message import DecodeError

        try:
            source = onnx.load_model_from_string(source)
        except (DecodeError, ValueError, RuntimeError) as error:
            raise ValueError(f"from_onnx: source must be a file of ONNX: {error}") from error
    if not isinstance(source, onnx.ModelProto):
        raise TypeError(
            f"from_onnx: source must be a path, bytes or an onnx.ModelProto, "
            f"got {check.shown(source)}"
        )
    return inlined(source), folder


def _opset(model: Any) -> int:
    """The version of the operator set."""
    onnx = package("from_onnx")
    found = [entry.version for entry in model.opset_import if entry.domain in DOMAINS]
    if len(found) != 1:
        raise ValueError(
            "from_onnx: source must be a model of ONNX, but names no operator set of its own"
            if not found
            else f"from_onnx: source must be one model, but names {len(found)} operator sets"
        )
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= found[0] <= newest:
        first = next((called(node) + ": " for node in model.graph.node), "")
        raise ValueError(
            f"from_onnx: {first}the operator set must be of version 1 to {newest}, the newest that "
            f"the installed onnx {onnx.__version__} knows, got {found[0]}"
        )
    return found[0]


def _input(value: Any) -> Input:
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"from_onnx: the input {value.name!r} must be a tensor")
    kind = value.type.tensor_type
    shape = None
    if kind.HasField("shape"):
        shape = tuple(
            d.dim_value if d.dim_value > 0 else d.dim_param or None for d in kind.shape.dim
        )
    return Input(value.name, shape, dtype_of(kind.elem_type, f"the input {value.name!r}"))


def _node(node: Any, place: int, opset: int, folder: Path | None) -> Node:
    onnx = package("from_onnx")
    name, what = name_of(node, place), called(node, place)
    if QUANTISED.search(node.op_type):
        raise ValueError(f"from_onnx: {what}: quantised operators are not read")
    if node.domain not in DOMAINS:
        raise ValueError(f"from_onnx: {what}: operators of {node.domain!r} are not known")
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        schema = None
    if schema is None or node.op_type not in TABLE:
        raise ValueError(
            f"from_onnx: {what}: the operator is not known"
            + (f" in version {opset} of the operator set" if schema is None else " to jaxcnn")
        )
    if schema.deprecated and node.op_type not in MARKED:
        raise ValueError(f"from_onnx: {what}: version {opset} of the operator set has it no more")
    if schema.since_version < _oldest(onnx, node.op_type):
        raise ValueError(
            f"from_onnx: {what}: version {schema.since_version} of the operator is too old; "
            f"onnx.version_converter makes it that of operator set {OLDEST}"
        )
    if schema.since_version > TABLE[node.op_type].newest:
        raise ValueError(
            f"from_onnx: {what}: version {schema.since_version} of the operator is not known, only "
            f"those up to {TABLE[node.op_type].newest}"
        )
    for count, least, most, side in (
        (len(node.input), schema.min_input, schema.max_input, "inputs"),
        (len(node.output), schema.min_output, schema.max_output, "outputs"),
    ):
        if not least <= count <= most:
            raise ValueError(
                f"from_onnx: {what}: it must have {least} to {most} {side}, got {count}"
            )
    attributes = _attributes(node, schema, what, folder)
    inputs, outputs = (list(names) for names in (node.input, node.output))
    for names in (inputs, outputs):
        while names and not names[-1]:
            names.pop()
    if any(not n for n in inputs[: schema.min_input]) or len(inputs) < schema.min_input:
        raise ValueError(f"from_onnx: {what}: its first {schema.min_input} inputs must be given")
    return Node(
        node.op_type, name, schema.since_version, attributes, tuple(inputs), tuple(outputs),
        rules_of(node.op_type),
    )  # fmt: skip


def _oldest(onnx: Any, kind: str) -> int:
    """The oldest version of an operator that broadcasts as NumPy does."""
    try:
        return onnx.defs.get_schema(kind, OLDEST, "").since_version
    except onnx.defs.SchemaError:  # it came later
        return OLDEST


def _attributes(node: Any, schema: Any, what: str, folder: Path | None) -> Mapping[str, Any]:
    onnx = package("from_onnx")
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        name, kind = attribute.name, onnx.AttributeProto.AttributeType.Name(attribute.type)
        wanted = schema.attributes.get(name)
        if wanted is None or wanted.type.name != kind or attribute.ref_attr_name:
            raise ValueError(
                f"from_onnx: {what}: the attribute {name!r} must be "
                f"{'one of its operator' if wanted is None else wanted.type.name}, got {kind}"
            )
        value = onnx.helper.get_attribute_value(attribute)
        match kind:
            case "STRING":
                value = value.decode("utf-8", "replace")
            case "TENSOR":
                value = tensor(value, folder, f"{what}: the attribute {name!r}")
            case "INTS" | "FLOATS":
                value = list(value)
            case "INT" | "FLOAT":
                pass
            case _:
                raise ValueError(f"from_onnx: {what}: the attribute {name!r} is of kind {kind}")
        if name == "to":
            value = dtype_of(attribute.i, what)
        found[name] = value
    missing = [n for n, wanted in schema.attributes.items() if wanted.required and n not in found]
    if missing:
        raise ValueError(f"from_onnx: {what}: it must have the attribute {missing[0]!r}")
    return found


def _check_edges(nodes: list[Node], given: list[str], outputs: list[str]) -> None:
    """Every value is made once, before it is read."""
    made = set(given)
    if len(made) != len(given):
        raise ValueError("from_onnx: two inputs or tensors of the graph have one name")
    for node in nodes:
        for name in node.inputs:
            if name and name not in made:
                raise node.fail(f"it reads {name!r}, which nothing before it makes")
        for name in node.outputs:
            if name in made:
                raise node.fail(f"it makes {name!r}, which is there already")
            made.update([name] if name else [])
    for name in outputs:
        if name not in made:
            raise ValueError(f"from_onnx: the graph gives {name!r}, which no node makes")
    if not outputs:
        raise ValueError("from_onnx: the graph has no output")
