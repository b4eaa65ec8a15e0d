"""Where other frameworks compute something else: a row each, which a test runs where they install."""

from typing import NamedTuple


class Difference(NamedTuple):
    """What is different, for which operations, and who does what.

    key: the name of the row, and of its test in tests/test_differences*.py.
    """

    key: str
    what: str
    rules: tuple[str, ...]
    jaxcnn: str
    others: dict[str, str]


BY_HAND = {"MLX": "0.32.4", "tinygrad": "0.14.0", "ncnn": "1.0.20261020", "OpenVINO": "2026.4.1"}
"""No extra installs these and no test asks them: what is told of them was run by hand, with these releases from PyPI."""
PACKAGES = {
    "PyTorch": "torch",
    "JAX": "jax",
    "Flax": "flax",
    "Equinox": "equinox",
    "Keras": "keras",
    "ONNX": "onnx",
    "onnxruntime": "onnxruntime",
}
"""The others, by the names of their packages. ONNX is its reference evaluator."""

POOLS = ("max_pool", "global_max_pool", "adaptive_max_pool", "max_pool_with_switches")
ADAPTIVE = ("adaptive_avg_pool", "adaptive_max_pool")
DIFFERENCES = (
    # Pooling
    Difference("default_stride", "2 × 2 pooling of a 4 × 4 map, no stride given: the size of the result",
               ("max_pool", "max_pool_with_switches", "avg_pool"), "2, 2: the window's",
               {"PyTorch": "2, 2", "Flax": "3, 3: stride 1", "Equinox": "3, 3: stride 1", "Keras": "2, 2, by its layers",
                "MLX": "2, 2", "tinygrad": "2, 2"}),
    Difference("tie", "maximum of three equal numbers: the share of δ for each", POOLS, "1, 0, 0: the first",
               {"PyTorch": "1, 0, 0", "Flax": "1, 0, 0", "Keras": "1, 0, 0", "MLX": "a third each",
                "tinygrad": "a third each"}),
    Difference("nan_window", "maximum of NaN, 1, 2 and of 1, 2, NaN", POOLS, "NaN, NaN",
               {"PyTorch": "NaN, NaN", "Flax": "NaN, NaN", "onnxruntime": "2, 2; of longer windows NaN at some places",
                "MLX": "NaN, NaN", "tinygrad": "NaN, 2", "ncnn": "2, NaN", "OpenVINO": "2, 2"}),
    Difference("nan_gradient", "maximum of a window NaN, 1, NaN, 2: where δ goes", POOLS, "1, 0, 0, 0: to the first NaN",
               {"PyTorch": "0, 0, 1, 0: to the last NaN", "Flax": "to a number", "MLX": "NaN for all four"}),
    Difference("infinite_window", "maximum over windows of 3 in −∞, −∞, −∞, padded by 1", POOLS, "−∞, −∞, −∞",
               {"PyTorch": "−∞, −∞, −∞", "Flax": "−∞, −∞, −∞", "onnxruntime": "−3.403e38, −3.403e38, −3.403e38",
                "MLX": "−∞, −∞, −∞", "tinygrad": "−∞, −∞, −∞", "ncnn": "−3.403e38, −∞, −3.403e38",
                "OpenVINO": "−3.403e38, −3.403e38, −3.403e38"}),
    Difference("infinite_padding", "maximum over windows of 3 in four −∞, padded explicitly by 1: the sum of the gradients", POOLS,
               "4, that of δ: padding is never chosen",
               {"PyTorch": "4", "Flax": "less: the padding took some", "MLX": "3.333"}),
    Difference("ceil_max", "maximum, window 2, stride 3, of 1, 2, 3, 4 padded by 1, rounded up: a last window in the padding",
               ("max_pool", "max_pool_with_switches", "sum_pool", "avg_pool", "lp_pool"), "1, 4: left out",
               {"PyTorch": "1, 4", "onnxruntime": "1, 4", "tinygrad": "1, 4", "ncnn": "1, 4, −3.403e38 (it rounds up by default)",
                "OpenVINO": "`ceil` 1, 4, −3.403e38; `ceil_torch` 1, 4"}),
    Difference("ceil_average", "average, window 3, stride 2, of 1, 2, 3, 4, rounded up, unpadded and padded by 1: all agree", ("avg_pool",),
               "2, 3.5, 1, 3, 2: what overhangs map and padding does not count",
               {"PyTorch": "2, 3.5, 1, 3, 2", "onnxruntime": "2, 3.5, 1, 3, 2"}),
    Difference("same_dilated", "maximum, window 3, dilation 2, padding SAME, of 1, 2, 3, 4, 9, 6, 7", ("max_pool",),
               "3, 4, 9, 6, 9, 6, 9", {"JAX": "3, 4, 9, 6, 9, 6, 9, by `lax.reduce_window`", "onnxruntime": "4, 9, 6, 9, 6: padded as if not dilated"}),
    Difference("adaptive_windows", "adaptive average of 0 to 6 to 3 numbers", ADAPTIVE,
               "1, 3, 5: windows overlap", {"PyTorch": "1, 3, 5", "Keras": "1, 3, 5", "Equinox": "1, 3.5, 5.5: they do not"}),
    Difference("adaptive_finer", "adaptive average of 0, 1 to three numbers", ADAPTIVE, "0, 0.5, 1",
               {"PyTorch": "0, 0.5, 1", "Equinox": "it divides by zero"}),
    Difference("counted_padding", "average, window 3, stride 1, of four ones, SAME: whether the padding counts", ("avg_pool",),
               "0.6667, 1, 1, 0.6667: by default it does",
               {"PyTorch": "0.6667, 1, 1, 0.6667", "Flax": "0.6667, 1, 1, 0.6667", "Equinox": "0.6667, 1, 1, 0.6667",
                "Keras": "1, 1, 1, 1", "onnxruntime": "1, 1, 1, 1", "MLX": "0.6667, 1, 1, 0.6667",
                "tinygrad": "0.6667, 1, 1, 0.6667", "ncnn": "1, 1, 1, 1"}),
    Difference("lp_ceil", "LP pooling, p = 2, window 2, of three ones, rounded up: a window that overhangs the end", ("lp_pool",),
               "1.414, 1: sums what is there", {"PyTorch": "1.414, 1.414: scales up"}),
    Difference("lp_sign", "LP pooling, p = 1, of −3, 1", ("lp_pool",), "4: |x| is taken", {"PyTorch": "−2: it is not"}),
    Difference("unpool_overlap", "unpooling the maxima 3, 3 of 1, 3, 2, window 2, stride 1: one place twice",
               ("max_unpool", "scatter_at_switches"), "0, 6, 0: they add up", {"PyTorch": "0, 3, 0: one is kept"}),
    # Activations
    Difference("relu6_kinks", "slope of relu6 at 0 and 6", ("relu6",), "0, 0",
               {"PyTorch": "0, 0", "JAX": "`nn.relu6` 0, 0; `jnp.clip` 0.5, 0.5", "MLX": "0, 0", "tinygrad": "0, 1"}),
    Difference("leaky_kink", "slope of leaky relu at 0", ("leaky_relu", "prelu"), "1",
               {"JAX": "1", "PyTorch": "0.01, the slope of the left", "Keras": "1", "MLX": "1"}),
    Difference("leaky_default", "leaky relu of −1 by default", ("leaky_relu",), "−0.01",
               {"PyTorch": "−0.01", "JAX": "−0.01", "Keras": "−0.2 (its layer −0.3)"}),
    Difference("hard_tanh_kinks", "slope of hard tanh, and of clipping, at −1 and 1", ("hard_tanh",), "1, 1",
               {"JAX": "`nn.hard_tanh` 1, 1; `jnp.clip` 0.5, 0.5; `lax.clamp` 0, 0",
                "PyTorch": "`hardtanh` 0, 0; `clamp` 1, 1", "Keras": "1, 1"}),
    Difference("hard_sigmoid_line", "hard sigmoid of 1", ("hard_sigmoid", "hard_swish"), "0.6667: the line is x/6 + ½",
               {"PyTorch": "0.6667", "JAX": "0.6667", "Keras": "0.6667", "ONNX": "0.7: HardSigmoid's is x/5 + ½"}),
    Difference("gelu_default", "GELU of 1 by default", ("gelu",), "0.8413: exact",
               {"PyTorch": "0.8413", "ONNX": "0.8413", "JAX": "0.8412: by tanh", "Keras": "0.8413 (its `ops.gelu` 0.8412)",
                "MLX": "0.8413", "tinygrad": "0.8412"}),
    # Losses
    Difference("mean_bce", "binary cross-entropy of logits 1, −2, 3, 4 for 0, 1, 0, 1, one example, reduction “mean”",
               ("sigmoid_binary_cross_entropy",), "6.507: summed over the outputs",
               {"PyTorch": "1.627: the mean over all elements", "Keras": "1.627"}),
    Difference("mean_huber", "Huber loss of errors 1, 2, 3, 4, one example, reduction “mean”", ("huber",),
               "8: summed over the outputs", {"PyTorch": "2: the mean over all elements", "Keras": "2"}),
    Difference("mean_smooth_l1", "smooth L1 loss of errors 1, 2, 3, 4, one example, reduction “mean”", ("smooth_l1",),
               "8: summed over the outputs", {"PyTorch": "2: the mean over all elements"}),
    Difference("mean_absolute", "absolute errors 1, 2, 3, 4, one example, reduction “mean”", ("absolute_error",),
               "10: summed over the outputs", {"PyTorch": "2.5: the mean over all elements", "Keras": "2.5"}),
    Difference("mean_squared", "squared errors of 1, 2, 3, 4, one example, reduction “mean”",
               ("squared_error", "sigmoid_squared_error"), "15: half the sum over the outputs",
               {"PyTorch": "7.5: the mean over all elements", "Keras": "7.5"}),
    Difference("squared_error_half", "squared errors of 1, 2, 3, 4, reduction “sum”", ("squared_error", "sigmoid_squared_error"),
               "15: ½ d²", {"PyTorch": "30: d²", "Keras": "30"}),
    Difference("mean_kl", "KL divergence of ½, ½ from ¼, ¾, reduction “mean”", ("kl_divergence",),
               "0.1308: summed over the outputs",
               {"PyTorch": "0.06541: the mean over all elements (“batchmean” 0.1308)", "Keras": "0.1308"}),
    Difference("kl_at_zero", "KL divergence: gradient in a target of 0", ("kl_divergence",), "0", {"PyTorch": "NaN"}),
    Difference("absolute_kink", "slope of |x| at 0", ("absolute_error",), "1",
               {"JAX": "1", "PyTorch": "0", "MLX": "0", "tinygrad": "0"}),
    Difference("class_weights", "cross-entropy of two labelled examples of weights 1 and 4", ("softmax_cross_entropy",),
               "0.4174: divided by the sum of the weights", {"PyTorch": "0.4174", "Keras": "1.043: divided by the batch"}),
    Difference("ignored_label", "cross-entropy of a label −100 by default", ("softmax_cross_entropy",),
               "an error: `ignore_index` is None", {"PyTorch": "left out"}),
    Difference("weight_decay_half", "L2 penalty 0.1 of a weight 3, and its gradient", ("weight_decay",), "0.45, 0.3: ½ λ w²",
               {"PyTorch": "its optimisers' `weight_decay` adds 0.3", "Keras": "0.9, 0.6: λ w²"}),
    # Normalisation: what ±0.001, of variance 1e-6, becomes shows ε.
    Difference("layer_epsilon", "layer norm of −0.001, 0.001 by default", ("layer_norm",), "−0.3015, 0.3015: ε = 1e-5",
               {"PyTorch": "−0.3015, 0.3015", "Equinox": "−0.3015, 0.3015", "Flax": "−0.7071, 0.7071: ε = 1e-6",
                "Keras": "−0.03161, 0.03161: ε = 1e-3", "MLX": "−0.3015, 0.3015"}),
    Difference("rms_epsilon", "RMS norm of −0.001, 0.001 by default, in float32", ("rms_norm",), "−0.7071, 0.7071: ε = 1e-6",
               {"PyTorch": "−0.9452, 0.9452: ε = 1.19e-7, by the dtype", "Flax": "−0.7071, 0.7071",
                "Keras": "−0.7071, 0.7071", "Equinox": "−0.3015, 0.3015: ε = 1e-5", "MLX": "−0.3015, 0.3015"}),
    Difference("group_epsilon", "group norm, one group, of −0.001, 0.001 by default", ("group_norm",), "−0.3015, 0.3015: ε = 1e-5",
               {"PyTorch": "−0.3015, 0.3015", "Equinox": "−0.3015, 0.3015", "Flax": "−0.7071, 0.7071: ε = 1e-6",
                "Keras": "−0.03161, 0.03161: ε = 1e-3", "MLX": "−0.3015, 0.3015"}),
    Difference("instance_epsilon", "instance norm of one channel, −0.001, 0.001 by default", ("instance_norm",),
               "−0.3015, 0.3015: ε = 1e-5",
               {"PyTorch": "−0.3015, 0.3015", "Flax": "−0.7071, 0.7071: ε = 1e-6", "MLX": "−0.3015, 0.3015"}),
    Difference("batch_epsilon", "batch norm of −0.001, 0.001 by default", ("batch_norm", "batch_norm_inference"),
               "−0.3015, 0.3015: ε = 1e-5",
               {"PyTorch": "−0.3015, 0.3015", "Flax": "−0.3015, 0.3015", "Keras": "−0.03161, 0.03161: ε = 1e-3",
                "MLX": "−0.3015, 0.3015"}),
    Difference("constant_rows", "layer norm of a row of 1000.1, all the same, in float32", ("layer_norm",), "0",
               {"PyTorch": "0", "Flax": "not 0", "Equinox": "not 0"}),
    Difference("one_per_channel", "batch norm in training, one element per channel", ("batch_norm",), "the bias: 0, 0",
               {"PyTorch": "refused", "Flax": "0, 0", "Keras": "0, 0", "MLX": "refused"}),
    Difference("running_variance", "batch norm's running variance of 1, 3", ("batch_norm",), "1, biased, or by choice 2",
               {"PyTorch": "2: unbiased", "Flax": "1", "Keras": "1", "MLX": "2"}),
    Difference("running_share", "share of the old statistics that batch norm's layer keeps by default", ("batch_norm",), "0.9",
               {"PyTorch": "0.9: `momentum=0.1` is that of the new", "Flax": "0.99", "Keras": "0.99", "Equinox": "0.99"}),
    Difference("interleaved_groups", "group norm, two groups, of 1, 2, 10, 20", ("group_norm",),
               "−1, 1, −1, 1: neighbours are a group",
               {"PyTorch": "−1, 1, −1, 1", "Flax": "−1, 1, −1, 1", "Equinox": "−1, 1, −1, 1",
                "MLX": "−1, −1, 1, 1: interleaved, unless `pytorch_compatible=True`"}),
    Difference("response_default", "local response of nine ones, five seen, all else by default: the middle one",
               ("local_response_norm",), "0.5945: k = 2, as AlexNet", {"PyTorch": "0.9999: k = 1", "ONNX": "0.9999"}),
    Difference("response_alpha", "local response of nine ones, five seen, k = 1, α = 0.5: what α multiplies",
               ("local_response_norm",), "0.3908: the sum of squares, or by choice 0.7378",
               {"PyTorch": "0.7378: their mean", "ONNX": "0.7378"}),
    Difference("even_lrn", "local response of even size 4: channels seen, as offsets", ("local_response_norm",),
               "−2, −1, 0, 1", {"PyTorch": "−2, −1, 0, 1", "ONNX": "−1, 0, 1, 2", "OpenVINO": "−1, 0, 1"}),
    # Layouts, orders, sizes
    Difference("convolution_word", "“convolution” of 1, 2, 3 with 1, 10", ("conv", "true_conv"),
               "21, 32: the kernel is not turned; by `true_conv` 12, 23",
               {"PyTorch": "21, 32", "Flax": "21, 32", "Keras": "21, 32", "JAX": "`jnp.convolve` 12, 23"}),
    Difference("kernel_shape", "kernel of 3 × 4 taps from 2 channels to 5: its shape", ("conv",), "3, 4, 2, 5",
               {"PyTorch": "5, 2, 3, 4", "Equinox": "5, 2, 3, 4", "Flax": "3, 4, 2, 5", "Keras": "3, 4, 2, 5",
                "MLX": "5, 3, 4, 2"}),
    Difference("weight_shape", "weight of a dense layer from 3 to 2: its shape", ("dense",), "3, 2",
               {"PyTorch": "2, 3", "Equinox": "2, 3", "Flax": "3, 2", "Keras": "3, 2"}),
    Difference("transposed_kernel", "transposed convolution of 1 with 1, 2, 3", ("conv_transpose",),
               "1, 2, 3: the kernel is that of the convolution",
               {"PyTorch": "1, 2, 3", "Keras": "1, 2, 3", "Flax": "3, 2, 1: turned by 180°", "Equinox": "3, 2, 1"}),
    Difference("flat_order", "2 places of 2 channels, numbered by place, then channel, in a row", ("flatten",), "0, 1, 2, 3",
               {"PyTorch": "0, 2, 1, 3: by channel, then place", "Keras": "0, 1, 2, 3"}),
    Difference("patches_order", "a window of 2 × 2 places with 2 channels, numbered by place, then channel", ("patches", "fold"),
               "0, 1, 2, 3, 4, 5, 6, 7",
               {"PyTorch": "0, 2, 4, 6, 1, 3, 5, 7: by channel, then place", "JAX": "0, 2, 4, 6, 1, 3, 5, 7",
                "Keras": "0, 1, 2, 3, 4, 5, 6, 7"}),
    Difference("shuffle_order", "eight channels to 2 × 2 places by default: the first of two channels",
               ("pixel_shuffle", "pixel_unshuffle"), "0, 1, 2, 3; by `order=\"DCR\"` 0, 2, 4, 6",
               {"PyTorch": "0, 1, 2, 3", "ONNX": "DepthToSpace 0, 2, 4, 6"}),
    Difference("nearest_resize", "0 to 4 to three numbers, nearest", ("resize",), "0, 2, 4",
               {"PyTorch": "“nearest” 0, 1, 3; “nearest-exact” 0, 2, 4", "JAX": "0, 2, 4", "Keras": "0, 2, 4"}),
    Difference("resize_ties", "0 to 5 to three numbers, nearest: places between two", ("resize",),
               "0, 2, 4; by `rounding=\"round_prefer_ceil\"` 1, 3, 5",
               {"onnxruntime": "0, 2, 4", "PyTorch": "“nearest-exact” 1, 3, 5", "JAX": "1, 3, 5"}),
    Difference("resize_smooths", "0, 0, 0, 1, 0, 0, 0 to three numbers, linear", ("resize",), "0, 1, 0",
               {"PyTorch": "0, 1, 0", "Keras": "0, 1, 0", "JAX": "0, 0.4118, 0: smooths what shrinks"}),
    Difference("cubic_resize", "0, 1, 0, 0 to eight numbers, cubic: the third", ("resize",), "0.8789: a = −0.75",
               {"PyTorch": "0.8789", "JAX": "0.8473: a = −0.5"}),
    Difference("unknown_ids", "embedding of ids 2 and −1 from two rows 1, 2", ("embedding",),
               "NaN, NaN where compiled, else an error", {"PyTorch": "an error", "Flax": "NaN, 2", "Keras": "NaN, 2"}),
    # Precision
    Difference("half_sums", "32 × 32 ones in bfloat16: their average", ("sum_pool", "avg_pool", "conv"),
               "1: sums in float32, rounded once", {"PyTorch": "1", "Flax": "0.25: poolings in bfloat16"}),
    Difference("long_sums", "kernel gradient in float32, 4096 maps of 28 × 28 with one channel, kernel 5 × 5",
               ("conv_kernel_grad",), "off by less than 1e-5",
               {"PyTorch": "off by more than 1e-4, by oneDNN on a CPU", "JAX": "off by less than 1e-5"}),
)  # fmt: skip


def differences_of(name: str) -> list[Difference]:
    """Those of an operation."""
    return [row for row in DIFFERENCES if name in row.rules]
