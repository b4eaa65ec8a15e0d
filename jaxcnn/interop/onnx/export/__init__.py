"""A network of `jaxcnn.layers` as a file of ONNX: one more interpreter over the value.

Each layer is one function in a table, in the file of its kind; maps have their channels first in
the file, as the operators of ONNX want them.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import check, layers

# Each enters its layers into the table.
from jaxcnn.interop.onnx.export import norms as norms
from jaxcnn.interop.onnx.export import pointwise as pointwise
from jaxcnn.interop.onnx.export import shapes as shapes
from jaxcnn.interop.onnx.export import windows as windows
from jaxcnn.interop.onnx.export.writer import OPSET, TABLE, Value, Writer
from jaxcnn.interop.onnx.package import package
from jaxcnn.layers.base import check_pass, named

LARGEST = 2**31 - 2**20
"""So many bytes a file may have, less something for its nodes."""


def to_onnx(
    net: layers.Layer,
    params: Mapping[str, Any],
    state: Mapping[str, Any],
    input_shape: Sequence[int],
    *,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """A network in evaluation as a model of ONNX, for batches of any size.

    Its input is "x", with channels before space, as ONNX has maps: (n, c, h, w). Its output is "y",
    or for `heads` one under each of their names. Tensors bear the names of their layers.
    Source: https://onnx.ai/onnx/operators, version 21 of the operator set.

    Args:
        net: the network.
        params: as `init` drew them, or trained.
        state: as `init` made it, or as training left it.
        input_shape: of one example, channels last, as for `init`.
        path: where the file is written; by default none is.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        ImportError: the package onnx is missing.
        TypeError: net is no layer, or params and state are none of a network.
        ValueError: a layer has no counterpart, or does not fit; or the file would be larger than
            2 GB, which the format does not hold.
    """
    onnx = package("to_onnx")
    if not isinstance(net, layers.Layer):
        raise TypeError(f"to_onnx: net must be a layer of jaxcnn.layers, got {check.shown(net)}")
    check_pass("to_onnx", params, state, None, False)
    shape = check.integers("to_onnx", "input_shape", input_shape)
    _check_parts(net, (params, state), shape)
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"to_onnx: path must be a path or None, got {check.shown(path)}")
    floats = [np.dtype(a.dtype) for a in jax.tree.leaves(params)] or [np.dtype(np.float32)]
    writer = Writer(floats[0])
    ids = isinstance(_first(net), layers.Embedding)
    writer.names.update(["x", "y"])
    found = _walk(net, writer, Value("x", shape), params, state, np.int32 if ids else writer.dtype)
    outputs = found if isinstance(found, dict) else {"y": found}
    kind = onnx.helper.np_dtype_to_tensor_dtype
    sizes = shape if ids else (shape[-1], *shape[:-1])
    for name, value in outputs.items():
        writer.nodes.append(onnx.helper.make_node("Identity", [value.name], [name], name=name))
    if sum(a.nbytes for a in writer.tensors.values()) > LARGEST:
        raise ValueError("to_onnx: params must hold less than 2 GB, which is all a file can")
    graph = onnx.helper.make_graph(
        writer.nodes,
        "jaxcnn",
        [
            onnx.helper.make_tensor_value_info(
                "x", kind(np.dtype(np.int64 if ids else writer.dtype)), ["n", *sizes]
            )
        ],
        [
            onnx.helper.make_tensor_value_info(
                name, kind(writer.dtype), ["n", *value.shape[-1:], *value.shape[:-1]]
            )
            for name, value in outputs.items()
        ],
        [onnx.numpy_helper.from_array(a, name) for name, a in writer.tensors.items()],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=10,
        producer_name="jaxcnn",
    )  # fmt: skip
    if path is not None:
        Path(path).write_bytes(model.SerializeToString())
    return model


def _check_parts(net: layers.Layer, given: Any, shape: tuple[int, ...]) -> None:
    """Raise unless these are parameters and a state of the network for such examples."""
    made = jax.eval_shape(lambda key: net.init(key, shape), jax.random.key(0))
    if jax.tree.map(np.shape, made) != jax.tree.map(np.shape, given):
        raise ValueError(
            "to_onnx: params and state must be what init returns for net and an "
            f"input_shape of {shape}, got others"
        )


def _first(net: layers.Layer) -> layers.Layer:
    """The layer that reads the input."""
    while isinstance(net, layers.Serial):
        (_, net), *_ = net.children
    return net


def _walk(net: Any, w: Writer, x: Value, params: Any, state: Any, dtype: Any) -> Any:
    """What the network makes of x: a value, or those of its heads by name."""
    if isinstance(net, (layers.Serial, layers.Branches)):
        found: Any = x
        outputs = {}
        for name, child in net.children:
            given = found if isinstance(net, layers.Serial) else x
            with named(name):
                part = params.get(name, {}), state.get(name, {})
                found = outputs[name] = _walk(child, w.at(name), given, *part, dtype)
            dtype = w.dtype if isinstance(net, layers.Serial) else dtype
        return found if isinstance(net, layers.Serial) else _joined(net, w, outputs)
    if type(net) not in TABLE:
        raise ValueError(f"to_onnx: net must hold layers that ONNX has, got {check.shown(net)}")
    example = jax.ShapeDtypeStruct((1, *x.shape), jnp.dtype(dtype))
    after = jax.eval_shape(net.apply, params, state, example)[0].shape[1:]
    return Value(TABLE[type(net)](net, w, x, params, state), after)


def _joined(net: layers.Branches, w: Writer, outputs: dict[str, Any]) -> Any:
    """What becomes of the outputs of branches."""
    values = list(outputs.values())
    match net.merge:
        case "add":
            kind = "Add" if len(values) == 2 else "Sum"
            return Value(w.add(kind, *(v.name for v in values)), values[0].shape)
        case "concatenate":
            space, c = values[0].shape[:-1], sum(v.shape[-1] for v in values)
            return Value(w.add("Concat", *(v.name for v in values), axis=1), (*space, c))
    return outputs
