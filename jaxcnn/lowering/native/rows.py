"""Layer norm and its gradients: row by row, each in the cache from its first pass to its last.

    for row:  u near max |x|;  μ = mean(x/u);  σ² from x/u − μ;  y = γ(x/u − μ)r + β
    for row:  Σg, Σg x̂ with g = γδ;  ∂x from these;  ∂γ += δx̂, ∂β += δ
Numbers are measured in a unit u, a power of two, so that squares neither overflow nor vanish, and
squares are those of differences from the mean. A part has sums of ∂γ and ∂β of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir
import numpy as np

from jaxcnn.lowering.native.code import Code, Number, Value, Vectors, element
from jaxcnn.lowering.native.handler import Written, write_handler
from jaxcnn.lowering.native.machine import Machine
from jaxcnn.lowering.native.problem import Rows

# Parts per thread: with several, a thread that is late delays the others less. And the most rows of
# a part, so that sums are short.
SHARES, MOST_ROWS = 4, 1024
# How many vectors have sums of their own, so that none waits for the one before.
TOGETHER = 4

Step = Callable[[Number, int, list[Value]], list[Value]]


def write(gradient: bool, rows: Rows, machine: Machine) -> Written:
    """x, γ, β → y, μ and σ² of x/u, 1/u; or x, δ, four numbers per row, γ → ∂x, ∂γ, ∂β."""
    module, kind = ir.Module("kernel"), element(rows.bits)
    parts = min(max(SHARES * machine.threads, -(-rows.images // MOST_ROWS)), rows.images)
    operands, results = (7, 3) if gradient else (3, 4)
    code = Code(module, "part", operands + results + 1, 1)
    *buffers, memory, index = code.arguments
    row = _Row(code, rows, 8 * machine.vector // rows.bits)
    low, high = code.share(index, rows.images, parts)
    finish = None
    if gradient:
        memory = code.move(memory, kind, (index, 2 * rows.c))
        code.clear(memory, 2 * rows.c * rows.bits // 8)
        finish = _finish(module, rows, row.vectors.lanes, parts)
    code.each(
        low, high, 1,
        lambda i: row.gradient(i, buffers, memory) if gradient else row.forward(i, buffers),
    )  # fmt: skip
    code.b.ret_void()
    write_handler(module, code.function, finish, parts, operands, results)
    return Written(str(module), 2 * parts * rows.c if gradient else 1)


class _Row:
    def __init__(self, code: Code, rows: Rows, lanes: int):
        self.code, self.rows, self.vectors = code, rows, Vectors(code, lanes, rows.bits)
        self.kind, self.finfo = element(rows.bits), np.finfo(f"float{rows.bits}")

    def forward(self, i: Number, buffers: list[Value]) -> None:
        b, v, code = self.code.b, self.vectors, self.code
        scale, bias, *statistics = (buffers[n] for n in (1, 2, 4, 5, 6))
        x, y = (code.move(buffers[n], self.kind, (i, self.rows.c)) for n in (0, 3))

        def largest(at: Number, filled: int, most: list[Value]) -> list[Value]:
            size = v.of("fabs", v.load(x, at, filled))
            return [self._larger(size, most[0])]

        (most,) = self._all(largest, [v.zero], self._larger)
        inverse = self._inverse_unit(self._larger(most, v.all(self.rows.epsilon**0.5)))

        def total(at: Number, filled: int, sums: list[Value]) -> list[Value]:
            return [v.fma(v.load(x, at, filled), inverse, sums[0])]

        share = v.all(1 / self.rows.c)
        near = b.fmul(self._all(total, [v.zero])[0], share)

        def centred(at: Number, filled: int) -> Value:
            return b.fsub(b.fmul(v.load(x, at, filled), inverse), near)

        def squares(at: Number, filled: int, sums: list[Value]) -> list[Value]:
            d = v.kept(centred(at, filled), filled)
            return [b.fadd(sums[0], d), v.fma(d, d, sums[1])]

        left, square = (b.fmul(a, share) for a in self._all(squares, [v.zero] * 2))
        variance = b.fsub(square, b.fmul(left, left))
        variance = b.select(b.fcmp_ordered("<", variance, v.zero), v.zero, variance)
        root = b.fmul(v.all(self.rows.epsilon**0.5), inverse)
        epsilon = self._larger(b.fmul(root, root), v.all(float(self.finfo.tiny)))
        r = b.fdiv(v.all(1.0), v.of("sqrt", b.fadd(variance, epsilon)))

        def results(at: Number, filled: int, _: list[Value]) -> list[Value]:
            normalised = b.fmul(b.fsub(centred(at, filled), left), r)
            gamma, beta = (v.load(a, at, filled) for a in (scale, bias))
            v.store(v.fma(normalised, gamma, beta), y, at, filled)
            return []

        self._all(results, [])
        for value, place in zip((b.fadd(near, left), variance, inverse), statistics, strict=True):
            v.store(value, place, i, 1)

    def gradient(self, i: Number, buffers: list[Value], sums: Value) -> None:
        """∂x = p g + s − p mean(g) + x̂(t − p mean(g x̂)), x̂ = x p − q, of p, q, s, t of the row."""
        b, v, code = self.code.b, self.vectors, self.code
        x, delta, z = (code.move(buffers[n], self.kind, (i, self.rows.c)) for n in (0, 1, 7))
        row = (code.move(a, self.kind, (i, 1)) for a in buffers[2:6])
        p, q, s, t = (v.broadcast(a, 0) for a in row)
        scale = buffers[6]

        def loaded(at: Number, filled: int) -> tuple[Value, Value, Value]:
            normalised = v.kept(b.fsub(b.fmul(v.load(x, at, filled), p), q), filled)
            d = v.load(delta, at, filled)
            return normalised, d, b.fmul(d, v.load(scale, at, filled))

        def total(at: Number, filled: int, carry: list[Value]) -> list[Value]:
            normalised, d, g = loaded(at, filled)
            for n, share in enumerate((b.fmul(d, normalised), d)):
                place = code.add(at, n * self.rows.c)
                v.store(b.fadd(v.load(sums, place, filled), share), sums, place, filled)
            return [b.fadd(carry[0], g), v.fma(g, normalised, carry[1])]

        share = v.all(1 / self.rows.c)  # a part of p may be too small for a number
        of_mean, of_projection = (b.fmul(a, share) for a in self._all(total, [v.zero] * 2))
        shift = b.fsub(s, b.fmul(p, of_mean))
        slope = b.fsub(t, b.fmul(p, of_projection))

        def results(at: Number, filled: int, _: list[Value]) -> list[Value]:
            normalised, _, g = loaded(at, filled)
            v.store(v.fma(normalised, slope, v.fma(p, g, shift)), z, at, filled)
            return []

        self._all(results, [])

    def _all(self, step: Step, start: list[Value], combine: Any = None) -> list[Value]:
        """The last carry of step(place, filled lanes, carry), for all vectors, over all lanes."""
        code, lanes, c, count = self.code, self.vectors.lanes, self.rows.c, len(start)
        combine = combine or code.b.fadd
        block = lanes * TOGETHER

        def steps(at: Number, carry: list[Value], filled: list[int]) -> list[Value]:
            for n, lane in enumerate(filled):
                own = slice(n * count, (n + 1) * count)
                carry[own] = step(code.add(at, n * lanes), lane, carry[own])
            return carry

        whole = c // block * block
        carry = code.fold(
            0, whole, lambda i, carry: steps(i, carry, [lanes] * TOGETHER), start * TOGETHER, block
        )
        carry = steps(whole, carry, [min(lanes, c - at) for at in range(whole, c, lanes)])
        found = carry[:count]
        for n in range(count, len(carry)):
            found[n % count] = combine(found[n % count], carry[n])
        half = lanes // 2
        while half:
            turned = [self.vectors.shuffle(a, [i ^ half for i in range(lanes)]) for a in found]
            found = [combine(a, other) for a, other in zip(found, turned, strict=True)]
            half //= 2
        return found

    def _larger(self, a: Value, b: Value) -> Value:
        """The larger one, or b if one is a NaN."""
        return self.code.b.select(self.code.b.fcmp_ordered(">", a, b), a, b)

    def _inverse_unit(self, most: Value) -> Value:
        """1/u, u the power of two below each of the sizes; 1 where a size is not finite."""
        b, v, finfo = self.code.b, self.vectors, self.finfo
        tiny = float(finfo.tiny)
        finite = b.fcmp_ordered("<", most, v.all(float("inf")))
        most = b.select(finite, most, v.all(1.0))
        most = self._larger(most, v.all(tiny))
        most = b.select(b.fcmp_ordered("<", most, v.all(1 / tiny)), most, v.all(1 / tiny))
        names = Vectors(self.code, v.lanes, self.rows.bits, whole=True)
        exponent = names.all(((1 << finfo.nexp) - 1) << finfo.nmant)
        unit = b.bitcast(b.and_(b.bitcast(most, names.type), exponent), v.type)
        return b.fdiv(v.all(1.0), unit)


def _finish(module: Any, rows: Rows, lanes: int, parts: int) -> Any:
    """Add the parts' own sums up, always in the same order."""
    code = Code(module, "finish", 11)
    *_, scale, bias, memory = code.arguments
    vectors = Vectors(code, lanes, rows.bits)

    def add(i: Number, filled: int) -> None:
        for n, result in enumerate((scale, bias)):
            begin = code.move(memory, vectors.element, (i, 1), (n, rows.c))

            def more(k: Number, total: list[Value], begin: Value = begin) -> list[Value]:
                at = code.times(k, 2 * rows.c)
                return [code.b.fadd(total[0], vectors.load(begin, at, filled))]

            (total,) = code.fold(0, parts, more, [vectors.zero])
            vectors.store(total, result, i, filled)

    whole = rows.c // lanes * lanes
    code.each(0, whole, lanes, lambda i: add(i, lanes))
    if whole < rows.c:
        add(whole, rows.c - whole)
    code.b.ret_void()
    return code.function
