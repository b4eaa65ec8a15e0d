# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# The wrong types are the point here.
"""Bad input to layers, networks, drop-ins and checks: the same table, and nothing is left out."""

import dataclasses
import inspect
import re

import jax
import jax.numpy as jnp
import pytest
import test_errors
from test_errors import KEY, LABELS, LOGITS, B, K, X

import jaxcnn as jc
from jaxcnn import gradcheck, initializers, interop, layers, models

NET = layers.serial(layers.Flatten(), layers.Dense(3, use_bias=False))
PARAMS = {"dense1": {"weight": LOGITS.T[:4]}}
IMAGES = jnp.ones((3, 2, 2), jnp.float32)
CROSS = jc.softmax_cross_entropy


def trial(layer, size, dtype=jnp.float32):
    """Everything that a layer does, on shapes alone: init and a pass of training."""

    def run(key):
        params, state = layer.init(key, size)
        return layer.apply(params, state, jnp.ones((2, *size), dtype), key=key, train=True)

    return jax.eval_shape(run, KEY)


def backprop(net=NET, params=PARAMS, x=IMAGES, targets=LABELS, loss=CROSS, **settings):
    return jc.backprop(net, params, {}, x, targets, loss, **settings)


def double(x):
    return 2 * x


TABLE = [
    # networks
    (lambda: NET.init(KEY, 4), TypeError, "init: input_shape must be a sequence of integers, got 4"),
    (lambda: NET.init(KEY, (2, 0)), ValueError, "init: input_shape must be at least 1, got 0"),
    (lambda: NET.init(KEY, (2, 2), dtype=jnp.int32), TypeError, "init: dtype must be a dtype of floats, got"),
    (lambda: NET.init(KEY, (2, 2), dtype="wide"), TypeError, "init: dtype must be a dtype of floats, got 'wide'"),
    (lambda: NET.apply([], {}, IMAGES), TypeError, "apply: params must be a dict, as init returns it, got list"),
    (lambda: NET.apply({}, None, IMAGES), TypeError, "apply: state must be a dict, as init returns it, got NoneType"),
    (lambda: layers.Dense(3).apply([], {}, IMAGES), TypeError, "apply: params must be a dict, as init returns it, got list"),
    (lambda: NET.apply({}, {}, IMAGES, key=0), TypeError, "apply: key must be one key of jax.random, as jax.random.key(0), got int"),
    (lambda: NET.apply({}, {}, IMAGES, train="yes"), TypeError, "apply: train must be True or False, got 'yes'"),
    (lambda: NET.apply({}, {}, [1.0]), TypeError, "flatten: x must be an array, got list"),
    (lambda: layers.Serial(()), TypeError, "Serial: children must be a tuple of pairs of a name and a layer, got ()"),
    (lambda: layers.Serial((layers.Flatten(),)), TypeError, "Serial: children must be pairs of a name and a layer, got Flatten"),
    (lambda: layers.Branches((("a", jc.relu),)), TypeError, "Branches: children must be pairs of a name and a layer, got ('a', <"),
    (lambda: layers.Branches((("a", NET),), merge="mean"), ValueError, "Branches: merge must be one of add, concatenate, outputs, got 'mean'"),
    (lambda: layers.Branches((("a", NET),), rule=0), TypeError, "Branches: rule must be a function, got 0"),
    (lambda: layers.serial(a=jc.relu), TypeError, "serial: a must be a layer"),
    (lambda: layers.residual(), ValueError, "residual: body must be one layer at least, got none"),
    (lambda: layers.residual(1), TypeError, "residual: body must be a layer, got 1"),
    (lambda: layers.residual(NET, shortcut=1), TypeError, "residual: shortcut must be a layer, got 1"),
    (lambda: layers.concatenated(a=1), TypeError, "concatenated: a must be a layer, got 1"),
    (lambda: layers.concatenated(1), TypeError, "concatenated: int1 must be a layer, got 1"),
    (lambda: layers.heads(), ValueError, "heads: layers must be one at least, got none"),
    (lambda: layers.rows(3, (2, 2)), TypeError, "summary: net must be a layer of jaxcnn.layers, got 3"),
    (lambda: layers.rows(NET, 2), TypeError, "rows: input_shape must be a sequence of integers, got 2"),
    (lambda: layers.summary(3, (2, 2)), TypeError, "summary: net must be a layer of jaxcnn.layers, got 3"),
    (lambda: layers.summary(NET, "2"), TypeError, "rows: input_shape must be a sequence of integers, got '2'"),
    (lambda: trial(layers.separable_conv(0, 3), (4, 4, 2)), ValueError, "Conv: features must be at least 1, got 0"),
    (lambda: trial(layers.separable_conv(3, 0), (4, 4, 2)), ValueError, "DepthwiseConv: window_size must be at least 1, got 0"),
    (lambda: layers.separable_conv(3, 3, padding_mode="mirror"), ValueError, "DepthwiseConv: padding_mode must be one of zeros, reflect, replicate, circular, got 'mirror'"),
    # what a wrong value cannot show of a single setting
    (lambda: trial(layers.Conv(2, 3, padding=6, padding_mode="reflect"), (5, 5, 1)), ValueError, "pad: padding must be at least 0 and for mode 'reflect' at most 4 on a map of 5, got (6, 6) in spatial axis 0"),
    (lambda: trial(layers.DepthwiseConv(3, padding=6, padding_mode="circular"), (5, 1)), ValueError, "pad: padding must be at least 0 and for mode 'circular' at most 5 on a map of 5, got (6, 6) in spatial axis 0"),
    (lambda: trial(layers.Conv(2, 3, padding=-1, padding_mode="replicate"), (5, 5, 1)), ValueError, "pad: padding must be at least 0"),
    (lambda: trial(layers.Conv(2, 9, padding_mode="reflect"), (5, 5, 1)), ValueError, "Conv: kernel must not be larger than the padded map, got an extent of 9 on a map of 5 + 0 + 0"),
    (lambda: trial(layers.Conv(2, 3, padding="HALF", padding_mode="reflect"), (5, 5, 1)), ValueError, "Conv: padding must be \"SAME\", \"SAME_LOWER\", \"VALID\""),
    (lambda: layers.Conv(2, 3, padding_mode="causal"), ValueError, "Conv: padding_mode must be one of zeros, reflect, replicate, circular, got 'causal'"),
    (lambda: layers.Conv(2, 3, padding_mode="reflect", input_dilation=(1, 2)), ValueError, "Conv: input_dilation must be 1 where the padding shows other things than zeros, got (1, 2) with padding_mode 'reflect'"),
    (lambda: trial(layers.TableConv(((0, 3),), 2), (5, 3)), ValueError, "table_conv: table must name for every output different maps in [0, 3), got (0, 3) for output 0"),
    (lambda: layers.Activation(jc.relu, {"slope": 1}), TypeError, "Activation: settings must be a dict of keyword arguments of relu, which has none, got {'slope': 1}"),
    (lambda: layers.Activation(jc.elu, {"rule": 1}), TypeError, "Activation: settings must be a dict of keyword arguments of elu, alpha, got {'rule': 1}"),
    # explicit back-propagation
    (lambda: backprop(net=3), TypeError, "backprop: net must be a layer of jaxcnn.layers, got 3"),
    (lambda: backprop(params=[1]), TypeError, "backprop: params must be a dict, as init returns it, got list"),
    (lambda: jc.backprop(NET, {}, 0, IMAGES, LABELS, CROSS), TypeError, "backprop: state must be a dict, as init returns it, got int"),
    (lambda: backprop(x=[1.0]), TypeError, "flatten: x must be an array, got list"),
    (lambda: backprop(targets=LABELS + 2), ValueError, "softmax_cross_entropy: targets must lie in [0, 2], got 3 at index (1,)"),
    (lambda: backprop(loss="cross entropy"), TypeError, "backprop: loss must be a public operation of jaxcnn, got 'cross entropy'"),
    (lambda: backprop(key=7), TypeError, "backprop: key must be one key of jax.random"),
    (lambda: backprop(train=None), TypeError, "backprop: train must be True or False, got None"),
    # twins and compilation
    (lambda: jc.autodiff_twin([]), TypeError, "autodiff_twin: thing, if no rule and no network, must be a public operation of jaxcnn, got []"),
    (lambda: jc.jit(3), TypeError, "jit: f must be a function, got 3"),
    (lambda: jc.jit(double, compiler_options="fast"), TypeError, "jit: compiler_options must be a dict of options by name, got 'fast'"),
    (lambda: jc.compiler_options(3), TypeError, "compiler_options: platform must be a name such as \"cpu\" or \"cuda\", or None, got 3"),
    # constructors of networks
    (lambda: models.lenet5(classes=0), ValueError, "lenet5: classes must be at least 1, got 0"),
    (lambda: models.airbench94(whitening=1), TypeError, "airbench94: whitening must be a function, got 1"),
    (lambda: models.airbench94(head="zeros"), TypeError, "airbench94: head must be a function, got 'zeros'"),
    (lambda: models.airbench94(scale="1/9"), TypeError, "airbench94: scale must be a number, got '1/9'"),
    (lambda: models.airbench96(0), ValueError, "airbench96: classes must be at least 1, got 0"),
    (lambda: models.airbench96(widths=(1, 2)), ValueError, "airbench96: widths must be three numbers of maps, got (1, 2)"),
    (lambda: models.airbench96(whitening=1), TypeError, "airbench96: whitening must be a function, got 1"),
    # drop-ins
    (lambda: interop.conv_general_dilated(X, K, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), out_sharding="data"), TypeError, "conv_general_dilated: out_sharding must be a sharding or a PartitionSpec, got 'data'"),
    (lambda: interop.conv_transpose([1.0], K, (2, 2), "SAME"), TypeError, "conv_transpose: lhs must be an array, got list"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", rhs_dilation=(0, 1)), ValueError, "conv_transpose: rhs_dilation must be at least 1, got 0"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", dimension_numbers="NHWC"), ValueError, "conv_transpose: dimension_numbers must be None"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", preferred_element_type=jnp.int8), TypeError, "conv_transpose: preferred_element_type must be a dtype of floats no narrower than float32, got int8"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", precision="best"), ValueError, "conv_transpose: precision must be None"),
    (lambda: interop.max_pool(X > 0, (2, 2)), TypeError, "max_pool: inputs must hold floating-point numbers, got dtype bool"),
    (lambda: interop.min_pool([1.0], (2, 2)), TypeError, "min_pool: inputs must be an array, got list"),
    (lambda: interop.min_pool(X, (2, 2), (0, 1)), ValueError, "min_pool: strides must be at least 1, got 0"),
    (lambda: interop.min_pool(X, (2, 2), padding="HALF"), ValueError, "min_pool: padding must be"),
    (lambda: interop.avg_pool(X, (2, 2, 2, 2)), ValueError, "avg_pool: window_shape must hold one integer per spatial axis, 1 to 3 of them, got (2, 2, 2, 2)"),
    (lambda: interop.avg_pool(X, (2, 2), (1, 2, 3)), ValueError, "avg_pool: strides must be an integer or one per spatial axis (2), got (1, 2, 3)"),
    (lambda: interop.avg_pool(X, (2, 2), padding=((1, 1),)), ValueError, "avg_pool: padding must be"),
    # checks of derivatives
    (lambda: gradcheck.check_gradients(3, B), TypeError, "check_gradients: f must be a function, got 3"),
    (lambda: gradcheck.check_gradients(double, B, twin=3), TypeError, "check_gradients: twin must be a function, got 3"),
    (lambda: gradcheck.check_gradients(double, B, adjoint=3), TypeError, "check_gradients: adjoint must be a function, got 3"),
    (lambda: gradcheck.check_gradients(double, B, B, adjoint=double), ValueError, "check_gradients: adjoint must be that of an f of one array, got 2 args"),
    (lambda: gradcheck.check_gradients(double, "B"), TypeError, "check_gradients: args[0] must be an array, got str"),
    (lambda: gradcheck.check_gradients(double), ValueError, "check_gradients: args must be one array at least, got none"),
    (lambda: gradcheck.check_gradients(double, B, orders=1.5), TypeError, "check_gradients: orders must be an integer, got 1.5"),
    (lambda: gradcheck.check_gradients(double, B, orders=-1), ValueError, "check_gradients: orders must be at least 0, got -1"),
    (lambda: gradcheck.check_gradients(double, B, symmetry=1), TypeError, "check_gradients: symmetry must be True or False, got 1"),
    (lambda: gradcheck.check_gradients(double, B, tolerance="low"), TypeError, "check_gradients: tolerance must be a number, got 'low'"),
    (lambda: gradcheck.check_gradients(double, B, difference_tolerance="low"), ValueError, "check_gradients: difference_tolerance must be \"default\", a number or None, got 'low'"),
    (lambda: gradcheck.check_gradients(double, B, difference_tolerance=None), ValueError, "check_gradients: twin must be given where differences are left out, got None"),
    (lambda: gradcheck.check_gradients(double, B, step=0), ValueError, "check_gradients: step must be positive, got 0"),
    (lambda: gradcheck.check_gradients(double, B, floor=0), ValueError, "check_gradients: floor must be positive, got 0"),
    (lambda: gradcheck.check_gradients(double, B, seed=-1), ValueError, "check_gradients: seed must be at least 0, got -1"),
    (lambda: gradcheck.assert_gradients(3, B), TypeError, "check_gradients: f must be a function, got 3"),
    (lambda: gradcheck.adjoint_error(3, double, B, B), TypeError, "adjoint_error: f must be a function, got 3"),
    (lambda: gradcheck.adjoint_error(double, 3, B, B), TypeError, "adjoint_error: adjoint must be a function, got 3"),
    (lambda: gradcheck.adjoint_error(double, double, LABELS, B), TypeError, "adjoint_error: x must hold floating-point numbers, got dtype int64"),
    (lambda: gradcheck.adjoint_error(double, double, B, B[:3]), ValueError, "adjoint_error: y must have shape (8,), got (3,)"),
    (lambda: gradcheck.adjoint_error(double, jnp.sum, B, B), ValueError, "adjoint_error: x must have shape (), got (8,)"),
    (lambda: gradcheck.open_primitives(3, 1, B), TypeError, "open_primitives: f must be a function, got 3"),
    (lambda: gradcheck.open_primitives(double, -1, B), ValueError, "open_primitives: order must be at least 0, got -1"),
    (lambda: gradcheck.open_primitives(double, 1, "B"), TypeError, "open_primitives: args[0] must be an array, got str"),
    (lambda: gradcheck.open_primitives(double, 1, B, home="no package"), ValueError, "open_primitives: home must be the name of an installed package, got 'no package'"),
    (lambda: gradcheck.pullback(3, 1), TypeError, "pullback: f must be a function, got 3"),
    (lambda: gradcheck.pullback(double, 1.5), TypeError, "pullback: order must be an integer, got 1.5"),
    (lambda: gradcheck.up_to_pullback(3, 1), TypeError, "up_to_pullback: f must be a function, got 3"),
    (lambda: gradcheck.up_to_pullback(double, -1), ValueError, "up_to_pullback: order must be at least 0, got -1"),
    (lambda: gradcheck.pullback_arguments(3, 1, [B]), TypeError, "pullback_arguments: f must be a function, got 3"),
    (lambda: gradcheck.pullback_arguments(double, -1, [B]), ValueError, "pullback_arguments: order must be at least 0, got -1"),
    (lambda: gradcheck.pullback_arguments(double, 1, B), TypeError, "pullback_arguments: args must be a sequence of arrays, got ArrayImpl"),
    (lambda: gradcheck.pullback_arguments(double, 1, [B], seed="0"), TypeError, "pullback_arguments: seed must be an integer, got '0'"),
    (lambda: gradcheck.jacobian(3, [B]), TypeError, "jacobian: f must be a function, got 3"),
    (lambda: gradcheck.jacobian(double, [LABELS]), TypeError, "jacobian: args[0] must hold floating-point numbers, got dtype int64"),
    (lambda: gradcheck.jacobian(double, B), TypeError, "jacobian: args must be a sequence of arrays, got ArrayImpl"),
    (lambda: gradcheck.finite_differences(3, [B]), TypeError, "finite_differences: f must be a function, got 3"),
    (lambda: gradcheck.finite_differences(double, 1.0), TypeError, "finite_differences: args must be a sequence of arrays, got float"),
    (lambda: gradcheck.finite_differences(double, [B], step=0), ValueError, "finite_differences: step must be positive, got 0"),
    (lambda: gradcheck.second_derivatives(3, [B]), TypeError, "second_derivatives: f must be a function, got 3"),
    (lambda: gradcheck.second_derivatives(double, B), TypeError, "second_derivatives: args must be a sequence of arrays, got ArrayImpl"),
    (lambda: gradcheck.second_derivatives(double, [B], seed=-1), ValueError, "second_derivatives: seed must be at least 0, got -1"),
    (lambda: gradcheck.random_like([1.0], 0), TypeError, "random_like: tree must hold arrays or their shapes, got 1.0"),
    (lambda: gradcheck.random_like(B, -1), ValueError, "random_like: seed must be at least 0, got -1"),
    (lambda: gradcheck.default_step(jnp.int32), TypeError, "default_step: dtype must be a dtype of floats, got"),
    (lambda: gradcheck.relative_error([1.0], B), TypeError, "relative_error: value must hold arrays, got 1.0"),
    (lambda: gradcheck.relative_error(B, "B"), TypeError, "relative_error: reference must hold arrays, got 'B'"),
    (lambda: gradcheck.relative_error(B, B, floor=0), ValueError, "relative_error: floor must be positive, got 0"),
]  # fmt: skip

MAP = (8, 8, 4)
# Every layer with settings that are right, and the size of an input that it takes.
RIGHT = {
    layers.Activation: ({"op": jc.softmax, "settings": {"axis": -1}}, MAP),
    layers.BatchNorm: ({}, MAP),
    layers.Conv: ({"features": 4, "window_size": 3}, MAP),
    layers.TrueConv: ({"features": 4, "window_size": 3}, MAP),
    layers.ConvTranspose: ({"features": 4, "window_size": 3, "stride": 2}, MAP),
    layers.CropChannels: ({"before": 1, "after": 1}, MAP),
    layers.Dense: ({"features": 3}, (4,)),
    layers.DepthwiseConv: ({"window_size": 3}, MAP),
    layers.Dilate: ({"rate": 2}, MAP),
    layers.DropBlock: ({"block": 2}, MAP),
    layers.Dropout: ({}, MAP),
    layers.Embedding: ({"vocabulary": 3, "features": 2}, (5,)),
    layers.Flatten: ({}, MAP),
    layers.Fold: ({"window_size": 2, "input_size": (9, 9)}, MAP),
    layers.GroupNorm: ({"groups": 2}, MAP),
    layers.Identity: ({}, MAP),
    layers.InstanceNorm: ({}, MAP),
    layers.LayerNorm: ({}, MAP),
    layers.LocalResponseNorm: ({}, MAP),
    layers.Maxout: ({}, MAP),
    layers.Pad: ({"padding": 1}, MAP),
    layers.PadChannels: ({}, MAP),
    layers.Patches: ({"window_size": 2}, MAP),
    layers.RMSNorm: ({}, MAP),
    layers.Scale: ({"factor": 2}, MAP),
    layers.ScaleChannels: ({}, MAP),
    layers.SpatialDropout: ({}, MAP),
    layers.Subsample: ({"rate": 2}, MAP),
    layers.TableConv: ({"table": ((0, 1), (2, 3)), "window_size": 3}, MAP),
    layers.Unflatten: ({"shape": (2, 2)}, (4,)),
    layers.Upsample: ({"size": 2}, MAP),
    layers.AdaptiveAvgPool: ({"output_size": 2}, MAP),
    layers.AdaptiveMaxPool: ({"output_size": 2}, MAP),
    layers.GlobalAvgPool: ({}, MAP),
    layers.GlobalMaxPool: ({}, MAP),
    **dict.fromkeys(
        (layers.AvgPool, layers.LpPool, layers.MaxPool, layers.SumPool), ({"window_size": 2}, MAP)
    ),
}
BELOW_ONE = (0, ValueError, "must be at least 1, got 0")
NEGATIVE = (-1, ValueError, "must be at least 0, got -1")
NO_BOOL = (1, TypeError, "must be True or False, got 1")
NO_FUNCTION = (0, TypeError, "must be a function, got 0")
NOT_POSITIVE = (0, ValueError, "must be finite and above 0, got 0")
NO_SHARE = (1.5, ValueError, "must lie in [0, 1], got 1.5")
NO_MODE = ("mirror", ValueError, "must be one of zeros, reflect, replicate, circular, got 'mirror'")
# One wrong value for every setting, and what is said of it.
WRONG = {
    **dict.fromkeys(
        (
            "features", "vocabulary", "multiplier", "pieces", "window_size", "stride", "dilation",
            "input_dilation", "groups", "rate", "size", "output_size", "block",
        ),
        BELOW_ONE,
    ),
    **dict.fromkeys(("before", "after", "output_padding"), NEGATIVE),
    **dict.fromkeys(
        (
            "use_bias", "use_scale", "ceil_mode", "count_include_pad", "keepdims", "average",
            "unbiased",
        ),
        NO_BOOL,
    ),
    **dict.fromkeys(
        (
            "kernel_init", "bias_init", "scale_init", "weight_init", "table_init", "rule",
            "pad_rule", "inference_rule",
        ),
        NO_FUNCTION,
    ),
    **dict.fromkeys(("epsilon", "k", "alpha", "beta"), NOT_POSITIVE),
    **dict.fromkeys(("padding_mode", "mode"), NO_MODE),
    "padding": (1.5, TypeError, "must be an integer, got 1.5"),
    "precision": ("best", ValueError, "must be None, one of jax.lax.Precision"),
    "method": ("winograd", ValueError, 'must be "direct" or "fft"'),
    "input_size": ((9,), ValueError, "must be an integer or one per spatial axis (2), got (9,)"),
    "shape": (4, TypeError, "must be a sequence of integers, got 4"),
    "table": ((), ValueError, "must name the inputs of one output at least, got ()"),
    "axes": (1.5, TypeError, "must be an integer, got 1.5"),
    "axis_name": (0, TypeError, "must be a name or several, got 0"),
    "momentum": NO_SHARE,
    "factor": ("2", TypeError, "must be a number, got '2'"),
    "p": (0.5, ValueError, "must be at least 1, got 0.5"),
    "op": (jnp.sin, TypeError, "must be a public operation of jaxcnn"),
    "settings": ("axis", TypeError, "must be a dict of keyword arguments of softmax, axis, got 'axis'"),
}  # fmt: skip
DROPPING = (layers.Dropout, layers.SpatialDropout, layers.DropBlock)
# The operation's own word for a setting.
WORDS = {"window_size": "window(_size)?"}


def dtype_of(kind):
    return jnp.int32 if kind is layers.Embedding else jnp.float32


def settings_of_layers():
    for kind, (right, _) in RIGHT.items():
        for setting in dataclasses.fields(kind):
            wrong = WRONG[setting.name]
            if kind in DROPPING and setting.name == "rate":
                wrong = NO_SHARE
            yield pytest.param(
                kind, right, setting.name, wrong, id=f"{kind.__name__} {setting.name}"
            )


@pytest.mark.parametrize(("kind", "right", "name", "wrong"), [*settings_of_layers()])
def test_every_setting_of_every_layer_put_in_wrong(kind, right, name, wrong):
    value, error, sentence = wrong
    with pytest.raises(error) as caught:
        trial(kind(**{**right, name: value}), RIGHT[kind][1], dtype_of(kind))
    message = str(caught.value)
    assert re.match(rf"\w+: {WORDS.get(name, name)} {re.escape(sentence)}", message), message
    assert "\n" not in message


@pytest.mark.sampled(8)
@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.__name__)
def test_what_is_right_is_right(kind):
    settings, size = RIGHT[kind]
    trial(kind(**settings), size, dtype_of(kind))


@pytest.mark.parametrize(("call", "kind", "sentence"), TABLE, ids=[row[2][:60] for row in TABLE])
def test_bad_input(call, kind, sentence):
    test_errors.test_bad_input(call, kind, sentence)


# Results and base classes: not to be called by anybody, or by subclasses only.
NOT_CALLED = {layers.Layer, layers.Leaf, layers.Row, gradcheck.Finding}
MODULES = (layers, models, interop, initializers, gradcheck)


def public_callables():
    """All that can be called, but for operations, which `test_errors` takes care of."""
    ours = {jc.backprop, jc.autodiff_twin, jc.jit, jc.compiler_options}
    for module in MODULES:
        ours |= {
            thing
            for name, thing in vars(module).items()
            if name[0] != "_"
            and callable(thing)
            and getattr(thing, "__module__", "").startswith("jaxcnn.")
        }
    return ours - NOT_CALLED


def test_every_public_callable_has_a_row():
    rows = {name for call, *_ in test_errors.TABLE + TABLE for name in call.__code__.co_names}
    rows |= {kind.__name__ for kind in RIGHT}
    missing = {thing.__name__ for thing in public_callables()} - rows
    assert not missing


def test_every_layer_is_among_those_put_in_wrong():
    kinds = {k for k in public_callables() if isinstance(k, type) and issubclass(k, layers.Leaf)}
    assert kinds == set(RIGHT)


# Taken as they come: options of others, and arguments that another function's rows refuse.
PASSED_ON = {
    "assert_gradients: f", "assert_gradients: args", "assert_gradients: options",
    "jit: settings", "backprop: net", "backprop: x", "backprop: targets",
}  # fmt: skip


def test_every_argument_of_every_function_has_a_row():
    """But for combinators and summaries, whose sentences name the layer that is wrong."""
    # Operations have the names of some drop-ins: their rows do not count here.
    modules = {"models", "interop", "initializers", "gradcheck", "lax_conv"}
    others = [row for row in test_errors.TABLE if modules & {*row[0].__code__.co_names}]
    said = {found for *_, text in others + TABLE for found in re.findall(r"^(\w+: \w+)", text)}
    wanted = {
        f"{function.__name__}: {argument}"
        for function in public_callables()
        if inspect.isfunction(function) and not function.__module__.startswith("jaxcnn.layers")
        for argument in inspect.signature(function).parameters
    }
    missing = wanted - said - PASSED_ON
    assert not missing
