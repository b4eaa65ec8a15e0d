"""Poolings against PyTorch's at generated sizes, values and gradients; skipped without torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.pool import flat_positions
from test_against_torch import compare, from_torch, normal, to_torch

import jaxcnn as jc

pytestmark = pytest.mark.sampled(2)


torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
F = torch.nn.functional


def pick(generator, low, high, axes):
    return tuple(int(n) for n in generator.integers(low, high + 1, axes))


def geometries(count, *, dilated, within=False):
    """Sizes and settings that PyTorch accepts: at least one window, padding up to half of it."""
    generator = np.random.default_rng(7)
    found = []
    while len(found) < count:
        axes = 1 + len(found) % 3
        size = pick(generator, 3, (12, 9, 6)[axes - 1], axes)
        window, stride = pick(generator, 1, 4, axes), pick(generator, 1, 4, axes)
        dilation = pick(generator, 1, 3, axes) if dilated else (1,) * axes
        padding = tuple(int(generator.integers(0, k // 2 + 1)) for k in window)
        extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        room = [h + 2 * b - e for h, b, e in zip(size, padding, extent, strict=True)]
        # A window between whose taps the map disappears is refused here, undefined there.
        gap = any(d > h for d, h in zip(dilation, size, strict=True))
        # PyTorch's avg_pool3d wants the window to fit into the map without its padding.
        wide = within and any(k > h for k, h in zip(window, size, strict=True))
        if min(room) < 0 or gap or wide:
            continue
        found.append((size, window, stride, padding, dilation, bool(generator.integers(2))))
    return found


def settings_of(window, stride, padding, dilation, ceil_mode):
    return {
        "window": window,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
    }


def gradients(ours, theirs, x, besides=lambda x: None):
    """Value and gradient for a random cotangent; what `besides` makes of x in the same program."""
    delta = np.random.default_rng(1).standard_normal(jax.eval_shape(ours, x).shape)
    y, gradient, more = jax.jit(
        lambda x, delta: (ours(x), jax.vjp(ours, x)[1](delta)[0], besides(x))
    )(x, delta)
    tensor = to_torch(x)
    z = theirs(tensor)
    assert y.shape == from_torch(z).shape
    z.backward(to_torch(delta).detach())
    assert np.allclose(y, from_torch(z), rtol=0, atol=1e-12)
    assert np.allclose(gradient, from_torch(tensor.grad), rtol=0, atol=1e-12)
    return more


@pytest.mark.parametrize(
    "settings", geometries(36, dilated=True), ids=lambda settings: str(settings).replace(" ", "")
)
def test_max_pooling(settings):
    size, *rest = settings
    x = jnp.asarray(np.random.default_rng(0).integers(0, 5, (2, *size, 2)), jnp.float64)
    named = settings_of(*rest)
    window, stride, padding, dilation, ceil_mode = rest
    theirs = getattr(F, f"max_pool{len(size)}d")
    _, switches = gradients(
        lambda x: jc.max_pool(x, **named),
        lambda x: theirs(x, window, stride, padding, dilation, ceil_mode),
        x,
        lambda x: jc.max_pool_with_switches(x, **named),
    )
    # Flat places on the map from places in the window.
    _, indices = theirs(to_torch(x), window, stride, padding, dilation, ceil_mode, True)
    assert np.array_equal(flat_positions(switches, size, **named), from_torch(indices))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(
    "settings",
    geometries(18, dilated=False, within=True),
    ids=lambda settings: str(settings).replace(" ", ""),
)
def test_average_pooling(settings, count_include_pad):
    size, window, stride, padding, _, ceil_mode = settings
    theirs = getattr(F, f"avg_pool{len(size)}d")
    gradients(
        lambda x: jc.avg_pool(
            x,
            window,
            stride=stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        ),
        lambda x: theirs(x, window, stride, padding, ceil_mode, count_include_pad),
        normal(0, (2, *size, 2)),
    )


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_sizes_of_the_output(ceil_mode, padding):
    """Every small size, window and stride: as many windows as PyTorch's, or an error like its."""
    for h in range(1, 9):
        for k in range(max(2 * padding, 1), 6):
            for s in range(1, 7):
                x, t = np.zeros((1, h, 1)), torch.zeros(1, 1, h, dtype=torch.float64)
                try:
                    expected = F.max_pool1d(t, k, s, padding, 1, ceil_mode).shape[-1]
                except RuntimeError:
                    expected = None
                try:
                    y = jax.eval_shape(
                        lambda x, k=k, s=s: jc.max_pool(
                            x, k, stride=s, padding=padding, ceil_mode=ceil_mode
                        ),
                        x,
                    )
                    found = y.shape[1]
                except ValueError:
                    found = None
                assert found == expected, (h, k, s)


@pytest.mark.parametrize("p", [1, 2, 3, 1.5])
@pytest.mark.parametrize(
    ("size", "window", "stride"),
    [((9,), 3, 2), ((6, 6), 2, None), ((7, 8), (3, 2), (2, 3)), ((4, 5, 4), 2, 1)],
)
def test_lp_pooling_of_positive_numbers(size, window, stride, p):
    gradients(
        lambda x: jc.lp_pool(x, window, p, stride=stride),
        lambda x: getattr(F, f"lp_pool{len(size)}d")(x, float(p), window, stride),
        jnp.abs(normal(0, (2, *size, 2))),
    )


@pytest.mark.parametrize("name", ["avg", "max"])
@pytest.mark.parametrize(
    ("size", "output"),
    [
        ((7,), (3,)),
        ((10,), (4,)),
        ((3,), (8,)),
        ((6, 8), (3, 2)),
        ((7, 5), (3, 4)),
        ((5, 6), (1, 1)),
        ((4, 4), (4, 4)),
        ((9, 2), (5, 3)),
        ((3, 5, 4), (2, 3, 3)),
        ((6, 2, 5), (4, 1, 2)),
    ],
)
def test_adaptive_pooling(size, output, name):
    x = normal(0, (2, *size, 2))
    if name == "max":
        x = jnp.round(x)  # ties
    gradients(
        lambda x: getattr(jc, f"adaptive_{name}_pool")(x, output),
        lambda x: getattr(F, f"adaptive_{name}_pool{len(size)}d")(x, output),
        x,
    )


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("size", [(7,), (4, 5), (3, 2, 4)])
def test_global_pooling(size, keepdims):
    axes = tuple(range(2, 2 + len(size)))
    x = jnp.round(normal(0, (2, *size, 3)))
    gradients(
        lambda x: jc.global_avg_pool(x, keepdims=keepdims), lambda t: t.mean(axes, keepdims), x
    )
    theirs = getattr(F, f"adaptive_max_pool{len(size)}d")
    gradients(
        lambda x: jc.global_max_pool(x, keepdims=keepdims),
        lambda t: theirs(t, 1) if keepdims else theirs(t, 1).flatten(1),
        x,
    )


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "output"),
    [
        ((8,), 2, None, 0, None),
        ((9,), 3, 3, 0, (9,)),
        ((9,), 2, 2, 0, (9,)),
        ((6, 8), 2, None, 0, None),
        ((7, 9), (2, 3), (2, 3), 0, (7, 9)),
        ((6, 6), 2, 2, 1, None),
        ((4, 6, 4), 2, None, 0, None),
    ],
)
def test_unpooling(size, window, stride, padding, output):
    axes = len(size)
    x = normal(0, (2, *size, 2))
    settings = {"window": window, "stride": stride, "padding": padding}
    y, switches = jax.jit(lambda x: jc.max_pool_with_switches(x, **settings))(x)
    indices = flat_positions(switches, size, window, window if stride is None else stride, padding)
    flat = to_torch(indices)
    theirs = getattr(F, f"max_unpool{axes}d")
    gradients(
        lambda y: jc.max_unpool(y, switches, input_size=output, **settings),
        lambda y: theirs(y, flat, window, stride, padding, output),
        y,
    )


PATCHES = [
    ((5, 6), (2, 3), 1, 0, 1),
    ((6, 6), 2, 2, 0, 1),
    ((7, 5), (2, 3), (3, 2), (1, 2), (2, 1)),
    ((4, 4), 3, 1, 2, 1),
    ((9, 7), (3, 2), (2, 3), (2, 1), (2, 3)),
]


@pytest.mark.parametrize(("size", "window", "stride", "padding", "dilation"), PATCHES)
def test_patches_and_fold(size, window, stride, padding, dilation):
    settings = {"window": window, "stride": stride, "padding": padding, "dilation": dilation}
    others = (window, dilation, padding, stride)
    x = normal(0, (2, *size, 3))
    rows = (
        jax.eval_shape(lambda x: jc.patches(x, **settings), x).shape[1:3],
        window if isinstance(window, tuple) else (window, window),
    )

    def from_rows(z):
        """n (c kh kw) (p q) → n (kh kw c) p q."""
        (p, q), (kh, kw) = rows
        z = z.reshape(2, 3, kh, kw, p, q)
        return z.permute(0, 2, 3, 1, 4, 5).reshape(2, -1, p, q)

    def to_rows(z):
        """The way back."""
        (p, q), (kh, kw) = rows
        z = z.reshape(2, kh, kw, 3, p, q)
        return z.permute(0, 3, 1, 2, 4, 5).reshape(2, -1, p * q)

    gradients(lambda x: jc.patches(x, **settings), lambda t: from_rows(F.unfold(t, *others)), x)
    y = normal(1, from_rows(F.unfold(to_torch(x), *others)).permute(0, 2, 3, 1).shape)
    gradients(
        lambda y: jc.fold(y, input_size=size, **settings),
        lambda t: F.fold(to_rows(t), size, *others),
        y,
    )


def test_a_dilated_pool_in_a_network_of_second_order():
    """∂²/∂x² along a direction, through a dilated maximum, a norm and an adaptive average."""
    x = jnp.abs(normal(0, (2, 9, 8, 2))) + 0.1
    v = normal(1, x.shape)

    def network(x):
        y = jc.lp_pool(jc.max_pool(x * x, 2, stride=1, dilation=2), 2, 3, stride=2)
        return (jc.adaptive_avg_pool(y, 2) ** 2).sum()

    ours = jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(network)(x), v)))(x)
    t = to_torch(x)
    y = F.lp_pool2d(F.max_pool2d(t * t, 2, 1, 0, 2), 3.0, 2, 2)
    total = (F.adaptive_avg_pool2d(y, 2) ** 2).sum()
    (first,) = torch.autograd.grad(total, t, create_graph=True)
    (first * to_torch(v).detach()).sum().backward()
    assert np.allclose(ours, from_torch(t.grad), rtol=0, atol=1e-11)


def test_the_comparison_itself_can_fail():
    x = normal(0, (2, 6, 6, 2))
    with pytest.raises(AssertionError):
        gradients(lambda x: jc.avg_pool(x, 3, padding=1), lambda t: F.avg_pool2d(t, 3), x)
    with pytest.raises(AssertionError):
        compare(
            lambda x: jc.avg_pool(x, 3, stride=2, ceil_mode=True),
            lambda t: 9 / 6 * F.avg_pool2d(t, 3, 2, 0, True),
            [x],
            ["channels"],
        )
