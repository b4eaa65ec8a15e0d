"""Convolutions as layers: what surrounds the maps, and settings that reach the operations."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers
from jaxcnn.backprop import backprop
from jaxcnn.gradcheck import relative_error
from jaxcnn.layers import (
    Conv,
    ConvTranspose,
    CropChannels,
    Dense,
    DepthwiseConv,
    Dilate,
    Flatten,
    Fold,
    Patches,
    PixelShuffle,
    PixelUnshuffle,
    Resize,
    Subsample,
    TableConv,
    TrueConv,
    Unflatten,
    separable_conv,
    serial,
)
from jaxcnn.ops.conv_variants import true_conv_map

KEY = jax.random.key(0)
TABLE = ((0, 1), (1, 2), (0, 2))
# A layer, the size of its input, the padding on every side, and the operation that pads no more.
SURROUNDED = {
    "conv": (Conv(6, (3, 2), 2, ((1, 2), 0), groups=3), (5, 6, 3), ((1, 2), (0, 0))),
    "same": (Conv(2, 3, padding="SAME", dilation=2), (6, 7, 3), ((2, 2), (2, 2))),
    "causal": (Conv(2, 3, padding="CAUSAL", dilation=2), (7, 3), ((4, 0),)),
    "true": (TrueConv(2, (2, 3), padding=1), (4, 5, 3), ((1, 1), (1, 1))),
    "depthwise": (DepthwiseConv(3, 2, (1, 2), "SAME_LOWER"), (5, 5, 3), ((1, 1), (1, 1))),
    "table": (TableConv(TABLE, 2, padding=((2, 0),), dilation=2), (6, 3), ((2, 0),)),
}
NUMPYS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def batch(size, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((2, *size)))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", SURROUNDED)
def test_the_padding_shows_what_the_mode_says(name):
    """As NumPy pads, with the same layer without padding behind."""
    layer, size, pads = SURROUNDED[name]
    x = batch(size)
    params, _ = layer.init(KEY, size, dtype=jnp.float64)
    valid = replace(layer, padding="VALID")

    @jax.jit
    def outputs(x):
        found = [replace(layer, padding_mode=mode).apply(params, {}, x)[0] for mode in NUMPYS]
        expected = [
            valid.apply(params, {}, jnp.pad(x, [(0, 0), *pads, (0, 0)], mode))[0]
            for mode in NUMPYS.values()
        ]
        return found, expected

    for mode, found, expected in zip(NUMPYS, *outputs(x), strict=True):
        assert np.allclose(found, expected, rtol=0, atol=1e-13), mode
        surrounded = replace(layer, padding_mode=mode)
        assert layers.rows(surrounded, size)[0].output_shape == found.shape[1:]
        assert layers.rows(surrounded, size) == layers.rows(layer, size)


MIXED = serial(
    Conv(3, 3, padding="SAME", padding_mode="reflect"),
    DepthwiseConv(2, padding=1, padding_mode="circular"),
    TableConv(TABLE, 2, 2, "CAUSAL", padding_mode="replicate"),
    Flatten(),
    Dense(4),
)


def test_explicit_back_propagation_goes_through_every_padding():
    """And δ is ∂E/∂y at the layer's output, although two rules lie behind it."""
    x, labels = batch((5, 4, 2)), jnp.array([3, 1])
    params, state = MIXED.init(KEY, (5, 4, 2), dtype=jnp.float64)
    (_, first), *rest = jc.autodiff_twin(MIXED).children

    def total(params, x, nudge):
        y, _ = first.apply(params["conv1"], {}, x)
        logits, _ = serial(**dict(rest)).apply(params, state, y + nudge)
        return jc.autodiff_twin(jc.softmax_cross_entropy)(logits, labels)

    @jax.jit
    def roads(params, x):
        found = backprop(MIXED, params, state, x, labels, jc.softmax_cross_entropy)
        explicit = found.loss, (found.gradients, found.input_delta, found.deltas["conv1"])
        nudge = jnp.zeros((2, 5, 4, 3))
        return explicit, jax.value_and_grad(total, (0, 1, 2))(params, x, nudge)

    error, where = relative_error(*roads(params, x))
    assert error < 1e-12, where


def test_the_twin_has_no_rule_left():
    layer = Conv(3, 3, padding="SAME", padding_mode="reflect")
    params, _ = jax.eval_shape(lambda key: layer.init(key, (5, 4, 2)), KEY)
    x = jax.ShapeDtypeStruct((1, 5, 4, 2), jnp.float32)
    hand, twin = (
        str(jax.make_jaxpr(lambda p, x, net=net: net.apply(p, {}, x)[0])(params, x))
        for net in (layer, jc.autodiff_twin(layer))
    )
    assert "pad_map" in hand
    assert "by_hand" not in twin


def test_settings_reach_the_operations():
    """Input dilation, a table's dilation, a flipped kernel: as the operations have them."""
    x = batch((5, 4, 3))
    kernel, weights = batch((3, 3, 4), 1), batch((2, 6), 2)
    dilated = Conv(4, (2, 3), 2, 1, use_bias=False, input_dilation=(2, 3))
    flipped = TrueConv(4, (2, 3), use_bias=False)
    table = TableConv(TABLE, 2, use_bias=False, dilation=(2, 3))

    @jax.jit
    def outputs(x, kernel, weights):
        params = {"kernel": kernel}
        return (
            (
                dilated.apply(params, {}, x)[0],
                flipped.apply(params, {}, x)[0],
                table.apply({"weights": weights}, {}, x)[0],
            ),
            (
                jc.conv(x, kernel, stride=2, padding=1, input_dilation=(2, 3)),
                Conv(4, (2, 3), use_bias=False).apply({"kernel": kernel[::-1, ::-1]}, {}, x)[0],
                jc.table_conv(x, weights, table=TABLE, dilation=(2, 3)),
            ),
        )

    error, where = relative_error(*outputs(x, kernel, weights))
    assert error < 1e-14, where


@pytest.mark.parametrize(
    "layer",
    [
        Conv(4, 1, precision="highest"),
        TrueConv(4, 1, precision="highest"),
        DepthwiseConv(1, precision="highest"),
        TableConv(TABLE, 1, precision="highest"),
        ConvTranspose(4, 1, precision="highest"),
        separable_conv(4, 1, precision="highest"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_precision_reaches_the_products(layer):
    params, _ = layer.init(KEY, (3, 3, 3))
    plain = jc.autodiff_twin(layer)
    x = jax.ShapeDtypeStruct((1, 3, 3, 3), jnp.float32)
    program = str(jax.make_jaxpr(lambda x: plain.apply(params, {}, x)[0])(x))
    assert "HIGHEST" in program
    assert "precision=None" not in program


X = batch((4, 6, 6))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Dilate((2, 3)), lambda x: jc.dilate(x, (2, 3))),
        (Subsample(2), lambda x: jc.subsample(x, 2)),
        (
            Patches(2, (1, 2), 1, dilation=(2, 1)),
            lambda x: jc.patches(x, 2, stride=(1, 2), padding=1, dilation=(2, 1)),
        ),
        (
            Fold((3, 2), (2, 1), 1, input_size=(7, 5)),
            lambda x: jc.fold(x, (3, 2), input_size=(7, 5), stride=(2, 1), padding=1),
        ),
        (PixelShuffle((1, 2)), lambda x: jc.pixel_shuffle(x, (1, 2))),
        (PixelUnshuffle(2, "DCR"), lambda x: jc.pixel_unshuffle(x, 2, "DCR")),
        (Resize((5, 9), method="cubic"), lambda x: jc.resize(x, (5, 9), method="cubic")),
        (
            Resize(scale=1.5, coordinates="asymmetric", rounding="floor"),
            lambda x: jc.resize(x, scale=1.5, coordinates="asymmetric", rounding="floor"),
        ),
        (CropChannels(1, 2), lambda x: jc.crop_channels(x, 1, 2)),
        (
            serial(Flatten(), Unflatten((6, 4, 6))),
            lambda x: jc.unflatten(jc.flatten(x), (6, 4, 6)),
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_a_layer_is_its_operation(layer, expected):
    params, state = layer.init(KEY, X.shape[1:])
    assert params == state == {}
    y, _ = layer.apply({}, {}, X)
    assert np.array_equal(y, expected(X))
    assert layers.rows(layer, X.shape[1:])[-1].output_shape == y.shape[1:]
    assert hash(layer) == hash(replace(layer))


def test_a_transposed_convolution_has_no_padding_mode_as_in_pytorch():
    with pytest.raises(TypeError, match="padding_mode"):
        ConvTranspose(2, 3, padding_mode="reflect")  # pyright: ignore[reportCallIssue]


def test_a_rule_of_another_kind_can_be_put_in():
    """`Conv` with the rule of the true convolution is one: layers are data."""
    x = batch((4, 4, 2))
    params, _ = Conv(3, 2).init(KEY, (4, 4, 2), dtype=jnp.float64)
    flipped, _ = Conv(3, 2, rule=true_conv_map).apply(params, {}, x)
    assert np.allclose(flipped, TrueConv(3, 2).apply(params, {}, x)[0], rtol=0, atol=1e-14)


def test_what_comes_before_is_told_of_wrong_input_in_one_sentence():
    layer = Conv(2, 3, padding=1, padding_mode="reflect")
    params, _ = layer.init(KEY, (4, 4, 1))
    with pytest.raises(TypeError, match="Conv: x must be an array, got list"):
        layer.apply(params, {}, [1.0])  # pyright: ignore[reportArgumentType]
