"""The drop-ins against the functions that they stand for, argument by argument."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P
from programs import equations

from jaxcnn import interop
from jaxcnn.gradcheck import open_primitives, pullback, pullback_arguments, relative_error

NHWC = ("NHWC", "HWIO", "NHWC")
PERMUTED = lax.ConvDimensionNumbers((2, 0, 3, 1), (1, 3, 2, 0), (3, 1, 0, 2))


def normal(seed, shape, dtype=jnp.float64):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


# (shape of lhs, shape of rhs, strides, padding, other arguments)
CONVOLUTIONS = {
    "default layout": ((2, 3, 7, 6), (4, 3, 3, 2), (1, 1), "VALID", {}),
    "NHWC strided with a remainder": ((2, 8, 7, 3), (3, 2, 3, 4), (3, 2), "SAME", {"dimension_numbers": NHWC}),
    "even window, SAME_LOWER": ((1, 6, 5, 2), (4, 2, 2, 3), (1, 2), "SAME_LOWER", {"dimension_numbers": NHWC}),
    "lower case, strings of lists": ((1, 6, 5, 2), (4, 2, 2, 3), [2, 1], "same", {"dimension_numbers": list(NHWC)}),
    "three layouts": ((7, 2, 6, 3), (4, 3, 2, 3), (2, 1), [(1, 0), [0, 2]],
        {"dimension_numbers": ("HNWC", "OHWI", "CHWN")}),
    "space in another order in y and lhs": ((2, 6, 7, 3), (2, 3, 3, 4), (1, 2), ((1, 2), (0, 1)),
        {"dimension_numbers": ("NWHC", "HWIO", "CWHN"), "rhs_dilation": (2, 1)}),
    "numbers as integers": ((3, 6, 2, 7), (4, 5, 2, 3), (1, 2), "VALID", {"dimension_numbers": PERMUTED}),
    "negative and asymmetric pads": ((1, 7, 7, 2), (2, 2, 2, 2), (1, 2), ((-1, 2), (1, -2)),
        {"dimension_numbers": NHWC}),
    "both dilations": ((2, 5, 4, 2), (3, 2, 2, 3), (2, 3), ((2, -1), (3, 1)),
        {"dimension_numbers": NHWC, "lhs_dilation": (3, 2), "rhs_dilation": (1, 4)}),
    "numpy integers": ((2, 5, 4, 2), (3, 2, 2, 3), np.array([2, 1]), np.array([[1, 1], [0, 2]]),
        {"dimension_numbers": NHWC, "lhs_dilation": np.array([1, 2])}),
    "feature groups": ((2, 6, 5, 6), (3, 2, 2, 9), (2, 1), "SAME",
        {"dimension_numbers": NHWC, "feature_group_count": 3, "rhs_dilation": (1, 2)}),
    "depthwise, channels first": ((2, 3, 6, 5), (6, 1, 3, 3), (1, 1), "SAME", {"feature_group_count": 3}),
    "batch groups": ((6, 5, 6, 2), (2, 3, 2, 6), (2, 1), "SAME", {"dimension_numbers": NHWC, "batch_group_count": 3}),
    "batch groups, one example each": ((4, 3, 5, 4), (8, 3, 2, 2), (1, 1), ((1, 0), (0, -1)),
        {"batch_group_count": 4, "lhs_dilation": (1, 2)}),
    "batch groups, permuted": ((3, 6, 4, 7), (4, 6, 2, 3), (1, 2), "VALID",
        {"dimension_numbers": PERMUTED, "batch_group_count": 2}),
    "no space": ((4, 3), (5, 3), (), "VALID", {}),
    "no space, channels last, groups": ((4, 6), (3, 8), (), (),
        {"dimension_numbers": ("NC", "IO", "NC"), "feature_group_count": 2}),
    "one axis": ((2, 9, 3), (4, 3, 2), (2,), "SAME",
        {"dimension_numbers": ("NWC", "WIO", "NWC"), "rhs_dilation": (2,)}),
    "three axes": ((1, 2, 4, 5, 3), (3, 2, 2, 3, 2), (1, 2, 1), "SAME", {}),
    "four axes": ((1, 2, 3, 4, 3, 2), (2, 2, 2, 3, 1, 2), (1, 2, 1, 1), ((0, 1),) * 4, {}),
}  # fmt: skip

# (shape of lhs, shape of rhs, strides, padding, other arguments)
TRANSPOSED = {
    "SAME": ((2, 4, 3, 2), (3, 2, 2, 3), (2, 1), "SAME", {}),
    "SAME, a stride beyond the window": ((1, 4, 3, 2), (2, 1, 2, 3), (3, 2), "SAME", {}),
    "VALID": ((1, 4, 3, 2), (3, 2, 2, 3), (2, 3), "VALID", {"rhs_dilation": (2, 1)}),
    "pairs": ((1, 4, 3, 2), (3, 2, 2, 3), (2, 2), ((1, 2), (-1, 0)), {}),
    "consistent pairs": ((1, 4, 5, 2), (3, 2, 2, 3), (2, 2), ((1, 0), (0, -1)),
        {"use_consistent_padding": True, "rhs_dilation": (2, 3)}),
    "consistent SAME, turned": ((1, 4, 3, 2), (3, 4, 5, 2), (2, 1), "SAME",
        {"use_consistent_padding": True, "transpose_kernel": True}),
    "turned, channels first": ((2, 3, 4, 3), (3, 2, 4, 2), (1, 2), "VALID",
        {"transpose_kernel": True, "dimension_numbers": ("NCHW", "OIHW", "NHCW")}),
    "SAME_LOWER without a stride": ((1, 5, 4, 2), (2, 3, 2, 3), (1, 1), "SAME_LOWER", {}),
    "no space, turned": ((4, 3), (5, 3), (), "VALID", {"transpose_kernel": True}),
    "one axis": ((2, 5, 3), (4, 3, 2), (3,), "SAME", {}),
    "three axes": ((1, 2, 3, 2, 2), (2, 1, 3, 2, 3), (1, 2, 2), "VALID", {}),
}  # fmt: skip

POOLINGS = {
    "stride of one": ((2, 5, 6, 3), (2, 3), {}),
    "strided SAME": ((2, 5, 6, 3), (2, 3), {"strides": (2, 2), "padding": "SAME"}),
    "pairs": ((1, 7, 5, 2), (3, 2), {"strides": (2, 1), "padding": ((1, 2), (0, 1))}),
    "no batch axis": ((5, 6, 2), (3, 2), {"strides": (2, 3), "padding": "SAME"}),
    "no batch axis, pairs": ((5, 6, 2), (3, 2), {"padding": ((1, 1), (1, 0))}),
    "two batch axes": ((2, 3, 5, 4, 2), (2, 2), {"strides": (2, 2)}),
    "one axis of space": ((2, 7, 3), (3,), {"padding": "SAME"}),
    "one axis of space, two of batch": ((2, 2, 7, 3), (3,), {"strides": (2,), "padding": "SAME"}),
    "three axes of space": ((1, 3, 4, 3, 2), (2, 2, 1), {"strides": (1, 2, 2)}),
}  # fmt: skip


def everyday(table, *names):
    """All cases, those not named with --full only."""
    assert set(names) <= set(table)
    return [
        pytest.param(case, id=name, marks=() if name in names else pytest.mark.full)
        for name, case in table.items()
    ]


def matches(ours, theirs, *shapes):
    """The value, and the pullback of order 2, which shows every gradient of order 1."""
    args = [normal(seed, shape) for seed, shape in enumerate(shapes)]
    arguments = pullback_arguments(theirs, 2, args)

    @jax.jit
    def both(args, arguments):
        return [(f(*args), pullback(f, 2)(*arguments)) for f in (ours, theirs)]

    error, where = relative_error(*both(args, arguments))
    assert error < 1e-10, where
    assert open_primitives(ours, 1, *args) == set()


@pytest.mark.parametrize(
    "case",
    everyday(
        CONVOLUTIONS,
        "default layout",
        "both dilations",
        "feature groups",
        "batch groups, permuted",
        "no space, channels last, groups",
    ),
)
def test_conv_general_dilated(case):
    lhs, rhs, strides, padding, settings = case
    call = partial(
        interop.conv_general_dilated, window_strides=strides, padding=padding, **settings
    )
    twin = partial(lax.conv_general_dilated, window_strides=strides, padding=padding, **settings)
    matches(call, twin, lhs, rhs)


@pytest.mark.parametrize(
    "case", everyday(TRANSPOSED, "SAME", "consistent pairs", "turned, channels first")
)
def test_conv_transpose(case):
    lhs, rhs, strides, padding, settings = case
    call = partial(interop.conv_transpose, strides=strides, padding=padding, **settings)
    twin = partial(lax.conv_transpose, strides=strides, padding=padding, **settings)
    matches(call, twin, lhs, rhs)


def reduced(init, reduce, x, window, strides=None, padding="VALID"):
    """A pooling as Flax has it, over whichever batch axes."""
    ones = (1,) * (x.ndim - len(window) - 1)
    strides = (*ones, *(strides or (1,) * len(window)), 1)
    pads = padding if isinstance(padding, str) else ((0, 0),) * len(ones) + padding + ((0, 0),)
    return lax.reduce_window(x, init, reduce, (*ones, *window, 1), strides, pads)


def averaged(x, window, count_include_pad, **settings):
    total = reduced(0.0, lax.add, x, window, **settings)
    ones = reduced(0.0, lax.add, jnp.ones_like(x), window, **settings)
    return total / (jnp.full_like(ones, np.prod(window)) if count_include_pad else ones)


POOLS = {
    "max": (interop.max_pool, partial(reduced, -jnp.inf, lax.max)),
    "mean": (interop.avg_pool, partial(averaged, count_include_pad=True)),
    "mean of what is there": (
        partial(interop.avg_pool, count_include_pad=False),
        partial(averaged, count_include_pad=False),
    ),
    "min": (interop.min_pool, partial(reduced, jnp.inf, lax.min)),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", POOLINGS.values(), ids=POOLINGS)
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_pools(pool, case):
    shape, window, settings = case
    ours, theirs = pool
    matches(lambda x: ours(x, window, **settings), lambda x: theirs(x, window, **settings), shape)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_and_nans_are_the_frameworks(name):
    ours, theirs = POOLS[name]
    x = np.ones((1, 5, 4, 1))
    x[0, 1, 1] = np.nan
    values = jax.jit(lambda x: [f(x, (2, 2)) for f in (ours, theirs)])(x)
    np.testing.assert_array_equal(*values)
    x = np.ones((1, 5, 4, 1))
    gradients = jax.jit(
        lambda x: [
            jax.grad(lambda x: f(x, (2, 3), (2, 1), "SAME").sum())(x)  # noqa: B023
            for f in (ours, theirs)
        ]
    )(x)
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (interop.conv_general_dilated, lax.conv_general_dilated),
        (interop.conv_transpose, lax.conv_transpose),
    ],
)
def test_the_signatures_are_those_of_lax(ours, theirs):
    def named(f):
        return [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]

    assert named(ours) == named(theirs)


@pytest.mark.full
@pytest.mark.parametrize("order", range(4))
def test_closed_at_every_order(order):
    settings = {"lhs_dilation": (2, 1), "dimension_numbers": PERMUTED, "batch_group_count": 2}
    settings["preferred_element_type"] = jnp.float32
    call = partial(
        interop.conv_general_dilated, window_strides=(1, 2), padding=((1, 0),) * 2, **settings
    )
    args = normal(0, (3, 6, 4, 7), jnp.bfloat16), normal(1, (4, 6, 2, 3), jnp.bfloat16)
    assert open_primitives(call, order, *args) == set()
    turned = partial(interop.conv_transpose, strides=(2,), padding="SAME", transpose_kernel=True)
    assert open_primitives(turned, order, normal(0, (1, 4, 2)), normal(1, (3, 3, 2))) == set()
    assert open_primitives(lambda x: interop.min_pool(x, (2,)), order, normal(0, (4, 3))) == set()


@pytest.mark.parametrize(
    ("dtype", "preferred", "tolerance"),
    [
        (jnp.bfloat16, jnp.float32, 1e-6),
        pytest.param(jnp.bfloat16, None, 2**-7, marks=pytest.mark.full),
        (jnp.float32, jnp.float64, 1e-12),
        pytest.param(jnp.float16, jnp.bfloat16, 2**-7, marks=pytest.mark.full),
    ],
)
def test_a_preferred_dtype_is_that_of_the_result_only(dtype, preferred, tolerance):
    x, kernel = normal(0, (2, 6, 5, 3), dtype), normal(1, (3, 3, 3, 4), dtype)
    settings = {"dimension_numbers": NHWC, "preferred_element_type": preferred}
    delta = normal(2, (2, 3, 5, 4), preferred or dtype)

    @jax.jit
    def both(x, kernel, delta):
        results = []
        for f in (interop.conv_general_dilated, lax.conv_general_dilated):
            y, pull = jax.vjp(lambda x, k, f=f: f(x, k, (2, 1), "SAME", **settings), x, kernel)
            results.append((y, *pull(delta)))
        return results

    ours, theirs = both(x, kernel, delta)
    assert [a.dtype for a in ours] == [preferred or dtype, dtype, dtype]
    assert ours[0].dtype == theirs[0].dtype
    error, where = relative_error(ours[0], theirs[0])
    assert error <= tolerance, where
    # JAX rounds the factors of a gradient to the preferred dtype.
    eps = max(float(jnp.finfo(d).eps) for d in (dtype, preferred or dtype))
    error, where = relative_error(ours[1:], theirs[1:])
    assert error <= 2 * eps, where


def precisions(f, *args):
    return {
        eqn.params["precision"]
        for eqn in equations(jax.make_jaxpr(f)(*args).jaxpr)
        if eqn.primitive.name == "conv_general_dilated"
    }


HIGHEST = (lax.Precision.HIGHEST, lax.Precision.HIGHEST)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (None, None),
        ("highest", HIGHEST),
        (lax.Precision.HIGHEST, HIGHEST),
        (("default", "high"), (lax.Precision.DEFAULT, lax.Precision.HIGH)),
        ("BF16_BF16_F32", (lax.Precision.DEFAULT,) * 2),  # of factors that are rounded before
    ],
)
def test_all_gradients_keep_the_precision(precision, expected):
    x, kernel = normal(0, (2, 6, 5, 4), jnp.float32), normal(1, (3, 3, 2, 4), jnp.float32)
    call = partial(
        interop.conv_general_dilated, window_strides=(1, 1), padding="SAME", precision=precision,
        dimension_numbers=NHWC, feature_group_count=2,
    )  # fmt: skip
    for order in range(3):
        arguments = pullback_arguments(call, order, [x, kernel])
        assert precisions(pullback(call, order), *arguments) == {expected}


def test_a_backward_pass_keeps_the_precision_of_its_forward_pass():
    x, kernel = normal(0, (2, 6, 4), jnp.float32), normal(1, (3, 4, 4), jnp.float32)

    def gradients(x, kernel):
        with jax.default_matmul_precision("highest"):
            y, pull = jax.vjp(lambda x, k: interop.conv_transpose(x, k, (2,), "SAME"), x, kernel)
        return pull(y)

    assert precisions(gradients, x, kernel) == {HIGHEST}


def test_many_at_once():
    x, kernels = normal(0, (3, 4, 2, 6, 5)), normal(1, (3, 6, 2, 3, 2))
    calls = [
        partial(f, window_strides=(1, 1), padding="SAME", batch_group_count=2)
        for f in (interop.conv_general_dilated, lax.conv_general_dilated)
    ]
    ours, theirs = (jax.jit(jax.vmap(f))(x, kernels) for f in calls)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_the_result_is_sharded_as_asked_for():
    mesh = jax.make_mesh(
        (1, 1), ("data", "model"), axis_types=(jax.sharding.AxisType.Explicit,) * 2
    )
    spec = P("data", None, "model", None)
    with jax.set_mesh(mesh):
        x = jax.device_put(normal(0, (2, 3, 6, 5)), P("data"))
        kernel = jax.device_put(normal(1, (4, 3, 3, 3)), P("model"))

        def call(x, kernel, out_sharding: P | None = spec):
            return interop.conv_general_dilated(
                x, kernel, (1, 1), "SAME", out_sharding=out_sharding
            )

        assert jax.typeof(jax.jit(call)(x, kernel)).sharding.spec == spec
        kept = jax.typeof(jax.jit(partial(call, out_sharding=None))(x, kernel))
        assert kept.sharding.spec == P("data", "model", None, None)
        gradients = jax.jit(jax.grad(lambda *args: (call(*args) ** 2).sum(), (0, 1)))(x, kernel)
        assert jax.typeof(gradients[0]).sharding == jax.typeof(x).sharding
        assert jax.typeof(gradients[1]).sharding == jax.typeof(kernel).sharding


def test_products_do_not_overflow_on_their_way_to_a_preferred_dtype():
    x, kernel = jnp.full((1, 2), 300, jnp.float16), jnp.full((1, 2), 300, jnp.float16)
    for f in (interop.conv_general_dilated, lax.conv_general_dilated):
        y = f(x, kernel, (), (), preferred_element_type=jnp.bfloat16)
        np.testing.assert_allclose(y.astype(jnp.float32), 180_000, rtol=2**-8)
