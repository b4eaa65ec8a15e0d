"""Rows in JAX: jaxcnn's rules or their plain twins, with or without the recommended options."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from experiments.benchmarks import eager, flop, foreign, networks
from experiments.benchmarks.compiled import pure, residual_bytes, stepping
from experiments.benchmarks.peers import Peer
from experiments.benchmarks.program import (
    Program,
    cotangent,
    images_and_labels,
    norm,
    operation_arrays,
)
from experiments.benchmarks.row import NetworkRow, OperationRow, PeakRow, Row


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
    jit = jit_of(peer)
    if row.form:
        f = _by_form(peer.name if peer.name == "plain" else row.form, f)
        jit = jax.jit if row.default else jaxcnn.jit
    shape = jax.eval_shape(plain, *arguments).shape
    delta = jnp.asarray(cotangent(shape), dtype)
    times = 3 if row.part == "all" else 1
    facts: dict[str, Any] = {"flop": times * flop.count(plain, *arguments)}
    if row.part == "all":
        facts["residual_bytes"] = residual_bytes(f, arguments)
    if row.part == "forward":
        return pure(jit(f), tuple(arguments), facts)
    return pure(jit(_gradient(f, row.part)), (delta, *arguments), facts)


def _by_form(form: str, f: Callable[..., Any]) -> Callable[..., Any]:
    def named(*arrays):
        with jaxcnn.forms(form):
            return f(*arrays)

    return named


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

    def ours(*arguments):
        with jax.default_matmul_precision("BF16_BF16_F32" if peer.halves else None):
            return loss_of(*((net, loss) if peer.hand else (plain, plain_loss)), *arguments)

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
