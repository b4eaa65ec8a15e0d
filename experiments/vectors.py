"""Question: are the gradients of another framework right?

Command:  python -m experiments.vectors [--out runs/vectors] [--ops conv,max_pool]
Result:   runs/vectors/vectors.safetensors and index.json: every case of every operation with its
          inputs, settings, value, derivatives of both orders and both modes, in float64, from the
          hand-written rules. Under 2 MB, the same bytes every time; 2 minutes on 2 CPU cores.

For authors of other frameworks: docs/programs.md describes the file and has a reader for NumPy
in 20 lines. Operations that drop at random are left out: their masks are JAX's.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save

from experiments.command_line import program
from jaxcnn.gradcheck import derivative, derivative_arguments
from jaxcnn.gradcheck.cases import CASES
from jaxcnn.gradcheck.cases.case import Case

FORMAT = 1
"""Of the two files; another one where their meaning changes."""


def drawn_at_random(case: Case) -> bool:
    """Whether the case needs a key of JAX."""
    return any(
        isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        for value in case.given().values()
    )


def vector(case: Case) -> dict[str, np.ndarray]:
    """All arrays of a case, by what they are: `input.x`, `value`, `gradient.x` …"""
    f, arrays = case.function(), tuple(case.arrays())
    (_, delta), (_, dots) = (derivative_arguments(f, mode, arrays, seed=7) for mode in "rf")

    @jax.jit
    def everything(arrays: Any, delta: Any, dots: Any) -> dict[str, Any]:
        def gradient(*arrays: Any) -> Any:
            return derivative(f, "r")(arrays, delta)

        found = {"value": f(*arrays), "tangent": derivative(f, "f")(arrays, dots)}
        named = {"input": arrays, "direction": dots, "gradient": gradient(*arrays)}
        if not case.on_kinks:
            named["second"] = derivative(gradient, "f")(arrays, dots)
        for what, values in named.items():
            found |= dict(zip((f"{what}.{n}" for n in case.shapes), values, strict=True))
        return {**found, "cotangent": delta}

    fixed = {f"fixed.{name}": value for name, value in case.given().items()}
    found = {**everything(arrays, delta, dots), **fixed}
    return {name: np.array(found[name], order="C") for name in sorted(found)}


def described(case: Case, number: int) -> dict[str, Any]:
    """A case's line of the index."""
    return {
        "number": number,
        "name": case.name,
        "operation": case.op.__name__,
        "inputs": list(case.shapes),
        "settings": {k: getattr(v, "__name__", v) for k, v in case.settings.items()},
        "result": case.output,
        "on_kinks": case.on_kinks,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the two files; 2 for an operation that there is not."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.vectors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs", "vectors"), help="the folder to write to"
    )
    parser.add_argument("--ops", help="names with commas between; by default all operations")
    options = parser.parse_args(arguments)
    names = {case.op.__name__ for case in CASES}
    wanted = names if options.ops is None else set(options.ops.split(","))
    if unknown := sorted(wanted - names):
        print(f"--ops must be names of operations, got {', '.join(unknown)}", file=sys.stderr)
        return 2
    arrays: dict[str, np.ndarray] = {}
    index = []
    jax.config.update("jax_disable_most_optimizations", True)  # each program runs once
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        for number, case in enumerate(CASES):
            if case.op.__name__ in wanted and not drawn_at_random(case):
                index.append(described(case, number))
                arrays |= {f"{number}.{what}": a for what, a in vector(case).items()}
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        written = json.dumps({"format": FORMAT, "cases": index}, ensure_ascii=False, indent=1)
        (options.out / "index.json").write_text(written + "\n", encoding="utf-8")
        (options.out / "vectors.safetensors").write_bytes(save(arrays))
    except OSError as error:
        print(f"{options.out} cannot be written to: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{len(index)} cases, {len(arrays)} arrays, written to {options.out}")
    return 0


if __name__ == "__main__":
    program.run(main)
