#!/usr/bin/env bash
# JAX 0.10.2: `jax.lax.erf` of a batch that is spread over 8 devices by an Auto axis gathers the whole batch
# on every device, and its result is spread no more; erfc, tanh and the like keep it spread, and so does erf
# under an Explicit axis, or in JAX 0.12.
# Seen: "erf: 1 gathered, P()", "erfc: 0 gathered, P('data',)".
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=8 "$folder/env/bin/python" - <<'PYTHON'
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
x = jax.device_put(np.ones((16, 4), np.float32), NamedSharding(mesh, PartitionSpec("data")))
for f, gathered in ((jax.lax.erf, 1), (jax.lax.erfc, 0)):
    count = jax.jit(f).lower(x).compile().as_text().count("all-gather(")
    print(f"{f.__name__}: {count} gathered, {jax.jit(f)(x).sharding.spec}")
    assert count == gathered, "the behaviour has changed"
PYTHON
