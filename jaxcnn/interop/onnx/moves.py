"""Operators that move elements: shapes, slices, joins, padding."""

from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcnn.interop.onnx.table import Node, operator, words
from jaxcnn.interop.onnx.values import Maps, channels_last, known, library, plain
from jaxcnn.ops.join import concatenate
from jaxcnn.ops.pad import pad
from jaxcnn.ops.shape import pixel_shuffle, pixel_unshuffle
from jaxcnn.sizes import known as known_sizes


@operator("Identity", 25, layout="own")
def _identity(node: Node, x: Any) -> Any:
    return x


@operator("Dropout", 22, settings=(1, 2), layout="own")
def _dropout(node: Node, x: Any, ratio: Any = None, training: Any = None) -> Any:
    dropping = training is not None and (not known(training) or bool(np.all(training)))
    if dropping and (ratio is None or not known(ratio) or np.any(ratio != 0)):
        raise node.fail("training_mode has no meaning here: an imported graph draws no numbers")
    return x if len(node.outputs) < 2 else (x, jnp.ones(x.shape, bool))


@operator("Shape", 25, layout="own")
def _shape(node: Node, x: Any) -> np.ndarray:
    return sizes(x.shape[slice(node.get("start", 0), node.get("end"))])


def sizes(shape: Any) -> np.ndarray:
    """Sizes as an array of numbers, or of objects where there is a symbol of `jax.export`."""
    return np.array(shape, np.int64 if known_sizes(*shape) else object)


@operator("Size", 25, layout="own")
def _size(node: Node, x: Any) -> np.ndarray:
    return sizes((prod(x.shape),)).reshape(())


@operator("Constant", 25)
def _constant(node: Node) -> Any:
    kinds = {"value": None, "value_float": np.float32, "value_floats": np.float32,
             "value_int": np.int64, "value_ints": np.int64}  # fmt: skip
    given = [name for name in node.attributes if name in kinds]
    if len(given) != 1:
        raise node.fail(f"it must hold one tensor of numbers, got {sorted(node.attributes)}")
    return np.asarray(node.get(given[0]), kinds[given[0]])


@operator("ConstantOfShape", 25, settings=(0,))
def _constant_of_shape(node: Node, shape: Any) -> Any:
    value = np.ravel(node.get("value", np.zeros(1, np.float32)))
    if len(value) != 1:
        raise node.fail(f"value must hold one number, got {len(value)}")
    wanted = node.claim(node.integers("shape", shape))
    return library(sizes(wanted)).full(wanted, value[0], value.dtype)


@operator("Range", 27, settings=(0, 1, 2))
def _range(node: Node, start: Any, limit: Any, step: Any) -> np.ndarray:
    if not known(start, limit, step):
        raise node.fail("its numbers must be known before the program runs")
    if step == 0:
        raise node.fail("its step must not be 0")
    count = max(int(np.ceil((limit - start) / step)), 0)
    node.claim((count,))
    return (start + np.arange(count) * step).astype(start.dtype)


@operator("Reshape", 25, settings=(1,))
def _reshape(node: Node, x: Any, shape: Any) -> Any:
    wanted = node.integers("shape", shape)
    if not node.get("allowzero", 0):
        if any(size == 0 and i >= x.ndim for i, size in enumerate(wanted)):
            raise node.fail(f"a 0 copies a size of its input, {x.shape}, got shape {wanted}")
        wanted = [x.shape[i] if known_sizes(s) and s == 0 else s for i, s in enumerate(wanted)]
    return x.reshape(wanted)


@operator("Flatten", 25)
def _flatten(node: Node, x: Any) -> Any:
    axis = node.get("axis", 1)
    if not -x.ndim <= axis <= x.ndim:
        raise node.fail(f"axis must lie in [{-x.ndim}, {x.ndim}], got {axis}")
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


@operator("Transpose", 25, layout="own")
def _transpose(node: Node, x: Any) -> Any:
    order = list(node.get("perm", range(x.ndim)[::-1]))
    if sorted(order) != list(range(x.ndim)):
        raise node.fail(f"perm must order {x.ndim} axes, got {order}")
    if isinstance(x, Maps):  # at once, where that brings the channels elsewhere
        stands = [0, x.ndim - 1, *range(1, x.ndim - 1)]
        return jnp.transpose(x.last, [stands[axis] for axis in order])
    return x.transpose(order)


@operator("Squeeze", 25, settings=(1,))
def _squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    axes = node.get("axes") if axes is None else axes
    if axes is None:
        axes = [i for i, size in enumerate(x.shape) if known_sizes(size) and size == 1]
    return x.squeeze(node.axes(axes, x.ndim))


@operator("Unsqueeze", 25, settings=(1,))
def _unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    given = node.integers("axes", node.get("axes") if axes is None else axes)
    return library(x).expand_dims(x, node.axes(given, x.ndim + len(given)))


@operator("Concat", 13, concatenate, layout="own")
def _concat(node: Node, *parts: Any) -> Any:
    rank = parts[0].ndim
    (axis,) = node.axes([node.get("axis", 1)], rank)
    along = sum(part.shape[axis] for part in parts)
    node.claim((*parts[0].shape[:axis], along, *parts[0].shape[axis + 1 :]))
    if any(isinstance(part, Maps) for part in parts) and axis != 0:
        maps = [channels_last(part) for part in parts]
        if axis == 1:
            return Maps(node.of(concatenate)(maps))
        return Maps(jnp.concatenate(maps, axis - 1))
    arrays = [plain(part) for part in parts]
    return library(*arrays).concatenate(arrays, axis)


@operator("Split", 18, settings=(1,), layout="own")
def _split(node: Node, x: Any, split: Any = None) -> Any:
    (axis,) = node.axes([node.get("axis", 0)], x.ndim)
    split = node.get("split") if split is None else split
    read, size = len(node.outputs), x.shape[axis]
    if split is None:
        count = node.get("num_outputs", read)
        if count < read:
            raise node.fail(f"num_outputs must be at least its {read} outputs, got {count}")
        # The last part is smaller, or empty, where it does not go up.
        part = -(-size // count)
        split = [max(min(part, size - i * part), 0) for i in range(read)]
        split += [size - sum(split)] if count > read else []  # the rest, which nothing reads
    parts = node.integers("split", split)
    if sum(parts) != size or len(parts) < read or min(parts) < 0:
        raise node.fail(f"split must make {read} parts of {size}, got {parts}")
    ends = np.cumsum(parts)[:-1]
    if isinstance(x, Maps):
        behind = {0: 0, 1: -1}.get(axis, axis - 1)
        return tuple(Maps(part) for part in jnp.split(x.last, ends, behind))
    return tuple(library(x).split(x, ends, axis))


@operator("Slice", 13, settings=(1, 2, 3, 4))
def _slice(
    node: Node, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
) -> Any:
    starts = node.integers("starts", node.get("starts") if starts is None else starts)
    ends = node.integers("ends", node.get("ends") if ends is None else ends)
    axes = node.get("axes") if axes is None else axes
    axes = node.axes(range(len(starts)) if axes is None else axes, x.ndim)
    steps = [1] * len(starts) if steps is None else node.integers("steps", steps)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise node.fail(f"it needs as many ends, axes and steps other than 0 as starts, {starts}")
    index: list[Any] = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = x.shape[axis]
        # Going back, a start before the first element is the first, not none as in Python.
        if step < 0 and known_sizes(start, size):
            start = max(start, -size)
        behind = step < 0 and known_sizes(end, size) and end < -size
        index[axis] = slice(start, None if behind else end, step)
    return x[tuple(index)]


@operator("Gather", 13)
def _gather(node: Node, x: Any, indices: Any) -> Any:
    (axis,) = node.axes([node.get("axis", 0)], x.ndim)
    node.claim((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
    if known(x, indices):
        return np.asarray(np.take(x, indices, axis), x.dtype)  # a symbol stays an object
    return jnp.take(jnp.asarray(x), jnp.asarray(indices), axis)


@operator("GatherElements", 13)
def _gather_elements(node: Node, x: Any, indices: Any) -> Array:
    (axis,) = node.axes([node.get("axis", 0)], x.ndim)
    x, indices = jnp.asarray(x), jnp.asarray(indices)
    places = list(jnp.indices(indices.shape, sparse=True))
    places[axis] = indices
    return x[tuple(jnp.broadcast_to(place, indices.shape) for place in places)]


@operator("GatherND", 13)
def _gather_nd(node: Node, x: Any, indices: Any) -> Array:
    x, indices, batch = jnp.asarray(x), jnp.asarray(indices), node.get("batch_dims", 0)
    node.claim((*indices.shape[:-1], *x.shape[batch + indices.shape[-1] :]))
    lead = list(jnp.indices(indices.shape[:-1], sparse=True))[:batch]
    places = [*lead, *(indices[..., i] for i in range(indices.shape[-1]))]
    return x[tuple(jnp.broadcast_to(place, indices.shape[:-1]) for place in places)]


@operator("Expand", 13, settings=(1,))
def _expand(node: Node, x: Any, shape: Any) -> Any:
    wanted = node.integers("shape", shape)
    rank = max(x.ndim, len(wanted))
    own = (1,) * (rank - x.ndim) + x.shape
    asked = [1] * (rank - len(wanted)) + wanted
    # A 1 that is asked for keeps a size.
    full = [s if known_sizes(a) and a == 1 else a for s, a in zip(own, asked, strict=True)]
    return library(x).broadcast_to(x.reshape(own), node.claim(full))


@operator("Tile", 13, settings=(1,))
def _tile(node: Node, x: Any, repeats: Any) -> Any:
    times = node.integers("repeats", repeats)
    if len(times) != x.ndim:
        raise node.fail(f"repeats must hold {x.ndim} numbers, got {times}")
    node.claim([s * t for s, t in zip(x.shape, times, strict=True)])
    return library(x).tile(x, tuple(times))


@operator("DepthToSpace", 28, pixel_shuffle, layout="maps")
def _depth_to_space(node: Node, x: Array) -> Array:
    return node.of(pixel_shuffle)(x, node.get("blocksize"), order=node.get("mode", "DCR"))


@operator("SpaceToDepth", 28, pixel_unshuffle, layout="maps")
def _space_to_depth(node: Node, x: Array) -> Array:
    return node.of(pixel_unshuffle)(x, node.get("blocksize"), order=node.get("mode", "DCR"))


# Padding ------------------------------------------------------------------------------------------

MODES = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Pad", 25, pad, settings=(1, 2, 3), layout="own")
def _pad(node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    mode = words(node, "mode", "constant", tuple(MODES))
    amounts = node.integers("pads", node.get("pads") if pads is None else pads)
    over = range(x.ndim) if axes is None else node.axes(axes, x.ndim)
    if len(amounts) != 2 * len(over):
        raise node.fail(f"pads must hold two numbers for each of {len(over)} axes, got {amounts}")
    pairs = [(0, 0)] * x.ndim
    for axis, low, high in zip(over, amounts[: len(over)], amounts[len(over) :], strict=True):
        pairs[axis] = (low, high)
    ends = list(zip(x.shape, pairs, strict=True))
    node.claim([s + low + high for s, (low, high) in ends])
    node.claim([s + max(low, 0) + max(high, 0) for s, (low, high) in ends])
    value = np.ravel(node.get("value", 0.0) if value is None else value)[0]
    if isinstance(x, Maps) and not any(pairs[0]) and not any(pairs[1]):
        if _ours(mode, pairs[2:], x.shape[2:], value):
            return Maps(node.of(pad)(x.last, tuple(pairs[2:]), MODES[mode]))
        return Maps(_padded(x.last, [pairs[0], *pairs[2:], pairs[1]], mode, value))
    return _padded(plain(x), pairs, mode, value)


def _ours(mode: str, pairs: Any, size: Any, value: Any) -> bool:
    """Whether the rule takes such amounts."""
    if mode == "constant" and value != 0:
        return False
    most = {"reflect": -1, "circular": 0}
    return known_sizes(*size) and all(
        min(pair) >= 0 and max(pair) <= h + most.get(MODES[mode], max(pair))
        for pair, h in zip(pairs, size, strict=True)
    )


def _padded(x: Any, pairs: Any, mode: str, value: Any) -> Any:
    """Cropped where an amount is negative, then padded from what is left."""
    of, ends = library(x), zip(pairs, x.shape, strict=True)
    x = x[tuple(slice(max(-low, 0), s - max(-high, 0)) for (low, high), s in ends)]
    added = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if mode != "constant":
        return of.pad(x, added, mode=mode)
    return of.pad(x, added, constant_values=np.asarray(value, x.dtype))
