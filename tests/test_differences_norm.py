"""Rows of the table of differences: normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from elsewhere import measured, onnx_node

import jaxcnn as jc

SMALL = np.array([[-1e-3, 1e-3]], np.float32)  # its variance is 1e-6: what it becomes shows ε


def flax_layer(kind, *sizes, **settings):
    return lambda f: getattr(f, kind)(*sizes, **settings, rngs=f.Rngs(0))(jnp.asarray(SMALL))


def torch_layer(kind, *sizes):
    return lambda t: getattr(t.nn, kind)(*sizes)(t.tensor(SMALL))


def test_layer_epsilon():
    measured(
        "layer_epsilon",
        lambda: jc.layer_norm(SMALL),
        PyTorch=torch_layer("LayerNorm", 2),
        Equinox=lambda e: e.nn.LayerNorm(2)(jnp.asarray(SMALL[0])),
        Flax=flax_layer("LayerNorm", 2),
        Keras=lambda k: k.layers.LayerNormalization()(SMALL),
    )


def test_rms_epsilon():
    measured(
        "rms_epsilon",
        lambda: jc.rms_norm(SMALL),
        PyTorch=torch_layer("RMSNorm", 2),
        Equinox=lambda e: e.nn.RMSNorm(2)(jnp.asarray(SMALL[0])),
        Flax=flax_layer("RMSNorm", 2),
        Keras=lambda k: k.layers.RMSNormalization()(SMALL),
    )


def test_group_epsilon():
    measured(
        "group_epsilon",
        lambda: jc.group_norm(SMALL, groups=1),
        PyTorch=torch_layer("GroupNorm", 1, 2),
        Equinox=lambda e: e.nn.GroupNorm(1, 2)(jnp.asarray(SMALL[0])),
        Flax=flax_layer("GroupNorm", 2, num_groups=1),
        Keras=lambda k: k.layers.GroupNormalization(1)(SMALL),
    )


def test_instance_epsilon():
    maps = SMALL[..., None]
    measured(
        "instance_epsilon",
        lambda: jc.instance_norm(maps),
        PyTorch=lambda t: t.nn.InstanceNorm1d(1)(t.tensor(SMALL[:, None])),
        Flax=lambda f: f.InstanceNorm(1, rngs=f.Rngs(0))(jnp.asarray(maps)),
    )


def test_batch_epsilon():
    x = SMALL.T

    def ours():
        y, mean, variance = jc.batch_norm(x)
        return y, jc.batch_norm_inference(x, None, None, mean, variance)

    measured(
        "batch_epsilon",
        ours,
        PyTorch=lambda t: t.nn.BatchNorm1d(1)(t.tensor(x)),
        Flax=lambda f: f.BatchNorm(1, rngs=f.Rngs(0))(jnp.asarray(x)),
        Keras=lambda k: k.layers.BatchNormalization()(x, training=True),
    )


def test_constant_rows():
    x = np.full((1, 256), 1000.1, np.float32)

    def most(y):
        return abs(y).max()

    measured(
        "constant_rows",
        lambda: most(jc.layer_norm(x)),
        PyTorch=lambda t: most(t.nn.functional.layer_norm(t.tensor(x), (256,))),
        Flax=lambda f: bool(most(f.LayerNorm(256, rngs=f.Rngs(0))(jnp.asarray(x))) > 1e-5),
        Equinox=lambda e: bool(most(e.nn.LayerNorm(256)(jnp.asarray(x[0]))) > 1e-5),
    )


def test_one_per_channel():
    x = np.array([[5.0, 7.0]], np.float32)

    def torch(t):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            t.nn.BatchNorm1d(2)(t.tensor(x))
        return True

    measured(
        "one_per_channel",
        lambda: jc.batch_norm(x)[0],
        PyTorch=torch,
        Flax=lambda f: f.BatchNorm(2, rngs=f.Rngs(0))(jnp.asarray(x)),
        Keras=lambda k: k.layers.BatchNormalization()(x, training=True),
    )


def running(unbiased):
    layer = jc.layers.BatchNorm(momentum=0.0, unbiased=unbiased)
    params, state = layer.init(jax.random.key(0), (1,))
    x = jnp.array([[1.0], [3.0]], jnp.float32)
    return jax.tree.leaves(layer.apply(params, state, x, train=True)[1])[-1]


def test_running_variance():
    x = np.array([[1.0], [3.0]], np.float32)

    def torch(t):
        norm = t.nn.BatchNorm1d(1, momentum=1.0)
        norm(t.tensor(x))
        return norm.running_var

    def flax(f):
        norm = f.BatchNorm(1, momentum=0.0, rngs=f.Rngs(0))
        norm(jnp.asarray(x))
        return norm.var[...]

    def keras(k):
        norm = k.layers.BatchNormalization(momentum=0.0)
        norm(x, training=True)
        return norm.moving_variance.value

    measured(
        "running_variance",
        lambda: (running(False), jc.batch_norm(x)[2], running(True)),
        PyTorch=torch,
        Flax=flax,
        Keras=keras,
    )


def test_running_share():
    measured(
        "running_share",
        lambda: jc.layers.BatchNorm().momentum,
        PyTorch=lambda t: 1 - t.nn.BatchNorm1d(1).momentum,
        Flax=lambda f: f.BatchNorm(1, rngs=f.Rngs(0)).momentum,
        Keras=lambda k: k.layers.BatchNormalization().momentum,
        Equinox=lambda e: e.nn.BatchNorm(1, "batch", mode="ema").momentum,
    )


def test_interleaved_groups():
    x = np.array([[1.0, 2.0, 10.0, 20.0]], np.float32)

    def rounded(y):  # ε shows
        return np.round(np.asarray(y.detach() if hasattr(y, "detach") else y), 3)

    measured(
        "interleaved_groups",
        lambda: rounded(jc.group_norm(x, groups=2)),
        PyTorch=lambda t: rounded(t.nn.GroupNorm(2, 4)(t.tensor(x))),
        Flax=lambda f: rounded(f.GroupNorm(4, num_groups=2, rngs=f.Rngs(0))(jnp.asarray(x))),
        Equinox=lambda e: rounded(e.nn.GroupNorm(2, 4)(jnp.asarray(x[0]))),
    )


# As many images as channels: the loop of ONNX's reference runs over the images.
NINES = np.ones((9, 9, 1, 1))


def test_response_default():
    measured(
        "response_default",
        lambda: jc.local_response_norm(np.ones((1, 9)), size=5)[0, 4],
        PyTorch=lambda t: t.nn.functional.local_response_norm(t.tensor(NINES), 5)[0, 4],
        ONNX=lambda _: onnx_node("LRN", NINES, size=5)[0, 4],
    )


def test_response_alpha():
    settings = {"size": 5, "alpha": 0.5, "k": 1.0}

    def ours(**more):
        return jc.local_response_norm(np.ones((1, 9)), **settings, **more)[0, 4]

    measured(
        "response_alpha",
        lambda: (ours(), ours(average=True)),
        PyTorch=lambda t: t.nn.functional.local_response_norm(t.tensor(NINES), **settings)[0, 4],
        ONNX=lambda _: onnx_node("LRN", NINES, size=5, alpha=0.5, bias=1.0)[0, 4],
    )


def seen_by(response, channels=9):
    """Which channels, as offsets, the middle one of a local response feels."""
    middle = channels // 2
    x = np.ones(channels)
    changed = [
        response(x + np.eye(channels)[i])[middle] != response(x)[middle] for i in range(channels)
    ]
    return [i - middle for i, seen in enumerate(changed) if seen]


def test_even_lrn():
    def torch(t):
        def response(x):
            given = t.tensor(x[None, :, None])
            return t.nn.functional.local_response_norm(given, 4, alpha=0.5).numpy().ravel()

        return seen_by(response)

    def onnx(_):
        return seen_by(lambda x: onnx_node("LRN", NINES * x[:, None, None], size=4, alpha=0.5)[0])

    measured(
        "even_lrn",
        lambda: seen_by(
            lambda x: np.asarray(jc.local_response_norm(x[None], size=4, alpha=0.5)[0])
        ),
        PyTorch=torch,
        ONNX=onnx,
    )
