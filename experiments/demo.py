"""Question: what happens in every layer, and back, while one draws a digit?

Command:  python -m experiments.demo RUN       (RUN: a folder of experiments.train; then open the
          address that it prints in a browser; --port chooses another one than 8000);
          python -m experiments.demo RUN --strokes 200   (measures, and serves nothing)
Result:   a page: draw a digit, and at each stroke see the probabilities, the maps of each layer on
          the left, and on the right δ, flowing back from a class that one chooses; of an element
          of a δ that one chooses, which δ above made it, through which weights
Time:     2.5 ms a stroke on LeNet-5, 12 ms on the accurate MNIST network (medians of 200; the
          longest 6 and 19 ms), without the browser; in Chromium some 25 ms on LeNet-5
Hardware: 2 cores of an AMD EPYC (AVX2), float32, jax 0.10.2

The page is served to this machine only. Every stroke is sent as 28×28 pixels, centred as MNIST's
digits are, and answered by one compiled program, forward and back by the rules.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.looking.opened import open_run


@dataclass(frozen=True)
class Options:
    """Serve a page on which one draws digits and sees every layer at work."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run of experiments.train on grey images of 28×28 pixels."""
    port: int = 8000
    """Where to listen; 0 takes any that is free."""
    strokes: int = 0
    """Serve nothing, but answer so many strokes and print how long that took."""


@program.telling
def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the exit code is 2 for a mistake in the options."""
    options = tyro.cli(
        Options, args=arguments, prog="python -m experiments.demo", description=Options.__doc__
    )
    try:
        import uvicorn

        from experiments.looking.server import Server, application, milliseconds

        opened = open_run(options.run)
        if options.strokes < 0:
            raise UserError(f"--strokes must be at least 0, got {options.strokes}.")
        if options.strokes:
            taken = milliseconds(opened, options.strokes)
            print(
                f"{options.strokes} strokes: median {np.median(taken):.1f} ms, "
                f"95th percentile {np.percentile(taken, 95):.1f} ms, "
                f"the longest {taken.max():.1f} ms"
            )
            return 0
        with listening(options.port) as listener:
            app = application(opened)
            print(f"http://localhost:{listener.getsockname()[1]}/  (end with Ctrl-C)", flush=True)
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    return 0


def listening(port: int) -> socket.socket:
    """A socket that only this machine can reach.

    Raises:
        UserError: the port cannot be had.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"--port must be from 0 to 65535, got {port}.")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # two may be bound to a port, but only one listens
    except OSError as error:
        listener.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error})"
        raise UserError(f"--port {port} {reason}: choose another, or 0 for any.") from error
    return listener


if __name__ == "__main__":
    program.run(main)
