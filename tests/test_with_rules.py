"""Any function with rules inside gives what it gave, in both modes, wherever operations stand."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from programs import primitives

import jaxcnn
from jaxcnn import with_rules
from jaxcnn.gradcheck import random_like, relative_error

NHWC = ("NHWC", "HWIO", "NHWC")


def drawn(*shapes, seed=0):
    return random_like(tuple(jax.ShapeDtypeStruct(s, jnp.float64) for s in shapes), seed)


def conv(x, k, strides=(1, 1), padding: Any = "SAME", **settings):
    settings.setdefault("dimension_numbers", NHWC)
    return lax.conv_general_dilated(x, k, strides, padding, **settings)


def reduced(x, monoid, window, strides, padding="VALID", **settings):
    first = {"max": -np.inf, "min": np.inf, "add": 0.0}[monoid]
    return lax.reduce_window(x, first, getattr(lax, monoid), window, strides, padding, **settings)


def maximum(x, *window, **settings):
    return reduced(x, "max", *window, **settings)


FUNCTIONS = {
    "channels first": (
        partial(conv, strides=(2, 1), dimension_numbers=("NCHW", "OIHW", "NCHW")),
        (2, 3, 6, 5), (4, 3, 3, 2),
    ),
    "groups": (partial(conv, strides=(2, 2), feature_group_count=2), (2, 7, 6, 4), (3, 3, 2, 6)),
    "depthwise": (partial(conv, feature_group_count=4), (2, 7, 6, 4), (3, 2, 1, 4)),
    "groups of the batch": (partial(conv, batch_group_count=2), (4, 5, 5, 3), (3, 3, 3, 4)),
    "dilations": (
        partial(conv, padding=((2, 1), (-1, 3)), lhs_dilation=(2, 1), rhs_dilation=(1, 2)),
        (2, 5, 6, 2), (2, 2, 2, 3),
    ),
    "a remainder": (partial(conv, strides=(3, 2), padding="VALID"), (2, 9, 8, 2), (2, 3, 2, 3)),
    "one axis": (
        partial(conv, strides=(2,), dimension_numbers=("NWC", "WIO", "NWC")), (2, 9, 2), (3, 2, 3)
    ),
    "three axes": (
        partial(conv, strides=(2, 1, 1), dimension_numbers=("NDHWC", "DHWIO", "NDHWC")),
        (1, 4, 3, 4, 2), (2, 2, 3, 2, 2),
    ),
    "maxima": (partial(maximum, window=(1, 3, 2, 1), strides=(1, 2, 2, 1)), (2, 7, 6, 3)),
    "maxima, channels first": (
        partial(maximum, window=(1, 1, 2, 2), strides=(1, 1, 2, 1), padding="SAME"), (2, 3, 5, 4)
    ),
    "maxima over a batch and a row": (
        partial(maximum, window=(2, 1, 2), strides=(2, 1, 1)), (4, 3, 5)
    ),
    "minima": (
        partial(reduced, monoid="min", window=(1, 2, 2, 1), strides=(1, 2, 1, 1)), (2, 4, 5, 2)
    ),
    "sums": (
        partial(reduced, monoid="add", window=(1, 3, 2), strides=(1, 2, 2), padding="SAME"),
        (2, 7, 5),
    ),
    "subsampled": (partial(maximum, window=(1, 1, 1), strides=(1, 2, 2)), (2, 5, 4)),
}  # fmt: skip


def agree(found, expected, bound=1e-12):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert relative_error(found, expected)[0] < bound


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_operation_and_its_derivatives(name):
    f, *shapes = FUNCTIONS[name]
    args, dots = drawn(*shapes), drawn(*shapes, seed=1)

    def loss(*args):
        return jnp.sin(f(*args)).sum()

    places = tuple(range(len(args)))
    gradient = jax.grad(loss, places)

    def tangent_of_gradient(*both):
        return jax.jvp(gradient, both[: len(args)], both[len(args) :])

    ours = with_rules(loss)
    expected = gradient(*args)
    agree(with_rules(f)(*args), f(*args))
    agree(jax.grad(ours, places)(*args), expected)
    agree(jax.jvp(ours, args, dots), jax.jvp(loss, args, dots))
    # Around the derivative: what JAX derives is an operation too.
    agree(with_rules(gradient)(*args), expected)
    agree(with_rules(tangent_of_gradient)(*args, *dots), tangent_of_gradient(*args, *dots))
    for g, given in ((f, args), (gradient, args), (tangent_of_gradient, (*args, *dots))):
        explained = with_rules(g).explain(*given)
        assert explained.replaced
        assert not explained.left, str(explained)


def test_what_jax_derives_is_named():
    f, *shapes = FUNCTIONS["groups"]
    args = drawn(*shapes)
    explained = with_rules(jax.grad(lambda *args: f(*args).sum(), (0, 1))).explain(*args)
    assert [str(found) for found in explained] == [
        "conv_general_dilated (2×7×6×4, 3×3×2×6): by conv",
        "conv_general_dilated (2×7×6×4, 2×4×3×6): by conv_kernel_grad",
        "conv_general_dilated (2×4×3×6, 3×3×4×3): by conv",
    ]


PRODUCTS = {
    "a large weight": ("ij,jk->ik", (2, 40), (40, 48), "dense"),
    "a large weight, turned": ("aij,kj->aik", (1, 2, 48), (40, 48), "dense_input_grad"),
    "a large weight on the left": ("kj,ij->ki", (40, 48), (2, 48), "dense_input_grad"),
    "one column": ("ij,jk->ik", (5000, 3), (3, 1), "dense"),
    "one column's gradient": ("aij,aik->jk", (2, 2500, 3), (2, 2500, 1), "dense_weight_grad"),
    "first axes": ("ji,jk->ik", (5000, 1), (5000, 3), "dense"),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_where_it_pays(name):
    letters, *shapes, by = PRODUCTS[name]
    f = partial(jnp.einsum, letters)
    args, dots = drawn(*shapes), drawn(*shapes, seed=1)
    loss = lambda f, *args: jnp.sin(f(*args)).sum()  # noqa: E731
    gradient = jax.grad(partial(loss, f), (0, 1))
    agree(with_rules(f)(*args), f(*args))
    agree(jax.grad(partial(loss, with_rules(f)), (0, 1))(*args), gradient(*args))
    agree(jax.jvp(with_rules(f), args, dots), jax.jvp(f, args, dots))
    agree(with_rules(gradient)(*args), gradient(*args))
    assert {found.by for found in with_rules(f).explain(*args)} >= {by}


LEFT = {
    "of these sizes XLA's own is as fast and as exact": lambda x: x @ x.T,
    "it is a batch of products": lambda x: jnp.einsum("ai,ai->a", x, x),
    "its precision is (Precision.HIGHEST, Precision.HIGHEST)": lambda x: jnp.matmul(
        x, x.T, precision="highest"
    ),
    "its factors and its result have different types": lambda x: jnp.matmul(
        x.astype(jnp.bfloat16), x.T.astype(jnp.bfloat16), preferred_element_type=jnp.float32
    ),
    "neither side is a matrix whose rows or columns are summed over": lambda x: jnp.einsum(
        "abi,cdi->abcd", x[None], x[None]
    ),
    "int32, rules have floats": lambda x: lax.reduce_window(
        x.astype(jnp.int32), np.int32(np.iinfo(np.int32).min), lax.max, (1, 2), (1, 2), "VALID"
    ),
    "it is empty": lambda x: maximum(x[:0], (1, 2), (1, 2)),
    "its map is dilated": lambda x: maximum(x, (1, 2), (1, 2), base_dilation=(1, 2)),
    "its padding may hold a window, or crops": lambda x: maximum(
        x, (1, 2), (1, 2), padding=((0, 0), (2, 0))
    ),
    "window must not be larger than the padded map, got an extent of 7 on a map of 5 + 0 + 0 in "
    "spatial axis 0": lambda x: maximum(x, (1, 7), (1, 1)),
    "rhs must not be larger than the padded map, got an extent of 7 on a map of 5 + 0 + 0 in "
    "spatial axis 1": lambda x: conv(x[None, ..., None], jnp.ones((2, 7, 1, 1)), padding="VALID"),
    "4 axes of space, rules have 1 to 3": lambda x: maximum(
        x.reshape(2, 2, 1, 5), (2, 2, 1, 2), (1, 1, 2, 2), padding="SAME"
    ),
}


@pytest.mark.parametrize("why", LEFT)
def test_what_has_no_rule_stays(why):
    f = LEFT[why]
    (x,) = drawn((4, 5))
    assert jnp.array_equal(with_rules(f)(x), f(x))
    (found,) = with_rules(f).explain(x)
    assert found.reason == why
    assert str(found).endswith(f"as it is: {why}")


ON_ANY_MAP = {
    "conv": partial(conv, k=jnp.ones((3, 2, 2, 1)), strides=(2, 1)),
    "max_pool": partial(maximum, window=(1, 3, 3, 1), strides=(1, 2, 3, 1), padding="SAME"),
    "sum_pool": partial(reduced, monoid="add", window=(1, 3, 2, 1), strides=(1, 2, 1, 1)),
}


@pytest.mark.parametrize("name", ON_ANY_MAP)
def test_maps_of_any_size(name):
    """One program for all of them, with its gradients; of strided convolutions JAX has none."""
    f = ON_ANY_MAP[name]
    symbolic = jax.ShapeDtypeStruct(jax.export.symbolic_shape("b, h, w, 2"), jnp.float64)
    assert with_rules(f).explain(symbolic).replaced
    both = partial(value_and_pulled, with_rules(f))
    program = jax.export.export(jax.jit(both))(symbolic)
    for shape in ((1, 5, 4, 2), (3, 8, 7, 2)):
        (x,) = drawn(shape)
        agree(program.call(x), value_and_pulled(f, x))


def value_and_pulled(f, x):
    y, pull = jax.vjp(f, x)
    return y, pull(jnp.cos(y))


def test_maxima_of_dilated_windows_have_gradients_too():
    """JAX has none of its own."""
    (x,) = drawn((2, 5, 4, 2))
    dilated = partial(
        maximum, window=(1, 2, 2, 1), strides=(1, 1, 1, 1), window_dilation=(1, 2, 1, 1)
    )
    ours = partial(jaxcnn.max_pool, window=2, stride=1, dilation=(2, 1))
    loss = lambda f, x: jnp.sin(f(x)).sum()  # noqa: E731
    agree(jax.grad(loss, 1)(with_rules(dilated), x), jax.grad(loss, 1)(ours, x))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_products_that_come_wider_than_their_factors(dtype):
    x, k = (a.astype(dtype) for a in drawn((1, 4, 4, 2), (3, 3, 2, 2)))
    f = partial(conv, preferred_element_type=jnp.float32)
    agree(with_rules(f)(x, k), f(x, k), 1e-6)
    assert with_rules(f).explain(x, k).replaced


def test_a_function_with_its_own_derivative_keeps_it():
    @jax.custom_vjp
    def f(x, k):
        return conv(x, k)

    f.defvjp(lambda x, k: (f(x, k), k), lambda k, delta: (7 * delta[..., :2], k))
    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))
    loss = lambda x, k: f(x, k).sum()  # noqa: E731
    agree(jax.grad(with_rules(loss))(x, k), 7 * jnp.ones_like(x))
    (found,) = with_rules(loss).explain(x, k)
    assert found.reason == "it stands in a function with a derivative of its own"


def test_what_is_not_gone_into_is_named():
    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))

    def solved(x):
        return lax.custom_linear_solve(
            lambda y: y + 0 * conv(y, k), x, lambda matvec, y: matvec(y), symmetric=True
        )

    explained = with_rules(solved).explain(x)
    reason = "it stands in a call that is not gone into"
    assert explained
    assert {(found.by, found.reason) for found in explained} == {(None, reason)}


def test_a_reduction_of_windows_of_any_kind_is_named():
    (x,) = drawn((1, 4, 4, 2))
    start = jnp.float64(-jnp.inf)
    f = lambda x, s: lax.reduce_window(x, s, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")  # noqa: E731
    explained = with_rules(f).explain(x, start)
    assert str(explained) == (
        "reduce_window (1×4×4×2, scalar): as it is: JAX does not know its function, or its start"
    )


def test_a_rule_for_nothing_is_named():
    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))
    explained = with_rules(conv, rules={"rleu": guided, "name:inner": None}).explain(x, k)
    assert [str(found) for found in explained.left] == [
        "rleu: as it is: the program has none", "name:inner: as it is: the program has none"
    ]  # fmt: skip


# Wherever they stand ------------------------------------------------------------------------------


def repeated(x, k):
    return lax.scan(lambda c, _: (jnp.tanh(conv(c, k)), c.sum()), x, None, length=3)


def chosen(x, k):
    return lax.cond(x.sum() > 0, lambda x: conv(x, k), lambda x: conv(x, 2 * k), x)


def in_a_while(x, k):
    body = lambda c: (c[0] + 1, jnp.tanh(conv(c[1], k)))  # noqa: E731
    return lax.while_loop(lambda c: (c[0] < 3) & (conv(c[1], k).sum() < 1e9), body, (0, x))[1]


def nested(x, k):
    inner = jax.jit(lambda x: lax.scan(lambda c, _: (chosen(c, k), None), x, None, length=2)[0])
    return jax.vmap(inner, axis_size=2)(jnp.stack([x, -x]))


def checkpointed(x, k):
    return jax.checkpoint(lambda x: jnp.tanh(conv(jnp.tanh(conv(x, k)), k)))(x)


def spread(x, k):
    mesh = jax.make_mesh((1,), ("n",), axis_types=(jax.sharding.AxisType.Auto,))
    p = jax.sharding.PartitionSpec
    both = jax.shard_map(
        lambda x, k: (conv(x, k), lax.psum(conv(x, k).sum(), "n")),
        mesh=mesh, in_specs=(p("n"), p()), out_specs=(p("n"), p()),
    )  # fmt: skip
    return jax.jit(both)(x, k)


CALLS = {
    "scan": repeated, "cond": chosen, "while": in_a_while, "jit": nested,
    "checkpoint": checkpointed, "shard_map": spread,
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_gone_into(call):
    f = CALLS[call]
    x, k = drawn((2, 4, 4, 2), (3, 3, 2, 2))
    both = with_rules(f)
    agree(both(x, k), f(x, k))
    agree(jax.jit(both)(x, k), f(x, k))
    explained = both.explain(x, k)
    assert explained.replaced
    assert not explained.left
    assert all(call in str(found) for found in explained)
    assert not with_rules(both).explain(x, k)  # nothing is left to be replaced
    loop = {"jit": "scan", "checkpoint": "remat2"}.get(call, call)
    assert str(jax.make_jaxpr(both)(x, k)).count(f"{loop}[") == str(jax.make_jaxpr(f)(x, k)).count(
        f"{loop}["
    )
    derived = jax.jvp if call == "while" else jax.vjp
    if derived is jax.vjp:
        results, pull = jax.vjp(f, x, k)
        agree(jax.vjp(both, x, k)[1](results), pull(results))
    agree(jax.jvp(both, (x, k), (k.sum() * x, k)), jax.jvp(f, (x, k), (k.sum() * x, k)))


def test_a_checkpoint_computes_again_and_stores_nothing():
    x, k = drawn((2, 4, 4, 2), (3, 3, 2, 2))
    gradient = jax.grad(lambda f, x: f(x, k).sum(), argnums=1)
    plain = primitives(partial(gradient, with_rules(lambda x, k: conv(conv(x, k), k))), x)
    again = primitives(partial(gradient, with_rules(checkpointed)), x)
    assert again["by_hand"] > plain["by_hand"]
    agree(
        with_rules(partial(gradient, checkpointed))(x), gradient(checkpointed, x)
    )  # whose remat is one of a derivative
    assert primitives(with_rules(partial(gradient, checkpointed)), x)["optimization_barrier"]


def test_a_function_without_anything_to_replace_is_the_same_program():
    def f(x, weights):
        step = jax.jit(lambda c, w: (jnp.tanh(c @ w), (c * w).sum()))
        return lax.scan(
            lambda c, w: lax.cond(c.sum() > 0, step, lambda c, w: (c, 0.0), c, w), x, weights
        )

    args = drawn((4, 4), (3, 4, 4))
    gradient = jax.grad(lambda *args: f(*args)[0].sum())
    for g in (f, gradient):
        assert str(jax.make_jaxpr(with_rules(g))(*args)) == str(jax.make_jaxpr(g)(*args))


# The contract -------------------------------------------------------------------------------------


def test_arguments_of_any_kind_and_results_of_any_kind():
    @with_rules
    def f(params, x, mode, *, scale, flag=None):
        assert mode == "twice"
        y = conv(x, params["k"]) * scale
        return {"y": y, "mode": mode, "none": None, "flag": flag, "n": 3}

    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))
    result = f({"k": k}, np.asarray(x), "twice", scale=2.0, flag=len)
    agree(result.pop("y"), 2 * conv(x, k))
    assert result == {"mode": "twice", "none": None, "flag": len, "n": 3}
    assert f.__name__ == "f"
    again = jax.jit(lambda *args: f(*args, "twice", scale=1.0)["y"], donate_argnums=1)
    agree(again({"k": k}, x + 0), conv(x, k))


def test_it_is_traced_once_under_jit_and_sees_what_changes_outside():
    times = []
    held = {"k": jnp.ones((3, 3, 2, 2))}

    def f(x):
        times.append(None)
        return conv(x, held["k"])

    (x,) = drawn((1, 4, 4, 2))
    compiled = jax.jit(with_rules(f))
    agree(compiled(x), compiled(x))
    assert len(times) == 1
    ours = with_rules(f)
    before = ours(x)
    held["k"] = 2 * held["k"]
    agree(ours(x), 2 * before)


def test_a_method_and_a_decorator_with_arguments():
    class Model:
        def __init__(self, k):
            self.k = k

        @with_rules(rules={"reduce_window_max": None})
        def __call__(self, x):
            return maximum(conv(x, self.k), (1, 2, 2, 1), (1, 2, 2, 1))

    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))
    model = Model(k)
    agree(model(x), maximum(conv(x, k), (1, 2, 2, 1), (1, 2, 2, 1)))
    assert list(map(str, Model.__call__.explain(model, x))) == [
        "conv_general_dilated (1×4×4×2, 3×3×2×2): by conv",
        "reduce_window_max (1×4×4×2): as it is: rules say None",
    ]


def test_a_change_of_an_argument_is_refused():
    def f(state, x):
        state["count"] = x.sum()
        return conv(x, x[0, :3, :3, :, None])

    (x,) = drawn((1, 4, 4, 2))
    with pytest.raises(ValueError, match=r"^with_rules: f must return what it changes"):
        with_rules(f)({"count": jnp.zeros(())}, x)


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ((3,), {}, "f must be a function, got 3"),
        ((len,), {"rules": 3}, "rules must be a mapping from names of operations to functions"),
        ((len,), {"rules": {"relu": 3}}, "rules must be a mapping from names of operations"),
    ],
)
def test_what_is_no_function_is_refused(arguments, settings, sentence):
    with pytest.raises(TypeError, match=f"^with_rules: {sentence}"):
        with_rules(*arguments, **settings)


# Other rules --------------------------------------------------------------------------------------


@jax.custom_vjp
def guided(x):
    return jnp.maximum(x, 0)


guided.defvjp(
    lambda x: (guided(x), x), lambda x, delta: (jnp.where((x > 0) & (delta > 0), delta, 0),)
)


RECTIFIERS = {
    "of jax": jax.nn.relu,
    "in a call": jax.jit(jax.nn.relu),
    "of whole numbers": lambda x: jnp.maximum(x, 0),
    "of floats": lambda x: jnp.maximum(x, 0.0),
    "turned": lambda x: jnp.maximum(0, x),
    "of zeros": lambda x: jnp.maximum(jnp.zeros_like(x), x),
    "of a row of zeros": lambda x: jnp.maximum(x, jnp.zeros((1, 1, 1, x.shape[-1]))),
    "clipped": lambda x: jnp.clip(x, 0),
    "where above": lambda x: jnp.where(x > 0, x, 0),
    "where not below": lambda x: jnp.where(x < 0, jnp.zeros_like(x), x),
    "selected": lambda x: lax.select(x >= 0, x, jnp.zeros_like(x)),
    "by a mask": lambda x: x * (x > 0).astype(x.dtype),
}


@pytest.mark.parametrize("relu", RECTIFIERS.values(), ids=RECTIFIERS)
def test_another_rule_for_rectifiers(relu):
    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))

    def f(relu, x):
        return (relu(conv(relu(x), k)) * jnp.arange(-3.0, 29).reshape(1, 4, 4, 2)).sum()

    ours = with_rules(partial(f, relu), rules={"relu": guided})
    agree(jax.grad(ours)(x), jax.grad(partial(f, guided))(x))
    assert [found.by for found in ours.explain(x)] == ["guided", "conv", "guided"]


@pytest.mark.parametrize(
    "other",
    [
        lambda x: jnp.maximum(x, 1), lambda x: jnp.maximum(x, -x), jax.nn.leaky_relu, jax.nn.elu,
        lambda x: jnp.where(x > 0, 0, x), lambda x: jnp.where(x[::-1] > 0, x, 0),
        lambda x: x * (x < 0).astype(x.dtype), lambda x: jnp.clip(x, -1),
    ],
)  # fmt: skip
def test_what_is_no_rectifier_stays(other):
    (x,) = drawn((3, 4))
    ours = with_rules(other, rules={"relu": guided})
    assert not ours.explain(x).replaced
    agree(ours(x), other(x))


def test_inner_maps_are_reached_by_their_names():
    x, k = drawn((1, 4, 4, 2), (3, 3, 2, 2))

    def f(x):
        inner = checkpoint_name(conv(x, k), "inner")
        return jnp.sin(checkpoint_name(inner, "other")).sum()

    moved = with_rules(f, rules={"name:inner": lambda y: y + 1})
    agree(moved(x), jnp.sin(conv(x, k) + 1).sum())
    assert [str(found.by) for found in moved.explain(x)] == ["conv", "<lambda>"]


def test_it_is_public():
    assert jaxcnn.with_rules is with_rules
