"""The entry of public operations: outside `jit`, a call is one compiled program.

Checks, geometry and the choice of a form depend on settings and on the types of arrays only, and so
does a program. A program is kept by the settings, so all that is done once.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import jax
import numpy as np
from jax import lax
from jax.core import Tracer

from jaxcnn import check
from jaxcnn.rules import custom_rule

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = (int, float, str, bool, type(None), lax.Precision, custom_rule)
_here = object()  # where an array stands among the arguments


def operation(f: F) -> F:
    """Let a public operation be one program where all its arguments are arrays and settings.

    So it is under an eager `jax.grad` or `jax.jvp` too. Within `jit` or `jax.vmap`, with other
    arguments, and where something is wrong, f is called as it is. Not for an operation that looks
    at the values of an array, or draws random numbers, as settings of JAX say.
    """

    @lru_cache(maxsize=1024, typed=True)  # True is no 1
    def program(names: tuple[str, ...], *arguments: Any) -> Callable[..., Any]:
        def of_arrays(*arrays: Any) -> Any:
            given = iter(arrays)
            values = [next(given) if a is _here else a for a in arguments]
            count = len(values) - len(names)
            return f(*values[:count], **dict(zip(names, values[count:], strict=True)))

        of_arrays.__name__ = of_arrays.__qualname__ = f.__name__  # for whoever profiles
        return jax.jit(of_arrays, inline=True)

    def plainly(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        check.rule(f.__name__, kwargs.get("rule", f))
        return f(*args, **kwargs)

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        arrays, arguments = [], []
        for value in (*args, *kwargs.values()) if kwargs else args:
            kind = _kind(type(value))
            if kind == "traced" and value.to_concrete_value() is None:
                return plainly(args, kwargs)
            if kind == "numpy" and not value.dtype.isnative:  # which jit reads wrongly
                return plainly(args, kwargs)
            if kind in ("array", "numpy", "traced"):
                arrays.append(value)
                arguments.append(_here)
            elif kind == "setting" or (kind == "settings" and _constant(value)):
                arguments.append(value)
            else:
                return plainly(args, kwargs)
        if arrays:
            try:
                return program(tuple(kwargs), *arguments)(*arrays)
            except Exception:  # nothing is lost: the call below raises it, from the user's line
                pass
        return plainly(args, kwargs)

    return call  # type: ignore[return-value]


@lru_cache(maxsize=256)
def _kind(cls: type) -> str | None:
    """What a value of that class is in a call: traced, an array, a setting or none of these."""
    if issubclass(cls, Tracer):
        return "traced"
    if issubclass(cls, jax.Array):
        return "array"
    if issubclass(cls, np.ndarray):
        return "numpy"
    if cls in _SETTINGS:
        return "setting"
    return "settings" if cls is tuple else None


def _constant(value: Any) -> bool:
    """Whether the value equals only values like it: 1 == 1.0 == True, so int and str serve."""
    kind = type(value)
    return kind is int or kind is str or (kind is tuple and all(map(_constant, value)))
