"""What a network shows of itself: a line, a table, pictures; and the numbers in them."""

import re
import struct
from html import unescape
from io import BytesIO

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import attribution, layers, models, pictures
from jaxcnn.layers import Activation, Conv, Dense, Flatten, MaxPool, serial

SMALL = serial(Conv(3, 3), MaxPool(2), Activation(jc.relu), Flatten(), out=Dense(2))


@pytest.mark.parametrize(
    "model", ["lenet5", "resnet", "densenet", "mobilenet", "airbench94", "resnet_imagenet"]
)
def test_a_repr_is_short_and_has_no_addresses(model):
    text = repr(getattr(models, model)())
    assert len(text) < 2000
    assert "\n" not in text
    assert " at 0x" not in text


def test_a_repr_is_how_it_is_made():
    names = {
        **vars(layers),
        **vars(jc),
        "Activation": lambda op, settings=(): Activation(op, settings),
    }
    for net in (
        SMALL,
        layers.residual(Conv(2, (3, 2), padding=1), MaxPool(2), shortcut=Dense(3, use_bias=False)),
        serial(*[serial(Dense(3))] * 3, Flatten()),
        layers.concatenated(layers.Identity(), new=Activation(jc.leaky_relu, {"slope": 0.5})),
        layers.heads(a=Dense(2), b=layers.residual(Dense(3))),
        layers.up_to(layers.residual(Dense(3), shortcut=Dense(3)), "shortcut"),
    )[:5]:  # fmt: skip
        text = repr(net).replace("Activation(relu)", "Activation(jc_relu)")
        assert eval(text, {**names, "jc_relu": jc.relu, "leaky_relu": jc.leaky_relu}) == net


def test_a_rule_of_ones_own_shows():
    net = jc.swap_rules(
        serial(Activation(jc.relu), Dense(2)), {jc.relu: jc.tanh, jc.dense: jc.conv}
    )
    assert repr(net) == "serial(Activation(relu, rule=tanh), Dense(2, rule=conv))"


def test_multiply_adds_of_lenet5_and_resnet20():
    """LeNet-5 layer by layer, counted by hand; ResNet-20: 40.6 million."""
    rows = {row.name: row.multiply_adds for row in layers.rows(models.lenet5(), (32, 32, 1))}
    assert rows["c1"] == 25 * 28 * 28 * 6
    assert rows["c3"] == 25 * 6 * 10 * 10 * 16
    assert rows["c5"] == 400 * 120
    assert sum(rows.values()) == 117_600 + 240_000 + 48_000 + 10_080 + 840
    counted = sum(row.multiply_adds for row in layers.rows(models.resnet(20), (32, 32, 3)))
    assert counted == pytest.approx(40.6e6, rel=0.01)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (layers.DepthwiseConv(3), (8, 8, 4), 36 * 9 * 4),
        (Conv(6, 3, groups=2, stride=2), (7, 7, 4), 9 * 9 * 2 * 6),
        (layers.ConvTranspose(5, 2, stride=2), (4, 4, 3), 16 * 4 * 3 * 5),
        (layers.TableConv(((0, 1), (1,)), 3), (5, 5, 2), 9 * 9 * 3),
        (Dense(5), (4, 3), 4 * 15),
        (layers.LayerNorm(), (4, 3), 0),
    ],
)
def test_multiply_adds(layer, shape, expected):
    assert layers.rows(layer, shape)[0].multiply_adds == expected


def test_the_summary_is_a_table_in_a_notebook():
    text = layers.summary(SMALL, (8, 8, 1))
    html = text._repr_html_()
    for cell in ("conv1", "6 × 6 × 3", "3 × 3", "whole input", "972", "30"):
        assert f">{cell}<" in html
        assert cell in text
    assert html.count("<tr>") == len(SMALL.children) + 3


def test_a_network_is_a_table_in_a_notebook():
    html = serial(a=serial(Dense(3)), b=Conv(2, 3, padding="SAME"))._repr_html_()
    assert ">a/dense1<" in html
    assert ">Conv(2, 3, padding=&#x27;SAME&#x27;)<" in html


# Pictures -----------------------------------------------------------------------------------------


def read(data):
    """The pixels of a PNG file, by another reader."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed (extra: test)")
    return np.asarray(image.open(BytesIO(data)).convert("RGB"))


def test_a_picture_has_the_colours_of_its_numbers():
    values = np.zeros((2, 3, 4, 1))
    values[0, 1, 2, 0], values[0, 2, 0, 0], values[0, 0, 0, 0] = 2, -1, np.nan
    shown = attribution.picture(values)
    pixels = read(shown.png())
    size = pixels.shape[1] // 4
    assert pixels.shape == (3 * size, 4 * size, 3)

    def at(row, column):
        return tuple(pixels[row * size + size // 2, column * size + size // 2])

    assert at(1, 2) == pictures.ORANGE
    assert at(1, 1) == pictures.WHITE
    half = [(w + v) / 2 for w, v in zip(pictures.WHITE, pictures.VIOLET, strict=True)]
    np.testing.assert_allclose(at(2, 0), half, atol=1)
    assert at(0, 0) == (160, 160, 160)
    assert shown.limit == 2


@pytest.mark.parametrize("shape", [(), (5,), (2, 5), (2, 6, 3), (2, 6, 5, 9), (2, 2, 3, 4, 70)])
def test_every_array_has_a_picture(shape, tmp_path):
    shown = attribution.picture(jnp.ones(shape, jnp.float32))
    shown.save(tmp_path / "a.png")
    assert read((tmp_path / "a.png").read_bytes()).shape == shown.pixels.shape
    width, height = struct.unpack(">II", shown.png()[16:24])
    assert f'width="{width}" height="{height}"' in shown._repr_html_()
    assert len(repr(shown)) < 60


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ("a", TypeError, "picture: values must be an array, got 'a'"),
        (np.ones(3, complex), TypeError, "picture: values must be real numbers, got dtype complex"),
        (np.ones((0, 2)), ValueError, "picture: values must have elements and at most 5 axes"),
    ],
)
def test_what_has_no_picture(values, kind, sentence):
    with pytest.raises(kind, match=re.escape(sentence)):
        attribution.picture(values)


# Back-propagation from anywhere -------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    net = serial(a=Conv(3, 3, padding=1), b=layers.residual(Conv(3, 3, padding=1)), c=SMALL)
    params, state = net.init(jax.random.key(0), (8, 8, 1), dtype=jnp.float64)
    return net, params, state, jax.random.normal(jax.random.key(1), (2, 8, 8, 1), jnp.float64)


@pytest.mark.parametrize(
    ("layer", "unit"),
    [(None, 1), ("a", (2, 3, 1)), ("b", (0, 7, 2)), ("b/body", (4, 4, 0)), ("c/conv1", (1, 1, 2))],
)
def test_backprop_from_a_unit(drawn, layer, unit):
    net, params, state, x = drawn
    back = jc.backprop(net, params, state, x, unit=unit, layer=layer, train=False)
    part = net if layer is None else layers.up_to(net, layer)
    place = unit if isinstance(unit, tuple) else (unit,)

    def chosen(params, x):
        return part.apply(params, state, x)[0][(slice(None), *place)].sum()

    value, (gradients, delta) = jax.value_and_grad(chosen, (0, 1))(params, x)
    np.testing.assert_allclose(back.loss, value)
    np.testing.assert_allclose(np.asarray(back.input_delta), delta, atol=1e-12)
    for name in back.gradients:
        for a, b in zip(
            jax.tree.leaves(back.gradients[name]),
            [g for g in jax.tree.leaves(gradients[name]) if g.any()], strict=True,
        ):  # fmt: skip
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_backprop_from_a_delta_or_a_loss_in_the_middle(drawn):
    net, params, state, x = drawn
    part = layers.up_to(net, "b")
    y = part.apply(params, state, x)[0]
    back = jc.backprop(net, params, state, x, layer="b", delta=2 * y, train=False)
    own = jc.backprop(
        net, params, state, x, None, lambda y, _: (y**2).sum(), layer="b", train=False
    )
    expected = jax.grad(lambda x: (part.apply(params, state, x)[0] ** 2).sum())(x)
    for found in (back, own):
        np.testing.assert_allclose(np.asarray(found.input_delta), expected, atol=1e-12)
    assert list(back.deltas) == ["a", "b"]


def test_deltas_are_pictures_in_a_notebook(drawn):
    net, params, state, x = drawn
    html = jc.backprop(net, params, state, x, unit=1, train=False)._repr_html_()
    for name in ("the input", "a", "b/body", "b/shortcut", "c/conv1", "c/out"):
        assert f"<td>{name}</td>" in html
    assert html.count("<img ") == 9
    one = jc.backprop(Dense(2), {"weight": jnp.ones((3, 2)), "bias": jnp.ones(2)}, {},
                      jnp.ones((1, 3)), unit=0)  # fmt: skip
    assert "<td>output</td><td>1 × 2</td>" in one._repr_html_()


def test_treescope_shows_what_these_show():
    treescope = pytest.importorskip("treescope", reason="treescope is not installed (extra: peers)")

    def shown(value):
        """In a frame of its own, whose text is escaped once more."""
        return unescape(unescape(treescope.render_to_html(value, compressed=False)))

    params, state = SMALL.init(jax.random.key(0), (8, 8, 1))
    delta = jc.backprop(SMALL, params, state, jnp.ones((1, 8, 8, 1), jnp.float32), unit=0)
    for value in (SMALL, layers.summary(SMALL, (8, 8, 1)), delta):
        assert unescape(value._repr_html_()) in shown(value)

    def pictures_of(value, path):
        if hasattr(value, "shape") and 1 < np.ndim(value) < 6:
            return treescope.IPythonVisualization(attribution.picture(value), replace=True)
        return None

    found = delta.input_delta
    with treescope.active_autovisualizer.set_scoped(pictures_of):
        assert unescape(attribution.picture(found)._repr_html_()) in shown({"the input": found})
