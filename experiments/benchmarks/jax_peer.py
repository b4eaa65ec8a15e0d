"""Rows in JAX: jaxcnn's rules or their plain twins, with or without the recommended options."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxcnn
from experiments import training
from experiments.benchmarks import eager, flop, foreign, networks
from experiments.benchmarks.peers import Peer
from experiments.benchmarks.program import (
    LEARNING_RATE,
    MOMENTUM,
    Program,
    cotangent,
    gradient_norms,
    images_and_labels,
    norm,
    operation_arrays,
)
from experiments.benchmarks.row import NetworkRow, OperationRow, PeakRow, Row
from experiments.compare_grad import residual_bytes

MEMORY = {
    "temporaries": "temp_size_in_bytes",
    "arguments": "argument_size_in_bytes",
    "outputs": "output_size_in_bytes",
    "reused": "alias_size_in_bytes",
}


def jit_of(peer: Peer) -> Callable[..., Any]:
    """`jax.jit`, with our compiler options if the peer has them, and the rules told of them."""
    if not peer.options:
        return jax.jit
    return jaxcnn.jit if peer.hand else partial(jax.jit, compiler_options=jaxcnn.compiler_options())


def build(peer: Peer, row: Row, dtype: str) -> Program:
    """The row as this peer computes it, compiled and called once."""
    match row:
        case NetworkRow() if peer.framework == "flax":
            from experiments.benchmarks import flax_peer

            return flax_peer.build(row, dtype)
        case PeakRow():
            matrix = np.random.default_rng(0).standard_normal((row.size, row.size), np.float32)
            matrix = jnp.asarray(matrix / np.sqrt(row.size), dtype)
            facts = {"flop": 2 * row.size**3}
            return pure(jit_of(peer)(jnp.matmul), (matrix, matrix), facts)
        case OperationRow():
            return _eager(peer, row, dtype) if row.kind == "eager" else _operation(peer, row, dtype)
        case NetworkRow():
            return _network(peer, row, dtype)
    raise TypeError(f"row must be an operation, a network or the peak, got {row!r}")


def pure(jitted: Any, arguments: tuple[Any, ...], facts: dict[str, Any]) -> Program:
    """A program without state: the same call again and again."""
    facts = {**facts, "memory": _memory(jitted.lower(*arguments).compile())}
    results = jitted(*arguments)
    return Program(
        call=partial(jitted, *arguments),
        wait=jax.block_until_ready,
        fingerprint=[norm(leaf) for leaf in jax.tree.leaves(results)],
        facts=facts,
    )


def _memory(compiled: Any) -> dict[str, int] | None:
    analysis = compiled.memory_analysis()
    if analysis is None:
        return None
    return {name: int(getattr(analysis, field)) for name, field in MEMORY.items()}


# Operations ---------------------------------------------------------------------------------------


def _operation(peer: Peer, row: OperationRow, dtype: str) -> Program:
    arrays, labels = operation_arrays(row)
    arguments = [jnp.asarray(array, dtype) for array in arrays]
    fixed = () if labels is None else (jnp.asarray(labels),)

    settings = {**row.settings, **({} if peer.method == "direct" else {"method": peer.method})}

    def function(op):
        def of_arrays(*arrays):
            y = op(*arrays, *fixed, **settings)
            return y[0] if isinstance(y, tuple) else y

        return of_arrays

    if row.kind == "foreign":
        twin = foreign.FUNCTIONS[row.op]
        op = jaxcnn.with_rules(twin)
    else:
        op = getattr(jaxcnn, row.op)
        twin = jaxcnn.autodiff_twin(op)
    plain = function(twin)
    f = function(op) if peer.hand else plain
    shape = jax.eval_shape(plain, *arguments).shape
    delta = jnp.asarray(cotangent(shape), dtype)
    times = 3 if row.part == "all" else 1
    facts: dict[str, Any] = {"flop": times * flop.count(plain, *arguments)}
    if row.part == "all":
        facts["residual_bytes"] = residual_bytes(f, arguments)
    if row.part == "forward":
        return pure(jit_of(peer)(f), tuple(arguments), facts)
    return pure(jit_of(peer)(_gradient(f, row.part)), (delta, *arguments), facts)


def _eager(peer: Peer, row: OperationRow, dtype: str) -> Program:
    arrays, labels = operation_arrays(row)
    arguments = [jnp.asarray(array, dtype) for array in arrays]
    fixed = () if labels is None else (jnp.asarray(labels),)
    op = getattr(jaxcnn, row.op) if peer.hand else eager.PLAIN[row.op]

    def f(*arrays):
        return op(*arrays, *fixed, **row.settings)

    if row.part == "all":
        shape = jax.eval_shape(f, *arguments).shape
        arguments = [jnp.asarray(cotangent(shape), dtype), *arguments]
        f = _gradient(f, row.part)
    results = f(*arguments)
    fingerprint = [norm(leaf) for leaf in jax.tree.leaves(results)]
    return Program(partial(f, *arguments), jax.block_until_ready, fingerprint)


def _gradient(f: Callable[..., Any], part: str) -> Callable[..., Any]:
    """One gradient, or the value and all of them. XLA drops the forward pass where it can."""
    number = {"input_grad": 0, "kernel_grad": 1}.get(part)

    def gradient(delta, *arrays):
        y, pull = jax.vjp(f, *arrays)
        gradients = pull(delta)
        return (y, gradients) if number is None else gradients[number]

    return gradient


# Networks -----------------------------------------------------------------------------------------


def _network(peer: Peer, row: NetworkRow, dtype: str) -> Program:
    net = networks.network(row.network)
    plain, loss = jaxcnn.autodiff_twin(net), jaxcnn.softmax_cross_entropy
    plain_loss = jaxcnn.autodiff_twin(loss)
    params, net_state = networks.parameters(net, row.images, dtype)
    images, labels = images_and_labels(row)
    images, labels = jnp.asarray(images, dtype), jnp.asarray(labels)

    def loss_of(net, loss, params, net_state, images, labels):
        logits, net_state = net.apply(
            params, net_state, images, key=jax.random.key(0), train=row.part != "forward"
        )
        return loss(logits, labels), (logits, net_state)

    ours = partial(loss_of, *((net, loss) if peer.hand else (plain, plain_loss)))
    one = (images[0], labels[0]) if row.steps else (images, labels)
    forward = flop.count(partial(loss_of, plain, plain_loss), params, net_state, *one)
    if row.part == "forward":
        jitted = jit_of(peer)(lambda p, s, x, t: ours(p, s, x, t)[1][0])
        return pure(jitted, (params, net_state, *one), {"flop": forward})
    if row.part == "product":
        product = _product(lambda p: ours(p, net_state, *one)[0], peer.reverse)
        return pure(jit_of(peer)(product), (params, jax.tree.map(jnp.ones_like, params)), {})
    residuals = residual_bytes(lambda p: ours(p, net_state, *one)[0], [params])
    facts = {"flop": 3 * forward * max(row.steps, 1), "residual_bytes": residuals}

    def gradients_of(params, net_state, images, labels):
        (value, (_, net_state)), gradients = jax.value_and_grad(ours, has_aux=True)(
            params, net_state, images, labels
        )
        return value, net_state, gradients

    return stepping(gradients_of, params, net_state, images, labels, row, facts, jit_of(peer))


def _product(loss: Callable[[Any], Any], reverse: bool) -> Callable[..., Any]:
    """The Hessian of a loss times a vector, as a function of the parameters and the vector."""

    def forward_over_reverse(params, vector):
        return jax.jvp(jax.grad(loss), (params,), (vector,))[1]

    def reverse_over_reverse(params, vector):
        def along(params):
            products = jax.tree.map(jnp.vdot, jax.grad(loss)(params), vector)
            return sum(jax.tree.leaves(products))

        return jax.grad(along)(params)

    return reverse_over_reverse if reverse else forward_over_reverse


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
    facts = {**facts, "memory": _memory(program.lower(shapes, batch).compile())}
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
