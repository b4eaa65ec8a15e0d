"""A training step on 8 simulated devices; run by test_sharding.py in a process of its own.

Prints one JSON object per kind of axes: the largest difference from one device, and how many
collectives of each kind the compiled program has.
"""

import json
import os

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxcnn as jc
from jaxcnn.gradcheck import relative_error

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
jax.config.update("jax_enable_x64", True)
# Leaves LLVM's optimisations out, not those of XLA that place the collectives.
jax.config.update("jax_disable_most_optimizations", True)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


PARAMS = {
    "stem": normal(1, 3, 3, 4, 16),  # whose gradient is a loop over rows
    "bias": normal(2, 16),
    "grouped": normal(3, 3, 3, 8, 6),
    "depthwise": normal(4, 3, 3, 1, 6),
    "transposed": normal(5, 2, 2, 3, 6),
    "dense": normal(6, 12, 5),
    "offset": normal(7, 5),
}
X, LABELS = normal(0, 16, 10, 10, 4), jnp.arange(16, dtype=jnp.int32) % 5


def loss(params, x, labels):
    x = jc.tanh(jc.conv(x, params["stem"], params["bias"], padding="SAME"))
    x = jc.max_pool(x, 2) + jc.max_pool(x, 3, stride=2, padding=1)
    x = jc.conv(x, params["grouped"], groups=2, padding=1)
    x = x + jc.depthwise_conv(x, params["depthwise"], padding="SAME")
    x = jc.relu(jc.avg_pool(x, 2, padding=1, count_include_pad=False))
    x = jc.conv_transpose(x, params["transposed"], stride=2)
    x = jc.sigmoid(jc.max_pool(x, 3))
    logits = jc.dense(jc.flatten(x), params["dense"], params["offset"])
    return jc.softmax_cross_entropy(logits, labels)


step = jax.value_and_grad(loss, (0, 1))


def report(kind, compiled, arguments):
    text = compiled.as_text()
    error, where = relative_error(jax.tree.map(np.asarray, compiled(*arguments)), EXPECTED)
    counts = {name: text.count(f" {name}(") + text.count(f" {name}-start(") for name in COLLECTIVES}
    print(json.dumps({"kind": kind, "error": error, "where": where, **counts}))


def on_mesh(mesh):
    spread = NamedSharding(mesh, P("data"))
    whole = NamedSharding(mesh, P())
    return jax.device_put(PARAMS, whole), jax.device_put(X, spread), jax.device_put(LABELS, spread)


EXPECTED = jax.tree.map(np.asarray, jax.jit(step)(PARAMS, X, LABELS))

auto = Mesh(np.array(jax.devices()), ("data",))
arguments = on_mesh(auto)
report("auto", jax.jit(step).lower(*arguments).compile(), arguments)

explicit = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
with jax.set_mesh(explicit):
    arguments = on_mesh(explicit)
    report("explicit", jax.jit(step).lower(*arguments).compile(), arguments)


def local_step(params, x, labels):
    """Each device's share: the loss is the mean over the devices, so gradients are divided by 8."""
    value, (gradients, delta) = step(params, x, labels)
    eighth = jax.tree.map(lambda g: g / 8, (gradients, delta))
    return jax.lax.pmean(value, "data"), eighth


mapped = jax.shard_map(
    local_step,
    mesh=auto,
    in_specs=(P(), P("data"), P("data")),
    out_specs=(P(), (P(), P("data"))),
)
arguments = (PARAMS, X, LABELS)
report("shard_map", jax.jit(mapped).lower(*arguments).compile(), arguments)
