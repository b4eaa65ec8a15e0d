"""Poolings and their gradients: all windows, all of their taps that lie on the map, all channels.

    for image: for p: for q: for vectors of channels:
        for tap:  y = max(y, x[place])
        for tap:  z[place] += δ, where the switch names the tap, or everywhere
Sums of windows are left to XLA, which divides them in the same pass.
What is formed for a window stays in registers while its taps are read; a gradient writes to rows of
the map, which are in the cache until the last window that reaches them has been there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import llvmlite.ir as ir

from jaxcnn.lowering.native.code import Code, Number, Value, Vectors, element
from jaxcnn.lowering.native.handler import Written, write_handler
from jaxcnn.lowering.native.machine import Machine
from jaxcnn.lowering.native.problem import Sizes

# Parts per thread: with several, a thread that is late delays the others less.
SHARES = 4
# Vectors of channels that go through the taps of a window together, and taps written out.
TOGETHER, WRITTEN_OUT = 4, 5


Places = list[tuple[int, int]]  # of vectors: from where on, how many lanes are filled
Step = Callable[[Value, Number, list[Value]], list[Value]]


class Pool(NamedTuple):
    """What is done at each tap: the maximum of a window, or what a gradient adds to the map."""

    switches: bool
    """Whether the taps that hold the maxima are written, or read."""
    gradient: bool

    @property
    def maps(self) -> tuple[int, int]:
        """How many operands and results."""
        return (1 + self.switches, 1) if self.gradient else (1, 1 + self.switches)


POOLS = {
    "maximum": Pool(switches=False, gradient=False),
    "switches": Pool(switches=True, gradient=False),
    "scatter": Pool(switches=True, gradient=True),
    "spread": Pool(switches=False, gradient=True),
}


def switch_bits(taps: int) -> int:
    """Of the smallest whole numbers that can name the taps of a window."""
    return next(bits for bits in (8, 16, 32) if taps <= 2**bits)


def write(pool: Pool, problem: Sizes, machine: Machine) -> Written:
    """One part for some images and some rows of windows."""
    module = ir.Module("kernel")
    by_images = min(problem.images, SHARES * machine.threads)
    alone = not pool.gradient or (_flat(problem) and not _overlap(problem, 1))
    by_rows = min(-(-machine.threads // by_images), problem.output[1]) if alone else 1
    operands, results = pool.maps
    code = Code(module, "part", operands + results + 1, 1)
    *buffers, _, index = code.arguments
    piece, share = code.parted(index, by_images)
    rows = code.share(piece, problem.output[1], by_rows)
    windows = _Windows(code, pool, problem, machine, buffers)
    low, high = code.share(share, problem.images, by_images)
    code.each(low, high, 1, lambda image: windows.image(image, *rows))
    code.b.ret_void()
    write_handler(module, code.function, None, by_images * by_rows, operands, results)
    return Written(str(module))


def _extent(problem: Sizes, axis: int) -> int:
    return (problem.window[axis] - 1) * problem.dilation[axis] + 1


def _flat(problem: Sizes) -> bool:
    return problem.input[0] == problem.output[0] == 1


def _overlap(problem: Sizes, axis: int) -> bool:
    return _extent(problem, axis) > problem.stride[axis] and problem.output[axis] > 1


class _Windows:
    """The loops over the windows of an image."""

    def __init__(
        self, code: Code, pool: Pool, problem: Sizes, machine: Machine, buffers: list[Value]
    ):
        self.code, self.pool, self.problem = code, pool, problem
        width = 8 * machine.vector // problem.bits
        while width // 2 >= problem.c and width > 128 // problem.bits:
            width //= 2
        self.numbers = Vectors(code, width, problem.bits)
        self.names = Vectors(code, width, problem.bits, whole=True)
        bits = switch_bits(math.prod(problem.window))
        self.switches = Vectors(code, width, bits, whole=True)
        of_map, of_windows = (0, -1) if not pool.gradient else (-1, 0)
        if pool.switches:
            self.at_switches = buffers.pop(1 if pool.gradient else 2)
        self.map, self.windows = buffers[of_map], buffers[of_windows]
        self.kind = element(problem.bits)
        self.adds = pool.gradient and any(_overlap(problem, axis) for axis in range(3))

    def image(self, image: Number, low: Number, high: Number) -> None:
        """All windows of an image, or some rows of them."""
        code, problem = self.code, self.problem
        on_map = code.move(self.map, self.kind, (image, math.prod(problem.input) * problem.c))
        if self.pool.gradient and not _flat(problem):
            code.clear(on_map, math.prod(problem.input) * problem.c * problem.bits // 8)

        def row(a: Number, p: Number) -> None:
            if self.pool.gradient and _flat(problem):
                self._clear(on_map, p)
            plane = code.add(code.times(image, problem.output[0]), a)
            self._row(on_map, [a, p], code.add(code.times(plane, problem.output[1]), p))

        code.each(0, problem.output[0], 1, lambda a: code.each(low, high, 1, lambda p: row(a, p)))

    def _clear(self, on_map: Value, p: Number) -> None:
        """The rows of a map that this row of windows reaches, and those before it did not."""
        code, problem = self.code, self.problem
        height, line = problem.input[1], problem.input[2] * problem.c

        def reach(p: Number) -> Number:
            end = code.add(code.times(p, problem.stride[1]), _extent(problem, 1) - problem.low[1])
            return code.least(code.positive(end), height)

        begin = code.chosen(code.same(p, 0), 0, reach(code.add(p, -1)))
        end = code.chosen(code.same(p, problem.output[1] - 1), height, reach(p))
        count = code.times(code.add(end, code.times(begin, -1)), line * problem.bits // 8)
        code.clear(code.move(on_map, self.kind, (begin, line)), count)

    def _row(self, on_map: Value, place: list[Number], row: Number) -> None:
        code, problem = self.code, self.problem
        q, size, stride, low = (
            sizes[2] for sizes in (problem.output, problem.input, problem.stride, problem.low)
        )
        outer = [self._taps(axis, at) for axis, at in enumerate(place)]
        first = min(-(-max(low, 0) // stride), q)
        last = max(min((size + low - _extent(problem, 2)) // stride + 1, q), first)
        for begin, end, inside in ((0, first, False), (first, last, True), (last, q, False)):

            def window(at: Number, inside: bool = inside) -> None:
                number = code.add(code.times(row, q), at)
                self._window(on_map, [*outer, self._taps(2, at, inside)], number)

            code.each(begin, end, 1, window)

    def _taps(self, axis: int, place: Number, inside: bool = False) -> tuple[Number, ...]:
        """The first tap that lies on the map, the first one behind it, and where tap 0 lies."""
        code, problem = self.code, self.problem
        size, window, dilation = (
            s[axis] for s in (problem.input, problem.window, problem.dilation)
        )
        start = code.add(code.times(place, problem.stride[axis]), -problem.low[axis])
        end = (problem.output[axis] - 1) * problem.stride[axis] - problem.low[axis]
        if inside or (problem.low[axis] <= 0 and end + _extent(problem, axis) <= size):
            return 0, window, start
        before = code.positive(code.times(start, -1))
        until = code.positive(code.add(code.times(start, -1), size))
        low, high = (
            code.least(code.parted(code.add(n, dilation - 1), dilation)[0], window)
            for n in (before, until)
        )
        return low, high, start

    def _window(self, on_map: Value, taps: list[tuple[Number, ...]], window: Number) -> None:
        """In blocks of vectors, the last one with what is left."""
        lanes, c = self.numbers.lanes, self.problem.c
        vectors = -(-c // lanes)
        block = -(-vectors // -(-vectors // TOGETHER))
        whole = c // (block * lanes)
        filled = [min(lanes, c - at) for at in range(whole * block * lanes, c, lanes)]

        def of(channel: Number, filled: list[int]) -> None:
            at = self.code.add(self.code.times(window, c), channel)
            self._block(self.code.move(on_map, self.kind, (channel, 1)), taps, at, filled)

        self.code.each(0, whole * block * lanes, block * lanes, lambda i: of(i, [lanes] * block))
        if filled:
            of(whole * block * lanes, filled)

    def _block(
        self, on_map: Value, taps: list[tuple[Number, ...]], at: Number, filled: list[int]
    ) -> None:
        code, pool, lanes = self.code, self.pool, self.numbers.lanes
        places = [(i * lanes, n) for i, n in enumerate(filled)]
        here = code.move(self.windows, self.kind, (at, 1))
        if pool.switches:
            names = code.move(self.at_switches, self.switches.element, (at, 1))
        if pool.gradient:
            delta = [self.numbers.load(here, *place) for place in places]
            chosen = None
            if pool.switches:
                chosen = [self.switches.load(names, *place) for place in places]
                chosen = [code.sized(v, self.names.type) for v in chosen]
            self._over(on_map, taps, self._giving(places, delta, chosen), [])
            return
        carry = [self.numbers.all(-math.inf)] * len(places)
        if pool.switches:
            first = 0
            for axis, (low, high, _) in enumerate(taps):
                known = low == 0 if isinstance(low, int) else False
                low = 0 if known else code.chosen(code.less(low, high), low, 0)
                first = code.add(first, code.times(low, self._below(axis)))
            carry += [self._name(first)] * len(places)
        found = self._over(on_map, taps, self._comparing(places), carry)
        for i, place in enumerate(places):
            self.numbers.store(found[i], here, *place)
            if pool.switches:
                name = code.sized(found[len(places) + i], self.switches.type)
                self.switches.store(name, names, *place)

    def _below(self, axis: int) -> int:
        return math.prod(self.problem.window[axis + 1 :])

    def _name(self, tap: Number) -> Value:
        """The number of a tap in all lanes."""
        if isinstance(tap, int):
            return self.names.all(tap)
        return self.names.spread(self.code.sized(tap, self.names.element))

    def _over(
        self, on_map: Value, taps: list[tuple[Number, ...]], step: Step, carry: list[Value]
    ) -> list[Value]:
        """The last carry: carry = step(place, number of the tap, carry), tap by tap on the map."""
        code, problem = self.code, self.problem

        def along(axis: int, place: Value, tap: Number, carry: list[Value]) -> list[Value]:
            if axis == 3:
                return step(place, tap, carry)
            low, high, start = taps[axis]
            line = math.prod(problem.input[axis + 1 :]) * problem.c

            def body(t: Number, carry: list[Value]) -> list[Value]:
                at = code.add(start, code.times(t, problem.dilation[axis]))
                number = code.add(tap, code.times(t, self._below(axis)))
                return along(axis + 1, code.move(place, self.kind, (at, line)), number, carry)

            return code.fold(low, high, body, carry, written_out=WRITTEN_OUT)

        return along(0, on_map, 0, carry)

    # What is done at a tap.

    def _comparing(self, places: Places) -> Step:
        """The first maximum: a NaN is one, and the first NaN stays."""
        b, count = self.code.b, len(places)

        def step(place: Value, tap: Number, carry: list[Value]) -> list[Value]:
            for i, at in enumerate(places):
                x, best = self.numbers.load(place, *at), carry[i]
                better = b.and_(b.fcmp_unordered(">", x, best), b.fcmp_ordered("ord", best, best))
                carry[i] = b.select(better, x, best)
                if self.pool.switches:
                    carry[count + i] = b.select(better, self._name(tap), carry[count + i])
            return carry

        return step

    def _giving(self, places: Places, delta: list[Value], chosen: list[Value] | None) -> Step:
        """Give every place its share, or that which the switch names."""
        b, numbers = self.code.b, self.numbers

        def step(place: Value, tap: Number, _: list[Value]) -> list[Value]:
            for i, at in enumerate(places):
                share = delta[i]
                if chosen is not None:
                    named = b.icmp_signed("==", chosen[i], self._name(tap))
                    share = b.select(named, share, numbers.zero)
                if self.adds:
                    share = b.fadd(numbers.load(place, *at), share)
                numbers.store(share, place, *at)
            return []

        return step
