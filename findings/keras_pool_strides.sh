#!/usr/bin/env bash
# Keras 3.15.1 on JAX: `ops.max_pool(x, 2)` and `ops.average_pool(x, 2)`, whose strides are the window
# by default, raise TypeError whatever the window: it is extended by batch and channels, taken for the
# strides then, and extended again. Given strides they work, and so do Keras's layers, which always give
# them.
# Seen: "max by default: TypeError", "max by 2: (1, 2, 3, 1)", and the same for average.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet keras==3.15.1 jax==0.10.2
KERAS_BACKEND=jax "$folder/env/bin/python" -W ignore - <<'PYTHON'
import keras
import numpy as np

x = np.ones((1, 4, 6, 1), np.float32)
for name, pool in (("max", keras.ops.max_pool), ("average", keras.ops.average_pool)):
    by_two = pool(x, 2, 2).shape
    print(f"{name} by 2:", by_two)
    assert by_two == (1, 2, 3, 1), "the behaviour has changed"
    try:
        pool(x, 2)
    except TypeError:
        print(f"{name} by default: TypeError")
    else:
        raise SystemExit("the behaviour has changed")
PYTHON
