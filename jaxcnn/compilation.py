"""Compiler options that suit the rules, and how the rules learn of them.

On a CPU, XLA hands convolutions, matrix products and sums to YNNPACK. For the last two that is a
gain, but convolutions, and the kernel gradients above all, XLA's own code computes two to five
times faster. An experimental option says what goes to the library; it is accepted for the outermost
`jit` only. Which form of a gradient is the fastest depends on it; a rule cannot see the options of
the program that it becomes part of, so `jit` tells it, by a context that JAX's own caches know of.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, update_wrapper, wraps
from types import MethodType
from typing import Any

import jax

from jaxcnn import check
from jaxcnn.hints import fast_convolutions

# The list replaces XLA's own, which names convolutions as well. Products are named one by one: two
# dense layers in one piece, for a few examples, take twenty times as long as one after the other.
_LIBRARY = "xla_cpu_experimental_ynn_fusion_type"
# Loops use the widest vectors that the processor has; LLVM takes half of them where there are 512
# bits, for the sake of older ones that are slowed down by it. Without those nothing changes.
_RECOMMENDED = {
    _LIBRARY: "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    "xla_cpu_prefer_vector_width": 512,
}


def compiler_options(platform: str | None = None) -> dict[str, Any]:
    """What `jax.jit` should be told by `compiler_options` on a platform; {} for nothing.

    Options of XLA, some experimental: they change rounding (relative errors stay near 1e-7 in
    float32). One that XLA does not know is left out: a small program, compiled once, tells.

    Args:
        platform: "cpu", "cuda", "rocm" or "tpu"; by default the one that JAX uses.

    Raises:
        TypeError: platform is no name.
        RuntimeError: it is "cpu", and there is none here.
    """
    if platform is not None and not isinstance(platform, str):
        raise TypeError(
            'compiler_options: platform must be a name such as "cpu" or "cuda", or None, '
            f"got {check.shown(platform)}"
        )
    platform = platform or jax.default_backend()
    return {name: value for name, value in _RECOMMENDED.items() if _knows(platform, name, value)}


@cache
def _knows(platform: str, name: str, value: Any) -> bool:
    """Whether the compiler there knows the option."""
    if platform != "cpu":
        return False
    device = jax.local_devices(backend=platform)[0]
    here = jax.sharding.SingleDeviceSharding(device)
    try:
        probe = jax.jit(lambda x: x @ x, compiler_options={name: value})
        probe.lower(jax.ShapeDtypeStruct((4, 4), "float32", sharding=here)).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return False
    return True


class Jitted:
    """A jitted function whose trace knows the compiler options; what `jit` returns."""

    def __init__(
        self, f: Callable[..., Any], options: dict[str, Any] | None, settings: dict[str, Any]
    ):
        self._f, self._options, self._settings = f, options, settings
        self._plain: Any = jax.jit(f, **settings)
        self.eval_shape = self._plain.eval_shape
        update_wrapper(self, f, updated=())

    @cached_property
    def _chosen(self) -> dict[str, Any]:
        """The options, found when first needed: the recommended ones start JAX's backend."""
        return recommended() if self._options is None else self._options

    @cached_property
    def told(self) -> Callable[..., Any]:
        """The function itself, which tells the rules of the options."""
        informed = _LIBRARY in self._chosen

        @wraps(self._f)
        def told(*args: Any, **kwargs: Any) -> Any:
            with fast_convolutions(informed):
                return self._f(*args, **kwargs)

        return told

    @cached_property
    def _jitted(self) -> Any:
        return jax.jit(self.told, compiler_options=self._chosen, **self._settings)

    @property
    def trace(self) -> Any:
        """As the method of what `jax.jit` returns."""
        return self._jitted.trace

    @property
    def lower(self) -> Any:
        """As the method of what `jax.jit` returns."""
        return self._jitted.lower

    def clear_cache(self) -> None:
        """Forget what was compiled."""
        self._jitted.clear_cache()
        self._plain.clear_cache()

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """A method, where the function is one of a class."""
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """f(*args, **kwargs), compiled. Within another traced function it becomes part of that."""
        try:
            return self._jitted(*args, **kwargs)
        except ValueError as error:
            if "top-level" not in str(error):  # what JAX says of options in a nested jit
                raise
            return self._plain(*args, **kwargs)


def jit(
    f: Callable[..., Any],
    *,
    compiler_options: dict[str, Any] | None = None,
    **settings: Any,
) -> Jitted:
    """`jax.jit` with the compiler options that jaxcnn recommends, and rules that know of them.

    For the outermost function only, as XLA's options are: called with traced arguments, it is
    `jax.jit` without any, and the rules know of those that the outermost function has.

    Args:
        f: the function.
        compiler_options: instead of those of `jaxcnn.compiler_options()`; {} switches them off.
        settings: of `jax.jit`: `static_argnames`, `donate_argnums` and so on.

    Raises:
        TypeError: f is no function, or compiler_options no dict.
    """
    check.function("jit", "f", f)
    if compiler_options is not None and not isinstance(compiler_options, dict):
        raise TypeError(
            f"jit: compiler_options must be a dict of options by name, "
            f"got {check.shown(compiler_options)}"
        )
    return Jitted(f, compiler_options, settings)


recommended = compiler_options  # the name inside `jit`, where an argument hides it
