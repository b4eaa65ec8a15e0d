"""⟨f(x), y⟩ = ⟨x, f*(y)⟩ to 1e-12 for every map and the adjoint that bears a name."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

import jaxcnn as jc
from jaxcnn.gradcheck import adjoint_error

pytestmark = pytest.mark.sampled(4)


def _normal(seed, shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


CONVOLUTIONS = [
    ((2, 9, 8, 4), (3, 2, 4, 6), {}),
    ((1, 8, 8, 2), (3, 3, 2, 3), {"stride": 3}),
    ((2, 10, 7, 4), (3, 2, 2, 6), {"stride": (3, 2), "dilation": (2, 1), "groups": 2}),
    ((1, 7, 6, 2), (3, 4, 2, 3), {"stride": 2, "padding": ((3, 0), (1, 2))}),
    ((3, 11, 2), (4, 2, 3), {"stride": 2, "padding": "SAME"}),
    ((1, 5, 4, 6, 2), (2, 3, 2, 2, 1), {"stride": (2, 1, 3), "padding": "FULL"}),
]


@pytest.mark.parametrize(("size", "window", "settings"), CONVOLUTIONS)
def test_convolution_and_its_two_gradients(size, window, settings):
    x, kernel = _normal(0, size), _normal(1, window)
    delta = _normal(2, jc.conv(x, kernel, **settings).shape)
    in_x = adjoint_error(
        lambda x: jc.conv(x, kernel, **settings),
        lambda delta: jc.conv_input_grad(delta, kernel, input_size=size[1:-1], **settings),
        x,
        delta,
    )
    in_kernel = adjoint_error(
        lambda kernel: jc.conv(x, kernel, **settings),
        lambda delta: jc.conv_kernel_grad(x, delta, kernel_size=window[:-2], **settings),
        kernel,
        delta,
    )
    assert in_x < 1e-12
    assert in_kernel < 1e-12


POOLINGS = [
    ((2, 6, 6, 3), {"window": 2}),
    ((1, 7, 9, 2), {"window": (2, 3), "stride": (2, 2)}),
    ((2, 7, 5, 2), {"window": 3, "stride": 2, "padding": ((1, 2), (0, 1))}),
    ((1, 9, 2), {"window": 4, "stride": 3, "padding": "SAME"}),
    ((1, 4, 5, 3, 1), {"window": 2, "stride": 1}),
]


@pytest.mark.parametrize(("size", "settings"), POOLINGS)
def test_sum_over_windows_and_its_adjoint(size, settings):
    x = _normal(0, size)
    delta = _normal(1, jc.sum_pool(x, **settings).shape)
    spread = partial(jc.sum_pool_input_grad, input_size=size[1:-1], **settings)
    assert adjoint_error(partial(jc.sum_pool, **settings), spread, x, delta) < 1e-12


@pytest.mark.parametrize(("size", "settings"), POOLINGS)
def test_gather_and_scatter_at_switches(size, settings):
    x = _normal(0, size)
    y, switches = jc.max_pool_with_switches(x, **settings)
    gathered = jc.gather_at_switches(x, switches, **settings)
    assert (gathered == y).all()
    gather = partial(jc.gather_at_switches, switches=switches, **settings)
    scatter = partial(jc.scatter_at_switches, switches=switches, input_size=size[1:-1], **settings)
    assert adjoint_error(gather, scatter, x, _normal(1, y.shape)) < 1e-12


def test_upsample_is_the_adjoint_of_the_tiling_sum():
    x, delta = _normal(0, (2, 6, 9, 2)), _normal(1, (2, 3, 3, 2))
    error = adjoint_error(
        lambda x: jc.sum_pool(x, (2, 3)), lambda d: jc.upsample(d, (2, 3)), x, delta
    )
    assert error < 1e-12


def test_dilate_and_subsample():
    x, y = _normal(0, (2, 4, 3, 2)), _normal(1, (2, 10, 5, 2))
    error = adjoint_error(lambda x: jc.dilate(x, (3, 2)), lambda y: jc.subsample(y, (3, 2)), x, y)
    assert error < 1e-12


def test_pad_channels_and_crop_channels():
    x, y = _normal(0, (2, 3, 2)), _normal(1, (2, 3, 7))
    pad, crop = (partial(op, before=1, after=4) for op in (jc.pad_channels, jc.crop_channels))
    assert adjoint_error(pad, crop, x, y) < 1e-12


def test_flatten_and_unflatten():
    x, y = _normal(0, (2, 4, 3, 2)), _normal(1, (2, 24))
    assert adjoint_error(jc.flatten, lambda y: jc.unflatten(y, (4, 3, 2)), x, y) < 1e-12


def test_rot180_is_its_own_adjoint():
    x, y = _normal(0, (3, 2, 2, 2)), _normal(1, (3, 2, 2, 2))
    assert adjoint_error(jc.rot180, jc.rot180, x, y) < 1e-12


def test_dense_and_its_two_gradients():
    x, weight, delta = _normal(0, (3, 5)), _normal(1, (5, 4)), _normal(2, (3, 4))
    in_x = adjoint_error(
        lambda x: jc.dense(x, weight), lambda d: jc.dense_input_grad(d, weight), x, delta
    )
    in_weight = adjoint_error(
        lambda w: jc.dense(x, w), lambda d: jc.dense_weight_grad(x, d), weight, delta
    )
    assert in_x < 1e-12
    assert in_weight < 1e-12


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("size", "window"), [((2, 9, 8, 4), (3, 2, 4, 6)), ((1, 8, 8, 2), (3, 3, 2, 3))]
)
def test_the_formulas_put_together_from_their_parts(size, window, stride):
    """∂x = full(dilate(δ), rot180(k)), filled with zeros; ∂k = x ⋆ dilate(δ), cropped."""
    x, kernel = _normal(0, size), _normal(1, window)
    delta = _normal(2, jc.conv(x, kernel, stride=stride).shape)

    full = jc.conv(
        jc.dilate(delta, stride), jnp.swapaxes(jc.rot180(kernel), -1, -2), padding="FULL"
    )
    rest = [(0, h - f) for h, f in zip(size, full.shape, strict=True)]
    delta_x = jc.conv_input_grad(delta, kernel, input_size=size[1:-1], stride=stride)
    full = jnp.pad(full, [(0, 0), *rest[1:-1], (0, 0)])
    assert jnp.allclose(full, delta_x, rtol=0, atol=1e-12)

    per_map = jc.conv(x.transpose(3, 1, 2, 0), jc.dilate(delta, stride).transpose(1, 2, 0, 3))
    per_map = per_map.transpose(1, 2, 0, 3)[: window[0], : window[1]]
    delta_kernel = jc.conv_kernel_grad(x, delta, kernel_size=window[:-2], stride=stride)
    assert jnp.allclose(per_map, delta_kernel, rtol=0, atol=1e-12)
