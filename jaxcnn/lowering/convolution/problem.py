"""What is to be computed: one of the three maps at certain sizes, in a certain program."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jax import Array

from jaxcnn import hints
from jaxcnn.geometry import Geometry
from jaxcnn.lowering.sharding import spread
from jaxcnn.sizes import known


@dataclass(frozen=True)
class Problem:
    """x ⋆ k, n h w c, kh kw c/g d → n p q d; or its kernel gradient, from x and δ n p q d.

    The input gradient is the correlation of δ and the turned kernel, by the transposed geometry.
    """

    geometry: Geometry
    n: int
    c: int
    """Channels in, of all groups."""
    d: int
    """Channels out, of all groups."""
    dtype: Any
    told: bool
    """Whether the program has compiler options with which a CPU's convolutions are fast."""
    stored: bool
    """Whether the result is stored, or a gradient: XLA merges it with no pooling behind it."""
    spread: bool
    """Whether the compiler may have the maps on several devices."""
    asked: str | None = None
    """The form that the user named."""

    @classmethod
    def of(cls, geometry: Geometry, x: Array, d: int, *, gradient: bool) -> Problem:
        """That of a map x and d channels out, in the program that is being traced."""
        asked = None if geometry.method == "direct" else geometry.method
        return cls(
            geometry,
            n=x.shape[0],
            c=x.shape[-1],
            d=d,
            dtype=x.dtype,
            told=hints.fast_convolutions.value,
            stored=gradient or hints.backward_follows.value,
            spread=spread(x),
            asked=asked or hints.form.value,
        )

    def __str__(self) -> str:
        """For people; settings that are as usual are left out."""
        g = self.geometry
        usual = {"stride": 1, "dilation": 1, "input_dilation": 1, "padding": (0, 0)}
        given = [
            f"{name.replace('_', ' ')} {' '.join(map(str, value))}"
            for name, one in usual.items()
            if set(value := getattr(g, name)) != {one}
        ]
        settings = ", ".join([*given, *([f"{g.groups} groups"] * (g.groups > 1))])
        sizes, window = ("×".join(map(str, s)) for s in ((self.n, *g.input, self.c), g.window))
        return f"{sizes} by {window or 'one element'} to {self.d}{settings and ', '}{settings}"

    @property
    def fast(self) -> bool:
        """Whether convolutions are fast. By default XLA hands those over two axes of space, and no
        others, to a library that is slow; those over three are taken apart into slices of two.
        """
        return self.told or self.geometry.axes == 1

    @property
    def groups(self) -> int:
        """Of channels, convolved by themselves."""
        return self.geometry.groups

    @property
    def inputs(self) -> int:
        """Channels in, of each group."""
        return self.c // self.groups

    @property
    def outputs(self) -> int:
        """Channels out, of each group."""
        return self.d // self.groups

    @property
    def closed(self) -> str:
        """Why there is no choice; empty if there is one."""
        geometry = self.geometry
        if not geometry.window:
            return "there are no axes of space"
        sizes = *geometry.input, *geometry.window, *geometry.output, self.c, self.d
        return "" if known(*sizes) else "sizes are symbols"

    def left(self, geometry: Geometry, **sizes: int) -> Problem:
        """The problem that a form leaves to another one: plain, if the form was named."""
        asked = None if self.asked is None else "plain"
        return replace(self, geometry=geometry, asked=asked, **sizes)

    @property
    def of_kernel_grad(self) -> Problem:
        """The kernel gradient as a correlation: images are its channels, δ its kernel."""
        geometry = self.geometry.of_kernel_grad
        return self.left(geometry, n=self.inputs, c=self.groups * self.n)
