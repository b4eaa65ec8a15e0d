"""Local response normalisation: each channel is damped by the squares of its neighbours."""

import math
from functools import partial, reduce

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.statistics import inverse_unit
from jaxcnn.ops.elementary import power, reciprocal
from jaxcnn.rules import Function, custom_rule, product


@partial(custom_rule, nondiff_argnums=(1, 2, 3, 4))
def local_response_norm_map(
    x: Float[Array, "*n c"], size: int, k: float, alpha: float, beta: float
) -> Float[Array, "*n c"]:
    """It is computed as x qⁿ with qⁿ = s^−β, and the slopes from x_i/m_j with m = √(s/α), so that
    nothing overflows before the results do.
    """
    wide = widen(x)
    return _damping(wide, size, k, alpha, beta)[0](wide).astype(x.dtype)


def _local_response_norm_fwd(x, size, k, alpha, beta):
    return local_response_norm_map(x, size, k, alpha, beta), x


def _local_response_norm_bwd(size, k, alpha, beta, x, delta):
    damped, z, r = _damping(widen(x), size, k, alpha, beta)
    own = damped(widen(delta))
    shared: Array = channel_products_map(z, r, own * (z * r), *_neighbours(size)[::-1])
    return ((own - 2 * beta * shared).astype(x.dtype),)


def _local_response_norm_tangent(size, k, alpha, beta, x, dots):
    """ẏ_i = ẋ_i s_i^−β − 2αβ x_i s_i^(−β−1) Σ x_j ẋ_j, the sum over j ∈ N(i)."""
    damped, z, r = _damping(widen(x), size, k, alpha, beta)
    dot = widen(dots[0])
    shared: Array = channel_products_map(r, z, dot, *_neighbours(size))
    return damped(dot - 2 * beta * (z * r) * shared).astype(x.dtype)


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
        size: how many channels a window has, the first of them i − size//2: a window of even size
            has one more channel below i than above, as in PyTorch. What lies outside counts as 0.
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
    """How many channels of N(i) are below i and above; of an even size one more is below."""
    return size // 2, (size - 1) // 2


def _damping(
    x: Array, size: int, k: float, alpha: float, beta: float
) -> tuple[Function, Array, Array]:
    """a → a s^−β; x/u and u/m, for a power of two u with which no u/m overflows."""
    unit = 4.0 * 2.0 ** math.ceil(math.log2(size) / 2)
    z = x * (1 / unit)
    m: Array = channel_norm_map(z, *_neighbours(size), math.sqrt(k / alpha) / unit)
    # √s may be too large for the dtype, its root is not.
    root: Array = power(m, 0.5) * (alpha**0.25 * unit**0.5)
    n = 4 * beta if 4 * beta in range(1, 9) else 4  # fourth roots of 1/s: a power takes far longer
    q = reciprocal(root) if n == 4 * beta else power(root, -beta)
    return lambda a: reduce(jnp.multiply, [q] * int(n), a), z, reciprocal(m)


@partial(custom_rule, nondiff_argnums=(1, 2, 3))
def channel_norm_map(
    x: Float[Array, "*n c"], below: int, above: int, floor: float
) -> Float[Array, "*n c"]:
    """m_i = √(f² + Σ x_j²), i − below ≤ j ≤ i + above.  With δ = ∂L/∂m:  ∂x_i = Σ (x_i/m_j) δ_j."""
    windows = _windows(x, below, above)
    most = jnp.full_like(x, max(floor, float(jnp.finfo(x.dtype).tiny)))
    inverse = inverse_unit(reduce(jnp.maximum, map(jnp.abs, windows), most))
    squares = [jnp.square(z * inverse) for z in windows]
    return jnp.sqrt(sum(squares, jnp.square(most * inverse))) / inverse


def _channel_norm_fwd(x, below, above, floor):
    m = channel_norm_map(x, below, above, floor)
    return m, (x, m)


def _channel_norm_bwd(below, above, floor, residuals, delta):
    x, m = residuals
    return (channel_products_map(x, reciprocal(m), delta, above, below),)


def _channel_norm_tangent(below, above, floor, residuals, dots):
    x, m = residuals
    return channel_products_map(reciprocal(m), x, dots[0], below, above)


channel_norm_map.defvjp(_channel_norm_fwd, _channel_norm_bwd)
channel_norm_map.defjvp(_channel_norm_tangent)


@partial(custom_rule, nondiff_argnums=(3, 4))
def channel_products_map(
    a: Float[Array, "*n c"], b: Float[Array, "*n c"], c: Float[Array, "*n c"],
    below: int, above: int,
) -> Float[Array, "*n c"]:  # fmt: skip
    """y_i = Σ (a_i b_j) c_j, i − below ≤ j ≤ i + above.

    With δ = ∂L/∂y:  ∂a_i = Σ (δ_i b_j) c_j,  ∂b_j = Σ (c_j a_i) δ_i,  ∂c_j = Σ (b_j a_i) δ_i.
    Channel j is in the window of i just when i is in the mirrored window of j.
    """
    windows = zip(_windows(b, below, above), _windows(c, below, above), strict=True)
    return sum((a * u * v for u, v in windows), jnp.zeros_like(a))


def _channel_products_bwd(below, above, residuals, delta):
    a, b, c = residuals
    return (
        channel_products_map(delta, b, c, below, above),
        channel_products_map(c, a, delta, above, below),
        channel_products_map(b, a, delta, above, below),
    )


product(channel_products_map, _channel_products_bwd, factors=3)


def _windows(x: Array, below: int, above: int) -> list[Array]:
    """x_{i + t} for −below ≤ t ≤ above, 0 beyond the channels."""
    pads = [(0, 0, 0)] * (x.ndim - 1) + [(below, above, 0)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), pads)
    taps = range(below + above + 1)
    return [lax.slice_in_dim(padded, t, t + x.shape[-1], axis=-1) for t in taps]
