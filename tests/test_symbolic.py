"""One program for every size: exported with symbols, against the program of each size."""

import os
import re
from pathlib import Path
from typing import Any

import batched as batches
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxcnn as jc
from jaxcnn.gradcheck import random_like, relative_error
from jaxcnn.gradcheck.cases import FAMILIES, FIRST

JITS = {"jax": jax.jit, "jaxcnn": jc.jit}
jits = pytest.mark.parametrize("jit", JITS.values(), ids=JITS)


def with_gradients(f):
    """The value, and the gradients for a δ that every size has."""

    def both(args):
        y, pull = jax.vjp(f, args)
        return y, pull(jax.tree.map(jnp.cos, y))[0]

    return both


def agree(f, symbolic, several, jit=jax.jit):
    """The program with symbols gives what the programs of some sizes give."""
    program_agrees(export.export(jit(f))(symbolic), f, several)


def program_agrees(program, f, several):
    for args in several:
        error, where = relative_error(program.call(args), jax.jit(f)(args))
        assert error < 1e-12, where


@jits
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.split(".")[-1])
def test_every_operation_with_a_batch_of_any_size(family, jit, request):
    full = request.config.getoption("full")
    cases = {c.name: c for c in family.CASES if full or c is FIRST[c.op]}
    cases = {name: case for name, case in cases.items() if batches.has_batch(case)}
    given: dict[str, Any] = {n: batches.arguments(case)[:2] for n, case in cases.items()}
    batch = export.symbolic_shape("b")

    def sized(size):
        def of(name, a):
            if name not in batches.MAPS:
                return a
            return jax.ShapeDtypeStruct((*size, *a.shape[1:]), a.dtype) if size else a

        return {
            case: tuple({n: of(n, a) for n, a in named.items()} for named in args)
            for case, args in given.items()
        }

    def shortened(size):
        return {
            case: tuple(
                {n: a[:size] if n in batches.MAPS else a for n, a in named.items()}
                for named in args
            )
            for case, args in given.items()
        }

    def every(args):
        return {
            name: with_gradients(lambda a, f=fixed, c=cases[name]: batches.applied(c, a, f))(arrays)
            for name, (arrays, fixed) in args.items()
        }

    agree(every, sized(batch), [shortened(3), shortened(16)], jit)


def step_of_lenet5():
    """Loss and gradients, what stands for its arguments, and some of them."""
    net = jc.models.lenet5()
    params, state = net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float64)

    def step(args):
        def loss(params):
            return jc.softmax_cross_entropy(net.apply(params, state, args[0])[0], args[1])

        return jax.value_and_grad(loss)(params)

    (b,) = export.symbolic_shape("b")
    symbolic = [jax.ShapeDtypeStruct((b, 32, 32, 1), jnp.float64)]
    symbolic.append(jax.ShapeDtypeStruct((b,), jnp.int32))
    several = [
        [random_like(jnp.zeros((n, 32, 32, 1)), 1), jnp.arange(n, dtype=jnp.int32)] for n in (2, 5)
    ]
    return step, symbolic, several


@jits
def test_the_gradient_of_lenet5_with_a_batch_of_any_size(jit):
    agree(*step_of_lenet5(), jit)


@pytest.mark.parametrize("name", JITS)
def test_a_program_with_symbols_is_read_by_a_newer_jax(name, tmp_path):
    """Of two Pythons of `.ci/run`, which gives the folder, the first writes, and the next reads."""
    f, symbolic, several = step_of_lenet5()
    written = Path(os.environ.get("JAXCNN_PROGRAMS") or tmp_path) / name
    if not written.exists():
        written.write_bytes(export.export(JITS[name](f))(symbolic).serialize())
    program_agrees(export.deserialize(bytearray(written.read_bytes())), f, several)


KERNEL, SCALE = random_like(jnp.zeros((3, 2, 2, 4)), 2), random_like(jnp.zeros(2), 3)
OF_ANY_MAP = {
    "conv": lambda x: jc.conv(x, KERNEL),
    "conv, SAME, stride 2": lambda x: jc.conv(x, KERNEL, stride=2, padding="SAME"),
    "conv_transpose": lambda x: jc.conv_transpose(x, KERNEL.swapaxes(2, 3), stride=2),
    "max_pool": lambda x: jc.max_pool(x, 2),
    "max_pool, overlapping": lambda x: jc.max_pool(x, 3, stride=2, padding="SAME"),
    "avg_pool": lambda x: jc.avg_pool(x, 2),
    "avg_pool, padded": lambda x: jc.avg_pool(x, 3, stride=2, padding=1, count_include_pad=False),
    "global_max_pool": jc.global_max_pool,
    "global_avg_pool": jc.global_avg_pool,
    "batch_norm": lambda x: jc.batch_norm(x, SCALE)[0],
    "layer_norm": lambda x: jc.layer_norm(x, SCALE),
    "upsample": lambda x: jc.upsample(x, 2),
    "pixel_shuffle": lambda x: jc.pixel_shuffle(jc.concatenate([x, x]), 2),
    "pad": lambda x: jc.pad(x, 1),
    "pad, to even sizes": lambda x: jc.pad(x, ((0, x.shape[1] % 2), (0, x.shape[2] % 2))),
    **{
        f"{op.__name__}, {mode}": lambda x, op=op, mode=mode: op(x, ((1, 0), (1, 1)), mode)
        for op in (jc.pad, jc.fold_back)
        for mode in ("reflect", "replicate", "circular")
    },
    "drop_block": lambda x: jc.drop_block(x, jax.random.key(0), 0.3, 2),
}


@jits
@pytest.mark.parametrize("f", OF_ANY_MAP.values(), ids=OF_ANY_MAP)
def test_maps_of_any_size(f, jit):
    b, h, w = export.symbolic_shape("b, h, w", constraints=("h >= 4", "w >= 4"))
    several = [random_like(jnp.zeros((n, h, w, 2)), 1) for n, h, w in ((1, 4, 5), (2, 7, 8))]
    agree(with_gradients(f), jax.ShapeDtypeStruct((b, h, w, 2), jnp.float64), several, jit)


@jits
def test_channels_of_any_number(jit):
    c, d = export.symbolic_shape("c, d", constraints=("d >= 3",))

    def f(args):
        x, kernel = args
        y = jc.max_pool(jc.conv(x, kernel, padding="SAME"), 3, stride=2)
        return jc.crop_channels(jc.batch_norm(y)[0], 1, 1)

    def arrays(c, d):
        return [random_like(jnp.zeros(shape), 1) for shape in ((2, 7, 8, c), (3, 2, c, d))]

    shapes = (2, 7, 8, c), (3, 2, c, d)
    symbolic = [jax.ShapeDtypeStruct(shape, jnp.float64) for shape in shapes]
    agree(with_gradients(f), symbolic, [arrays(1, 3), arrays(9, 10)], jit)


OF_NUMBERS = {
    "adaptive_avg_pool: output_size needs sizes that are numbers, got h, w": (
        lambda x: jc.adaptive_avg_pool(x, 2)
    ),
    "adaptive_max_pool: output_size needs sizes that are numbers, got b": (
        lambda x: jc.adaptive_max_pool(np.ones((1, 4, 4, 1)), (2, x.shape[0]))
    ),
    "resize: size needs sizes that are numbers, got h, w": lambda x: jc.resize(x, 3),
    "pixel_unshuffle: block must divide the spatial sizes of x, "
    "got (2, 2) for shape (b, h, w, 2)": lambda x: jc.pixel_unshuffle(x, 2),
    "conv: method 'fft' needs sizes that are numbers, got h, w": (
        lambda x: jc.conv(x, KERNEL, method="fft")
    ),
    "max_pool: ceil_mode needs sizes that are numbers, got h, w": (
        lambda x: jc.max_pool(x, 2, ceil_mode=True)
    ),
    "crop_channels: before and after must leave a channel of x, got 1 and 1 for b": (
        lambda x: jc.crop_channels(jnp.swapaxes(x, 0, 3), 1, 1)
    ),
    "pad: padding must be at most h - 1 for mode 'reflect' on a map of h, "
    "got (4, 4) in spatial axis 0": lambda x: jc.pad(x, 4, "reflect"),
    "fold_back: padding must be at most h - 5 for mode 'reflect' on a map of h - 4, "
    "got (2, 2) in spatial axis 0": lambda x: jc.fold_back(x, 2, "reflect"),
    "fold_back: padding must leave something of the map, got (3, 2) for h in spatial axis 0: "
    "give jax.export.symbolic_shape a constraint that shows it": (
        lambda x: jc.fold_back(x, ((3, 2), (0, 0)))
    ),
}


@pytest.mark.parametrize("sentence", OF_NUMBERS)
def test_what_no_symbol_can_stand_for(sentence):
    """What the symbols leave open: h is at least 4, which shows no more than 3 of a reflection."""
    b, h, w = export.symbolic_shape("b, h, w", constraints=("h >= 4", "w >= 4"))
    x = jax.ShapeDtypeStruct((b, h, w, 2), jnp.float64)
    with pytest.raises(ValueError, match=rf"^{re.escape(sentence)}(\n|$)"):
        export.export(jax.jit(OF_NUMBERS[sentence]))(x)


def of_size(f, constraints=(), several=(), jit=jax.jit):
    h, w = export.symbolic_shape("h, w", constraints=constraints)
    x = jax.ShapeDtypeStruct((len(several[0]) if several else 1, h, w, 2), jnp.float64)
    agree(f, x, several, jit)


ANYHOW = {  # 'reflect' and 'circular' repeat so much of a map, and fold_back leaves a part of it
    **{name: f for name, f in OF_ANY_MAP.items() if not re.search("reflect|circular|fold_", name)},
    "conv, VALID, stride 2": lambda x: jc.conv(x, KERNEL, stride=2),
    "conv, padded, stride 3": lambda x: jc.conv(x, KERNEL, stride=3, padding=1),
    "max_pool, gaps": lambda x: jc.max_pool(x, 2, stride=3),
    "max_pool, dilated": lambda x: jc.max_pool(x, 2, stride=1, dilation=2),
    "max_pool, wide": lambda x: jc.max_pool(x, 5, stride=1),
    "max_pool, VALID, overlapping": lambda x: jc.max_pool(x, 3, stride=2),
    "avg_pool, VALID, overlapping": lambda x: jc.avg_pool(x, 3, stride=2),
    "avg_pool, wide": lambda x: jc.avg_pool(x, 5, stride=1),
    "lp_pool": lambda x: jc.lp_pool(x, 2, p=3),
    "patches": lambda x: jc.patches(x, 3, stride=2),
    "patches, padded": lambda x: jc.patches(x, 5, padding=1),
}


@jits
@pytest.mark.parametrize("f", ANYHOW.values(), ids=ANYHOW)
def test_maps_without_a_constraint(f, jit):
    several = [random_like(jnp.zeros((2, h, w, 2)), 1) for h, w in ((5, 6), (13, 8))]
    of_size(with_gradients(f), (), several, jit)


@pytest.mark.parametrize(
    "name", ["conv", "conv, VALID, stride 2", "max_pool", "avg_pool", "patches"]
)
def test_a_map_without_a_window(name):
    """The program is of every size: too small a map, of which a call complains, has no windows."""
    b, h, w = export.symbolic_shape("b, h, w")
    symbolic = jax.ShapeDtypeStruct((b, h, w, 2), jnp.float64)
    program = export.export(jax.jit(with_gradients(ANYHOW[name])))(symbolic)
    y, gradient = program.call(np.ones((3, 1, 9, 2)))
    assert y.shape[:2] == (3, 0)
    np.testing.assert_array_equal(gradient, np.zeros((3, 1, 9, 2)))


def test_two_programs_with_symbols_of_one_name():
    """Settings with symbols in them are keys of JAX's caches."""
    x = np.ones((2, 6, 6, 2))
    for f in (OF_ANY_MAP["max_pool, overlapping"], OF_ANY_MAP["conv, SAME, stride 2"]) * 2:
        shape = export.symbolic_shape("b, h, w", constraints=("h >= 4", "w >= 4"))
        agree(f, jax.ShapeDtypeStruct((*shape, 2), x.dtype), [x])
