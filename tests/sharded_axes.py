"""Axes of space and channels over 2 simulated devices, and both modes; run by test_sharding.py.

Under Explicit axes, which `jax.make_mesh` gives, in a context and without: every operation of the
table, traced with one axis of its first argument sharded, and a small network's numbers. One JSON
object for each.
"""

import json
import os
from contextlib import nullcontext

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
)

import jax
import jax.numpy as jnp
import numpy as np
from batched import applied
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxcnn as jc
from jaxcnn.gradcheck import relative_error
from jaxcnn.gradcheck.cases import FIRST

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)

explicit = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
auto = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,))
CONTEXTS = {"none": nullcontext, "set_mesh": jax.set_mesh}


def traced(case, sharded, axis, context):
    """What JAX says of the value and gradients with this axis sharded; None if all is well."""
    generator = np.random.default_rng(1)
    fixed = {name: draw(generator) for name, draw in case.fixed.items()}

    def both(arrays, fixed):
        y, pull = jax.vjp(lambda arrays: applied(case, arrays, fixed), arrays)
        return y, pull(jnp.cos(y))

    def placed(name, a):
        if not hasattr(a, "dtype") or jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            return a
        spec = [None] * a.ndim
        if name == sharded:
            spec[axis] = "data"
        return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=NamedSharding(explicit, P(*spec)))

    arrays = dict(zip(case.shapes, case.arrays(), strict=True))
    args = [{n: placed(n, a) for n, a in d.items()} for d in (arrays, fixed)]
    with context(explicit):
        try:
            jax.jit(both).trace(*args)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


for case in FIRST.values():
    if case.op.__module__ in ("jaxcnn.ops.rectifiers", "jaxcnn.ops.smooth"):
        continue
    for name, shape in case.shapes.items():
        even = [axis for axis, size in enumerate(shape) if size % 2 == 0]
        for axis, (kind, context) in zip({*even[:1], *even[-1:]}, CONTEXTS.items(), strict=False):
            error = traced(case, name, axis, context)
            print(json.dumps({"case": case.name, "axis": [name, axis, kind], "error": error}))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


X, LABELS = normal(0, 4, 4, 4, 2), np.array([0, 2, 1, 2], np.int32)
PARAMS = {"kernel": normal(1, 3, 3, 2, 4), "scale": normal(2, 4), "dense": normal(3, 16, 3)}
MOVE = {"x": normal(4, *X.shape), "params": jax.tree.map(lambda p: 0.1 * p + 1, PARAMS)}


def loss(params, x, labels, axis_name=None):
    x = jc.conv(x, params["kernel"], params["scale"], padding="SAME")
    x = jc.batch_norm(x, params["scale"], axis_name=axis_name)[0]
    x = jc.flatten(jc.max_pool(x, 2))
    return jc.softmax_cross_entropy(jc.dense(x, params["dense"]), labels)


def modes(params, x, labels, move, **settings):
    """The loss and how it moves; its gradients and how those do; the gradients of how it moves."""

    def f(params, x):
        return loss(params, x, labels, **settings)

    at, along = (params, x), (move["params"], move["x"])
    return (
        jax.jvp(f, at, along),
        jax.jvp(jax.grad(f, (0, 1)), at, along),
        jax.grad(lambda *at: jax.jvp(f, at, along)[1], (0, 1))(*at),
    )


def local(*args):
    """A device's share: the loss is the mean over both."""
    losses, *gradients = modes(*args, axis_name="data")
    halves = jax.tree.map(lambda g: g / 2, gradients)
    return jax.tree.map(lambda y: jax.lax.pmean(y, "data"), losses), *halves


EXPECTED = jax.jit(modes)(PARAMS, X, LABELS, MOVE)


def report(kind, f, args):
    error, where = relative_error(jax.tree.map(np.asarray, jax.jit(f)(*args)), EXPECTED)
    print(json.dumps({"modes": kind, "error": error, "where": where}))


def placed(mesh, spec):
    whole = NamedSharding(mesh, P())
    labels = NamedSharding(mesh, P(spec[0]))
    like = NamedSharding(mesh, spec), whole
    x, params = (jax.device_put(a, s) for a, s in zip((X, PARAMS), like, strict=True))
    move = {
        "x": jax.device_put(MOVE["x"], like[0]),
        "params": jax.device_put(MOVE["params"], whole),
    }
    return params, x, jax.device_put(LABELS, labels), move


SPECS = (P("data"), P(None, "data"), P(None, None, None, "data"))
for mesh, context, specs in (
    (auto, jax.set_mesh, SPECS[:1]),
    (explicit, jax.set_mesh, SPECS),
    (explicit, nullcontext, SPECS),
):
    for spec in specs:
        with context(mesh):
            report(f"{mesh.axis_types} {context.__name__} {spec}", modes, placed(mesh, spec))

batch, moves = P("data"), {"x": P("data"), "params": P()}
gradients = P(), P("data")
shares = jax.shard_map(
    local,
    mesh=auto,
    in_specs=(P(), batch, batch, moves),
    out_specs=(P(), (gradients, gradients), gradients),
)
report("shard_map", shares, (PARAMS, X, LABELS, MOVE))
