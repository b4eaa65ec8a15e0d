"""Training steps in Flax nnx, differentiated by JAX, compiled with XLA's default options."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmarks import networks
from experiments.benchmarks.compiled import pure, stepping
from experiments.benchmarks.program import Program, images_and_labels
from experiments.benchmarks.row import NetworkRow


def build(row: NetworkRow, dtype: str) -> Program:
    """The row with the network as a module of nnx, split into values so that it can be scanned."""
    module = networks.translated("flax", row, dtype)
    module.train() if row.part == "all" else module.eval()
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    images, labels = images_and_labels(row)
    images, labels = jnp.asarray(images, dtype), jnp.asarray(labels)

    def loss(params: Any, rest: Any, images: Any, labels: Any) -> Any:
        # A copy: what came from outside this trace may not be changed in it.
        module = nnx.merge(graph, params, rest, copy=True)
        logits = module(images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        _, _, rest = nnx.split(module, nnx.Param, ...)
        return losses.mean(), (logits, rest)

    if row.part == "forward":
        jitted = jax.jit(lambda p, s, x, t: loss(p, s, x, t)[1][0])
        return pure(jitted, (params, rest, images, labels), {})

    def gradients_of(params, rest, images, labels):
        (value, (_, rest)), gradients = jax.value_and_grad(loss, has_aux=True)(
            params, rest, images, labels
        )
        return value, rest, gradients

    program = stepping(gradients_of, params, rest, images, labels, row, {}, jax.jit)
    if row.network in networks.RANDOM:
        program.fingerprint = []
    return program
