"""Graphs of ONNX for tests: small ones made here, and those inside the wheel of `onnx`."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
GRAPHS = (
    "squeezenet", "bvlc_alexnet", "zfnet512", "shufflenet", "resnet50", "vgg19", "inception_v1",
    "inception_v2", "densenet121",
)  # fmt: skip


def model(nodes: Any, inputs: Any, outputs: Any, tensors: Any = None, opset: int = 22) -> Any:
    """A model of nodes (operator, inputs, outputs, attributes); shapes of inputs, or arrays."""
    graph = helper.make_graph(
        [helper.make_node(kind, i, o, **attributes) for kind, i, o, attributes in nodes],
        "graph",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
            )
            for name, (dtype, shape) in inputs.items()
        ],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (tensors or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@cache
def single_operators() -> list[Any]:
    """The tests of the wheel, one operator each or what it is made of: a model, and its data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the code that makes the data
        from onnx.backend.test.case.node import collect_testcases

        return collect_testcases(None)


def arrays_of(data: Any) -> list[np.ndarray]:
    return [numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a for a in data]


def light(name: str, pixels: int = 224) -> Any:
    """A graph of the wheel with random weights, biases, γ, β, running means and variances.

    For pictures of so many pixels a side, where it is made of what takes any: VGG-19's first dense
    layer is then as wide as its last maps are.
    """
    made = onnx.load(LIGHT / f"light_{name}.onnx")
    graph, draw = made.graph, np.random.default_rng(0)
    named = {tensor.name for tensor in graph.initializer}
    (given,) = [given for given in graph.input if given.name not in named]
    for dim in given.type.tensor_type.shape.dim[2:]:
        dim.dim_value = pixels
    for tensor in graph.initializer if name == "vgg19" else ():
        shape = numpy_helper.to_array(tensor)
        smaller = np.where(shape == 512 * 7**2, 512 * (pixels // 32) ** 2, shape)
        tensor.CopyFrom(numpy_helper.from_array(smaller, tensor.name))
    shapes = {t.name: tuple(numpy_helper.to_array(t)) for t in graph.initializer}
    reader = {name: (node.op_type, i) for node in graph.node for i, name in enumerate(node.input)}
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        (name,) = node.output
        array = _drawn(draw, shapes[node.input[0]], *reader.get(name, ("", 0)), name)
        graph.initializer.append(numpy_helper.from_array(array, name))
        graph.node.remove(node)
    return made


def _drawn(draw: Any, shape: Any, kind: str, place: int, name: str) -> np.ndarray:
    # γ and the variance of a norm, γ of Caffe's scale, which is a Mul by way of an Unsqueeze.
    norm = kind == "BatchNormalization" and place in (1, 4)
    if norm or (kind == "Unsqueeze" and "_w_" in name):
        return draw.uniform(0.5, 1.5, shape).astype(np.float32)
    size = 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))  # He et al. 2015
    return (size * draw.standard_normal(shape, np.float32)).astype(np.float32)


def session(made):
    runtime = pytest.importorskip("onnxruntime", reason="not installed (extra: peers)")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(made.SerializeToString(), options, ["CPUExecutionProvider"])
