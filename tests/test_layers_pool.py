"""Poolings as layers: settings reach the operations, receptive fields are what gradients see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers
from jaxcnn.layers import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Conv,
    ConvTranspose,
    Dense,
    Dilate,
    Fold,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
    Patches,
    PixelShuffle,
    PixelUnshuffle,
    Resize,
    SumPool,
    Upsample,
    serial,
)

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 9, 8, 3), jnp.float64)
SETTINGS = {"stride": 2, "padding": ((1, 0), 1), "dilation": (1, 2), "ceil_mode": True}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (MaxPool(2, **SETTINGS), lambda x: jc.max_pool(x, 2, **SETTINGS)),
        (
            AvgPool(2, **SETTINGS, count_include_pad=False),
            lambda x: jc.avg_pool(x, 2, **SETTINGS, count_include_pad=False),
        ),
        (SumPool(2, **SETTINGS), lambda x: jc.sum_pool(x, 2, **SETTINGS)),
        (LpPool(2, p=3, **SETTINGS), lambda x: jc.lp_pool(x, 2, 3, **SETTINGS)),
        (GlobalMaxPool(), jc.global_max_pool),
        (GlobalMaxPool(keepdims=True), lambda x: x.max((1, 2), keepdims=True)),
        (GlobalAvgPool(), jc.global_avg_pool),
        (GlobalAvgPool(keepdims=True), lambda x: x.mean((1, 2), keepdims=True)),
        (AdaptiveMaxPool((3, 5)), lambda x: jc.adaptive_max_pool(x, (3, 5))),
        (AdaptiveAvgPool((3, 5)), lambda x: jc.adaptive_avg_pool(x, (3, 5))),
        (Upsample((2, 3)), lambda x: jc.upsample(x, (2, 3))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_layer_is_its_operation(layer, expected):
    params, state = layer.init(KEY, X.shape[1:])
    assert params == state == {}
    y, _ = layer.apply(params, state, X)
    assert np.allclose(y, expected(X), rtol=0, atol=1e-14)
    assert layers.rows(layer, X.shape[1:])[0].output_shape == y.shape[1:]
    twin, _ = jc.autodiff_twin(layer).apply(params, state, X)
    assert np.allclose(twin, y, rtol=0, atol=1e-14)


NETS = {
    "dilated": serial(MaxPool(3, 2, dilation=2), Conv(1, 2), SumPool(2, dilation=(1, 3), stride=1)),
    "up": serial(Upsample(2), Conv(1, 3)),
    "up, even window": serial(AvgPool(2), Upsample(2), Conv(1, 2)),
    "up twice": serial(Upsample(2), Conv(1, 2), Upsample((3, 2)), Conv(1, (4, 3))),
    "down and up": serial(LpPool(3, 2), Conv(1, 3), Upsample(2), Conv(1, 3, padding="SAME")),
    "up, shuffled": serial(Conv(4, 2), PixelShuffle(2), Conv(1, (2, 3))),
    "up, linear": serial(Resize(scale=2, method="linear"), Conv(1, 2)),
    "down, cubic": serial(Resize((10, 11), method="cubic"), Conv(1, 2)),
    "down, nearest": serial(Resize((10, 13)), Conv(1, 3)),
    "deep": serial(PixelUnshuffle((1, 2)), Conv(1, 3)),
    "up by zeros": serial(AvgPool(2), Dilate(2), Conv(1, 3)),
    "up by an input dilation": serial(Conv(1, 2), Conv(1, (3, 2), input_dilation=2)),
    "up, transposed": serial(AvgPool(2), ConvTranspose(1, 3, stride=2), Conv(1, 2)),
    "up, folded": serial(Patches(3, 2), Conv(9, 1), Fold(3, 2, input_size=(7, 7)), Conv(1, 2)),
    "adaptive, tiling": serial(Conv(1, 2), AdaptiveAvgPool((6, 5))),
    "adaptive, overlapping": serial(AdaptiveAvgPool((7, 9)), Conv(1, 2)),
    "adaptive, alone": serial(AdaptiveAvgPool((7, 18))),
}


LONG = {"up by zeros", "up by an input dilation", "up, folded"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full) if name in LONG else name for name in NETS]
)
def test_receptive_fields_by_gradient(name):
    """The largest extent, over all outputs, of what the gradient of one output does not leave 0."""
    # A map that grows needs no more than the widest field; a Jacobian row per output is costly.
    net, size = NETS[name], (7, 8, 1) if name.startswith("up") else (25, 26, 1)
    params, state = net.init(KEY, size, dtype=jnp.float64)
    params = jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.1, params)
    x = jax.random.uniform(KEY, (1, *size), jnp.float64, 0.5, 1)
    if name == "dilated":  # of a maximum the gradient sees one element: put a sum in its place
        net = serial(SumPool(3, 2, dilation=2), *(layer for _, layer in net.children[1:]))
        params = {"conv1": params["conv1"]}

    @jax.jit
    def seen(x):
        y, pull = jax.vjp(lambda x: net.apply(params, state, x)[0], x)
        basis = jnp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
        return jax.lax.map(lambda delta: pull(delta)[0][0, :, :, 0] != 0, basis)

    reached = np.asarray(seen(x))
    extent = tuple(
        max(int(np.ptp(np.flatnonzero(one.any(axis)))) + 1 for one in reached) for axis in (1, 0)
    )
    assert layers.rows(NETS[name], size)[-1].receptive_field == extent


def test_a_global_pooling_sees_the_whole_input():
    net = serial(Conv(4, 3), GlobalAvgPool(), Dense(3))
    table = layers.rows(net, (9, 9, 2))
    assert [row.output_shape for row in table] == [(7, 7, 4), (4,), (3,)]
    assert [row.receptive_field for row in table] == [(3, 3), None, None]


def test_networks_of_poolings_are_values():
    assert LpPool(2, p=3) == LpPool(2, p=3) != LpPool(2, p=2)
    assert hash(MaxPool(2, dilation=2)) != hash(MaxPool(2))
    net = serial(MaxPool(2), MaxPool(2), GlobalMaxPool())
    assert [name for name, _ in net.children] == ["maxpool1", "maxpool2", "globalmaxpool1"]
