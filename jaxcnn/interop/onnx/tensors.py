"""Tensors of a file: sizes are compared with what is there before any memory is asked for.

Data outside the file come only from beside it.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn.interop.onnx.package import package

# Of those dtypes that NumPy and JAX have, where a tensor holds its numbers if not as bytes.
FIELDS = {
    "FLOAT": "float_data", "DOUBLE": "double_data", "INT64": "int64_data",
    "UINT32": "uint64_data", "UINT64": "uint64_data",
} | dict.fromkeys(
    ("INT32", "INT16", "INT8", "UINT16", "UINT8", "BOOL", "FLOAT16", "BFLOAT16"), "int32_data"
)  # fmt: skip


def dtype_of(number: int, what: str) -> np.dtype:
    """The dtype of that number, if NumPy and JAX have it."""
    onnx = package("from_onnx")
    kinds = {value: name for name, value in onnx.TensorProto.DataType.items()}
    name = kinds.get(number, str(number))
    if name not in FIELDS:
        raise ValueError(f"from_onnx: {what} must hold numbers of a common kind, got type {name}")
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(number))


def tensor(proto: Any, folder: Path | None, what: str) -> np.ndarray:
    """The numbers of a tensor, if as many are there as its shape says."""
    onnx = package("from_onnx")
    kinds = {value: name for name, value in onnx.TensorProto.DataType.items()}
    dtype, shape = dtype_of(proto.data_type, what), tuple(proto.dims)
    count = prod(shape)
    if min(shape, default=0) < 0 or proto.HasField("segment"):
        raise ValueError(f"from_onnx: {what} must be whole, of sizes from 0 on, got shape {shape}")
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        data = _outside(proto, folder, what, count * dtype.itemsize)
    elif proto.HasField("raw_data"):
        data = proto.raw_data
    else:
        held = len(getattr(proto, FIELDS[kinds[proto.data_type]]))
        if held != count:
            raise ValueError(f"from_onnx: {what} of shape {shape} must hold {count}, got {held}")
        return onnx.numpy_helper.to_array(proto)
    if len(data) != count * dtype.itemsize:
        raise ValueError(
            f"from_onnx: {what} of shape {shape} must hold {count * dtype.itemsize} bytes, "
            f"got {len(data)}"
        )
    stored = dtype if dtype.kind == "V" else dtype.newbyteorder("<")  # bfloat16 has one order
    return np.frombuffer(data, stored).astype(dtype).reshape(shape)


def _outside(proto: Any, folder: Path | None, what: str, size: int) -> bytes:
    """The bytes of a tensor from a file beside the model."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = Path(entries.get("location", ""))
    if folder is None:
        raise ValueError(f"from_onnx: {what} lies outside; give the path of the model's file")
    path = (folder / location).resolve()
    if location.is_absolute() or ".." in location.parts or not path.is_relative_to(folder):
        raise ValueError(f"from_onnx: {what} must lie beside the model, got {str(location)!r}")
    if not path.is_file():
        raise ValueError(f"from_onnx: {what} lies in {str(location)!r}, which is no file")
    try:
        start = int(entries.get("offset", 0))
        length = int(entries.get("length", size))
    except ValueError:
        raise ValueError(f"from_onnx: {what} must lie at an offset that is a number") from None
    if start < 0 or length != size or start + size > path.stat().st_size:
        raise ValueError(
            f"from_onnx: {what} must be {size} bytes of {str(location)!r}, which has "
            f"{path.stat().st_size}, got {length} from {start}"
        )
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)
