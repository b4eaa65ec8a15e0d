"""Local response normalisation: each channel is damped by the squares of its neighbours."""

from functools import partial

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import widen
from jaxcnn.ops.elementary import power
from jaxcnn.rules import Function, custom_rule, linear


@partial(custom_rule, nondiff_argnums=(1, 2, 3, 4))
def local_response_norm_map(
    x: Float[Array, "*n c"], size: int, k: float, alpha: float, beta: float
) -> Float[Array, "*n c"]:
    """y_i = x_i s_i^−β with s_i = k + α Σ_{j ∈ N(i)} x_j²."""
    wide = widen(x)
    root: Array = power(_bracket(wide, size, k, alpha), -beta)
    return (wide * root).astype(x.dtype)


def _local_response_norm_fwd(x, size, k, alpha, beta):
    return local_response_norm_map(x, size, k, alpha, beta), x


def _local_response_norm_bwd(size, k, alpha, beta, x, delta):
    below, above = _neighbours(size)
    x, delta, dtype = widen(x), widen(delta), x.dtype
    s = _bracket(x, size, k, alpha)
    root: Array = power(s, -beta)
    steeper: Array = power(s, -beta - 1)
    shared: Array = channel_sum_map(delta * x * steeper, above, below)
    return ((delta * root - (2 * alpha * beta) * x * shared).astype(dtype),)


def _local_response_norm_tangent(size, k, alpha, beta, x, dots):
    below, above = _neighbours(size)
    x, dot, dtype = widen(x), widen(dots[0]), x.dtype
    s = _bracket(x, size, k, alpha)
    root: Array = power(s, -beta)
    steeper: Array = power(s, -beta - 1)
    shared: Array = channel_sum_map(x * dot, below, above)
    return (dot * root - (2 * alpha * beta) * x * steeper * shared).astype(dtype)


local_response_norm_map.defvjp(_local_response_norm_fwd, _local_response_norm_bwd)
local_response_norm_map.defjvp(_local_response_norm_tangent)


@entry.operation
def local_response_norm(
    x: Float[ArrayLike, "*n c"],
    *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75,
    average: bool = False, rule: Function = local_response_norm_map,
) -> Float[Array, "*n c"]:  # fmt: skip
    """y_i = x_i / (k + α Σ x_j²)^β, the sum over the `size` channels j ∈ N(i) around channel i.

    Backward, with δ = ∂L/∂y and s_i the bracket: ∂x_i = δ_i s_i^−β − 2αβ x_i Σ δ_j x_j s_j^(−β−1),
    the sum over the channels j that have i in their window.
    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3; Quan, "Learning magic in AlexNet".

    Args:
        x: maps, channels last; any number of axes before them.
        size: how many channels a window has; i − size//2 is its first, so that of an even number
            the odd one is below i, as in PyTorch. What lies outside counts as 0.
        k: the constant in the bracket; the paper's 2 (PyTorch's default is 1).
        alpha: the factor of the sum.
        beta: the exponent.
        average: whether α multiplies the mean over `size` places, as in PyTorch and Caffe, instead
            of the paper's sum.
    """
    op = "local_response_norm"
    x = check.float_array(op, "x", x)
    check.channels(op, "x", x)
    size = check.integer(op, "size", size, minimum=1)
    k = check.positive(op, "k", k)
    alpha = check.positive(op, "alpha", alpha)
    beta = check.positive(op, "beta", beta)
    scale = alpha / size if check.boolean(op, "average", average) else alpha
    return rule(x, size, k, scale, beta)


def _neighbours(size: int) -> tuple[int, int]:
    """How many channels of N(i) are below i and above; of an even number the odd one is below."""
    return size // 2, (size - 1) // 2


def _bracket(x: Array, size: int, k: float, alpha: float) -> Array:
    """The bracket s = k + α Σ x² over N(i)."""
    total: Array = channel_sum_map(x * x, *_neighbours(size))
    return k + alpha * total


@partial(custom_rule, nondiff_argnums=(1, 2))
def channel_sum_map(x: Float[Array, "*n c"], below: int, above: int) -> Float[Array, "*n c"]:
    """y_i = Σ x_j, i − below ≤ j ≤ i + above.  With δ = ∂L/∂y:  ∂x_i = Σ δ_j, the window mirrored.

    Channel i is in the window of j just when j is in the mirrored window of i.
    """
    c = x.shape[-1]
    pads = [(0, 0, 0)] * (x.ndim - 1) + [(below, above, 0)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), pads)
    shifted = [lax.slice_in_dim(padded, t, t + c, axis=-1) for t in range(below + above + 1)]
    return sum(shifted[1:], shifted[0])


linear(channel_sum_map, lambda below, above, delta: channel_sum_map(delta, above, below))
