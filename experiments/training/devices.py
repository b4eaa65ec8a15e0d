"""Data parallel training: a mesh of devices, on one machine or many, that share each batch.

Parameters are whole on every device, a batch is spread over them. XLA adds the sums over devices
that follow: of the gradients, of batch norm's statistics, of the loss.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.command_line.options import Hardware, UserError

AXIS = "data"


def join(hardware: Hardware) -> None:
    """Make this process part of a run of several, before JAX looks for its devices.

    Raises:
        UserError: the others cannot be found.
    """
    if hardware.coordinator is None and not hardware.distributed:
        return
    try:
        jax.distributed.initialize(hardware.coordinator, hardware.processes, hardware.process)
    except (ValueError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"The processes of this run did not find each other ({line}): give --coordinator "
            "host:port, --processes and --process to each of them."
        ) from error


def leave(main: Callable[[], int]) -> NoReturn:
    """Run main and end this process with its exit code.

    A process that fails does not stay to say goodbye to the others of its run, which wait for it in
    the middle of a sum: JAX notices that it is gone, and ends them.
    """
    try:
        code = main()
    except BrokenPipeError:  # this process ends at once anyway, see `command`
        raise
    except Exception:
        if not jax.distributed.is_initialized():
            raise
        traceback.print_exc()
        code = 1
    if code and jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def make_mesh(hardware: Hardware, batch_size: int, parts: int = 1) -> Mesh | None:
    """The devices that share a batch; None for a single one.

    Raises:
        UserError: there are fewer devices than asked for, or their number does not divide the
            batch (or each of its parts).
    """
    local, processes = jax.local_device_count(), jax.process_count()
    share = batch_size // parts
    if hardware.devices is None:
        fitting = [n for n in range(local, 0, -1) if share % (n * processes) == 0]
        count = fitting[0] if fitting else local
    else:
        count = hardware.devices
    if count > local:
        raise UserError(f"--devices must be at most the {local} that there are, got {count}.")
    if share % (count * processes):
        raise UserError(
            f"--batch-size (divided by --accumulate) must be a multiple of the "
            f"{count * processes} devices that share it, got {share}."
        )
    if count * processes == 1:
        return None
    everywhere = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    taken: dict[int, int] = {}
    chosen = []
    for device in everywhere:
        taken[device.process_index] = taken.get(device.process_index, 0) + 1
        if taken[device.process_index] <= count:
            chosen.append(device)
    kind = AxisType.Explicit if hardware.axes == "explicit" else AxisType.Auto
    return Mesh(np.array(chosen), (AXIS,), axis_types=(kind,))


def within(mesh: Mesh | None) -> AbstractContextManager[Any]:
    """The context to trace and run in."""
    return nullcontext() if mesh is None else jax.set_mesh(mesh)


def explicit(mesh: Mesh | None) -> bool:
    """Whether the types of arrays say how they are spread."""
    return mesh is not None and AxisType.Explicit in mesh.axis_types


def everywhere(mesh: Mesh | None, tree: Any) -> Any:
    """The arrays, whole on every device of the mesh; all processes have the same ones."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)
    sharding = NamedSharding(mesh, P())
    return jax.tree.map(lambda leaf: _placed(sharding, leaf), tree)


def _placed(sharding: NamedSharding, leaf: Any) -> Any:
    if jax.process_count() == 1:
        return jax.device_put(leaf, sharding)
    if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = _placed(sharding, jax.random.key_data(leaf))
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    return jax.make_array_from_process_local_data(sharding, np.asarray(leaf), np.shape(leaf))


def spread(mesh: Mesh | None, tree: Any) -> Any:
    """One global batch of the rows that each process has read."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)
    sharding = NamedSharding(mesh, P(AXIS))
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree
    )


def on_mesh(mesh: Mesh | None, f: Callable[..., Any], batches: int = 1) -> Callable[..., Any]:
    """f, whose results are as many batches, spread over the devices; f itself without a mesh."""
    if mesh is None:
        return f
    spec = (P(AXIS),) * batches
    if explicit(mesh):
        return jax.sharding.auto_axes(f, out_sharding=spec)
    shardings = tuple(NamedSharding(mesh, one) for one in spec)
    return lambda *arguments: tuple(
        lax.with_sharding_constraint(value, sharding)
        for value, sharding in zip(f(*arguments), shardings, strict=True)
    )


def whole(mesh: Mesh | None, tree: Any) -> Any:
    """The arrays of a step's result, whole on every device; explicit types say so already."""
    if mesh is None or explicit(mesh):
        return tree
    sharding = NamedSharding(mesh, P())
    return jax.tree.map(lambda leaf: lax.with_sharding_constraint(leaf, sharding), tree)


def gathered(mesh: Mesh | None, x: Any) -> Any:
    """X, whole on every device."""
    if mesh is None:
        return x
    if explicit(mesh):
        return jax.sharding.reshard(x, P())
    return lax.with_sharding_constraint(x, NamedSharding(mesh, P()))


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process; all of them have to ask."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.max(multihost_utils.process_allgather(np.int32(flag))))


def together(action: Callable[[], Any], failed: str) -> Any:
    """What the action returns, if it succeeds in all processes: else none is left waiting.

    Raises:
        UserError: the action's own, or, where it failed in another process, one of this sentence.
    """
    result = problem = None
    try:
        result = action()
    except UserError as error:
        problem = error
    if any_of(problem is not None):
        raise problem or UserError(failed)
    return result


def primary() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0
