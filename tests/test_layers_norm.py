"""Layers that normalise, and the state of batch norm; compared with Flax where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
    serial,
)

pytestmark = pytest.mark.sampled(5)


KEY = jax.random.key(0)
SIZE = (4, 5, 3, 6)
EVERY = [
    BatchNorm(),
    BatchNorm(use_scale=False),
    LayerNorm(),
    LayerNorm((-3, -2, -1), use_bias=False),
    GroupNorm(3),
    InstanceNorm(use_scale=False, use_bias=False),
    RMSNorm(),
    RMSNorm((-2, -1), use_scale=False),
    LocalResponseNorm(alpha=0.5),
]


def normal(seed, shape=SIZE):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


def close(a, b):
    return np.allclose(a, b, rtol=0, atol=1e-12)


def randomised(params, seed=7):
    """Parameters unlike the ones and zeros that init gives."""
    return jax.tree.map(lambda p: 1 + normal(seed, p.shape), params)


@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: layer.kind)
@pytest.mark.parametrize("train", [True, False])
def test_gradients_agree_with_the_twin_in_and_out_of_training(layer, train):
    params, state = layer.init(KEY, SIZE[1:], dtype=jnp.float64)
    state = jax.tree.map(lambda s: s + 0.5, state)
    params = randomised(params)

    def loss(layer):
        def of(params, x):
            y, new = layer.apply(params, state, x, train=train)
            return jnp.sum(jnp.sin(y)), new

        return jax.jit(jax.value_and_grad(of, (0, 1), has_aux=True))

    ours, theirs = (loss(net)(params, normal(1)) for net in (layer, jc.autodiff_twin(layer)))
    error, where = jc.gradcheck.relative_error(ours, theirs)
    assert error < 1e-12, where


def test_parameters_and_state_have_the_shapes_that_are_asked_for():
    def shapes(layer):
        params, state = layer.init(KEY, SIZE[1:])
        return jax.tree.map(jnp.shape, params), jax.tree.map(jnp.shape, state)

    statistics = {"mean": (6,), "variance": (6,)}
    assert shapes(BatchNorm()) == ({"scale": (6,), "bias": (6,)}, statistics)
    assert shapes(BatchNorm(use_scale=False, use_bias=False)) == ({}, statistics)
    assert shapes(LayerNorm((-3, -2, -1))) == ({"scale": SIZE[1:], "bias": SIZE[1:]}, {})
    assert shapes(LayerNorm(3)) == shapes(LayerNorm(-1))
    assert shapes(GroupNorm(2, use_bias=False)) == ({"scale": (6,)}, {})
    assert shapes(InstanceNorm(use_scale=False)) == ({"bias": (6,)}, {})
    assert shapes(RMSNorm((-2, -1))) == ({"scale": (3, 6)}, {})
    assert shapes(RMSNorm(use_scale=False)) == shapes(LocalResponseNorm()) == ({}, {})


def test_the_state_starts_at_mean_0_and_variance_1_in_float32_for_halves():
    params, state = BatchNorm().init(KEY, (3, 4), dtype=jnp.bfloat16)
    assert np.array_equal(state["mean"], [0, 0, 0, 0])
    assert np.array_equal(state["variance"], [1, 1, 1, 1])
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.bfloat16)}
    x = normal(0, (2, 3, 4)).astype(jnp.bfloat16)
    for train in (True, False):
        y, new = BatchNorm().apply(params, state, x, train=train)
        assert y.dtype == jnp.bfloat16
        assert {leaf.dtype for leaf in jax.tree.leaves(new)} == {jnp.dtype(jnp.float32)}


def test_the_state_is_updated_in_training_only_and_used_in_evaluation_only():
    layer = BatchNorm(0.75, epsilon=0.5)
    params, state = layer.init(KEY, SIZE[1:], dtype=jnp.float64)
    x = 2 + 3 * normal(0)
    y, new = layer.apply(params, state, x, train=True)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    assert close(new["mean"], 0.25 * mean)
    assert close(new["variance"], 0.75 + 0.25 * variance)
    assert close(y.mean((0, 1, 2)), 0)
    assert close(y.var((0, 1, 2)), variance / (variance + 0.5))
    z, same = layer.apply(params, new, x)
    assert same is new
    assert close(
        z, (x - new["mean"][None, None, None]) / jnp.sqrt(new["variance"] + 0.5)[None, None, None]
    )


def test_the_statistics_carry_no_gradient():
    def through_statistics(x):
        _, mean, variance = jc.batch_norm(x)
        return (mean + variance).sum()

    assert not jax.grad(through_statistics)(normal(0)).any()
    mean, variance = normal(1, (6,)), jnp.exp(normal(2, (6,)))
    gradients = jax.grad(
        lambda m, v: jc.batch_norm_inference(normal(0), None, None, m, v).sum(), (0, 1)
    )
    assert not any(g.any() for g in gradients(mean, variance))


def test_state_travels_through_networks_and_only_where_there_is_some():
    block = serial(Conv(4, 3, use_bias=False), BatchNorm(), Activation(jc.relu))
    net = serial(stem=block, drop=Dropout(0.5), norm=LayerNorm(), flatten=Flatten(), head=Dense(2))
    params, state = net.init(KEY, (5, 5, 2))
    assert set(state) == {"stem"}
    assert set(state["stem"]) == {"batchnorm1"}
    assert set(params) == {"stem", "norm", "head"}
    step = jax.jit(lambda p, s, x: net.apply(p, s, x, key=KEY, train=True))
    x = normal(0, (3, 5, 5, 2)).astype(jnp.float32)
    _, one = step(params, state, x)
    _, two = step(params, one, x)
    assert jax.tree.structure(two) == jax.tree.structure(state)
    assert not np.array_equal(one["stem"]["batchnorm1"]["mean"], two["stem"]["batchnorm1"]["mean"])
    y, same = net.apply(params, two, x)
    assert y.shape == (3, 2)
    assert jax.tree.leaves(same)[0] is jax.tree.leaves(two)[0]


def test_a_missing_state_is_named():
    params, _ = BatchNorm().init(KEY, (4,))
    with pytest.raises(ValueError, match="apply: state must hold what init returned"):
        BatchNorm().apply(params, {}, jnp.ones((2, 4), jnp.float32))


def test_receptive_fields_of_norms():
    seen = {
        row.name: row.receptive_field
        for row in layers.rows(
            serial(
                Conv(4, 3), BatchNorm(), LayerNorm(), LocalResponseNorm(), RMSNorm(), GroupNorm(2)
            ),
            (8, 8, 1),
        )
    }
    assert seen.pop("groupnorm1") is None
    assert set(seen.values()) == {(3, 3)}


FLAX = {
    "batch": (BatchNorm(0.8), lambda nn: nn.BatchNorm(False, momentum=0.8)),
    "batch, neither": (
        BatchNorm(use_scale=False, use_bias=False),
        lambda nn: nn.BatchNorm(False, momentum=0.9, use_scale=False, use_bias=False),
    ),
    "layer": (LayerNorm(epsilon=1e-3), lambda nn: nn.LayerNorm(epsilon=1e-3)),
    "layer, whole": (
        LayerNorm((-3, -2, -1)),
        lambda nn: nn.LayerNorm(1e-5, reduction_axes=(1, 2, 3), feature_axes=(1, 2, 3)),
    ),
    "group": (GroupNorm(2), lambda nn: nn.GroupNorm(2, epsilon=1e-5)),
    "instance": (InstanceNorm(), lambda nn: nn.InstanceNorm(epsilon=1e-5)),
    "rms": (RMSNorm(), lambda nn: nn.RMSNorm()),
}


@pytest.mark.parametrize("name", FLAX)
def test_flax_agrees_in_values_gradients_and_state(name):
    nn = pytest.importorskip("flax.linen", reason="flax is not installed (extra: peers)")
    ours, make = FLAX[name]
    theirs = make(nn)
    params, state = ours.init(KEY, SIZE[1:], dtype=jnp.float64)
    params = randomised(params)
    running = {"mean": normal(5, (6,)), "var": 1 + jnp.abs(normal(6, (6,)))}
    if state:
        state = {"mean": running["mean"], "variance": running["var"]}
    variables = {"batch_stats": running} if state else {}

    def our_loss(params, x):
        y, new = ours.apply(params, state, x, train=True)
        return jnp.sum(jnp.sin(y)), new

    def their_loss(params, x):
        y, new = theirs.apply({"params": params, **variables}, x, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(y)), new.get("batch_stats", {})

    x = 1 + normal(1)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        (value, new), gradients = jax.jit(jax.value_and_grad(their_loss, (0, 1), has_aux=True))(
            params, x
        )
    (our_value, our_new), our_gradients = jax.jit(
        jax.value_and_grad(our_loss, (0, 1), has_aux=True)
    )(params, x)
    if state:
        new = {"mean": new["mean"], "variance": new["var"]}
    error, where = jc.gradcheck.relative_error(
        (our_value, our_gradients, our_new), (value, gradients, new)
    )
    assert error < 1e-12, where
