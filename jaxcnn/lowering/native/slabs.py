"""What of a map a part of a kernel reads: rows of an image, with the zeros around them.

They are copied into the cache, so that windows need not look where the map ends. Where no window
leaves the map nothing is copied.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jaxcnn.lowering.native.code import Code, Number, Value, number

# The bytes of a map that are used before the next ones are: a part of the second-level cache.
SLAB_BYTES = 2**17


class Axis(NamedTuple):
    """One axis of a map, and what windows read of it."""

    length: int
    start: int
    """The first place that is read, which may lie before the map."""
    size: int
    """Of a slab."""
    moves: int
    """How far a slab's start is from that of the slab for one result before."""
    reach: int
    """Where the last slab ends, counted from the start of the first one."""


class Slab(NamedTuple):
    """The three axes of space, and the channels, of what is read."""

    axes: tuple[Axis, Axis, Axis]
    channels: int
    bits: int

    @property
    def copied(self) -> bool:
        """Whether something that is read lies outside the map."""
        return any(a.start < 0 or a.start + a.reach > a.length for a in self.axes)

    @property
    def strides(self) -> tuple[int, int, int]:
        """How many numbers lie between neighbours along each axis."""
        _, height, width = (a.size if self.copied else a.length for a in self.axes)
        return height * width * self.channels, width * self.channels, self.channels

    @property
    def image(self) -> int:
        """How many numbers an image has."""
        return math.prod(a.length for a in self.axes) * self.channels

    @property
    def numbers(self) -> int:
        """How many numbers a copy has: whole lines of the cache."""
        size = math.prod(a.size for a in self.axes) * self.channels
        return -(-size // 16) * 16 if self.copied else 0


def fill(code: Code, slab: Slab, copy: Value, image: Value, place: Number, kind: Any) -> Value:
    """The start of what results from `place` on read: in the image, or in a copy made here."""
    starts = [code.add(axis.start, code.times(place, axis.moves)) for axis in slab.axes]
    if not slab.copied:
        return code.move(image, kind, *zip(starts, slab.strides, strict=True))
    planes, rows, channels = slab.strides
    depth, height, width = slab.axes
    before = min(max(-width.start, 0), width.size)
    first = max(width.start, 0)
    length = max(min(width.length - first, width.size - before), 0)
    size = channels * slab.bits // 8

    def line(i: Number, j: Number) -> None:
        to = code.move(copy, kind, (i, planes), (j, rows))
        at = code.add(starts[0], i), code.add(starts[1], j)
        deep, high = (
            code.b.icmp_unsigned("<", number(a), number(axis.length))
            for a, axis in zip(at, (depth, height), strict=True)
        )
        with code.b.if_else(code.b.and_(deep, high)) as (then, otherwise):
            with then:
                source = code.move(
                    image, kind, (at[0], height.length * width.length * channels),
                    (at[1], width.length * channels), (first, channels),
                )  # fmt: skip
                code.clear(to, before * size)
                code.copy(code.move(to, kind, (before, channels)), source, length * size)
                after = code.move(to, kind, (before + length, channels))
                code.clear(after, (width.size - before - length) * size)
            with otherwise:
                code.clear(to, width.size * size)

    code.each(0, depth.size, 1, lambda i: code.each(0, height.size, 1, lambda j: line(i, j)))
    return copy
