"""Maps of the primitive under `jax.vmap`, and written out without the primitive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.extend.core import mapped_aval
from jax.interpreters import ad

from jaxcnn.tangents import moves, tangent_type

Function = Callable[..., Any]


class Map(Protocol):
    """What the primitive asks of its parameter."""

    application: Any
    """The application of a rule that it is, or belongs to."""
    is_tangent: bool

    def __call__(self, *args: Any) -> list[Any]:
        """The results."""
        ...

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        """The results and how they move; `ad.Zero` where something does not."""
        ...

    def transpose(self, deltas: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """A gradient for every argument that is an `ad.UndefinedPrimal`, None for the others."""
        ...


@dataclass(frozen=True)
class Mapped:
    """A map under `jax.vmap`; results are stacked in front."""

    inner: Map
    dims: tuple[int | None, ...]
    axis: tuple[Any, int, Any]
    """Its name, its size, and the axes of a mesh that it is spread over."""

    def __repr__(self) -> str:
        return f"vmap of {self.inner}"

    @property
    def application(self) -> Any:
        """The application of the rule that is mapped."""
        return self.inner.application

    @property
    def is_tangent(self) -> bool:
        """Whether it is a rule's tangent that is mapped."""
        return self.inner.is_tangent

    def _vmap(self, f: Function, dims: Any) -> Function:
        name, size, spread = self.axis
        return jax.vmap(f, dims, axis_size=size, axis_name=name, spmd_axis_name=spread)

    def __call__(self, *args: Any) -> list[Any]:
        """The results."""
        return self._vmap(self.inner, self.dims)(*args)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        """The results and how they move."""
        moving = [i for i, t in enumerate(tangents) if moves(t)]
        zeros: list[bool] = []

        def both(primals, moved):
            dots = [ad.Zero(tangent_type(p)) for p in primals]
            for i, dot in zip(moving, moved, strict=True):
                dots[i] = dot
            outputs, tangents = self.inner.jvp(primals, dots)
            zeros[:] = [not moves(t) for t in tangents]
            return outputs, [t for t in tangents if moves(t)]

        dims = list(self.dims), [self.dims[i] for i in moving]
        outputs, moved = self._vmap(both, dims)(list(primals), [tangents[i] for i in moving])
        moved = iter(moved)
        return outputs, [
            ad.Zero(tangent_type(y)) if zero else next(moved)
            for y, zero in zip(outputs, zeros, strict=True)
        ]

    def transpose(self, deltas: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """A gradient for every argument that is asked for."""
        unknown = [i for i, arg in enumerate(args) if ad.is_undefined_primal(arg)]
        known = [i for i in range(len(args)) if i not in unknown]
        given = [i for i, delta in enumerate(deltas) if moves(delta)]

        def one(aval: Any, dim: int | None) -> Any:
            return aval if dim is None else mapped_aval(self.axis[1], dim, aval)

        def each(some, known_args):
            inner = list(args)
            for i, value in zip(known, known_args, strict=True):
                inner[i] = value
            for i in unknown:
                inner[i] = ad.UndefinedPrimal(one(args[i].aval, self.dims[i]))
            inner_deltas = [ad.Zero(one(d.aval, 0)) if not moves(d) else None for d in deltas]
            for i, delta in zip(given, some, strict=True):
                inner_deltas[i] = delta
            gradients = self.inner.transpose(inner_deltas, inner)
            return [ad.instantiate_zeros(gradients[i]) for i in unknown]

        gradients = self._vmap(each, (0, [self.dims[i] for i in known]))(
            [deltas[i] for i in given], [args[i] for i in known]
        )
        results: list[Any] = [None] * len(args)
        for i, gradient in zip(unknown, gradients, strict=True):
            dim = self.dims[i]
            # An argument that all share has the sum of their gradients.
            results[i] = gradient.sum(0) if dim is None else jnp.moveaxis(gradient, 0, dim)
        return results


def known_to_jax(map: Any) -> Function:
    """The map as other tools can read it: what it computes stands in the program."""
    f = jax.custom_jvp(lambda *args: map(*args))

    @partial(f.defjvp, symbolic_zeros=True)
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        still = jax.custom_derivatives.SymbolicZero
        dots = [ad.Zero(t.aval) if isinstance(t, still) else t for t in tangents]
        y, moved = map.jvp(primals, dots)
        return y, [ad.instantiate_zeros(dot) for dot in moved]

    return f
