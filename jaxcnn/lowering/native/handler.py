"""How XLA calls a kernel, and how its parts spread over XLA's own threads.

XLA's foreign function interface passes one structure, the call frame; the places of what is read
here are counted in units of eight bytes (xla/ffi/api/c_api.h, version 0.1 and later). A kernel is
some parts, which any thread may compute in any order, and what joins them at the end. The thread
that calls takes one part after the other, and so does every thread that XLA lends; whoever ends
the last part joins them and says so by a future. Nobody waits: a thread that is late delays
nobody, and finds nothing left to do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import llvmlite.ir as ir

from jaxcnn.lowering.native.code import I64, PTR, VOID, Code, Number, Value, number

# The call frame.
EXTENSION, API, CONTEXT, STAGE, OPERANDS, RESULTS, FUTURE = 1, 2, 3, 4, 9, 14, 21
EXECUTE = 3  # the stage that computes; nothing has to be done in those before it
DATA = 3  # of a buffer
# The extension by which XLA asks for the version, and where it finds that and the traits.
KIND, METADATA, VERSION = 1, 3, 3
VERSION_0_1 = 1 << 32
# What the runtime offers.
DESTROY, SCHEDULE, COUNT, NEW_FUTURE, AVAILABLE = 8, 17, 18, 19, 20
# A job, which all threads share, a cache line each: the next part, how many are not ended, how many
# threads may still look; then what the runtime offers, the future, and the buffers.
LINE = 8
NEXT, LEFT, USERS, CONSTANTS = 0, LINE, 2 * LINE, 3 * LINE
HALF = 0xFFFFFFFF


class Written(NamedTuple):
    """A kernel, in LLVM's language."""

    text: str
    memory: int = 1
    """Numbers of the memory to work in."""
    kernel_block: int = 1
    """Channels out of a convolution's kernel that have to lie side by side."""


def write_handler(
    module: Any, part: Any, finish: Any, parts: int, operands: int, results: int
) -> None:
    """The function that XLA calls with operands, results and memory to work in.

    `part` is a function of all of these and of its number; `finish`, if any, of all of these.
    """
    results += 1
    buffers = operands + results
    serial = Code(module, "serial", buffers, public=True)
    serial.each(0, parts, 1, lambda i: serial.call(part, *serial.arguments, i))
    if finish is not None:
        serial.call(finish, *serial.arguments)
    serial.b.ret_void()

    code = Code(module, "handler", 1, result=PTR, public=True)
    (frame,) = code.arguments
    nothing = ir.Constant(PTR, None)
    extension = code.field(frame, EXTENSION, PTR)
    with code.b.if_then(code.b.icmp_unsigned("!=", extension, nothing)):
        kind = code.b.and_(code.field(extension, KIND), number(HALF))
        with code.b.if_then(code.same(kind, 1)):
            code.put(code.field(extension, METADATA, PTR), VERSION_0_1, 0, at=VERSION)
            code.b.ret(nothing)
    stage = code.b.and_(code.field(frame, STAGE), number(HALF))
    with code.b.if_then(code.b.not_(code.same(stage, EXECUTE))):
        code.b.ret(nothing)
    pointers = [
        code.field(code.field(code.field(frame, at, PTR), i, PTR), DATA, PTR)
        for at, count in ((OPERANDS, operands), (RESULTS, results))
        for i in range(count)
    ]
    api, context = code.field(frame, API, PTR), code.field(frame, CONTEXT, PTR)
    threads = code.put(code.reserve(1), 1)
    with code.b.if_then(code.b.icmp_unsigned(">", code.field(api, 0), number(8 * AVAILABLE))):
        _ask(code, api, COUNT, 4, context, threads)
    count = code.least(code.field(threads, 0), parts)

    def alone_if(condition: Value) -> None:
        with code.b.if_then(condition):
            code.call(serial.function, *pointers)
            code.b.ret(nothing)

    alone_if(code.b.icmp_signed("<=", count, number(1)))
    job = code.foreign("malloc", PTR, number(8 * (CONSTANTS + 2 + buffers)))
    alone_if(code.b.icmp_unsigned("==", job, nothing))
    promise = code.put(code.reserve(3), 16, 0, 0)
    made = _asked(code, api, NEW_FUTURE, promise)
    with code.b.if_then(code.b.not_(made)):
        code.foreign("free", VOID, job)
    alone_if(code.b.not_(made))
    future = code.field(promise, 2, PTR)
    for place, value in ((NEXT, 0), (LEFT, parts), (USERS, count)):
        code.put(job, value, at=place)
    code.put(job, api, future, *pointers, at=CONSTANTS)
    work = _work(module, part, finish, parts, buffers)

    def lend(_: Number) -> None:
        lent = _ask(code, api, SCHEDULE, 5, context, code.address(work), job)
        with code.b.if_then(code.b.not_(lent)):
            _count(code, job, USERS, -1)

    code.each(1, count, 1, lend)
    code.put(frame, future, at=FUTURE)
    code.call(work, job)
    code.b.ret(nothing)


def _work(module: Any, part: Any, finish: Any, parts: int, buffers: int) -> Any:
    """One part after the other, until all are taken; a function of the job."""
    code = Code(module, "work", 1)
    (job,) = code.arguments
    api, future, *pointers = (code.field(job, CONSTANTS + i, PTR) for i in range(2 + buffers))
    again, inside, after = (code.function.append_basic_block() for _ in range(3))
    code.b.branch(again)
    code.b.position_at_end(again)
    i = _count(code, job, NEXT, 1)
    code.b.cbranch(code.b.icmp_signed("<", i, number(parts)), inside, after)
    code.b.position_at_end(inside)
    code.call(part, *pointers, i)
    with code.b.if_then(code.same(_count(code, job, LEFT, -1), 1)):
        if finish is not None:
            code.call(finish, *pointers)
        _ask(code, api, AVAILABLE, 3, future)
    code.b.branch(again)
    code.b.position_at_end(after)
    with code.b.if_then(code.same(_count(code, job, USERS, -1), 1)):
        code.foreign("free", VOID, job)
    code.b.ret_void()
    return code.function


def _ask(code: Code, api: Value, which: int, size: int, *fields: Value) -> Value:
    """Call the runtime with a structure: its size, no extension, fields; whether it agreed."""
    return _asked(code, api, which, code.put(code.reserve(size), 8 * size, 0, *fields))


def _asked(code: Code, api: Value, which: int, struct: Value) -> Value:
    kind = ir.FunctionType(PTR, [PTR]).as_pointer()
    error = code.b.call(code.b.inttoptr(code.field(api, which), kind), [struct])
    wrong = code.b.icmp_unsigned("!=", error, ir.Constant(PTR, None))
    with code.b.if_then(wrong):
        destroy = code.b.inttoptr(code.field(api, DESTROY), kind)
        code.b.call(destroy, [code.put(code.reserve(3), 24, 0, error)])
    return code.b.not_(wrong)


def _count(code: Code, job: Value, place: int, change: int) -> Value:
    """What a counter of the job was before it changed."""
    counter = code.move(job, I64, (place, 1))
    return code.b.atomic_rmw("add", counter, number(change), "seq_cst")
