"""Batches that are spread over devices.

Under Auto axes XLA partitions the maps by itself. Under Explicit axes every type says how an array
is sharded, and an operation that mixes axes has to be told how its result is: each linear map here
knows that, so it runs with the axes made automatic and its result declared. Under `shard_map` the
arguments of a rule must vary over the same axes, or the gradient of a replicated kernel, a sum over
the devices, would have another type than the kernel.
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import jax
from jax import Array, lax
from jax.core import ShapedArray, Tracer
from jax.sharding import NamedSharding, PartitionSpec

Entries = tuple[Any, ...]
P = ParamSpec("P")
R = TypeVar("R")


def entries(x: Any) -> Entries | None:
    """How each axis of x, an array or a type, is sharded under Explicit axes; else None."""
    sharding = (x if isinstance(x, ShapedArray) else jax.typeof(x)).sharding
    if sharding.mesh.empty or not sharding.mesh.explicit_axes:
        return None
    return tuple(sharding.spec) + (None,) * (x.ndim - len(sharding.spec))


def is_spread(x: Array) -> bool:
    """Whether the compiler may put x on several devices; a condition would add a sum over them."""
    mesh = jax.typeof(x).sharding.mesh
    return any(mesh.shape[axis] > 1 for axis in (*mesh.auto_axes, *mesh.explicit_axes))


def declared(f: Callable[..., Any], result: Callable[..., Sequence[Any]], *args: Array) -> Any:
    """f(*args); under Explicit axes its result is sharded as `result(*entries of args)` says."""
    found = [entries(a) for a in args]
    if all(e is None for e in found):
        return f(*args)
    # A constant that was made outside the mesh is whole.
    known = [(None,) * a.ndim if e is None else e for a, e in zip(args, found, strict=True)]
    spec, used = [], set()
    for entry in result(*known):
        names = set(entry) if isinstance(entry, tuple) else {entry} - {None}
        spec.append(None if names & used else entry)  # an axis of the mesh can be used once
        used |= names
    mesh = next(
        jax.typeof(a).sharding.mesh for a, e in zip(args, found, strict=True) if e is not None
    )
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    return jax.sharding.auto_axes(f, axes=mesh.explicit_axes, out_sharding=sharding)(*args)


def like_maps(x: Entries, *_: Any) -> Entries:
    """A result sharded by batch and channel as the first argument is, whole in space."""
    return (x[0], *(None,) * (len(x) - 2), x[-1])


def drawn_like(
    x: Array,
    draw: Callable[[Array, tuple[int, ...]], Array],
    key: Array,
    shape: tuple[int, ...] | None = None,
) -> Array:
    """draw(key, shape): numbers in the shape of x, or of one with ones in it, sharded as x is."""
    shape = x.shape if shape is None else shape
    if not isinstance(x, Tracer) and isinstance(x.sharding, NamedSharding):
        # Eagerly, nothing but the key says on which devices the numbers are drawn.
        key = jax.device_put(key, NamedSharding(x.sharding.mesh, PartitionSpec()))

    def result(_: Entries, x: Entries) -> Entries:
        return tuple(None if h == 1 else e for e, h in zip(x, shape, strict=True))

    return declared(lambda key, _: draw(key, shape), result, key, x)


def whole_channels(x: Entries, *_: Any) -> Entries:
    """A result sharded by batch as the first argument is, whole in space and channels."""
    return (x[0], *(None,) * (len(x) - 1))


def by_batch(f: Callable[P, R], result: Callable[..., Entries] = like_maps) -> Callable[P, R]:
    """Let f(maps, …, settings) run on sharded maps; results are sharded as the first maps are."""

    @wraps(f)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        arrays = [a for a in args if isinstance(a, Array)]
        settings = [a for a in args if not isinstance(a, Array)]
        return declared(lambda *maps: f(*maps, *settings, **kwargs), result, *arrays)  # type: ignore[arg-type]

    return run


def sharded_like(x: Array, other: Array) -> Array:
    """The array x, sharded under Explicit axes as another array of its shape is."""
    return x if entries(other) is None else sharded_as(x, jax.typeof(other))


def sharded_as(x: Array, expected: Any) -> Array:
    """The array x, sharded under Explicit axes as a type says: whole if that has no mesh."""
    whole = (None,) * x.ndim
    spec = entries(expected) or whole
    if spec == (entries(x) or whole):
        return x
    meshes = (expected.sharding.mesh, jax.typeof(x).sharding.mesh)
    return _resharding(next(mesh for mesh in meshes if not mesh.empty), spec)(x)


def as_jax_can(f: Callable[..., R], arrays: Sequence[Any]) -> R:
    """f(*arrays) with arrays sharded as they come, if JAX can do that under Explicit axes.

    If not, as where an axis is taken apart that is sharded, or two batches are spread differently,
    f gets them with only their batches sharded, alike; or, if that fails, with nothing sharded.
    """
    on_mesh = [(a.shape[0], e[0]) for a in arrays if isinstance(a, Array) and (e := entries(a))]
    if not on_mesh:
        return f(*arrays)
    given = arrays
    for batches in ({size: entry for size, entry in on_mesh if entry is not None}, {}):
        try:
            return f(*given)
        except Exception as error:
            if type(error).__name__ != "ShardingTypeError":  # which JAX has, but does not export
                raise
        given = [_by_batch(a, batches) for a in arrays]
    return f(*given)


def _by_batch(x: Any, batches: dict[int, Any]) -> Any:
    """The array x; on a mesh of Explicit axes sharded by batch as this size of batch is, if any."""
    if not isinstance(x, Array) or not (known := entries(x)):
        return x
    spec = (batches.get(x.shape[0]), *(None,) * (x.ndim - 1))
    return x if spec == known else _resharding(jax.typeof(x).sharding.mesh, spec)(x)


@cache
def _resharding(mesh: Any, spec: Entries) -> Callable[[Array], Array]:
    # A type's mesh has no devices: outside `jit` they are those of the argument.
    sharding = NamedSharding(mesh, PartitionSpec(*spec))
    return jax.jit(lambda x: jax.sharding.reshard(x, sharding), inline=True)


def vary_together(*arrays: Any) -> tuple[Any, ...]:
    """The arrays, made to vary over the same manual axes; None stays None.

    The transpose of the cast is the sum over the devices that a replicated parameter's gradient is.
    """
    axes = frozenset().union(*(varying(a) for a in arrays if a is not None))
    if not axes:
        return arrays
    return tuple(
        a if a is None or axes <= varying(a) else _cast(a, axes - varying(a)) for a in arrays
    )


def varying(x: Any) -> frozenset[Any]:
    """The manual axes over which an array or type varies inside `jax.shard_map`; elsewhere none."""
    kind = getattr(x if isinstance(x, ShapedArray) else jax.typeof(x), "manual_axis_type", None)
    return frozenset(getattr(kind, "varying", ()))


def _cast(x: Array, axes: frozenset[Any]) -> Array:
    return lax.pcast(x, tuple(sorted(axes, key=str)), to="varying")
