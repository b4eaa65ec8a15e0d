"""What is to be computed: a map at certain sizes, in a certain program. Static and hashable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from jax import Array

from jaxcnn import hints
from jaxcnn.geometry import Geometry
from jaxcnn.lowering.sharding import is_spread


@dataclass(frozen=True)
class Problem:
    """All that the choice of a form depends on."""

    geometry: Geometry
    n: int
    c: int
    """Channels in."""
    dtype: Any
    told: bool
    """Whether the program has compiler options with which a CPU's convolutions are fast."""
    spread: bool
    """Whether the compiler may have the maps on several devices."""
    asked: tuple[str, ...]
    """The forms that the user named, the first that can compute it first."""
    kernels: bool
    """Whether kernels made for it may compute it."""

    @classmethod
    def of(cls, geometry: Geometry, x: Array, **settings: Any) -> Self:
        """The problem of a map x, in the program that is being traced."""
        method = () if geometry.method == "direct" else (geometry.method,)
        return cls(
            geometry=geometry,
            n=x.shape[0],
            c=x.shape[-1],
            dtype=x.dtype,
            told=hints.fast_convolutions.value,
            spread=is_spread(x),
            asked=(*method, *hints.forms.value),
            kernels=hints.kernels.value,
            **settings,
        )

    @property
    def fast(self) -> bool:
        """Whether convolutions are fast. By default XLA hands those over two axes of space, and no
        others, to a library that is slow; those over three are taken apart into slices of two.
        """
        return self.told or self.geometry.axes == 1

    @property
    def closed(self) -> str:
        """Why only a form that serves any sizes can compute it; empty if others can."""
        return ""

    @property
    def without_kernels(self) -> Self:
        """The same problem where no kernel may compute it."""
        asked = tuple(name for name in self.asked if name != "native")
        return replace(self, kernels=False, asked=asked)

    def left(self, geometry: Geometry, **sizes: int) -> Self:
        """The problem that a form leaves to another one: plain, if the form was named."""
        asked = ("plain",) if self.asked else ()
        return replace(self, geometry=geometry, asked=asked, **sizes)

    def __str__(self) -> str:
        """For people; settings with their usual values are left out."""
        g = self.geometry
        usual = {"stride": 1, "dilation": 1, "input_dilation": 1, "padding": (0, 0)}
        given = [
            f"{name.replace('_', ' ')} {' '.join(map(str, value))}"
            for name, one in usual.items()
            if set(value := getattr(g, name)) != {one}
        ]
        sizes = _by(self.n, *g.input, self.c), _by(*g.window) or "one element"
        return ", ".join([" by ".join(sizes), *given])


def _by(*sizes: int) -> str:
    return "×".join(map(str, sizes))
