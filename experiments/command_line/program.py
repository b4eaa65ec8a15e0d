"""How the programs begin and end, whatever stands at the other end of their output."""

from __future__ import annotations

import io
import os
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


def run(main: Callable[[], int]) -> NoReturn:
    """Run main and end this process with its exit code.

    Who reads the output may stop before its end, as in `train | head`: then the program ends as
    others do, by SIGPIPE and without a word. Only then: from the beginning that signal would end a
    server too, whose client leaves. Names of files are bytes, and are written as they are.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
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
