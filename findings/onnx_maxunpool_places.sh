#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: MaxUnpool with `output_shape` puts the maxima in other places than
# MaxPool found them. Of a map of 5 × 5 MaxPool counts places in rows of five; the evaluator counts them
# in the 4 × 4 of the windows, and copies that into a corner. (Where the maxima lie last in their windows, it
# raises IndexError.) The operator's test `maxunpool_export_with_output_shape` has data by the same
# counting. onnxruntime 1.32.0 puts each maximum back.
# Seen: "were [0, 2, 10, 12]", "onnxruntime [0, 2, 10, 12]", "reference [0, 2, 12, 15]".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.4
"$folder/env/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

window = {"kernel_shape": [2, 2], "strides": [2, 2]}
nodes = [
    helper.make_node("MaxPool", ["x"], ["largest", "places"], **window),
    helper.make_node("MaxUnpool", ["largest", "places", "shape"], ["y"], **window),
]
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 5, 5]) for name in "xy")
shape = numpy_helper.from_array(np.array([1, 1, 5, 5]), "shape")
graph = helper.make_graph(nodes, "there_and_back", [x], [y], [shape])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)

given = np.arange(25, 0, -1, dtype=np.float32).reshape(1, 1, 5, 5)
(runtime,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": given})
(reference,) = ReferenceEvaluator(model).run(None, {"x": given})
places = {name: np.flatnonzero(y).tolist() for name, y in (("onnxruntime", runtime), ("reference", reference))}
print("were [0, 2, 10, 12]", *(f"{name} {found}" for name, found in places.items()), sep="\n")
assert (runtime[runtime != 0] == given.ravel()[[0, 2, 10, 12]]).all(), "the behaviour has changed"
assert places["onnxruntime"] == [0, 2, 10, 12] != places["reference"], "the behaviour has changed"
PYTHON
