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
from jax.interpreters import batching, mlir

from jaxcnn.lowering.native.made import Kernel, in_blocks, made


class Plainly(NamedTuple):
    """The map by other means: run(x, other, problem=problem), of a problem with n images."""

    run: Callable[..., Array]
    problem: Any

    def __call__(self, x: Array, other: Array) -> Array:
        """The map."""
        return self.run(x, other, problem=self.problem)


def call(kernel: Kernel, plainly: Plainly, x: Array, other: Array) -> Array:
    """The map of x and another array: by the kernel where it serves, else `plainly`."""
    return native_p.bind(x, other, kernel=kernel, plainly=plainly)


@lru_cache(maxsize=256)
def _traced(plainly: Plainly, types: tuple[Any, ...]) -> Any:
    # make_jaxpr, unlike eval_shape, keeps what types vary over.
    return jax.make_jaxpr(plainly)(*types)


def _type(*types: Any, kernel: Kernel, plainly: Plainly) -> Any:
    return _traced(plainly, types).out_avals[0]


def _plain_lowering(ctx: Any, *args: Any, kernel: Kernel, plainly: Plainly) -> Any:
    program = jaxpr_as_fun(_traced(plainly, tuple(ctx.avals_in)))
    return mlir.lower_fun(program, multiple_results=True)(ctx, *args)


def _cpu_lowering(ctx: Any, *args: Any, kernel: Kernel, plainly: Plainly) -> Any:
    found = made(kernel) if _alone(ctx.module_context) else None
    if found is None:
        return _plain_lowering(ctx, *args, kernel=kernel, plainly=plainly)
    (result,) = ctx.avals_out

    def run(x: Array, other: Array) -> Array:
        if kernel.map == "correlation":
            other = in_blocks(other, found.kernel_block, jnp)
        kinds = [jax.ShapeDtypeStruct(shape, x.dtype) for shape in (result.shape, (found.memory,))]
        return jax.ffi.ffi_call(found.name, kinds)(x, other)[0]

    return mlir.lower_fun(run, multiple_results=False)(ctx, *args)


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
) -> tuple[Array, int]:
    """Maps of several batches are one batch; what has sums of its own is computed one by one."""
    x, other = args
    if kernel.map == "correlation" and dims[1] is None:
        x = jnp.moveaxis(x, dims[0], 0)
        count, images, *rest = x.shape
        kernel = kernel._replace(problem=kernel.problem._replace(images=count * images))
        plainly = plainly._replace(problem=replace(plainly.problem, n=count * images))
        y = call(kernel, plainly, x.reshape(count * images, *rest), other)
        return y.reshape(count, images, *y.shape[1:]), 0

    def one(i: Array) -> Array:
        own = (
            a if d is None else lax.dynamic_index_in_dim(a, i, d, keepdims=False)
            for a, d in zip(args, dims, strict=True)
        )
        return call(kernel, plainly, *own)

    count = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    return lax.map(one, jnp.arange(count)), 0


# The primitive ------------------------------------------------------------------------------------

native_p = Primitive("native")
native_p.def_impl(jax.jit(native_p.bind, static_argnames=("kernel", "plainly")))
native_p.def_abstract_eval(_type)
batching.primitive_batchers[native_p] = _batched
mlir.register_lowering(native_p, _plain_lowering)
mlir.register_lowering(native_p, _cpu_lowering, platform="cpu")
