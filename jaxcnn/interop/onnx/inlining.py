"""Functions that a model defines itself, replaced by what they hold.

A few lines may nest so often that they come to more nodes than a machine holds: they are counted
before they are written out.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from jaxcnn.interop.onnx.package import package

NODES = 2**16
BYTES = 2**31
DEEPEST = 100
"""So many nodes and bytes may come of functions, nested so deep."""


class Size(NamedTuple):
    """What nodes come to when their functions are written out."""

    nodes: int
    bytes: int
    depth: int


def called(node: Any, place: int = 0) -> str:
    """How a sentence names a node."""
    return f"node {name_of(node, place)!r} ({node.op_type})"


def name_of(node: Any, place: int = 0) -> str:
    """The name of a node, or that of its first output, or its place."""
    return node.name or (node.output[0] if node.output else f"number {place}")


def inlined(model: Any) -> Any:
    """The model without functions of its own."""
    if not model.functions:
        return model
    onnx = package("from_onnx")
    from onnx import inliner

    functions = {_key(function, function.name): function for function in model.functions}
    sizes: dict[Any, Size] = {}
    for key in functions:  # those too that nothing calls
        _size_of(key, functions, sizes, ())
    count, size, _ = _sum(model.graph.node, functions, sizes, ())
    if count > NODES or size > BYTES:
        raise ValueError(
            f"from_onnx: a graph whose functions are written out must come to {NODES:,} nodes and "
            f"{BYTES:,} bytes at most, got {count:,} and {size:,}"
        )
    try:
        return inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ValueError(f"from_onnx: the model's functions cannot be read: {told}") from error


def _key(of: Any, name: str) -> tuple[str, str, str]:
    return of.domain, name, of.overload


def _size_of(key: Any, functions: Any, sizes: Any, within: tuple[Any, ...]) -> Size:
    """What a function comes to."""
    if key not in sizes:
        sizes[key] = _sum(functions[key].node, functions, sizes, (*within, key))
    return sizes[key]


def _sum(nodes: Any, functions: Any, sizes: Any, within: tuple[Any, ...]) -> Size:
    total = Size(0, 0, 0)
    for node in _with_those_inside(nodes):
        more, key = Size(1, node.ByteSize(), 0), _key(node, node.op_type)
        if key in functions:
            endless = key in within or len(within) == DEEPEST
            if endless or (more := _size_of(key, functions, sizes, within)).depth == DEEPEST:
                raise ValueError(
                    f"from_onnx: {called(node)}: functions must not call themselves, "
                    f"and be nested {DEEPEST} deep at most"
                )
            more = more._replace(depth=more.depth + 1)
        count, size, depth = total
        total = Size(count + more.nodes, size + more.bytes, max(depth, more.depth))
    return total


def _with_those_inside(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes, and those of graphs that are attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _with_those_inside(graph.node)
