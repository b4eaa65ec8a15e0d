"""Sizes that may be symbols: `jax.export` traces one program for every batch, or for every map.

A choice of forms that a size decides takes, where it is a symbol, the form that serves every size.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, core, export
from jax.extend.core import InconclusiveDimensionOperation


def known(*sizes: Any) -> bool:
    """Whether all of these are numbers."""
    return not any(export.is_symbolic_dim(size) for size in sizes)


def surely(comparison: Callable[[], bool]) -> bool:
    """Whether a comparison of sizes holds whatever the symbols in them stand for."""
    try:
        return bool(comparison())
    except InconclusiveDimensionOperation:
        return False


def larger(a: int, b: int) -> int:
    """The maximum, of symbols too."""
    return core.max_dim(a, b)


def arange(size: int) -> np.ndarray | Array:
    """0, 1, …: numbers that are known before the program runs, if the size is."""
    return np.arange(size) if known(size) else jnp.arange(size)
