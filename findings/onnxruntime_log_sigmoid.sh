#!/usr/bin/env bash
# PyTorch 2.13.0 and onnxruntime 1.32.0: `logsigmoid` is exported as Log of Sigmoid, and onnxruntime
# computes Sigmoid by a polynomial that is right to 1e-7 of 1, not of itself: at −17 it is twice what it
# should be, from −18 on 0. So the logarithm is off by 0.8 at −17 and −∞ from −18 on, where PyTorch has
# x itself. ONNX's −Softplus(−x) is right in the same runtime.
# Seen: "PyTorch [-10.0, -17.0, -30.0]", "onnxruntime [-10.0, -16.2, -inf]", "by Softplus [-10.0, -17.0, -30.0]".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/env/bin/python" -W ignore - "$folder/net.onnx" <<'PYTHON'
import sys

import onnxruntime
import torch


class BySoftplus(torch.nn.Module):
    def forward(self, x):
        return -torch.nn.functional.softplus(-x)


def exported(net, x):
    torch.onnx.export(net, (x,), sys.argv[1], verbose=False)
    session = onnxruntime.InferenceSession(sys.argv[1])
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0].tolist()


x, net = torch.tensor([-10.0, -17.0, -30.0]), torch.nn.LogSigmoid()
found = {
    "PyTorch": net(x).tolist(), "onnxruntime": exported(net, x), "by Softplus": exported(BySoftplus(), x),
}
for name, values in found.items():
    print(name, [round(value, 1) for value in values])
for name, values in found.items():
    off = [abs(y - right) for y, right in zip(values, found["PyTorch"])]
    far = off[1] > 0.1 and off[2] > 10
    assert far if name == "onnxruntime" else max(off) < 1e-3, "the behaviour has changed"
PYTHON
