"""One of the three maps of a convolution, as a problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from jax import Array

from jaxcnn.geometry import Geometry
from jaxcnn.lowering import problem
from jaxcnn.lowering.precision import EXACT_ENOUGH, of_halves, rounded
from jaxcnn.sizes import known


@dataclass(frozen=True)
class Problem(problem.Problem):
    """x ⋆ k, n h w c, kh kw c/g d → n p q d; or its kernel gradient, from x and δ n p q d.

    The input gradient is the correlation of δ and the turned kernel, by the transposed geometry.
    """

    d: int
    """Channels out, of all groups."""
    halves: bool = False
    """Whether its factors are rounded to bfloat16 first."""

    @classmethod
    def of(cls, geometry: Geometry, x: Array, d: int) -> Self:
        """The problem of a map x with d channels out, in the program that is being traced."""
        halves = of_halves(geometry.precision)
        if halves:
            geometry = replace(geometry, precision=EXACT_ENOUGH)
        return super().of(geometry, x, d=d, halves=halves)

    def factors(self, *arrays: Array) -> tuple[Array, ...]:
        """The arrays as factors, rounded if the products are to be of halves."""
        return rounded(*arrays) if self.halves else arrays

    @property
    def groups(self) -> int:
        """How many groups of channels there are, each convolved by itself."""
        return self.geometry.groups

    @property
    def inputs(self) -> int:
        """Channels in, per group."""
        return self.c // self.groups

    @property
    def outputs(self) -> int:
        """Channels out, per group."""
        return self.d // self.groups

    @property
    def closed(self) -> str:
        """Why there is no choice of a form; empty if there is one."""
        geometry = self.geometry
        if not geometry.window:
            return "there are no axes of space"
        sizes = *geometry.input, *geometry.window, *geometry.output, self.c, self.d
        return "" if known(*sizes) else "sizes are symbols"

    @property
    def of_kernel_grad(self) -> Self:
        """The kernel gradient as a correlation: images are its channels, δ its kernel."""
        geometry = self.geometry.of_kernel_grad
        return self.left(geometry, n=self.inputs, c=self.groups * self.n)

    def __str__(self) -> str:
        groups = f", {self.groups} groups" * (self.groups > 1)
        halves = ", products of bfloat16" * self.halves
        return f"{super().__str__()}, to {self.d} channels{groups}{halves}"
