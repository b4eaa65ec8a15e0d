"""Programs for other platforms: exported without a device, and read for the form each one gets."""

from functools import wraps

import jax
import jax.numpy as jnp
import pytest
from programs import operations

import jaxcnn
from jaxcnn import layers
from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.gradcheck.cases import FAMILIES, FIRST
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.hints import fast_convolutions

PLATFORMS = ("cpu", "cuda", "tpu")
# What decides how fast a program is: everything else is elementwise, a sum or a move. A choice by
# platform is a `case` of one known branch where the program is for one platform.
HEAVY = {
    "convolution", "dot_general", "reduce_window", "select_and_scatter", "scatter", "gather",
    "sort", "while", "custom_call", "dynamic_slice", "all_reduce",
}  # fmt: skip


def exported(f, *args, platforms=PLATFORMS):
    return jax.export.export(jax.jit(f), platforms=platforms)(*args)


def heavy(program) -> dict[str, int]:
    """How often each of the heavy operations is reached in the program."""
    found = operations(program.mlir_module())
    return {name: count for name, count in found.items() if name in HEAVY}


def shaped(*shapes):
    return [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]


def gradients(f):
    """The gradients of Σf², which needs the value of f as well."""
    return lambda *args: jax.grad(lambda *a: (f(*a) ** 2).sum(), range(len(args)))(*args)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.split(".")[-1])
def test_every_operation_and_its_gradients_export_for_every_platform(family, request):
    full = request.config.getoption("full")
    cases = {c.name: c for c in family.CASES if full or c is FIRST[c.op]}

    def program(args):
        return {name: jax.vjp(cases[name].function(), *a)[1](d) for name, (a, d) in args.items()}

    def values(args):
        return {name: cases[name].function()(*a) for name, (a, _) in args.items()}

    def arguments(case: Case):
        arrays = case.arrays(jnp.float32)
        return arrays, jax.eval_shape(case.function(), *arrays)

    args = {name: arguments(case) for name, case in cases.items()}
    for f in (values, program):
        found = exported(f, args)
        assert found.platforms == PLATFORMS
        expected = jax.tree.leaves(jax.eval_shape(f, args))
        assert [(a.shape, a.dtype) for a in found.out_avals] == [
            (a.shape, a.dtype) for a in expected
        ]


def form(f, *shapes, cpu=None, **counts):
    """How often each heavy operation is wanted, on a CPU perhaps another number of times."""
    wanted = dict.fromkeys(PLATFORMS, counts) | ({} if cpu is None else {"cpu": cpu})
    return pytest.param(f, shapes, wanted, id=f"{f.__name__} {counts}")


def conv(x, kernel):
    return jaxcnn.conv(x, kernel, stride=2, padding="SAME")


def depthwise(x, kernel):
    return jaxcnn.depthwise_conv(x, kernel, padding=1)


def grouped(x, kernel):
    return jaxcnn.conv(x, kernel, groups=2)


def pointwise(x, kernel):
    return jaxcnn.conv(x, kernel)


def transposed(x, kernel):
    return jaxcnn.conv_transpose(x, kernel, stride=2)


def tiling_max(x):
    return jaxcnn.max_pool(x, 2)


def overlapping_max(x):
    return jaxcnn.max_pool(x, 3, stride=2, padding=1)


def large_max(x):
    return jaxcnn.max_pool(x, 4, stride=1)


def with_fast_convolutions(f):
    """As `jaxcnn.jit` compiles it."""

    @wraps(f)
    def told(*args):
        with fast_convolutions(True):
            return f(*args)

    return told


def tiling_mean(x):
    return jaxcnn.avg_pool(x, 2)


def dense(x, weight):
    return jaxcnn.dense(x, weight)


def norm(x):
    return jaxcnn.batch_norm(x)[0]


MAPS, KERNEL = (4, 8, 8, 4), (3, 3, 4, 6)
# A product for each row of a kernel of 3 × 3.
PATCHES = {"convolution": 2, "while": 1, "dot_general": 3, "dynamic_slice": 2}
# The same form everywhere, unless a platform has been measured to want another one: see
# `jaxcnn.lowering.convolution` for a CPU's.
FORMS = [
    # With few channels a CPU has two forms: that for maps which are not finite is the plain one.
    form(conv, MAPS, KERNEL, cpu={"convolution": 2}, convolution=1),
    form(gradients(conv), MAPS, KERNEL, cpu={"convolution": 5}, convolution=3),
    form(depthwise, (2, 8, 8, 8), (3, 3, 1, 16), cpu={}, convolution=1),
    form(depthwise, MAPS, (3, 3, 1, 4), cpu={}, convolution=1),
    form(gradients(depthwise), (2, 8, 8, 8), (3, 3, 1, 16), cpu={}, convolution=3),
    form(gradients(depthwise), MAPS, (3, 3, 1, 4), cpu={}, convolution=3),
    # Each group by itself, in the form that suits it.
    form(gradients(grouped), MAPS, (3, 3, 2, 6), cpu={"convolution": 10}, convolution=3),
    form(gradients(grouped), MAPS, (1, 1, 2, 6), cpu={"dot_general": 6}, convolution=3),
    form(gradients(pointwise), MAPS, (1, 1, 4, 6), cpu={"dot_general": 3}, convolution=3),
    # A loop over the rows, each of which is a product of matrices: of one image or two
    # with few filters, of more with many of both.
    form(
        gradients(conv),
        (2, 8, 8, 8),
        (3, 3, 8, 6),
        cpu={**PATCHES, "convolution": 4},
        convolution=3,
    ),
    form(gradients(conv), (4, 8, 8, 40), (3, 3, 40, 33), cpu=PATCHES, convolution=3),
    # With few channels, a loop over parts of the batch.
    form(
        gradients(conv),
        (16, 8, 8, 8),
        (3, 3, 8, 20),
        cpu={"convolution": 4, "while": 1, "dynamic_slice": 2},
        convolution=3,
    ),
    form(transposed, MAPS, (3, 3, 6, 4), cpu={"convolution": 2}, convolution=1),
    form(gradients(transposed), MAPS, (3, 3, 6, 4), cpu={"convolution": 5}, convolution=3),
    # A maximum alone is one reduction, or elementwise where a convolution gains nothing by it;
    # with a gradient it leaves switches: nothing is scattered.
    form(tiling_max, MAPS, reduce_window=1),
    form(gradients(tiling_max), MAPS),
    form(overlapping_max, MAPS, reduce_window=1),
    form(gradients(overlapping_max), MAPS),
    form(with_fast_convolutions(overlapping_max), MAPS, cpu={}, reduce_window=1),
    form(large_max, MAPS, cpu={}, reduce_window=1),
    form(tiling_mean, MAPS, cpu={}, reduce_window=1),
    form(gradients(tiling_mean), MAPS, cpu={}, reduce_window=1),
    form(dense, (5, 3), (3, 4), dot_general=1),
    form(gradients(dense), (5, 3), (3, 4), dot_general=3),
    form(gradients(norm), MAPS),
]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(("f", "shapes", "wanted"), FORMS)
def test_the_form_that_a_platform_gets(f, shapes, wanted, platform):
    assert heavy(exported(f, *shaped(*shapes), platforms=(platform,))) == wanted[platform]


def test_the_plain_max_pool_does_scatter():
    """What the switches are there for; and the reader of programs sees it."""
    plain = jaxcnn.autodiff_twin(jaxcnn.max_pool)
    program = exported(gradients(lambda x: plain(x, 3, stride=2, padding=1)), *shaped(MAPS))
    assert heavy(program)["select_and_scatter"]


def test_a_program_survives_its_journey_with_two_orders_of_derivatives():
    net = layers.serial(
        layers.Conv(3, 3),
        layers.Activation(jaxcnn.tanh),
        layers.MaxPool(2),
        layers.Flatten(),
        layers.Dense(2),
    )
    params, state = net.init(jax.random.key(0), (6, 6, 1), dtype=jnp.float64)
    x, targets = (random_like(jnp.zeros(shape), 1) for shape in ((2, 6, 6, 1), (2, 2)))

    def loss(params, x):
        return jaxcnn.squared_error(net.apply(params, state, x)[0], targets)

    stored = exported(loss, params, x).serialize(vjp_order=2)
    program = jax.export.deserialize(stored)
    assert program.platforms == PLATFORMS

    def gradient(f):
        return jax.grad(f, (0, 1))

    def second(f):
        return jax.grad(lambda p, x: sum((g**2).sum() for g in jax.tree.leaves(gradient(f)(p, x))))

    for derivative in (lambda f: f, gradient, second):
        found, expected = (jax.jit(derivative(f))(params, x) for f in (program.call, loss))
        assert relative_error(found, expected)[0] < 1e-12
    with pytest.raises(ValueError, match="No VJP"):
        jax.jit(jax.grad(lambda p: second(program.call)(p, x)["dense1"]["bias"].sum()))(params)
