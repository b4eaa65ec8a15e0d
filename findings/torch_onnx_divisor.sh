#!/usr/bin/env bash
# PyTorch 2.13.0, onnxscript 0.7.2, onnxruntime 1.32.0: `torch.onnx.export` drops the divisor of
# `nn.AvgPool2d(2, divisor_override=1)`, which makes a sum of it: the exported network averages, by
# either exporter, without a word. ONNX's AveragePool has no such attribute; other things that it
# cannot say are refused, or multiplied in.
# Seen: "PyTorch [10.0, 18.0, 42.0, 50.0]", "dynamo=True [2.5, 4.5, 10.5, 12.5]", "dynamo=False [2.5, …]".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/env/bin/python" -W ignore - "$folder/net.onnx" <<'PYTHON'
import sys

import onnxruntime
import torch

net, x = torch.nn.AvgPool2d(2, divisor_override=1), torch.arange(16.0).reshape(1, 1, 4, 4)
right = net(x).flatten().tolist()
print("PyTorch", right)
for dynamo in (True, False):
    torch.onnx.export(net, (x,), sys.argv[1], dynamo=dynamo, verbose=False)
    session = onnxruntime.InferenceSession(sys.argv[1])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    print(f"dynamo={dynamo}", y.ravel().tolist())
    assert (4 * y.ravel()).tolist() == right, "the behaviour has changed"
PYTHON
