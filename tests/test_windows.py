"""What is special about norms, whole maps, adaptive windows and patches."""

# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportArgumentType=false
# A custom_vjp has no result type that pyright could see.

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import primitives

import jaxcnn as jc
from jaxcnn.gradcheck import adjoint_error
from jaxcnn.ops import adaptive_pool as adaptive
from jaxcnn.ops.elementary import absolute_power, ratio

pytestmark = pytest.mark.sampled(3)


def normal(seed, shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def gradient(f, x, dtype=None):
    x = jnp.asarray(x, dtype)
    return jax.jit(jax.grad(lambda x: f(x).sum()))(x)


# Norms.


@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 7])
@pytest.mark.parametrize("scale", [1e-36, 1e-20, 1e-3, 1e20, 3e37])
def test_a_norm_neither_overflows_nor_vanishes(p, scale):
    """Homogeneous: y grows with x, the gradient stays. |x|³ overflows a float32 from 1e13 on."""
    x = normal(0, (1, 6, 5, 2))
    f = partial(jc.lp_pool, window=3, stride=2, p=p)
    y = np.asarray(f(x) * scale)
    scaled = (x * scale).astype(jnp.float32)
    assert np.allclose(f(scaled), y, rtol=1e-5, atol=0)
    assert np.allclose(gradient(f, scaled), gradient(f, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("p", [1.5, 2, 3])
def test_windows_of_very_different_size_have_each_their_own_gradient(p):
    scales = jnp.repeat(jnp.array([1e-35, 1e-15, 1.0, 1e30]), 2)[None, :, None]
    x = normal(0, (1, 8, 3))
    f = partial(jc.lp_pool, window=2, p=p)
    found = gradient(f, x * scales, jnp.float32)
    assert np.allclose(found, gradient(f, x), rtol=0, atol=2e-5)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_window_of_zeros_has_no_gradient_and_no_nan(p, order):
    x = normal(0, (1, 6, 4, 1)).at[:, :3, :3].set(0)

    def f(x):
        return jc.lp_pool(x, 2, p, stride=1)

    g = f
    for _ in range(order):
        g = jax.grad(lambda x, g=g: (g(x) ** 2 + g(x)).sum())
    delta = jax.jit(g)(x)
    assert np.isfinite(delta).all()
    assert (delta[:, :2, :2] == 0).all()


def test_a_large_p_comes_close_to_the_maximum():
    x = normal(0, (2, 6, 6, 3))
    y = jc.lp_pool(x, 2, 500)
    assert np.allclose(y, jc.max_pool(jnp.abs(x), 2), rtol=5e-3)


def test_infinities_and_nan_reach_the_norm_of_their_windows_only():
    x = normal(0, (1, 4, 4, 1)).at[0, 0, 0, 0].set(-jnp.inf).at[0, 3, 3, 0].set(jnp.nan)
    y = jc.lp_pool(x, 2, 3)[0, :, :, 0]
    assert np.isposinf(y[0, 0])
    assert np.isnan(y[1, 1])
    assert np.isfinite(y[0, 1])
    assert np.isfinite(y[1, 0])


def test_powers_and_ratios_at_zero():
    x = jnp.array([-2.0, -0.0, 0.0, 3.0])
    assert absolute_power(x, 3, False).tolist() == [8, 0, 0, 27]
    assert absolute_power(x, 3, True).tolist() == [-8, 0, 0, 27]
    assert absolute_power(x, 0, False).tolist() == [1, 1, 1, 1]
    assert absolute_power(x, 0, True).tolist() == [-1, 0, 0, 1]
    assert absolute_power(x, -1, False).tolist() == [0.5, 0, 0, 1 / 3]
    for exponent in (0, 1, 1.5, 2, 3):
        for signed in (False, True):
            delta = jax.grad(lambda x, e=exponent, s=signed: absolute_power(x, e, s).sum())(x)
            assert np.isfinite(delta).all()
    y, pull = jax.vjp(ratio, x, jnp.array([2.0, 0.0, 1.0, 0.0]))
    assert y.tolist() == [-1, 0, 0, 0]
    assert all(np.isfinite(delta).all() for delta in pull(jnp.ones(4)))


# Whole maps.


def test_of_a_whole_map_the_first_maximum_and_the_first_nan_win():
    x = jnp.zeros((1, 3, 4, 3)).at[0, 1, 2, 1].set(1).at[0, 2, 0, 1].set(1)
    x = x.at[0, 2, 1, 2].set(jnp.nan).at[0, 2, 3, 2].set(jnp.nan)
    delta = gradient(jc.global_max_pool, x)
    assert [np.argwhere(delta[0, :, :, c]).tolist() for c in range(3)] == [
        [[0, 0]],
        [[1, 2]],
        [[2, 1]],
    ]
    assert np.array_equal(jc.global_max_pool(x), [[0, 1, np.nan]], equal_nan=True)
    assert gradient(jc.global_max_pool, jnp.full((2, 5, 3), -jnp.inf))[:, 0].sum() == 6


@pytest.mark.parametrize("op", [jc.global_max_pool, jc.global_avg_pool])
def test_the_program_does_not_grow_with_the_map(op):
    def length(size):
        return primitives(jax.grad(lambda x: op(x).sum()), jnp.ones((1, size, size, 1))).total()

    assert length(200) == length(100)


def test_a_whole_map_of_more_than_65536_elements():
    x = normal(0, (1, 300, 300, 2))
    y, switches = jc.max_pool_with_switches(x, 300)
    assert switches.dtype == jnp.uint32
    assert np.array_equal(switches[0, 0, 0], x.reshape(-1, 2).argmax(0))
    assert np.array_equal(jc.gather_at_switches(x, switches, 300), y)
    delta = gradient(jc.global_max_pool, x)
    assert delta.sum() == 2
    assert np.array_equal((delta * x).sum((1, 2)), y[:, 0, 0])


def test_a_window_as_large_as_the_map_is_a_global_pooling():
    x = jnp.round(normal(0, (2, 4, 5, 3)))
    for one, other in (
        (partial(jc.max_pool, window=(4, 5)), partial(jc.global_max_pool, keepdims=True)),
        (partial(jc.avg_pool, window=(4, 5)), partial(jc.global_avg_pool, keepdims=True)),
        (partial(jc.max_pool, window=(4, 5), stride=1), partial(jc.global_max_pool, keepdims=True)),
    ):
        assert np.array_equal(one(x), other(x))
        assert np.array_equal(gradient(one, x), gradient(other, x))


# Adaptive windows.


def test_adaptive_windows_are_tiles_where_the_sizes_divide():
    x = normal(0, (2, 6, 8, 2))
    assert np.allclose(jc.adaptive_avg_pool(x, (3, 2)), jc.avg_pool(x, (2, 4)), atol=1e-15)
    assert np.array_equal(jc.adaptive_max_pool(x, (3, 2)), jc.max_pool(x, (2, 4)))
    assert np.array_equal(jc.adaptive_max_pool(x, (6, 8)), x)
    assert np.array_equal(jc.adaptive_avg_pool(x, (12, 16)), jc.upsample(x, 2))


def test_adaptive_ties_nan_and_infinities():
    constant = gradient(lambda x: jc.adaptive_max_pool(x, 3), jnp.zeros((1, 7, 1)))
    # Windows 0–2, 2–4 and 4–6: the first element of each.
    assert constant[0, :, 0].tolist() == [1, 0, 1, 0, 1, 0, 0]
    lowest = gradient(lambda x: jc.adaptive_max_pool(x, 3), jnp.full((1, 7, 1), -jnp.inf))
    assert lowest[0, :, 0].tolist() == [1, 0, 1, 0, 1, 0, 0]
    x = jnp.arange(7.0).reshape(1, 7, 1).at[0, 3].set(jnp.nan)
    y = jc.adaptive_max_pool(x, 3)[0, :, 0]
    assert np.array_equal(y, [2, np.nan, 6], equal_nan=True)
    assert gradient(lambda x: jc.adaptive_max_pool(x, 3), x)[0, :, 0].tolist() == [
        0,
        0,
        1,
        1,
        0,
        0,
        1,
    ]
    x = jnp.arange(7.0).reshape(1, 7, 1).at[0, 3].set(jnp.inf)
    assert jc.adaptive_avg_pool(x, 3)[0, :, 0].tolist() == [1, np.inf, 5]
    delta = jnp.array([0.0, jnp.inf, 0.0]).reshape(1, 3, 1)
    pulled = jax.vjp(lambda x: jc.adaptive_avg_pool(x, 3), x)[1](delta)[0][0, :, 0]
    assert pulled.tolist() == [0, 0, np.inf, np.inf, np.inf, 0, 0]


@pytest.mark.parametrize(
    ("size", "output"), [((7, 8), (3, 5)), ((6,), (2,)), ((3, 5, 4), (2, 7, 3)), ((4, 9), (9, 4))]
)
def test_adaptive_maps_and_their_adjoints(size, output):
    x, delta = normal(0, (2, *size, 3)), normal(1, (2, *output, 3))
    geometry = adaptive.AdaptiveGeometry(size, output)
    average = partial(adaptive.adaptive_avg_pool_map, geometry=geometry)
    spread = partial(adaptive.adaptive_avg_pool_input_grad_map, geometry=geometry)
    assert adjoint_error(average, spread, x, delta) < 1e-12
    y, positions = adaptive.adaptive_max_pool_with_positions_map(x, geometry)
    gather = partial(adaptive.gather_at_positions_map, positions=positions, geometry=geometry)
    scatter = partial(adaptive.scatter_at_positions_map, positions=positions, geometry=geometry)
    assert np.array_equal(gather(x), y)
    assert adjoint_error(gather, scatter, x, delta) < 1e-12


# Patches.


def patch_settings():
    return [
        ((6, 7), {"window": (2, 3), "stride": (2, 1), "padding": ((1, 0), (2, 1))}),
        ((5, 5), {"window": 3, "padding": "SAME", "dilation": 2}),
        ((6, 4), {"window": 2, "stride": 2}),
        ((9,), {"window": 4, "stride": 3, "padding": "SAME_LOWER"}),
        ((3, 4, 5), {"window": (2, 1, 3), "stride": (1, 2, 2), "padding": "FULL"}),
    ]


@pytest.mark.parametrize(("size", "settings"), patch_settings())
def test_patches_are_those_of_lax_in_another_order(size, settings):
    x = normal(0, (2, *size, 3))
    axes = len(size)
    geometry_of = {"window": settings["window"], "stride": 1, "padding": "VALID", "dilation": 1}
    geometry_of |= settings
    window, stride, dilation = (
        a if isinstance(a, tuple) else (a,) * axes
        for a in (geometry_of["window"], geometry_of["stride"], geometry_of["dilation"])
    )
    pads = geometry_of["padding"]
    if pads == "FULL":
        pads = tuple((k - 1, k - 1) for k in window)
    if pads == "SAME_LOWER":
        pads = lax.padtype_to_pads(size, window, stride, pads)
    letters = "DHW"[-axes:]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    theirs = lax.conv_general_dilated_patches(
        x, window, stride, pads, rhs_dilation=dilation, dimension_numbers=layout
    )
    y = jc.patches(x, **settings)
    turned = jnp.swapaxes(y.reshape(*y.shape[:-1], -1, 3), -1, -2).reshape(y.shape)
    assert np.allclose(turned, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("size", "settings"), patch_settings())
def test_a_convolution_is_a_product_of_patches_and_fold_their_adjoint(size, settings):
    x = normal(0, (2, *size, 3))
    window = settings["window"]
    window = window if isinstance(window, tuple) else (window,) * len(size)
    kernel = normal(1, (*window, 3, 4))
    others = {name: value for name, value in settings.items() if name != "window"}
    y = jc.patches(x, **settings)
    product = y @ kernel.reshape(-1, 4)
    assert np.allclose(product, jc.conv(x, kernel, **others), rtol=0, atol=1e-13)
    delta = normal(2, product.shape)
    folded = jc.fold(delta @ kernel.reshape(-1, 4).T, input_size=size, **settings)
    expected = jc.conv_input_grad(delta, kernel, input_size=size, **others)
    assert np.allclose(folded, expected, rtol=0, atol=1e-13)
    fold = partial(jc.fold, input_size=size, **settings)
    assert adjoint_error(partial(jc.patches, **settings), fold, x, normal(3, y.shape)) < 1e-12


def test_fold_of_patches_counts_the_windows_of_every_element():
    x = normal(0, (1, 5, 5, 2))
    counts = jc.fold(jc.patches(jnp.ones_like(x), 3), 3, input_size=(5, 5))
    assert counts[0, :, 0, 0].tolist() == [1, 2, 3, 2, 1]
    assert np.allclose(jc.fold(jc.patches(x, 3), 3, input_size=(5, 5)), x * counts, atol=1e-14)


# Unpooling, dilation, rounding up.


@pytest.mark.parametrize(
    "settings", [{"window": 2}, {"window": (3, 2)}, {"window": 2, "stride": 3}]
)
def test_unpooling_puts_every_maximum_back(settings):
    x = normal(0, (2, 7, 8, 3))
    y, switches = jc.max_pool_with_switches(x, **settings)
    back = jc.max_unpool(y, switches, input_size=(7, 8), **settings)
    assert np.array_equal(back[back != 0], x[back != 0])
    assert int((back != 0).sum()) == y.size
    smallest = jc.max_unpool(y, switches, **settings)
    reach = smallest.shape
    assert np.array_equal(smallest, back[:, : reach[1], : reach[2]])
    assert not back[:, reach[1] :].any()


def test_dilated_and_rounded_up_averages_count_what_they_hold():
    """Element by element, for windows that padding and overhang cut differently."""
    h, k, d, s, low, high = 8, 3, 2, 4, 2, 1
    x = normal(0, (1, h, 1))
    for counted in (True, False):
        y = jc.avg_pool(
            x,
            k,
            stride=s,
            dilation=d,
            padding=((low, high),),
            ceil_mode=True,
            count_include_pad=counted,
        )
        for i, found in enumerate(y[0, :, 0].tolist()):
            at = [i * s - low + t * d for t in range(k)]
            inside = [a for a in at if 0 <= a < h]
            size = sum(-low <= a < h + high for a in at) if counted else len(inside)
            assert found == pytest.approx(sum(float(x[0, a, 0]) for a in inside) / size, abs=1e-14)
        assert y.shape[1] == 3


def test_a_rounded_up_maximum_sees_no_overhang():
    x = jnp.full((1, 5, 1), -jnp.inf)
    delta = gradient(partial(jc.max_pool, window=2, ceil_mode=True), x)
    assert delta[0, :, 0].tolist() == [1, 0, 1, 0, 1]
    assert jc.max_pool(-jnp.ones((1, 5, 1)), 2, ceil_mode=True)[0, :, 0].tolist() == [-1, -1, -1]


@pytest.mark.parametrize("size", [7e37, 2e-38])
@pytest.mark.parametrize("p", [1, 1.5, 3, 100])
def test_lp_pool_at_the_ends_of_float32(size, p):
    x = jnp.full((1, 2, 2, 1), size, jnp.float32)
    y, pull = jax.vjp(lambda x: jc.lp_pool(x, 2, p), x)
    assert np.allclose(np.asarray(y, np.float64), 4 ** (1 / p) * size, rtol=1e-5, atol=0)
    assert np.allclose(pull(jnp.ones_like(y))[0], 4 ** (1 / p - 1), rtol=1e-5, atol=0)
