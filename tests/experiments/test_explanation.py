"""Which form computes a map can be asked, and chosen; without a choice the program has none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import primitives

import jaxcnn as jc
from experiments.benchmarks.row import OperationRow
from experiments.benchmarks.rows import ROWS
from jaxcnn.gradcheck import relative_error

X, KERNEL = ((2, 9, 8, 3), (3, 3, 3, 4))
ARRAYS = [np.random.default_rng(0).standard_normal(shape) for shape in (X, KERNEL)]
MAPS = ["correlation", "input gradient", "kernel gradient"]


def strided(x, kernel, **settings):
    return jc.conv(x, kernel, stride=2, padding="SAME", **settings)


def forms_of(f, *args, **settings):
    return {c.map: c.form.name for c in jc.explain_forms(f, *args, **settings)}


def types(*shapes):
    return [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]


CONVOLUTIONS = ("conv", "depthwise_conv", "conv_transpose")
OPERATIONS = {
    row.name: row
    for row in ROWS
    if isinstance(row, OperationRow) and row.kind == "operation" and row.part == "all"
    if row.op in (*CONVOLUTIONS, "max_pool", "avg_pool", "global_avg_pool")
}


@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_reason_is_named_for_every_map_of_the_benchmark(name, jit):
    row = OPERATIONS[name]
    f = jit(lambda *arrays: getattr(jc, row.op)(*arrays, **row.settings))
    found = jc.explain_forms(f, *types(*row.shapes))
    maps = {choice.map for choice in found}
    assert maps == set(MAPS) if row.op in CONVOLUTIONS else len(maps) > 1
    for choice in found:
        while choice is not None:
            reasons = [choice.reason, *(reason for _, reason in choice.passed_over)]
            assert all(reasons)
            assert choice.form.name not in dict(choice.passed_over)
            choice = choice.parts


def test_what_is_explained_is_what_is_computed():
    """With the compiler options and without, on a CPU and elsewhere, and the parts of it."""
    by_default, informed = (jc.explain_forms(jit(strided), *ARRAYS) for jit in (jax.jit, jc.jit))
    assert [choice.map for choice in by_default] == MAPS
    assert by_default[1].form.name == "phases joined"
    assert by_default[1].elsewhere.name == "plain"
    assert "phases" in dict(by_default[1].passed_over)
    assert "slow with these compiler options" in str(by_default)
    assert "slow with these compiler options" not in str(informed)
    arrays = types((2, 9, 9, 48), (3, 3, 24, 48))
    grouped = jc.explain_forms(lambda x, k: jc.conv(x, k, groups=2), *arrays)
    assert [choice.form.name for choice in grouped] == ["grouped"] * 3
    assert "of each part: kernel gradient, 2×9×9×24 by 3×3, to 24 channels" in str(grouped)


def test_how_a_maximum_keeps_its_places_is_explained():
    found = forms_of(lambda x: jc.max_pool(x, 7, stride=1), *types((1, 9, 9, 2)))
    assert found["maximum with a gradient"] == "axis by axis"
    found = forms_of(lambda x: jc.max_pool(x, 2, stride=1), *types((1, 9, 9, 2)))
    assert found["maximum with a gradient"] == "plain"


def test_the_maps_of_a_function_alone_or_with_those_of_its_gradients():
    assert forms_of(strided, *ARRAYS, backward=False).keys() == {"correlation"}
    assert forms_of(strided, *ARRAYS).keys() == set(MAPS)
    gradient = jax.grad(lambda *a: strided(*a).sum(), 1)
    assert forms_of(gradient, *ARRAYS, backward=False).keys() >= {"kernel gradient"}
    assert str(jc.explain_forms(jnp.sin, 1.0)) == "no convolution and no pooling"


def test_other_arguments_are_given_as_they_are():
    found = forms_of(lambda k, x, n, name: strided(x, k) * n, ARRAYS[1], ARRAYS[0], 3, "name")
    assert found == forms_of(strided, *ARRAYS)


@pytest.mark.parametrize("name", ["phases", "phases joined", "plain", "fft"])
def test_a_form_is_taken_where_it_can_be(name):
    """By the setting of one operation, or for all of them; on every platform."""
    expected = jax.vjp(lambda *a: strided(*a, method="plain"), *ARRAYS)[0]

    def by_setting(*a):
        return strided(*a, method=name)

    with jc.forms(name):
        for_all = jc.explain_forms(strided, *ARRAYS)
        y, pull = jax.vjp(jax.jit(strided), *ARRAYS)
    assert relative_error(y, expected)[0] < 1e-10
    assert forms_of(by_setting, *ARRAYS) == {c.map: c.form.name for c in for_all}
    named = [choice for choice in for_all if choice.reason == "it was named"]
    assert named
    assert all(choice.form is choice.elsewhere and not choice.passed_over for choice in named)
    expected = jax.vjp(by_setting, *ARRAYS)[1](y)
    assert relative_error(pull(y), expected)[0] == 0  # outside, by the form of the forward pass


def test_jit_knows_which_forms_were_asked_for():
    f = jax.jit(strided)
    with jc.forms("fft"):
        assert "fft" in primitives(f, *ARRAYS)
    assert "fft" not in primitives(f, *ARRAYS)


def network(x, kernel):
    y = jc.relu(jc.conv(x, kernel, padding=1))
    y = jc.avg_pool(jc.max_pool(y, 3, stride=1), 2, stride=1)
    return jc.dense(jc.flatten(y), jnp.ones((y[0].size, 1), y.dtype))


def test_the_plain_forms_leave_no_choice_of_a_platform():
    """What jax2onnx and others cannot read; the numbers are the same."""
    gradients = jax.value_and_grad(lambda *a: network(*a).sum(), (0, 1))
    assert "platform_index" in primitives(gradients, *ARRAYS)
    expected = gradients(*ARRAYS)
    with jc.forms("plain"):
        assert "platform_index" not in primitives(gradients, *ARRAYS)
        assert relative_error(gradients(*ARRAYS), expected)[0] < 1e-10
        assert "by_hand" not in primitives(network, *ARRAYS)


@pytest.mark.parametrize("way", [jax.jacrev, jax.jacfwd, jax.hessian, jax.vmap, jax.checkpoint])
def test_the_plain_forms_are_differentiated_by_hand_in_both_modes(way):
    f = way(lambda k: (strided(ARRAYS[0], jc.relu(k)) ** 2).sum((0, 1, 2))[:1])
    kernel = ARRAYS[1][None] if way is jax.vmap else ARRAYS[1]
    expected = f(kernel)
    with jc.forms("plain"):
        assert relative_error(f(kernel), expected)[0] < 1e-10
        by_hand = primitives(jax.grad(lambda x: strided(x, ARRAYS[1]).sum()), ARRAYS[0])
    assert by_hand["rev"] == 1  # of the rule: the transpose of JAX asks for other dimensions


def test_the_first_form_that_can_is_taken():
    with jc.forms("by axis", "plain"):
        found = forms_of(network, *ARRAYS)
    assert found["correlation"] == "plain"
    assert found["sum of windows"] == "by axis"
