"""The innermost loops of a kernel: sums that stay in registers.

A tile is a block of results, each a vector. Every step of its loops adds products to each of them:
a vector of one map times numbers of the other, one number for all lanes, or for each lane that of
its group.
    for …: for …: sums[i] += spread(x[at]) · b[at]
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxcnn.lowering.native.code import Code, Number, Value, Vectors


class Result(NamedTuple):
    """A vector of results: where it is, counted from the first one, and how many lanes count."""

    at: int
    filled: int


class Term(NamedTuple):
    """One product of a step: sums[sum] += spread(x) · b; places count from where a step begins."""

    sum: int
    x: int
    b: int
    lanes: tuple[int, ...] | None = None
    """From which lane of a vector at x each lane takes its number; None: all take that at x."""
    filled: int = 0
    """How many lanes that vector has."""


class Loop(NamedTuple):
    """How far x and b move from one step to the next."""

    x: int
    b: int


class Tile(NamedTuple):
    """The block of results, and the loops, the outermost first."""

    lanes: int
    bits: int
    """Of a number: 32 or 64."""
    results: tuple[Result, ...]
    terms: tuple[Term, ...]
    loops: tuple[Loop, ...]
    adds: bool
    """Whether sums are added to what the results hold, but at first."""


def written(module: Any, name: str, tile: Tile) -> Any:
    """As a function of x, b, results; of steps of each loop, and of whether it is the first."""
    code = Code(module, name, 3, len(tile.loops) + 1)
    vectors = Vectors(code, tile.lanes, tile.bits)
    x, b, results, *counts, first = code.arguments

    def step(x: Value, b: Value, sums: list[Value]) -> list[Value]:
        loaded: dict[Any, Value] = {}
        for term in tile.terms:
            filled = tile.results[term.sum].filled if tile.adds else tile.lanes
            if ("b", term.b) not in loaded:
                loaded["b", term.b] = vectors.load(b, term.b, filled)
            spread = term.x, term.lanes
            if spread not in loaded:
                if term.lanes is None:
                    loaded[spread] = vectors.broadcast(x, term.x)
                else:
                    if ("x", term.x) not in loaded:
                        loaded["x", term.x] = vectors.load(x, term.x, term.filled)
                    loaded[spread] = vectors.shuffle(loaded["x", term.x], term.lanes)
            sums[term.sum] = vectors.fma(loaded[spread], loaded["b", term.b], sums[term.sum])
        return sums

    def nest(depth: int, carry: list[Value]) -> list[Value]:
        x, b, *sums = carry
        if depth == len(tile.loops):
            return [x, b, *step(x, b, sums)]
        loop = tile.loops[depth]

        def body(_: Number, carry: list[Value]) -> list[Value]:
            x, b = (
                code.move(a, vectors.element, (1, by)) for a, by in zip(carry, loop, strict=False)
            )
            return [x, b, *nest(depth + 1, carry)[2:]]

        return code.fold(0, counts[depth], body, carry)

    sums = nest(0, [x, b, *[vectors.zero] * len(tile.results)])[2:]
    for result, value in zip(tile.results, sums, strict=True):
        if tile.adds:  # short sums are added up: that rounds less than one long sum
            held = vectors.load(results, *result)
            begins = code.b.icmp_signed("!=", first, first.type(0))
            value = code.b.fadd(value, code.b.select(begins, vectors.zero, held))
        vectors.store(value, results, *result)
    code.b.ret_void()
    return code.function


def merged(loops: list[tuple[Any, Loop]]) -> list[tuple[Any, Loop]]:
    """Loops with their counts, known or not; two that continue each other become one."""
    kept: list[tuple[Any, Loop]] = []
    for count, loop in loops:
        outer_count, outer = kept[-1] if kept else (None, None)
        if isinstance(count, int) and isinstance(outer_count, int) and outer == Loop(
            count * loop.x, count * loop.b
        ):  # fmt: skip
            kept[-1] = outer_count * count, loop
        elif count != 1:
            kept.append((count, loop))
    return kept
