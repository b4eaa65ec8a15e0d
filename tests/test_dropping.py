"""Dropped maps and squares: what is dropped, how much, and what the rest is scaled by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn.layers import Activation, Conv, DropBlock, Maxout, SpatialDropout, serial

KEY = jax.random.key(0)


def test_spatial_dropout_drops_whole_maps():
    x = jnp.ones((8, 3, 4, 50), jnp.float32)
    y = jc.spatial_dropout(x, KEY, 0.25)
    flat = np.asarray(y).reshape(8, 12, 50)
    assert (flat == flat[:, :1]).all()
    assert set(np.unique(flat)) == {0, np.float32(1 / 0.75)}
    assert 60 < (flat[:, 0] == 0).sum() < 140


def test_nothing_and_everything_dropped():
    x = jax.random.normal(KEY, (2, 4, 4, 3))
    assert np.array_equal(jc.spatial_dropout(x, KEY, 0), x)
    assert np.array_equal(jc.drop_block(x, KEY, 0, 2), x)
    for drop in (lambda x: jc.spatial_dropout(x, KEY, 1), lambda x: jc.drop_block(x, KEY, 1, 4)):
        assert not drop(x).any()
        assert not jax.grad(lambda x, drop=drop: drop(x).sum())(x).any()
        assert not jax.grad(lambda x, drop=drop: (drop(x) ** 2).sum())(x).any()


@pytest.mark.parametrize("block", [(1, 1), (3, 3), (2, 4)])
def test_what_is_dropped_is_a_union_of_blocks_and_the_rest_keeps_the_sum(block):
    x = jnp.ones((16, 13, 11, 8))
    y = np.asarray(jc.drop_block(x, KEY, 0.15, block))
    dropped = y == 0
    # Every dropped element lies in a block that is dropped altogether.
    windows = np.lib.stride_tricks.sliding_window_view(dropped, block, (1, 2)).all((-1, -2))
    covered = np.zeros_like(dropped)
    for a, b in np.ndindex(*block):
        covered[:, a : a + 14 - block[0], b : b + 12 - block[1]] |= windows
    assert np.array_equal(covered, dropped)
    assert np.isclose(y.sum(), x.sum())
    assert 0.10 < dropped.mean() < 0.17


def test_drop_block_of_single_elements_is_dropout_at_the_true_rate():
    x = jnp.ones((1, 50, 50, 8))
    y = jc.drop_block(x, KEY, 0.3, 1)
    kept = float((y != 0).mean())
    assert abs(kept - 0.7) < 0.02
    assert np.allclose(y[y != 0], 1 / kept)


def test_each_channel_and_example_has_squares_of_its_own():
    y = jc.drop_block(jnp.ones((2, 8, 8, 2)), KEY, 0.3, 3)
    maps = np.moveaxis(np.asarray(y != 0), -1, 1).reshape(4, -1)
    assert len({tuple(m) for m in maps}) == 4


def test_layers_only_drop_in_training():
    net = serial(SpatialDropout(0.5), DropBlock(0.3, 2))
    x = jnp.ones((2, 6, 6, 8), jnp.float32)
    params, state = net.init(KEY, (6, 6, 8))
    assert (params, state) == ({}, {})
    assert np.array_equal(net.apply({}, {}, x)[0], x)
    y, _ = net.apply({}, {}, x, key=KEY, train=True)
    assert 0 < (y == 0).sum() < x.size
    twin, _ = jc.autodiff_twin(net).apply({}, {}, x, key=KEY, train=True)
    assert np.allclose(y, twin, rtol=1e-6, atol=0)


def test_maxout_and_other_activations_as_layers():
    net = serial(Conv(6, 3), Maxout(3), Activation(jc.mish), Activation(jc.leaky_relu))
    params, state = net.init(KEY, (5, 5, 2))
    y, _ = net.apply(params, state, jnp.ones((1, 5, 5, 2), jnp.float32))
    assert y.shape == (1, 3, 3, 2)
    assert [name for name, _ in net.children][1:] == ["maxout1", "mish1", "leaky_relu1"]
