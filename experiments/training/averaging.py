"""Averages of parameters over the steps: a moving one beside training, and Lookahead within it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from experiments.training.precision import choose
from experiments.training.recipe import Averaging

# Jordan 2024: every so many steps; the decay of a step at the end of the run.
EVERY, LAST_DECAY = 5, 0.95


def follow(
    averaging: Averaging, average: PyTree, now: PyTree, step: Array
) -> tuple[PyTree, PyTree]:
    """(average, parameters and statistics) after the step-th step, counted from 0.

    "ema": average ← d average + (1 − d) now, and now stays. "lookahead": the same every 5 steps
    with d = 0.95⁵ (t/T)³, and now ← average; at the end now ← average as it is. Zhang et al. 2019,
    "Lookahead Optimizer", with the growing decay of Jordan 2024.
    """
    if averaging.kind == "none":
        return average, now
    done = step + 1
    if averaging.kind == "ema":
        # The first steps count more: an average of few is no long one.
        count = done.astype(jnp.float32)
        decay = jnp.minimum(averaging.decay, count / (count + 10))
        return _blend(decay, average, now), now
    part = done.astype(jnp.float32) / averaging.steps
    decay = jnp.where(done == averaging.steps, 1.0, LAST_DECAY**EVERY * part**3)
    due = (done % EVERY == 0) | (done == averaging.steps)
    # On the last step, if a fifth one, first the ordinary update, then the end.
    ordinary = _blend(jnp.asarray(LAST_DECAY**EVERY, jnp.float32), average, now)
    both = (done == averaging.steps) & (done % EVERY == 0)
    slow = choose(both, ordinary, _blend(decay, average, now))
    return choose(due, slow, average), choose(due, slow, now)


def _blend(decay: Array, old: PyTree, new: PyTree) -> PyTree:
    return jax.tree.map(
        lambda a, b: decay.astype(a.dtype) * a + (1 - decay).astype(a.dtype) * b, old, new
    )
