"""Files of safetensors, read and written without a package.

8 bytes that say how long the header is; the header, JSON, by name {"dtype", "shape",
"data_offsets": [first, last + 1]}, and words under "__metadata__"; then the numbers, array after
array, rows first, the lowest byte first. Source: github.com/huggingface/safetensors, "Format".
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import check

DTYPES = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16), "I64": np.dtype("<i8"), "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"), "I8": np.dtype("i1"), "U64": np.dtype("<u8"), "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"), "U8": np.dtype("u1"), "BOOL": np.dtype("?"),
}  # fmt: skip
LARGEST_HEADER = 100_000_000  # bytes, as others have it
METADATA = "__metadata__"


class Entry(NamedTuple):
    """What a header says of one array."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    first: int
    end: int


def read(op: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by name: views of it, of which nothing is in memory until it is used.

    Raises:
        ValueError: it cannot be read, or is not what the format says; nothing is believed that
            does not fit the size of the file.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, LARGEST_HEADER):
                raise ValueError(f"its {size} bytes hold no header of {length}")
            entries = _entries(_parsed(file.read(length)), size - 8 - length)
        if size == 8 + length:
            numbers = np.zeros(0, np.uint8)
        else:
            numbers = np.asarray(np.memmap(path, np.uint8, "r", offset=8 + length))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{op}: weights must be a file of safetensors that can be read, got {path}: {reason}"
        ) from error
    return {
        each.name: numbers[each.first : each.end].view(each.dtype).reshape(each.shape)
        for each in entries
    }


def _parsed(header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("its header says a name twice")
        return found

    try:
        found = json.loads(header.decode(), object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("its header is no JSON") from error
    if not isinstance(found, dict):
        raise ValueError("its header holds no names")
    return found


def _entries(header: dict[str, Any], size: int) -> list[Entry]:
    """The arrays that the header states, where they fill so many bytes exactly."""
    found = [_entry(name, about) for name, about in header.items() if name != METADATA]
    at = 0
    for each in sorted(found, key=lambda each: (each.first, each.end)):
        if each.first != at:
            raise ValueError(f"the numbers of {check.shown(each.name)} do not follow the others")
        at = each.end
    if at != size:
        raise ValueError(f"its header states {at} bytes of numbers, it holds {size}")
    return found


def _entry(name: str, about: Any) -> Entry:
    try:
        dtype = DTYPES.get(about["dtype"])
        shape, (first, end) = tuple(about["shape"]), about["data_offsets"]
        if any(type(n) is not int or n < 0 for n in (*shape, first, end)) or len(shape) > 64:
            raise ValueError
    except (TypeError, ValueError, KeyError, AttributeError):
        raise ValueError(f"its header describes no array under {check.shown(name)}") from None
    if dtype is None:
        raise ValueError(
            f"the dtype of {check.shown(name)}, {check.shown(about['dtype'])}, is none of "
            f"{', '.join(DTYPES)}"
        )
    if end - first != prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{check.shown(name)} of shape {shape} does not fill bytes {first} to {end}"
        )
    return Entry(name, dtype, shape, first, end)


def to_safetensors(
    params: Any,
    state: Any,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """path ⇐ params and state of any network, which `from_torch` and other programs read.

    An array is named by its path in the tree, as "params/conv1/kernel", and has our layout:
    maps n h w c, kernels kh kw c d. A file is replaced as a whole, even behind a link; a device or
    a pipe is written to.

    Args:
        params: as `init` drew them, or trained.
        state: as `init` made it, or as `apply` returned it.
        path: of the file, usually *.safetensors.
        metadata: words that stand in the file's header.

    Raises:
        TypeError: params or state is no dict of arrays, path no path, or metadata no dict of words.
        OSError: the file cannot be written.
    """
    op = "to_safetensors"
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{op}: path must be that of a file, got {check.shown(path)}")
    words = {} if metadata is None else metadata
    if not isinstance(words, Mapping) or not all(
        isinstance(word, str) for pair in words.items() for word in pair
    ):
        raise TypeError(f"{op}: metadata must be a dict of words, got {check.shown(metadata)}")
    trees = {"params": params, "state": state}
    for name, tree in trees.items():
        if not isinstance(tree, Mapping):
            raise TypeError(f"{op}: {name} must be a dict of arrays, got {check.shown(tree)}")
    _write(Path(path), _packed(op, by_name(trees, op), dict(words)))


def by_name(trees: Mapping[str, Any], op: str) -> dict[str, Any]:
    """The leaves of nested dicts by their paths, joined by slashes.

    Raises:
        TypeError: there are other things than dicts on the way.
    """
    found = {}
    for way, leaf in jax.tree_util.tree_flatten_with_path(trees)[0]:
        if not all(isinstance(getattr(key, "key", None), str) for key in way):
            name = way[0].key
            raise TypeError(
                f"{op}: {name} must be a dict of arrays, got {check.shown(trees[name])}"
            )
        found["/".join(key.key for key in way)] = leaf
    return found


def _packed(op: str, leaves: dict[str, Any], words: dict[str, str]) -> bytes:
    names = {dtype: name for name, dtype in DTYPES.items()}
    arrays: dict[str, np.ndarray] = {}
    for name, leaf in leaves.items():
        array = np.asarray(leaf) if check.holds_numbers(leaf) else None
        if array is None or array.dtype.newbyteorder("<") not in names:
            raise TypeError(
                f"{op}: {name.partition('/')[0]} must be a dict of arrays of real numbers, "
                f"got {check.shown(leaf)} under {check.shown(name)}"
            )
        # Row by row, whatever its strides are; an array without axes stays one.
        arrays[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    header: dict[str, Any] = {METADATA: words} if words else {}
    at, parts = 0, []
    # The widest numbers first, so that all are aligned.
    for name, array in sorted(arrays.items(), key=lambda pair: -pair[1].dtype.itemsize):
        about = {"dtype": names[array.dtype], "shape": array.shape}
        header[name] = {**about, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
        parts.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _write(path: Path, content: bytes) -> None:
    """Write it so that the file is whole at every moment, even after a loss of power."""
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        path.write_bytes(content)
        return
    path = path.resolve()
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
