"""The rows of the documentation's table of differences, run against what is installed."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from docs.differences import DIFFERENCES

ROWS = {row.key: row for row in DIFFERENCES}
MODULES = {
    "PyTorch": "torch", "Flax": "flax.nnx", "Equinox": "equinox", "Keras": "keras",
    "ONNX": "onnx.reference",
}  # fmt: skip


@pytest.fixture(autouse=True)
def promotion(monkeypatch):
    """They promote dtypes and ranks."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def module(name):
    try:
        return importlib.import_module(MODULES[name])
    except ImportError:
        return None


def row(x):
    return jnp.asarray(x, jnp.float64)[None, :, None]


def image(x):
    """Frameworks pool images: a row of one line."""
    return jnp.asarray(x, jnp.float64)[None, None, :, None]


def torch_row(torch, x):
    return torch.tensor(np.asarray(x, float)[None, None, :], requires_grad=True)


def holds(key, ours, **others):
    """What is told in the table, and by whom, is what is computed; each value is a thunk.

    Of a framework that is not installed nothing is asked; one that is told of must be asked.
    """
    assert ours
    told = set(ROWS[key].others)
    assert told == set(others) | ({"JAX"} & told - set(others))
    for name, check in others.items():
        found = module(name) if name in MODULES else jax
        if found is not None:
            assert check(found), (key, name)


def gradient_of_pool(x, pool, window=None):
    return np.asarray(jax.grad(lambda x: pool(x).sum())(x)).ravel()


def torch_gradient(torch, x, f):
    given = torch_row(torch, x)
    f(given).sum().backward()
    return given.grad.numpy().ravel()


def test_tie():
    first = [1, 0, 0]
    x = [2.0, 2.0, 2.0]

    def keras(k):
        found = jax.grad(lambda x: k.ops.max_pool(x, (1, 3), (1, 3)).sum())(image(x))
        return np.array_equal(np.ravel(found), first)

    holds(
        "tie",
        np.array_equal(gradient_of_pool(row(x), lambda x: jc.max_pool(x, 3)), first),
        PyTorch=lambda t: np.array_equal(
            torch_gradient(t, x, lambda x: t.nn.functional.max_pool1d(x, 3)), first
        ),
        Flax=lambda f: np.array_equal(
            gradient_of_pool(row(x), lambda x: f.max_pool(x, (3,), (3,))), first
        ),
        Keras=keras,
    )


def test_nan_gradient():
    x = [math.nan, 1.0, math.nan, 2.0]
    ours = gradient_of_pool(row(x), lambda x: jc.max_pool(x, 4))
    holds(
        "nan_gradient",
        np.array_equal(ours, [1, 0, 0, 0]),
        PyTorch=lambda t: np.array_equal(
            torch_gradient(t, x, lambda x: t.nn.functional.max_pool1d(x, 4)), [0, 0, 1, 0]
        ),
        Flax=lambda f: (
            gradient_of_pool(row(x), lambda x: f.max_pool(x, (4,), (4,)))[[1, 3]].sum() == 1
        ),
    )


def test_infinite_padding():
    x = [-math.inf] * 4
    ours = gradient_of_pool(row(x), lambda x: jc.max_pool(x, 3, stride=1, padding=1))

    def flax(f):
        found = gradient_of_pool(row(x), lambda x: f.max_pool(x, (3,), (1,), padding=((1, 1),)))
        return found.sum() < 4

    holds(
        "infinite_padding",
        ours.sum() == 4,
        PyTorch=lambda t: (
            torch_gradient(t, x, lambda x: t.nn.functional.max_pool1d(x, 3, 1, 1)).sum() == 4
        ),
        Flax=flax,
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
    def ours(x):
        return np.asarray(jc.local_response_norm(jnp.asarray(x[None]), size=4, alpha=0.5)[0])

    def torch(t):
        def response(x):
            given = t.tensor(x[None, :, None])
            return t.nn.functional.local_response_norm(given, 4, alpha=0.5).numpy().ravel()

        return seen_by(response) == [-2, -1, 0, 1]

    def onnx(_):
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        node = helper.make_node("LRN", ["x"], ["y"], size=4, alpha=0.5)
        info = helper.make_tensor_value_info
        # As many images as channels: the reference's loop runs over the images.
        x, y = (info(name, TensorProto.DOUBLE, [9, 9, 1, 1]) for name in "xy")
        run = ReferenceEvaluator(helper.make_model(helper.make_graph([node], "lrn", [x], [y])))

        def response(x):
            (y,) = run.run(None, {"x": np.tile(x[None, :, None, None], (9, 1, 1, 1))})
            return np.asarray(y)[0].ravel()

        return seen_by(response) == [-1, 0, 1, 2]

    holds("even_lrn", seen_by(ours) == [-2, -1, 0, 1], PyTorch=torch, ONNX=onnx)


def test_adaptive_windows():
    x = np.arange(7.0)
    ours = np.ravel(jc.adaptive_avg_pool(row(x), 3))

    def equinox(e):
        return np.allclose(e.nn.AdaptiveAvgPool1d(3)(jnp.asarray(x[None])), [1, 3.5, 5.5])

    holds(
        "adaptive_windows",
        np.allclose(ours, [1, 3, 5]),
        PyTorch=lambda t: np.allclose(
            t.nn.functional.adaptive_avg_pool1d(t.tensor(x[None, None]), 3).ravel(), [1, 3, 5]
        ),
        Equinox=equinox,
    )


def test_counted_padding():
    x = np.ones(4)
    ours = np.ravel(jc.avg_pool(row(x), 3, stride=1, padding=1))

    def keras(k):
        found = k.ops.average_pool(image(x), (1, 3), strides=1, padding="same")
        return np.allclose(np.ravel(found), 1)

    holds(
        "counted_padding",
        np.allclose(ours, [2 / 3, 1, 1, 2 / 3]),
        PyTorch=lambda t: np.allclose(
            t.nn.functional.avg_pool1d(t.tensor(x[None, None]), 3, 1, 1).ravel(), ours
        ),
        Flax=lambda f: np.allclose(np.ravel(f.avg_pool(row(x), (3,), (1,), "SAME")), ours),
        Keras=keras,
    )


def slopes(f, *places):
    return [float(jax.grad(lambda x: f(x).sum())(jnp.array([float(place)]))[0]) for place in places]


def torch_slopes(torch, f, *places):
    return [float(torch_gradient(torch, [place], f)[0]) for place in places]


def test_relu6_kinks():
    holds(
        "relu6_kinks",
        slopes(jc.relu6, 0, 6) == [0, 0],
        PyTorch=lambda t: torch_slopes(t, t.nn.functional.relu6, 0, 6) == [0, 0],
        JAX=lambda j: slopes(j.nn.relu6, 0, 6) == [0, 0],
    )


def test_leaky_kink():
    holds(
        "leaky_kink",
        slopes(jc.leaky_relu, 0) == [1] and slopes(lambda x: jc.prelu(x, jnp.array(0.1)), 0) == [1],
        JAX=lambda j: slopes(j.nn.leaky_relu, 0) == [1],
        PyTorch=lambda t: torch_slopes(t, t.nn.functional.leaky_relu, 0) == [0.01],
    )


def test_hard_tanh_kinks():
    holds(
        "hard_tanh_kinks",
        slopes(jc.hard_tanh, -1, 1) == [1, 1],
        PyTorch=lambda t: torch_slopes(t, t.nn.functional.hardtanh, -1, 1) == [0, 0],
    )


def test_absolute_kink():
    holds(
        "absolute_kink",
        slopes(lambda x: jc.absolute_error(x[None], jnp.zeros((1, 1))), 0) == [1],
        JAX=lambda j: slopes(j.numpy.abs, 0) == [1],
        PyTorch=lambda t: torch_slopes(t, t.abs, 0) == [0],
    )


def test_kl_at_zero():
    log_y, target = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])
    ours = jax.grad(lambda t: jc.kl_divergence(jnp.asarray(log_y), t))(jnp.asarray(target))

    def torch(t):
        given = t.tensor(target, requires_grad=True)
        t.nn.functional.kl_div(t.tensor(log_y), given, reduction="batchmean").backward()
        return bool(given.grad[0, 0].isnan())

    holds("kl_at_zero", ours[0, 0] == 0, PyTorch=torch)


def test_constant_rows():
    x = np.full((1, 256), 1000.1, np.float32)
    ours = jc.layer_norm(jnp.asarray(x))

    def flax(f):
        return np.abs(f.LayerNorm(256, rngs=f.Rngs(0))(jnp.asarray(x))).max() > 1e-5

    holds(
        "constant_rows",
        np.abs(ours).max() == 0,
        PyTorch=lambda t: t.nn.functional.layer_norm(t.tensor(x), (256,)).abs().max() == 0,
        Flax=flax,
    )


def test_running_variance():
    x = np.array([[1.0], [3.0]], np.float32)
    (_, _, variance), (biased, unbiased) = jc.batch_norm(jnp.asarray(x)), (1.0, 2.0)
    layer = {
        name: jc.layers.BatchNorm(momentum=0.0, unbiased=flag)
        for name, flag in (("n", False), ("y", True))
    }
    found = {}
    for name, one in layer.items():
        params, state = one.init(jax.random.key(0), (1,))
        found[name] = float(
            jax.tree.leaves(one.apply(params, state, jnp.asarray(x), train=True)[1])[-1][0]
        )

    def torch(t):
        norm = t.nn.BatchNorm1d(1, momentum=1.0)
        norm(t.tensor(x))
        return float(norm.running_var) == unbiased

    def flax(f):
        norm = f.BatchNorm(1, momentum=0.0, rngs=f.Rngs(0))
        norm(jnp.asarray(x))
        return float(norm.var[...][0]) == biased

    def keras(k):
        norm = k.layers.BatchNormalization(momentum=0.0)
        norm(x, training=True)
        return math.isclose(float(norm.moving_variance[0]), biased)

    ours = float(variance[0]) == biased and found == {"n": biased, "y": unbiased}
    holds("running_variance", ours, PyTorch=torch, Flax=flax, Keras=keras)


def test_gelu_default():
    x = 1.0
    exact = x * 0.5 * (1 + math.erf(x / math.sqrt(2)))

    def is_exact(value):
        return abs(float(np.ravel(value)[0]) - exact) < 1e-6

    holds(
        "gelu_default",
        is_exact(jc.gelu(jnp.array([x]))),
        PyTorch=lambda t: is_exact(t.nn.functional.gelu(t.tensor([x], dtype=t.float64))),
        JAX=lambda j: not is_exact(j.nn.gelu(jnp.array([x]))),
        Keras=lambda k: is_exact(k.activations.gelu(jnp.array([x]))),
    )


def test_squared_error_half():
    y, target = np.array([[3.0]]), np.array([[1.0]])
    holds(
        "squared_error_half",
        jc.squared_error(jnp.asarray(y), jnp.asarray(target)) == 2,
        PyTorch=lambda t: t.nn.functional.mse_loss(t.tensor(y), t.tensor(target)) == 4,
    )


def test_lp_ceil():
    x = np.ones(3)
    ours = np.ravel(jc.lp_pool(row(x), 2, p=2, ceil_mode=True))

    def torch(t):
        found = t.nn.functional.lp_pool1d(t.tensor(x[None, None]), 2.0, 2, ceil_mode=True)
        return np.allclose(found.ravel(), [2**0.5, 2**0.5])

    holds("lp_ceil", np.allclose(ours, [2**0.5, 1]), PyTorch=torch)


def test_transposed_kernel():
    x, kernel = np.ones((1, 1, 1)), np.array([1.0, 2.0, 3.0])[:, None, None]
    ours = np.ravel(jc.conv_transpose(jnp.asarray(x), jnp.asarray(kernel)))

    def torch(t):
        weight = t.tensor(np.ascontiguousarray(kernel.transpose(1, 2, 0)))
        return np.allclose(t.nn.functional.conv_transpose1d(t.tensor(x), weight).ravel(), [1, 2, 3])

    def flax(f):
        layer = f.ConvTranspose(1, 1, (3,), padding="VALID", use_bias=False, rngs=f.Rngs(0))
        layer.kernel[...] = jnp.asarray(kernel, jnp.float32)
        return np.allclose(np.ravel(layer(jnp.asarray(x, jnp.float32))), [3, 2, 1])

    holds("transposed_kernel", np.allclose(ours, [1, 2, 3]), PyTorch=torch, Flax=flax)


def test_half_sums():
    # In bfloat16 a running sum of ones stays at 256.
    x = jnp.ones((1, 1024, 1), jnp.bfloat16)
    summed = jc.sum_pool(x, 1024), jc.conv(x, jnp.ones((1024, 1, 1), jnp.bfloat16))
    ones = x.reshape(1, 32, 32, 1)
    average = float(jc.avg_pool(ones, 32)[0, 0, 0, 0])

    def torch(t):
        found = t.nn.functional.avg_pool2d(t.ones((1, 1, 32, 32), dtype=t.bfloat16), 32)
        return float(found) == 1

    holds(
        "half_sums",
        all(float(np.ravel(y)[0]) == 1024 for y in summed) and average == 1,
        PyTorch=torch,
        Flax=lambda f: float(f.avg_pool(ones, (32, 32))[0, 0, 0, 0]) == 0.25,
    )


def test_long_sums():
    generator = np.random.default_rng(0)
    x = generator.random((64, 129, 129, 1), np.float32)
    delta = generator.random((64, 128, 128, 1), np.float32)
    found = jc.conv_kernel_grad(jnp.asarray(x), jnp.asarray(delta), kernel_size=(2, 2))
    right = np.einsum(
        "nhw,nhw->", x[:, :-1, :-1, 0], delta[..., 0], dtype=np.float64, optimize=True
    )
    holds("long_sums", abs(float(found[0, 0, 0, 0]) / right - 1) < 1e-5)
