"""The same networks in PyTorch and Flax: logits, loss and every gradient in float64 to 1e-9."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers, models
from jaxcnn.gradcheck import relative_error
from jaxcnn.layers import Activation, Conv, Dense, serial

# Network, shape, whether statistics and all are those of training (without dropout's own masks).
NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1), True),
    "lenet5 1998": (models.lenet5("1998"), (32, 32, 1), True),
    "fast_mnist": (models.fast_mnist(), (28, 28, 1), True),
    "vgg6": (models.vgg6(), (8, 8, 3), True),
    "resnet": (models.resnet(8), (16, 16, 3), True),
    "resnet in evaluation": (models.resnet(8, shortcut="B"), (9, 8, 3), False),
    "mobilenet": (models.mobilenet(width=0.25, blocks=((64, 1), (128, 2))), (9, 8, 3), True),
    "alexnet": (models.alexnet(7, widths=(6, 8, 4, 6, 8), hidden=16), (99, 67, 3), False),
    "small_alexnet": (models.small_alexnet(), (11, 8, 3), True),
    "densenet": (models.densenet(10, growth=4), (8, 9, 3), True),
    "airbench94": (models.airbench94(widths=(8, 10, 12)), (31, 31, 3), True),
    "signal": (models.conv_pool_dense(), (18, 2), True),
    "odd": (
        serial(
            Conv(4, (3, 2), stride=2, padding="SAME", dilation=2, groups=2),
            layers.MaxPool((2, 3), 2, ceil_mode=True),
            layers.Flatten(),
            Activation(jc.sigmoid),
            layers.Flatten(),
            Dense(4, use_bias=False),
            layers.BatchNorm(use_bias=False),
        ),
        (12, 15, 2),
        True,
    ),
}  # fmt: skip
# Every day the networks that are timed; the others consist of the same layers.
LONG = {
    "lenet5 1998", "resnet in evaluation", "small_alexnet", "densenet", "airbench94", "signal",
}  # fmt: skip
NAMES = [pytest.param(name, marks=pytest.mark.full) if name in LONG else name for name in NETWORKS]
LABELS = np.array([3, 1, 0, 2])


def prepared(name):
    """Network, parameters, state and images drawn by NumPy, so that nothing is compiled for it."""
    net, shape, train = NETWORKS[name]
    generator = np.random.default_rng(0)
    wanted = jax.eval_shape(lambda key: net.init(key, shape, dtype=jnp.float64), jax.random.key(0))

    def draw(path, leaf):
        numbers = generator.standard_normal(leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
        return np.abs(numbers) + 0.5 if path[-1].key in ("variance", "scale") else numbers

    params, state = jax.tree_util.tree_map_with_path(draw, wanted)
    return net, params, state, generator.standard_normal((4, *shape)), shape, train


@cache
def by_hand(name):
    net, params, state, x, _, train = prepared(name)

    def loss(params):
        logits, _ = net.apply(params, state, x, train=train)
        return jc.softmax_cross_entropy(logits, jnp.asarray(LABELS)), logits

    params, x = jax.tree.map(jnp.asarray, (params, x))
    (value, logits), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    return logits, value, gradients


def compare(theirs, ours):
    theirs = jax.tree.map(np.asarray, theirs)
    error, where = relative_error(theirs, jax.tree.map(np.asarray, ours))
    assert error < 1e-9, where


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NAMES)
def test_pytorch_agrees(name):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    from experiments.peers import to_torch

    net, params, state, x, shape, train = prepared(name)
    peer = to_torch.translate(net, params, state, shape)
    logits = peer.module.train(train)(to_torch.to_images(x))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS))
    loss.backward()
    compare(
        (logits.detach().numpy(), loss.detach().numpy(), peer.gradients()),
        by_hand(name),
    )
    compare(peer.parameters(), params)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.full) if n in ("lenet5", "vgg6") else n for n in NAMES],
)
def test_flax_agrees(name):
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")
    import optax

    from experiments.peers import to_flax

    net, params, state, x, shape, train = prepared(name)

    def loss(module):
        logits = module(jnp.asarray(x))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.asarray(LABELS))
        return losses.mean(), logits

    # Flax counts on JAX's ordinary promotion of dtypes and ranks.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        peer = to_flax.translate(net, params, state, shape)
        peer.module.train() if train else peer.module.eval()
        (value, logits), gradients = nnx.jit(nnx.value_and_grad(loss, has_aux=True))(peer.module)
        found = logits, value, peer.tree(gradients)
    compare(found, by_hand(name))


@pytest.mark.parametrize("peer", ["torch", "flax"])
def test_an_unknown_layer_is_named(peer):
    extra = "torch" if peer == "torch" else "peers"
    pytest.importorskip(peer, reason=f"{peer} is not installed (extra: {extra})")
    import importlib

    translate = importlib.import_module(f"experiments.peers.to_{peer}").translate
    for layer, name in ((layers.LpPool(2), "LpPool"), (Activation(jc.hard_tanh), "hard_tanh")):
        with pytest.raises(NotImplementedError, match=f"translate: layer must be .* {name}|{name}"):
            translate(serial(layer), {}, {}, (8, 8, 1))
    with pytest.raises(NotImplementedError, match="got Branches"):
        translate(layers.heads(a=Dense(2)), {}, {}, (8,))
