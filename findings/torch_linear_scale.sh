#!/usr/bin/env bash
# PyTorch 2.13.0: `interpolate(x, scale_factor=1.3)` of three elements has three elements. By
# "nearest-exact" they are taken 1/1.3 apart, as the scale says; by "linear" the scale is forgotten
# and x comes back as it was, though 1.3 of four elements (which make five) are interpolated 1/1.3
# apart. Right by its documentation, half-pixel places (i + ½)/1.3 − ½: 0, 0.654, 1.423. ONNX's
# Resize, which such a model is exported to, applies the scale in every case.
# Seen: "nearest-exact [0.0, 1.0, 1.0]", "linear [0.0, 1.0, 2.0]", "four [0.0, 0.654, 1.423, …]".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.4
"$folder/env/bin/python" - <<'PYTHON'
import torch
from torch.nn import functional


def resized(n, mode):
    x = torch.arange(float(n)).reshape(1, 1, n)
    return [round(v, 3) for v in functional.interpolate(x, scale_factor=1.3, mode=mode).flatten().tolist()]


found = {
    "nearest-exact": resized(3, "nearest-exact"), "linear": resized(3, "linear"), "four": resized(4, "linear"),
}
for name, values in found.items():
    print(name, values)
assert found["nearest-exact"] == [0.0, 1.0, 1.0], "the behaviour has changed"
assert found["linear"] == [0.0, 1.0, 2.0], "the behaviour has changed"
assert found["four"][1:3] == [0.654, 1.423], "the behaviour has changed"
PYTHON
