"""Everything public that can be called, with arguments that are right: one table for many tests."""

import inspect
import os

import jax
import jax.numpy as jnp

import jaxcnn as jc
from jaxcnn import attribution, gradcheck, initializers, interop, layers, models, page, rules
from jaxcnn.gradcheck.cases import activation

X = jnp.ones((2, 6, 6, 4), jnp.float32)
K = jnp.ones((3, 3, 4, 8), jnp.float32)
B = jnp.ones((8,), jnp.float32)
LOGITS = jnp.ones((3, 5), jnp.float32)
LABELS = jnp.array([0, 1, 2])
IDS = jnp.array([0, 1, 2], jnp.int32)
KEY = jax.random.key(0)
DELTA = jnp.ones((2, 3, 3, 4), jnp.float32)
SWITCHES = jnp.zeros((2, 3, 3, 4), jnp.uint8)
IMAGES = jnp.ones((3, 2, 2), jnp.float32)
NET = layers.serial(layers.Flatten(), layers.Dense(3, use_bias=False))
PARAMS = {"dense1": {"weight": LOGITS.T[:4]}}
TENSORS = {"1.weight": jnp.ones((3, 4), jnp.float32)}
RECTIFIED = layers.serial(layers.Flatten(), layers.Activation(), dense1=NET.children[1][1])
CONVOLVED = layers.serial(a=layers.MaxPool(2), b=layers.GlobalAvgPool())
CROSS = jc.softmax_cross_entropy
REGRESSIONS = (jc.squared_error, jc.absolute_error, jc.huber, jc.smooth_l1, jc.kl_divergence)


def double(x, *others):
    return jax.tree.map(lambda leaf: 2 * leaf, x)


CONV = {"x": X, "kernel": K, "bias": B}
FITTING = {"x": X, "window": 2}
AT_SWITCHES = {"switches": SWITCHES, "window": 2}
LAX = {"lhs": X, "rhs": K, "padding": "SAME", "dimension_numbers": ("NHWC", "HWIO", "NHWC")}
FLAX = {"inputs": X, "window_shape": (2, 2)}
STATISTICS = {"mean": B[:4], "variance": B[:4]}
TARGETS = {"targets": LOGITS}

OPERATIONS = {
    jc.conv: CONV,
    jc.true_conv: CONV,
    jc.depthwise_conv: {"x": X, "kernel": K[:, :, :1, :4], "bias": B[:4]},
    jc.table_conv: {"x": X, "weights": K[..., 0], "bias": B[:2], "table": ((0, 1), (1, 3))},
    jc.conv_transpose: {"x": X, "kernel": K[..., :4], "bias": B[:4]},
    jc.conv_input_grad: {"delta": X, "kernel": K[..., :4], "input_size": (8, 8)},
    jc.conv_kernel_grad: {"x": X, "delta": X, "kernel_size": (1, 1)},
    jc.pad: {"x": X, "padding": 1},
    jc.fold_back: {"delta": X, "padding": 1},
    jc.rot180: {"kernel": K},
    jc.dilate: {"x": X, "rate": 2},
    jc.subsample: {"x": X, "rate": 2},
    jc.max_pool: FITTING,
    jc.max_pool_with_switches: FITTING,
    jc.avg_pool: FITTING,
    jc.sum_pool: FITTING,
    jc.lp_pool: FITTING,
    jc.sum_pool_input_grad: {"delta": DELTA, "window": 2, "input_size": (6, 6)},
    jc.gather_at_switches: {"x": X, **AT_SWITCHES},
    jc.scatter_at_switches: {"delta": DELTA, **AT_SWITCHES, "input_size": (6, 6)},
    jc.max_unpool: {"x": DELTA, **AT_SWITCHES, "input_size": (6, 6)},
    jc.global_avg_pool: {"x": X},
    jc.global_max_pool: {"x": X},
    jc.adaptive_avg_pool: {"x": X, "output_size": 2},
    jc.adaptive_max_pool: {"x": X, "output_size": 2},
    jc.upsample: {"x": X, "size": 2},
    jc.resize: {"x": X, "size": 4},
    jc.resize_input_grad: {"delta": X, "input_size": 4},
    jc.pixel_shuffle: {"x": X, "block": 2},
    jc.pixel_unshuffle: {"x": X, "block": 2},
    jc.patches: FITTING,
    jc.fold: {"delta": X, "window": 2, "input_size": (7, 7)},
    jc.dense: {"x": LOGITS, "weight": LOGITS.T},
    jc.dense_input_grad: {"delta": LOGITS, "weight": LOGITS},
    jc.dense_weight_grad: {"x": LOGITS, "delta": LOGITS},
    jc.embedding: {"ids": LABELS, "table": LOGITS},
    jc.embedding_table_grad: {"ids": LABELS, "delta": LOGITS, "vocabulary": 3},
    jc.flatten: {"x": X},
    jc.unflatten: {"x": LOGITS, "shape": (5,)},
    jc.concatenate: {"parts": [X, X]},
    jc.split: {"x": X, "sizes": (2, 2)},
    jc.pad_channels: {"x": X},
    jc.crop_channels: {"x": X},
    jc.scale_channels: {"x": X, "scale": B[:4], "bias": B[:4]},
    **{case.op: {"x": LOGITS} for case in activation.CASES},
    jc.prelu: {"x": X, "slope": B[:4]},
    jc.maxout: {"x": X, "pieces": 2},
    jc.batch_norm: {"x": X, "scale": B[:4], "bias": B[:4]},
    jc.batch_norm_inference: {"x": X, "scale": None, "bias": None, **STATISTICS},
    jc.layer_norm: {"x": LOGITS},
    jc.group_norm: {"x": X, "groups": 2},
    jc.instance_norm: {"x": X},
    jc.rms_norm: {"x": LOGITS},
    jc.local_response_norm: {"x": X},
    jc.softmax_cross_entropy: {"logits": LOGITS, "targets": LABELS},
    jc.sigmoid_binary_cross_entropy: {"logits": LOGITS, **TARGETS},
    jc.sigmoid_squared_error: {"logits": LOGITS, **TARGETS},
    **{op: {"predictions": LOGITS, **TARGETS} for op in REGRESSIONS[:-1]},
    jc.kl_divergence: {"log_predictions": LOGITS, **TARGETS},
    jc.weight_decay: {"params": {"a": LOGITS}, "strength": 0.1},
    jc.dropout: {"x": X, "key": KEY, "rate": 0.5},
    jc.spatial_dropout: {"x": X, "key": KEY, "rate": 0.5},
    jc.drop_block: {"x": X, "key": KEY, "rate": 0.5, "block": 2},
}  # fmt: skip

PASS = {"net": NET, "params": PARAMS, "state": {}, "x": IMAGES}
ORDER = {"f": double, "order": 1}
# y = max(x, 0) for an x of n rows of 2, as a file of ONNX.
RELU = (
    b'\x08\t:=\n\x0c\n\x01x\x12\x01y"\x04Relu\x12\x01gZ\x14\n\x01x\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12'
    b"\x01n\n\x02\x08\x02b\x14\n\x01y\x12\x0f\n\r\x08\x01\x12\t\n\x03\x12\x01n\n\x02\x08\x02B\x04\n\x00\x10\x14"
)
FUNCTIONS = {
    jc.autodiff_twin: {"thing": jc.conv},
    jc.backprop: {**PASS, "targets": LABELS, "loss": CROSS},
    jc.jit: {"f": double},
    jc.with_rules: {"f": double},
    jc.forms: {"name": "plain"},
    jc.explain_forms: {"f": double, "args": [B]},
    jc.swap_rules: {"net": NET, "rules": {jc.relu: double}},
    jc.with_backward: {"of": jc.relu, "backward": double},
    layers.up_to: {"net": NET, "layer": "dense1"},
    **{
        getattr(attribution, name): {**PASS, "target": 1}
        for name in (
            "saliency",
            "gradient_times_input",
            "integrated_gradients",
            "lrp",
            "relevance",
            "deep_lift",
        )
    },
    attribution.guided_backprop: {**PASS, "net": RECTIFIED, "target": 1},
    attribution.deconvolution: {**PASS, "net": RECTIFIED, "target": 1},
    attribution.smooth_grad: {**PASS, "target": 1, "key": KEY, "samples": 2},
    attribution.occlusion: {
        "net": CONVOLVED,
        "params": {},
        "state": {},
        "x": X,
        "target": 1,
        "window": 3,
        "stride": 3,
    },
    attribution.grad_cam: {"net": CONVOLVED, "params": {}, "state": {}, "x": X, "layer": "a"},
    attribution.grad_cam_plus_plus: {
        "net": CONVOLVED,
        "params": {},
        "state": {},
        "x": X,
        "layer": "a",
    },
    attribution.picture: {"values": X},
    jc.compiler_options: {},
    layers.separable_conv: {"features": 3, "window_size": 3},
    layers.rows: {"net": NET, "input_shape": (2, 2)},
    layers.summary: {"net": NET, "input_shape": (2, 2)},
    layers.serial: {"layers": [NET]},
    layers.concatenated: {"branches": [NET]},
    layers.heads: {"by_name": {"a": NET}},
    layers.residual: {"body": [NET]},
    layers.Serial: {"children": (("a", NET),)},
    layers.Branches: {"children": (("a", NET),)},
    interop.conv_general_dilated: {**LAX, "window_strides": (1, 1)},
    interop.conv_transpose: {**LAX, "strides": (2, 2)},
    interop.max_pool: FLAX,
    interop.min_pool: FLAX,
    interop.avg_pool: FLAX,
    interop.from_torch: {"net": NET, "weights": TENSORS, "input_shape": (2, 2)},
    interop.to_safetensors: {"params": {"a": B}, "state": {}, "path": os.devnull},
    interop.from_onnx: {"source": RELU, "constants": {}},
    interop.to_onnx: {"net": NET, "params": PARAMS, "state": {}, "input_shape": (2, 2)},
    initializers.dirac: {},
    initializers.patch_whitening: {"images": X},
    page.page: {"net": NET, "params": PARAMS, "state": {}, "images": IMAGES, "labels": LABELS},
    page.formula_of: {"layer": NET},
    page.kind_of: {"layer": NET},
    rules.custom_rule: {"fun": double},
    rules.adjoints: {"f": rules.custom_rule(double), "g": rules.custom_rule(double)},
    rules.unary: {"keep": double, "back": double},
    rules.sloped: {"slope": double},
    rules.linear: {"f": rules.custom_rule(double), "bwd": double},
    rules.product: {"f": rules.custom_rule(double)},
    rules.arithmetic: {"f": double, "plainly": double, "linear": (0,)},
    rules.selection: {"f": rules.custom_rule(double), "scatter": double, "gather": double},
    rules.constant: {"f": rules.custom_rule(double)},
    gradcheck.adjoint_error: {"f": double, "adjoint": double, "x": B, "y": B},
    gradcheck.relative_error: {"value": B, "reference": B},
    gradcheck.default_step: {"dtype": jnp.float32},
    gradcheck.random_like: {"tree": B, "seed": 0},
    gradcheck.pullback: ORDER,
    gradcheck.up_to_pullback: ORDER,
    gradcheck.pullback_arguments: {**ORDER, "args": [B]},
    gradcheck.jacobian: {"f": double, "args": [B]},
    gradcheck.finite_differences: {"f": double, "args": [B]},
    gradcheck.second_derivatives: {"f": double, "args": [B]},
    gradcheck.mixtures: {"order": 2},
    gradcheck.derivative: {"f": double, "modes": "fr"},
    gradcheck.derivative_arguments: {"f": double, "modes": "fr", "args": [B]},
    gradcheck.check_gradients: {"f": double, "args": [B]},
    gradcheck.assert_gradients: {"f": double, "args": [B]},
    gradcheck.open_primitives: {**ORDER, "args": [B]},
    **{model: {} for model in vars(models).values() if inspect.isfunction(model)},
}

MAP = (8, 8, 4)
WINDOW = ({"window_size": 2}, MAP)
FILTERS = {"features": 4, "window_size": 3}
# Every layer with settings that are right, and the size of an input that it takes.
LAYERS = {
    layers.Activation: ({"op": jc.softmax, "settings": {"axis": -1}}, MAP),
    layers.BatchNorm: ({}, MAP),
    layers.Conv: (FILTERS, MAP),
    layers.TrueConv: (FILTERS, MAP),
    layers.ConvTranspose: ({**FILTERS, "stride": 2}, MAP),
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
    layers.Patches: WINDOW,
    layers.PixelShuffle: ({"block": 2}, MAP),
    layers.PixelUnshuffle: ({"block": 2}, MAP),
    layers.PReLU: ({}, MAP),
    layers.RMSNorm: ({}, MAP),
    layers.Resize: ({"size": 4}, MAP),
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
    **dict.fromkeys((layers.AvgPool, layers.LpPool, layers.MaxPool, layers.SumPool), WINDOW),
}


def trial(layer, size, dtype=None):
    """Everything that a layer does, on shapes alone: init and a pass of training."""
    if dtype is None:
        dtype = jnp.int32 if isinstance(layer, layers.Embedding) else jnp.float32

    def run(key):
        params, state = layer.init(key, size)
        return layer.apply(params, state, jnp.ones((2, *size), dtype), key=key, train=True)

    return jax.eval_shape(run, KEY)


def called(function, given):
    """The function's result for arguments by name, those that it takes in any number included."""
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    if not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        return function(**given)
    places, words = [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in given:
            continue
        value = given[name]
        match parameter.kind:
            case parameter.VAR_POSITIONAL:
                places += value if isinstance(value, list) else [value]
            case parameter.VAR_KEYWORD:
                words |= value if isinstance(value, dict) else {name: value}
            case parameter.KEYWORD_ONLY:
                words[name] = value
            case _:
                places.append(value)
    return function(*places, **words)


# Results, base classes, and the frame of every page, into which a page's own data are put.
NOT_CALLED = {
    layers.Layer, layers.Leaf, layers.Row, layers.Summary, gradcheck.Finding, attribution.Relevance,
    page.shell,
}  # fmt: skip


def public():
    """All that can be called: what is defined here, and has a public name."""
    modules = (jc, layers, models, interop, initializers, gradcheck, attribution, rules, page)
    things = {
        thing
        for module in modules
        for name, thing in vars(module).items()
        if name[0] != "_"
        and callable(thing)
        and getattr(thing, "__module__", "").startswith(
            "jaxcnn.rules" if module is rules else "jaxcnn."
        )
    }
    return things - NOT_CALLED
