"""Both modes under the transformations of JAX, and what they cost and round."""

from contextlib import suppress
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from programs import primitives

import jaxcnn
from jaxcnn.gradcheck import (
    derivative,
    derivative_arguments,
    mixtures,
    random_like,
    relative_error,
)
from jaxcnn.gradcheck.cases import FAMILIES, FIRST, channels, dense
from jaxcnn.gradcheck.cases.case import Case

# Families whose programs compile fast, of every kind of rule but those of convolutions.
EVERYDAY = [
    f if f in (channels, dense) else pytest.param(f, marks=pytest.mark.full) for f in FAMILIES
]
rematerialised = partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)


def two(arrays, which=None):
    """Every array twice, or these: as it is, and 1.3 times as large."""
    return tuple(jnp.stack([a, 1.3 * a]) if which in (None, i) else a for i, a in enumerate(arrays))


def conditional(f):
    return lambda *a: lax.cond(a[0].sum() < jnp.inf, f, lambda *a: -f(*a), *a)


def scanned(f):
    return lambda *a: lax.scan(lambda _, each: (None, f(*each)), None, two(a))[1]


def mapped(f, which=None):
    """Over every argument, or one."""

    def both(*a):
        axes = [0 if which in (None, i) else None for i in range(len(a))]
        return jax.vmap(f, axes)(*two(a, which))

    return both


def one_by_one(f, which=None):
    """What scan and vmap are to give."""

    def both(*a):
        each = [
            [b[i] if which in (None, j) else b for j, b in enumerate(two(a, which))] for i in (0, 1)
        ]
        return jnp.stack([f(*args) for args in each])

    return both


def repeated(g):
    """A while loop, which has no reverse mode, that adds up g three times."""

    def total(*args):
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(g, *args))
        start = jnp.array(0), zero
        add = partial(jax.tree.map, jnp.add)
        return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, add(c[1], g(*args))), start)[
            1
        ]

    return total


def exported(program, arguments):
    """What the program gives once it was written and read again."""
    written = jax.export.export(program)(arguments).serialize()
    return jax.jit(jax.export.deserialize(written).call)(arguments)


def same(found, expected, bound=1e-11):
    for name in expected:
        error, where = relative_error(found[name], expected[name])
        assert error < bound, (name, where)


def transformed_and_plain(case: Case):
    """Pairs of functions that must have the same derivatives."""
    f, count = case.function(), len(case.shapes)
    yield "all at once", scanned(jax.jit(rematerialised(conditional(f)))), one_by_one(f)
    yield "vmap", mapped(f), one_by_one(f)
    for i in range(count if count > 1 else 0):
        yield f"vmap over {i}", mapped(f, i), one_by_one(f, i)


@pytest.mark.parametrize("family", EVERYDAY, ids=lambda family: family.__name__.split(".")[-1])
def test_every_operation_under_every_transformation(family):
    """jvp, and jvp of the pullback; in one program, which is exported, read again and run."""
    pairs, arguments = {}, {}
    for case in family.CASES:
        if case is not FIRST[case.op]:
            continue
        arrays = case.arrays()
        for what, *both in transformed_and_plain(case):
            for word in ("f",) if what.startswith("vmap over") else ("f", "rf"):
                key = f"{case.name}: {what}: {word}"
                pairs[key] = tuple(derivative(f, word) for f in both)
                arguments[key] = derivative_arguments(both[1], word, arrays)
        for word in ("f", "rf"):
            below = derivative(case.function(), word[:-1])
            key = f"{case.name}: while: {word}"
            pairs[key] = tuple(
                derivative(g, "f")
                for g in (repeated(below), lambda *a, g=below: jax.tree.map(lambda y: 3 * y, g(*a)))
            )
            arguments[key] = derivative_arguments(case.function(), word, arrays)

    def program(side):
        return jax.jit(lambda arguments: {key: pairs[key][side](*arguments[key]) for key in pairs})

    same(exported(program(0), arguments), program(1)(arguments))


KINDS = (
    *(jaxcnn.conv, jaxcnn.max_pool, jaxcnn.batch_norm, jaxcnn.softmax_cross_entropy),  # by hand
    *(jaxcnn.pad, jaxcnn.tanh, jaxcnn.gelu, jaxcnn.avg_pool, jaxcnn.dropout),
    *(jaxcnn.max_pool_with_switches, jaxcnn.adaptive_max_pool),  # selections
)
EACH = {
    "jit": (jax.jit, lambda f: f),
    **{
        f"remat, {kept}": (
            partial(jax.checkpoint, policy=getattr(jax.checkpoint_policies, kept)),
            lambda f: f,
        )
        for kept in ("dots_saveable", "nothing_saveable", "everything_saveable")
    },
    "cond": (conditional, lambda f: f),
    "scan": (scanned, one_by_one),
    "vmap": (mapped, one_by_one),
    "vmap of scan": (lambda f: mapped(scanned(f)), lambda f: one_by_one(one_by_one(f))),
    "scan of vmap": (lambda f: scanned(mapped(f)), lambda f: one_by_one(one_by_one(f))),
    "while": (repeated, lambda f: lambda *a: jax.tree.map(lambda y: 3 * y, f(*a))),
}


def with_integers(x, table, places):
    """With integers that are mapped and branched on as x is, and None."""
    ids = lax.stop_gradient(places).astype(jnp.int32)
    x = jaxcnn.dense(x + jaxcnn.embedding(ids, table), table, None)
    return jaxcnn.softmax_cross_entropy(x, ids, reduction="none")


OF_INTEGERS = [random_like(jnp.zeros((3, 4)), 1), random_like(jnp.zeros((4, 4)), 2)]
OF_INTEGERS.append(jnp.array([0.5, 1.2, 1.7]))  # 1.3 times as large, other integers


@pytest.mark.parametrize(
    "op",
    [with_integers, jaxcnn.huber, *(pytest.param(op, marks=pytest.mark.full) for op in KINDS)],
    ids=lambda op: op.__name__,
)
@pytest.mark.parametrize("name", EACH)
def test_every_mixture_of_the_modes_under_every_transformation(op, name):
    """A loop without a reverse mode has the pullbacks inside it, and so their tangents."""
    case = FIRST.get(op)
    f, arrays = (case.function(), case.arrays()) if case else (op, OF_INTEGERS)
    words = [word for order in (1, 2) for word in mixtures(order)]
    inside = {word: word.rstrip("f") if name == "while" else "" for word in words}

    def derivatives(around):
        return {
            word: derivative(around(derivative(f, below)), word[len(below) :])
            for word, below in inside.items()
        }

    both = [derivatives(around) for around in EACH[name]]
    plain = f if name == "while" else EACH[name][1](f)
    arguments = {word: derivative_arguments(plain, word, arrays) for word in words}

    @jax.jit
    def results(arguments):
        return [{word: g(*arguments[word]) for word, g in side.items()} for side in both]

    same(*exported(results, arguments))


def in_one(f, given, i, x):
    return f(*given[:i], x, *given[i + 1 :])


# The mean over labels divides by their weights; so the rule does not say that without it is linear.
UNSAID = ", in class_weights"


@pytest.mark.sampled(4)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.split(".")[-1])
def test_pullbacks_and_linear_operations_can_be_transposed(family, request):
    """The transpose of a pullback is the tangent; that of a linear map its pullback.

    JAX transposes what is linear but for a constant as well. An operation is that in an argument,
    the others given, if its pullback is the same at two points; and nothing else can be transposed.
    With --full every operation with every choice of arguments.
    """
    full = request.config.getoption("full")
    first = {(case.op, *(case.shapes if full else ())): case for case in reversed(family.CASES)}
    cases = {case.name: case for case in first.values() if not case.on_kinks}

    @jax.jit
    def results(arrays):
        found, expected, elsewhere = {}, {}, {}
        for name, case in cases.items():
            f, given = case.function(), arrays[name]
            dots, others = tuple(random_like(given, 1)), random_like(given, 5)
            y, pull = jax.vjp(f, *given)
            delta = random_like(y, 2)
            (found[name],) = jax.linear_transpose(pull, y)(dots)
            expected[name] = jax.jvp(f, tuple(given), dots)[1]
            gradients = pull(delta)
            for i, argument in enumerate(case.shapes):
                alone = partial(in_one, f, given, i)
                key = f"{name}, in {argument}"
                expected[key] = gradients[i]
                (elsewhere[key],) = jax.vjp(alone, others[i])[1](delta)
                with suppress(TypeError):
                    (found[key],) = jax.linear_transpose(alone, given[i])(delta)
        return found, expected, elsewhere

    found, expected, elsewhere = results({name: case.arrays() for name, case in cases.items()})
    same(expected, found, bound=1e-12)
    for key, gradient in elsewhere.items():
        linear = relative_error(gradient, expected[key])[0] < 1e-12
        assert linear == (key in found) or (linear and key.endswith(UNSAID)), key


@pytest.mark.sampled(4)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.split(".")[-1])
def test_tangents_of_halves_are_halves_and_summed_in_float32(family, dtype):
    """Within a few roundings of what float32 makes of the same numbers."""
    cases = {case.name: case for case in family.CASES if case is FIRST[case.op]}
    arrays = {name: [a.astype(dtype) for a in case.arrays()] for name, case in cases.items()}
    dots = {name: random_like(given, 1) for name, given in arrays.items()}

    @partial(jax.jit, static_argnums=0)
    def tangents(wide, arrays, dots):
        def cast(values):
            return tuple(v.astype(jnp.float32) if wide else v for v in values)

        return {n: jax.jvp(c.function(), cast(arrays[n]), cast(dots[n])) for n, c in cases.items()}

    found, expected = tangents(False, arrays, dots), tangents(True, arrays, dots)
    for name, (y, moved) in found.items():
        assert moved.dtype == y.dtype, name
        error, where = relative_error(moved.astype(jnp.float32), expected[name][1])
        assert error < 8 * float(jnp.finfo(dtype).eps), (name, where)


@pytest.mark.parametrize(
    ("op", "primitive"),
    [
        *((op, "conv_general_dilated") for op in (jaxcnn.conv, jaxcnn.true_conv)),
        *((op, "conv_general_dilated") for op in (jaxcnn.conv_input_grad, jaxcnn.conv_transpose)),
        *((op, "dot_general") for op in (jaxcnn.dense, jaxcnn.dense_input_grad)),
    ],
)
def test_arguments_that_do_not_move_cost_nothing(op, primitive):
    """One product more for each of two arguments, and none where nothing moves."""
    case = FIRST[op]
    f, arrays = case.function(), case.arrays()
    forward = primitives(f, *arrays)[primitive]
    assert forward

    def moving(*which):
        def of(*dots):
            args = list(arrays)

            def some(*values):
                for i, value in zip(which, values, strict=True):
                    args[i] = value
                return f(*args)

            return jax.jvp(some, tuple(arrays[i] for i in which), dots)

        return primitives(of, *(arrays[i] for i in which))[primitive]

    assert moving(0) == moving(1) == 2 * forward
    assert moving(0, 1) == 3 * forward
    if len(arrays) > 2:
        assert moving(2) == forward


def test_integers_and_none_have_no_tangent():
    """They may stand among the arguments that are differentiated, with a tangent of float0."""
    table, ids = jnp.arange(12.0).reshape(4, 3), jnp.array([1, 3, 1])
    none = np.zeros(ids.shape, jax.dtypes.float0)
    y, moved = jax.jvp(jaxcnn.embedding, (ids, table), (none, table))
    assert jnp.array_equal(y, moved)  # linear
    logits = jnp.array([[0.5, -1.0, 2.0, 0.1]] * 3)
    value, moved = jax.jvp(jaxcnn.softmax_cross_entropy, (logits, ids), (logits, none))
    only = jax.jvp(lambda u: jaxcnn.softmax_cross_entropy(u, ids), (logits,), (logits,))
    assert jnp.array_equal(jnp.stack([value, moved]), jnp.stack(only))
    x = table[None, ..., None]
    pool = partial(jaxcnn.max_pool_with_switches, window=2)
    (y, switches), (moved, of_switches) = jax.jvp(pool, (x,), (x,))
    assert (of_switches.dtype, switches.dtype) == (jax.dtypes.float0, jnp.uint8)
    assert jnp.array_equal(y, moved)
    moved = jax.jvp(lambda x: jaxcnn.layer_norm(x, None, None), (table,), (table,))[1]
    assert moved.shape == table.shape
