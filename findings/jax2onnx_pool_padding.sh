#!/usr/bin/env bash
# jax2onnx 0.17.1: explicit padding of Flax's poolings is lost, without a word: `max_pool(…, padding=((1,
# 1), (1, 1)))`, which ResNets begin with, becomes a MaxPool without pads, and the map one smaller.
# "SAME" is kept, and so is the explicit padding of convolutions. Called as `max_pool(x, (3, 3))`, not by
# keywords, it cannot be converted (TypeError); and where the pooling is written out by
# `lax.reduce_window` over (1, 2, 2, 1), it becomes a MaxPool over four axes, which onnxruntime refuses.
# Seen of a picture of 7 × 7: "Flax (1, 4, 4, 1), ONNX (1, 3, 3, 1)", "by position: TypeError",
# "written out: InvalidArgument".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax2onnx==0.17.1 jax==0.10.2 flax==0.12.8 onnx==1.23.2 onnxruntime==1.32.0
JAX_PLATFORMS=cpu "$folder/env/bin/python" -W ignore - 2>"$folder/log" <<'PYTHON' || { tail -1 "$folder/log" >&2; exit 1; }
import jax
import numpy as np
import onnxruntime
from flax import linen
from jax import lax
from jax2onnx import to_onnx


def padded(x):
    return linen.max_pool(x, window_shape=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))


def same(x):
    return linen.max_pool(x, window_shape=(3, 3), strides=(2, 2), padding="SAME")


def written_out(x):
    return lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def exported(network):
    session = onnxruntime.InferenceSession(to_onnx(network, [x.shape]).SerializeToString())
    return session.run(None, {session.get_inputs()[0].name: x})[0]


x = np.asarray(jax.random.normal(jax.random.key(0), (1, 7, 7, 1)))
print(f"Flax {padded(x).shape}, ONNX {exported(padded).shape}")
assert padded(x).shape == (1, 4, 4, 1) and exported(padded).shape == (1, 3, 3, 1), "the behaviour has changed"
assert (exported(same) == same(x)).all(), "the behaviour has changed"
found = {}
for name, network in (("by position", lambda x: linen.max_pool(x, (3, 3))), ("written out", written_out)):
    try:
        exported(network)
    except Exception as error:
        found[name] = type(error).__name__
        print(f"{name}: {found[name]}")
assert found == {"by position": "TypeError", "written out": "InvalidArgument"}, "the behaviour has changed"
PYTHON
