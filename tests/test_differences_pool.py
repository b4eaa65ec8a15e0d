"""Rows of the table of differences: poolings."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from elsewhere import gradient, image, measured, onnx_node, row, torch_gradient, torch_row

import jaxcnn as jc

INF, NAN = math.inf, math.nan


def onnx_row(x):
    return np.asarray(x, np.float32)[None, None]


def test_default_stride():
    x = np.zeros((1, 4, 4, 1))
    channels_first = x[0].transpose(2, 0, 1)

    def sizes(*results, first=1):
        (size,) = {tuple(y.shape[first : first + 2]) for y in results}
        return np.array(size)

    def torch(t):
        f = t.nn.functional
        return sizes(
            *(pool(t.zeros(1, 1, 4, 4), 2) for pool in (f.max_pool2d, f.avg_pool2d)), first=2
        )

    measured(
        "default_stride",
        lambda: sizes(jc.max_pool(x, 2), jc.avg_pool(x, 2), *jc.max_pool_with_switches(x, 2)),
        PyTorch=torch,
        Flax=lambda f: sizes(*(pool(jnp.asarray(x), (2, 2)) for pool in (f.max_pool, f.avg_pool))),
        Equinox=lambda e: sizes(*(p(2)(channels_first) for p in (e.nn.MaxPool2d, e.nn.AvgPool2d))),
        Keras=lambda k: sizes(
            *(kind(2)(x) for kind in (k.layers.MaxPooling2D, k.layers.AveragePooling2D))
        ),
    )


def test_tie():
    x = [2.0, 2.0, 2.0]
    measured(
        "tie",
        lambda: gradient(lambda x: jc.max_pool(x, 3), row(x)),
        PyTorch=lambda t: torch_gradient(t, lambda x: t.nn.functional.max_pool1d(x, 3), x),
        Flax=lambda f: gradient(lambda x: f.max_pool(x, (3,), (3,)), row(x)),
        Keras=lambda k: gradient(lambda x: k.ops.max_pool(x, (1, 3), (1, 3)), image(x)),
    )


def test_nan_window():
    windows = [NAN, 1, 2], [1, 2, NAN]

    def onnxruntime(ort):
        longer = [np.where(np.arange(9) == i, NAN, np.arange(9)) for i in range(9)]
        (found,) = np.isnan(
            [[onnx_node("MaxPool", onnx_row(x), runtime=ort, kernel_shape=[9]) for x in longer]]
        )
        assert found.any()
        assert not found.all()
        return np.array(
            [onnx_node("MaxPool", onnx_row(x), runtime=ort, kernel_shape=[3]) for x in windows]
        )

    measured(
        "nan_window",
        lambda: np.array([jc.max_pool(row(x), 3) for x in windows]),
        PyTorch=lambda t: [
            float(t.nn.functional.max_pool1d(torch_row(t, x), 3).detach()) for x in windows
        ],
        Flax=lambda f: np.array([f.max_pool(row(x), (3,)) for x in windows]),
        onnxruntime=onnxruntime,
    )


def test_nan_gradient():
    x = [NAN, 1.0, NAN, 2.0]
    measured(
        "nan_gradient",
        lambda: gradient(lambda x: jc.max_pool(x, 4), row(x)),
        PyTorch=lambda t: torch_gradient(t, lambda x: t.nn.functional.max_pool1d(x, 4), x),
        Flax=lambda f: (
            np.ravel(gradient(lambda x: f.max_pool(x, (4,), (4,)), row(x)))[[1, 3]].sum() == 1
        ),
    )


def test_infinite_window():
    x = [-INF] * 3
    settings = {"kernel_shape": [3], "pads": [1, 1], "strides": [1]}
    measured(
        "infinite_window",
        lambda: jc.max_pool(row(x), 3, stride=1, padding=1),
        PyTorch=lambda t: t.nn.functional.max_pool1d(torch_row(t, x), 3, 1, 1),
        Flax=lambda f: f.max_pool(row(x), (3,), (1,), padding=((1, 1),)),
        onnxruntime=lambda ort: onnx_node("MaxPool", onnx_row(x), runtime=ort, **settings),
    )


def test_infinite_padding():
    x = [-INF] * 4
    measured(
        "infinite_padding",
        lambda: gradient(lambda x: jc.max_pool(x, 3, stride=1, padding=1), row(x)).sum(),
        PyTorch=lambda t: torch_gradient(
            t, lambda x: t.nn.functional.max_pool1d(x, 3, 1, 1), x
        ).sum(),
        Flax=lambda f: bool(
            gradient(lambda x: f.max_pool(x, (3,), (1,), padding=((1, 1),)), row(x)).sum() < 4
        ),
    )


def test_ceil_max():
    x = [1.0, 2.0, 3.0, 4.0]
    settings = {"kernel_shape": [2], "strides": [3], "pads": [1, 1], "ceil_mode": 1}
    measured(
        "ceil_max",
        lambda: jc.max_pool(row(x), 2, stride=3, padding=1, ceil_mode=True),
        PyTorch=lambda t: t.nn.functional.max_pool1d(torch_row(t, x), 2, 3, 1, ceil_mode=True),
        onnxruntime=lambda ort: onnx_node("MaxPool", onnx_row(x), runtime=ort, **settings),
    )


def test_ceil_average():
    x = [1.0, 2.0, 3.0, 4.0]

    def both(pool):
        return np.concatenate([np.ravel(pool(padding)) for padding in (0, 1)])

    def onnx(runtime):
        settings = {"kernel_shape": [3], "strides": [2], "ceil_mode": 1, "count_include_pad": 1}
        return both(
            lambda p: onnx_node(
                "AveragePool", onnx_row(x), runtime=runtime, pads=[p, p], **settings
            )
        )

    measured(
        "ceil_average",
        lambda: both(lambda p: jc.avg_pool(row(x), 3, stride=2, padding=p, ceil_mode=True)),
        PyTorch=lambda t: both(
            lambda p: t.nn.functional.avg_pool1d(
                torch_row(t, x).detach(), 3, 2, p, ceil_mode=True
            ).numpy()
        ),
        onnxruntime=onnx,
    )


def test_same_dilated():
    x = [1.0, 2, 3, 4, 9, 6, 7]
    settings = {"kernel_shape": [3], "dilations": [2], "auto_pad": "SAME_UPPER"}
    measured(
        "same_dilated",
        lambda: jc.max_pool(row(x), 3, stride=1, dilation=2, padding="SAME"),
        JAX=lambda j: j.lax.reduce_window(
            jnp.array(x), -INF, j.lax.max, (3,), (1,), "SAME", window_dilation=(2,)
        ),
        onnxruntime=lambda ort: onnx_node("MaxPool", onnx_row(x), runtime=ort, **settings),
    )


def test_adaptive_windows():
    x = np.arange(7.0)

    def equinox(e):
        return e.nn.AdaptiveAvgPool1d(3)(jnp.asarray(x[None]))

    measured(
        "adaptive_windows",
        lambda: jc.adaptive_avg_pool(row(x), 3),
        PyTorch=lambda t: t.nn.functional.adaptive_avg_pool1d(torch_row(t, x), 3),
        Keras=lambda k: k.layers.AdaptiveAveragePooling1D(3, data_format="channels_last")(row(x)),
        Equinox=equinox,
    )


def test_adaptive_finer():
    x = [0.0, 1.0]

    def equinox(e):
        with pytest.raises(ZeroDivisionError):
            e.nn.AdaptiveAvgPool1d(3)(jnp.array([x]))
        return True

    measured(
        "adaptive_finer",
        lambda: jc.adaptive_avg_pool(row(x), 3),
        PyTorch=lambda t: t.nn.functional.adaptive_avg_pool1d(torch_row(t, x), 3),
        Equinox=equinox,
    )


def test_counted_padding():
    x = np.ones(4)
    measured(
        "counted_padding",
        lambda: jc.avg_pool(row(x), 3, stride=1, padding="SAME"),
        PyTorch=lambda t: t.nn.functional.avg_pool1d(torch_row(t, x), 3, 1, 1),
        Flax=lambda f: f.avg_pool(row(x), (3,), (1,), "SAME"),
        Equinox=lambda e: e.nn.AvgPool1d(3, 1, padding=1)(jnp.asarray(x[None])),
        Keras=lambda k: k.ops.average_pool(image(x), (1, 3), strides=1, padding="same"),
        onnxruntime=lambda ort: onnx_node(
            "AveragePool", onnx_row(x), runtime=ort, kernel_shape=[3], pads=[1, 1]
        ),
    )


def test_lp_ceil():
    x = np.ones(3)
    measured(
        "lp_ceil",
        lambda: jc.lp_pool(row(x), 2, p=2, ceil_mode=True),
        PyTorch=lambda t: t.nn.functional.lp_pool1d(torch_row(t, x), 2.0, 2, ceil_mode=True),
    )


def test_lp_sign():
    x = [-3.0, 1.0]
    measured(
        "lp_sign",
        lambda: jc.lp_pool(row(x), 2, p=1),
        PyTorch=lambda t: t.nn.functional.lp_pool1d(torch_row(t, x), 1.0, 2),
    )


def test_unpool_overlap():
    x = [1.0, 3.0, 2.0]

    def ours():
        y, switches = jc.max_pool_with_switches(row(x), 2, stride=1)
        back = jc.max_unpool(y, switches, 2, stride=1)
        scattered = jc.scatter_at_switches(y, switches, 2, stride=1, input_size=(3,))
        return back, scattered

    def torch(t):
        pool, unpool = t.nn.functional.max_pool1d, t.nn.functional.max_unpool1d
        return unpool(*pool(torch_row(t, x), 2, 1, return_indices=True), 2, 1)

    measured("unpool_overlap", ours, PyTorch=torch)


def test_half_sums():
    # In bfloat16 a running sum of ones stays at 256.
    ones = jnp.ones((1, 32, 32, 1), jnp.bfloat16)

    def ours():
        kernel = jnp.full((32, 32, 1, 1), 1 / 1024, jnp.bfloat16)
        return jc.avg_pool(ones, 32), jc.sum_pool(ones, 32) / 1024, jc.conv(ones, kernel)

    measured(
        "half_sums",
        ours,
        PyTorch=lambda t: t.nn.functional.avg_pool2d(
            t.ones((1, 1, 32, 32), dtype=t.bfloat16), 32
        ).float(),
        Flax=lambda f: f.avg_pool(ones, (32, 32)),
    )


def test_long_sums():
    generator = np.random.default_rng(0)
    x = generator.random((4096, 28, 28, 1), np.float32)
    delta = generator.random((4096, 24, 24, 1), np.float32)
    right = np.einsum("nhwc,nhwc->", x[:, :24, :24], delta, dtype=np.float64, optimize=True)

    def off(gradient):
        return abs(float(np.ravel(gradient)[0]) / right - 1)

    def torch(t):
        images, deltas = (t.tensor(a.transpose(0, 3, 1, 2)) for a in (x, delta))
        found = off(t.nn.grad.conv2d_weight(images, (1, 1, 5, 5), deltas))
        return not t.backends.mkldnn.is_available() or found > 1e-4

    def plain(_):
        def product(kernel):
            axes = ("NHWC", "HWIO", "NHWC")
            y = jax.lax.conv_general_dilated(
                jnp.asarray(x), kernel, (1, 1), "VALID", dimension_numbers=axes
            )
            return (y * delta).sum()

        return off(jax.grad(product)(jnp.zeros((5, 5, 1, 1), jnp.float32))) < 1e-5

    measured(
        "long_sums",
        lambda: off(jc.conv_kernel_grad(x, delta, kernel_size=(5, 5))) < 1e-5,
        PyTorch=torch,
        JAX=plain,
    )
