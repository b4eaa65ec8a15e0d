"""Networks as data: init, apply, summary, twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers, models
from jaxcnn.layers import Activation, AvgPool, Conv, Dense, Dropout, Flatten, MaxPool, serial

KEY = jax.random.key(0)


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("flavour", ["relu", "1998"])
def test_lenet5_has_61706_parameters_and_the_papers_shapes(flavour):
    net = models.lenet5(flavour)
    params, state = net.init(KEY, (32, 32, 1))
    assert count(params) == 61_706
    assert state == {}
    shapes = {row.name: row.output_shape for row in layers.rows(net, (32, 32, 1))}
    assert shapes["c1"] == (28, 28, 6)
    assert shapes["s2"] == (14, 14, 6)
    assert shapes["c3"] == (10, 10, 16)
    assert shapes["s4"] == (5, 5, 16)
    assert shapes["flatten"] == (400,)
    assert shapes["c5"] == (120,)
    assert shapes["f6"] == (84,)
    assert shapes["output"] == (10,)
    y, _ = net.apply(params, state, jnp.ones((3, 32, 32, 1), jnp.float32))
    assert y.shape == (3, 10)
    assert y.dtype == jnp.float32


def test_lenet5_flavours_differ_in_pooling_and_activation():
    kinds = {row.kind for row in layers.rows(models.lenet5("1998"), (32, 32, 1))}
    assert {"avgpool", "tanh"} <= kinds
    assert not {"maxpool", "relu"} & kinds


def test_receptive_fields_by_gradient():
    """The field that the summary names is where the gradient of one output is not zero."""
    net = serial(
        Conv(2, 5, stride=2), AvgPool(3, 2), Conv(1, (3, 2), dilation=(2, 1), padding="SAME")
    )
    params, state = net.init(KEY, (61, 61, 1), dtype=jnp.float64)
    x = jax.random.normal(KEY, (1, 61, 61, 1), jnp.float64)
    shape = layers.rows(net, (61, 61, 1))[-1].output_shape
    middle = (0, shape[0] // 2, shape[1] // 2, 0)
    seen = jax.grad(lambda x: net.apply(params, state, x)[0][middle])(x)[0, :, :, 0] != 0
    extent = tuple(int(np.ptp(np.flatnonzero(seen.any(axis)))) + 1 for axis in (1, 0))
    assert layers.rows(net, (61, 61, 1))[-1].receptive_field == extent


def test_the_summary_is_a_table_of_every_layer_with_the_total():
    text = layers.summary(models.lenet5(), (32, 32, 1))
    lines = text.splitlines()
    titles = "layer operation output shape parameters multiply-adds receptive field"
    first = "c1 conv 28 × 28 × 6 156 117,600 5 × 5"
    assert [lines[0].split(), lines[3].split()] == [titles.split(), first.split()]
    assert lines[-1].split() == ["total", "61,706", "416,520"]
    assert len({len(line) for line in lines if set(line) == {"-"}}) == 1


def test_layers_are_named_after_kind_and_number_or_as_told():
    net = serial(Conv(2, 3), Activation(jc.relu), Conv(2, 3), Activation(jc.relu), head=Dense(3))
    assert [name for name, _ in net.children] == ["conv1", "relu1", "conv2", "relu2", "head"]


def test_an_activation_keeps_the_settings_of_its_operation():
    x = jnp.array([[-1.0, 2.0]])
    steep, exact = (
        Activation(jc.leaky_relu, {"slope": 0.2}),
        Activation(jc.gelu, {"approximate": False}),
    )
    assert steep == Activation(jc.leaky_relu, (("slope", 0.2),)) != Activation(jc.leaky_relu)
    assert hash(steep) == hash(Activation(jc.leaky_relu, {"slope": 0.2}))
    net = serial(steep, exact, Activation(jc.softmax, {"axis": -1}))
    params, state = net.init(jax.random.key(0), (2,), dtype=x.dtype)
    expected = jc.softmax(jc.gelu(jc.leaky_relu(x, slope=0.2), approximate=False))
    assert np.array_equal(net.apply(params, state, x)[0], expected)
    twin = jc.autodiff_twin(net).apply(params, state, x)[0]
    assert np.allclose(twin, expected, rtol=0, atol=1e-15)


def test_networks_are_values():
    assert models.lenet5() == models.lenet5()
    assert hash(models.lenet5()) == hash(models.lenet5())
    assert models.lenet5() != models.lenet5("1998")
    assert MaxPool(2) != AvgPool(2)


def test_init_is_a_function_of_the_key():
    net = models.lenet5()
    one, _ = net.init(KEY, (32, 32, 1))
    same, _ = net.init(KEY, (32, 32, 1))
    other, _ = net.init(jax.random.key(1), (32, 32, 1))
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, one, same)))
    assert not np.array_equal(one["c1"]["kernel"], other["c1"]["kernel"])
    assert not np.array_equal(one["c5"]["weight"].ravel()[:850], one["output"]["weight"].ravel())


def test_nested_networks_and_one_dimension():
    block = serial(Conv(4, 3, padding="SAME"), Activation(jc.tanh))
    net = serial(stem=block, body=block, pool=AvgPool(2), flatten=Flatten(), head=Dense(2))
    params, state = net.init(KEY, (10, 3))
    assert set(params) == {"stem", "body", "head"}
    assert params["stem"]["conv1"]["kernel"].shape == (3, 3, 4)
    y, _ = jax.jit(net.apply)(params, state, jnp.ones((2, 10, 3), jnp.float32))
    assert y.shape == (2, 2)
    assert [row.name for row in layers.rows(net, (10, 3))][:2] == ["stem/conv1", "stem/tanh1"]


def test_dropout_only_drops_in_training_and_each_layer_has_its_own_mask():
    net = serial(Dropout(0.5), Dropout(0.5))
    x = jnp.ones((4, 100), jnp.float32)
    y, _ = net.apply({}, {}, x)
    assert np.array_equal(y, x)
    y, _ = net.apply({}, {}, x, key=KEY, train=True)
    assert set(np.unique(y)) == {0.0, 4.0}
    assert 60 < float((y > 0).sum()) < 140


def test_the_twin_of_a_network_is_the_same_value_with_other_rules():
    net = models.lenet5("1998")
    twin = jc.autodiff_twin(net)
    assert [name for name, _ in twin.children] == [name for name, _ in net.children]
    assert "by_hand" not in str(
        jax.make_jaxpr(lambda p, x: twin.apply(p, {}, x)[0])(
            net.init(KEY, (32, 32, 1))[0], jnp.ones((1, 32, 32, 1), jnp.float32)
        )
    )


@pytest.mark.parametrize("flavour", ["relu", pytest.param("1998", marks=pytest.mark.full)])
def test_lenet5_gradients_agree_with_autodiff_to_1e_10(flavour):
    net = models.lenet5(flavour)
    params, state = net.init(KEY, (32, 32, 1), dtype=jnp.float64)
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 1), jnp.float64)
    labels = jnp.array([3, 9])

    def gradients(net, loss):
        return jax.jit(jax.grad(lambda p, x: loss(net.apply(p, state, x)[0], labels), (0, 1)))(
            params, x
        )

    ours = gradients(net, jc.softmax_cross_entropy)
    theirs = gradients(jc.autodiff_twin(net), jc.autodiff_twin(jc.softmax_cross_entropy))
    error, where = jc.gradcheck.relative_error(ours, theirs)
    assert error < 1e-10, where


C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip


def test_lenet5s_c3_with_its_table_has_1516_parameters():
    params, _ = layers.TableConv(C3_TABLE, 5).init(KEY, (14, 14, 6))
    assert count(params) == 1_516


def test_a_separable_convolution_has_the_parameters_that_quan_counts():
    m, n, k = 8, 12, 3
    net = layers.separable_conv(n, k, use_bias=False)
    params, state = net.init(KEY, (10, 10, m))
    assert count(params) == n * m + m * k * k
    y, _ = net.apply(params, state, jnp.ones((1, 10, 10, m), jnp.float32))
    assert y.shape == (1, 10, 10, n)


def test_an_autoencoder_returns_to_its_size_and_a_circular_network_is_equivariant():
    net = serial(
        down=Conv(4, 3, stride=2, padding=1),
        up=layers.ConvTranspose(1, 3, stride=2, padding=1, output_padding=1),
    )
    params, state = net.init(KEY, (8, 8, 1))
    y, _ = net.apply(params, state, jnp.ones((2, 8, 8, 1), jnp.float32))
    assert y.shape == (2, 8, 8, 1)

    ring = serial(layers.Pad(1, "circular"), Conv(3, 3))
    params, state = ring.init(KEY, (6, 6, 2), dtype=jnp.float64)
    x = jax.random.normal(KEY, (1, 6, 6, 2), jnp.float64)
    y, _ = ring.apply(params, state, x)
    rolled, _ = ring.apply(params, state, jnp.roll(x, (2, 1), (1, 2)))
    assert np.allclose(rolled, jnp.roll(y, (2, 1), (1, 2)), rtol=0, atol=1e-14)
