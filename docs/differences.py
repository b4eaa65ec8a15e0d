"""Where other frameworks compute something else: a row each, which a test runs where they install."""

from typing import NamedTuple


class Difference(NamedTuple):
    """What is different, for which operations, and who does what.

    key: the name of the row, and of its test in tests/test_differences.py.
    """

    key: str
    what: str
    rules: tuple[str, ...]
    jaxcnn: str
    others: dict[str, str]


POOLS = ("max_pool", "global_max_pool", "adaptive_max_pool", "max_pool_with_switches")
DIFFERENCES = (
    Difference("tie", "maximum: where equal ones receive δ", POOLS, "the first",
               {"PyTorch": "the first", "Flax": "the first", "Keras": "the first"}),
    Difference("nan_gradient", "maximum of a window with two NaN: where δ goes", POOLS, "to the first NaN",
               {"PyTorch": "to the last NaN", "Flax": "to a number"}),
    Difference("infinite_padding", "maximum, padded explicitly, of −∞ only: the sum of the gradients", POOLS,
               "that of δ: padding is never chosen", {"PyTorch": "that of δ", "Flax": "less: the padding took some"}),
    Difference("even_lrn", "local response of even size 4: channels seen, as offsets", ("local_response_norm",),
               "−2 to +1", {"PyTorch": "−2 to +1", "ONNX": "−1 to +2"}),
    Difference("adaptive_windows", "adaptive average of 7 numbers to 3", ("adaptive_avg_pool", "adaptive_max_pool"),
               "windows overlap: 1, 3, 5", {"PyTorch": "1, 3, 5", "Equinox": "they do not: 1, 3.5, 5.5"}),
    Difference("counted_padding", "average pooling: the padding counts", ("avg_pool",), "by choice; by default yes",
               {"PyTorch": "yes", "Flax": "yes", "Keras": "no"}),
    Difference("relu6_kinks", "slope of relu6 at 0 and 6", ("relu6",), "0, 0", {"PyTorch": "0, 0", "JAX": "0, 0"}),
    Difference("leaky_kink", "slope of leaky relu at 0", ("leaky_relu", "prelu"), "1",
               {"JAX": "1", "PyTorch": "the slope of the left"}),
    Difference("hard_tanh_kinks", "slope of hard tanh at −1 and 1", ("hard_tanh",), "1, 1", {"PyTorch": "0, 0"}),
    Difference("absolute_kink", "slope of |x| at 0", ("absolute_error",), "1", {"JAX": "1", "PyTorch": "0"}),
    Difference("kl_at_zero", "KL divergence: gradient at a target of 0", ("kl_divergence",), "0", {"PyTorch": "NaN"}),
    Difference("constant_rows", "layer norm of a row of 1000.1, all the same, in float32", ("layer_norm",), "0",
               {"PyTorch": "0", "Flax": "not 0"}),
    Difference("running_variance", "batch norm's running variance", ("batch_norm",), "by choice; by default biased",
               {"PyTorch": "unbiased", "Flax": "biased", "Keras": "biased"}),
    Difference("gelu_default", "GELU by default", ("gelu",), "exact",
               {"PyTorch": "exact", "JAX": "by tanh", "Keras": "exact"}),
    Difference("squared_error_half", "the loss of a squared error d", ("squared_error",), "½ d²", {"PyTorch": "d²"}),
    Difference("lp_ceil", "LP pooling: a window that overhangs the end", ("lp_pool",), "sums what is there",
               {"PyTorch": "scales up"}),
    Difference("transposed_kernel", "kernel of a transposed convolution", ("conv_transpose",), "that of the convolution",
               {"PyTorch": "the same, channels first", "Flax": "turned by 180°"}),
    Difference("half_sums", "sums of half-precision numbers", ("sum_pool", "avg_pool", "conv"), "in float32, rounded once",
               {"PyTorch": "in float32", "Flax": "poolings of bfloat16 in bfloat16: 32 × 32 ones average 0.25"}),
    Difference("long_sums", "kernel gradient over a million places, in float32", ("conv_kernel_grad",),
               "to 1e-5", {}),
)  # fmt: skip


def differences_of(name: str) -> list[Difference]:
    """Those of an operation."""
    return [row for row in DIFFERENCES if name in row.rules]
