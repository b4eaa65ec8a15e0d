"""Poolings by kernels that LLVM makes: see `jaxcnn.lowering.kernels`."""

from jax import Array

from jaxcnn.lowering import kernels, native
from jaxcnn.lowering.forms import Form, choose
from jaxcnn.lowering.pooling.maxima import cannot_step, slower_in_steps
from jaxcnn.lowering.problem import Problem


def before(forms: tuple[Form[Problem], ...], map: str) -> tuple[Form[Problem], ...]:
    """The forms of a map over windows with its kernel before them, whose place they may take."""

    def otherwise(*arrays: Array, problem: Problem) -> Array | tuple[Array, ...]:
        problem = problem.without_kernels
        return choose(forms, problem)[0].run(*arrays, problem=problem)

    def run(*arrays: Array, problem: Problem) -> Array | tuple[Array, ...]:
        plainly = native.Plainly(otherwise, problem)
        results = native.pool(map, problem.geometry, plainly, *arrays)
        return results[0] if len(results) == 1 else tuple(results)

    why = "a kernel of its own: one pass, and windows in registers"
    slower = slower_spread if map == "spread" else slower_alone
    return (Form("native", run, why, cannot=kernels.cannot, slower=slower), *forms)


def slower_spread(problem: Problem) -> str:
    """The same of a gradient of sums, which XLA merges with what is around it."""
    return "each element has one window" if problem.geometry.tiling else slower_alone(problem)


def slower_alone(problem: Problem) -> str:
    """Where kernels are not wanted, or windows better taken one axis after the other."""
    wide = not cannot_step(problem) and not slower_in_steps(problem)
    if wide:
        return f"{problem.geometry.taps} taps are more than those of each axis"
    return kernels.unwanted(problem, problem.c)
