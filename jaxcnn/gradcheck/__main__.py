"""Whether every hand-written rule is right here: on this device, with this release of JAX.

    python -m jaxcnn.gradcheck [--ops conv,max_pool] [--platform gpu] [--every-case]

One line per operation, with the largest relative errors at its first case: of its value, of its
derivatives in reverse, in forward and in every mixture of the modes of order 2 against its plain
twin's, and of both modes against central differences. The exit code is 1 if one is off.

In float64 on CPUs and GPUs, where small mistakes show. Elsewhere float64 is slow or missing: there
in float32, with products at the highest precision, and bounds of 2e-2 for differences and 1e-3 for
the rest. (JAX's second derivatives of a twin lose digits: of gelu's, far from 0, to 3e-4.)
"""

import argparse
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import Any, NamedTuple

import jax

from jaxcnn.gradcheck.cases import CASES, FIRST
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.gradcheck.checks import check_gradients
from jaxcnn.gradcheck.errors import Finding

# What check_gradients finds, by column.
COLUMNS = {
    "value of the forward pass against the function's": "value",
    "value against the twin's": "value",
    "derivative of order 1 against the twin's": "reverse",
    "derivative f against the twin's": "forward",
    "tangent against its transpose": "forward",
    "derivative of order 2 against the twin's": "second",
    "derivative ff against the twin's": "second",
    "derivative fr against the twin's": "second",
    "derivative rf against the twin's": "second",
    "tangent against central differences": "differences",
    "Jacobian against central differences": "differences",
}
NAMES = list(dict.fromkeys(COLUMNS.values()))


class Verdict(NamedTuple):
    """What was found of one operation, and what kept it from being examined, if anything did."""

    findings: list[Finding]
    refusal: str

    @property
    def worst(self) -> Finding | None:
        """The finding that is furthest beyond its bound; None if all keep theirs."""
        off = [finding for finding in self.findings if not finding.passed]
        return max(off, key=lambda finding: finding.error / finding.tolerance, default=None)

    @property
    def fault(self) -> str:
        """What is wrong, in one line; "" if nothing is."""
        return self.refusal or str(self.worst or "")

    @property
    def cells(self) -> list[str]:
        """The largest error of every column."""
        errors = dict.fromkeys(NAMES, -1.0)
        for finding in self.findings:
            name = COLUMNS[finding.check]
            errors[name] = max(errors[name], finding.error)
        return [f"{error:.1e}" if error >= 0 else "-" for error in errors.values()]


def examine(cases: Iterable[Case], dtype: str) -> Verdict:
    """All that `check_gradients` finds of an operation in both modes, at these cases."""
    findings = []
    for case in cases:
        try:
            findings += check_gradients(
                case.function(),
                *case.arrays(dtype),
                twin=case.function(twin=True),
                orders=1 if case.on_kinks else 2,
                modes="both",
                tolerance=1e-3 if dtype == "float32" else None,
                symmetry=False,  # the twin says as much of second derivatives, and is faster
                **case.differences(dtype),
            )
        except Exception as error:  # a device may lack anything: the next operation matters too
            why = str(error).split("\n")[0]
            return Verdict(findings, f"FAILED: {case.name}: {type(error).__name__}: {why}")
    return Verdict(findings, "")


def header(device: Any, dtype: str) -> str:
    """Versions, device, precision."""
    versions = []
    for package in ("jaxcnn", "jax", "jaxlib"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:  # a checkout that is not installed
            versions.append(package)
    python = f"Python {platform.python_version()}"
    return f"{', '.join([*versions, python])}; {device.platform}, {device.device_kind}; {dtype}"


def options_from(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxcnn.gradcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ops", help="names with commas between; by default all operations")
    parser.add_argument("--platform", help="cpu, gpu or tpu; by default what JAX prefers")
    parser.add_argument("--dtype", choices=("float64", "float32"), help="by default as above")
    parser.add_argument("--every-case", action="store_true", help="not the first one only")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine operations; 1 if one is off, 2 for an unknown option, operation or platform."""
    options = options_from(arguments)
    table = {case.op.__name__: [FIRST[case.op]] for case in CASES}
    if options.every_case:
        table = {name: [c for c in CASES if c.op is first.op] for name, (first,) in table.items()}
    for name in (chosen := list(table) if options.ops is None else options.ops.split(",")):
        if name not in table:
            print(f"--ops must be names of {', '.join(table)}; got {name!r}", file=sys.stderr)
            return 2
    try:
        device = jax.devices(options.platform)[0]
    except RuntimeError as error:
        got, why = options.platform or "none", str(error).split("\n")[0]
        print(f"--platform must be one that JAX finds here, got {got}: {why}", file=sys.stderr)
        return 2
    dtype = options.dtype or ("float64" if device.platform in ("cpu", "gpu") else "float32")
    jax.config.update("jax_enable_x64", True)
    if device.platform == "cpu":  # compiling for a single run is nearly all of the time
        jax.config.update("jax_disable_most_optimizations", True)
    print(header(device, dtype))
    width = max(map(len, chosen))
    print(" " * width, *(f"{name:>11}" for name in NAMES), f"{'seconds':>8}", flush=True)

    def timed(name: str) -> tuple[Verdict, float]:
        start = time.perf_counter()
        with jax.default_device(device), jax.default_matmul_precision("highest"):
            return examine(table[name], dtype), time.perf_counter() - start

    faults = []
    pool = ThreadPoolExecutor(2)  # one traces while the other compiles
    try:
        for name, (verdict, seconds) in zip(chosen, pool.map(timed, chosen), strict=True):
            cells = [f"{cell:>11}" for cell in verdict.cells]
            print(f"{name:{width}}", *cells, f"{seconds:8.1f}", verdict.fault, flush=True)
            if verdict.fault:
                excess = verdict.worst.error / verdict.worst.tolerance if verdict.worst else 0.0
                faults.append((excess, f"{name}: {verdict.fault}"))
    finally:
        pool.shutdown(cancel_futures=True)
    worst = f", worst {max(faults)[1]}" if faults else ""
    print(f"off: {len(faults)} of {len(chosen)} operations{worst}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
