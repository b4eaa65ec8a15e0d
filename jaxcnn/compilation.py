"""Compiler options that suit the rules, and the word of them that reaches the rules.

On a CPU, XLA can hand convolutions and matrix products to YNNPACK. It does so only when asked, by
an experimental option, and only for the outermost `jit`. Which form of a gradient is the fastest
depends on whether it does; a rule cannot see the options of the program that it becomes part of, so
`jit` tells it, by a context that JAX's own caches take into account.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, update_wrapper
from typing import Any

import jax
from jax.core import Tracer

from jaxcnn.geometry import library

# The list replaces XLA's own, which has convolutions one by one in it: without them a convolution
# is several times faster. It has to name reductions again, or those are several times slower.
_YNN = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}


def compiler_options(platform: str | None = None) -> dict[str, Any]:
    """What `jax.jit` should be told by `compiler_options` on a platform; {} for nothing.

    Experimental options of XLA: they change rounding (relative errors stay near 1e-7 in float32),
    and an XLA that does not know them is found out by compiling a small program, once.

    Args:
        platform: "cpu", "cuda", "rocm" or "tpu"; by default the one that JAX uses.

    Raises:
        RuntimeError: there is no such platform here.
    """
    return dict(_YNN) if _hands_over(platform or jax.default_backend()) else {}


@cache
def _hands_over(platform: str) -> bool:
    """Whether convolutions go to the library there, if asked."""
    if platform != "cpu":
        return False
    device = jax.local_devices(backend=platform)[0]
    here = jax.sharding.SingleDeviceSharding(device)
    try:
        probe = jax.jit(lambda x: x @ x, compiler_options=_YNN)
        probe.lower(jax.ShapeDtypeStruct((4, 4), "float32", sharding=here)).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return False
    return True


class Jitted:
    """A jitted function whose trace knows the compiler options; what `jit` returns."""

    def __init__(self, f: Callable[..., Any], options: dict[str, Any], settings: dict[str, Any]):
        self._plain = jax.jit(f, **settings)
        self._jitted = jax.jit(f, compiler_options=options, **settings) if options else self._plain
        self._library = bool(options.keys() & _YNN.keys())
        update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """f(*args, **kwargs), compiled. Within another traced function it becomes part of that."""
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return self._plain(*args, **kwargs)
        with library(self._library):
            return self._jitted(*args, **kwargs)

    def trace(self, *args: Any, **kwargs: Any) -> Any:
        """As that of `jax.jit`."""
        with library(self._library):
            return self._jitted.trace(*args, **kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Any:
        """As that of `jax.jit`."""
        with library(self._library):
            return self._jitted.lower(*args, **kwargs)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """As that of `jax.jit`."""
        return self._plain.eval_shape(*args, **kwargs)


def jit(
    f: Callable[..., Any],
    *,
    compiler_options: dict[str, Any] | None = None,
    **settings: Any,
) -> Jitted:
    """`jax.jit` with the compiler options that jaxcnn recommends, of which the rules then know.

    For the outermost function only, as `compiler_options` are: called with traced arguments, it is
    `jax.jit` without options, whose trace knows what the outermost one was told.

    Args:
        f: the function.
        compiler_options: instead of those of `jaxcnn.compiler_options()`; {} switches them off.
        settings: of `jax.jit`: `static_argnames`, `donate_argnums` and so on.
    """
    options = recommended() if compiler_options is None else compiler_options
    return Jitted(f, options, settings)


recommended = compiler_options  # the name inside `jit`, where an argument hides it
