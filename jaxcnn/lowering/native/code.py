"""What kernels are written with: loops, addresses and vectors, as LLVM's instructions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir

I1, I32, I64, PTR = ir.IntType(1), ir.IntType(32), ir.IntType(64), ir.PointerType()
VOID = ir.VoidType()
Value = Any
Number = Any  # known now, or when the kernel runs


def number(value: Number) -> Value:
    """The number as an operand."""
    return ir.Constant(I64, value) if isinstance(value, int) else value


class Code:
    """A function while its instructions are written, one after the other."""

    def __init__(
        self, module: Any, name: str, pointers: int, numbers: int = 0, *, result: Any = VOID,
        public: bool = False,
    ):  # fmt: skip
        kind = ir.FunctionType(result, [PTR] * pointers + [I64] * numbers)
        self.module, self.function = module, ir.Function(module, kind, name)
        self.arguments = list(self.function.args)
        if not public:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
        self.b = ir.IRBuilder(self.function.append_basic_block())

    # Numbers: what is known already is computed now.

    def add(self, a: Number, b: Number) -> Number:
        """The sum a + b."""
        known = isinstance(a, int) and isinstance(b, int)
        return a + b if known else self.b.add(number(a), number(b))

    def times(self, a: Number, b: int) -> Number:
        """The product a · b."""
        if isinstance(a, int) or b == 0:
            return a * b if b else 0
        return a if b == 1 else self.b.mul(a, number(b))

    def parted(self, a: Number, by: int) -> tuple[Number, Number]:
        """Quotient and remainder, of numbers that are not negative."""
        if isinstance(a, int):
            return divmod(a, by)
        return self.b.udiv(a, number(by)), self.b.urem(a, number(by))

    def least(self, a: Number, b: Number) -> Number:
        """The smaller one."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        a, b = number(a), number(b)
        return self.b.select(self.b.icmp_signed("<", a, b), a, b)

    def positive(self, a: Number) -> Number:
        """a, or 0 where it is negative."""
        return self.add(a, self.times(self.least(a, 0), -1))

    def share(self, part: Number, of: int, parts: int) -> list[Number]:
        """Where a part of `of` things begins and ends; all parts have about as many."""
        return [self.parted(self.times(self.add(part, i), of), parts)[0] for i in range(2)]

    def same(self, a: Number, b: Number) -> Value:
        """Whether a = b."""
        return self.b.icmp_signed("==", number(a), number(b))

    def less(self, a: Number, b: Number) -> Value:
        """Whether a < b."""
        return self.b.icmp_signed("<", number(a), number(b))

    def chosen(self, condition: Value, a: Number, b: Number) -> Number:
        """a where the condition holds, else b."""
        return self.b.select(condition, number(a), number(b))

    def sized(self, a: Value, kind: Any) -> Value:
        """Whole numbers, not negative, or vectors of them, with the bits of another type."""
        bits = [getattr(t, "element", t).width for t in (a.type, kind)]
        if bits[0] == bits[1]:
            return a
        return self.b.trunc(a, kind) if bits[0] > bits[1] else self.b.zext(a, kind)

    # Control.

    def each(self, low: Number, high: Number, step: int, body: Callable[[Number], Any]) -> None:
        """For i = low, low + step, … below high: body(i)."""

        def bare(i: Number, _: list[Value]) -> list[Value]:
            body(i)
            return []

        self.fold(low, high, bare, [], step)

    def fold(
        self, low: Number, high: Number, body: Callable[[Number, list[Value]], list[Value]],
        carry: list[Value], step: int = 1, written_out: int = 1,
    ) -> list[Value]:  # fmt: skip
        """The last carry: carry = body(i, carry) for i = low, low + step, … below high.

        The steps are written out if it is known that there are no more than `written_out`.
        """
        if isinstance(low, int) and isinstance(high, int) and high - low <= step * written_out:
            for i in range(low, high, step):
                carry = body(i, list(carry))
            return carry
        before = self.b.block
        inside, after = (self.function.append_basic_block() for _ in range(2))
        low, high = number(low), number(high)
        self.b.cbranch(self.b.icmp_signed("<", low, high), inside, after)
        self.b.position_at_end(inside)
        i, kept = self.b.phi(I64), [self.b.phi(v.type) for v in carry]
        found = body(i, list(kept))
        further = self.b.add(i, number(step))
        ends = self.b.block
        self.b.cbranch(self.b.icmp_signed("<", further, high), inside, after)
        self.b.position_at_end(after)
        i.add_incoming(low, before)
        i.add_incoming(further, ends)
        results = []
        for phi, first, later in zip(kept, carry, found, strict=True):
            result = self.b.phi(phi.type)
            for value in (phi, result):
                value.add_incoming(first, before)
                value.add_incoming(later, ends)
            results.append(result)
        return results

    # Memory.

    def move(self, pointer: Value, kind: Any, *moves: tuple[Number, int]) -> Value:
        """The address moved on by times · elements, for each of the moves."""
        for times, elements in moves:
            offset = self.times(times, elements)
            if not isinstance(offset, int) or offset:
                pointer = self.b.gep(pointer, [number(offset)], source_etype=kind)
        return pointer

    def field(self, struct: Value, place: int, kind: Any = I64) -> Value:
        """The eight bytes at that place of a structure."""
        return self.b.load(self.move(struct, I64, (place, 1)), typ=kind)

    def put(self, struct: Value, *fields: Number, at: int = 0) -> Value:
        """Write eight bytes each, from a place of the structure on; the structure."""
        for place, value in enumerate(fields, at):
            self.b.store(number(value), self.move(struct, I64, (place, 1)))
        return struct

    def reserve(self, places: int) -> Value:
        """Room for that many times eight bytes, until the function returns."""
        with self.b.goto_entry_block():
            return self.address(self.b.alloca(I64, size=places))

    def address(self, pointer: Value) -> Value:
        """A pointer without a type of what it points to: llvmlite does not mix the two kinds."""
        return self.b.inttoptr(self.b.ptrtoint(pointer, I64), PTR)

    def call(self, f: Any, *arguments: Number) -> Value:
        """f(…), of a function of this module."""
        return self.b.call(f, [number(a) for a in arguments])

    def foreign(self, name: str, result: Any, *arguments: Value) -> Value:
        """One of LLVM's own functions, or of C's."""
        f = self.module.globals.get(name)
        if f is None:
            kind = ir.FunctionType(result, [a.type for a in arguments])
            f = ir.Function(self.module, kind, name)
        return self.b.call(f, arguments)

    def copy(self, target: Value, source: Value, size: int) -> None:
        """Copy `size` bytes."""
        last = ir.Constant(I1, 0)
        self.foreign("llvm.memcpy.p0.p0.i64", VOID, target, source, number(size), last)

    def clear(self, target: Value, size: Number) -> None:
        """Set `size` bytes to 0."""
        if not isinstance(size, int) or size:
            byte, last = ir.Constant(ir.IntType(8), 0), ir.Constant(I1, 0)
            self.foreign("llvm.memset.p0.i64", VOID, target, byte, number(size), last)


class Vectors:
    """Vectors of one width and one type of numbers, in a function."""

    def __init__(self, code: Code, lanes: int, bits: int, *, whole: bool = False):
        self.code, self.lanes, self.size = code, lanes, bits // 8
        self.element = ir.IntType(bits) if whole else element(bits)
        self.type = ir.VectorType(self.element, lanes)
        self.suffix = f"v{lanes}{'i' if whole else 'f'}{bits}"
        self.zero = self.all(0 if whole else 0.0)

    def all(self, value: float) -> Value:
        """A known number in all lanes."""
        return ir.Constant(self.type, [value] * self.lanes)

    def _masked(self, filled: int) -> list[Value]:
        mask = ir.Constant(ir.VectorType(I1, self.lanes), [i < filled for i in range(self.lanes)])
        return [ir.Constant(I32, self.size), mask]

    def load(self, pointer: Value, offset: Number, filled: int) -> Value:
        """The numbers there, in as many lanes as are filled; 0 in all others."""
        place = self.code.move(pointer, self.element, (offset, 1))
        if filled == self.lanes:
            return self.code.b.load(place, align=self.size, typ=self.type)
        if filled == 1:
            one = self.code.b.load(place, align=self.size, typ=self.element)
            return self.code.b.insert_element(self.zero, one, ir.Constant(I32, 0))
        name = f"llvm.masked.load.{self.suffix}.p0"
        return self.code.foreign(name, self.type, place, *self._masked(filled), self.zero)

    def store(self, value: Value, pointer: Value, offset: Number, filled: int) -> None:
        """Write what the filled lanes hold."""
        place = self.code.move(pointer, self.element, (offset, 1))
        if filled == self.lanes:
            self.code.b.store(value, place, align=self.size)
        elif filled == 1:  # LLVM 22 writes the long number of a vector that was shortened
            one = self.code.b.extract_element(value, ir.Constant(I32, 0))
            self.code.b.store(one, place, align=self.size)
        else:
            name = f"llvm.masked.store.{self.suffix}.p0"
            self.code.foreign(name, VOID, value, place, *self._masked(filled))

    def broadcast(self, pointer: Value, offset: int) -> Value:
        """The number at an address, in all lanes."""
        place = self.code.move(pointer, self.element, (offset, 1))
        return self.spread(self.code.b.load(place, align=self.size, typ=self.element))

    def spread(self, one: Value) -> Value:
        """The number in all lanes."""
        nothing = ir.Constant(self.type, ir.Undefined)
        first = self.code.b.insert_element(nothing, one, ir.Constant(I32, 0))
        return self.shuffle(first, (0,) * self.lanes)

    def shuffle(self, value: Value, lanes: Sequence[int]) -> Value:
        """Lane i takes what lane lanes[i] holds."""
        if tuple(lanes) == tuple(range(self.lanes)):
            return value
        places = ir.Constant(ir.VectorType(I32, self.lanes), list(lanes))
        return self.code.b.shuffle_vector(value, ir.Constant(self.type, ir.Undefined), places)

    def kept(self, value: Value, filled: int) -> Value:
        """The filled lanes, and 0 in all others."""
        mask = self._masked(filled)[1]
        return value if filled == self.lanes else self.code.b.select(mask, value, self.zero)

    def of(self, name: str, a: Value) -> Value:
        """One of LLVM's functions: fabs, sqrt."""
        return self.code.foreign(f"llvm.{name}.{self.suffix}", self.type, a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """The sum a b + c, rounded once."""
        return self.code.foreign(f"llvm.fma.{self.suffix}", self.type, a, b, c)


def element(bits: int) -> Any:
    """The type of numbers of that many bits."""
    return ir.FloatType() if bits == 32 else ir.DoubleType()
