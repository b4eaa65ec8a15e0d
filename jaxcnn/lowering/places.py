"""What the forms of convolutions and poolings are made of.

Zeros around maps, every s-th place, sums over places and over parts of the batch, how many images
to take at once, and the choice between two forms.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn import hints, sizes
from jaxcnn.geometry import Precision
from jaxcnn.lowering.precision import accumulator, widen
from jaxcnn.lowering.sharding import is_spread, vary_together

# Fewer channels than this leave a vector register partly empty.
REGISTER = 16
# A sum over more places than this is long; and into how many parts it is cut at most.
LONG, MOST_PARTS = 2**12, 2**10


def pad(
    x: Array, padding: Sequence[tuple[int, int]], dilation: Sequence[int] | None = None
) -> Array:
    """Zeros around the maps, and between their elements; negative paddings crop."""
    gaps = [0] * len(padding) if dilation is None else [d - 1 for d in dilation]
    if not any(gaps) and not any(low or high for low, high in padding):
        return x
    config = [(*pads, gap) for pads, gap in zip(padding, gaps, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])


def every(x: Array, start: Sequence[int], stride: Sequence[int], count: Sequence[int]) -> Array:
    """`count` elements along each axis of space, from a start on, a stride apart."""
    stop = [b + (p - 1) * s + 1 for b, p, s in zip(start, count, stride, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *stride, 1))


def outer_sum(a: Array, b: Array, *, beside: int = 0, precision: Precision = None) -> Array:
    """Σ a bᵀ over all places, but for the first `beside` axes: … c, … d → c d.

    XLA's CPU backend transposes a copy of a, which should be the one with fewer channels. It undoes
    an exchange if the sum is turned back at once: that has to wait until all parts are added.
    """
    places, before = tuple(range(beside, a.ndim - 1)), tuple(range(beside))
    return lax.dot_general(
        a,
        b,
        ((places, places), (before, before)),
        precision=precision,
        preferred_element_type=accumulator(a.dtype),
    )


def in_one_lane(places: int, c: int, d: int) -> bool:
    """Whether XLA's CPU backend would add these products one after the other, in one lane.

    It does for results of one row or column, and of few elements: the error grows with the number
    of places, in float32 to 2e-3 for 2²². All others are accurate to 1e-6.
    """
    return sizes.surely(lambda: places > LONG and (min(c, d) == 1 or c * d < REGISTER))


def long_sum(a: Array, b: Array) -> Array:
    """Σ a bᵀ over all places, part by part, as if in many lanes: … c, … d → c d."""
    places = math.prod(a.shape[:-1])
    parts = at_once(places, MOST_PARTS)
    whole = places // MOST_PARTS * MOST_PARTS
    if parts * LONG < places and whole < places and jax.device_count() == 1:
        a, b = (m.reshape(places, -1) for m in (a, b))
        return long_sum(a[:whole], b[:whole]) + outer_sum(a[whole:], b[whole:])
    if parts * LONG < places:  # which hardly divides
        a, b = jnp.expand_dims(widen(a), -1), jnp.expand_dims(widen(b), -2)
        shape = jnp.broadcast_shapes(a.shape, b.shape)
        product = jnp.broadcast_to(a, shape) * jnp.broadcast_to(b, shape)
        return product.sum(range(product.ndim - 2))
    a, b = (m.reshape(parts, -1, m.shape[-1]) for m in (a, b))
    return outer_sum(a, b, beside=1).sum(0)


def largest_divisor(n: int, most: int) -> int:
    """The largest divisor of n that is not above `most`, and at least 1."""
    return max((m for m in range(1, min(n, most) + 1) if n % m == 0), default=1)


def at_once(n: int, most: int) -> int:
    """How many of n images to take at once: a divisor of n, at most `most` for each device.

    Of a batch that is spread over all devices each gives the same number, so it stays where it is.
    """
    devices = math.gcd(n, jax.device_count())
    return devices * largest_divisor(n // devices, most)


def sum_over_parts(
    form: Callable[[Array, Array], Array], zero: Array, x: Array, delta: Array, *, images: int
) -> Array:
    """Σ form(images of x, images of δ) over parts of the batch, `images` in each.

    Those are as far apart as possible: so a batch that is spread over devices stays where it is.
    """
    count = x.shape[0] // images
    x, delta = (a.reshape(images, count, *a.shape[1:]) for a in (x, delta))
    x, delta, zero = vary_together(x, delta, zero)  # what a loop carries keeps its type

    def add(i: Array, total: Array) -> Array:
        part = (lax.dynamic_index_in_dim(a, i, 1, keepdims=False) for a in (x, delta))
        return total + form(*part)

    return lax.fori_loop(0, count, add, zero)


def where_finite(
    x: Array, form: Callable[..., Any], plainly: Callable[..., Any], *args: Any
) -> Any:
    """form(*args) if x is finite, else plainly(*args), as always where x may be on several devices.

    There the condition would be one more sum over the devices, beside the gradients'. XLA's CPU
    backend may begin two such sums in another order on another device, and then waits for ever if
    they take all its threads.
    """
    return plainly(*args) if is_spread(x) else lax.cond(all_finite(x), form, plainly, *args)


@jax.custom_batching.custom_vmap
def all_finite(x: Array) -> Array:
    """Whether there is neither ∞ nor NaN in x; false as well where the sum of x overflows.

    XLA's CPU backend reads a map ten times faster for its sum than for anything else. Under
    `jax.vmap` it is one answer for all maps: with one for each, both branches of a condition would
    be computed.
    """
    return jnp.isfinite(x.sum(dtype=accumulator(x.dtype)))


@all_finite.def_vmap
def _all_finite(size: int, mapped: list[bool], x: Array) -> tuple[Array, bool]:
    del size, mapped
    return all_finite(x), False


@partial(jax.jit, static_argnames=("cpu", "default", "problem"))
def on_a_cpu(
    *maps: Array, cpu: Callable[..., Array], default: Callable[..., Array], **settings: Any
) -> Array:
    """One form for a CPU, one for all else: chosen when the program is lowered."""
    if "plain" in hints.forms.value:
        return default(*maps, **settings)
    return lax.platform_dependent(
        *maps, cpu=partial(cpu, **settings), default=partial(default, **settings)
    )
