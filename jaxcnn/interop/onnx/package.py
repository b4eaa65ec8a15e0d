"""The package `onnx`, an extra, imported when a file is read or written."""

from types import ModuleType
from typing import Any


def package(op: str) -> Any:
    """The package.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f"{op}: the package onnx is not installed; pip install 'jaxcnn[onnx]' brings it"
        ) from error
    module: ModuleType = onnx
    return module
