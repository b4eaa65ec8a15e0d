"""ONNX in and out, with the package `onnx` (extra: onnx).

A graph is a function and its parameters, on the rules of jaxcnn; every operator is one function in
a table, in the file of its kind. A network of `jaxcnn.layers` becomes a file by an interpreter
over its layers.
"""

# Each enters its operators into the table.
from jaxcnn.interop.onnx import activations as activations
from jaxcnn.interop.onnx import arithmetic as arithmetic
from jaxcnn.interop.onnx import moves as moves
from jaxcnn.interop.onnx import norms as norms
from jaxcnn.interop.onnx import resize as resize
from jaxcnn.interop.onnx import windows as windows
from jaxcnn.interop.onnx.export import to_onnx as to_onnx
from jaxcnn.interop.onnx.graph import FromOnnx as FromOnnx
from jaxcnn.interop.onnx.graph import Graph as Graph
from jaxcnn.interop.onnx.graph import from_onnx as from_onnx
