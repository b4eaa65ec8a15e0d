"""Networks of five libraries train the same with rules inside."""

import os
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import with_rules
from jaxcnn.gradcheck import relative_error

IMAGES = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype(np.float32)
LABELS = np.arange(8, dtype=np.int32) % 4
STEPS = 3


@pytest.fixture(autouse=True)
def promotion():
    """They promote dtypes and ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        jax.config.update("jax_enable_x64", False)
        yield
        jax.config.update("jax_enable_x64", True)


def loss_of(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()


def descended(value_and_grad, params):
    """The losses of some steps, each a program."""
    losses = []
    for _ in range(STEPS):
        loss, gradient = value_and_grad(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
        losses.append(loss)
    return jnp.stack(losses)


def linen():
    from flax import linen as nn

    class Network(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.Conv(8, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
            x = nn.ConvTranspose(8, (3, 3), (2, 2))(nn.max_pool(x, (2, 2), (2, 2)))
            x = nn.avg_pool(x, (3, 3), (2, 2), "SAME", count_include_pad=False)
            return nn.Dense(4)(x.mean((1, 2)))

    network = Network()
    variables = network.init(jax.random.key(0), IMAGES, False)
    state = {"batch_stats": variables["batch_stats"]}

    def train(inside):
        apply = inside(network.apply)

        def loss(params):
            logits, _ = apply({"params": params, **state}, IMAGES, True, mutable=["batch_stats"])
            return loss_of(logits)

        return descended(jax.jit(jax.value_and_grad(loss)), variables["params"])

    return train, lambda: with_rules(network.apply).explain(variables, IMAGES, False)


def nnx():
    from flax import nnx

    class Network(nnx.Module):
        def __init__(self, rngs):
            self.conv = nnx.Conv(3, 8, (3, 3), use_bias=False, rngs=rngs)
            self.norm = nnx.BatchNorm(8, rngs=rngs)
            self.transposed = nnx.ConvTranspose(8, 8, (3, 3), (2, 2), rngs=rngs)
            self.depthwise = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.dense = nnx.Linear(8, 4, rngs=rngs)

        def __call__(self, x):
            x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (2, 2), (2, 2))
            x = nnx.avg_pool(nnx.relu(self.depthwise(self.transposed(x))), (2, 2), (2, 2))
            return self.dense(self.dropout(x.mean((1, 2))))

    def train(inside):
        network = Network(nnx.Rngs(0))
        optimizer = nnx.Optimizer(network, optax.sgd(0.1), wrt=nnx.Param)
        loss = inside(lambda network: loss_of(network(IMAGES)))

        @nnx.jit
        def step(network, optimizer):
            value, gradient = nnx.value_and_grad(loss)(network)
            optimizer.update(network, gradient)
            return value

        losses = jnp.stack([step(network, optimizer) for _ in range(STEPS)])
        # Running statistics, too, and the count of masks drawn, are what they would be.
        return losses, nnx.state(network, (nnx.BatchStat, nnx.RngCount))

    def explained():
        return with_rules(lambda network: network(IMAGES)).explain(Network(nnx.Rngs(0)))

    return train, explained


def equinox():
    import equinox as eqx

    keys = jax.random.split(jax.random.key(0), 4)
    network = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 8, 3, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.MaxPool2d(2, 2),
            eqx.nn.ConvTranspose2d(8, 8, 3, stride=2, key=keys[1]),
            eqx.nn.AvgPool2d(2, 2),
            eqx.nn.Conv2d(8, 8, 3, groups=8, key=keys[2]),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(8 * 5 * 5, 4, key=keys[3]),
        ]
    )
    images = np.moveaxis(IMAGES, -1, 1)

    def train(inside):
        loss = inside(lambda network: loss_of(jax.vmap(network)(images)))
        step = eqx.filter_jit(eqx.filter_value_and_grad(loss))
        model, losses = network, []
        for _ in range(STEPS):
            value, gradient = step(model)
            model = eqx.apply_updates(model, jax.tree.map(lambda g: -0.1 * g, gradient))
            losses.append(value)
        return jnp.stack(losses)

    return train, lambda: with_rules(jax.vmap(network)).explain(images)


def haiku():
    import haiku as hk

    def network(x, train):
        x = jax.nn.relu(hk.BatchNorm(True, True, 0.9)(hk.Conv2D(8, 3, with_bias=False)(x), train))
        x = hk.Conv2DTranspose(8, 3, 2)(hk.max_pool(x, (2, 2, 1), (2, 2, 1), "SAME"))
        x = hk.DepthwiseConv2D(1, 3)(hk.avg_pool(x, (2, 2, 1), (2, 2, 1), "SAME"))
        return hk.Linear(4)(x.mean((1, 2)))

    model = hk.transform_with_state(network)
    params, state = model.init(jax.random.key(0), IMAGES, True)

    def train(inside):
        apply = inside(model.apply)
        loss = lambda params: loss_of(apply(params, state, None, IMAGES, True)[0])  # noqa: E731
        return descended(jax.jit(jax.value_and_grad(loss)), params)

    return train, lambda: with_rules(model.apply).explain(params, state, None, IMAGES, True)


def keras_network():
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2DTranspose(8, 3, 2),
            layers.DepthwiseConv2D(3),
            layers.AveragePooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def keras():
    network = keras_network()
    params = [variable.value for variable in network.trainable_variables]
    state = [variable.value for variable in network.non_trainable_variables]

    def train(inside):
        call = inside(network.stateless_call)
        loss = lambda params: loss_of(call(params, state, IMAGES, training=True)[0])  # noqa: E731
        return descended(jax.jit(jax.value_and_grad(loss)), params)

    return train, lambda: with_rules(network).explain(IMAGES)


LIBRARIES = SimpleNamespace(
    linen=(linen, "flax"), nnx=(nnx, "flax"), equinox=(equinox, "equinox"),
    haiku=(haiku, "haiku"), keras=(keras, "keras"),
)  # fmt: skip
OPERATIONS = {"conv_general_dilated", "reduce_window_max", "reduce_window_sum"}


@pytest.mark.parametrize("library", vars(LIBRARIES))
def test_a_network_trains_the_same(library):
    build, package = getattr(LIBRARIES, library)
    os.environ["KERAS_BACKEND"] = "jax"
    pytest.importorskip(package, reason=f"{package} is not installed (extra: peers)")
    train, explain = build()
    assert relative_error(train(with_rules), train(lambda f: f))[0] < 2e-5
    explained = explain()
    assert {found.operation for found in explained.replaced} == OPERATIONS
    assert {found.operation for found in explained.left} <= {"dot_general"}  # a small one


def test_state_that_keras_would_lose_is_refused():
    os.environ["KERAS_BACKEND"] = "jax"
    pytest.importorskip("keras", reason="keras is not installed (extra: peers)")
    network = keras_network()
    before = [np.asarray(variable.value) for variable in network.variables]
    for f in (network, lambda x, training: network(x, training=training)):
        with pytest.raises(ValueError, match=r"^with_rules: .* stateless_call inside"):
            with_rules(f)(IMAGES, training=True)
    assert all(map(np.array_equal, before, [v.value for v in network.variables]))
