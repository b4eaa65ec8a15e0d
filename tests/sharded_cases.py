"""The operations of the table on 8 simulated devices; run by test_sharding.py on its own.

Every operation in both modes at the first of its cases, its batch made as long as two examples per
device; with the argument "full" at every case. One JSON object per kind of axes and case: the
largest difference from one device, where, and how many collectives of each kind the program has.
Without "full" there is one program for all, which says quickly that all is well; with it each case
is a program, which says where it is not.
"""

import json
import os
import re
import sys
from contextlib import nullcontext

# Beside those that the tests compile with.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)

import jax
import jax.numpy as jnp
import numpy as np
from batched import BATCH, MAPS, applied, arguments, has_batch
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case

DEVICES = 8
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
# The axes of the mesh, the context, and whether parameters are left on the host.
KINDS = (
    ("auto", AxisType.Auto, jax.set_mesh, False),
    ("explicit", AxisType.Explicit, jax.set_mesh, False),
    ("explicit, no context", AxisType.Explicit, nullcontext, False),
    ("explicit, no context, host", AxisType.Explicit, nullcontext, True),
)
WITH_TANGENTS = (("both modes", AxisType.Explicit, nullcontext, False),)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Leaves LLVM's optimisations out, not those of XLA that place the collectives.
jax.config.update("jax_disable_most_optimizations", True)


def value_and_gradients(case: Case, arrays, fixed, delta):
    y, pull = jax.vjp(lambda arrays: applied(case, arrays, fixed), arrays)
    return y, pull(delta)[0]


def both_modes(case: Case, arrays, fixed, delta):
    """Values and gradients, each with its tangent."""
    tangents = jax.tree.map(jnp.cos, arrays)
    both = jax.jvp(lambda a: value_and_gradients(case, a, fixed, delta), (arrays,), (tangents,))
    return tuple(zip(*both, strict=True))


def shared_arguments(case: Case, arrays, fixed):
    """The same, with a δ for the result of every device."""
    own = share((arrays, fixed, np.zeros(DEVICES)), 0)[:2]
    shape = jax.eval_shape(lambda *named: applied(case, *named), *own)
    deltas = jax.ShapeDtypeStruct((DEVICES, *shape.shape), shape.dtype)
    return arrays, fixed, np.asarray(random_like(deltas, 4))


def share(args, number):
    """What a device has of the arguments."""
    each = BATCH // DEVICES
    own = slice(number * each, (number + 1) * each)
    return *({n: a[own] if n in MAPS else a for n, a in d.items()} for d in args[:2]), args[2][
        number
    ]


def spread(names):
    return {name: P("data") if name in MAPS else P() for name in names}


def placed(mesh, args, host=False):
    """The batch spread over the mesh; what is none replicated, or left outside the mesh."""
    arrays, fixed, delta = args

    def put(a, spec):
        return a if host and spec == P() else jax.device_put(a, NamedSharding(mesh, spec))

    along_batch = P("data") if delta.shape[:1] == (BATCH,) else P()
    return jax.tree.map(put, args, (spread(arrays), spread(fixed), along_batch))


def over_shares(case: Case, mesh, args):
    """Every device with its share; the results of all devices are stacked."""

    def local(arrays, fixed, deltas):
        values, gradients = both_modes(case, arrays, fixed, deltas[0])
        return tuple(y[None] for y in values), gradients

    names = spread(args[0]), spread(args[1])
    results = P("data"), (names[0], names[0])
    f = jax.shard_map(local, mesh=mesh, in_specs=(*names, P("data")), out_specs=results)
    return f(*args)


def joined(results):
    """The results that the devices have, one after the other; what they share is summed."""
    values, gradients = (list(zip(*each, strict=True)) for each in zip(*results, strict=True))
    whole = {name: np.concatenate if name in MAPS else sum for name in gradients[0][0]}
    return tuple(np.stack(y) for y in values), tuple(
        {name: join([np.asarray(g[name]) for g in each]) for name, join in whole.items()}
        for each in gradients
    )


def sums(case: Case, kind, args):
    """Whether something is summed over the devices: a parameter's gradient, or the result."""
    own = set(args[0]) <= MAPS and case.op.__name__ not in ("drop_block", "batch_norm")
    return not own or (kind != "shard_map" and args[2].shape[:1] != (BATCH,))


def report(kind, f, cases, args, expected):
    compiled = jax.jit(f).lower(args).compile()
    # But for what a batch norm sums beside, of numbers whose squares cannot tell their variance.
    lines = (compiled.as_text() or "").splitlines()
    beside = re.compile(r"all-reduce.*jit\(moments\)/cond/branch_0_fun/")
    text = "\n".join(line for line in lines if not beside.search(line))
    counts = {c: text.count(f" {c}(") + text.count(f" {c}-start(") for c in COLLECTIVES}
    for name, result in compiled(args).items():
        error, where = relative_error(jax.tree.map(np.asarray, result), expected[name])
        line = {"kind": kind, "case": name, "op": cases[name].op.__name__}
        line |= {"error": error, "where": where, "sums": sums(cases[name], kind, args[name])}
        print(json.dumps(line | counts))


def check(cases):
    """All these cases in one program per kind of axes, against one device."""

    def every(f):
        return lambda args: {name: f(case, *args[name]) for name, case in cases.items()}

    args = {name: arguments(case) for name, case in cases.items()}
    for f, kinds in ((value_and_gradients, KINDS), (both_modes, WITH_TANGENTS)):
        expected = jax.tree.map(np.asarray, jax.jit(every(f))(args))
        for kind, axes, context, host in kinds:
            mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(axes,))
            with context(mesh):
                on_mesh = {name: placed(mesh, a, host) for name, a in args.items()}
                report(kind, every(f), cases, on_mesh, expected)

    args = {name: shared_arguments(case, *args[name][:2]) for name, case in cases.items()}
    local = jax.jit(every(both_modes))
    results = [local({n: share(a, number) for n, a in args.items()}) for number in range(DEVICES)]
    expected = {name: joined([result[name] for result in results]) for name in cases}
    mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))

    def every_share(args):
        return {name: over_shares(case, mesh, args[name]) for name, case in cases.items()}

    report("shard_map", every_share, cases, args, expected)


def chosen(full):
    """All cases with a batch; or one per operation, of the elementwise ones few."""
    elementwise = ("jaxcnn.ops.rectifiers", "jaxcnn.ops.smooth")
    for case in filter(has_batch, CASES if full else FIRST.values()):
        if full or case.op.__module__ not in elementwise:
            yield case


if __name__ == "__main__":
    if "full" in sys.argv:
        for case in chosen(full=True):
            check({case.name: case})
    else:
        check({case.name: case for case in chosen(full=False)})
