"""A training step on 8 simulated devices; run by test_sharding.py in a process of its own.

Prints one JSON object per kind of axes: the largest difference from one device, and how many
collectives of each kind the compiled program has.
"""

import json
import os
from functools import partial

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


def small(key, params, x):
    x = jc.dropout(jc.max_pool(jc.conv(x, params["stem"], params["bias"]), 2), key, rate=0.5)
    return jc.dense(x, PROJECTION)


def report(kind, compiled, arguments):
    text = compiled.as_text() or ""
    error, where = relative_error(jax.tree.map(np.asarray, compiled(*arguments)), EXPECTED)
    counts = {name: text.count(f" {name}(") + text.count(f" {name}-start(") for name in COLLECTIVES}
    print(json.dumps({"kind": kind, "error": error, "where": where, **counts}))


def on_mesh(mesh, params, *batch):
    spread = NamedSharding(mesh, P("data"))
    whole = NamedSharding(mesh, P())
    return jax.device_put(params, whole), *jax.device_put(batch, spread)


lenet5 = jc.models.lenet5()
LENET5, STATE = lenet5.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float64)
DIGITS = normal(8, 16, 32, 32, 1)
PROJECTION, OMEGA = normal(9, 16, 3), normal(10, 16, 4, 4, 3)


def lenet5_step(params, x, labels):
    def loss(params):
        return jc.softmax_cross_entropy(lenet5.apply(params, STATE, x)[0], labels)

    value, gradients = jax.value_and_grad(loss)(params)
    return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)


EXPECTED = jax.tree.map(np.asarray, jax.jit(step)(PARAMS, X, LABELS))

auto = Mesh(np.array(jax.devices()), ("data",))
arguments = on_mesh(auto, PARAMS, X, LABELS)
report("auto", jax.jit(step).lower(*arguments).compile(), arguments)

explicit = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
with jax.set_mesh(explicit):
    arguments = on_mesh(explicit, PARAMS, X, LABELS)
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

# The mesh as `jax.make_mesh` gives it, which no context names: the arrays' types know it.
EXPECTED = jax.tree.map(np.asarray, jax.jit(lenet5_step)(LENET5, DIGITS, LABELS))
params, *batch = on_mesh(explicit, LENET5, DIGITS, LABELS)
host = jax.tree.map(np.asarray, LENET5)
for jit in (jax.jit, jc.jit):
    for of, arguments in (("mesh", (params, *batch)), ("host", (host, *batch))):
        compiled = jit(lenet5_step).lower(*arguments).compile()
        report(f"LeNet-5, {jit.__module__}, parameters of the {of}", compiled, arguments)

# Without `jit` too; a key is always the host's. (`jax.grad` itself, and an argument
# that is not used, need a context, whatever the function.)
key = jax.random.key(0)
results = []
used = {name: PARAMS[name] for name in ("stem", "bias")}
for params, x, omega in ((used, X, OMEGA), on_mesh(explicit, used, X, OMEGA)):
    y, pull = jax.vjp(partial(small, key), params, x)
    results.append(jax.tree.map(np.asarray, (y, pull(omega))))
assert relative_error(results[1], results[0])[0] < 1e-12
