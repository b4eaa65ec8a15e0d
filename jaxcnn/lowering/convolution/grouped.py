"""Convolutions in groups, taken apart: each group by itself.

XLA's CPU backend runs a convolution in groups, and above all its kernel gradient, several times
slower than the convolutions it consists of, for each of which its own form is the best. Taken
apart it also leaves the batch an axis of its own, so that a batch spread over devices is not
gathered.
"""

from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from jaxcnn.lowering.convolution.plain import Map
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.thresholds import MAX_GROUPS


def cannot(problem: Problem) -> str:
    """Why there are no groups to take apart."""
    return "" if problem.groups > 1 else "there is one group"


def slower(problem: Problem) -> str:
    """Why the program would be too long."""
    groups = problem.groups
    return f"{groups} groups are more than {MAX_GROUPS}" if groups > MAX_GROUPS else ""


def of_one(problem: Problem) -> Problem:
    """The problem of one group."""
    geometry = replace(problem.geometry, groups=1)
    return problem.left(geometry, c=problem.inputs, d=problem.outputs)


def correlate(x: Array, kernel: Array, *, problem: Problem, alone: Map) -> Array:
    """Each group is computed by `alone`; the results stand side by side."""
    maps, kernels = (jnp.split(a, problem.groups, -1) for a in (x, kernel))
    pairs = zip(maps, kernels, strict=True)
    return jnp.concatenate([alone(x, k, problem=of_one(problem)) for x, k in pairs], -1)


kernel_grad = correlate  # of maps x and gradients δ
