"""Rows of the table of differences: activations, losses, orders and sizes; the table itself."""

import re
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from elsewhere import (
    gradient,
    image,
    measured,
    onnx_node,
    row,
    slopes,
    torch_row,
    torch_slopes,
)

import jaxcnn as jc
from docs.comparison import differences_page
from docs.differences import BY_HAND, DIFFERENCES, PACKAGES, differences_of
from docs.operations import operations
from docs.pages import rule_page

# The table


def test_every_difference_has_a_test():
    tests = [p.read_text() for p in Path(__file__).parent.glob("test_differences*.py")]
    found = re.findall(r'measured\(\n? *"(\w+)"', "".join(tests))
    assert sorted(found) == sorted(known.key for known in DIFFERENCES)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.key)
def test_somebody_differs(difference):
    assert set(difference.others) <= {*PACKAGES, *BY_HAND}
    assert set(difference.rules) <= {operation.name for operation in operations()}

    def value(text):
        return re.split("[:(]", text)[0].strip()

    alike = [value(text) == value(difference.jaxcnn) for text in difference.others.values()]
    assert all(alike) == difference.what.endswith("all agree")


NAMED = {
    "PyTorch": "PyTorch", "Flax": "Flax", "Keras": "Keras", "ONNX": "ONNX", "Equinox": "Equinox",
    "TensorFlow": "TensorFlow", "Caffe": "Caffe", r"jax\.nn|`jnp|JAX's": "JAX",
}  # fmt: skip
ALIKE = {
    ("pad", "PyTorch"): "takes the names of its modes from it",
    ("resize", "ONNX"): "has the places of its Resize, which onnxruntime is asked for",
    ("erf", "ONNX"): "says where its graphs have it",
    ("pixel_shuffle", "TensorFlow"): "has its order, which is ONNX's default, by choice",
    ("local_response_norm", "Caffe"): "has its α, which is PyTorch's, by choice",
}
"""Frameworks that a docstring names and no row of the operation: and why there is no difference."""


def test_whom_a_docstring_names_a_row_tells_of():
    missing = set()
    for operation in operations():
        text = jc.__dict__[operation.name].__doc__
        told = {name for known in differences_of(operation.name) for name in known.others}
        for pattern, name in NAMED.items():
            if re.search(pattern, text) and name not in told:
                missing.add((operation.name, name))
    assert missing == set(ALIKE)


def test_the_pages_say_who_is_not_tested_and_where_no_row_is():
    page = differences_page()
    for known in DIFFERENCES:
        assert f" test_{known.key}`" in page
    for name, version in BY_HAND.items():
        assert f"{name} {version} (not tested here): " in page
    by_name = {operation.name: operation for operation in operations()}
    assert "`ceil_torch` 1, 4" in page
    assert "No row of the table of [differences]" in rule_page(by_name["dilate"])
    assert "(not tested here): a third each" in rule_page(by_name["max_pool"])


# Activations


def test_relu6_kinks():
    measured(
        "relu6_kinks",
        lambda: slopes(jc.relu6, 0, 6),
        PyTorch=lambda t: torch_slopes(t, t.nn.functional.relu6, 0, 6),
        JAX=lambda j: (
            slopes(j.nn.relu6, 0, 6),
            slopes(lambda x: j.numpy.clip(x, 0, 6), 0, 6),
        ),
    )


def test_leaky_kink():
    measured(
        "leaky_kink",
        lambda: (slopes(jc.leaky_relu, 0), slopes(lambda x: jc.prelu(x, jnp.array(0.1)), 0)),
        JAX=lambda j: slopes(j.nn.leaky_relu, 0),
        PyTorch=lambda t: torch_slopes(t, t.nn.functional.leaky_relu, 0),
        Keras=lambda k: slopes(k.activations.leaky_relu, 0),
    )


def test_leaky_default():
    x = np.array([-1.0])
    measured(
        "leaky_default",
        lambda: jc.leaky_relu(x),
        PyTorch=lambda t: t.nn.functional.leaky_relu(t.tensor(x)),
        JAX=lambda j: j.nn.leaky_relu(x),
        Keras=lambda k: (k.activations.leaky_relu(x), k.layers.LeakyReLU()(x)),
    )


def test_hard_tanh_kinks():
    measured(
        "hard_tanh_kinks",
        lambda: slopes(jc.hard_tanh, -1, 1),
        JAX=lambda j: (
            slopes(j.nn.hard_tanh, -1, 1),
            slopes(lambda x: j.numpy.clip(x, -1, 1), -1, 1),
            slopes(lambda x: j.lax.clamp(-1.0, x, 1.0), -1, 1),
        ),
        PyTorch=lambda t: (
            torch_slopes(t, t.nn.functional.hardtanh, -1, 1),
            torch_slopes(t, lambda x: t.clamp(x, -1, 1), -1, 1),
        ),
        Keras=lambda k: slopes(k.activations.hard_tanh, -1, 1),
    )


def test_hard_sigmoid_line():
    x = np.array([1.0])
    measured(
        "hard_sigmoid_line",
        lambda: (jc.hard_sigmoid(x), jc.hard_swish(x)),
        PyTorch=lambda t: t.nn.functional.hardsigmoid(t.tensor(x)),
        JAX=lambda j: j.nn.hard_sigmoid(x),
        Keras=lambda k: k.activations.hard_sigmoid(x),
        ONNX=lambda _: onnx_node("HardSigmoid", x),
    )


def test_gelu_default():
    x = np.array([1.0])
    measured(
        "gelu_default",
        lambda: jc.gelu(x),
        PyTorch=lambda t: t.nn.functional.gelu(t.tensor(x)),
        ONNX=lambda _: onnx_node("Gelu", x.astype(np.float32)),
        JAX=lambda j: j.nn.gelu(x),
        Keras=lambda k: (k.activations.gelu(x), k.ops.gelu(x)),
    )


# Losses

ERRORS, ZEROS = np.array([[1.0, 2.0, 3.0, 4.0]]), np.zeros((1, 4))


def torch_loss(name, y=ERRORS, target=ZEROS, **settings):
    return lambda t: getattr(t.nn.functional, name)(t.tensor(y), t.tensor(target), **settings)


def test_mean_bce():
    u, target = np.array([[1.0, -2.0, 3.0, 4.0]]), np.array([[0.0, 1.0, 0.0, 1.0]])
    measured(
        "mean_bce",
        lambda: jc.sigmoid_binary_cross_entropy(u, target),
        PyTorch=torch_loss("binary_cross_entropy_with_logits", u, target),
        Keras=lambda k: k.losses.BinaryCrossentropy(from_logits=True)(target, u),
    )


def test_mean_huber():
    measured(
        "mean_huber",
        lambda: jc.huber(ERRORS, ZEROS),
        PyTorch=torch_loss("huber_loss"),
        Keras=lambda k: k.losses.Huber()(ZEROS, ERRORS),
    )


def test_mean_smooth_l1():
    measured(
        "mean_smooth_l1",
        lambda: jc.smooth_l1(ERRORS, ZEROS),
        PyTorch=torch_loss("smooth_l1_loss"),
    )


def test_mean_absolute():
    measured(
        "mean_absolute",
        lambda: jc.absolute_error(ERRORS, ZEROS),
        PyTorch=torch_loss("l1_loss"),
        Keras=lambda k: k.losses.MeanAbsoluteError()(ZEROS, ERRORS),
    )


def test_mean_squared():
    measured(
        "mean_squared",
        lambda: jc.squared_error(ERRORS, ZEROS),
        PyTorch=torch_loss("mse_loss"),
        Keras=lambda k: k.losses.MeanSquaredError()(ZEROS, ERRORS),
    )


def test_squared_error_half():
    def by_sigmoid():
        y = np.array([[0.2, 0.4, 0.6, 0.8]])
        found = jc.sigmoid_squared_error(np.log(y / (1 - y)), ZEROS, reduction="sum")
        return np.allclose(found, jc.squared_error(y, ZEROS, reduction="sum"))

    measured(
        "squared_error_half",
        lambda: (jc.squared_error(ERRORS, ZEROS, reduction="sum"), by_sigmoid()),
        PyTorch=torch_loss("mse_loss", reduction="sum"),
        Keras=lambda k: k.losses.MeanSquaredError(reduction="sum")(ZEROS, ERRORS) * 4,
    )


def test_mean_kl():
    y, target = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])

    def torch(t):
        # PyTorch warns that "mean" is no divergence.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kinds = ("mean", "batchmean")
            return tuple(torch_loss("kl_div", np.log(y), target, reduction=k)(t) for k in kinds)

    measured(
        "mean_kl",
        lambda: jc.kl_divergence(np.log(y), target),
        PyTorch=torch,
        Keras=lambda k: k.losses.KLDivergence()(target, y),
    )


def test_kl_at_zero():
    log_y, target = np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])

    def torch(t):
        given = t.tensor(target, requires_grad=True)
        t.nn.functional.kl_div(t.tensor(log_y), given, reduction="batchmean").backward()
        return given.grad[0, 0]

    measured(
        "kl_at_zero",
        lambda: gradient(lambda t: jc.kl_divergence(log_y, t), jnp.asarray(target))[0, 0],
        PyTorch=torch,
    )


def test_absolute_kink():
    measured(
        "absolute_kink",
        lambda: slopes(lambda x: jc.absolute_error(x[None], jnp.zeros((1, 1))), 0),
        JAX=lambda j: slopes(j.numpy.abs, 0),
        PyTorch=lambda t: torch_slopes(t, t.abs, 0),
    )


LOGITS = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])


def test_class_weights():
    labels, weights = np.array([0, 2]), np.array([1.0, 1.0, 4.0])

    def keras(k):
        loss = k.losses.SparseCategoricalCrossentropy(from_logits=True)
        return loss(labels, LOGITS, sample_weight=weights[labels])

    measured(
        "class_weights",
        lambda: jc.softmax_cross_entropy(LOGITS, labels, class_weights=weights),
        PyTorch=lambda t: t.nn.functional.cross_entropy(
            t.tensor(LOGITS), t.tensor(labels), weight=t.tensor(weights)
        ),
        Keras=keras,
    )


def test_ignored_label():
    labels = np.array([0, -100])

    def ours():
        with pytest.raises(ValueError, match="targets must lie in"):
            jc.softmax_cross_entropy(LOGITS, labels)
        return True

    def torch(t):
        loss, u = t.nn.functional.cross_entropy, t.tensor(LOGITS)
        return bool(loss(u, t.tensor(labels)) == loss(u[:1], t.tensor(labels[:1])))

    measured("ignored_label", ours, PyTorch=torch)


def test_weight_decay_half():
    w = jnp.array([3.0])

    def both(penalty):
        return np.array([penalty(w), gradient(penalty, w)[0]])

    def torch(t):
        weight = t.nn.Parameter(t.tensor([3.0]))
        weight.grad = t.zeros(1)
        t.optim.SGD([weight], lr=1.0, weight_decay=0.1).step()
        return 3 - weight

    measured(
        "weight_decay_half",
        lambda: both(lambda w: jc.weight_decay(w, 0.1)),
        PyTorch=torch,
        Keras=lambda k: both(k.regularizers.L2(0.1)),
    )


# Orders and sizes


def test_convolution_word():
    x, kernel = np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0])
    taps = kernel[:, None, None]

    def flax(f):
        layer = f.Conv(1, 1, (2,), padding="VALID", use_bias=False, rngs=f.Rngs(0))
        layer.kernel[...] = jnp.asarray(taps, jnp.float32)
        return layer(row(x))

    measured(
        "convolution_word",
        lambda: (jc.conv(row(x), taps), jc.true_conv(row(x), taps)),
        PyTorch=lambda t: t.nn.functional.conv1d(torch_row(t, x), torch_row(t, kernel)),
        Flax=flax,
        Keras=lambda k: k.ops.conv(row(x), taps),
        JAX=lambda j: j.numpy.convolve(x, kernel, "valid"),
    )


def test_kernel_shape():
    x = np.zeros((1, 8, 8, 2), np.float32)

    def ours():
        params, _ = jc.layers.Conv(5, (3, 4)).init(jax.random.key(0), (8, 8, 2))
        return np.array(params["kernel"].shape)

    def keras(k):
        layer = k.layers.Conv2D(5, (3, 4))
        layer(x)
        return np.array(layer.kernel.shape)

    measured(
        "kernel_shape",
        ours,
        PyTorch=lambda t: np.array(t.nn.Conv2d(2, 5, (3, 4)).weight.shape),
        Equinox=lambda e: np.array(e.nn.Conv2d(2, 5, (3, 4), key=jax.random.key(0)).weight.shape),
        Flax=lambda f: np.array(f.Conv(2, 5, (3, 4), rngs=f.Rngs(0)).kernel.shape),
        Keras=keras,
    )


def test_weight_shape():
    def ours():
        params, _ = jc.layers.Dense(2).init(jax.random.key(0), (3,))
        return np.array(params["weight"].shape)

    def keras(k):
        layer = k.layers.Dense(2)
        layer(np.zeros((1, 3), np.float32))
        return np.array(layer.kernel.shape)

    measured(
        "weight_shape",
        ours,
        PyTorch=lambda t: np.array(t.nn.Linear(3, 2).weight.shape),
        Equinox=lambda e: np.array(e.nn.Linear(3, 2, key=jax.random.key(0)).weight.shape),
        Flax=lambda f: np.array(f.Linear(3, 2, rngs=f.Rngs(0)).kernel.shape),
        Keras=keras,
    )


def test_transposed_kernel():
    x, kernel = np.ones((1, 1, 1)), np.array([1.0, 2.0, 3.0])
    taps = kernel[:, None, None]

    def flax(f):
        layer = f.ConvTranspose(1, 1, (3,), padding="VALID", use_bias=False, rngs=f.Rngs(0))
        layer.kernel[...] = jnp.asarray(taps, jnp.float32)
        return layer(jnp.asarray(x, jnp.float32))

    def equinox(e):
        layer = e.nn.ConvTranspose1d(1, 1, 3, use_bias=False, key=jax.random.key(0))
        weight = jnp.asarray(kernel[None, None])
        return e.tree_at(lambda layer: layer.weight, layer, weight)(jnp.asarray(x[0]))

    measured(
        "transposed_kernel",
        lambda: jc.conv_transpose(x, taps),
        PyTorch=lambda t: t.nn.functional.conv_transpose1d(t.tensor(x), torch_row(t, kernel)),
        Keras=lambda k: k.ops.conv_transpose(x, taps, 1),
        Flax=flax,
        Equinox=equinox,
    )


def test_flat_order():
    x = np.arange(4.0).reshape(1, 2, 2)
    measured(
        "flat_order",
        lambda: jc.flatten(x),
        PyTorch=lambda t: t.nn.Flatten()(t.tensor(x.transpose(0, 2, 1))),
        Keras=lambda k: k.layers.Flatten(data_format="channels_last")(x),
    )


def test_patches_order():
    x = np.arange(8.0).reshape(1, 2, 2, 2)

    def ours():
        rows = jc.patches(x, 2)
        return rows, jc.fold(rows, 2, input_size=(2, 2))

    def plain(j):
        axes = ("NHWC", "HWIO", "NHWC")
        found = j.lax.conv_general_dilated_patches
        return found(x, (2, 2), (1, 1), "VALID", dimension_numbers=axes)

    measured(
        "patches_order",
        ours,
        PyTorch=lambda t: t.nn.functional.unfold(t.tensor(x.transpose(0, 3, 1, 2)), 2),
        JAX=plain,
        Keras=lambda k: k.ops.image.extract_patches(x, 2),
    )


def test_shuffle_order():
    x = np.arange(8.0).reshape(1, 1, 1, 8)
    first = x.transpose(0, 3, 1, 2)

    def ours():
        found = [jc.pixel_shuffle(x, 2, *order) for order in ((), ("DCR",))]
        back = [
            jc.pixel_unshuffle(y, 2, *order) for y, order in zip(found, ((), ("DCR",)), strict=True)
        ]
        assert all(np.array_equal(x, y) for y in back)
        return tuple(y[..., 0] for y in found)

    measured(
        "shuffle_order",
        ours,
        PyTorch=lambda t: t.nn.functional.pixel_shuffle(t.tensor(first), 2)[:, 0],
        ONNX=lambda _: onnx_node("DepthToSpace", first, blocksize=2)[:, 0],
    )


def torch_resized(t, x, size, *modes):
    return tuple(t.nn.functional.interpolate(torch_row(t, x), size, mode=mode) for mode in modes)


def keras_resized(k, x, how):
    return k.ops.image.resize(image(x), (1, 3), interpolation=how, data_format="channels_last")


def test_nearest_resize():
    x = np.arange(5.0)
    measured(
        "nearest_resize",
        lambda: jc.resize(row(x), 3),
        PyTorch=lambda t: torch_resized(t, x, 3, "nearest", "nearest-exact"),
        JAX=lambda j: j.image.resize(x, (3,), "nearest"),
        Keras=lambda k: keras_resized(k, x, "nearest"),
    )


def test_resize_ties():
    x = np.arange(6.0)

    def onnxruntime(ort):
        given, sizes = x.astype(np.float32)[None, None], np.array([1, 1, 3])
        return onnx_node("Resize", given, None, None, sizes, runtime=ort, mode="nearest")

    measured(
        "resize_ties",
        lambda: (jc.resize(row(x), 3), jc.resize(row(x), 3, rounding="round_prefer_ceil")),
        onnxruntime=onnxruntime,
        PyTorch=lambda t: torch_resized(t, x, 3, "nearest-exact"),
        JAX=lambda j: j.image.resize(x, (3,), "nearest"),
    )


def test_resize_smooths():
    x = np.eye(7)[3]
    measured(
        "resize_smooths",
        lambda: jc.resize(row(x), 3, method="linear"),
        PyTorch=lambda t: torch_resized(t, x, 3, "linear"),
        Keras=lambda k: keras_resized(k, x, "bilinear"),
        JAX=lambda j: j.image.resize(x, (3,), "linear"),
    )


def test_cubic_resize():
    x = np.eye(4)[1]

    def torch(t):
        lines = t.tensor(x).expand(1, 1, 4, 4)
        return t.nn.functional.interpolate(lines, (4, 8), mode="bicubic")[0, 0, 0, 2]

    measured(
        "cubic_resize",
        lambda: jc.resize(row(x), 8, method="cubic")[0, 2, 0],
        PyTorch=torch,
        JAX=lambda j: j.image.resize(x, (8,), "cubic")[2],
    )


def test_unknown_ids():
    ids, table = np.array([2, -1]), np.array([[1.0], [2.0]])

    def ours():
        with pytest.raises(ValueError, match="ids must lie in"):
            jc.embedding(ids, table)
        return jax.jit(jc.embedding)(ids, table)

    def torch(t):
        for i in ids:
            with pytest.raises(IndexError):
                t.nn.functional.embedding(t.tensor(i), t.tensor(table))
        return True

    def flax(f):
        layer = f.Embed(2, 1, rngs=f.Rngs(0))
        layer.embedding[...] = jnp.asarray(table, jnp.float32)
        return layer(jnp.asarray(ids))

    def keras(k):
        layer = k.layers.Embedding(2, 1)
        layer.build()
        layer.set_weights([table])
        return layer(ids)

    measured("unknown_ids", ours, PyTorch=torch, Flax=flax, Keras=keras)
