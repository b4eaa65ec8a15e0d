"""Kernels that pass their input on, and kernels that whiten patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.nn import initializers

import jaxcnn as jc
from jaxcnn.initializers import dirac, patch_whitening
from jaxcnn.layers import Conv

KEY = jax.random.key(0)


def normal(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("size", "window", "groups"),
    [
        ((2, 7, 3), (3,), 1),
        ((2, 6, 4), (4,), 2),
        ((1, 5, 6, 3), (3, 5), 1),
        ((1, 5, 6, 6), (2, 3), 3),
        ((2, 4, 5, 4), (1, 4), 4),
        ((1, 4, 3, 5, 4), (3, 2, 1), 2),
    ],
)
def test_a_dirac_kernel_returns_its_input(size, window, groups):
    x, c = normal(0, size), size[-1]
    kernel = dirac(groups)(KEY, (*window, c // groups, c), jnp.float64)
    np.testing.assert_array_equal(jc.conv(x, kernel, padding="SAME_LOWER", groups=groups), x)
    if all(k % 2 for k in window):
        np.testing.assert_array_equal(jc.conv(x, kernel, padding="SAME", groups=groups), x)


def test_more_filters_than_channels_are_left_to_the_rest():
    x = normal(0, (1, 5, 5, 4))
    kernel = np.asarray(dirac(2)(KEY, (3, 3, 2, 10), jnp.float64))
    y = np.asarray(jc.conv(x, kernel, padding="SAME", groups=2))
    np.testing.assert_array_equal(y[..., :2], x[..., :2])
    np.testing.assert_array_equal(y[..., 5:7], x[..., 2:])
    assert not y[..., 2:5].any()
    assert not y[..., 7:].any()
    drawn = np.asarray(dirac(2, initializers.constant(0.5))(KEY, (3, 3, 2, 10), jnp.float64))
    np.testing.assert_array_equal(drawn[..., :2], kernel[..., :2])
    np.testing.assert_array_equal(drawn[..., 5:7], kernel[..., 5:7])
    assert (drawn[..., 2:5] == 0.5).all()
    assert (drawn[..., 7:] == 0.5).all()


def test_fewer_filters_than_channels_pass_the_first():
    x = normal(0, (1, 6, 5))
    kernel = dirac()(KEY, (3, 5, 2), jnp.float64)
    np.testing.assert_array_equal(jc.conv(x, kernel, padding="SAME"), x[..., :2])


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((3, 2, 4), 1), ((4, 3, 2, 7), 1), ((2, 3, 2, 6), 3), ((3, 4, 5, 3, 2), 2), ((5, 3, 2), 1)],
)
def test_dirac_is_pytorchs(shape, groups):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    *window, c, d = shape
    weight = torch.empty(d, c, *window)
    torch.nn.init.dirac_(weight, groups)
    theirs = np.moveaxis(weight.numpy(), (0, 1), (-1, -2))
    np.testing.assert_array_equal(dirac(groups)(KEY, shape), theirs)


def correlated(size, seed=0):
    """Images whose neighbours and channels are alike."""
    x = np.random.default_rng(seed).standard_normal(size)
    for axis in range(1, len(size)):
        x = x + 0.8 * np.roll(x, 1, axis)
    return x


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("size", "window"),
    [((20, 9, 8, 3), (2, 2)), ((30, 20, 2), (3,)), ((5, 5, 6, 7, 2), (2, 1, 2))],
)
def test_whitened_patches_are_uncorrelated_and_of_unit_size(size, window, monkeypatch):
    monkeypatch.setattr("jaxcnn.initializers._CHUNK", 3000)  # several rounds, the last one short
    x = correlated(size)
    taps = int(np.prod(window)) * size[-1]
    kernel = patch_whitening(x, epsilon=1e-12)(KEY, (*window, size[-1], 2 * taps), jnp.float64)
    y = np.asarray(jc.conv(jnp.asarray(x), kernel)).reshape(-1, 2 * taps)
    moment = y.T @ y / len(y)
    identity = np.eye(taps)
    np.testing.assert_allclose(
        moment, np.block([[identity, -identity], [-identity, identity]]), atol=1e-10
    )
    kernel = np.asarray(kernel)
    np.testing.assert_array_equal(kernel[..., taps:], -kernel[..., :taps])


def test_the_largest_eigenvalues_come_first_and_epsilon_keeps_the_small_ones_small():
    x = correlated((10, 9, 8, 2))
    x[..., 1] = 1e-4 * x[..., 1]
    kernels = np.asarray(patch_whitening(x)(KEY, (2, 2, 2, 16), jnp.float64))
    y = np.asarray(jc.conv(jnp.asarray(x), kernels)).reshape(-1, 16)
    size = (y**2).mean(0)[:8]
    assert (np.diff(size) < 1e-12).all()
    np.testing.assert_allclose(size[:4], 1, atol=1e-2)
    assert (size[4:] < 1e-3).all()
    few = np.asarray(patch_whitening(x)(KEY, (2, 2, 2, 6), jnp.float64))
    np.testing.assert_array_equal(few[..., :3], kernels[..., :3])
    np.testing.assert_array_equal(few[..., 3:], -kernels[..., :3])


def test_an_eigenvectors_largest_entry_is_positive():
    kernel = patch_whitening(correlated((10, 6, 6, 3)))(KEY, (2, 2, 3, 24), jnp.float64)
    vectors = np.asarray(kernel)[..., :12].reshape(12, 12)
    assert (vectors.max(0) == abs(vectors).max(0)).all()


def test_they_are_initialisers_of_a_layer():
    x = jnp.asarray(correlated((4, 6, 6, 3)), jnp.float32)
    for init, features in ((dirac(), 5), (patch_whitening(x), 24)):
        layer = Conv(features, 2, kernel_init=init)
        params, state = jax.jit(lambda key, layer=layer: layer.init(key, (6, 6, 3)))(KEY)
        y, _ = layer.apply(params, state, x)
        assert y.shape == (4, 5, 5, features)
        assert params["kernel"].dtype == jnp.float32
        assert jnp.isfinite(y).all()
