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
from experiments.training.precision import PRODUCTS, cast
from experiments.training.recipe import Recipe, TrainState
from experiments.training.step import make_batch, make_step, step_keys
from jaxcnn.gradcheck import relative_error
from jaxcnn.layers import Leaf, Serial


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
        if sentence is None:
            with within(recipe.mesh):
                state, _ = step(*arguments)  # type: ignore[misc]
            sentence = infinite(state)
        if sentence is not None:
            return Bad(segment.epoch, int(index), sentence)
    return None


def infinite(state: TrainState) -> str | None:
    """The first part of the state that is not finite, such as Adam's moments, in a sentence."""
    for path, leaf in jax.tree.flatten_with_path(state)[0]:
        if bad := np.size(leaf) - int(np.sum(np.isfinite(np.asarray(leaf)))):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return f"{name} of the state was no longer finite ({bad} numbers)"
    return None


def _count(tree: PyTree) -> PyTree:
    """How many numbers of each array are not finite."""
    return jax.tree.map(lambda a: jnp.sum(~jnp.isfinite(a), dtype=jnp.int32), tree)


def _inspector(recipe: Recipe, streamed: bool) -> Any:
    """How many numbers are not finite in the state, the batch, and every output, δ and gradient."""
    batch = make_batch(recipe, streamed)

    def inspect(state: TrainState, images, labels, plan, index):
        augment_key, net_key = step_keys(plan, index)
        x, targets, _ = batch(augment_key, images, labels, plan, index)
        params = cast(state.params, recipe.arithmetic) if recipe.mixed else state.params
        found = jaxcnn.backprop(
            recipe.net, params, state.net_state, x, targets, loss_of(recipe), key=net_key
        )
        named = {
            "before": state,
            "images": {"": x},
            "outputs": dict(_outputs(recipe.net, params, state.net_state, x, net_key)[1]),
            "deltas": found.deltas,
            "gradients": found.gradients,
            "loss": {"": found.loss},
        }
        return _count(named)

    return inspect


def _outputs(
    net: Any, params: PyTree, state: PyTree, x: Any, key: Any, path: str = ""
) -> tuple[Any, list[tuple[str, Any]]]:
    """The network's output in training, and that of each of its layers in the order they run."""
    if isinstance(net, Leaf):
        y, _ = net.apply(params, state, x, key=key, train=True)
        return y, [(path, y)]
    found, outputs = [], {}
    for (name, layer), child_key in zip(net.children, net.keys(key), strict=True):
        inner = params.get(name, {}), state.get(name, {})
        outputs[name], below = _outputs(
            layer, *inner, x, child_key, f"{path}/{name}" if path else name
        )
        found += below
        if isinstance(net, Serial):
            x = outputs[name]
    return (x if isinstance(net, Serial) else net.join(outputs)), found


def _sentence(net: Any, counts: dict[str, PyTree]) -> str | None:
    """What was not finite first, in the order in which a step computes it."""
    for name, bad in _flat(counts["before"]).items():
        if bad:
            return f"{name} was not finite before the step already ({bad} numbers)"
    if bad := counts["images"][""]:
        return f"the images of the batch hold {bad} numbers that are not finite"
    order, outputs = _paths(net), counts["outputs"]
    forward = next((layer for layer in order if outputs[layer]), None)
    found = []
    if forward is not None:
        found.append(f"the first output that was not finite is that of {forward} "
                     f"({outputs[forward]} numbers)")  # fmt: skip
    backward = _first_backward(order, _flat(counts["deltas"]), _flat(counts["gradients"]))
    if backward is not None:
        found.append(backward)
    if not found and counts["loss"][""]:
        found.append("the loss was not finite")
    return " and ".join(found) or None


def _first_backward(
    order: list[str], deltas: dict[str, int], gradients: dict[str, int]
) -> str | None:
    """The first δ or gradient that is not finite, from the last layer to the first."""
    for layer in reversed(order):
        if bad := deltas.get(layer):
            return (
                f"the first δ that was not finite is that at the output of {layer} ({bad} numbers)"
            )
        for name, bad in gradients.items():
            if bad and name.rpartition("/")[0] == layer:
                return f"the first gradient that was not finite is that of {name} ({bad} numbers)"
    return None


def _flat(tree: PyTree) -> dict[str, int]:
    found, _ = jax.tree.flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): int(count) for path, count in found
    }


def _paths(net: Any, prefix: str = "") -> list[str]:
    """The leaves of a network in the order of its forward pass."""
    children = getattr(net, "children", None)
    if children is None:
        return [prefix]
    join = f"{prefix}/" if prefix else ""
    return [path for name, child in children for path in _paths(child, join + name)]


# The largest difference between two roads, relative to the largest gradient of each parameter; of
# one whose gradients are small beside the others', such as a bias before batch norm, which has none
# but rounding, to this part of the largest of all.
SMALL = 1e-3
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
        pairs = zip(_named(ours), jax.tree.leaves(theirs), strict=True)
        largest = max(float(np.abs(b).max(initial=0)) for b in jax.tree.leaves(theirs))
        floor = max(SMALL * largest, float(np.finfo(np.float32).tiny))
        worst = max((relative_error(a, b, floor)[0], name) for (name, a), b in pairs)
        halves = jax.default_matmul_precision.value == PRODUCTS
        rounding = "bfloat16" if halves else np.dtype(recipe.arithmetic).name
        return Comparison(*worst, TOLERANCES[rounding])

    return compare


def _named(tree: PyTree) -> list[tuple[str, Array]]:
    found, _ = jax.tree.flatten_with_path(tree)
    return [("/".join(str(key.key) for key in path), leaf) for path, leaf in found]
