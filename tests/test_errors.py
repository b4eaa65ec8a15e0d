# pyright: reportArgumentType=false
# The wrong types are the point here.
"""Bad input gets one sentence that names the argument and both values, before any tracing.

`bad_input.txt` holds the cases: a call, the kind of error, the sentence, a line each; a long line
goes on in further ones, eight columns in. What one wrong value shows of every argument of a name is
below; `test_odd_values` tries everything else.
"""

import dataclasses
import inspect
import re
from functools import partial
from pathlib import Path
from typing import Any

import calls
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from calls import FUNCTIONS, LAYERS, LOGITS, OPERATIONS, K, X, public, trial

import jaxcnn as jc
from jaxcnn import attribution, interop, layers, models


def lax_conv(strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings):
    return interop.conv_general_dilated(
        X, K, strides, padding, dimension_numbers=dimension_numbers, **settings
    )


def backward(**given):
    return jc.backprop(**{**FUNCTIONS[jc.backprop], **given})


NAMES = {**vars(jc), **vars(calls), **globals()}
TEXT = Path(__file__).with_name("bad_input.txt").read_text(encoding="utf-8")
LINES = re.sub(r"\n {8}", " ", TEXT).splitlines()
ROWS = [line.strip() for line in LINES if line and not line.startswith("#")]
# A call, the name of an error, a sentence.
TABLE = [*zip(ROWS[::3], ROWS[1::3], ROWS[2::3], strict=True)]

ARRAY = ([1.0], "TypeError", "must be an array, got list")
BELOW_ONE = (0, "ValueError", "must be at least 1, got 0")
NEGATIVE = (-1, "ValueError", "must be at least 0, got -1")
NO_BOOL = (1, "TypeError", "must be True or False, got 1")
NO_FUNCTION = (0, "TypeError", "must be a function, got 0")
NO_INTEGER = (1.5, "TypeError", "must be an integer, got 1.5")
NOT_POSITIVE = (0, "ValueError", "must be finite and above 0, got 0")
NO_SHARE = (1.5, "ValueError", "must lie in [0, 1], got 1.5")
MODES = "zeros, reflect, replicate, circular"
NO_MODE = ("mirror", "ValueError", f"must be one of {MODES}, got 'mirror'")
COUNTS = (
    "features vocabulary multiplier pieces window_size window stride dilation input_dilation "
    "groups rate size output_size block kernel_size"
)
ARRAYS = "x kernel bias delta weight logits predictions log_predictions"
FLAGS = "use_bias use_scale ceil_mode count_include_pad keepdims average unbiased shared"
PARTS = (
    "kernel_init bias_init scale_init weight_init table_init slope_init rule pad_rule "
    "inference_rule"
)
# One wrong value for arguments of a name, and what is said of it; for every setting of a layer.
WRONG = {
    **dict.fromkeys(ARRAYS.split(), ARRAY),
    **dict.fromkeys(COUNTS.split(), BELOW_ONE),
    **dict.fromkeys(("before", "after", "output_padding"), NEGATIVE),
    **dict.fromkeys(FLAGS.split(), NO_BOOL),
    **dict.fromkeys(PARTS.split(), NO_FUNCTION),
    **dict.fromkeys(("epsilon", "k", "alpha", "beta"), NOT_POSITIVE),
    **dict.fromkeys(("padding_mode", "mode"), NO_MODE),
    **dict.fromkeys(("padding", "axes"), NO_INTEGER),
    "input_size": BELOW_ONE,
    "coordinates": ("half", "ValueError", "must be one of half_pixel, pytorch_half_pixel, align_c"),
    "rounding": (
        "up",
        "ValueError",
        "must be one of round_prefer_floor, round_prefer_ceil, floor, ",
    ),
    "order": ("row", "ValueError", "must be one of CRD, DCR, got 'row'"),
    "switches": (X, "TypeError", "must hold integers, got dtype float32"),
    "reduction": ("max", "ValueError", "must be one of mean, sum, none, got 'max'"),
    "axis": (2, "ValueError", "must lie in [-2, 2) for shape (3, 5), got 2"),
    "precision": ("best", "ValueError", "must be None, one of jax.lax.Precision"),
    "method": ("winograd", "ValueError", "must be one of direct, fft, "),
    "shape": (4, "TypeError", "must be a sequence of integers, got 4"),
    "table": ((), "ValueError", "must name for every output the maps that it reads, as"),
    "axis_name": (0, "TypeError", "must be a name or several, got 0"),
    "momentum": NO_SHARE,
    "factor": ("2", "TypeError", "must be a number, got '2'"),
    "p": (0.5, "ValueError", "must be at least 1, got 0.5"),
    "op": (jnp.sin, "TypeError", "must be a public operation of jaxcnn"),
    "settings": ("axis", "TypeError", "must be a dict of keyword arguments of softmax, axis"),
}
# Of layers, and of operations: names that mean something else there than elsewhere.
OWN = {
    **{
        (drop, "rate"): NO_SHARE
        for drop in (layers.Dropout, layers.SpatialDropout, layers.DropBlock)
    },
    (layers.Resize, "scale"): NOT_POSITIVE,
    (layers.Resize, "method"): (
        "x",
        "ValueError",
        "must be one of nearest, linear, cubic, got 'x'",
    ),
}
OTHERS = {
    *((op, "rate") for op in (jc.dropout, jc.spatial_dropout, jc.drop_block)),
    (jc.smooth_l1, "beta"),
    (jc.elu, "alpha"),
    (jc.resize, "method"),
    (jc.resize_input_grad, "method"),
    (jc.thresholded_relu, "alpha"),
    (jc.soft_shrink, "bias"),
    (jc.huber, "delta"),
    (jc.embedding, "table"),
}


def wrong_settings() -> Any:
    """Every layer with every setting put in wrong, every operation with what WRONG knows."""
    for kind, (right, size) in LAYERS.items():
        for setting in dataclasses.fields(kind):
            name = setting.name
            value, *expected = OWN[kind, name] if (kind, name) in OWN else WRONG[name]
            given = {**right, setting.name: value}
            yield kind, setting.name, lambda k=kind, g=given, s=size: trial(k(**g), s), expected
    for op, right in OPERATIONS.items():
        for name in inspect.signature(op).parameters:
            if name in WRONG and name != "rule" and (op, name) not in OTHERS:
                value, *expected = WRONG[name]
                yield op, name, partial(op, **{**right, name: value}), expected


WRONG_ROWS = [pytest.param(*row, id=f"{row[0].__name__} {row[1]}") for row in wrong_settings()]


def raised(call, kind):
    """What is said by an error of that kind, in one line behind the name of the function."""
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value).__name__ == kind, message
    assert re.match(r"\w+: ", message)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("call", "kind", "sentence"), TABLE, ids=[row[0][:60] for row in TABLE])
def test_bad_input(call, kind, sentence):
    assert raised(lambda: eval(call, NAMES), kind) == sentence


@pytest.mark.parametrize(("thing", "name", "call", "expected"), WRONG_ROWS)
def test_one_argument_put_in_wrong(thing, name, call, expected):
    """The name stands first: of the operation, or of the layer, which says it when it is made."""
    kind, sentence = expected
    assert raised(call, kind).startswith(f"{thing.__name__}: {name} {sentence}")


@pytest.mark.sampled(8)
@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
def test_what_is_right_is_right(kind):
    settings, size = LAYERS[kind]
    trial(kind(**settings), size)


def test_every_argument_of_every_function_has_a_row():
    """But for combinators, whose sentences name the layer that is wrong, and what is handed on.

    What rules are made of, and pages, are in test_odd_values alone.
    """
    said = {found for *_, text in TABLE for found in re.findall(r"^(\w+: \w+)", text)}
    said |= {f"{thing.__name__}: {name}" for thing, name, *_ in wrong_settings()}
    handed_on = {
        "assert_gradients: f", "assert_gradients: args", "assert_gradients: options",
        "jit: settings", "explain_forms: args", "backprop: net", "backprop: x", "backprop: targets",
        "backprop: layer",
        *(f"{method}: {name}" for method in vars(attribution) for name in ("params", "state")),
    }  # fmt: skip
    wanted = {
        f"{function.__name__}: {argument}"
        for function in public()
        if inspect.isfunction(function)
        and not function.__module__.startswith(("jaxcnn.layers", "jaxcnn.rules", "jaxcnn.page"))
        for argument in inspect.signature(function).parameters
        if argument != "rule"
    }
    assert sorted(wanted - said - handed_on) == []


def test_a_layer_says_at_once_what_is_wrong():
    """Not when it first sees an input, and in its own name."""
    with pytest.raises(
        ValueError, match=re.escape("BatchNorm: epsilon must be finite and above 0")
    ):
        layers.BatchNorm(epsilon=-1.0)
    with pytest.raises(
        ValueError, match=re.escape("MaxPool: window_size must be at least 1, got 0")
    ):
        layers.MaxPool((2, 0))


def test_layers_spelled_differently_are_equal():
    spellings = [layers.Conv(4, size) for size in ((3, 3), [3, 3], (np.int32(3), np.int64(3)))]
    assert len({*spellings}) == 1


def test_errors_of_a_layer_name_the_layer():
    with pytest.raises(ValueError, match="kernel must not be larger") as caught:
        models.lenet5().init(calls.KEY, (8, 8, 1))
    assert "in layer c3" in caught.value.__notes__


def test_shape_errors_are_raised_while_tracing_too():
    with pytest.raises(ValueError, match=re.escape("conv: groups must divide")):
        jax.jit(lambda x: jc.conv(x, K, groups=3))(X)


def test_a_traced_label_outside_the_classes_gives_nan():
    value, delta = jax.jit(jax.value_and_grad(jc.softmax_cross_entropy))(
        LOGITS, jnp.array([0, 5, 1])
    )
    assert np.isnan(value)
    assert np.isnan(delta[1]).all()
    assert np.isfinite(delta[jnp.array([0, 2])]).all()
