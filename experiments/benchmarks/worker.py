"""A process for the peers of one library: it builds rows and times them whenever the parent asks.

Requests and replies are JSON, a line each, on standard input and the standard output it was given;
whatever libraries print goes to standard error. A request is {"do": ..., ...}: of a peer by its
name prepare (a row), sample (the seconds of one call, averaged over a few) and compile; of all
release; quit.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # its imports wait until the process is pinned
    from collections.abc import Sequence

    from experiments.benchmarks.program import Program


def main() -> None:
    """Serve until the parent says quit or goes away."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threads, dtype, names = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    pin(threads)
    worker = Worker(names, threads, dtype)
    send(replies, worker.hello())
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            return
        try:
            reply = worker.answer(request)
        except Exception as error:
            worker.drop(request.get("peer", ""))
            kind = "absent" if type(error).__name__ == "AbsentError" else "error"
            text = str(error).strip().split("\n")[0]
            reply = {kind: text if kind == "absent" else f"{type(error).__name__}: {text}"}
        send(replies, reply)


def send(stream: Any, reply: dict[str, Any]) -> None:
    """One line."""
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


def pin(threads: int) -> None:
    """Let this process run on so many processors only; every thread pool it starts follows."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])


@dataclass
class Timed:
    """A peer's program, and how many of its calls make a sample."""

    program: Program
    waits_each: bool
    calls: int = 1

    def seconds(self) -> float:
        """Of one call, the mean of some in a row."""
        call, wait = self.program.call, self.program.wait
        start = time.perf_counter()
        if self.waits_each:
            for _ in range(self.calls):
                wait(call())
        else:  # calls queue up on the device: what starting them costs the host is hidden
            wait([call() for _ in range(self.calls)][-1])
        return (time.perf_counter() - start) / self.calls

    def calibrate(self, seconds: float) -> None:
        """Find out how many calls last so many seconds."""
        duration = self.seconds()
        if duration < 1:  # the first call after compilation is not typical
            self.calls = max(1, min(3, math.ceil(seconds / duration)))
            duration = self.seconds()
        self.calls = max(1, min(10_000, math.ceil(seconds / duration)))


class Worker:
    """The peers' library, and their programs for the row that is ready to be timed."""

    def __init__(self, names: Sequence[str], threads: int, dtype: str):
        from experiments.benchmarks.peers import PEERS

        self.peers = {name: PEERS[name.partition("#")[0]] for name in names}
        self.dtype = dtype
        (self.library,) = {peer.library for peer in self.peers.values()}
        self._timed: dict[str, Timed] = {}
        self.cpu_seconds = time.process_time()
        if self.library == "torch":
            import torch

            torch.set_num_threads(threads)
            torch.set_num_interop_threads(1)
            from experiments.benchmarks import torch_peer

            torch_peer.start()
            self.build, self.waits_each = torch_peer.build, torch_peer.device().type == "cpu"
        else:
            import jax

            from experiments.benchmarks import jax_peer

            self.build, self.waits_each = jax_peer.build, jax.default_backend() == "cpu"

    def hello(self) -> dict[str, Any]:
        """Versions, device and threads, as this process sees them."""
        if self.library == "torch":
            import jax
            import torch

            on_gpu = torch.cuda.is_available()
            return {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "jax": jax.__version__,
                "threads": torch.get_num_threads(),
                "device": torch.cuda.get_device_name() if on_gpu else "cpu",
            }
        from experiments import runs

        return {
            **runs.versions(),
            "flax": runs.package_version("flax"),
            "optax": runs.package_version("optax"),
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the request says."""
        match request["do"]:
            case "prepare":
                return self.prepare(request["peer"], request["row"], request["seconds"])
            case "sample":
                return self.sample(request["peer"])
            case "compile":
                return {"seconds": self.compile(request["peer"])}
            case "release":
                self.release()
                return {}
        raise ValueError(f"a request must be one of those above, got {request['do']!r}")

    def prepare(self, name: str, row: str, seconds: float) -> dict[str, Any]:
        """Build the row for this peer and warm it up, for samples of so many seconds."""
        from experiments.benchmarks.rows import BY_NAME

        program = self.build(self.peers[name], BY_NAME[row], self.dtype)
        timed = self._timed[name] = Timed(program, self.waits_each)
        timed.calibrate(seconds)
        self.cpu_seconds = time.process_time()
        return {
            "fingerprint": program.fingerprint,
            "calls": timed.calls,
            **program.facts,
        }

    def sample(self, name: str) -> dict[str, Any]:
        """Seconds of a call, and of processor time since the last sample, when all should rest."""
        idle = time.process_time() - self.cpu_seconds
        timed = self.timed(name)
        if timed.calls > 1:  # other programs had the caches
            timed.program.wait(timed.program.call())
        seconds = timed.seconds()
        self.cpu_seconds = time.process_time()
        return {"seconds": seconds, "idle_cpu": idle}

    def compile(self, name: str) -> dict[str, float]:
        """Seconds of the stages of one more compilation, with nothing in any cache.

        The other peers' programs are compiled anew when they are called once more.
        """
        compile = self.timed(name).program.compile
        if compile is None:
            raise LookupError("this row is not compiled for its own sake")
        return compile()

    def timed(self, name: str) -> Timed:
        """What was prepared for this peer."""
        if name not in self._timed:
            raise LookupError("no row is prepared")
        return self._timed[name]

    def drop(self, name: str) -> None:
        """Free what this peer's program held, if it has one."""
        self._timed.pop(name, None)
        gc.collect()

    def release(self) -> None:
        """Free what the last row held."""
        self._timed.clear()
        gc.collect()
        if self.library == "jax":
            import jax

            jax.clear_caches()


if __name__ == "__main__":
    main()
