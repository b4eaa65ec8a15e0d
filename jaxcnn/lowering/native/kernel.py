"""A kernel as a description: tiles, loops around them, and what each part computes.

A part is some of the images, or slabs of them, and some of the channels. For each slab, whose rows
may be copied first, loops step over tiles; each of them moves x, the other map b, and the results.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.ir as ir

from jaxcnn.lowering.native.code import I64, Code, Number, Value, Vectors, element, number
from jaxcnn.lowering.native.handler import Written, write_handler
from jaxcnn.lowering.native.problem import Lanes, Sizes
from jaxcnn.lowering.native.slabs import Slab, fill
from jaxcnn.lowering.native.tile import Tile, written


class Step(NamedTuple):
    """A loop around tiles: `size` of `count` at a time, and how far one of them moves the maps.

    Where sizes do not divide counts, the last tile overlaps with the one before it.
    """

    count: int
    size: int
    x: int
    b: int
    result: int


class Nest(NamedTuple):
    """Loops around a tile, the outermost first, and where on the maps they start."""

    x: int
    b: int
    result: int
    steps: tuple[Step, ...]
    """Over groups, over vectors of channels out, and further ones."""
    counts: tuple[int | str, ...]
    """How often each loop of the tile goes round; "images" and "rows" of a slab may differ."""


VECTORS = 1  # which of the steps


class Plan(NamedTuple):
    """How a kernel computes a map."""

    problem: Sizes
    lanes: Lanes
    slab: Slab
    tiles: tuple[Tile, Tile]
    """The usual one, and the one whose last vector is the last of all."""
    nests: tuple[Nest, ...]
    tile_images: int
    """Images that a tile runs over."""
    rows: int
    """Places of a slab, along the axis that is cut."""
    sums: int
    """Numbers of the results that each part has of its own, to be added up; 0 for none."""
    by_images: int
    """Parts with some of the slabs each."""
    by_channels: int = 1
    """Parts with some of the steps of a loop each."""
    divided: int = VECTORS
    """Which loop that is."""
    kernel_block: int = 1
    """Channels out of a convolution's kernel that have to lie side by side."""
    of_kernel: bool = False
    """Whether the results are a kernel's, and b a map; else it is the other way round."""

    @property
    def cuts(self) -> int:
        """How many slabs an image has."""
        return -(-self.problem.output[self.problem.cut] // self.rows)

    @property
    def units(self) -> int:
        """How many slabs, each of some images at once, are divided among parts."""
        return -(-self.problem.images // self.tile_images) * self.cuts

    @property
    def memory(self) -> int:
        """How many numbers the memory to work in holds."""
        copies = self.by_images * self.by_channels * self.tile_images * self.slab.numbers
        return max(self._own + copies, 1)

    @property
    def _own(self) -> int:
        return self.by_images * -(-self.sums // 16) * 16


def write(plan: Plan) -> Written:
    """The kernel, in LLVM's language."""
    module = ir.Module("kernel")
    tiles = [written(module, f"tile{i}", tile) for i, tile in enumerate(plan.tiles)]
    if plan.lanes.last == plan.lanes.step:
        tiles[1] = tiles[0]
    parts = plan.by_images * plan.by_channels
    write_handler(module, _part(module, plan, tiles), _finish(module, plan), parts, 2, 1)
    return Written(str(module), plan.memory, plan.kernel_block)


def _part(module: Any, plan: Plan, tiles: list[Any]) -> Any:
    code = Code(module, "part", 4, 1)
    x, b, results, memory, index = code.arguments
    problem, slab, kind = plan.problem, plan.slab, element(plan.problem.bits)
    piece, share = code.parted(index, plan.by_images)
    if plan.sums:
        results = code.move(memory, kind, (share, plan._own // plan.by_images))
    copies = code.move(memory, kind, (1, plan._own), (index, plan.tile_images * slab.numbers))
    low, high = code.share(share, plan.units, plan.by_images)
    divided = plan.nests[0].steps[plan.divided]
    among = code.share(piece, divided.count // divided.size, plan.by_channels)

    def unit(u: Number) -> None:
        group, cut = code.parted(u, plan.cuts)
        image, place = code.times(group, plan.tile_images), code.times(cut, plan.rows)
        length = problem.output[problem.cut]
        images = code.least(plan.tile_images, code.add(problem.images, code.times(image, -1)))
        rows = code.least(plan.rows, code.add(length, code.times(place, -1)))
        if not plan.of_kernel:  # the last slab overlaps with the one before it
            place = code.least(place, length - plan.rows)
        here = code.move(x, kind, (image, slab.image))

        def of_image(i: Number) -> Value:
            copy = code.move(copies, kind, (i, slab.numbers))
            return fill(code, slab, copy, code.move(here, kind, (i, slab.image)), place, kind)

        if slab.copied:
            code.each(0, images, 1, of_image)
        here = copies if slab.copied else of_image(0)
        moves = (image, problem.places * problem.d), (place, problem.line)
        maps = (code.move(a, kind, *moves) for a in ((b if plan.of_kernel else results),))
        there = (*maps, results) if plan.of_kernel else (b, *maps)
        first = code.b.zext(code.same(u, low), I64)
        for nest in plan.nests:
            sizes = {"images": number(images), "rows": number(rows)}
            counts = [sizes[n] if isinstance(n, str) else n for n in nest.counts]
            start = zip((here, *there), nest[:3], strict=True)
            pointers = [code.move(a, kind, (1, by)) for a, by in start]

            def tile(last: bool, *at: Value, counts: list[Number] = counts) -> None:
                code.call(tiles[last], *at, *counts, first)

            _steps(code, plan, nest.steps, 0, among, pointers, tile)

    code.each(low, high, 1, unit)
    code.b.ret_void()
    return code.function


def _steps(
    code: Code, plan: Plan, steps: tuple[Step, ...], depth: int, among: list[Number],
    pointers: list[Value], tile: Any, last: bool = False,
) -> None:  # fmt: skip
    """The loops from a depth on."""
    if depth == len(steps):
        tile(last, *pointers)
        return
    step, kind = steps[depth], element(plan.problem.bits)

    def at(i: Number, last: bool = last) -> None:
        begin = code.times(i, step.size)
        if step.count % step.size:
            begin = code.least(begin, step.count - step.size)
        moved = [code.move(a, kind, (begin, by)) for a, by in zip(pointers, step[2:], strict=True)]
        _steps(code, plan, steps, depth + 1, among, moved, tile, last)

    count = -(-step.count // step.size)
    low, high = among if depth == plan.divided else (0, count)
    if depth != VECTORS:
        code.each(low, high, 1, at)
        return
    code.each(low, code.least(high, count - 1), 1, at)
    if isinstance(high, int):
        at(count - 1, True)
        return
    with code.b.if_then(code.same(high, count)):
        at(count - 1, True)


def _finish(module: Any, plan: Plan) -> Any:
    """Add the parts' own sums up, always in the same order."""
    code = Code(module, "finish", 4)
    *_, results, memory = code.arguments
    vectors = Vectors(code, plan.lanes.width, plan.problem.bits)

    def add(i: Number, filled: int) -> None:
        total = vectors.load(memory, i, filled)
        for k in range(1, plan.by_images):
            part = vectors.load(memory, code.add(i, k * (plan._own // plan.by_images)), filled)
            total = code.b.fadd(total, part)
        vectors.store(total, results, i, filled)

    whole = plan.sums // vectors.lanes * vectors.lanes
    code.each(0, whole, vectors.lanes, lambda i: add(i, vectors.lanes))
    if whole < plan.sums:
        add(whole, plan.sums - whole)
    code.b.ret_void()
    return code.function
