"""How the programs begin and end, whatever stands at the other end of their output."""

from __future__ import annotations

import ctypes
import io
import os
import platform
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec

from experiments.command_line.options import UserError

Arguments = ParamSpec("Arguments")


def telling(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Have main tell a UserError by its sentence alone; the exit code is 2."""

    @wraps(main)
    def told(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2

    return told


# M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD and M_ARENA_MAX, of glibc's malloc.h, by the variables
# that say the same to a process before it starts: nothing by mmap, nothing given back, taken by
# 64 MB at least, one heap for all threads.
KEEPING = {
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, -1),
    "MALLOC_TOP_PAD_": (-2, 2**26),
    "MALLOC_ARENA_MAX": (-8, 1),
}


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed, and say whether it does; only glibc can.

    XLA's CPU backend asks for temporaries and results at every step, and glibc hands large ones
    back to the system, which zeroes their pages again. What the user says of that goes first. It is
    for programs, never for a library: what one has had once, it has until it ends.
    """
    if not keeping():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(option, value) for option, value in KEEPING.values())


def keeping() -> dict[str, str]:
    """The variables that have a program keep freed memory; none if the user has said something, or
    the C library is another one than glibc.
    """
    given = any(name.startswith("MALLOC_") for name in os.environ)
    given = given or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if given or platform.libc_ver()[0] != "glibc":
        return {}
    return {name: str(value) for name, (_, value) in KEEPING.items()}


def run(main: Callable[[], int]) -> NoReturn:
    """Run main, keeping freed memory, and end this process with its exit code.

    Who reads the output may stop before its end, as in `train | head`: then the program ends as
    others do, by SIGPIPE and without a word. Only then: from the beginning that signal would end a
    server too, whose client leaves. Names of files are bytes, and are written as they are.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    keep_freed_memory()
    code = None
    try:
        try:
            code = main()
        finally:
            if sys.stdout is not None:  # None where it was closed
                sys.stdout.flush()
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        code = 130
    except OSError as error:
        if error.filename is not None:
            raise
        print(f"The output cannot be written: {error.strerror}.", file=sys.stderr)
        os._exit(1)  # Python would try once more, and complain of that
    sys.exit(code)
