"""Norms on 8 simulated devices against one; run by test_norm.py in a process of its own."""

import os

os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxcnn as jc
from jaxcnn import layers

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

x, delta, v = (jax.random.normal(jax.random.key(s), (16, 3, 3, 4), jnp.float64) for s in range(3))
scale, bias = (jax.random.normal(jax.random.key(s), (4,), jnp.float64) for s in (3, 4))


def close(found, expected, what):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, (what, a.shape, b.shape)
        assert np.allclose(a, b, rtol=0, atol=1e-12), (what, np.abs(a - b).max())
    print("agree:", what)


def derivatives(f):
    """The value, its pullback, and the pullback of that."""

    def first(x, scale, bias, delta):
        return jax.vjp(f, x, scale, bias)[1](delta)

    def all_of(x, scale, bias, delta, v):
        second = jax.vjp(lambda *a: first(*a)[0], x, scale, bias, delta)[1](v)
        return f(x, scale, bias), first(x, scale, bias, delta), second

    return jax.jit(all_of)


NORMS = {
    "layer_norm": lambda x, s, b: jc.layer_norm(x, s, b),
    "group_norm": lambda x, s, b: jc.group_norm(x, s, b, groups=2),
    "instance_norm": lambda x, s, b: jc.instance_norm(x, s, b),
    "rms_norm": lambda x, s, b: jc.rms_norm(x, s),
    "batch_norm_inference": lambda x, s, b: jc.batch_norm_inference(x, s, b, bias, scale**2),
    "local_response_norm": lambda x, s, b: jc.local_response_norm(x, alpha=0.5),
}


def over_shards(f, mesh, check):
    return jax.shard_map(
        f, mesh=mesh, in_specs=(P("data"), P(), P()), out_specs=P("data"), check_vma=check
    )


def main():
    assert jax.device_count() == 8
    expected = derivatives(lambda *a: jc.batch_norm(*a)[0])(x, scale, bias, delta, v)
    auto = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    explicit = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))

    # shard_map with the axis named; JAX's types of varying values checked, and not.
    for check in (True, False):
        f = over_shards(lambda *a: jc.batch_norm(*a, axis_name="data")[0], auto, check)
        close(derivatives(f)(x, scale, bias, delta, v), expected, f"shard_map, check_vma={check}")
    statistics = jax.shard_map(
        lambda x: jc.batch_norm(x, axis_name="data")[1:],
        mesh=auto,
        in_specs=P("data"),
        out_specs=P(),
    )
    close(statistics(x), jc.batch_norm(x)[1:], "statistics, replicated")

    # Two axes of the mesh, both named.
    square = jax.make_mesh((4, 2), ("data", "more"), axis_types=(AxisType.Auto,) * 2)
    f = jax.shard_map(
        lambda *a: jc.batch_norm(*a, axis_name=("data", "more"))[0],
        mesh=square,
        in_specs=(P(("data", "more")), P(), P()),
        out_specs=P(("data", "more")),
    )
    close(derivatives(f)(x, scale, bias, delta, v), expected, "shard_map over two axes")

    # Without a name each device has statistics of its own.
    f = over_shards(lambda *a: jc.batch_norm(*a)[0], auto, True)
    pairs = [jc.batch_norm(x[2 * i : 2 * i + 2], scale, bias)[0] for i in range(8)]
    close(f(x, scale, bias), jnp.concatenate(pairs), "shard_map without a name")

    # A batch sharded by jit: nothing to say, the mean over the batch is over all devices.
    for mesh, kind in ((auto, "Auto"), (explicit, "Explicit")):
        with jax.set_mesh(mesh):
            place = [jax.device_put(a, NamedSharding(mesh, P("data"))) for a in (x, delta, v)]
            rest = [jax.device_put(a, NamedSharding(mesh, P())) for a in (scale, bias)]
            f = derivatives(lambda *a: jc.batch_norm(*a)[0])
            close(f(place[0], *rest, *place[1:]), expected, f"jit, {kind} axes")

    for name, f in NORMS.items():
        one = derivatives(f)(x, scale, bias, delta, v)
        close(derivatives(over_shards(f, auto, True))(x, scale, bias, delta, v), one, name)

    layer = layers.BatchNorm(0.9, axis_name="data", unbiased=True)
    params, state = layer.init(jax.random.key(0), (3, 3, 4), dtype=jnp.float64)
    f = jax.shard_map(
        lambda x: layer.apply(params, state, x, train=True),
        mesh=auto,
        in_specs=P("data"),
        out_specs=(P("data"), P()),
    )
    alone = layers.BatchNorm(0.9, unbiased=True)
    close(f(x), alone.apply(params, state, x, train=True), "layer with running statistics")
    print("all agree")


if __name__ == "__main__":
    main()
