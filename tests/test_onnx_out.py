"""Networks as files of ONNX: through onnxruntime, and in again.

Every day a sample of layers and of the zoo; all, and the networks as they were published:

    pytest -n 2 --full tests/test_onnx_out.py
"""

import calls
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_models import COUNTS, ROUNDED, ZOO

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
from onnx_files import session  # noqa: E402

import jaxcnn as jc  # noqa: E402
from jaxcnn import layers  # noqa: E402
from jaxcnn.interop import from_onnx, to_onnx  # noqa: E402
from jaxcnn.interop.onnx.export.pointwise import ACTIVATIONS  # noqa: E402
from jaxcnn.layers import Activation, Conv, MaxPool, heads, residual, serial  # noqa: E402

MAP = (9, 8, 4)


def drawn(net, shape, dtype=jnp.float32):
    """Parameters and a state in which nothing is 0 or 1: kernels are as they were drawn."""
    parts = net.init(jax.random.key(0), shape, dtype=dtype)
    leaves, tree = jax.tree.flatten(parts)
    keys = jax.random.split(jax.random.key(1), max(len(leaves), 1))
    pairs = zip(leaves, keys, strict=len(leaves) > 0)
    noisy = [
        a if a.ndim > 1 else a + 0.3 * jax.random.uniform(k, a.shape, a.dtype) for a, k in pairs
    ]
    return jax.tree.unflatten(tree, noisy)


def examples(net, shape, dtype=jnp.float32, count=2):
    if isinstance(net, layers.Embedding):
        return jax.random.randint(jax.random.key(2), (count, *shape), 0, net.vocabulary)
    return jax.random.normal(jax.random.key(2), (count, *shape), dtype)


def first(array):
    """As files have maps."""
    array = np.asarray(array)
    return np.moveaxis(array, -1, 1) if array.ndim > 2 else array


def by_runtime(made, x):
    return session(made).run(None, {"x": x})


def relative(a, b):
    assert a.shape == b.shape
    return np.abs(np.asarray(a, np.float64) - b).max() / max(np.abs(b).max(), 1e-30)


def there_and_back(net, shape):
    """Of the same numbers: onnxruntime in float32, and what comes in again in float64.

    In float32 what comes in again differs by its order of sums, behind a flatten above all. In
    float64 by ε, slopes and factors alone, of which a file holds the float32.
    """
    params, state = drawn(net, shape)
    x = examples(net, shape)
    made = to_onnx(net, params, state, shape)
    onnx.checker.check_model(made, full_check=True)
    apply, held = from_onnx(made)

    def wide(tree):
        return jax.tree.map(lambda a: a.astype(float) if a.dtype == jnp.float32 else a, tree)

    right = jax.jit(net.apply)(wide(params), wide(state), wide(x))[0]
    given = np.asarray(x).astype(np.int64) if x.dtype == jnp.int32 else first(x)
    names = [value.name for value in made.graph.output]
    expected = list(right.values()) if isinstance(right, dict) else [right]
    assert names == (list(right) if isinstance(right, dict) else ["y"])
    back = jax.jit(apply)(wide(held), wide(given))
    back = back if isinstance(back, tuple) else (back,)
    for y, mine in zip(expected, back, strict=True):
        assert relative(mine, first(y)) <= 1e-7
    for y, theirs in zip(expected, by_runtime(made, given), strict=True):
        assert relative(theirs, first(y)) <= 1e-5


EACH_LAYER = [(kind(**given), size) for kind, (given, size) in calls.LAYERS.items()]
SETTINGS = [
    (Conv(3, (3, 2), 2, ((1, 0), (2, 1)), (1, 2), use_bias=False), MAP),
    (Conv(6, 3, 2, "SAME", groups=2), MAP),
    (Conv(3, 3, padding="CAUSAL"), (7, 2)),
    (Conv(3, 2, padding=((-1, 2), (1, -2))), MAP),
    (Conv(3, 2, input_dilation=2, padding=1), MAP),
    (Conv(3, 3, padding=2, padding_mode="reflect"), MAP),
    (Conv(3, 3, padding="SAME", padding_mode="circular"), MAP),
    (Conv(3, 2, method="fft"), (5, 4, 3, 2)),
    (layers.TrueConv(3, (3, 2), padding="FULL"), MAP),
    (layers.DepthwiseConv(3, 2, 2, "SAME"), MAP),
    (layers.TableConv(((0, 1), (2,), (0, 3)), 3, padding="SAME", use_bias=False), MAP),
    (layers.ConvTranspose(3, (3, 2), 2, 1, (1, 0), groups=1), MAP),
    (layers.ConvTranspose(4, 3, 2, "SAME", groups=2), MAP),
    (layers.ConvTranspose(3, 1, 3), (5, 2)),
    (layers.ConvTranspose(3, 2, padding=((-1, 0), (0, -2))), MAP),
    (layers.ConvTranspose(3, 2, padding=-1, use_bias=False, dilation=2), (4, 5, 3, 2)),
    (layers.Dense(3), MAP),
    (layers.Dense(3, use_bias=False), (4,)),
    (MaxPool((3, 2), 2, 1, ceil_mode=True), MAP),
    (MaxPool(2, 1, 2, dilation=3), MAP),
    (MaxPool(3, 2, "SAME"), (7, 2)),
    (layers.AvgPool(3, 2, 1, count_include_pad=False), MAP),
    (layers.AvgPool(3, 2, 1, ceil_mode=True), MAP),
    (layers.AvgPool(3, 2, 1, ceil_mode=True, count_include_pad=False), MAP),
    (layers.AvgPool(2, 1, 2, dilation=3), MAP),
    (layers.SumPool(3, 2, 1, ceil_mode=True), MAP),
    (layers.LpPool(3, 2, 1, p=2.5), MAP),
    (layers.AdaptiveAvgPool((3, 5)), MAP),
    (layers.AdaptiveMaxPool((4, 8)), MAP),
    (layers.GlobalAvgPool(True), MAP),
    (layers.GlobalMaxPool(True), (5, 3)),
    (layers.Upsample((2, 3)), MAP),
    (layers.BatchNorm(epsilon=0.1, use_scale=False, use_bias=False), MAP),
    (layers.BatchNorm(), (4,)),
    (layers.LayerNorm(axes=(-3, -2, -1)), MAP),
    (layers.LayerNorm(epsilon=0.1), (6,)),
    (layers.GroupNorm(groups=2), (4,)),
    (layers.RMSNorm(axes=(-2, -1)), MAP),
    (layers.LocalResponseNorm(4, alpha=0.1, beta=0.5), MAP),
    (layers.LocalResponseNorm(3, alpha=0.1, average=True), MAP),
    (layers.Resize((5, 12), method="linear"), MAP),
    (layers.Resize(scale=(1.7, 0.6), coordinates="asymmetric", rounding="floor"), MAP),
    (layers.Resize((4, 11), method="cubic", coordinates="align_corners"), MAP),
    (layers.PadChannels(1, 2), MAP),
    (layers.ScaleChannels(use_bias=False), (4,)),
    (layers.PReLU(shared=True), MAP),
    (layers.Pad(((1, 2), (0, 3)), "replicate"), MAP),
    (layers.Patches((2, 3), 2, 1, dilation=2), MAP),
    (layers.Fold((2, 3), 2, 1, input_size=(7, 8)), (4, 4, 12)),
    (layers.PixelShuffle((2, 1), "DCR"), MAP),
    (layers.PixelUnshuffle((3, 2), "DCR"), MAP),
    (layers.PixelUnshuffle(3), (9, 2)),
    (layers.Unflatten((2, 3, 2)), (12,)),
    (layers.Flatten(), (1, 1, 5)),
    (Activation(jc.softmax, {"axis": -1}), (5,)),
    (Activation(jc.softmax, {"axis": 2}), MAP),
    (Activation(jc.log_softmax, {"axis": 0}), MAP),
    (Activation(jc.leaky_relu, {"slope": 0.3}), MAP),
    (Activation(jc.gelu, {"approximate": True}), MAP),
    (Activation(jc.soft_shrink, {"threshold": 0.4, "bias": 0.1}), MAP),
]


@pytest.mark.sampled(40)
@pytest.mark.parametrize(("net", "shape"), EACH_LAYER + SETTINGS, ids=lambda v: str(v)[:50])
def test_every_layer(net, shape):
    there_and_back(net, shape)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("op", ACTIVATIONS, ids=lambda op: op.__name__)
def test_every_activation(op):
    there_and_back(Activation(op), (3, 4, 5))


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", ZOO)
def test_every_network_of_the_zoo(name):
    """Narrow or shallow where that is a setting."""
    model, shape = ZOO[name]
    there_and_back(model(), shape)


PUBLISHED = COUNTS + ROUNDED


@pytest.mark.full
@pytest.mark.parametrize(
    ("net", "shape"),
    [row[1:3] for row in COUNTS + ROUNDED],
    ids=[row[0] for row in COUNTS + ROUNDED],
)
def test_every_network_as_it_was_published(net, shape, optimised):
    there_and_back(net, shape)


def test_branches():
    block = serial(
        residual(Conv(4, 3, padding="SAME"), Activation(jc.relu), shortcut=Conv(4, 1)),
        layers.concatenated(MaxPool(2), layers.AvgPool(2), Conv(3, 2, 2)),
        heads(kind=serial(layers.Flatten(), layers.Dense(3)), place=Conv(2, 1)),
    )
    there_and_back(block, MAP)


def test_the_batch_is_free_and_a_file_is_written(tmp_path):
    net = serial(Conv(3, 3), layers.Flatten(), layers.Dense(2))
    params, state = drawn(net, (5, 5, 1))
    path = tmp_path / "net.onnx"
    made = to_onnx(net, params, state, (5, 5, 1), path=path)
    assert path.read_bytes() == made.SerializeToString()
    apply, held = from_onnx(path)
    # Under the names of the layers, in the layout of ONNX.
    assert {name: a.shape for name, a in held.items()} == {
        "conv1/kernel": (3, 1, 3, 3), "conv1/bias": (3,),
        "dense1/weight": (27, 2), "dense1/bias": (2,),
    }  # fmt: skip
    for count in (1, 3):
        x = np.ones((count, 1, 5, 5), np.float32)
        assert apply(held, x).shape == (count, 2)
        assert by_runtime(made, x)[0].shape == (count, 2)


def test_gradients_of_what_comes_in_again_are_those_of_the_network():
    net = serial(
        Conv(3, 3, padding=1), layers.BatchNorm(), Activation(jc.relu), MaxPool(2),
        layers.Flatten(), layers.Dense(2),
    )  # fmt: skip
    params, state = drawn(net, (6, 6, 2), jnp.float64)
    x = examples(net, (6, 6, 2), jnp.float64)
    apply, held = from_onnx(to_onnx(net, params, state, (6, 6, 2)))

    def mine(params, x):
        return (net.apply(params, state, x)[0] ** 2).sum()

    def again(held, x):
        return (apply(held, jnp.moveaxis(x, -1, 1)) ** 2).sum()

    ours, theirs = jax.grad(mine, (0, 1))(params, x), jax.grad(again, (0, 1))(held, x)
    np.testing.assert_allclose(theirs[1], ours[1], 1e-7, 1e-7 * abs(ours[1]).max())
    kernel = jnp.moveaxis(theirs[0]["conv1/kernel"], (0, 1), (-1, -2))
    np.testing.assert_allclose(kernel, ours[0]["conv1"]["kernel"], 1e-7)
    np.testing.assert_allclose(theirs[0]["dense1/weight"], ours[0]["dense1"]["weight"], 1e-7)


def test_parameters_of_another_network_are_refused():
    net = serial(Conv(3, 3), layers.BatchNorm())
    params, state = drawn(net, (5, 5, 1))
    for wrong in ({}, params | {"conv1": {}}, drawn(net, (5, 5, 2))[0]):
        with pytest.raises(ValueError, match="to_onnx: params and state must be what init"):
            to_onnx(net, wrong, state, (5, 5, 1))
    with pytest.raises(ValueError, match="to_onnx: params and state must be what init"):
        to_onnx(net, params, {}, (5, 5, 1))


def test_what_has_no_counterpart_is_named():
    net = serial(Activation(jc.flatten))
    with pytest.raises(ValueError, match="activations that ONNX has, got flatten at 'flatten1'"):
        to_onnx(net, {}, {}, MAP)
    with pytest.raises(TypeError, match="net must be a layer"):
        to_onnx("net", {}, {}, MAP)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path must be a path or None, got 3"):
        to_onnx(layers.Flatten(), {}, {}, MAP, path=3)  # type: ignore[arg-type]
