"""Looking closer at single steps: where a number stopped being finite, and whether the rules agree
with autodiff on the live batch.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

import jaxcnn
from experiments.training.devices import within
from experiments.training.epoch import Looped, Segment, compiled
from experiments.training.gradients import differentiate, loss_of
from experiments.training.precision import cast
from experiments.training.recipe import Recipe, TrainState
from experiments.training.step import make_batch, make_step, step_keys
from jaxcnn.gradcheck import relative_error


class Bad(NamedTuple):
    """The first step with a number that is not finite, and what it is: a sentence."""

    epoch: int
    index: int
    sentence: str


def first_bad(looped: Looped, state: TrainState, segment: Segment) -> Bad | None:
    """Repeat a segment from the state before it, step by step, until a number is not finite."""
    recipe = looped.recipe
    inspect, step = _inspector(recipe, looped.batches.streamed), None
    looped.compile(state, segment.count)
    program = None
    for images, labels, plan, index in looped.steps(segment):
        arguments = state, images, labels, plan, index
        if program is None:
            program = compiled(inspect, recipe, *arguments)
            step = compiled(make_step(recipe, looped.batches.streamed), recipe, *arguments)
        with within(recipe.mesh):
            found = jax.device_get(program(*arguments))
        sentence = _sentence(recipe.net, found)
        if sentence is not None:
            return Bad(segment.epoch, int(index), sentence)
        with within(recipe.mesh):
            state, _ = step(*arguments)  # type: ignore[misc]
    return None


def _inspector(recipe: Recipe, streamed: bool) -> Any:
    """How many numbers are not finite in parameters, batch, logits, loss, every δ and gradient."""
    batch = make_batch(recipe, streamed)

    def count(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda a: jnp.sum(~jnp.isfinite(a), dtype=jnp.int32), tree)

    def inspect(state: TrainState, images, labels, plan, index):
        augment_key, net_key = step_keys(plan, index)
        x, targets, _ = batch(augment_key, images, labels, plan, index)
        params = cast(state.params, recipe.arithmetic) if recipe.mixed else state.params
        found = jaxcnn.backprop(
            recipe.net, params, state.net_state, x, targets, loss_of(recipe), key=net_key
        )
        named = {
            "parameters": state.params,
            "statistics": state.net_state,
            "images": {"": x},
            "logits": {"": found.outputs},
            "deltas": found.deltas,
            "gradients": found.gradients,
            "loss": {"": found.loss},
        }
        return count(named)

    return inspect


def _sentence(net: Any, counts: dict[str, PyTree]) -> str | None:
    """What was not finite first, in the order in which a step computes it."""
    before = _worst(counts["parameters"]) or _worst(counts["statistics"])
    if before is not None:
        return f"{before[0]} was not finite before the step already ({before[1]} numbers)"
    if (found := _worst(counts["images"])) is not None:
        return f"the images of the batch hold {found[1]} numbers that are not finite"
    forward = " (the logits were not finite either)" if _worst(counts["logits"]) is not None else ""
    # Back-propagation goes from the last layer to the first.
    order = list(_paths(net))
    deltas = {name: n for name, n in _flat(counts["deltas"]).items() if n > 0}
    for layer in reversed(order):
        if layer in deltas:
            return (
                f"the first δ that was not finite is that at the output of {layer} "
                f"({deltas[layer]} numbers){forward}"
            )
    if (found := _worst(counts["gradients"])) is not None:
        return f"the first gradient that was not finite is that of {found[0]} ({found[1]} numbers)"
    if _worst(counts["loss"]) is not None or forward:
        return f"the loss was not finite{forward}"
    return None


def _worst(tree: PyTree) -> tuple[str, int] | None:
    """The name and the count of the first entry that holds any such number."""
    for name, count in _flat(tree).items():
        if count > 0:
            return name, count
    return None


def _flat(tree: PyTree) -> dict[str, int]:
    found, _ = jax.tree.flatten_with_path(tree)
    return {"/".join(str(key.key) for key in path): int(count) for path, count in found}


def _paths(net: Any, prefix: str = "") -> list[str]:
    """The leaves of a network in the order of its forward pass."""
    children = getattr(net, "children", None)
    if children is None:
        return [prefix]
    join = f"{prefix}/" if prefix else ""
    return [path for name, child in children for path in _paths(child, join + name)]


# The largest difference between two roads, relative to the largest gradient of each parameter.
TOLERANCES = {"float64": 1e-8, "float32": 5e-3, "bfloat16": 0.2, "float16": 0.05}


class Comparison(NamedTuple):
    """The largest relative difference of a gradient from autodiff's, where, and what is allowed."""

    error: float
    where: str
    tolerance: float


def make_comparison(looped: Looped, state: TrainState) -> Any:
    """compare(state, epoch, index) → Comparison on the batch of that step."""
    recipe = dataclasses.replace(looped.recipe, accumulate=1)
    roads = recipe, dataclasses.replace(recipe, rules="autodiff")
    batch = make_batch(recipe, looped.batches.streamed)

    def gradients(state: TrainState, images, labels, plan, index) -> tuple[PyTree, PyTree]:
        augment_key, net_key = step_keys(plan, index)
        x, targets, _ = batch(augment_key, images, labels, plan, index)
        first, second = (
            differentiate(road)(state.params, state.net_state, x, targets, net_key)[3]
            for road in roads
        )
        return first, second

    programs: list[Any] = []

    def compare(state: TrainState, epoch: int, index: int) -> Comparison:
        looped.compile(state, 1)
        arguments = next(looped.steps(Segment(epoch, index, 1)))
        if not programs:
            programs.append(compiled(gradients, recipe, state, *arguments))
        with within(recipe.mesh):
            ours, theirs = jax.device_get(programs[0](state, *arguments))
        worst = max(
            (relative_error(a, b)[0], name) for (name, a), b in zip(
                _named(ours), jax.tree.leaves(theirs), strict=True
            )
        )  # fmt: skip
        return Comparison(*worst, TOLERANCES[np.dtype(recipe.arithmetic).name])

    return compare


def _named(tree: PyTree) -> list[tuple[str, Array]]:
    found, _ = jax.tree.flatten_with_path(tree)
    return [("/".join(str(key.key) for key in path), leaf) for path, leaf in found]
