"""What is not finite is lost where it is read, and nowhere else, whichever form computes it.

The sum is written as a loop over taps. Where a tap lies in padding, or in the zeros between the
elements of a dilated map, 0 and NaN are both right.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn.geometry import parse_geometry
from jaxcnn.lowering.convolution import TABLES, patches
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.forms import names

NOT_FINITE = (np.nan, np.inf, -np.inf)
# Sizes of x and kernel, settings; for each form that there is, and for both of its gradients.
CASES = {
    "a row": ((1, 12, 1), (3, 1, 1), {}),
    "causal": ((1, 12, 2), (3, 2, 3), {"padding": "CAUSAL"}),
    "bands": ((1, 9, 10, 1), (5, 5, 1, 6), {"padding": "SAME"}),
    "bands of many": ((1, 8, 9, 6), (5, 5, 6, 16), {}),
    "bands, strided": ((1, 8, 9, 3), (3, 3, 3, 8), {"stride": 2, "padding": 1}),
    "bands, cropped": ((1, 8, 9, 2), (4, 4, 2, 3), {"padding": ((-1, 2), (2, -1))}),
    "phases": ((1, 8, 7, 16), (3, 3, 16, 16), {"stride": 2, "padding": 1}),
    "phases together": ((1, 8, 7, 3), (3, 3, 3, 4), {"stride": 2, "padding": "SAME"}),
    "phases, dilated": ((1, 9, 8, 3), (2, 3, 3, 4), {"stride": 3, "dilation": 2}),
    "zeros in x": ((1, 5, 4, 3), (3, 3, 3, 4), {"input_dilation": 2, "padding": 2}),
    "zeros in x alone": ((1, 4, 5, 2), (3, 3, 2, 3), {"input_dilation": 2}),
    "zeros in groups": ((1, 4, 5, 4), (3, 2, 2, 6), {"input_dilation": 2, "groups": 2}),
    "zeros and strides": ((1, 5, 4, 3), (3, 3, 3, 4), {"input_dilation": 3, "stride": 2}),
    "few groups of one": ((1, 7, 8, 3), (3, 3, 1, 6), {"groups": 3, "stride": 2}),
    "depthwise": ((1, 7, 6, 8), (3, 3, 1, 16), {"groups": 8, "stride": 2, "padding": 1}),
    "grouped": ((1, 7, 6, 4), (3, 3, 2, 6), {"groups": 2, "padding": 1}),
    "many groups": ((1, 3, 4, 130), (5, 5, 2, 130), {"groups": 65, "padding": 2}),
    "a volume": ((1, 4, 5, 6, 2), (3, 3, 3, 2, 3), {"padding": 1}),
    "a volume, strided": ((1, 5, 4, 5, 2), (3, 2, 3, 2, 3), {"stride": 2, "padding": 1}),
    "pointwise": ((1, 5, 6, 4), (1, 1, 4, 3), {"stride": 2, "padding": 1}),
    "parts": ((32, 8, 9, 7), (3, 3, 7, 2), {"stride": 2}),
    "patches": ((2, 8, 7, 8), (3, 3, 8, 16), {"stride": 2}),
    "patches of many": ((4, 8, 7, 33), (3, 2, 33, 20), {"padding": 1}),
}  # fmt: skip


def reads(x, kernel, geometry):
    """Which elements of x, of the kernel and of y meet, as flat indices; −1 for padding, zeros."""
    y = x[0], *geometry.output, kernel[-1]
    of_x, of_kernel, of_y = (np.arange(np.prod(shape)).reshape(shape) for shape in (x, kernel, y))
    groups, met = geometry.groups, []
    for tap in itertools.product(*map(range, geometry.window)):
        seen = of_x
        for axis, t in enumerate(tap):
            start = t * geometry.dilation[axis] - geometry.padding[axis][0]
            places = start + geometry.stride[axis] * np.arange(geometry.output[axis])
            place, between = np.divmod(places, geometry.input_dilation[axis])
            beyond = (between > 0) | (place < 0) | (place >= geometry.input[axis])
            seen = np.moveaxis(seen.take(np.where(beyond, 0, place), axis + 1), axis + 1, -1)
            seen = np.moveaxis(np.where(beyond, -1, seen), -1, axis + 1)
        parts = (np.split(a, groups, -1) for a in (seen, of_kernel[tap], of_y))
        for i, k, o in zip(*parts, strict=True):
            met.append(np.broadcast_arrays(i[..., None], k, o[..., None, :]))
    return [np.concatenate([m[i].ravel() for m in met]) for i in range(3)]


def by_loops(arrays, met):
    """y, ∂x and ∂k as sums over what meets, and where a number that is not finite met zeros."""
    x, kernel, delta = (np.asarray(a) for a in arrays)
    of_x, of_kernel, of_y = met
    real = of_x >= 0
    xs, ks, ys = (np.append(a.ravel(), 0)[i] for a, i in zip((x, kernel, delta), met, strict=True))

    def total(like, index, terms):
        result = np.zeros(like.size, like.dtype)
        np.add.at(result, index, terms)
        return result.reshape(like.shape)

    def met_zeros(like, index, others):
        return total(like, index[~real], ~np.isfinite(others[~real]) + 0.0) > 0

    with np.errstate(invalid="ignore"):
        y = total(delta, of_y[real], (xs * ks)[real])
        delta_x = total(x, of_x[real], (ys * ks)[real])
        delta_kernel = total(kernel, of_kernel[real], (xs * ys)[real])
    # The input gradient has zeros around and between the elements of δ: for every tap somewhere.
    groups = np.split(~np.isfinite(kernel), x.shape[-1] // kernel.shape[-2], -1)
    channels = np.concatenate([group.any((*range(kernel.ndim - 2), -1)) for group in groups])
    free_x = np.broadcast_to(channels, x.shape)
    return (y, delta_x, delta_kernel), (
        met_zeros(delta, of_y, ks), free_x, met_zeros(kernel, of_kernel, ys)
    )  # fmt: skip


def assert_as_by_loops(found, arrays, met):
    for name, a, (b, free) in zip(
        ("y", "∂x", "∂k"), found, zip(*by_loops(arrays, met), strict=True), strict=True
    ):
        a = np.where(free & np.isnan(a), b, a)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)


def with_one(arrays, which, number, generator):
    """The arrays, with that number somewhere in one of them."""
    arrays = [a.copy() for a in arrays]
    arrays[which].flat[generator.integers(arrays[which].size)] = number
    return arrays


def three_maps(geometry, settings):
    def maps(x, kernel, delta):
        size, window = geometry.input, geometry.window
        return (
            jc.conv(x, kernel, **settings),
            jc.conv_input_grad(delta, kernel, input_size=size, **settings),
            jc.conv_kernel_grad(x, delta, kernel_size=window, **settings),
        )

    return maps


WAYS = {"eagerly": lambda f: f, "jax.jit": jax.jit, "jaxcnn.jit": jc.jit}
JITTED = list(itertools.product(CASES, ("jax.jit", "jaxcnn.jit")))
EAGER = [(case, "eagerly") for case in ("a row", "causal", "phases together", "grouped")]


def assert_it_loses_what_reads_it(case, jit, some=3):
    size, window, settings = CASES[case]
    every = {"stride": 1, "padding": "VALID", "dilation": 1} | settings
    geometry = parse_geometry("conv", size[1:-1], window[:-2], **every)
    met = reads(size, window, geometry)
    numbers = np.random.default_rng(0)
    shapes = size, window, (size[0], *geometry.output, window[-1])
    arrays = [numbers.standard_normal(shape) for shape in shapes]
    maps = jit(three_maps(geometry, settings))
    for which, number, _ in itertools.product(range(3), NOT_FINITE[:some], range(2)):
        bad = with_one(arrays, which, number, numbers)
        assert_as_by_loops(maps(*bad), bad, met)
    return {c.form.name for c in jc.explain_forms(three_maps(geometry, settings), *arrays)}


@pytest.mark.parametrize(("case", "way"), JITTED + EAGER)
def test_a_convolution_and_its_gradients_lose_what_reads_it(case, way):
    assert_it_loses_what_reads_it(case, WAYS[way])


# For each form that can be named, a case of which it computes a map.
NAMED = {
    "pointwise": "pointwise",
    "depthwise": "depthwise",
    "depthwise phases": "depthwise",
    "grouped": "grouped",
    "phases": "phases, dilated",
    "phases joined": "phases, dilated",
    "slices": "a volume, strided",
    "banded": "bands, cropped",
    "dilated": "zeros in x",
    "taps": "causal",
    "patches": "patches of many",
    "parts": "patches of many",
    "plain": "zeros and strides",
    "native": "zeros and strides",
}


@pytest.mark.parametrize("name", [name for name in names(TABLES.values()) if name != "fft"])
def test_a_form_that_is_named_loses_what_reads_it(name):
    if name == "native":
        pytest.importorskip("llvmlite", reason="llvmlite is not installed (extra: native)")
    with jc.forms(name):
        assert name in assert_it_loses_what_reads_it(NAMED[name], jax.jit, some=2)


def test_patches_of_rows_that_do_not_divide():
    """A block of the rows left over reads no more of x than they do."""
    geometry = parse_geometry("conv", (7, 6), (3, 3), stride=1, padding=0)
    two_rows_of_five = 2 * 4 * 3 * 8 * 8  # bytes of their patches
    numbers = np.random.default_rng(0)
    shapes = (1, 7, 6, 8), (3, 3, 8, 2), (1, 5, 4, 2)
    arrays = [numbers.standard_normal(shape) for shape in shapes]
    arrays[0][0, 5, 0, 0] = np.inf
    (_, _, expected), _ = by_loops(arrays, reads(*shapes[:2], geometry))
    problem = Problem.of(geometry, jnp.asarray(arrays[0]), 2)
    by_patches = partial(patches.kernel_grad, problem=problem, patch_bytes=two_rows_of_five)
    found = jax.jit(by_patches)(arrays[0], arrays[2])
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isfinite(expected[0]).all()


def test_only_maps_that_are_all_finite_meet_zeros_among_the_taps():
    """Under vmap, too, one form is computed: the condition is that of all maps together."""
    x, kernel = np.ones((3, 1, 12, 1)), np.ones((3, 1, 1))
    program = jax.jit(jax.vmap(lambda x: jc.conv(x, kernel))).lower(x).as_text()
    assert "select" not in program
    assert "stablehlo.case" in program


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("case", ["bands", "phases together", "a volume", "grouped"])
def test_elsewhere_no_zeros_are_added(case, platform):
    """Each map is one convolution of the arrays as they are, which pads by itself."""
    size, window, settings = CASES[case]
    every = {"stride": 1, "padding": "VALID", "dilation": 1} | settings
    geometry = parse_geometry("conv", size[1:-1], window[:-2], **every)
    shapes = size, window, (size[0], *geometry.output, window[-1])
    arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    maps = jax.jit(three_maps(geometry, settings))
    program = jax.export.export(maps, platforms=[platform])(*arguments).mlir_module()
    assert program.count("stablehlo.convolution") == 3
    assert "stablehlo.pad" not in program
    assert "stablehlo.concatenate" not in program


TABLE = ((0, 1), (1, 2), (2,))


def table_kernel_grad(x, delta):
    zeros = np.zeros((3, 3, sum(map(len, TABLE))))
    return jax.vjp(lambda weights: jc.table_conv(x, weights, table=TABLE), zeros)[1](delta)[0]


LAX = {"window_strides": (1, 1), "padding": "VALID"}
# Functions of x and a kernel whose three maps are those of a convolution, and their settings.
RELATIVES = {
    "true": (jc.true_conv, (1, 7, 8, 2), (3, 3, 2, 3), {}),
    "depthwise": (jc.depthwise_conv, (1, 7, 8, 3), (3, 3, 1, 6), {"stride": 2}),
    "table": (jc.table_conv, (1, 7, 8, 3), (3, 3, 5), {"table": TABLE}),
    "table, in its kernel": (table_kernel_grad, (1, 7, 8, 3), (1, 5, 6, 3), {}),
    "transposed": (jc.conv_transpose, (1, 4, 5, 3), (3, 3, 2, 3), {"stride": 2}),
    "interop": (jc.interop.conv_general_dilated, (1, 2, 8, 7), (3, 2, 3, 3), LAX),
    "dense": (jc.dense, (4, 5), (5, 3), {}),
    "maximum": (jc.max_pool, (1, 7, 8, 3), None, {"window": 3, "stride": 2, "padding": 1}),
    "average": (jc.avg_pool, (1, 7, 8, 3), None, {"window": 3, "stride": 2}),
    "sum": (jc.sum_pool, (1, 7, 8, 3), None, {"window": 3, "stride": 1, "padding": 1}),
    "p-norm": (jc.lp_pool, (1, 7, 8, 3), None, {"window": 3, "stride": 2}),
    "adaptive average": (jc.adaptive_avg_pool, (1, 7, 8, 3), None, {"output_size": (3, 2)}),
    "adaptive maximum": (jc.adaptive_max_pool, (1, 7, 8, 3), None, {"output_size": (3, 2)}),
    "global average": (jc.global_avg_pool, (2, 7, 8, 3), None, {}),
    "global maximum": (jc.global_max_pool, (2, 7, 8, 3), None, {}),
}  # fmt: skip


def lost(y):
    return ~np.isfinite(y)


@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
@pytest.mark.parametrize("name", RELATIVES)
def test_the_relatives_and_the_poolings_lose_what_reads_it(name, jit):
    """What reads an element is what a finite change of it changes, by a derivative."""
    f, size, window, settings = RELATIVES[name]
    numbers = np.random.default_rng(0)
    shapes = [size] if window is None else [size, window]
    arrays = [numbers.uniform(0.5, 1, shape) for shape in shapes]

    def value(*arrays):
        return f(*arrays, **settings)

    delta = numbers.uniform(0.5, 1, jax.eval_shape(value, *arrays).shape)

    def both(delta, *arrays):
        y, pull = jax.vjp(value, *arrays)
        return y, *pull(delta)

    run, arguments = jit(both), [delta, *arrays]
    before = run(*arguments)
    linear = window is not None or "average" in name or name == "sum"
    kernel = 0 if f is table_kernel_grad else 2
    for which in range(len(arguments)):
        for _ in range(2):
            place = numbers.integers(arguments[which].size)
            changed = [a.copy() for a in arguments]
            changed[which].flat[place] *= 1.5
            pairs = zip(run(*changed), before, strict=True)
            reading = [~np.isclose(a, b, rtol=1e-12, atol=0) for a, b in pairs]
            for number in NOT_FINITE[:2]:
                changed[which].flat[place] = number
                found = run(*changed)
                if which == kernel:  # some of whose taps lie in padding
                    for a, reads in zip(found, reading, strict=True):
                        assert lost(a)[reads].all()
                elif which == 0 or linear:
                    for a, reads in zip(found, reading, strict=True):
                        np.testing.assert_array_equal(lost(a), reads)
                else:  # a maximum reads what is not the largest, too
                    reads = value_reads(value, arrays[0], place)
                    np.testing.assert_array_equal(lost(found[0]), reads)


def value_reads(value, x, place):
    """The windows that hold an element: those whose maximum it is once it is the largest."""
    largest = x.copy()
    largest.flat[place] = 9
    return np.asarray(value(largest)) != np.asarray(value(x))
