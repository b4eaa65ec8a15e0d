"""What is asked of a kernel: sizes; and how channels fill vectors."""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxcnn.geometry import Geometry

Three = tuple[int, int, int]


class Sizes(NamedTuple):
    """Sizes of the maps of y = x ⋆ k, in three axes, and how the window slides; see `Geometry`."""

    images: int
    input: Three
    output: Three
    window: Three
    stride: Three
    low: Three
    dilation: Three
    input_dilation: Three
    groups: int
    c: int
    """Channels in."""
    d: int
    """Channels out."""
    bits: int
    """Of a number."""

    @classmethod
    def of(cls, n: int, c: int, d: int, bits: int, geometry: Geometry) -> Sizes:
        """A line is a column: the middle axis is the one along which images are cut."""

        def three(values: tuple[int, ...], other: int = 1) -> Three:
            values = (*values, other) if len(values) == 1 else values
            a, h, w = (*(other,) * (3 - len(values)), *values)
            return a, h, w

        g, low = geometry, tuple(low for low, _ in geometry.padding)
        return cls(
            n, three(g.input), three(g.output), three(g.window), three(g.stride), three(low, 0),
            three(g.dilation), three(g.input_dilation), g.groups, c, d, bits,
        )  # fmt: skip

    @property
    def places(self) -> int:
        """Of an output map."""
        return math.prod(self.output)

    @property
    def cut(self) -> int:
        """The axis along which images are cut."""
        return 0 if self.output[0] > 1 else 1

    @property
    def line(self) -> int:
        """Numbers of an output map for one place along that axis."""
        return math.prod(self.output[self.cut + 1 :]) * self.d

    @property
    def row(self) -> int:
        """Bytes of an input map for one place along that axis."""
        size = math.prod(self.input) * self.c * self.bits // 8
        return max(size // max(self.input[self.cut], 1), 1)


# The most bytes of a row that stays in the first-level cache from its first pass to its last.
ROW_BYTES = 2**15


class Rows(NamedTuple):
    """`images` rows of c numbers, and what is added to their variance."""

    images: int
    c: int
    bits: int
    epsilon: float


class Lanes(NamedTuple):
    """How channels out fill vectors, and which channels in meet them."""

    width: int
    """Lanes of a vector."""
    step: int
    """How many of them hold channels, where there are enough."""
    vectors: int
    last: int
    """How many channels the last vector holds."""
    rows: int
    """Groups that are computed one after the other."""
    reads: tuple[int, int] = (0, 0)
    """Of several groups in a vector: channels in and out of each."""

    def filled(self, vector: int) -> int:
        """How many lanes of a vector hold channels."""
        return self.last if vector == self.vectors - 1 else self.step

    def read(self, channels: int) -> int:
        """How many channels in are read by that many channels out."""
        c, d = self.reads
        return channels // d * c if d else 0

    def map(self, channel: int) -> tuple[int, ...] | None:
        """From which lane each takes a channel in of its group; None where all take the same."""
        c, d = self.reads
        return (
            tuple(min(i, self.step - 1) // d * c + channel for i in range(self.width))
            if d
            else None
        )

    def kernel_block(self, problem: Sizes, vectors: int) -> int:
        """Channels out of a kernel that lie side by side: of a tile's vectors, if groups allow it.

        What lanes read beyond the last channel counts.
        """
        if self.rows == 1 and not self.reads[1]:
            return vectors * self.step
        own = (self.rows - 1) * (problem.d // problem.groups)
        return max(problem.d, own + (self.vectors - 1) * self.step + self.width)


def lanes_of(problem: Sizes, width: int) -> Lanes:
    """Groups of few channels side by side in a vector; else each with vectors of its own.

    To spread a number over the lanes of its group takes as long as a product, unless it is for one
    lane only. So groups that half fill a vector stay alone.
    """
    c, d = problem.c // problem.groups, problem.d // problem.groups
    side_by_side = min(width // d, width // c, problem.groups)
    if problem.groups > 1 and side_by_side > (1 if c == d == 1 else 2):
        step = side_by_side * d
        vectors = -(-problem.d // step)
        return Lanes(width, step, vectors, problem.d - (vectors - 1) * step, 1, (c, d))
    while width // 2 >= d and width > 128 // problem.bits:
        width //= 2
    vectors = -(-d // width)
    return Lanes(width, width, vectors, d - (vectors - 1) * width, problem.groups)


def divisors(n: int, most: int) -> list[int]:
    """Those not above `most`."""
    return [m for m in range(1, min(n, most) + 1) if n % m == 0]
