"""The three maps of the trilinear form ⟨x ⋆ k, δ⟩ by the discrete Fourier transform.

The convolution theorem (Gwardys; Mathieu, Henaff and LeCun 2013, "Fast Training of Convolutional
Networks through FFTs"): a correlation is a product of spectra, F(x ⋆ k) = F(x) · conj F(k), once
the arrays are long enough that nothing wraps around onto what is kept. The sum over channels, or
over the batch, moves into the products, so that each map is transformed once, however many there
are. The cost hardly depends on the size of the kernel: this pays for large ones.

A stride is a subsampling of the dense result, so all of it is computed; dilations are zeros in the
input or the kernel. Taken where `method` says so.

Letters: n batch, c channels in, d channels out, g groups, h/w input, p/q output, k taps, f and the
last axes frequencies.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxcnn.geometry import Geometry
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.precision import widen


@partial(jax.jit, static_argnames="problem")
def correlate(x: Array, kernel: Array, *, problem: Problem) -> Array:
    """x ⋆ k: n h w c, kh kw c/g d → n p q d."""
    geometry = problem.geometry
    # What is kept, i < p·s, sees no further than p·s + extent: a circle of that length suffices.
    reach = _reach(geometry)
    length = _lengths(reach)
    x_hat = _spectrum(_on_padded_map(x, geometry, reach), length, geometry.groups)
    k_hat = _kernel_spectrum(kernel, length, geometry)
    y_hat = jnp.einsum("n...gc,...gcd->n...gd", x_hat, k_hat.conj(), precision=geometry.precision)
    y = _inverse(y_hat, length)
    return _first(y, geometry.output, geometry.stride).astype(x.dtype)


@partial(jax.jit, static_argnames="problem")
def input_grad(delta: Array, kernel: Array, *, problem: Problem) -> Array:
    """full(dilate(δ), rot180(k)): n p q d, kh kw c/g d → n h w c; the kernel is not turned."""
    geometry = problem.geometry.transposed  # the geometry of the convolution again
    # δ ∗ k, a true convolution, is the gradient on the padded map: as long as what windows reached.
    reach = _reach(geometry)
    length = _lengths(reach)
    delta_hat = _spectrum(_dilate(delta, geometry.stride), length, geometry.groups)
    k_hat = _kernel_spectrum(kernel, length, geometry)
    x_hat = jnp.einsum("n...gd,...gcd->n...gc", delta_hat, k_hat, precision=geometry.precision)
    on_padded = _first(_inverse(x_hat, length), reach, (1,) * geometry.axes)
    # The padding is cut off; a remainder, which no window reached, receives zeros.
    edges = [
        (-low, h - (r - low), 0)
        for h, r, (low, _) in zip(geometry.dilated_input, reach, geometry.padding, strict=True)
    ]
    gradient = _pad_space(on_padded, edges)
    return _first(gradient, geometry.input, geometry.input_dilation).astype(delta.dtype)


@partial(jax.jit, static_argnames="problem")
def kernel_grad(x: Array, delta: Array, *, problem: Problem) -> Array:
    """x ⋆ dilate(δ): n h w c, n p q d → kh kw c/g d."""
    geometry = problem.geometry
    reach = _reach(geometry)
    length = _lengths(reach)
    x_hat = _spectrum(_on_padded_map(x, geometry, reach), length, geometry.groups)
    delta_hat = _spectrum(_dilate(delta, geometry.stride), length, geometry.groups)
    k_hat = jnp.einsum(
        "n...gc,n...gd->...cgd", x_hat, delta_hat.conj(), precision=geometry.precision
    )
    # The input channels of a group take the place of the batch, in front of the space.
    gradient = _inverse(jnp.moveaxis(k_hat, -3, 0), length)
    gradient = _first(gradient, geometry.window, geometry.dilation)
    return jnp.moveaxis(gradient, 0, -2).astype(x.dtype)


def _reach(geometry: Geometry) -> tuple[int, ...]:
    """How far the windows reach on the padded map: what lies behind the last one is not used."""
    return tuple(p + e - 1 for p, e in zip(geometry.dilated_output, geometry.extent, strict=True))


def _on_padded_map(x: Array, geometry: Geometry, reach: Sequence[int]) -> Array:
    """The map with the zeros of its dilation and its padding, as far as the windows reach."""
    edges = [
        (low, r - low - h, a - 1)
        for h, r, a, (low, _) in zip(
            geometry.dilated_input, reach, geometry.input_dilation, geometry.padding, strict=True
        )
    ]
    return _pad_space(x, edges)


def _dilate(x: Array, step: Sequence[int]) -> Array:
    return _pad_space(x, [(0, 0, s - 1) for s in step])


def _pad_space(x: Array, edges: Sequence[tuple[int, int, int]]) -> Array:
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])


def _first(x: Array, size: Sequence[int], step: Sequence[int]) -> Array:
    """`size` elements along every spatial axis, from the first on, in steps."""
    limits = [(p - 1) * s + 1 for p, s in zip(size, step, strict=True)]
    return lax.slice(x, (0,) * x.ndim, (x.shape[0], *limits, x.shape[-1]), (1, *step, 1))


def _lengths(sizes: Sequence[int]) -> tuple[int, ...]:
    """The next lengths without prime factors above 5: transforms of those are fast."""

    def smooth(n: int) -> bool:
        for factor in (2, 3, 5):
            while n % factor == 0:
                n //= factor
        return n == 1

    return tuple(next(n for n in range(size, 2 * size + 1) if smooth(n)) for size in sizes)


def _spectrum(x: Array, length: Sequence[int], groups: int) -> Array:
    """n h w (g c) → n f … g c: transformed over space, the channels of each group apart."""
    x = _transform(x, length)
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def _kernel_spectrum(kernel: Array, length: Sequence[int], geometry: Geometry) -> Array:
    """The spectrum of a kernel: kh kw c/g (g d/g) → f … g c/g d/g."""
    *window, c, d = kernel.shape
    flat = kernel.reshape(1, *window, c * d)
    k_hat = _transform(_dilate(flat, geometry.dilation), length)[0]
    k_hat = k_hat.reshape(*k_hat.shape[:-1], c, geometry.groups, d // geometry.groups)
    return jnp.moveaxis(k_hat, -3, -2)


def _transform(x: Array, length: Sequence[int]) -> Array:
    """The real transform over the spatial axes, which are padded with zeros to these lengths."""
    x = widen(x)
    edges = [(0, n - h, 0) for h, n in zip(x.shape[1:-1], length, strict=True)]
    x = jnp.moveaxis(_pad_space(x, edges), -1, 1)
    return jnp.moveaxis(lax.fft(x, lax.FftType.RFFT, tuple(length)), 1, -1)


def _inverse(x_hat: Array, length: Sequence[int]) -> Array:
    """n f … g c → n h w (g c)."""
    *rest, groups, channels = x_hat.shape
    x_hat = jnp.moveaxis(x_hat.reshape(*rest, groups * channels), -1, 1)
    return jnp.moveaxis(lax.fft(x_hat, lax.FftType.IRFFT, tuple(length)), 1, -1)
