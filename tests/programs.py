"""Traced and exported programs, read for what they compute.

What they share is JAX's choice, and another one in every release: a function that is called twice
stands in the text once. So operations are counted as often as they are reached from the outside.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation of a program and of those within it, what rules compute included."""
    for eqn in jaxpr.eqns:
        yield eqn
        params = list(eqn.params.values())
        if eqn.primitive.name == "by_hand":  # a function, where others hold a program
            params = [jax.make_jaxpr(eqn.params["map"])(*(value.aval for value in eqn.invars))]
        for param in params:
            for part in param if isinstance(param, (tuple, list)) else (param,):  # branches
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def primitives(f: Any, *args: Any) -> Counter[str]:
    """How often each primitive is reached when f is traced."""
    return Counter(eqn.primitive.name for eqn in equations(jax.make_jaxpr(f)(*args).jaxpr))


def operations(module: str) -> Counter[str]:
    """How often each operation of StableHLO is reached from a module's main function."""
    _, *parts = re.split(r"\bfunc\.func \w+ @([\w.$-]+)", module)
    functions = dict(zip(parts[::2], parts[1::2], strict=True))

    def reached(function: str) -> Counter[str]:
        found = Counter(re.findall(r"\bstablehlo\.(\w+)", functions[function]))
        for called in re.findall(r"\bcall @([\w.$-]+)", functions[function]):
            found += reached(called)
        return found

    return reached("main")
