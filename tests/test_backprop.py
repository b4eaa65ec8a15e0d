"""Explicit back-propagation: the same gradients with no automatic differentiation at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import models
from jaxcnn.backprop import backprop
from jaxcnn.gradcheck import relative_error
from jaxcnn.layers import (
    Activation,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    CropChannels,
    Dense,
    Dilate,
    DropBlock,
    Dropout,
    Flatten,
    Fold,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    Identity,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    LpPool,
    Maxout,
    MaxPool,
    Pad,
    Patches,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    Resize,
    RMSNorm,
    ScaleChannels,
    SpatialDropout,
    TableConv,
    TrueConv,
    Unflatten,
    Upsample,
    concatenated,
    heads,
    residual,
    separable_conv,
    serial,
)  # fmt: skip
from jaxcnn.ops import rule_of

KEY = jax.random.key(0)
CROSS_ENTROPY = rule_of(jc.softmax_cross_entropy)
LABELS = jnp.array([3, 1, 0])


def conv_block(features):
    return (Conv(features, 3, padding="SAME"), Activation(jc.relu))


def trunk():
    return serial(
        stem=Conv(4, 3, padding="SAME"),
        block=residual(*conv_block(4), Conv(4, 3, padding="SAME")),
        wider=residual(*conv_block(6), shortcut=Conv(6, 1, use_bias=False)),
        pool=MaxPool(2),
        union=concatenated(Identity(), serial(*conv_block(3)), other=Conv(2, 1)),
        flatten=Flatten(),
    )


NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1)),
    "lenet5 1998": (models.lenet5("1998"), (32, 32, 1)),
    "residual and concatenated": (serial(trunk=trunk(), output=Dense(5)), (6, 7, 2)),
    "one dimension": (
        serial(Conv(3, 4, stride=2), Activation(jc.tanh), AvgPool(2), Flatten(), Dense(4)),
        (13, 2),
    ),
    "moved": (
        serial(
            Conv(3, 3, padding="SAME", padding_mode="reflect"),
            separable_conv(4, 3, padding_mode="circular"),
            TrueConv(2, 2, input_dilation=2),
            CropChannels(1),
            Patches(2, 2),
            Fold(2, 2, input_size=(8, 10)),
            Dilate(2),
            Flatten(),
            Dense(6),
            Unflatten((3, 2)),
            Conv(4, 2, padding="CAUSAL", padding_mode="replicate"),
            GlobalAvgPool(),
        ),
        (5, 6, 2),
    ),
    "dropout": (
        serial(Flatten(), Dense(8), Dropout(0.5), Activation(jc.sigmoid), Dense(4)),
        (3, 3, 1),
    ),
    "relatives": (
        serial(
            separable_conv(6, 3),
            TableConv(((0, 1, 5), (2, 3), (4,)), 3, stride=2),
            Pad(1, "reflect"),
            ConvTranspose(2, 2, stride=2, use_bias=False),
            Flatten(),
            Dense(4),
        ),
        (7, 8, 3),
    ),
    "normalised": (
        serial(
            Conv(4, 3, use_bias=False),
            BatchNorm(),
            Activation(jc.relu),
            GroupNorm(2),
            Conv(6, 2),
            InstanceNorm(use_scale=False),
            LocalResponseNorm(),
            AvgPool(2),
            Flatten(),
            LayerNorm(),
            RMSNorm(),
            Dense(4),
        ),
        (7, 8, 3),
    ),
    "poolings": (
        serial(
            Conv(4, 3),
            MaxPool(3, 2, ceil_mode=True),
            LpPool(2, p=3, stride=1),
            concatenated(AdaptiveAvgPool(2), AdaptiveMaxPool(2)),
            Upsample(2),
            concatenated(GlobalAvgPool(), GlobalMaxPool()),
            Dense(4),
        ),
        (9, 8, 2),
    ),
    "resized": (
        serial(
            Conv(8, 3),
            PReLU(),
            PixelShuffle(2),
            Resize((5, 7), method="linear"),
            PReLU(shared=True),
            PixelUnshuffle((5, 1), "DCR"),
            Activation(jc.soft_shrink, {"threshold": 0.1}),
            Flatten(),
            Dense(4),
        ),
        (7, 6, 2),
    ),
    "dropping": (
        serial(
            Conv(4, 3),
            DropBlock(0.2, 3),
            SpatialDropout(0.3),
            Maxout(2),
            ScaleChannels(),
            Activation(jc.leaky_relu, {"slope": 0.2}),
            Flatten(),
            Dense(4),
        ),
        (9, 8, 2),
    ),
    "one layer": (Dense(4), (5,)),
}


def one_loss_per_example(logits, labels, rule=CROSS_ENTROPY):
    return jc.softmax_cross_entropy(logits, labels, reduction="none", rule=rule)


def batch(shape, examples=3):
    generator = np.random.default_rng(1)
    return jnp.asarray(generator.standard_normal((examples, *shape)))


def by_grad(net, loss, params, state, x, labels, key):
    def total(params, x):
        logits, _ = net.apply(params, state, x, key=key, train=True)
        return loss(logits, labels)

    return jax.jit(jax.value_and_grad(total, (0, 1)))(params, x)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", NETWORKS)
def test_three_roads_agree(name):
    net, shape = NETWORKS[name]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x, loss = batch(shape), jc.softmax_cross_entropy
    explicit = jax.jit(lambda p, x: backprop(net, p, state, x, LABELS, loss, key=KEY))(params, x)
    found = (explicit.loss, (explicit.gradients, explicit.input_delta))
    through_rules = by_grad(net, loss, params, state, x, LABELS, KEY)
    plain = by_grad(jc.autodiff_twin(net), jc.autodiff_twin(loss), params, state, x, LABELS, KEY)
    for other in (through_rules, plain):
        error, where = relative_error(found, other)
        assert error < 1e-10, where


@pytest.fixture
def no_differentiation(monkeypatch):
    """Whatever differentiates raises, where a program is traced: so tracing is enough."""

    def forbidden(*args, **kwargs):
        raise AssertionError("automatic differentiation was used")

    public = "grad value_and_grad vjp jvp linearize linear_transpose jacrev jacfwd"
    for function in public.split():
        monkeypatch.setattr(jax, function, forbidden)
    from jax._src.interpreters import ad

    for function in ("jvp", "vjp", "linearize", "backward_pass"):
        if hasattr(ad, function):
            monkeypatch.setattr(ad, function, forbidden)
    jax.clear_caches()  # what an earlier test traced would hide it


@pytest.mark.usefixtures("no_differentiation")
@pytest.mark.parametrize("name", [*NETWORKS, "heads"])
def test_it_uses_no_automatic_differentiation(name):
    net, shape = {**NETWORKS, "heads": (TWO_HEADS, (6, 7, 2))}[name]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    targets, losses = (TARGETS, LOSSES) if name == "heads" else (LABELS, jc.softmax_cross_entropy)
    result = jax.eval_shape(
        lambda params, x: backprop(net, params, state, x, targets, losses, key=KEY),
        params,
        batch(shape),
    )
    assert result.gradients.keys() == params.keys()


@pytest.mark.usefixtures("no_differentiation")
def test_differentiation_would_be_noticed():
    from jax._src.api import grad  # not the one that the fixture replaced

    with pytest.raises(AssertionError, match="was used"):
        grad(lambda x: jc.tanh(x).sum())(jnp.ones(3))


TWO_HEADS = serial(trunk=trunk(), out=heads(label=Dense(5), box=serial(Dense(6), Dense(2))))
TARGETS = {"label": LABELS, "box": jnp.full((3, 2), 0.3)}
LOSSES = {"label": jc.softmax_cross_entropy, "box": jc.sigmoid_squared_error}


def test_several_heads_and_a_sum_of_losses():
    params, state = TWO_HEADS.init(KEY, (6, 7, 2), dtype=jnp.float64)
    x = batch((6, 7, 2))

    def total(params, x, net, losses):
        outputs, _ = net.apply(params, state, x, train=True)
        return sum(losses[name](outputs[name], TARGETS[name]) for name in losses)

    @jax.jit
    def roads(params, x):
        found = backprop(TWO_HEADS, params, state, x, TARGETS, LOSSES)
        plain = jc.autodiff_twin(TWO_HEADS), {n: jc.autodiff_twin(f) for n, f in LOSSES.items()}
        return (
            (found.loss, (found.gradients, found.input_delta)),
            jax.value_and_grad(total, (0, 1))(params, x, TWO_HEADS, LOSSES),
            jax.value_and_grad(total, (0, 1))(params, x, *plain),
        )

    explicit, *others = roads(params, x)
    for other in others:
        error, where = relative_error(explicit, other)
        assert error < 1e-12, where


def test_delta_is_the_gradient_at_the_pre_activation():
    """Huang's δ⁽ˡ⁾ = ∂E/∂u⁽ˡ⁾: nudge u, the output of a layer, and see what the loss does."""
    net, shape = models.lenet5("1998"), (32, 32, 1)
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x = batch(shape)
    cross_entropy = jc.softmax_cross_entropy
    result = jax.jit(lambda x: backprop(net, params, state, x, LABELS, cross_entropy))(x)
    assert result.deltas.keys() == dict(net.children).keys()
    for position, (name, _) in enumerate(net.children):

        def loss_from(u, position=position):
            for below, layer in net.children[position + 1 :]:
                u, _ = layer.apply(params.get(below, {}), {}, u)
            return jc.softmax_cross_entropy(u, LABELS)

        u = x
        for below, layer in net.children[: position + 1]:
            u, _ = layer.apply(params.get(below, {}), {}, u)
        plain = jax.jit(jax.grad(loss_from))(u)
        error, where = relative_error(result.deltas[name], plain)
        assert error < 1e-12, (name, where)


def test_output_layer_by_the_formulas():
    """Cross-entropy: δ⁽ᴸ⁾ = y − t. Least squares on sigmoids: δ⁽ᴸ⁾ = (y − t) • y (1 − y)."""
    net, shape = Dense(4), (5,)
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x, t = batch(shape), jnp.eye(4)[LABELS]
    u, _ = net.apply(params, state, x)
    result = backprop(net, params, state, x, t, jc.softmax_cross_entropy)
    assert np.allclose(result.deltas, (jax.nn.softmax(u) - t) / 3, rtol=0, atol=1e-15)
    y = jax.nn.sigmoid(u)
    result = backprop(net, params, state, x, t, jc.sigmoid_squared_error)
    assert np.allclose(result.deltas, (y - t) * y * (1 - y) / 3, rtol=0, atol=1e-15)
    assert np.allclose(result.gradients["weight"], x.T @ result.deltas, rtol=0, atol=1e-15)


def test_any_loss_of_the_users_starts_it():
    """δ⁽ᴸ⁾ = ∂L/∂y by hand, for L = Σ w (y − t)⁴ and one that reads both heads at once."""
    net, shape = NETWORKS["residual and concatenated"]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x, t = batch(shape), jnp.eye(5)[LABELS]
    weights = {"t": t, "w": jnp.array([[1.0], [2.0], [0.5]])}

    def fourth(y, targets):
        return (targets["w"] * (y - targets["t"]) ** 4).sum()

    @jax.jit
    def roads(params, x):
        found = backprop(net, params, state, x, weights, fourth)
        by_hand = 4 * weights["w"] * (found.outputs - t) ** 3
        given = backprop(net, params, state, x, delta=by_hand)
        plain = by_grad(net, fourth, params, state, x, weights, None)
        return (
            (found.loss, (found.gradients, found.input_delta)),
            plain,
            (given.gradients, given.deltas),
            (found.gradients, found.deltas),
        )

    found, plain, given, whole = roads(params, x)
    for one, other in ((found, plain), (given, whole)):
        error, where = relative_error(one, other)
        assert error < 1e-12, where


def test_a_loss_and_a_delta_of_several_heads():
    params, state = TWO_HEADS.init(KEY, (6, 7, 2), dtype=jnp.float64)
    x = batch((6, 7, 2))

    def product(outputs, scale):
        return scale * (outputs["label"].sum(1) * outputs["box"][:, 0]).sum()

    found = backprop(TWO_HEADS, params, state, x, 3.0, product)
    label, box = found.outputs["label"], found.outputs["box"]
    delta = {
        "label": jnp.broadcast_to(3 * box[:, :1], label.shape),
        "box": jnp.stack([3 * label.sum(1), jnp.zeros(3)], 1),
    }
    given = backprop(TWO_HEADS, params, state, x, delta=delta)
    assert given.loss is None
    error, where = relative_error(given.gradients, found.gradients)
    assert error < 1e-12, where
    mixed = {"label": jc.softmax_cross_entropy, "box": lambda y, t: ((y - t) ** 2).sum()}
    found = backprop(TWO_HEADS, params, state, x, TARGETS, mixed)

    def total(params):
        outputs, _ = TWO_HEADS.apply(params, state, x, train=True)
        return sum(mixed[name](outputs[name], TARGETS[name]) for name in mixed)

    error, where = relative_error(found.gradients, jax.grad(total)(params))
    assert error < 1e-12, where


@pytest.mark.usefixtures("no_differentiation")
def test_a_given_delta_needs_no_differentiation():
    net, shape = NETWORKS["one layer"]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x, delta = batch(shape), jnp.arange(12.0).reshape(3, 4)
    found = backprop(net, params, state, x, delta=delta)
    assert np.allclose(found.gradients["weight"], x.T @ delta, rtol=0, atol=1e-14)
    assert found.input_delta is not None
    assert np.allclose(found.input_delta, delta @ params["weight"].T, rtol=0, atol=1e-14)


def test_a_training_step_without_differentiation_lowers_the_loss():
    net, shape = NETWORKS["residual and concatenated"]
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x = batch(shape)

    @jax.jit
    def step(params):
        result = backprop(net, params, state, x, LABELS, jc.softmax_cross_entropy)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, result.gradients), result.loss

    losses = []
    for _ in range(10):
        params, loss = step(params)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2


def test_mistakes_are_told():
    net, shape = Dense(4), (5,)
    params, state = net.init(KEY, shape, dtype=jnp.float64)
    x = batch(shape)
    with pytest.raises(TypeError, match="every rule must be hand-written"):
        backprop(jc.autodiff_twin(net), params, state, x, LABELS, jc.softmax_cross_entropy)
    with pytest.raises(ValueError, match="loss must be one number, got shape"):
        backprop(net, params, state, x, LABELS, one_loss_per_example)
    with pytest.raises(ValueError, match="loss and targets must name the heads"):
        backprop(net, params, state, x, {"a": LABELS}, {"a": jc.softmax_cross_entropy})
    with pytest.raises(ValueError, match=r"got losses .* and targets one array for one array"):
        backprop(net, params, state, x, LABELS, {"a": jc.softmax_cross_entropy})
    with pytest.raises(ValueError, match="loss must be one number, got shape"):
        backprop(net, params, state, x, LABELS, lambda u, t: u.sum(0))
