"""The convolution: y[place, d] = Σ x[place + tap, c] · k[tap, c, d], and so the input gradient.

A tile is some places times some vectors of channels out, and its loops run over taps and channels
in: a result is written once, when it is complete.
    for every slab: for channels out: for places:
        for a: for h: for w: for c:  sums[place] += x[place + (a, h, w), c] · k[a, h, w, c, vector]
Zeros between the elements of x are not multiplied by: places whose windows meet the same taps are
a phase, and phases are computed one after the other.
"""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

from jaxcnn.lowering.native.kernel import Nest, Plan, Step
from jaxcnn.lowering.native.machine import Machine
from jaxcnn.lowering.native.problem import Lanes, Sizes, divisors, lanes_of
from jaxcnn.lowering.native.slabs import SLAB_BYTES, Axis, Slab
from jaxcnn.lowering.native.tile import Loop, Result, Term, Tile, merged

# Parts per thread: with several, a thread that is late delays the others less.
SHARES = 4
# The most products that are written out for one step of the loops.
WRITTEN_OUT = 128


class Phase(NamedTuple):
    """Places along an axis, at equal distances, whose windows meet the same taps."""

    place: int
    count: int
    tap: int
    taps: int
    x: int
    """Where the first place finds its first tap."""


class Moves(NamedTuple):
    """How phases go along an axis: the same for all of them."""

    phases: tuple[Phase, ...]
    place: int
    """From one place of a phase to the next."""
    tap: int
    """From one tap to the next."""
    x_place: int
    x_tap: int
    """How far each of these moves on the map."""

    @property
    def start(self) -> int:
        """The first place of the map that is read, which may lie before it."""
        return min((p.x for p in self.phases if p.taps), default=0)

    def reach(self, most: int) -> int:
        """How far from the start `most` places of each phase read."""
        ends = (
            p.x + (min(p.count, most) - 1) * self.x_place + (p.taps - 1) * self.x_tap + 1
            for p in self.phases
            if p.taps
        )
        return max(ends, default=1) - self.start


def moves_along(problem: Sizes, axis: int) -> Moves:
    """Place p finds tap k at (p·stride + k·dilation − low) / gap, if that is a whole number."""
    p, k, stride, dilation, low, gap = (
        sizes[axis]
        for sizes in (
            problem.output, problem.window, problem.stride, problem.dilation, problem.low,
            problem.input_dilation,
        )
    )  # fmt: skip
    place, tap = gap // math.gcd(stride, gap), gap // math.gcd(dilation, gap)
    phases = []
    for first in range(min(place, p)):
        found = [(first * stride + t * dilation - low, t) for t in range(min(tap, k))]
        at, t = next(((at, t) for at, t in found if at % gap == 0), (0, k))
        phases.append(Phase(first, -(-(p - first) // place), t, -(-(k - t) // tap), at // gap))
    return Moves(tuple(phases), place, tap, place * stride // gap, tap * dilation // gap)


def plan(problem: Sizes, machine: Machine) -> Plan:
    """The block with the fewest cycles, slabs that fit in the cache, and parts for all threads."""
    lanes = lanes_of(problem, 8 * machine.vector // problem.bits)
    moves = [moves_along(problem, axis) for axis in range(3)]
    cut, length = problem.cut, problem.output[problem.cut]
    rows, whole = length, len(moves[cut].phases) > 1
    if not whole:
        most = SLAB_BYTES // (problem.row * max(moves[cut].x_place, 1))
        wanted = -(-SHARES * machine.threads // problem.images)  # slabs of each image
        most = max(min(most, -(-length // wanted)), min(length, 2))
        rows = -(-length // -(-length // most))
    axes = []
    for axis, move in enumerate(moves):
        slides = move.x_place if axis == cut and not whole else 0
        size = move.reach(rows if axis == cut else problem.output[axis])
        reach = move.reach(problem.output[axis])
        axes.append(Axis(problem.input[axis], move.start, size, slides, reach))
    slab = Slab((axes[0], axes[1], axes[2]), problem.c, problem.bits)
    sizes = [min(phase.count for phase in move.phases) for move in moves]
    sizes[cut] = sizes[cut] if whole else rows
    block = _block(lanes, machine, *sizes[1:])
    nests = []
    for phases in product(*(move.phases for move in moves)):
        counts = [phase.count for phase in phases]
        counts[cut] = counts[cut] if whole else rows
        nests.append(_nest(problem, lanes, slab, block, moves, phases, counts))
    usual, ends = (_tile(problem, lanes, slab, block, moves, last) for last in (False, True))
    found = Plan(problem, lanes, slab, (usual, ends), tuple(nests), 1, rows, 0, 1)
    found = found._replace(kernel_block=lanes.kernel_block(problem, block[-1]))
    by_images = min(found.units, SHARES * machine.threads)
    pieces = lanes.vectors // block[-1]
    by_channels = min(pieces, -(-machine.threads // by_images))
    return found._replace(by_images=by_images, by_channels=by_channels)


Block = tuple[int, int, int]  # places down and along, vectors


def _block(lanes: Lanes, machine: Machine, height: int, width: int) -> Block:
    def cycles(block: Block) -> float:
        """Cycles of one step, for all places."""
        down, along, vectors = block
        sums = math.prod(block)
        loads = 1.3 * vectors + down * along * (vectors if lanes.reads[1] else 1)
        tiles = -(-height // down) * -(-width // along) * lanes.vectors / vectors
        return tiles * (max(sums / 2, loads / 2, 4) + 0.7)

    sizes = range(1, min(height, 6) + 1), range(1, min(width, machine.registers) + 1)
    blocks = product(*sizes, divisors(lanes.vectors, 6))
    return min((b for b in blocks if math.prod(b) + b[-1] < machine.registers), key=cycles)


def _loops(
    problem: Sizes, lanes: Lanes, slab: Slab, block: Block, moves: list[Moves]
) -> tuple[list[tuple[Loop, int]], list[tuple[int | str, Loop]]]:
    """The loops that one step writes out, and the loops around it, each with its moves.

    Where a count depends on the phase, the name of its axis stands for it.
    """
    c, d = problem.c // problem.groups, lanes.kernel_block(problem, block[-1])
    loops: list[tuple[int | str, Loop]] = []
    for axis, move in enumerate(moves):
        taps = math.prod(problem.window[axis + 1 :])
        count = move.phases[0].taps if len(move.phases) == 1 else str(axis)
        loops.append((count, Loop(move.x_tap * slab.strides[axis], move.tap * taps * c * d)))
    if not lanes.reads[1]:
        return [(Loop(0, 0), 0)], merged([*loops, (c, Loop(1, d))])
    inner = [(Loop(0, j * d), j) for j in range(c)]
    taps, move = loops[-1]
    if isinstance(taps, int) and taps * c * math.prod(block) <= WRITTEN_OUT:
        loops.pop()
        inner = [(Loop(t * move.x, t * move.b + at.b), j) for t in range(taps) for at, j in inner]
    return inner, merged(loops)


def _tile(
    problem: Sizes, lanes: Lanes, slab: Slab, block: Block, moves: list[Moves], last: bool
) -> Tile:
    first = lanes.vectors - block[-1] if last else 0
    results, at = [], []
    for h, w, v in product(*map(range, block)):
        place = h * moves[1].place * problem.output[2] + w * moves[2].place
        results.append(Result(place * problem.d + v * lanes.step, lanes.filled(first + v)))
        x = h * moves[1].x_place * slab.strides[1] + w * moves[2].x_place * slab.strides[2]
        at.append((x + v * lanes.read(lanes.step), v))
    inner, loops = _loops(problem, lanes, slab, block, moves)
    terms = [
        Term(i, x + by.x, by.b + v * lanes.step, lanes.map(j), lanes.read(results[i].filled))
        for by, j in inner
        for i, (x, v) in enumerate(at)
    ]
    by = tuple(loop for _, loop in loops)
    return Tile(lanes.width, problem.bits, tuple(results), tuple(terms), by, adds=False)


def _nest(
    problem: Sizes, lanes: Lanes, slab: Slab, block: Block, moves: list[Moves],
    phases: tuple[Phase, ...], counts: list[int],
) -> Nest:  # fmt: skip
    """All places of a phase: over groups, channels out, and places."""
    c, d = problem.c // problem.groups, problem.d // problem.groups
    side_by_side = lanes.kernel_block(problem, block[-1])
    further = math.prod(problem.window) * c if side_by_side == block[-1] * lanes.step else 1
    steps = [
        Step(lanes.rows, 1, c, d, d),
        Step(lanes.vectors, block[-1], lanes.read(lanes.step), further * lanes.step, lanes.step),
    ]
    x = tap = result = 0
    empty = not all(phase.taps for phase in phases)
    for axis, (move, phase, size) in enumerate(zip(moves, phases, (1, *block[:2]), strict=True)):
        places = math.prod(problem.output[axis + 1 :]) * problem.d
        stride = slab.strides[axis]
        steps.append(Step(counts[axis], size, move.x_place * stride, 0, move.place * places))
        tap = tap * problem.window[axis] + phase.tap
        result += phase.place * places
        x += (phase.x - move.start) * stride
    _, loops = _loops(problem, lanes, slab, block, moves)
    found = (phases[int(n)].taps if isinstance(n, str) else n for n, _ in loops)
    kernel = tap * c * side_by_side
    if empty:  # the sums have nothing to add
        return Nest(0, 0, result, tuple(steps), (0,) * len(loops))
    return Nest(x, kernel, result, tuple(steps), tuple(found))
