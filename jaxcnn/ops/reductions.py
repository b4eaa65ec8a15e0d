"""What the losses share: per example the sum over its outputs, over the batch the mean.

Each loss is a rule that is the textbook's δ at its input, y − t in some guise, times the gradient
that comes in. Huang sums over the samples, Quan averages; averaging is the default, "sum" and
"none" are the others. The last axis holds the outputs of an example; every leading axis counts as
examples. So for k outputs "mean" is k times what PyTorch's element-wise losses call "mean" (its
`kl_div` calls ours "batchmean"), "none" is the sum of theirs over the last axis, "sum" is the same,
and for `softmax_cross_entropy`, which is one number per example there too, all three agree.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxcnn import check
from jaxcnn.lowering.precision import narrow, widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.ops.elementary import sigmoids
from jaxcnn.rules import Function, custom_rule

REDUCTIONS = ("mean", "sum", "none")


def reduced(losses: Array, reduction: str) -> Array:
    """One number per example → what the reduction makes of them."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return losses.sum()
    return losses.sum() * (1 / losses.size)


def per_example(g: Array, shape: tuple[int, ...], reduction: str) -> Array:
    """The transpose of `reduced`: the incoming gradient, one number per example.

    In the dtype of sums: 1/n may be too small for a half, and the transpose is a sum in its turn.
    """
    g = widen(g)
    if reduction == "none":
        return g
    count = math.prod(shape) if reduction == "mean" else 1
    return jnp.broadcast_to(g * (1 / count), shape)


def loss_rule(
    *, keep: Function, slopes: Function, settings: Sequence[int] = (2,), affine: Sequence[int] = ()
) -> Function:
    """Make a rule of E = reduced(Σ_k ℓ), a loss added up from a number ℓ for every element.

    Backward ∂a = g ℓ′_a, forward Ė = reduced(Σ_k Σ_a ℓ′_a ȧ): the same slopes ℓ′_a =
    slopes(kept, *settings), one for every argument a, in the dtype of sums. kept =
    keep(*arguments, *settings); the reduction, the last setting, is left out in both.
    """

    def decorate(fun: Function) -> custom_rule:
        f = custom_rule(fun, nondiff_argnums=settings)

        def bwd(*args):
            *given, reduction, kept, g = args
            found = slopes(kept, *given)
            rows = per_example(g, found[0].shape[:-1], reduction)[..., None]
            return tuple(narrow(rows * slope, g.dtype) for slope in found)

        def tangent(*args):
            *given, reduction, kept, dots = args
            first, *others = zip(slopes(kept, *given), dots, strict=True)
            moved = first[0] * widen(first[1])
            for slope, dot in others:
                moved = moved + slope * widen(dot)
            return narrow(reduced(moved.sum(-1), reduction), dots[0].dtype)

        f.defvjp(lambda *args: (f(*args), keep(*args[:-1])), bwd)
        f.defjvp(tangent, affine=affine)
        f.kind = "loss"
        return f

    return decorate


def sigmoid_error(logits: Array, targets: Array) -> tuple[Array, Array, Array]:
    """y − t = y (1 − t) − (1 − y) t, which loses nothing as y → t; y = sigmoid(u), and 1 − y."""
    (y, rest), t = sigmoids(widen(logits)), widen(targets)
    return y * (1 - t) - rest * t, y, rest


def check_pair(
    op: str, name: str, outputs: ArrayLike, targets: ArrayLike, reduction: str
) -> tuple[Array, Array, str]:
    """What a loss judges, targets of its dtype and shape, and the reduction."""
    array = check_outputs(op, name, outputs)
    reduction = check.choice(op, "reduction", reduction, REDUCTIONS)
    both = vary_together(array, check_targets(op, targets, (name, array)))
    return both[0], both[1], reduction


def check_outputs(op: str, name: str, outputs: ArrayLike) -> Array:
    """What a loss judges, with an axis for the examples and one for the outputs."""
    array = check.float_array(op, name, outputs)
    check.at_least(op, name, array, 2, "batch, outputs")
    return array


def check_targets(op: str, targets: ArrayLike, like: tuple[str, Array]) -> Array:
    """Targets of the dtype and the shape of `like` = (name, array)."""
    array = check.float_array(op, "targets", targets, like=like)
    check.shape(op, "targets", array, like[1].shape)
    return array
