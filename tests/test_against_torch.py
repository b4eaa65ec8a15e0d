"""PyTorch's autograd as an oracle of its own, in float64; skipped by name without torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(3)
torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")


def to_torch(x, last="channels"):
    """n h w c → n c h w, kh kw c d → d c kh kw; anything else as it is."""
    array = np.asarray(x)
    if last == "channels" and array.ndim > 2:
        array = np.moveaxis(array, -1, 1)
    if last == "kernel":
        array = np.moveaxis(array, (-1, -2), (0, 1))
    return torch.tensor(array.copy(), requires_grad=array.dtype.kind == "f")


def from_torch(x, last="channels"):
    array = x.detach().numpy()
    if last == "channels" and array.ndim > 2:
        array = np.moveaxis(array, 1, -1)
    if last == "kernel":
        array = np.moveaxis(array, (0, 1), (-1, -2))
    return array


def normal(seed, shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


def compare(ours, theirs, arrays, lasts):
    """Value and all gradients for a random cotangent."""
    delta = normal(99, jax.eval_shape(ours, *arrays).shape)
    y, gradients = jax.jit(lambda d, *a: (ours(*a), jax.vjp(ours, *a)[1](d)))(delta, *arrays)
    tensors = [to_torch(a, last) for a, last in zip(arrays, lasts, strict=True)]
    z = theirs(*tensors)
    z.backward(to_torch(delta).detach())
    assert np.allclose(y, from_torch(z), rtol=0, atol=1e-12)
    for gradient, tensor, last in zip(gradients, tensors, lasts, strict=True):
        assert np.allclose(gradient, from_torch(tensor.grad, last), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "window", "settings"),
    [
        ((2, 9, 8, 4), (3, 2, 4, 6), {}),
        ((1, 8, 8, 2), (3, 3, 2, 3), {"stride": 3}),
        (
            (2, 10, 7, 4),
            (3, 2, 2, 6),
            {"stride": (3, 2), "dilation": (2, 1), "groups": 2, "padding": (2, 1)},
        ),
        ((2, 7, 7, 3), (3, 3, 1, 6), {"groups": 3, "padding": 1}),
        ((3, 11, 2), (4, 2, 3), {"stride": 2, "padding": 1}),
        ((1, 5, 4, 6, 2), (2, 3, 2, 2, 1), {"stride": (2, 1, 3), "padding": 1}),
    ],
)
def test_convolution(size, window, settings):
    axes = len(size) - 2
    theirs = getattr(torch.nn.functional, f"conv{axes}d")
    compare(
        lambda x, k, b: jc.conv(x, k, b, **settings),
        lambda x, k, b: theirs(x, k, b, **settings),
        [normal(0, size), normal(1, window), normal(2, window[-1:])],
        ["channels", "kernel", "plain"],
    )


WINDOWS = pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [
        ((2, 7, 6, 3), 2, 2, 0),
        ((1, 9, 8, 2), 3, 2, 1),
        ((2, 8, 5, 1), (3, 2), (1, 3), (1, 0)),
        ((2, 11, 2), 4, 3, 2),
        ((1, 5, 4, 6, 2), 2, (2, 1, 2), 1),
    ],
)


@pytest.mark.parametrize("ties", [False, True])
@WINDOWS
def test_max_pooling(size, window, stride, padding, ties):
    x = normal(0, size)
    x = jnp.round(x) if ties else x
    theirs = getattr(torch.nn.functional, f"max_pool{len(size) - 2}d")
    compare(
        lambda x: jc.max_pool(x, window, stride=stride, padding=padding),
        lambda x: theirs(x, window, stride, padding),
        [x],
        ["channels"],
    )


@pytest.mark.parametrize("count_include_pad", [True, False])
@WINDOWS
def test_average_pooling(size, window, stride, padding, count_include_pad):
    theirs = getattr(torch.nn.functional, f"avg_pool{len(size) - 2}d")
    compare(
        lambda x: jc.avg_pool(
            x, window, stride=stride, padding=padding, count_include_pad=count_include_pad
        ),
        lambda x: theirs(x, window, stride, padding, count_include_pad=count_include_pad),
        [normal(0, size)],
        ["channels"],
    )


def test_dense():
    compare(
        jc.dense,
        lambda x, w, b: x @ w + b,
        [normal(0, (3, 5)), normal(1, (5, 4)), normal(2, (4,))],
        ["plain"] * 3,
    )


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activations(name):
    x = normal(0, (3, 4)).at[0, 0].set(0)
    compare(getattr(jc, name), getattr(torch, name), [x], ["plain"])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax(name, axis):
    compare(
        lambda x: getattr(jc, name)(x, axis),
        lambda x: getattr(torch, name)(x, axis),
        [normal(0, (3, 4))],
        ["plain"],
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction):
    labels = np.array([3, 0, 2])
    compare(
        lambda u: jc.softmax_cross_entropy(u, jnp.asarray(labels), reduction=reduction),
        lambda u: torch.nn.functional.cross_entropy(u, torch.tensor(labels), reduction=reduction),
        [normal(0, (3, 4))],
        ["plain"],
    )
    compare(
        lambda u, t: jc.softmax_cross_entropy(u, t, reduction=reduction),
        lambda u, t: torch.nn.functional.cross_entropy(u, t, reduction=reduction),
        [normal(0, (3, 4)), jc.softmax(normal(1, (3, 4)))],
        ["plain", "plain"],
    )


def test_binary_cross_entropy():
    compare(
        lambda u, t: jc.sigmoid_binary_cross_entropy(u, t, reduction="sum"),
        lambda u, t: torch.nn.functional.binary_cross_entropy_with_logits(u, t, reduction="sum"),
        [10 * normal(0, (3, 4)), jc.sigmoid(normal(1, (3, 4)))],
        ["plain", "plain"],
    )


def test_second_order_of_a_small_network():
    """∂²/∂x² along a direction, through conv, tanh, max-pool and cross-entropy."""
    x, kernel, weight = normal(0, (2, 6, 6, 2)), normal(1, (3, 3, 2, 3)), normal(2, (12, 4))
    v = normal(3, x.shape)
    labels = np.array([1, 3])

    def loss(x):
        y = jc.max_pool(jc.tanh(jc.conv(x, kernel)), 2)
        return jc.softmax_cross_entropy(jc.dense(jc.flatten(y), weight), jnp.asarray(labels))

    ours = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), v)))(x)

    t, k, w = to_torch(x), to_torch(kernel, "kernel"), to_torch(weight)
    y = torch.nn.functional.max_pool2d(torch.tanh(torch.nn.functional.conv2d(t, k)), 2)
    y = y.permute(0, 2, 3, 1).reshape(2, -1)
    total = torch.nn.functional.cross_entropy(y @ w, torch.tensor(labels))
    (first,) = torch.autograd.grad(total, t, create_graph=True)
    (first * to_torch(v).detach()).sum().backward()
    assert np.allclose(ours, from_torch(t.grad), rtol=0, atol=1e-12)
