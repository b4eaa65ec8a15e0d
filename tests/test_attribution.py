"""Sums that must come out, and the same results for a network and for the function that it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import checkpoint_name

import jaxcnn as jc
from jaxcnn import attribution, layers, models
from jaxcnn.layers import Activation, Conv, Dense, Flatten, MaxPool, serial

CLASS = 1
NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1)),
    "tanh, means, a table": (models.lenet5("paper", classes=3), (32, 32, 1)),
    "fast_mnist": (models.fast_mnist(3), (28, 28, 1)),
    "residual": (models.resnet(8, 3, width=3), (9, 8, 3)),
    "residual, projected": (models.resnet(8, 3, width=3, shortcut="B"), (9, 8, 3)),
    "side by side": (models.densenet(10, growth=3, classes=3), (8, 8, 2)),
    "separable": (models.mobilenet(3, width=0.125, blocks=((32, 1), (32, 2))), (8, 8, 3)),
    "a signal": (models.conv_pool_dense(), (18, 2)),
    "odd": (
        serial(
            Conv(4, (3, 2), stride=2, padding=1, padding_mode="reflect", groups=2),
            Activation(jc.gelu),
            layers.Pad((1, 0)),
            MaxPool((2, 3), 2, ceil_mode=True),
            layers.ConvTranspose(3, 2, stride=2),
            Activation(jc.leaky_relu, {"slope": 0.2}),
            layers.ScaleChannels(),
            layers.Upsample(2),
            layers.Subsample(2),
            Flatten(),
            layers.Dropout(),
            Dense(4),
        ),
        (9, 10, 2),
    ),
    "what Captum refuses": (
        serial(
            Conv(3, 2),
            Activation(jc.silu),
            MaxPool(2, 1, dilation=2),
            layers.PReLU(),
            layers.AdaptiveMaxPool((3, 2)),
            Flatten(),
            layers.BatchNorm(),
            Dense(3),
        ),
        (7, 6, 2),
    ),
}
# Every day a few; the others consist of the same layers.
EVERY_DAY = ("lenet5", "residual", "side by side", "odd", "what Captum refuses")
NAMES = [n if n in EVERY_DAY else pytest.param(n, marks=pytest.mark.full) for n in NETWORKS]


def drawn(net, shape, seed=0):
    """Parameters, none of which is zero or one, and two images."""
    params, state = net.init(jax.random.key(seed), shape, dtype=jnp.float64)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    noise = [0.1 * jax.random.normal(k, a.shape) for k, a in zip(keys, leaves, strict=True)]
    moved = [a + b.astype(a.dtype) for a, b in zip(leaves, noise, strict=True)]
    x = jax.random.normal(jax.random.key(seed + 2), (2, *shape), jnp.float64)
    return jax.tree.unflatten(structure, moved), state, x


def output(net, params, state, x):
    return net.apply(params, state, x)[0][:, CLASS]


def sums(a):
    return a.reshape(len(a), -1).sum(1)


# Sums ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("rule", ["epsilon", "z+", "alpha-beta"])
@pytest.mark.parametrize("name", NAMES)
def test_relevance_is_conserved(name, rule, biases):
    """Input, biases and ε: all of u, and what biases took is not everything."""
    net, shape = NETWORKS[name]
    params, state, x = drawn(net, shape)

    def run(x):
        return attribution.relevance(
            net, params, state, x, CLASS, rule=rule, biases=biases, epsilon=1e-3
        )

    found, u = jax.jit(run)(x), output(net, params, state, x)
    np.testing.assert_allclose(
        sums(found.input) + found.biases + found.epsilon, u, rtol=1e-9, atol=1e-9
    )
    # Behind zeros put in between there are units that have nothing to share among.
    assert biases or name == "odd" or (np.asarray(found.biases) == 0).all()
    assert not biases or np.abs(found.biases).min() > 1e-6


@pytest.mark.parametrize("rule", ["z+", "alpha-beta"])
@pytest.mark.parametrize("name", ["lenet5", pytest.param("fast_mnist", marks=pytest.mark.full)])
def test_signs_without_biases_lose_nothing(name, rule):
    net, shape = NETWORKS[name]
    params, state, x = drawn(net, shape)

    def run(x):
        return attribution.lrp(net, params, state, x, CLASS, rule=rule, biases=False)

    np.testing.assert_allclose(sums(jax.jit(run)(x)), output(net, params, state, x), rtol=1e-12)


def test_relevance_of_a_dense_layer_by_hand():
    """z = [1·2, 3·(−1)] + ½, R = u = −½."""
    net = Dense(1)
    params = {"weight": jnp.array([[2.0], [-1.0]]), "bias": jnp.array([0.5])}
    x = jnp.array([[1.0, 3.0]])

    def run(**settings):
        return attribution.lrp(net, params, {}, x, 0, **settings)[0]

    np.testing.assert_allclose(run(epsilon=0.1), [2 * 0.5 / 0.6, -3 * 0.5 / 0.6])
    np.testing.assert_allclose(run(epsilon=0.1, biases=False), [2 * 0.5 / 1.1, -3 * 0.5 / 1.1])
    np.testing.assert_allclose(run(rule="z+"), [-0.5 * 2 / 2.5, 0])
    np.testing.assert_allclose(run(rule="z+", biases=False), [-0.5, 0])
    np.testing.assert_allclose(run(rule="alpha-beta", alpha=3.0), [-0.5 * 3 * 2 / 2.5, 0.5 * 2])


@pytest.mark.parametrize("name", NAMES)
def test_deep_lift_is_complete(name):
    net, shape = NETWORKS[name]
    params, state, x = drawn(net, shape)
    start = 0.3 + x[::-1]

    def run(x):
        return attribution.deep_lift(net, params, state, x, CLASS, baseline=start)

    change = output(net, params, state, x) - output(net, params, state, start)
    np.testing.assert_allclose(sums(jax.jit(run)(x)), change, rtol=1e-9, atol=1e-12)


SMALL = serial(
    Conv(3, 3),
    Activation(jc.relu),
    MaxPool(2),
    Conv(4, 2),
    Activation(jc.relu),
    Flatten(),
    Dense(3),
)


@pytest.mark.parametrize("part", [0.1, pytest.param(1.0, marks=pytest.mark.full)])
@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
@pytest.mark.parametrize("name", ["lenet5", "fast_mnist"])
def test_integrated_gradients_are_complete_to_the_tolerance(name, tolerance, part, optimised):
    """Over all of the way between two images, or a part of it: the longer, the more it bends."""
    net, shape = NETWORKS[name]
    params, state, (x, other) = drawn(net, shape)
    x, start = x[None], (x + part * (other - x))[None]
    found = attribution.integrated_gradients(
        net, params, state, x, CLASS, baseline=start, tolerance=tolerance
    )
    change = output(net, params, state, x) - output(net, params, state, start)
    assert np.abs(sums(found) - change).max() <= tolerance


def test_integrated_gradients_of_one_layer_are_those_on_paper():
    """u = Σ w • max(v·x + b, 0): a unit counts for the part of the way where it is positive."""
    v, b, w = (
        jax.random.normal(jax.random.key(i), shape)
        for i, shape in enumerate(((6, 80), (80,), (80,)))
    )
    x, start = jax.random.normal(jax.random.key(3), (2, 3, 6))

    def score(params, state, x):
        return (jax.nn.relu(x @ v + b[None]) * w[None]).sum(1)

    found = attribution.integrated_gradients(
        score, {}, {}, x, lambda u: u, baseline=start, tolerance=1e-9
    )
    low, high = start @ v + b[None], x @ v + b[None]
    share = np.maximum(low, high) / np.abs(high - low)  # of the way, if it changes its sign
    share = np.where(low * high < 0, share, (low > 0).astype(float))
    np.testing.assert_allclose(found, (x - start) * ((share * w[None]) @ v.T), atol=1e-11)


def test_integrated_gradients_of_something_smooth_need_few_steps():
    net = serial(Dense(5), Activation(jc.tanh), Dense(3))
    params, state, x = drawn(net, (4,))
    found = attribution.integrated_gradients(net, params, state, x, CLASS, steps=12)
    change = output(net, params, state, x) - output(net, params, state, 0 * x)
    np.testing.assert_allclose(sums(found), change, rtol=1e-9)


def test_the_error_of_integrated_gradients_at_the_default():
    """As the docstring says: 1 to 5 % of u for LeNet-5 between two images, in the median."""
    net, shape = NETWORKS["lenet5"]

    @jax.jit
    def share(params, state, x):
        start = x[::-1]
        found = attribution.integrated_gradients(net, params, state, x, CLASS, baseline=start)
        u = output(net, params, state, x)
        return jnp.abs(sums(found) - (u - u[::-1])).max() / jnp.abs(u).max()

    shares = []
    for seed in range(10):
        _, state, x = drawn(net, shape, seed)
        shares.append(share(net.init(jax.random.key(seed), shape, dtype=x.dtype)[0], state, x))
    assert 0.01 < np.median(shares) < 0.05
    assert 0.2 < max(shares) < 0.3


def test_gradient_times_input_is_complete_without_biases():
    net = serial(Conv(3, 3, use_bias=False), Activation(jc.relu), MaxPool(2), Flatten(),
                 Dense(3, use_bias=False))  # fmt: skip
    params, state, x = drawn(net, (8, 8, 1))
    found = attribution.gradient_times_input(net, params, state, x, CLASS)
    np.testing.assert_allclose(sums(found), output(net, params, state, x))


def test_smooth_grad_is_the_mean_over_noise():
    """Of Σ x³/3 the gradient's mean is x² + σ², with σ a tenth of the range of x."""
    x = jnp.array([[0.0, 1.0, -1.0, 2.0]])
    found = attribution.smooth_grad(
        lambda params, state, x: x, {}, {}, x, lambda y: (y**3).sum(1) / 3,
        key=jax.random.key(0), samples=4000, noise=0.1,
    )  # fmt: skip
    np.testing.assert_allclose(found, x**2 + 0.3**2, atol=0.05)


# Networks and functions ---------------------------------------------------------------------------


def lax_function(params, state, x):
    """`SMALL` as one would write it with JAX alone, with a name, under `jit` and `checkpoint`."""

    def conv(x, params):
        y = jax.lax.conv_general_dilated(
            x, params["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + params["bias"][None, None, None]

    @jax.jit
    def first(x):
        return checkpoint_name(conv(x, params["conv1"]), "first")

    @jax.checkpoint
    def rest(y):
        y = jax.nn.relu(y)
        y = jax.lax.reduce_window(y, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        y = jnp.maximum(checkpoint_name(conv(y, params["conv2"]), "second"), 0)
        return y.reshape(len(y), -1) @ params["dense1"]["weight"] + params["dense1"]["bias"][None]

    return rest(first(x)), state


METHODS = {
    "saliency": {},
    "gradient_times_input": {},
    "integrated_gradients": {"steps": 5},
    "smooth_grad": {"key": jax.random.key(0), "samples": 3},
    "guided_backprop": {},
    "deconvolution": {},
    "deep_lift": {"baseline": 0.2},
    "lrp": {"epsilon": 1e-12},
    "occlusion": {"window": 4, "stride": 3},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_function_of_jax_gives_what_the_network_gives(name):
    params, state, x = drawn(SMALL, (8, 8, 1))
    method, settings = getattr(attribution, name), METHODS[name]
    ours = method(SMALL, params, state, x, CLASS, **settings)
    theirs = method(lax_function, params, state, x, CLASS, **settings)
    assert np.abs(ours).max() > 0
    np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["deep_lift", "lrp", "saliency"])
def test_the_function_that_a_network_is(name):
    params, state, x = drawn(SMALL, (8, 8, 1))
    method = getattr(attribution, name)
    ours = method(SMALL, params, state, x)
    np.testing.assert_array_equal(method(SMALL.apply, params, state, x), ours)


@pytest.mark.parametrize("method", [attribution.grad_cam, attribution.grad_cam_plus_plus])
@pytest.mark.parametrize(("layer", "called"), [("conv1", "first"), ("conv2", "second")])
def test_class_activation_maps_of_a_function(method, layer, called):
    params, state, x = drawn(SMALL, (8, 8, 1))
    ours = method(SMALL, params, state, x, layer, CLASS)
    theirs = method(lax_function, params, state, x, called, CLASS)
    np.testing.assert_allclose(theirs, ours, atol=1e-12)


def test_class_activation_maps_by_the_formula():
    """With every sum written out, α of Grad-CAM++ by the quotient of its paper."""
    params, state, x = drawn(SMALL, (8, 8, 1))
    maps = layers.up_to(SMALL, "conv2").apply(params, state, x)[0]
    above = layers.Serial(SMALL.children[4:])
    g = jax.grad(lambda a: above.apply(params, state, a)[0][:, CLASS].sum())(maps)
    for n in range(2):
        plain, plus = np.zeros(maps.shape[1:3]), np.zeros(maps.shape[1:3])
        for k in range(maps.shape[-1]):
            a, d = np.asarray(maps[n, :, :, k]), np.asarray(g[n, :, :, k])
            plain += d.mean() * a
            with np.errstate(invalid="ignore", divide="ignore"):
                alpha = np.nan_to_num(d**2 / (2 * d**2 + (a * d**3).sum()))
            plus += (alpha * np.maximum(d, 0)).sum() * a
        for method, expected in (("grad_cam", plain), ("grad_cam_plus_plus", plus)):
            found = getattr(attribution, method)(SMALL, params, state, x, "conv2", CLASS)
            np.testing.assert_allclose(found[n], np.maximum(expected, 0), atol=1e-12)


def test_a_layer_inside_branches():
    net, shape = NETWORKS["residual"]
    params, state, x = drawn(net, shape)
    at = "stage1/serial1/branches1/body/serial2/conv1"
    found = attribution.grad_cam(net, params, state, x, at, relu=False)
    assert found.shape == layers.up_to(net, at).apply(params, state, x)[0].shape[:-1]
    assert np.abs(found).max() > 0


def test_activations_of_jax_that_are_calls():
    """silu is a product of x with a function of x, and yet acts element by element."""
    for f in (jax.nn.silu, jax.nn.leaky_relu, jax.nn.softplus, jax.nn.elu):
        x = jnp.array([[0.5, -1.5, 2.0]])
        found = attribution.deep_lift(
            lambda params, state, x, f=f: f(x), {}, {}, x, lambda y: y.sum(1)
        )
        np.testing.assert_allclose(found, f(x) - f(0 * x), rtol=1e-9)


def test_flax():
    linen = pytest.importorskip("flax.linen", reason="flax is not installed (extra: peers)")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.relu(linen.Conv(4, (3, 3))(x))
            x = linen.max_pool(x, (2, 2), strides=(2, 2))
            return linen.Dense(3)(linen.silu(x.reshape(len(x), -1)))

    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1), jnp.float32)
    net = Net()
    params = jax.tree.map(lambda p: p + 0.1, net.init(jax.random.key(1), x))  # biases, too

    def f(params, state, x):
        return net.apply(params, x)

    u, start = (f(params, {}, at)[:, CLASS] for at in (x, 0 * x))
    np.testing.assert_allclose(
        sums(attribution.deep_lift(f, params, {}, x, CLASS)), u - start, atol=1e-5
    )
    for rule, biases in (("epsilon", True), ("epsilon", False), ("alpha-beta", True), ("z+", True)):
        found = attribution.relevance(f, params, {}, x, CLASS, rule=rule, biases=biases)
        assert (np.abs(found.biases).max() > 0.01) == biases
        np.testing.assert_allclose(
            sums(found.input) + found.biases + found.epsilon,
            u,
            rtol=1e-5,
            err_msg=f"{rule}, {biases}",
        )
    assert attribution.guided_backprop(f, params, {}, x, CLASS).shape == x.shape


# What is not known --------------------------------------------------------------------------------

UNKNOWN = {
    "layer_norm": (serial(Flatten(), layers.LayerNorm()), "normalise"),
    "softmax": (serial(Flatten(), Activation(jc.softmax)), "softmax"),
    "lp_pool": (serial(layers.LpPool(2), Flatten()), "lp_pool"),
    "a product": (lambda p, s, x: (x * x).reshape(2, -1), "mul"),
    "jax.nn.gelu, which is no call": (lambda p, s, x: jax.nn.gelu(x).reshape(2, -1), "mul"),
    "a quotient": (lambda p, s, x: (1 / x).reshape(2, -1), "div"),
    "a loop": (lambda p, s, x: jax.lax.scan(lambda c, _: (c * 2, None), x, None, 3)[0][..., 0, 0],
               "scan"),
}  # fmt: skip


@pytest.mark.parametrize("method", [attribution.lrp, attribution.deep_lift])
@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_is_named(method, what):
    net, name = UNKNOWN[what]
    x = jnp.ones((2, 4, 4, 2), jnp.float32)
    params, state = (
        net.init(jax.random.key(0), (4, 4, 2)) if isinstance(net, layers.Layer) else ({}, {})
    )
    expected = f"net must be of linear maps, activations and maxima, got {name} of"
    with pytest.raises(ValueError, match=expected):
        method(net, params, state, x, 0)


def test_a_batch_that_is_written_down_is_refused():
    """Two inputs of two examples each are compared; of four examples this makes two rows."""
    x = jnp.arange(12.0).reshape(2, 6)
    with pytest.raises(ValueError, match=r"^deep_lift: net must keep the batch .* got \(2, 3\)"):
        attribution.deep_lift(
            lambda params, state, x: jnp.tanh(x).reshape(2, -1)[:, :3], {}, {}, x, CLASS
        )


REFUSED = {
    "the larger of two": (lambda x, p: jnp.maximum(x, p), "max"),
    "clipped on both sides": (lambda x, p: jnp.clip(x, 0, 6), "max"),
    "clamped": (lambda x, p: jax.lax.clamp(0.0, x, 6.0), "clamp"),
    "clamped in a call": (lambda x, p: jax.jit(lambda x: jax.lax.clamp(0.0, x, 6.0))(x), "clamp"),
    "in a branch": (lambda x, p: jax.lax.cond(p.sum() > 0, lambda x: jnp.maximum(x, p), jnp.sin, x),
                    "max"),
    "in a loop": (lambda x, p: jax.lax.scan(lambda c, w: (jnp.maximum(c, w), None), x, p[None])[0],
                  "max"),
    "by its size": (lambda x, p: (x + jnp.abs(x)) / 2, r"add of x and \|x\|"),
    "by its size, in halves": (lambda x, p: 0.5 * x + jnp.abs(x) * 0.5, r"add of x and \|x\|"),
    "by its size, reshaped": (
        lambda x, p: x + jnp.abs(x).reshape(-1).reshape(x.shape), r"add of x and \|x\|"
    ),
    "the smaller": (lambda x, p: x - jnp.minimum(x, 0), "min"),
    "the smaller of −x": (lambda x, p: -jnp.minimum(-x, 0), "min"),
    "of −x": (lambda x, p: jnp.abs(-x) - x, r"sub of x and \|x\|"),
}  # fmt: skip


@pytest.mark.parametrize("method", [attribution.guided_backprop, attribution.deconvolution])
@pytest.mark.parametrize("what", REFUSED)
def test_a_bend_that_may_be_a_rectifier_is_named(method, what):
    f, found = REFUSED[what]
    (x,) = jax.random.normal(jax.random.key(0), (1, 2, 4))
    with pytest.raises(ValueError, match=f"net must write its rectifiers as .* got {found}"):
        method(lambda p, s, x: jax.nn.relu(f(x, p)), jnp.zeros((2, 4)), {}, x, CLASS)


def test_other_bends_keep_their_slope():
    """The larger of two maps or of all so far, |x|, a softmax's, activations, a floor not of 0."""
    x = jax.random.normal(jax.random.key(0), (2, 4))

    def f(params, state, x):
        y = jax.nn.leaky_relu(jnp.maximum(x, jnp.clip(-x, 1e-3))) + jnp.abs(x) / (1 + jnp.abs(x))
        y = jax.lax.scan(lambda c, y: (jnp.maximum(c, y), c), jnp.zeros(4), y)[1]
        return jax.nn.relu(jax.nn.softmax(jax.nn.relu6(y)))

    assert jnp.isfinite(attribution.guided_backprop(f, {}, {}, x, CLASS)).all()


@pytest.mark.parametrize("method", [attribution.guided_backprop, attribution.deconvolution])
def test_rectifiers_in_other_words(method):
    weights = jax.random.normal(jax.random.key(0), (8, 8))
    x = jax.random.normal(jax.random.key(1), (3, 8))

    def found(first):
        return method(
            lambda p, s, x: jax.nn.relu(first(x @ weights) @ weights) @ weights, {}, {}, x, CLASS
        )

    for first in (
        lambda x: jnp.maximum(0, x),
        lambda x: jnp.where(x > 0, x, 0),
        lambda x: jnp.clip(x, 0),
        lambda x: jnp.where(~(x <= 0), x, 0),
        lambda x: jnp.where(x > 0, x, 0 * x),
        lambda x: jnp.maximum(x, 0 * x),
        lambda x: x * jax.lax.stop_gradient((x > 0).astype(x.dtype)),
        lambda x: jax.nn.leaky_relu(x, 0.0),
    ):
        np.testing.assert_array_equal(found(first), found(jax.nn.relu))


def test_rectifiers_that_there_are_not():
    net = serial(Dense(3), Activation(jc.tanh))
    params, state, x = drawn(net, (4,))
    with pytest.raises(ValueError, match="guided_backprop: net must have a rectifier"):
        attribution.guided_backprop(net, params, state, x)


# Rules of one's own -------------------------------------------------------------------------------


def test_a_method_that_changes_a_rule_is_a_few_lines():
    """Guided back-propagation once more."""
    params, state, x = drawn(SMALL, (8, 8, 1))
    guided = jc.with_backward(jc.relu, lambda delta, y, x: jnp.where(y > 0, jc.relu(delta), 0))
    net = jc.swap_rules(SMALL, {jc.relu: guided})
    found = jax.grad(lambda x: net.apply(params, state, x)[0][:, CLASS].sum())(x)
    np.testing.assert_allclose(
        found, attribution.guided_backprop(SMALL, params, state, x, CLASS), atol=1e-12
    )
    by_hand = jc.backprop(net, params, state, x, unit=CLASS, train=False).input_delta
    np.testing.assert_allclose(np.asarray(by_hand), found, atol=1e-12)


def test_a_rule_with_settings_and_gradients_for_all_arguments():
    from jaxcnn.ops.conv import conv_map

    params, state, x = drawn(SMALL, (8, 8, 1))

    def doubled(delta, y, x, kernel, bias, geometry):
        pull = jax.vjp(lambda *a: conv_map(*a, geometry), x, kernel, bias)[1]
        return tuple(2 * g for g in pull(delta))

    net = jc.swap_rules(SMALL, {conv_map: jc.with_backward(conv_map, doubled)})

    def gradients(net):
        return jax.grad(lambda p: net.apply(p, state, x)[0].sum())(params)

    ours, usual = gradients(net), gradients(SMALL)
    for name, times in (("conv1", 4), ("conv2", 2), ("dense1", 1)):
        for a, b in zip(*map(jax.tree.leaves, (ours[name], usual[name])), strict=True):
            np.testing.assert_allclose(a, times * b, rtol=1e-12)


def test_swapping_nothing_changes_nothing():
    assert jc.swap_rules(SMALL, {}) == SMALL
    assert jc.swap_rules(SMALL, {jc.conv: jc.conv}) != SMALL
