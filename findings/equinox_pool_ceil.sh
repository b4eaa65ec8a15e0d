#!/usr/bin/env bash
# Equinox 0.13.8: a pooling with `use_ceil=True` is extended by a whole stride at its end, whatever is
# missing. So the same layer works or raises RuntimeError ("Paddings should be less than the size of the
# kernel") with the size of the picture where its stride exceeds its window; and an average counts the
# zeros that ceil added, beyond the padding asked for: the last of five ones in pairs is 0.5. PyTorch's
# ceil_mode gives [1, 4, 6] for seven numbers, and 1.
# Seen: "8 [1.0, 4.0, 7.0]", "7 RuntimeError", "average [1.0, 1.0, 0.5]".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet equinox==0.13.8 jax==0.10.2
JAX_PLATFORMS=cpu "$folder/env/bin/python" - <<'PYTHON'
import equinox as eqx
import jax.numpy as jnp

pool, found = eqx.nn.MaxPool1d(2, 3, use_ceil=True), {}
for size in (8, 7):
    try:
        found[size] = pool(jnp.arange(float(size))[None])[0].tolist()
    except RuntimeError:
        found[size] = "RuntimeError"
found["average"] = eqx.nn.AvgPool1d(2, 2, use_ceil=True)(jnp.ones((1, 5)))[0].tolist()
for name, values in found.items():
    print(name, values)
expected = {8: [1.0, 4.0, 7.0], 7: "RuntimeError", "average": [1.0, 1.0, 0.5]}
assert found == expected, "the behaviour has changed"
PYTHON
