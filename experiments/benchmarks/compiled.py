"""What the peers on JAX share: a compiled program, what it keeps, and training steps."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import optax

from experiments import training
from experiments.benchmarks.program import LEARNING_RATE, MOMENTUM, Program, gradient_norms, norm
from experiments.benchmarks.row import NetworkRow

MEMORY = {
    "temporaries": "temp_size_in_bytes",
    "arguments": "argument_size_in_bytes",
    "outputs": "output_size_in_bytes",
    "reused": "alias_size_in_bytes",
}


def pure(jitted: Any, arguments: tuple[Any, ...], facts: dict[str, Any]) -> Program:
    """A program without state: the same call again and again."""
    facts = {**facts, "memory": memory(jitted.lower(*arguments).compile())}
    results = jitted(*arguments)
    return Program(
        call=partial(jitted, *arguments),
        wait=jax.block_until_ready,
        fingerprint=[norm(leaf) for leaf in jax.tree.leaves(results)],
        facts=facts,
    )


def memory(compiled: Any) -> dict[str, int] | None:
    """Bytes by what they are for; None where the platform does not say."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    return {name: int(getattr(analysis, field)) for name, field in MEMORY.items()}


# Operations ---------------------------------------------------------------------------------------


def residual_bytes(f: Callable[..., Any], arrays: Sequence[Any]) -> int:
    """What the backward pass of f needs besides the cotangent."""
    kept = jax.eval_shape(lambda *arrays: jax.vjp(f, *arrays)[1], *arrays)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))


def stepping(
    gradients_of: Callable[..., Any],
    params: Any,
    net_state: Any,
    images: Any,
    labels: Any,
    row: NetworkRow,
    facts: dict[str, Any],
    jit: Callable[..., Any],
) -> Program:
    """A training step, or a scan of them, whose every call goes on from the last one's state.

    gradients_of: (params, net_state, images, labels) to (loss, new net_state, gradients).
    """
    optimiser = optax.sgd(LEARNING_RATE, momentum=MOMENTUM)

    def step(state, batch):
        params, net_state, opt_state = state
        value, net_state, gradients = gradients_of(params, net_state, *batch)
        with training.library_promotion():
            updates, opt_state = optimiser.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
        return (params, net_state, opt_state), value

    def scanned(state, batches):
        return jax.lax.scan(step, state, batches)

    def jitted():
        # A function of its own every time, so that nothing is found in a cache.
        function = scanned if row.steps else step
        return jit(lambda state, batch: function(state, batch), donate_argnums=0)

    batch = (images, labels)
    state = (params, net_state, optimiser.init(params))
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    program = jitted()
    facts = {**facts, "memory": memory(program.lower(shapes, batch).compile())}
    state, value = program(state, batch)
    # After the first step the momentum is the gradient.
    fingerprint = [norm(value), *gradient_norms(jax.tree.leaves(state[2]))]

    def call():
        nonlocal state
        state, value = program(state, batch)
        return value, state

    return Program(
        call=call,
        wait=jax.block_until_ready,
        fingerprint=fingerprint,
        facts=facts,
        compile=partial(_compile_seconds, jitted, shapes, batch) if row.compile else None,
    )


def _compile_seconds(jitted: Callable[[], Any], *arguments: Any) -> dict[str, float]:
    """Tracing, lowering and compiling from scratch."""
    jax.clear_caches()
    function, times = jitted(), [time.perf_counter()]
    traced = function.trace(*arguments)
    times.append(time.perf_counter())
    lowered = traced.lower()
    times.append(time.perf_counter())
    lowered.compile()
    times.append(time.perf_counter())
    stages = ("trace", "lower", "compile")
    seconds = {s: b - a for s, a, b in zip(stages, times[:-1], times[1:], strict=True)}
    return {**seconds, "total": times[-1] - times[0]}
