#!/usr/bin/env bash
# PyTorch 2.13.0, CPU: `interpolate(…, align_corners=True, antialias=True)` moves the picture by up to
# half a step of the input. Seven numbers become thirteen by steps of a half, so that smoothing has nothing
# to do: 0, 0.5, 1, … With antialias the places are those of half a pixel's offset at the scale of aligned
# corners, (i + ½)/2 − ½. Mirroring the input does not mirror the result, which it does without either
# option. Exported to ONNX, which has both options too, such a network gives other numbers.
# Seen: "plain [0.0, 0.5, 1.0, 1.5], mirrored off by 0.0", "corners [0.0, 0.25, 0.75, 1.25], mirrored off by 0.5".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.4
"$folder/env/bin/python" - <<'PYTHON'
import torch
from torch.nn import functional

x = torch.arange(7.0).reshape(1, 1, 1, 7)


def resized(x, antialias, corners=True):
    options = {"mode": "bilinear", "align_corners": corners, "antialias": antialias}
    return functional.interpolate(x, size=(1, 13), **options)


found = {}
for name, *options in (("plain", False), ("corners", True), ("no corners", True, False)):
    y, mirrored = resized(x, *options), resized(x.flip(3), *options).flip(3)
    found[name] = y.flatten()[:4].tolist(), (y - mirrored).abs().max().item()
    print(name, "{}, mirrored off by {:.1f}".format([round(v, 2) for v in found[name][0]], found[name][1]))
assert found["plain"] == ([0.0, 0.5, 1.0, 1.5], 0.0), "the behaviour has changed"
assert found["corners"] == ([0.0, 0.25, 0.75, 1.25], 0.5), "the behaviour has changed"
assert found["no corners"][1] < 1e-5, "the behaviour has changed"
PYTHON
