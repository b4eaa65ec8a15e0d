"""The zoo: parameter counts as published, shapes, and three roads to the same gradients."""

import inspect
import math
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import initializers, layers, models
from jaxcnn.backprop import backprop
from jaxcnn.gradcheck import relative_error

KEY = jax.random.key(0)
FULL = pytest.mark.full

# Parameters, where they were published, and what a network puts out.
COUNTS = [
    # LeCun et al. 1998: 60,000 up to F6; the output layer stands for fixed basis functions.
    ("lenet5 paper", models.lenet5("paper"), (32, 32, 1), 60_000 + 84 * 10 + 10, (10,)),
    # Not published: layer by layer.
    ("fast_mnist", models.fast_mnist(), (28, 28, 1), 624 + 6_944 + 205_056 + 2_570, (10,)),
    ("vgg6", models.vgg6(), (32, 32, 3), 287_008 + 262_272 + 1_290, (10,)),
    ("accurate_mnist", models.accurate_mnist(), (28, 28, 1), 324_288 + 832 + 1_290, (10,)),
    # Whitening, convolutions of each group, biases of the norms, head.
    (
        "airbench95",
        models.airbench94(widths=(128, 384, 384)),
        (32, 32, 3),
        312 + 9 * (24 * 128 + 128**2 + 128 * 384 + 3 * 384**2) + 2 * (128 + 384 + 384) + 3_840,
        (10,),
    ),
    (
        "airbench96",
        models.airbench96(),
        (32, 32, 3),
        312
        + 9 * (24 * 128 + 2 * 128**2 + 128 * 384 + 2 * 384**2 + 384 * 512 + 2 * 512**2)
        + 3 * (128 + 384 + 512)
        + 5_120,
        (10,),
    ),
    # Krizhevsky et al. 2012 in one column: the sum in Quan, "AlexNet", and elsewhere.
    ("alexnet", models.alexnet(), (227, 227, 3), 62_378_344, (1000,)),
    # torchvision's documentation of its alexnet and mobilenet_v2 (num_params).
    ("alexnet 2014", models.alexnet_2014(), (224, 224, 3), 61_100_840, (1000,)),
    ("mobilenet v2", models.mobilenet_v2(), (224, 224, 3), 3_504_872, (1000,)),
    # Zhang et al. 2017, table 1.
    ("small_alexnet 28", models.small_alexnet(), (28, 28, 3), 1_387_786, (10,)),
    # TensorFlow's tutorial "Convolutional Neural Networks", for crops of 24 × 24.
    ("small_alexnet 24", models.small_alexnet(), (24, 24, 3), 1_068_298, (10,)),
    # torchvision's documentation of its resnet18 and resnet50 (num_params).
    ("resnet 18", models.resnet_imagenet(18), (224, 224, 3), 11_689_512, (1000,)),
    ("resnet 50", models.resnet_imagenet(50), (224, 224, 3), 25_557_032, (1000,)),
    # As torchvision's documentation has them: of its vgg11, vgg16 and vgg16_bn, densenet121.
    ("vgg 11", models.vgg(11), (224, 224, 3), 132_863_336, (1000,)),
    ("vgg 16", models.vgg(), (224, 224, 3), 138_357_544, (1000,)),
    ("vgg 16 normed", models.vgg(batch_norm=True), (224, 224, 3), 138_365_992, (1000,)),
    ("densenet 121", models.densenet_imagenet(), (224, 224, 3), 7_978_856, (1000,)),
    # 0.8 M in Huang et al. 2017, table 2; the exact number is that of later implementations.
    ("densenet 100", models.densenet(), (32, 32, 3), 769_162, (10,)),
    # 4.2 M in Howard et al. 2017, table 8; the exact number is that of later implementations.
    ("mobilenet", models.mobilenet(1000, stem_stride=2), (224, 224, 3), 4_231_976, (1000,)),
    # Ray: δK has the size of K. Gormley: θ₀, …, θ_M; α, β and their biases.
    ("ray", models.ray_cnn(2), (5, 5, 1), 4, (2, 2, 1)),
    ("logistic regression", models.logistic_regression(), (4,), 5, (1,)),
    ("mlp", models.mlp(4), (3,), (3 + 1) * 4 + (4 + 1), (1,)),
]

# He et al. 2015, table 6; Howard et al. 2017, table 6; Jordan 2024: millions, rounded.
ROUNDED = [
    ("resnet 20", models.resnet(20), (32, 32, 3), 0.27, 2),
    ("resnet 56", models.resnet(56), (32, 32, 3), 0.85, 2),
    ("resnet 110", models.resnet(110), (32, 32, 3), 1.7, 1),
    ("mobilenet 0.5", models.mobilenet(1000, width=0.5, stem_stride=2), (224, 224, 3), 1.3, 1),
    ("airbench94", models.airbench94(), (32, 32, 3), 1.97, 2),
]


def described(net, shape):
    """The number of parameters and the shape of an output, without drawing or computing any."""
    outputs = []

    def build(key):
        params, _, output = net._build(key, shape, jnp.float32)
        outputs.append(output)
        return params

    params = jax.eval_shape(build, KEY)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)), outputs[0]


def deep(row):
    """The row of a table; the deepest networks take seconds to trace: with --full only."""
    long = row[0] in {"resnet 50", "resnet 56", "resnet 110", "densenet 100", "densenet 121"}
    return pytest.param(*row, marks=FULL) if long else row


@pytest.mark.parametrize(
    ("name", "net", "shape", "count", "output"),
    [deep(row) for row in COUNTS],
    ids=[row[0] for row in COUNTS],
)
def test_parameters_are_as_many_as_published(name, net, shape, count, output):
    assert described(net, shape) == (count, output), name


@pytest.mark.parametrize(
    ("name", "net", "shape", "millions", "digits"),
    [deep(row) for row in ROUNDED],
    ids=[row[0] for row in ROUNDED],
)
def test_parameters_are_as_many_millions_as_published(name, net, shape, millions, digits):
    count, _ = described(net, shape)
    assert round(count / 1e6, digits) == millions, name


def test_the_maps_have_the_papers_sizes():
    def sizes(net, shape, *names):
        table = {row.name: row.output_shape for row in layers.rows(net, shape)}
        return [table[name] for name in names]

    assert sizes(models.alexnet(), (227, 227, 3), "conv1", "pool1", "conv2", "pool2", "pool5") == [
        (55, 55, 96), (27, 27, 96), (27, 27, 256), (13, 13, 256), (6, 6, 256),
    ]  # fmt: skip
    assert sizes(models.fast_mnist(), (28, 28, 1), "flatten") == [(800,)]
    assert [row.output_shape for row in layers.rows(models.airbench94(), (32, 32, 3))
            if row.kind in ("conv", "maxpool")] == [
        (31, 31, 24), (31, 31, 64), (15, 15, 64), (15, 15, 64), (15, 15, 256), (7, 7, 256),
        (7, 7, 256), (7, 7, 256), (3, 3, 256), (3, 3, 256), (1, 1, 256),
    ]  # fmt: skip
    assert sizes(models.lenet5("paper"), (32, 32, 1), "c1", "s2/sumpool1", "c3", "f6") == [
        (28, 28, 6), (14, 14, 6), (10, 10, 16), (84,),
    ]  # fmt: skip


# Every network of the zoo, narrow or shallow where that is a setting, on maps as small as it takes.
ZOO = {
    "lenet5": (partial(models.lenet5), (32, 32, 1)),
    "lenet5 1998": (partial(models.lenet5, "1998"), (32, 32, 1)),
    "lenet5 paper": (partial(models.lenet5, "paper"), (32, 32, 1)),
    "fast_mnist": (partial(models.fast_mnist), (18, 16, 1)),
    "accurate_mnist": (partial(models.accurate_mnist), (28, 28, 1)),
    "vgg6": (partial(models.vgg6, hidden=8), (8, 8, 3)),
    "alexnet": (partial(models.alexnet, 7, widths=(6, 8, 4, 6, 8), hidden=16), (67, 67, 3)),
    "alexnet 2014": (
        partial(models.alexnet_2014, 7, widths=(3, 4, 6, 4, 3), hidden=8),
        (63, 64, 3),
    ),
    "small_alexnet": (partial(models.small_alexnet), (8, 7, 3)),
    "resnet A": (partial(models.resnet, 8, width=4), (9, 8, 3)),
    "resnet B": (partial(models.resnet, 8, width=4, shortcut="B"), (9, 8, 3)),
    "resnet 18": (partial(models.resnet_imagenet, 18, 5, width=4, stages=(1, 2)), (17, 16, 3)),
    "resnet 50": (partial(models.resnet_imagenet, 50, 5, width=2, stages=(1, 2)), (17, 16, 3)),
    "densenet": (partial(models.densenet, 10, growth=4), (8, 9, 3)),
    "densenet 121": (
        partial(models.densenet_imagenet, classes=5, growth=4, stages=(1, 2)),
        (33, 32, 3),
    ),
    "vgg 11": (partial(models.vgg, 11, 5, width=2, hidden=4), (32, 32, 3)),
    "vgg normed": (partial(models.vgg, 11, 5, batch_norm=True, width=2, hidden=4), (32, 33, 3)),
    "mobilenet": (partial(models.mobilenet, width=0.1, blocks=((64, 2),)), (8, 8, 3)),
    "mobilenet v2": (
        partial(models.mobilenet_v2, 5, width=0.1, stages=((1, 16, 1, 1), (2, 24, 2, 2))),
        (9, 8, 3),
    ),
    "airbench94": (partial(models.airbench94, widths=(8, 10, 12)), (31, 31, 3)),
    "airbench96": (partial(models.airbench96, widths=(4, 5, 6)), (31, 31, 3)),
    "signal": (partial(models.conv_pool_dense), (18, 2)),
    "map": (partial(models.conv_pool_dense), (12, 11, 1)),
    "without pooling": (partial(models.conv_dense), (11, 12, 1)),
    "gormley": (partial(models.gormley_cnn), (8, 9, 2)),
    "ray": (partial(models.ray_cnn), (8, 8, 1)),
    "logistic regression": (partial(models.logistic_regression, 4), (5,)),
    "mlp": (partial(models.mlp, 6, 5, outputs=4), (5,)),
}


def of_the_zoo(name):
    """The network, flat at its end, and the shape of its input."""
    model, shape = ZOO[name]
    net = model()
    return (layers.serial(net, layers.Flatten()) if name == "ray" else net), shape


def test_the_zoo_has_every_public_model():
    public = {model for model in vars(models).values() if inspect.isfunction(model)}
    assert {model.func for model, _ in ZOO.values()} == public


def drawn(net, shape, dtype=jnp.float64):
    """Parameters and state at random, without a compilation for every initialiser."""
    generator = np.random.default_rng(0)
    wanted = jax.eval_shape(lambda key: net.init(key, shape, dtype=dtype), KEY)

    def draw(path, leaf):
        scale = float(np.prod(leaf.shape[:-1])) ** -0.5
        numbers = generator.standard_normal(leaf.shape) * scale
        positive = path[-1].key in ("variance", "scale")
        return jnp.asarray(np.abs(numbers) + 0.5 if positive else numbers, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, wanted)


# Long programs of what shorter ones consist of as well: every day only their shapes are followed.
LONG = {
    "lenet5", "lenet5 1998", "lenet5 paper", "accurate_mnist", "vgg6", "alexnet", "resnet B",
    "resnet 18", "resnet 50", "densenet", "densenet 121", "vgg 11", "vgg normed", "airbench94",
    "airbench96", "small_alexnet", "map", "alexnet 2014", "mobilenet v2",
    "logistic regression",
}  # fmt: skip
LABELS = jnp.array([3, 1, 0])


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", sorted(LONG))
def test_back_propagation_fits(name):
    net, shape = of_the_zoo(name)
    params, state = jax.eval_shape(lambda key: net.init(key, shape), KEY)
    x = jax.ShapeDtypeStruct((3, *shape), jnp.float32)
    found = jax.eval_shape(
        lambda p, s, x: backprop(net, p, s, x, LABELS, jc.softmax_cross_entropy, key=KEY),
        params,
        state,
        x,
    )
    assert found.gradients == params
    assert found.state == state
    assert found.input_delta == x


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=FULL) if name in LONG else name for name in ZOO]
)
def test_three_roads_agree(name):
    net, shape = of_the_zoo(name)
    params, state = drawn(net, shape)
    x = jnp.asarray(np.random.default_rng(1).standard_normal((3, *shape)))
    cross_entropy = jc.softmax_cross_entropy

    def by_grad(net, loss, params, x):
        def total(params, x):
            logits, new_state = net.apply(params, state, x, key=KEY, train=True)
            return loss(logits, LABELS), new_state

        return jax.value_and_grad(total, (0, 1), has_aux=True)(params, x)

    @jax.jit  # one program: what the roads have in common is compiled once
    def roads(params, x):
        explicit = backprop(net, params, state, x, LABELS, cross_entropy, key=KEY)
        return (
            ((explicit.loss, explicit.state), (explicit.gradients, explicit.input_delta)),
            by_grad(net, cross_entropy, params, x),
            by_grad(jc.autodiff_twin(net), jc.autodiff_twin(cross_entropy), params, x),
        )

    explicit, hand, plain = roads(params, x)
    for other in (hand, plain):
        error, where = relative_error(explicit, other)
        assert error < 1e-10, where
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(explicit))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(explicit[1]))


@FULL
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("net", "shape"),
    [
        pytest.param(models.alexnet(), (227, 227, 3), id="alexnet"),
        pytest.param(models.resnet_imagenet(50), (64, 64, 3), id="resnet 50"),
        pytest.param(models.resnet(110), (32, 32, 3), id="resnet 110"),
        pytest.param(models.densenet(100), (32, 32, 3), id="densenet 100"),
    ],
)
def test_a_large_network_takes_a_step(net, shape):
    params, state = net.init(KEY, shape)
    x = jax.random.normal(KEY, (2, *shape), jnp.float32)

    @jax.jit
    def step(params, x):
        def total(params):
            logits, _ = net.apply(params, state, x, key=KEY, train=True)
            return jc.softmax_cross_entropy(logits, jnp.array([1, 3]))

        return jax.value_and_grad(total)(params)

    value, gradients = step(params, x)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_networks_are_values():
    assert models.resnet(20) == models.resnet(20) != models.resnet(20, shortcut="B")
    assert models.alexnet() == models.alexnet()
    assert models.airbench94() == models.airbench94()
    assert hash(models.lenet5("paper")) == hash(models.lenet5("paper"))


def test_an_unchanged_image_passes_a_convolution_that_begins_as_dirac():
    group = dict(models.airbench94().children)["group1"]
    assert isinstance(group, layers.Serial)
    conv = dict(group.children)["conv1"]
    params, _ = conv.init(KEY, (6, 6, 24))
    x = jax.random.normal(KEY, (1, 6, 6, 24), jnp.float32)
    y, _ = conv.apply(params, {}, x)
    assert np.array_equal(y[..., :24], x)
    assert float(jnp.abs(params["kernel"][..., 24:]).max()) < (9 * 24) ** -0.5


def test_the_first_kernel_can_whiten_the_images():
    images = jax.random.normal(KEY, (50, 9, 9, 3), jnp.float32)
    whitening = initializers.patch_whitening(images)
    params, _ = models.airbench94(widths=(2, 2, 2), whitening=whitening).init(KEY, (32, 32, 3))
    assert np.array_equal(params["whitening"]["kernel"], whitening(KEY, (2, 2, 3, 24)))


def test_the_documentation_lists_every_network():
    section = (Path(__file__).parent.parent / "docs/networks.md").read_text()
    for name, network in vars(models).items():
        if inspect.isfunction(network):
            assert f"`{name}(" in section, name
    for name, net, shape, count, _ in COUNTS:
        if name not in ("ray", "logistic regression", "mlp", "small_alexnet 24"):
            assert f"{count:,}" in section, (name, net, shape)
