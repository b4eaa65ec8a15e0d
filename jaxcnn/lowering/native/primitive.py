"""What JAX sees of a kernel: a primitive with a plain form, lowered to a call of XLA's FFI.

Whether the kernel or the plain form is taken is decided where the program is lowered: only there
is it known for which platform, for how many devices, and whether to be exported. XLA cannot
partition a kernel: it would gather its operands on every device. Each device of `jax.shard_map`
runs its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jaxcnn.lowering.native.made import Kernel, in_blocks, made


class Plainly(NamedTuple):
    """The map by other means: run(*arrays, problem=problem), of a problem with n images."""

    run: Callable[..., Any]
    problem: Any

    def __call__(self, *arrays: Array) -> list[Array]:
        """The results of the map."""
        return jax.tree.leaves(self.run(*arrays, problem=self.problem))


def call(kernel: Kernel, plainly: Plainly, *arrays: Array) -> list[Array]:
    """The map of some arrays: by the kernel where it serves, else `plainly`."""
    return native_p.bind(*arrays, kernel=kernel, plainly=plainly)


@lru_cache(maxsize=256)
def _traced(plainly: Plainly, types: tuple[Any, ...]) -> Any:
    # make_jaxpr, unlike eval_shape, keeps what types vary over.
    return jax.make_jaxpr(plainly)(*types)


def _types(*types: Any, kernel: Kernel, plainly: Plainly) -> Any:
    return _traced(plainly, types).out_avals


def _plain_lowering(ctx: Any, *args: Any, kernel: Kernel, plainly: Plainly) -> Any:
    program = jaxpr_as_fun(_traced(plainly, tuple(ctx.avals_in)))
    return mlir.lower_fun(program, multiple_results=True)(ctx, *args)


def _cpu_lowering(ctx: Any, *args: Any, kernel: Kernel, plainly: Plainly) -> Any:
    found = made(kernel) if _alone(ctx.module_context) else None
    if found is None:
        return _plain_lowering(ctx, *args, kernel=kernel, plainly=plainly)

    def run(*arrays: Array) -> Any:
        x, *others = arrays
        if kernel.map == "correlation":
            others = [in_blocks(others[0], found.kernel_block, jnp)]
        kinds = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in ctx.avals_out]
        memory = jax.ShapeDtypeStruct((found.memory,), x.dtype)
        return jax.ffi.ffi_call(found.name, [*kinds, memory])(x, *others)[:-1]

    return mlir.lower_fun(run, multiple_results=True)(ctx, *args)


def _alone(module: Any) -> bool:
    """Whether the program is for one device here and now, or for each one by itself."""
    if module.lowering_parameters.for_export or len(module.platforms) > 1:
        return False
    axes = module.axis_context
    if hasattr(axes, "mesh"):  # inside shard_map: over all axes, or XLA partitions the rest
        return axes.mesh.size == 1 or set(axes.manual_axes) == set(axes.mesh.axis_names)
    return getattr(axes, "num_devices", 0) == 1


def _batched(
    args: Sequence[Any], dims: Sequence[Any], *, kernel: Kernel, plainly: Plainly
) -> tuple[Sequence[Array], Sequence[int]]:
    """Maps of several batches are one batch; what has sums of its own is computed one by one."""
    count = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    if (maps := MAPS.get(kernel.map, 0)) and all(d is None for d in dims[maps:]):
        images = kernel.problem.images * count
        kernel = kernel._replace(problem=kernel.problem._replace(images=images))
        plainly = plainly._replace(problem=replace(plainly.problem, n=images))
        merged = [
            jnp.moveaxis(a, d, 0) if d is not None else jnp.broadcast_to(a, (count, *a.shape))
            for a, d in zip(args[:maps], dims, strict=False)
        ]
        merged = [a.reshape(images, *a.shape[2:]) for a in merged]
        found = call(kernel, plainly, *merged, *args[maps:])
        found = [y.reshape(count, images // count, *y.shape[1:]) for y in found]
    elif kernel.map == "row norm gradient":  # rows of one example are too few for a kernel
        found = jax.vmap(plainly, dims)(*args)
    else:

        def one(i: Array) -> list[Array]:
            own = (
                a if d is None else lax.dynamic_index_in_dim(a, i, d, keepdims=False)
                for a, d in zip(args, dims, strict=True)
            )
            return call(kernel, plainly, *own)

        found = lax.map(one, jnp.arange(count))
    return found, [0] * len(found)


def _moved(
    arrays: Sequence[Array], dots: Sequence[Any], *, kernel: Kernel, plainly: Plainly
) -> tuple[list[Array], list[Array]]:
    """The results, and how they move with the arrays: as those of the plain form do."""
    dots = [ad.instantiate_zeros(dot) for dot in dots]
    _, moved = jax.jvp(plainly, tuple(arrays), tuple(dots))
    return call(kernel, plainly, *arrays), moved


# For some maps, how many of the first operands are maps of images; all results are.
MAPS = {
    "correlation": 1, "maximum": 1, "switches": 1, "scatter": 2, "spread": 1, "row norm": 1,
}  # fmt: skip

# The primitive ------------------------------------------------------------------------------------

native_p = Primitive("native")
native_p.multiple_results = True
native_p.def_impl(jax.jit(native_p.bind, static_argnames=("kernel", "plainly")))
native_p.def_abstract_eval(_types)
ad.primitive_jvps[native_p] = _moved
batching.primitive_batchers[native_p] = _batched
mlir.register_lowering(native_p, _plain_lowering)
mlir.register_lowering(native_p, _cpu_lowering, platform="cpu")
