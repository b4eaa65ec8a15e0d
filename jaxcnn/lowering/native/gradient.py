"""The kernel gradient: w[tap, c, d] = Σ x[place + tap, c] · δ[place, d].

A tile is some taps times some channels in times some vectors of channels out, and its loops run
over the places of some images: all sums stay in registers meanwhile.
    for every slab: for channels out: for channels in: for taps:
        for image: for a: for h: for w:  sums[tap, c] += x[(a, h, w) + tap, c] · δ[a, h, w, vector]
"""

from __future__ import annotations

import math
from itertools import product

from jaxcnn.lowering.native.kernel import VECTORS, Nest, Plan, Step
from jaxcnn.lowering.native.machine import Machine
from jaxcnn.lowering.native.problem import Lanes, Sizes, divisors, lanes_of
from jaxcnn.lowering.native.slabs import SLAB_BYTES, Axis, Slab
from jaxcnn.lowering.native.tile import Loop, Result, Term, Tile, merged

# Parts per thread: with several, a thread that is late delays the others less.
PARTS = 2
# A part has sums of its own only if it reads at least this many times as many numbers.
MUCH = 4


def plan(problem: Sizes, machine: Machine) -> Plan:
    """The block with the fewest cycles, slabs that fit in the cache, and parts for all threads."""
    lanes = lanes_of(problem, 8 * machine.vector // problem.bits)
    block = _block(problem, lanes, machine)
    length = problem.output[problem.cut]
    most = max(SLAB_BYTES // (problem.row * problem.stride[problem.cut]), 1)
    rows = -(-length // -(-length // min(most, length)))
    wanted = PARTS * machine.threads
    image = problem.row * problem.input[problem.cut]
    tile_images = min(SLAB_BYTES // image, problem.images // wanted) if rows == length else 1
    axes = []
    for axis, p in enumerate(problem.output):
        stride = problem.stride[axis]
        extent = (problem.window[axis] - 1) * problem.dilation[axis] + 1
        count, moves = (rows, stride) if axis == problem.cut else (p, 0)
        size, reach = ((places - 1) * stride + extent for places in (count, p))
        axes.append(Axis(problem.input[axis], -problem.low[axis], size, moves, reach))
    slab = Slab((axes[0], axes[1], axes[2]), problem.c, problem.bits)
    tile_images = max(tile_images, 1)
    loops = _loops(problem, slab, tile_images, rows)
    tiles = (
        _tile(problem, lanes, slab, block, loops, False),
        _tile(problem, lanes, slab, block, loops, True),
    )
    steps = _steps(problem, lanes, slab, block)
    nest = Nest(0, 0, 0, steps, tuple(count for count, _ in loops))
    size = math.prod(problem.window) * problem.c // problem.groups * problem.d
    found = Plan(problem, lanes, slab, tiles, (nest,), tile_images, rows, size, 1, of_kernel=True)
    read = problem.images * (math.prod(problem.input) * problem.c + problem.places * problem.d)
    by_images = max(min(wanted, found.units, read // (MUCH * size)), 1)
    divided = VECTORS if lanes.reads[1] else VECTORS + 1
    pieces = steps[divided].count // steps[divided].size
    return found._replace(
        sums=size if by_images > 1 else 0, by_images=by_images,
        by_channels=min(pieces, -(-wanted // by_images)), divided=divided,
    )  # fmt: skip


Block = tuple[int, int, int, int]  # taps down and along, channels in, vectors


def _block(problem: Sizes, lanes: Lanes, machine: Machine) -> Block:
    def cycles(block: Block) -> float:
        """Cycles per product of vectors."""
        height, width, channels, vectors = block
        sums = math.prod(block)
        loads = vectors + height * width * (vectors if lanes.reads[1] else channels)
        return (max(sums / 2, loads / 2, 4) + 0.7) / sums

    c = problem.c // problem.groups
    _, height, width = problem.window
    blocks = list(
        product(
            divisors(height, height), divisors(width, width),
            [c] if lanes.reads[1] else divisors(c, c), divisors(lanes.vectors, 7),
        )
    )  # fmt: skip
    fitting = [b for b in blocks if math.prod(b) + b[-1] < machine.registers]
    return min(fitting, key=cycles, default=blocks[0])


def _loops(problem: Sizes, slab: Slab, tile_images: int, rows: int) -> list[tuple[int | str, Loop]]:
    """Over images, and over the places of the outputs, of which one axis is cut."""
    loops: list[tuple[int | str, Loop]] = []
    if tile_images > 1:
        image = slab.numbers if slab.copied else slab.image
        loops.append(("images", Loop(image, problem.places * problem.d)))
    for axis, p in enumerate(problem.output):
        cut = axis == problem.cut and rows < p
        delta = math.prod(problem.output[axis + 1 :]) * problem.d
        loops.append(("rows" if cut else p, Loop(problem.stride[axis] * slab.strides[axis], delta)))
    return merged(loops)


def _tile(problem: Sizes, lanes: Lanes, slab: Slab, block: Block, loops: list, last: bool) -> Tile:
    first = lanes.vectors - block[-1] if last else 0
    c = problem.c // problem.groups
    results, terms = [], []
    for a, e, j, v in product(*map(range, block)):
        x = a * problem.dilation[1] * slab.strides[1] + e * problem.dilation[2] * slab.strides[2]
        filled, among = lanes.filled(first + v), lanes.map(j)
        x += j if among is None else v * lanes.read(lanes.step)
        terms.append(Term(len(results), x, v * lanes.step, among, lanes.read(filled)))
        at = ((a * problem.window[2] + e) * c + j) * problem.d + v * lanes.step
        results.append(Result(at, filled))
    moves = tuple(loop for _, loop in loops)
    return Tile(lanes.width, problem.bits, tuple(results), tuple(terms), moves, adds=True)


def _steps(problem: Sizes, lanes: Lanes, slab: Slab, block: Block) -> tuple[Step, ...]:
    """Over groups, channels out, channels in, and taps."""
    c, d = problem.c // problem.groups, problem.d // problem.groups
    height, width, channels, vectors = block
    steps = [
        Step(lanes.rows, 1, c, d, d),
        Step(lanes.vectors, vectors, lanes.read(lanes.step), lanes.step, lanes.step),
        Step(c, channels, 1, 0, problem.d),
    ]
    for axis, size in enumerate((1, height, width)):
        x = problem.dilation[axis] * slab.strides[axis]
        taps = math.prod(problem.window[axis + 1 :])
        steps.append(Step(problem.window[axis], size, x, 0, taps * c * problem.d))
    return tuple(steps)
