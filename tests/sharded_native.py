"""Kernels on 4 simulated devices; run by test_native.py in a process of its own.

Prints one JSON object per kind of program and map: the difference from one device, whether there
are kernels in it, and how many arrays are gathered.
"""

import json
import os

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
)

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from test_native import DELTA, GEOMETRY, WEIGHTS, X, by_kernel, plainly

from jaxcnn.lowering.sharding import declared

jax.config.update("jax_enable_x64", True)

X, DELTA = (np.concatenate([a, a[:2]]) for a in (X, DELTA))
ARGUMENTS = {"correlation": (X, WEIGHTS), "gradient": (X, DELTA)}


def programs(map, mesh):
    f = by_kernel(map, GEOMETRY, spoilt=False)
    others = P() if map == "correlation" else P("data")

    def shared(x, other):
        y = f(x, other)
        return y if map == "correlation" else jax.lax.psum(y, "data")

    def spread(x, other):
        result = (lambda x, k: (x[0], None, None, None)) if map == "correlation" else (
            lambda x, d: (None,) * 4
        )  # fmt: skip
        return declared(f, result, x, other)

    out = P("data") if map == "correlation" else P()
    yield "shard_map", jax.shard_map(shared, mesh=mesh, in_specs=(P("data"), others), out_specs=out)
    yield "spread", spread


for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    for map, arrays in ARGUMENTS.items():
        specs = P("data"), P() if map == "correlation" else P("data")
        placed = [
            jax.device_put(a, NamedSharding(mesh, spec))
            for a, spec in zip(arrays, specs, strict=True)
        ]
        expected = np.asarray(plainly(map, GEOMETRY)(*arrays))
        for name, program in programs(map, mesh):
            with jax.set_mesh(mesh):
                compiled = jax.jit(program).lower(*placed).compile()
                found = np.asarray(compiled(*placed))
            text = str(compiled.as_text())
            report = {
                "kind": name,
                "map": map,
                "error": float(abs(found - expected).max() / abs(expected).max()),
                "kernels": "jaxcnn_" in text,
                "gathers": text.count("all-gather("),
            }
            print(json.dumps(report))
