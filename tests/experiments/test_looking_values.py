"""What `inspect` and `demo` compute, on tiny networks in float64: against JAX and against loops."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from experiments import data
from experiments.command_line.options import TrainOptions
from experiments.looking import layers, pictures, report, units
from experiments.looking.opened import Opened
from jaxcnn.layers import (
    Activation,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Identity,
    MaxPool,
    TableConv,
    concatenated,
    residual,
    serial,
)
from jaxcnn.ops.activation import relu, tanh

LABEL = jnp.array([1], jnp.int32)


def draw(net, shape, seed=0):
    """A network of float64 that was never trained, and an image for it."""
    params, state = net.init(jax.random.key(seed), shape, dtype=jnp.float64)
    x = jax.random.normal(jax.random.key(seed + 1), (1, *shape), jnp.float64)
    return Opened(Path(), TrainOptions(), net, params, state, None), x


@pytest.fixture(scope="module")
def chain():
    """A chain whose first layers are an odd convolution, a smooth activation and a pool."""
    net = serial(
        conv=Conv(2, (3, 2), stride=(1, 2)),
        tanh=Activation(tanh),
        pool=MaxPool(2),
        flatten=Flatten(),
        hidden=Dense(4),
        relu=Activation(relu),
        output=Dense(3),
    )
    opened, x = draw(net, (7, 9, 2))
    return opened, x, jax.jit(lambda x: layers.look(opened, x, LABEL))(x)


def error_above(stages):
    """The error as a function of what these layers are given; the loss is JAX's own."""

    def error(signal):
        for stage in stages:
            signal = stage(signal)
        return -jax.nn.log_softmax(signal)[0, 1]

    return error


def test_every_delta_is_the_vjp_at_that_place(chain):
    opened, x, looked = chain
    stages = layers.spine(opened)

    @jax.jit
    def expected(x):
        found, signal = [(x, jax.vjp(error_above(stages), x)[1](jnp.float64(1))[0])], x
        for i, stage in enumerate(stages):
            signal = stage(signal)
            _, back = jax.vjp(error_above(stages[i + 1 :]), signal)
            found.append((signal, back(jnp.float64(1))[0]))
        return found

    (_, input_delta), *others = expected(x)
    np.testing.assert_allclose(looked.input_delta, input_delta, rtol=1e-12, atol=1e-14)
    for stage, (y, delta) in zip(stages, others, strict=True):
        np.testing.assert_allclose(looked.outputs[stage.name], y, rtol=1e-13, atol=1e-15)
        assert np.abs(delta).max() > 1e-6
        np.testing.assert_allclose(looked.deltas[stage.name], delta, rtol=1e-12, atol=1e-14)


def test_saliency_is_the_gradient_of_the_logit_not_of_the_error(chain):
    opened, x, looked = chain

    @jax.jit
    def logit(x):
        return opened.net.apply(opened.params, opened.state, x)[0][0, 1]

    np.testing.assert_allclose(looked.saliency, jax.grad(logit)(x), rtol=1e-12, atol=1e-14)
    step, place = 1e-6, (0, 3, 4, 1)
    ahead, behind = (logit(x.at[place].add(s)) for s in (step, -step))
    assert looked.saliency[place] == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-6)
    assert np.abs(looked.saliency - looked.input_delta).max() > 1e-3


# Branches -----------------------------------------------------------------------------------------


def test_the_layers_of_branches_are_shown_and_have_the_delta_of_their_place():
    net = serial(
        block=residual(
            Conv(2, 3, padding="SAME"), Activation(tanh), shortcut=Conv(2, 1, use_bias=False)
        ),
        dense=concatenated(skip=Identity(), new=Conv(1, 3, padding="SAME")),
        pool=GlobalAvgPool(),
        output=Dense(3),
    )
    opened, x = draw(net, (4, 5, 2))
    looked = jax.jit(lambda x: layers.look(opened, x, LABEL))(x)
    names = [stage.name for stage in layers.every_layer(opened)]
    assert names == [
        "block/body/conv1", "block/body/tanh1", "block/shortcut", "block",
        "dense/skip", "dense/new", "dense", "pool", "output",
    ]  # fmt: skip
    assert set(looked.outputs) == set(looked.deltas) == set(names)
    assert [stage.name for stage in layers.spine(opened)] == ["block", "dense", "pool", "output"]

    params = opened.params

    def error(inner, sums, new):
        """With something added inside the body, at the sum, and to the new maps."""
        body, shortcut = params["block"]["body"], params["block"]["shortcut"]
        u = jaxcnn.conv(x, body["conv1"]["kernel"], body["conv1"]["bias"], padding="SAME") + inner
        y = jnp.tanh(u) + jaxcnn.conv(x, shortcut["kernel"]) + sums
        kernel, bias = params["dense"]["new"]["kernel"], params["dense"]["new"]["bias"]
        grown = jaxcnn.conv(y, kernel, bias, padding="SAME") + new
        mean = jnp.concatenate([y, grown], -1).mean((1, 2))
        logits = mean @ params["output"]["weight"] + params["output"]["bias"][None]
        return -jax.nn.log_softmax(logits)[0, 1]

    zeros = jnp.zeros((1, 4, 5, 2)), jnp.zeros((1, 4, 5, 2)), jnp.zeros((1, 4, 5, 1))
    inner, sums, new = jax.jit(jax.grad(error, (0, 1, 2)))(*zeros)
    for name, expected in (("block/body/conv1", inner), ("block", sums), ("dense/new", new)):
        np.testing.assert_allclose(looked.deltas[name], expected, rtol=1e-11, atol=1e-14)
    joined = looked.deltas["dense"]
    np.testing.assert_allclose(joined[..., 2:], new, rtol=1e-11, atol=1e-14)
    both = jnp.concatenate([looked.outputs["dense/skip"], looked.outputs["dense/new"]], -1)
    np.testing.assert_array_equal(looked.outputs["dense"], both)


# The deconvnet ------------------------------------------------------------------------------------


def correlate_back(signal, kernel):
    """What a valid convolution's adjoint does, by loops: every element spreads its kernel."""
    (p, q, maps), (kh, kw, channels, _) = signal.shape, kernel.shape
    out = np.zeros((p + kh - 1, q + kw - 1, channels))
    for i in range(p):
        for j in range(q):
            for d in range(maps):
                out[i : i + kh, j : j + kw] += signal[i, j, d] * kernel[..., d]
    return out


def test_the_deconvnet_of_the_second_layer_is_the_composition_by_hand():
    """conv → rectifier → maximum → conv: adjoint, unpooling, rectifier, adjoint, in loops."""
    net = serial(
        one=Conv(2, 3), relu=Activation(relu), pool=MaxPool(2), two=Conv(3, 2), flatten=Flatten()
    )
    opened, x = draw(net, (10, 8, 1))

    @jax.jit
    def compute(x):
        return units.deconvolved(opened, "two", x), layers.look(opened, x, LABEL).outputs

    (found, places), outputs = compute(x)
    first, second = (np.asarray(opened.params[name]["kernel"]) for name in ("one", "two"))
    one, rectified, pooled, two = (
        np.asarray(outputs[name][0]) for name in ("one", "relu", "pool", "two")
    )
    assert one.min() < 0
    for d in range(3):
        i, j = np.unravel_index(two[..., d].argmax(), two.shape[:2])
        assert tuple(places[d]) == (i, j)
        start = np.zeros_like(two)
        start[i, j, d] = two[i, j, d]
        down = correlate_back(start, second)
        unpooled = np.zeros_like(rectified)
        for row in range(pooled.shape[0]):
            for column in range(pooled.shape[1]):
                for c in range(2):
                    window = rectified[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, c]
                    a, b = np.unravel_index(window.argmax(), (2, 2))
                    unpooled[2 * row + a, 2 * column + b, c] = down[row, column, c]
        assert unpooled.min() < 0  # so that the rectifier has something to do
        picture = correlate_back(np.maximum(unpooled, 0), first)
        np.testing.assert_allclose(found[d], picture, rtol=1e-12, atol=1e-14)


def test_the_deconvnet_goes_through_branches():
    """Linear branches: the rule is then the adjoint, whatever the branches are."""
    net = serial(
        block=residual(Conv(2, 3, padding="SAME")),
        both=concatenated(a=Conv(1, 1), b=AvgPool(1)),
        flatten=Flatten(),
    )
    opened, x = draw(net, (4, 4, 2))

    @jax.jit
    def compute(x):
        found, places = units.deconvolved(opened, "both", x)
        one, two = units.up_to(opened, "both")

        def response(x, d):
            return two(one(x))[0, places[d, 0], places[d, 1], d]

        return found, [jax.value_and_grad(response)(x, d) for d in range(3)]

    found, expected = compute(x)
    for picture, (value, gradient) in zip(found, expected, strict=True):
        np.testing.assert_allclose(picture, value * gradient[0], rtol=1e-12, atol=1e-14)


# Receptive fields ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(1, 1), (0, 2)])
def test_a_receptive_field_is_where_the_input_has_any_say(place):
    """Pixel by pixel: the gradient of the unit is not zero there for some of many images."""
    net = serial(
        one=Conv(2, 3, stride=2, padding=1), pool=MaxPool(2, stride=1), two=Conv(1, 2, dilation=2)
    )
    opened, _ = draw(net, (13, 15, 1))

    def unit(x):
        y = x[None]
        for stage in layers.spine(opened):
            y = stage(y)
        return y[0, place[0], place[1], 0]

    images = jax.random.normal(jax.random.key(5), (40, 13, 15, 1), jnp.float64)
    gradients = np.asarray(jax.jit(jax.vmap(jax.grad(unit)))(images))
    rows, columns = np.nonzero((gradients != 0).any((0, 3)))
    expected = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert units.receptive_field(opened, "two", (13, 15, 1), place) == expected
    # By arithmetic: (2 − 1)·2 + 1 = 3 of the pool, 4 of the convolution, (4 − 1)·2 + 3 = 9 pixels;
    # the first begins at −1 and is cut there.
    assert expected[0] == max(0, 2 * place[0] - 1)
    assert expected[2] == 2 * place[0] - 1 + 9


# Counts and kernels -------------------------------------------------------------------------------


def test_the_confusion_matrix_is_what_numpy_counts(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300).astype(np.int32)
    chances = rng.dirichlet(np.ones(10), 300)
    shown = []
    monkeypatch.setattr(pictures, "confusion", lambda counts, names: shown.append(counts) or b"")
    opened = Opened(Path(), TrainOptions(), serial(Flatten()), {}, {})
    images = np.zeros((300, 1, 1, 1), np.uint8)
    section = report._confusion(opened, report.Judged(data.Split(images, labels), chances))
    expected, _, _ = np.histogram2d(labels, chances.argmax(1), bins=[range(11), range(11)])
    np.testing.assert_array_equal(shown[0], expected)
    assert expected[2].sum() == (labels == 2).sum()
    assert f"{int(np.trace(expected))} were read right" in section.text


def test_kernels_of_a_table_stand_where_the_table_says():
    table = ((0, 2), (1,), (0, 1, 2))
    layer = TableConv(table, 2, use_bias=False)
    params, _ = layer.init(jax.random.key(0), (4, 4, 3), dtype=jnp.float64)
    page = pictures.table_kernels(np.asarray(params["weights"]), table)
    assert page.shape == (8, 8)  # three kernels of 2×2 and lines of 1 between them, both ways
    impulse = np.zeros((1, 3, 3, 3))
    impulse[0, 1, 1, 2] = 1
    y = np.asarray(layer.apply(params, {}, jnp.asarray(impulse))[0])[0]
    for d in range(3):
        shown = page[6:8, 3 * d : 3 * d + 2]
        if 2 in table[d]:  # the answer to an impulse is the kernel, turned around
            np.testing.assert_allclose(shown, y[::-1, ::-1, d])
        else:
            assert np.isnan(shown).all()
            assert not y[..., d].any()
