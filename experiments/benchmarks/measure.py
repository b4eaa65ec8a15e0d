"""The parent: it starts the processes and asks the peers in turn, so that samples interleave.

Round i asks every peer for one sample; the order turns by one every other round and is reversed
in between, so that over the rounds each pair is measured equally often in either order. While one
is timed the other processes wait for a line on their standard input. The thread pools of some
libraries spin for some milliseconds after work: hence the pause before each sample, and `idle_cpu`.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from experiments.benchmarks.peers import Peer
from experiments.benchmarks.results import RowResult
from experiments.benchmarks.row import Row
from experiments.command_line.program import keeping

PAUSE = 0.01
COMPILATIONS = 3
AGREEMENT = {"float32": 1e-2, "bfloat16": 0.1}  # GPUs multiply float32 in TF32


class EndedError(RuntimeError):
    """A process is gone."""


class Process:
    """A worker for some peers of one checkout and the pipe to it; started again if it dies."""

    def __init__(self, peers: Mapping[str, Peer], threads: int, platform: str, dtype: str):
        self.peers = dict(peers)
        (checkout,) = {peer.checkout for peer in peers.values()}
        self._folder = Path(__file__).parents[2] if checkout is None else Path(checkout)
        # Its own worker answers, which knows nothing of other checkouts.
        self._names = {name: name.replace(f"@{checkout}", "") for name in peers}
        (python,) = {peer.python for peer in peers.values()}
        self._command = [python, "-m", "experiments.benchmarks.worker"]
        self._command += [str(threads), dtype, *self._names.values()]
        self._environment = environment(threads, platform)
        self.start()

    def start(self) -> None:
        """Start it, and wait for what it says of itself."""
        self._popen = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            cwd=self._folder,  # first on its path
            text=True,
            encoding="utf-8",
        )
        try:
            self.about = self._read()
        except EndedError:
            self.stop()
            raise

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the reply."""
        assert self._popen.stdin is not None
        if "peer" in arguments:
            arguments["peer"] = self._names[arguments["peer"]]
        try:
            self._popen.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise EndedError(f"{self}: the process ended") from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise EndedError(f"{self}: the process ended with code {self._popen.wait()}")
        return json.loads(line)

    def __str__(self) -> str:
        return ", ".join(self.peers)

    def stop(self) -> None:
        """End it."""
        with self._popen:
            self._popen.kill()

    def cpu_seconds(self) -> float:
        """Processor time so far; 0 where the system does not tell."""
        try:
            text = Path(f"/proc/{self._popen.pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def environment(threads: int, platform: str) -> dict[str, str]:
    """What a worker inherits: thread counts before the libraries read them, memory, the device."""
    values = {
        **keeping(),  # freed memory, as every program of ours does: for all peers the same
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "NPROC": str(threads),  # XLA's thread pool on the CPU
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes beside it
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share a GPU's memory
    }
    if platform == "cpu":
        values |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    else:
        values |= {"JAX_PLATFORMS": "cuda,cpu"}
    return {**os.environ, **values}


@contextmanager
def started(
    groups: Iterable[Mapping[str, Peer]], threads: int, platform: str, dtype: str
) -> Iterator[list[Process]]:
    """A process for each group of peers, ended in the end whatever happens."""
    with ExitStack() as stack:
        found = []
        for group in groups:
            found.append(Process(group, threads, platform, dtype))
            stack.callback(found[-1].stop)
        yield found


def orders(names: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """The order of each round: turned by one every second round, every second one reversed."""
    for i in range(rounds):
        turn = (i // 2) % len(names)
        order = [*names[turn:], *names[:turn]]
        yield order[::-1] if i % 2 else order


def measure(
    row: Row,
    processes: Sequence[Process],
    pairs: int,
    sample_seconds: float,
    dtype: str = "float32",
) -> RowResult:
    """All samples of one row."""
    result = RowResult(row.name, row.group, row.part, row.batch)
    by_name = {name: process for process in processes for name in process.peers}
    ready = _prepare(result, row, by_name, sample_seconds, dtype)
    rounds = min(pairs, row.pairs or pairs)
    busy, start = _busy_seconds(processes), time.perf_counter()
    result.seconds = {name: [] for name in ready}
    result.idle_cpu = dict.fromkeys(ready, 0.0)
    for order in orders(ready, rounds if ready else 0):
        for name in order:
            time.sleep(PAUSE)
            reply = _ask(result, by_name[name], "sample", name)
            if "seconds" in reply:
                result.seconds[name].append(reply["seconds"])
                result.idle_cpu[name] += reply["idle_cpu"]
    elapsed = time.perf_counter() - start
    if busy is not None and ready:
        total, ours = (b - a for a, b in zip(busy, _busy_seconds(processes) or busy, strict=True))
        result.foreign_cpu = round(max(0.0, total - ours) / elapsed, 3)
    if getattr(row, "compile", False):
        _compile(result, by_name, list(result.seconds), min(COMPILATIONS, pairs))
    for name in result.failed:
        for table in (result.seconds, result.compile_seconds):
            table.pop(name, None)
    for process in processes:
        _release(process)
    return result


def _prepare(
    result: RowResult,
    row: Row,
    by_name: Mapping[str, Process],
    sample_seconds: float,
    dtype: str,
) -> list[str]:
    """Build the row for every peer that has it: who is ready."""
    ready: dict[str, list[float]] = {}
    for name, process in by_name.items():
        peer = process.peers[name]
        if (row.only and peer.name not in row.only) or peer.group not in (None, row.group):
            result.absent[name] = "not asked"
            continue
        if peer.networks_only and not hasattr(row, "network"):
            result.absent[name] = "networks only"
            continue
        reply = _ask(result, process, "prepare", name, row=row.name, seconds=sample_seconds)
        if "absent" in reply:
            result.absent[name] = reply["absent"]
        if "fingerprint" not in reply:
            continue
        ready[name] = reply["fingerprint"]
        result.calls[name] = reply["calls"]
        result.flop = reply.get("flop") or result.flop
        if reply.get("memory"):
            result.memory[name] = reply["memory"]
        if "residual_bytes" in reply:
            result.residual_bytes[name] = reply["residual_bytes"]
    tolerance = AGREEMENT["bfloat16" if row.group == "bf16" else dtype]
    first = next((fingerprint for fingerprint in ready.values() if fingerprint), [])
    for name, fingerprint in ready.items():
        # An empty one says that random numbers differ.
        if fingerprint and not alike(fingerprint, first, tolerance):
            result.failed[name] = f"computes something else: {fingerprint}, not {first}"
    return [name for name in ready if name not in result.failed]


def alike(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    """Whether two fingerprints are those of the same computation."""
    return len(a) == len(b) and all(
        abs(x - y) <= tolerance * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True)
    )


def _compile(
    result: RowResult, by_name: Mapping[str, Process], names: Sequence[str], rounds: int
) -> None:
    compiling = [name for name in names if by_name[name].peers[name].library != "torch"]
    for order in orders(compiling, rounds if compiling else 0):
        for name in order:
            time.sleep(PAUSE)
            reply = _ask(result, by_name[name], "compile", name)
            if "seconds" in reply:
                result.compile_seconds.setdefault(name, []).append(reply["seconds"])


def _ask(
    result: RowResult, process: Process, do: str, name: str, **arguments: Any
) -> dict[str, Any]:
    """The reply; a failure is noted in the result, a dead process started again."""
    if name in result.failed:
        return {}
    try:
        reply = process.ask(do, peer=name, **arguments)
    except EndedError as error:
        process.start()
        reply = {"error": str(error)}
        # The programs of those that shared it are gone as well.
        for other in process.peers.keys() & result.calls.keys():
            result.failed.setdefault(other, str(error))
    if "error" in reply:
        result.failed[name] = reply["error"]
    return reply


def _release(process: Process) -> None:
    """Free what the row held. A process that dies of it has given its samples before."""
    try:
        process.ask("release")
    except EndedError:
        process.start()


# Whether the machine is quiet ---------------------------------------------------------------------


def _busy_seconds(processes: Sequence[Process]) -> tuple[float, float] | None:
    """Processor seconds of the whole machine, and of the benchmark; None where unknown."""
    try:
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, line.split()[1:9])
    total = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return total, sum(process.cpu_seconds() for process in processes)


def wait_until_idle(
    limit: float, say: Callable[[str], None], busy: float = 0.1, step: float = 1.0
) -> bool:
    """Wait until less than `busy` of a processor is in use, for so many seconds at most."""
    deadline = time.perf_counter() + limit
    told = False
    while (before := _busy_seconds([])) is not None:
        time.sleep(min(step, max(limit, 0.01)))
        after = _busy_seconds([]) or before
        if (after[0] - before[0]) / step < busy:
            return True
        if time.perf_counter() >= deadline:
            return False
        if not told:
            say(f"other programs are running; waiting for up to {limit:.0f} s")
            told = True
    return True
