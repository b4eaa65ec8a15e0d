"""Networks of five libraries train the same with rules inside."""

import os
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import with_rules
from jaxcnn.gradcheck import random_like, relative_error

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


def cast(tree, dtype):
    return jax.tree.map(
        lambda a: a.astype(dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a, tree
    )


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

    def logits(params, images):
        variables = {"params": params, **cast(state, images.dtype)}
        return network.apply(variables, images, True, mutable=["batch_stats"])[0]

    explain = lambda: with_rules(network.apply).explain(variables, IMAGES, False)  # noqa: E731
    return train, explain, (logits, variables["params"])


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

    graph, params, rest = nnx.split(Network(nnx.Rngs(0)), nnx.Param, ...)
    logits = lambda p, images: nnx.merge(graph, p, cast(rest, images.dtype))(images)  # noqa: E731
    return train, explained, (logits, params)


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

    params, rest = eqx.partition(network, eqx.is_array)

    def logits(params, images):
        return jax.vmap(eqx.combine(params, rest))(jnp.moveaxis(images, -1, 1))

    return train, lambda: with_rules(jax.vmap(network)).explain(images), (logits, params)


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

    def logits(params, images):
        return model.apply(params, cast(state, images.dtype), None, images, True)[0]

    explain = lambda: with_rules(model.apply).explain(params, state, None, IMAGES, True)  # noqa: E731
    return train, explain, (logits, params)


def keras_network(dtype="float32", norm=True):
    """Its layers cast what they are given to the dtype that they are made with.

    But on JAX its norms compute in float32 whatever they are given.
    """
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    keras.utils.set_random_seed(0)
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, use_bias=False),
            *[layers.BatchNormalization()] * norm,
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Conv2DTranspose(8, 3, 2),
            layers.DepthwiseConv2D(3),
            layers.AveragePooling2D(2, padding="same"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return network


def keras():
    network = keras_network()
    params = [variable.value for variable in network.trainable_variables]
    state = [variable.value for variable in network.non_trainable_variables]

    def train(inside):
        call = inside(network.stateless_call)
        loss = lambda params: loss_of(call(params, state, IMAGES, training=True)[0])  # noqa: E731
        return descended(jax.jit(jax.value_and_grad(loss)), params)

    networks = {}
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            networks[dtype] = keras_network(dtype, norm=False)
    weights = [variable.value for variable in networks["float32"].trainable_variables]

    def logits(params, images):
        return networks[images.dtype.name].stateless_call(params, [], images, training=True)[0]

    return train, lambda: with_rules(network).explain(IMAGES), (logits, weights)


LIBRARIES = SimpleNamespace(
    linen=(linen, "flax"), nnx=(nnx, "flax"), equinox=(equinox, "equinox"),
    haiku=(haiku, "haiku"), keras=(keras, "keras"),
)  # fmt: skip
OPERATIONS = {"conv_general_dilated", "reduce_window_max", "reduce_window_sum"}


def built(library):
    build, package = getattr(LIBRARIES, library)
    os.environ["KERAS_BACKEND"] = "jax"
    pytest.importorskip(package, reason=f"{package} is not installed (extra: peers)")
    return build()


@pytest.mark.parametrize("library", vars(LIBRARIES))
def test_a_network_trains_the_same(library):
    train, explain, _ = built(library)
    assert relative_error(train(with_rules), train(lambda f: f))[0] < 2e-5
    explained = explain()
    assert {found.operation for found in explained.replaced} == OPERATIONS
    assert {found.operation for found in explained.left} <= {"dot_general"}  # a small one


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("library", vars(LIBRARIES))
def test_values_and_derivatives_are_its_own(library, dtype, bound):
    """In both modes, with rules in the network and around a step that holds `jax.grad`."""
    *_, (logits, params) = built(library)
    with jax.enable_x64(dtype == "float64"):
        params, images = cast((params, IMAGES), dtype)
        dots = random_like((params, images), 0)

        def step(logits, *given):
            return jax.value_and_grad(lambda *given: loss_of(logits(*given)), (0, 1))(*given)

        @partial(jax.jit, static_argnums=(0, 1))
        def found(logits, around, *given):
            return jax.jvp(logits, given, dots), around(partial(step, logits))(*given)

        plain = lambda f: f  # noqa: E731
        right, inside, around = (
            found(f, wrapped, params, images)
            for f, wrapped in ((logits, plain), (with_rules(logits), plain), (logits, with_rules))
        )
        explained = with_rules(partial(step, logits)).explain(params, images)
    for mine in (inside, around):
        print(f"{library} {dtype}: {relative_error(mine, right)[0]:.1e}")
        assert relative_error(mine, right)[0] <= bound
    names = {found.by for found in explained.replaced}
    assert names >= {"conv", "conv_kernel_grad", "the backward pass of max_pool", "sum_pool"}
    assert {found.operation for found in explained.left} <= {"dot_general"}


def test_state_that_keras_would_lose_is_refused():
    os.environ["KERAS_BACKEND"] = "jax"
    keras = pytest.importorskip("keras", reason="keras is not installed (extra: peers)")
    network = keras_network()
    before = [np.asarray(variable.value) for variable in network.variables]
    held = SimpleNamespace(layers=[network])
    called = partial(network, training=True)

    class Owner:
        inner = held

        def loss(self, x):
            return self.inner.layers[0](x, training=True).sum()

    def helper(x):
        return called(x)

    for f in (
        called, lambda x: network(x, training=True), lambda x: held.layers[0](x, training=True),
        Owner().loss, lambda x: helper(x).sum(),
    ):  # fmt: skip
        for use in (lambda f: f(IMAGES), lambda f: jax.jit(f)(IMAGES), lambda f: f.explain(IMAGES)):
            with pytest.raises(ValueError, match=r"^with_rules: .* stateless_call inside"):
                use(with_rules(f))
    assert all(map(np.array_equal, before, [v.value for v in network.variables]))
    regular = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(2, 3, activity_regularizer="l2")]
    )
    with pytest.raises(ValueError, match="got a loss that a layer adds; call the model's"):
        with_rules(regular)(IMAGES)


def everywhere(f):
    """Under no trace, under `jax.jit`, and with rules inside and outside of it."""
    plain, *others = f, jax.jit(f), with_rules(f), jax.jit(with_rules(f)), with_rules(jax.jit(f))
    right = plain(IMAGES)
    for wrapped in others:
        assert relative_error(wrapped(IMAGES), right)[0] < 1e-5
    return right


def test_losses_of_keras_on_weights_are_its_own():
    """A regulariser is given the value of its variable, which the call does not change."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras = pytest.importorskip("keras", reason="keras is not installed (extra: peers)")
    conv = keras.layers.Conv2D(2, 3, kernel_regularizer="l2", bias_regularizer="l1")
    network = keras.Sequential([keras.Input((16, 16, 3)), conv])
    conv.bias.assign([1.0, -2.0])

    def f(x):
        return (network(x) ** 2).mean() + sum(network.losses)

    kernel = np.asarray(conv.kernel.value)
    expected = 0.01 * (kernel**2).sum() + 0.01 * 3
    losses = everywhere(lambda x: sum(network.losses) + 0 * x.sum())
    assert relative_error(losses, expected)[0] < 1e-5
    right = everywhere(f)
    everywhere(jax.grad(f))
    # A call around has values of its own.
    twice = [2 * variable.value for variable in network.trainable_variables]
    with keras.StatelessScope(zip(network.trainable_variables, twice, strict=True)):
        assert relative_error(with_rules(f)(IMAGES), 4 * right - 0.03 * 2)[0] < 1e-5
    with keras.StatelessScope():  # which has none
        assert relative_error(with_rules(f)(IMAGES), right)[0] < 1e-5


def test_losses_that_a_call_of_keras_returns_are_its_own():
    os.environ["KERAS_BACKEND"] = "jax"
    keras = pytest.importorskip("keras", reason="keras is not installed (extra: peers)")

    class Penalty(keras.layers.Layer):
        def call(self, x):
            self.add_loss((x**2).mean())
            return x

    network = keras.Sequential([
        keras.Input((16, 16, 3)),
        keras.layers.Conv2D(2, 3, kernel_regularizer="l2", activity_regularizer="l2"),
        Penalty(), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=0),
    ])  # fmt: skip
    params = [variable.value for variable in network.trainable_variables]
    state = [variable.value for variable in network.non_trainable_variables]

    def loss(params, x):
        y, _, losses = network.stateless_call(params, state, x, training=True, return_losses=True)
        assert len(losses) == 3
        return (y**3).mean() + sum(losses)

    everywhere(lambda x: loss(params, x))
    everywhere(lambda x: jax.grad(loss, (0, 1))(params, x))
    with pytest.raises(ValueError, match="got a loss that a layer adds; call the model's"):
        with_rules(lambda x: network(x).sum() + sum(network.losses))(IMAGES)


def test_layers_of_keras_are_built_beforehand():
    """Under a trace weights would be drawn that outlive it."""
    os.environ["KERAS_BACKEND"] = "jax"
    keras = pytest.importorskip("keras", reason="keras is not installed (extra: peers)")
    network = keras.Sequential([keras.layers.Conv2D(2, 3)])
    with pytest.raises(ValueError, match=r"^with_rules: f must use layers of Keras that are built"):
        with_rules(network)(IMAGES)
    assert relative_error(with_rules(network)(IMAGES), network(IMAGES))[0] < 1e-5


def test_values_of_a_call_around_are_meant():
    os.environ["KERAS_BACKEND"] = "jax"
    keras = pytest.importorskip("keras", reason="keras is not installed (extra: peers)")

    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(2, 3)

        def call(self, x):
            return with_rules(self.conv)(x)

    network = Outer()
    network.conv.build(IMAGES.shape)
    y = network(IMAGES)
    twice = [2 * variable.value for variable in network.trainable_variables]
    assert relative_error(network.stateless_call(twice, [], IMAGES)[0], 2 * y)[0] < 1e-5


def test_all_that_an_object_of_nnx_holds_changes_as_under_its_own_jit():
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")

    class Network(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 2, (3, 3), rngs=rngs)
            self.head = nnx.Linear(2, 2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.calls, self.seen = 0, None

        def __call__(self, x):
            self.calls += 1
            self.seen = x.shape
            self.last = nnx.Variable(x.mean())
            return self.head(self.dropout(self.conv(x)))

    def changed(network, count, x):
        y = network(x)
        network.eval()
        del network.head
        network.head = nnx.Linear(2, 2, rngs=nnx.Rngs(5))
        count[...] += 1
        return {"network": network, "conv": network.conv, "y": y + network(x)}

    def all_of(wrap):
        network, count = Network(), nnx.Variable(jnp.zeros(()))
        head = network.head
        result = wrap(changed)(network, count, IMAGES)
        assert result["network"] is network
        assert result["conv"] is network.conv
        assert network.head is not head
        held = nnx.state((network, count))
        other = network.calls, network.seen, network.dropout.deterministic
        return other, (result["y"], held)

    (ours, values), (theirs, expected) = all_of(with_rules), all_of(nnx.jit)
    assert ours == theirs == (2, IMAGES.shape, True)
    floats = lambda tree: [a for a in jax.tree.leaves(tree) if a.dtype == jnp.float32]  # noqa: E731
    assert relative_error(floats(values), floats(expected))[0] < 1e-6

    network, count = Network(), nnx.Variable(jnp.zeros(()))
    with_rules(changed).explain(network, count, IMAGES)
    assert (network.calls, network.dropout.deterministic, float(count[...])) == (0, False, 0)


def test_a_change_beside_an_object_of_nnx_is_refused():
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")
    network = nnx.Conv(3, 2, (3, 3), rngs=nnx.Rngs(0))

    def f(network, state):
        state["mean"] = network(IMAGES).mean()

    with pytest.raises(ValueError, match=r"^with_rules: f must return what it changes"):
        with_rules(f)(network, {"mean": jnp.zeros(())})
