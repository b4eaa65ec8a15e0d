#!/usr/bin/env bash
# Flax 0.12.8 with JAX 0.10.2, on a CPU: `avg_pool` of bfloat16 numbers adds them up in bfloat16, one by
# one, where a sum of ones stays at 256: the average of 32 × 32 ones is 0.25. A window of 7 × 7, the last
# one of many networks, is 4 % off. `x.mean` adds up in float32; PyTorch's poolings do, too.
# Seen: "7 × 7 of 1.1: avg_pool 1.0625 mean 1.1016", "32 × 32 of 1.0: avg_pool 0.2500 mean 1.0000".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet flax==0.12.8 jax==0.10.2
JAX_PLATFORMS=cpu "$folder/env/bin/python" -W ignore - <<'PYTHON'
import jax.numpy as jnp
from flax import linen

for size, value in ((7, 1.1), (32, 1.0)):
    x = jnp.full((1, size, size, 1), value, jnp.bfloat16)
    pooled, mean = float(linen.avg_pool(x, (size, size))[0, 0, 0, 0]), float(x.mean())
    print(f"{size} × {size} of {value}: avg_pool {pooled:.4f} mean {mean:.4f}")
    assert abs(pooled / value - 1) > 0.03, "the behaviour has changed"
    assert abs(mean / value - 1) < 0.003, "the behaviour has changed"
PYTHON
