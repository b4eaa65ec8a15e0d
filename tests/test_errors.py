# pyright: reportArgumentType=false, reportCallIssue=false
# The wrong types are the point here.
"""Bad input gets one sentence that names the argument and both values, before any tracing."""

import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import gradcheck, initializers, interop, layers, models

X = jnp.ones((2, 6, 6, 4), jnp.float32)
K = jnp.ones((3, 3, 4, 8), jnp.float32)
B = jnp.ones((8,), jnp.float32)
LOGITS = jnp.ones((3, 5), jnp.float32)
LABELS = jnp.array([0, 1, 2])
KEY = jax.random.key(0)
REGRESSIONS = (jc.squared_error, jc.absolute_error, jc.huber, jc.smooth_l1, jc.kl_divergence)


def lax_conv(strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings):
    return interop.conv_general_dilated(
        X, K, strides, padding, dimension_numbers=dimension_numbers, **settings
    )


TABLE = [
    # wrong kind
    (lambda: jc.conv([1.0], K), TypeError, "conv: x must be an array, got list"),
    (lambda: jc.conv("x", K), TypeError, "conv: x must be an array, got str"),
    (lambda: jc.conv(X.astype(jnp.uint8), K), TypeError, "conv: x must hold floating-point numbers, got dtype uint8"),
    (lambda: jc.max_pool(X.astype(jnp.int32), 2), TypeError, "max_pool: x must hold floating-point numbers, got dtype int32"),
    (lambda: jc.relu(np.array(["a"])), TypeError, "relu: x must be an array of numbers"),
    (lambda: jc.relu(X > 0), TypeError, "relu: x must hold floating-point numbers, got dtype bool"),
    (lambda: jc.conv(X.astype(jnp.complex64), K), TypeError, "got dtype complex64"),
    (lambda: jc.conv(X, K.astype(jnp.bfloat16)), TypeError, "kernel must have the dtype of x, float32, got bfloat16"),
    (lambda: jc.conv(X, K, B.astype(jnp.float16)), TypeError, "bias must have the dtype of x, float32, got float16"),
    (lambda: jc.conv(X, K, stride=1.5), TypeError, "stride must be an integer, got 1.5"),
    (lambda: jc.conv(X, K, stride=True), TypeError, "stride must be an integer, got True"),
    (lambda: jc.conv(X, K, stride="2"), TypeError, "stride must be an integer, got '2'"),
    (lambda: jc.conv(X, K, method="winograd"), ValueError, 'conv: method must be "direct" or "fft", got \'winograd\''),
    (lambda: jc.conv(X, K, groups=2.0), TypeError, "groups must be an integer, got 2.0"),
    # ranks, shapes, channels
    (lambda: jc.conv(X[0], K), ValueError, "x must have 4 axes (batch, as many of space as the kernel has, channels), got 3 with shape (6, 6, 4)"),
    (lambda: jc.conv(X, K[0, 0]), ValueError, "kernel must have 3, 4 or 5 axes (1 to 3 of space, channels in, channels out), got 2"),
    (lambda: jc.conv(X, jnp.ones((3, 3, 5, 8), jnp.float32)), ValueError, "got 5 for 4 channels in 1 group"),
    (lambda: jc.conv(X, K, groups=2), ValueError, "got 4 for 4 channels in 2 groups"),
    (lambda: jc.conv(X, K, groups=3), ValueError, "groups must divide the channels in and out, got 3 for 4 and 8"),
    (lambda: jc.conv(X, K, groups=0), ValueError, "groups must be at least 1, got 0"),
    (lambda: jc.conv(X, K, B[:3]), ValueError, "bias must have shape (8,), got (3,)"),
    (lambda: jc.conv(X, K, stride=0), ValueError, "stride must be at least 1, got 0"),
    (lambda: jc.conv(X, K, stride=(1, 2, 3)), ValueError, "stride must be an integer or one per spatial axis (2), got (1, 2, 3)"),
    (lambda: jc.conv(X, K, dilation=-1), ValueError, "dilation must be at least 1, got -1"),
    (lambda: jc.conv(X, K, dilation=3), ValueError, "kernel must not be larger than the padded map, got an extent of 7 on a map of 6 + 0 + 0 in spatial axis 0"),
    (lambda: jc.conv(X, K, padding=-2), ValueError, "on a map of 6 + -2 + -2"),
    (lambda: jc.conv(X[:0], K), ValueError, "x must not be empty, got shape (0, 6, 6, 4)"),
    (lambda: jc.conv(X, K[..., :0]), ValueError, "kernel must not be empty"),
    # paddings
    (lambda: jc.conv(X, K, padding="HALF"), ValueError, "got 'HALF'"),
    (lambda: jc.conv(X, K, padding=(1, 2, 3)), ValueError, "padding must be \"SAME\""),
    (lambda: jc.conv(X, K, padding=((1, 2, 3), 0)), ValueError, "got ((1, 2, 3), 0)"),
    (lambda: jc.conv(X, K, padding=1.0), TypeError, "padding must be an integer, got 1.0"),
    # adjoints
    (lambda: jc.conv_input_grad(X, K, input_size=(6, 6)), ValueError, "delta must have shape (2, 4, 4, 8), got (2, 6, 6, 4)"),
    (lambda: jc.conv_input_grad(X, K, input_size=(6,)), ValueError, "input_size must be an integer or one per spatial axis (2), got (6,)"),
    (lambda: jc.conv_kernel_grad(X, X, kernel_size=(3, 3)), ValueError, "delta must have shape (2, 4, 4, 4), got (2, 6, 6, 4)"),
    (lambda: jc.conv_kernel_grad(X, X[0], kernel_size=(3, 3)), ValueError, "delta must have 4 axes"),
    (lambda: jc.rot180(K[0, 0]), ValueError, "rot180: kernel must have at least 3 axes"),
    (lambda: jc.dilate(X, 0), ValueError, "dilate: rate must be at least 1, got 0"),
    (lambda: jc.subsample(X[0, 0], 2), ValueError, "subsample: x must have 3, 4 or 5 axes"),
    (lambda: jc.flatten(B), ValueError, "flatten: x must have a batch axis and at least one more, got shape (8,)"),
    (lambda: jc.unflatten(LOGITS, (2, 2)), ValueError, "shape must have as many elements as a row of x, got (2, 2) for rows of 5"),
    (lambda: jc.concatenate([]), ValueError, "concatenate: parts must be a sequence of at least one array, got none"),
    (lambda: jc.concatenate(X), ValueError, "concatenate: parts must be a sequence of at least one array"),
    (lambda: jc.concatenate([X, X[:1]]), ValueError, "parts[1] must have the shape of parts[0] but for the last axis, got (1, 6, 6, 4) for (2, 6, 6, 4)"),
    (lambda: jc.concatenate([X, X.astype(jnp.float16)]), TypeError, "parts[1] must have the dtype of parts[0], float32, got float16"),
    (lambda: jc.split(X, (1, 2)), ValueError, "sizes must add up to the last axis of x, got (1, 2) for shape (2, 6, 6, 4)"),
    (lambda: jc.split(X, (1.5, 2.5)), TypeError, "sizes must be an integer, got 1.5"),
    # relatives of the convolution
    (lambda: jc.conv(X, K, input_dilation=0), ValueError, "conv: input_dilation must be at least 1, got 0"),
    (lambda: jc.conv_transpose(X, K), ValueError, "conv_transpose: x must have as many channels as the kernel has outputs, got 4 for a kernel of (3, 3, 4, 8)"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 3, 8, 4), jnp.float32), B[:4]), ValueError, "bias must have shape (8,), got (4,)"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 3, 8, 4), jnp.float32), stride=2, output_padding=2), ValueError, "output_padding must be below the stride, got 2 for 2"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 3, 8, 4), jnp.float32), stride=2, padding="SAME", output_padding=1), ValueError, "output_padding must be 0 with padding 'SAME', which leaves no larger size than p·stride, got 1"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 3, 8, 4), jnp.float32), padding=5), ValueError, "padding must leave something of the result, got 5 for a size of (-2, -2)"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 8, 4), jnp.float32)), ValueError, "kernel must have 4 axes"),
    (lambda: jc.depthwise_conv(X, K), ValueError, "kernel must have as many input channels as x has per group, got 4 for 4 channels in 4 groups"),
    (lambda: jc.table_conv(X, jnp.ones((3, 3, 3), jnp.float32), table=((0, 1), (1, 4))), ValueError, "table must name for every output different maps in [0, 4), got (1, 4) for output 1"),
    (lambda: jc.table_conv(X, jnp.ones((3, 3, 3), jnp.float32), table=((0, 0), (1,))), ValueError, "got (0, 0) for output 0"),
    (lambda: jc.table_conv(X, jnp.ones((3, 3, 5), jnp.float32), table=((0, 1), (1, 3))), ValueError, "weights must have one kernel per connection of the table, 4, got 5"),
    (lambda: jc.table_conv(X, jnp.ones((3, 5), jnp.float32), table=((0, 1), (1, 3))), ValueError, "weights must have 3 axes (space as x has it, connections), got 2"),
    (lambda: jc.pad(X, 1, "mirror"), ValueError, "pad: mode must be one of zeros, reflect, replicate, circular, got 'mirror'"),
    (lambda: jc.pad(X, 6, "reflect"), ValueError, "padding must be at least 0 and for mode 'reflect' at most 5 on a map of 6, got (6, 6) in spatial axis 0"),
    (lambda: jc.pad(X, -1, "circular"), ValueError, "got (-1, -1) in spatial axis 0"),
    (lambda: jc.pad(X, "SAME"), ValueError, "padding must be a number of elements, got 'SAME'"),
    (lambda: jc.fold_back(X, 3, "circular"), ValueError, "padding must be at least 0 and fit into delta, got (3, 3) for 6 in spatial axis 0"),
    (lambda: jc.conv(X, K, precision="best"), ValueError, "conv: precision must be None, one of jax.lax.Precision, its name, or a pair of these for the two factors, got 'best'"),
    (lambda: jc.conv(X, K, precision=2), ValueError, "got 2"),
    (lambda: jc.conv(X, K, precision=("high",)), ValueError, "conv: precision must be None"),
    (lambda: jc.conv_input_grad(X[:, :4, :4], K[..., :4], input_size=(6, 6), precision="best"), ValueError, "conv_input_grad: precision must be None"),
    (lambda: jc.conv_kernel_grad(X, X[:, :4, :4], kernel_size=(3, 3), precision="best"), ValueError, "conv_kernel_grad: precision must be None"),
    (lambda: jc.conv_transpose(X, jnp.ones((3, 3, 8, 4), jnp.float32), precision="best"), ValueError, "conv_transpose: precision must be None"),
    (lambda: jc.true_conv(X, K, precision="best"), ValueError, "conv: precision must be None"),
    (lambda: jc.depthwise_conv(X, K[:, :, :1], precision="best"), ValueError, "conv: precision must be None"),
    (lambda: jc.table_conv(X, K[..., 0], table=((0, 1), (1, 3)), precision="best"), ValueError, "table_conv: precision must be None"),
    # pooling
    (lambda: jc.max_pool(X, 7), ValueError, "window must not be larger than the padded map, got an extent of 7 on a map of 6"),
    (lambda: jc.max_pool(X, 2, padding=2), ValueError, "padding must be at least 0 and smaller than the window, got (2, 2) for a window of 2"),
    (lambda: jc.avg_pool(X, 2, padding=-1), ValueError, "padding must be at least 0 and smaller than the window, got (-1, -1)"),
    (lambda: jc.max_pool(X, (2, 2, 2)), ValueError, "window must be an integer or one per spatial axis (2), got (2, 2, 2)"),
    (lambda: jc.max_pool(LOGITS, 2), ValueError, "x must have 3, 4 or 5 axes (batch, 1 to 3 of space, channels), got 2"),
    (lambda: jc.max_pool(X[:0], 2), ValueError, "x must not be empty"),
    (lambda: jc.gather_at_switches(X, X, 2), TypeError, "switches must hold integers, got dtype float32"),
    (lambda: jc.gather_at_switches(X, jnp.zeros((2, 2, 2, 4), jnp.uint8), 2), ValueError, "switches must have shape (2, 3, 3, 4), got (2, 2, 2, 4)"),
    (lambda: jc.scatter_at_switches(X, jnp.zeros((2, 6, 6, 4), jnp.uint8), 2, input_size=(6, 6)), ValueError, "delta must have shape (2, 3, 3, 4), got (2, 6, 6, 4)"),
    (lambda: jc.max_pool(X, 2, dilation=0), ValueError, "max_pool: dilation must be at least 1, got 0"),
    (lambda: jc.max_pool(X, 3, dilation=(1, 2, 3)), ValueError, "dilation must be an integer or one per spatial axis (2), got (1, 2, 3)"),
    (lambda: jc.max_pool(X, 3, dilation=3), ValueError, "window must not be larger than the padded map, got an extent of 7 on a map of 6 + 0 + 0"),
    (lambda: jc.avg_pool(X, 3, dilation=3, ceil_mode=True, stride=1), ValueError, "avg_pool: window must not be larger than the padded map"),
    (lambda: jc.max_pool_with_switches(X[:, :1, :1], 2, dilation=3, padding=2), ValueError, "max_pool_with_switches: padding must leave every window an element of the map, got (2, 2) for a map of 1 and 2 taps at a distance of 3"),
    (lambda: jc.sum_pool(X, 2, dilation=2.0), TypeError, "sum_pool: dilation must be an integer, got 2.0"),
    (lambda: jc.max_pool(X, 2, ceil_mode="yes"), TypeError, "max_pool: ceil_mode must be True or False, got 'yes'"),
    (lambda: jc.avg_pool(X, 2, ceil_mode=2), TypeError, "avg_pool: ceil_mode must be True or False, got 2"),
    (lambda: jc.sum_pool(X, 2, ceil_mode=None), TypeError, "sum_pool: ceil_mode must be True or False, got None"),
    (lambda: jc.gather_at_switches(X, jnp.zeros((2, 2, 2, 4), jnp.uint8), 3, dilation=3), ValueError, "gather_at_switches: window must not be larger than the padded map"),
    (lambda: jc.gather_at_switches(X, jnp.zeros((2, 1, 1, 4), jnp.uint8), 4, ceil_mode=True), ValueError, "switches must have shape (2, 2, 2, 4), got (2, 1, 1, 4)"),
    (lambda: jc.scatter_at_switches(X, jnp.zeros((2, 6, 6, 4), jnp.uint8), 2, input_size=(11, 11), dilation=0), ValueError, "scatter_at_switches: dilation must be at least 1, got 0"),
    (lambda: jc.scatter_at_switches(X, jnp.zeros((2, 6, 6, 4), jnp.uint8), 2, input_size=(11, 13), ceil_mode=True), ValueError, "delta must have shape (2, 6, 7, 4), got (2, 6, 6, 4)"),
    (lambda: jc.sum_pool_input_grad(X, 2, input_size=(11, 13), ceil_mode=True), ValueError, "delta must have shape (2, 6, 7, 4), got (2, 6, 6, 4)"),
    (lambda: jc.sum_pool_input_grad(X, 2, input_size=(12, 12), dilation=(1,)), ValueError, "dilation must be an integer or one per spatial axis (2), got (1,)"),
    (lambda: jc.lp_pool(X, 2, 0.5), ValueError, "lp_pool: p must be at least 1, got 0.5"),
    (lambda: jc.lp_pool(X, 2, float("inf")), ValueError, "lp_pool: p must be finite, got inf"),
    (lambda: jc.lp_pool(X, 2, float("nan")), ValueError, "lp_pool: p must be finite, got nan"),
    (lambda: jc.lp_pool(X, 2, "two"), TypeError, "lp_pool: p must be a number, got 'two'"),
    (lambda: jc.lp_pool(X, 2, padding=2), ValueError, "lp_pool: padding must be at least 0 and smaller than the window"),
    (lambda: jc.lp_pool(X, 0), ValueError, "lp_pool: window must be at least 1, got 0"),
    (lambda: jc.lp_pool(X, 2, stride=0), ValueError, "lp_pool: stride must be at least 1, got 0"),
    (lambda: jc.lp_pool(X, 2, dilation=0), ValueError, "lp_pool: dilation must be at least 1, got 0"),
    (lambda: jc.lp_pool(X, 2, ceil_mode=1), TypeError, "lp_pool: ceil_mode must be True or False, got 1"),
    (lambda: jc.lp_pool(LOGITS, 2), ValueError, "lp_pool: x must have 3, 4 or 5 axes"),
    (lambda: jc.global_max_pool(LOGITS), ValueError, "global_max_pool: x must have 3, 4 or 5 axes"),
    (lambda: jc.global_max_pool(X, keepdims=0), TypeError, "global_max_pool: keepdims must be True or False, got 0"),
    (lambda: jc.global_avg_pool(X > 0), TypeError, "global_avg_pool: x must hold floating-point numbers, got dtype bool"),
    (lambda: jc.global_avg_pool(X, keepdims="no"), TypeError, "global_avg_pool: keepdims must be True or False, got 'no'"),
    (lambda: jc.adaptive_avg_pool(X, 0), ValueError, "adaptive_avg_pool: output_size must be at least 1, got 0"),
    (lambda: jc.adaptive_avg_pool(LOGITS, 1), ValueError, "adaptive_avg_pool: x must have 3, 4 or 5 axes"),
    (lambda: jc.adaptive_max_pool(X, (1, 2, 3)), ValueError, "adaptive_max_pool: output_size must be an integer or one per spatial axis (2), got (1, 2, 3)"),
    (lambda: jc.adaptive_max_pool(X, (2, None)), TypeError, "adaptive_max_pool: output_size must be an integer, got None"),
    (lambda: jc.adaptive_max_pool(X[:0], 2), ValueError, "adaptive_max_pool: x must not be empty"),
    (lambda: jc.max_unpool(X, X, 2), TypeError, "max_unpool: switches must hold integers, got dtype float32"),
    (lambda: jc.max_unpool(LOGITS, jnp.zeros((3, 5), jnp.uint8), 2), ValueError, "max_unpool: x must have 3, 4 or 5 axes"),
    (lambda: jc.max_unpool(X, jnp.zeros((2, 6, 5, 4), jnp.uint8), 2), ValueError, "max_unpool: switches must have shape (2, 6, 6, 4), got (2, 6, 5, 4)"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, input_size=(9, 12)), ValueError, "max_unpool: x must have shape (2, 4, 6, 4), got (2, 6, 6, 4)"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, padding="SAME"), ValueError, "max_unpool: input_size must be given with ceil_mode or padding that depends on it, got None with ceil_mode=False and padding='SAME'"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, ceil_mode=True), ValueError, "max_unpool: input_size must be given with ceil_mode"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 0), ValueError, "max_unpool: window must be at least 1, got 0"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, stride=0), ValueError, "max_unpool: stride must be at least 1, got 0"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, padding=2), ValueError, "max_unpool: padding must be at least 0 and smaller than the window, got (2, 2) for a window of 2"),
    (lambda: jc.max_unpool(X, jnp.zeros(X.shape, jnp.uint8), 2, dilation=0), ValueError, "max_unpool: dilation must be at least 1, got 0"),
    (lambda: jc.patches(X, 7), ValueError, "patches: window must not be larger than the padded map, got an extent of 7 on a map of 6"),
    (lambda: jc.patches(X, 2, stride=0), ValueError, "patches: stride must be at least 1, got 0"),
    (lambda: jc.patches(X, 2, padding="HALF"), ValueError, "patches: padding must be \"SAME\""),
    (lambda: jc.patches(X, 2, dilation=0), ValueError, "patches: dilation must be at least 1, got 0"),
    (lambda: jc.patches(LOGITS, 2), ValueError, "patches: x must have 3, 4 or 5 axes"),
    (lambda: jc.fold(X, 2, input_size=(6, 6)), ValueError, "fold: delta must have shape (2, 5, 5, 4), got (2, 6, 6, 4)"),
    (lambda: jc.fold(X, 3, input_size=(8, 8)), ValueError, "fold: delta must have rows of whole windows, got 4 elements for a window of 9"),
    (lambda: jc.fold(X, (2, 2, 2), input_size=(7, 7)), ValueError, "fold: window must be an integer or one per spatial axis (2), got (2, 2, 2)"),
    (lambda: jc.fold(X, 2, input_size=(7,)), ValueError, "fold: input_size must be an integer or one per spatial axis (2), got (7,)"),
    (lambda: jc.fold(X, 2, input_size=(7, 7), stride=0), ValueError, "fold: stride must be at least 1, got 0"),
    (lambda: jc.fold(X, 2, input_size=(7, 7), padding=1.0), TypeError, "fold: padding must be an integer, got 1.0"),
    (lambda: jc.fold(X, 2, input_size=(7, 7), dilation=0), ValueError, "fold: dilation must be at least 1, got 0"),
    (lambda: layers.MaxPool((2, 2, 2)).init(KEY, (8, 8, 1)), ValueError, "max_pool: window must be an integer or one per spatial axis (2), got (2, 2, 2)"),
    (lambda: layers.rows(layers.MaxPool((2, 2, 2)), (8, 8, 1)), ValueError, "MaxPool: window_size must be an integer or one per spatial axis (2), got (2, 2, 2)"),
    (lambda: layers.AdaptiveAvgPool(0).init(KEY, (8, 8, 1)), ValueError, "adaptive_avg_pool: output_size must be at least 1, got 0"),
    (lambda: layers.LpPool(2, p=0).init(KEY, (8, 8, 1)), ValueError, "lp_pool: p must be at least 1, got 0"),
    (lambda: layers.Upsample(0).init(KEY, (8, 8, 1)), ValueError, "upsample: size must be at least 1, got 0"),
    (lambda: jc.upsample(X, 0), ValueError, "upsample: size must be at least 1, got 0"),
    # dense
    (lambda: jc.dense(X, K), ValueError, "weight must have 2 axes (features in, features out), got 4"),
    (lambda: jc.dense(LOGITS, jnp.ones((4, 2), jnp.float32)), ValueError, "x must have as many features as weight has rows, got shape (3, 5) for a weight of (4, 2)"),
    (lambda: jc.dense_weight_grad(LOGITS, LOGITS[:2]), ValueError, "delta must have the leading axes of x, got (2, 5) for x of (3, 5)"),
    # activations, losses, dropout
    (lambda: jc.softmax(LOGITS, 2), ValueError, "axis must lie in [-2, 2) for shape (3, 5), got 2"),
    *((lambda op=op: op(X.astype(jnp.int32)), TypeError, f"{op.__name__}: x must hold floating-point numbers, got dtype int32") for op in (jc.relu6, jc.leaky_relu, jc.elu, jc.selu, jc.gelu, jc.silu, jc.mish, jc.softplus, jc.hard_sigmoid, jc.hard_tanh, jc.hard_swish)),
    (lambda: jc.leaky_relu(X, "0.1"), TypeError, "leaky_relu: slope must be a number, got '0.1'"),
    (lambda: jc.leaky_relu(X, float("nan")), ValueError, "leaky_relu: slope must be finite, got nan"),
    (lambda: jc.elu(X, -1), ValueError, "elu: alpha must be at least 0, got -1"),
    (lambda: jc.elu(X, True), TypeError, "elu: alpha must be a number, got True"),
    (lambda: jc.gelu(X, "tanh"), TypeError, "gelu: approximate must be True or False, got 'tanh'"),
    (lambda: jc.maxout(X, 3), ValueError, "maxout: pieces must divide the channels of x, got 3 for shape (2, 6, 6, 4)"),
    (lambda: jc.maxout(X, 0), ValueError, "maxout: pieces must be at least 1, got 0"),
    (lambda: jc.maxout(X, 2.0), TypeError, "maxout: pieces must be an integer, got 2.0"),
    (lambda: jc.maxout(X[0, 0, 0, 0], 1), ValueError, "maxout: pieces must divide the channels of x, got 1 for shape ()"),
    (lambda: jc.softmax_cross_entropy(LOGITS, jnp.array([0, 5, 1])), ValueError, "targets must lie in [0, 4], got 5 at index (1,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, np.array([0, -1, 1])), ValueError, "targets must lie in [0, 4], got -1 at index (1,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, jnp.array([0, 1])), ValueError, "targets must have shape (3,), got (2,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LOGITS[:, :4]), ValueError, "targets must have shape (3, 5), got (3, 4)"),
    (lambda: jc.softmax_cross_entropy(LOGITS[0], jnp.array(1)), ValueError, "logits must have a batch axis and one for the outputs, got shape (5,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, jnp.array([0, 1, 2]), reduction="max"), ValueError, "reduction must be one of mean, sum, none, got 'max'"),
    (lambda: jc.softmax_cross_entropy(LOGITS, jnp.array([0, 5, 7]), ignore_index=7), ValueError, "targets must lie in [0, 4], got 5 at index (1,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LOGITS, ignore_index=2), ValueError, "softmax_cross_entropy: ignore_index must be None for float targets, got 2"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, ignore_index=0.5), TypeError, "softmax_cross_entropy: ignore_index must be an integer, got 0.5"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS.astype(jnp.uint8), ignore_index=-100), ValueError, "softmax_cross_entropy: ignore_index must be a number that targets can hold, uint8, got -100"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=1.5), ValueError, "softmax_cross_entropy: label_smoothing must lie in [0, 1], got 1.5"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, label_smoothing=None), TypeError, "softmax_cross_entropy: label_smoothing must be a number, got None"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, class_weights=LOGITS[0, :4]), ValueError, "softmax_cross_entropy: class_weights must have shape (5,), got (4,)"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, class_weights=[1.0] * 5), TypeError, "softmax_cross_entropy: class_weights must be an array, got list"),
    (lambda: jc.softmax_cross_entropy(LOGITS, LABELS, class_weights=jnp.ones(5)), TypeError, "softmax_cross_entropy: class_weights must have the dtype of logits, float32, got float64"),
    *((lambda op=op: op(LOGITS, LOGITS[:2]), ValueError, f"{op.__name__}: targets must have shape (3, 5), got (2, 5)") for op in REGRESSIONS),
    *((lambda op=op: op(LOGITS, LABELS), TypeError, f"{op.__name__}: targets must hold floating-point numbers, got dtype int64") for op in REGRESSIONS),
    *((lambda op=op: op(LOGITS, LOGITS, reduction="batchmean"), ValueError, f"{op.__name__}: reduction must be one of mean, sum, none, got 'batchmean'") for op in REGRESSIONS),
    (lambda: jc.squared_error(LOGITS[0], LOGITS[0]), ValueError, "squared_error: predictions must have a batch axis and one for the outputs, got shape (5,)"),
    (lambda: jc.huber(LOGITS, LOGITS, delta=0), ValueError, "huber: delta must be positive, got 0"),
    (lambda: jc.huber(LOGITS, LOGITS, delta="1"), TypeError, "huber: delta must be a number, got '1'"),
    (lambda: jc.smooth_l1(LOGITS, LOGITS, beta=0.0), ValueError, "smooth_l1: beta must be positive, got 0.0"),
    (lambda: jc.smooth_l1(LOGITS, LOGITS, beta=float("inf")), ValueError, "smooth_l1: beta must be finite, got inf"),
    (lambda: jc.kl_divergence(LOGITS, -LOGITS), ValueError, "kl_divergence: targets must lie in [0, inf], got -1.0 at index (0, 0)"),
    (lambda: jc.weight_decay({"a": LOGITS}, -1), ValueError, "weight_decay: strength must be at least 0, got -1"),
    (lambda: jc.weight_decay({"a": LOGITS}, LOGITS), TypeError, "weight_decay: strength must be a number"),
    (lambda: jc.weight_decay({"a": LABELS}, 1), TypeError, "weight_decay: params['a'] must hold floating-point numbers, got dtype int64"),
    (lambda: jc.weight_decay({}, 1), ValueError, "weight_decay: params must hold an array that the mask lets through, got none"),
    (lambda: jc.weight_decay({"a": LOGITS}, 1, {"a": False}), ValueError, "weight_decay: params must hold an array that the mask lets through, got none"),
    (lambda: jc.weight_decay({"a": LOGITS}, 1, {"b": True}), ValueError, "weight_decay: mask must be a tree that params begin with"),
    (lambda: jc.weight_decay({"a": LOGITS}, 1, 1.0), TypeError, "weight_decay: mask must be True or False, got 1.0"),
    (lambda: jc.sigmoid_binary_cross_entropy(LOGITS, 2 * LOGITS), ValueError, "targets must lie in [0, 1], got 2.0 at index (0, 0)"),
    (lambda: jc.sigmoid_squared_error(LOGITS, LOGITS > 0), TypeError, "targets must hold floating-point numbers, got dtype bool"),
    (lambda: jc.dropout(X, KEY, 1.5), ValueError, "rate must lie in [0, 1], got 1.5"),
    (lambda: jc.dropout(X, KEY, "half"), TypeError, "rate must be a number, got 'half'"),
    (lambda: jc.dropout(X, 0, 0.5), TypeError, "key must be one key of jax.random, as jax.random.key(0), got int"),
    (lambda: jc.dropout(X, jax.random.split(KEY, 2), 0.5), TypeError, "key must be one key of jax.random"),
    # normalisation
    (lambda: jc.batch_norm(X.astype(jnp.int32)), TypeError, "batch_norm: x must hold floating-point numbers, got dtype int32"),
    (lambda: jc.batch_norm(B), ValueError, "batch_norm: x must have a batch axis and channels, got shape (8,)"),
    (lambda: jc.batch_norm(X, B), ValueError, "batch_norm: scale must have shape (4,), got (8,)"),
    (lambda: jc.batch_norm(X, None, B[:3]), ValueError, "batch_norm: bias must have shape (4,), got (3,)"),
    (lambda: jc.batch_norm(X, B[:4].astype(jnp.bfloat16)), TypeError, "scale must have the dtype of x, float32, got bfloat16"),
    (lambda: jc.batch_norm(X, epsilon=0), ValueError, "epsilon must be finite and above 0, got 0"),
    (lambda: jc.batch_norm(X, epsilon=float("nan")), ValueError, "epsilon must be finite and above 0, got nan"),
    (lambda: jc.batch_norm(X, epsilon="small"), TypeError, "epsilon must be a number, got 'small'"),
    (lambda: jc.batch_norm(X, axis_name="data"), ValueError, "axis_name must name a mapped axis, of jax.vmap or jax.shard_map around it, got 'data'"),
    (lambda: jc.batch_norm(X, axis_name=0), TypeError, "axis_name must be a name or several, got 0"),
    (lambda: jc.batch_norm_inference(B, None, None, B, B), ValueError, "batch_norm_inference: x must have a batch axis and channels, got shape (8,)"),
    (lambda: jc.batch_norm_inference(X, B, None, B[:4], B[:4]), ValueError, "batch_norm_inference: scale must have shape (4,), got (8,)"),
    (lambda: jc.batch_norm_inference(X, None, B, B[:4], B[:4]), ValueError, "batch_norm_inference: bias must have shape (4,), got (8,)"),
    (lambda: jc.batch_norm_inference(X, None, None, B, B[:4]), ValueError, "batch_norm_inference: mean must have shape (4,), got (8,)"),
    (lambda: jc.batch_norm_inference(X, None, None, B[:4], 1), TypeError, "batch_norm_inference: variance must hold floating-point numbers, got dtype"),
    (lambda: jc.batch_norm_inference(X, None, None, B[:4], B[:4], epsilon=-1e-5), ValueError, "epsilon must be finite and above 0, got -1e-05"),
    (lambda: jc.layer_norm(X, axes=1), ValueError, "layer_norm: axes must be the last ones, as -1 or (-2, -1), got 1 for shape (2, 6, 6, 4)"),
    (lambda: jc.layer_norm(X, axes=(-1, -3)), ValueError, "layer_norm: axes must be the last ones, as -1 or (-2, -1), got (-1, -3)"),
    (lambda: jc.layer_norm(X, axes=()), ValueError, "layer_norm: axes must be the last ones"),
    (lambda: jc.layer_norm(X, axes=4), ValueError, "layer_norm: axes must be the last ones"),
    (lambda: jc.layer_norm(X, axes=-1.0), TypeError, "layer_norm: axes must be an integer, got -1.0"),
    (lambda: jc.layer_norm(X, B[:4], axes=(-2, -1)), ValueError, "layer_norm: scale must have shape (6, 4), got (4,)"),
    (lambda: jc.layer_norm(X, None, X), ValueError, "layer_norm: bias must have shape (4,), got (2, 6, 6, 4)"),
    (lambda: jc.layer_norm(X, epsilon=True), TypeError, "layer_norm: epsilon must be a number, got True"),
    (lambda: jc.layer_norm(1.0), ValueError, "layer_norm: axes must be the last ones, as -1 or (-2, -1), got -1 for shape ()"),
    (lambda: jc.group_norm(X, groups=3), ValueError, "group_norm: groups must divide the channels, got 3 for 4"),
    (lambda: jc.group_norm(X, groups=0), ValueError, "group_norm: groups must be at least 1, got 0"),
    (lambda: jc.group_norm(X, groups=2.0), TypeError, "group_norm: groups must be an integer, got 2.0"),
    (lambda: jc.group_norm(B, groups=2), ValueError, "group_norm: x must have a batch axis and channels, got shape (8,)"),
    (lambda: jc.group_norm(X, B, groups=2), ValueError, "group_norm: scale must have shape (4,), got (8,)"),
    (lambda: jc.group_norm(X, None, B, groups=2), ValueError, "group_norm: bias must have shape (4,), got (8,)"),
    (lambda: jc.group_norm(X, groups=2, epsilon=0.0), ValueError, "group_norm: epsilon must be finite and above 0, got 0.0"),
    (lambda: jc.instance_norm(LOGITS), ValueError, "instance_norm: x must have 3, 4 or 5 axes (batch, 1 to 3 of space, channels), got 2"),
    (lambda: jc.instance_norm(X, B), ValueError, "instance_norm: scale must have shape (4,), got (8,)"),
    (lambda: jc.instance_norm(X, None, B), ValueError, "instance_norm: bias must have shape (4,), got (8,)"),
    (lambda: jc.instance_norm(X, epsilon=0), ValueError, "instance_norm: epsilon must be finite and above 0, got 0"),
    (lambda: jc.rms_norm([1.0]), TypeError, "rms_norm: x must be an array, got list"),
    (lambda: jc.rms_norm(X, B), ValueError, "rms_norm: scale must have shape (4,), got (8,)"),
    (lambda: jc.rms_norm(X, axes=(0, 1)), ValueError, "rms_norm: axes must be the last ones"),
    (lambda: jc.rms_norm(X, epsilon=float("inf")), ValueError, "rms_norm: epsilon must be finite and above 0, got inf"),
    (lambda: jc.local_response_norm(1.0), ValueError, "local_response_norm: x must have an axis of channels, got shape ()"),
    (lambda: jc.local_response_norm(X, size=0), ValueError, "local_response_norm: size must be at least 1, got 0"),
    (lambda: jc.local_response_norm(X, size=2.5), TypeError, "local_response_norm: size must be an integer, got 2.5"),
    (lambda: jc.local_response_norm(X, k=0), ValueError, "local_response_norm: k must be finite and above 0, got 0"),
    (lambda: jc.local_response_norm(X, alpha=-1), ValueError, "local_response_norm: alpha must be finite and above 0, got -1"),
    (lambda: jc.local_response_norm(X, beta=None), TypeError, "local_response_norm: beta must be a number, got None"),
    (lambda: jc.spatial_dropout(LOGITS, KEY, 0.5), ValueError, "spatial_dropout: x must have 3, 4 or 5 axes"),
    (lambda: jc.spatial_dropout(X, KEY, -0.5), ValueError, "spatial_dropout: rate must lie in [0, 1], got -0.5"),
    (lambda: jc.spatial_dropout(X, 7, 0.5), TypeError, "spatial_dropout: key must be one key of jax.random"),
    (lambda: jc.drop_block(LOGITS, KEY, 0.5, 1), ValueError, "drop_block: x must have 3, 4 or 5 axes"),
    (lambda: jc.drop_block(X, KEY, 2, 2), ValueError, "drop_block: rate must lie in [0, 1], got 2"),
    (lambda: jc.drop_block(X, KEY, 0.5, 7), ValueError, "drop_block: block must not be larger than the map, got (7, 7) on a map of (6, 6)"),
    (lambda: jc.drop_block(X, KEY, 0.5, (2, 0)), ValueError, "drop_block: block must be at least 1, got 0"),
    (lambda: jc.drop_block(X, KEY, 0.5, 1.5), TypeError, "drop_block: block must be an integer, got 1.5"),
    (lambda: jc.drop_block(X, None, 0.5, 2), TypeError, "drop_block: key must be one key of jax.random"),
    # embedding
    (lambda: jc.embedding(LOGITS, LOGITS), TypeError, "embedding: ids must hold integers, got dtype float32"),
    (lambda: jc.embedding(LABELS, LABELS), TypeError, "embedding: table must hold floating-point numbers, got dtype int64"),
    (lambda: jc.embedding(LABELS, X), ValueError, "embedding: table must have 2 axes (vocabulary, features), got 4"),
    (lambda: jc.embedding(LABELS + 1, LOGITS), ValueError, "embedding: ids must lie in [0, 2], got 3 at index (2,)"),
    (lambda: jc.embedding(LABELS - 1, LOGITS), ValueError, "embedding: ids must lie in [0, 2], got -1 at index (0,)"),
    (lambda: jc.embedding_table_grad(LOGITS, LOGITS, vocabulary=3), TypeError, "embedding_table_grad: ids must hold integers, got dtype float32"),
    (lambda: jc.embedding_table_grad(LABELS, LOGITS[:2], vocabulary=3), ValueError, "embedding_table_grad: delta must have shape (3, 5), got (2, 5)"),
    (lambda: jc.embedding_table_grad(LABELS, LOGITS, vocabulary=2), ValueError, "embedding_table_grad: ids must lie in [0, 1], got 2 at index (2,)"),
    (lambda: jc.embedding_table_grad(LABELS, LOGITS, vocabulary=0), ValueError, "embedding_table_grad: vocabulary must be at least 1, got 0"),
    (lambda: jc.embedding_table_grad(LABELS, LOGITS, vocabulary="3"), TypeError, "embedding_table_grad: vocabulary must be an integer, got '3'"),
    # drop-ins
    (lambda: interop.conv_general_dilated([1.0], K, (1, 1), "SAME"), TypeError, "conv_general_dilated: lhs must be an array, got list"),
    (lambda: interop.conv_general_dilated(X, K.astype(jnp.bfloat16), (1, 1), "SAME"), TypeError, "conv_general_dilated: rhs must have the dtype of lhs, float32, got bfloat16"),
    (lambda: interop.conv_general_dilated(X.astype(jnp.int8), K, (1, 1), "SAME"), TypeError, "conv_general_dilated: lhs must hold floating-point numbers, got dtype int8"),
    (lambda: interop.conv_general_dilated(X[:0], K, (1, 1), "SAME"), ValueError, "conv_general_dilated: lhs must not be empty, got shape (0, 6, 6, 4)"),
    (lambda: interop.conv_general_dilated(X[0], K, (1, 1), "SAME"), ValueError, "conv_general_dilated: lhs and rhs must have the same number of axes, 2 at least, got shapes (6, 6, 4) and (3, 3, 4, 8)"),
    (lambda: interop.conv_general_dilated(B, B, (), ()), ValueError, "conv_general_dilated: lhs and rhs must have the same number of axes, 2 at least"),
    (lambda: lax_conv(1, "SAME", dimension_numbers=("NHWC", "HWIO")), ValueError, "conv_general_dilated: dimension_numbers must be None, ConvDimensionNumbers or three strings of 4 letters such as (\"NHWC\", \"HWIO\", \"NHWC\"), got ('NHWC', 'HWIO')"),
    (lambda: lax_conv(1, "SAME", dimension_numbers=("NHWC", "HWIO", "NHXC")), ValueError, "dimension_numbers must be None"),
    (lambda: lax_conv(1, "SAME", dimension_numbers=((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 2))), ValueError, "dimension_numbers must be None"),
    (lambda: lax_conv(1, "SAME", dimension_numbers=jax.lax.ConvDimensionNumbers((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 2))), ValueError, "dimension_numbers must be None"),
    (lambda: lax_conv((1, 2, 3), "SAME"), ValueError, "conv_general_dilated: window_strides must be an integer or one per spatial axis (2), got (1, 2, 3)"),
    (lambda: lax_conv((1, 0), "SAME"), ValueError, "conv_general_dilated: window_strides must be at least 1, got 0"),
    (lambda: lax_conv(1, "SAME", lhs_dilation=(2, 1)), ValueError, "conv_general_dilated: padding must be pairs of integers where lhs is dilated, got 'SAME' for a dilation of (2, 1)"),
    (lambda: lax_conv(1, "SAME", lhs_dilation=(2,)), ValueError, "conv_general_dilated: lhs_dilation must be an integer or one per spatial axis (2), got (2,)"),
    (lambda: lax_conv(1, "SAME", rhs_dilation=(2, 1.5)), TypeError, "conv_general_dilated: rhs_dilation must be an integer, got 1.5"),
    (lambda: lax_conv(1, "FULL"), ValueError, "conv_general_dilated: padding must be \"SAME\", \"SAME_LOWER\", \"VALID\", or one (low, high) pair of integers per spatial axis (2), got 'FULL'"),
    (lambda: lax_conv(1, 1), ValueError, "conv_general_dilated: padding must be \"SAME\", \"SAME_LOWER\", \"VALID\", or one (low, high) pair of integers per spatial axis (2), got 1"),
    (lambda: lax_conv(1, ((1, 1),)), ValueError, "got ((1, 1),)"),
    (lambda: lax_conv(1, ((1, 1), (1, 0.5))), ValueError, "got ((1, 1), (1, 0.5))"),
    (lambda: lax_conv(1, "VALID", rhs_dilation=(3, 1)), ValueError, "conv_general_dilated: rhs must not be larger than the padded map, got an extent of 7 on a map of 6 + 0 + 0"),
    (lambda: lax_conv(1, "SAME", feature_group_count=3), ValueError, "conv_general_dilated: feature_group_count must divide the channels in and out, got 3 for 4 and 8"),
    (lambda: lax_conv(1, "SAME", feature_group_count=2), ValueError, "conv_general_dilated: rhs must have as many input channels as lhs has per group, got 4 for 4 channels in 2 groups"),
    (lambda: lax_conv(1, "SAME", batch_group_count=4), ValueError, "conv_general_dilated: batch_group_count must divide the batch and the channels out, got 4 for 2 and 8"),
    (lambda: lax_conv(1, "SAME", batch_group_count=2, feature_group_count=2), ValueError, "conv_general_dilated: feature_group_count or batch_group_count must be 1, got 2 and 2"),
    (lambda: lax_conv(1, "SAME", batch_group_count=0), ValueError, "conv_general_dilated: batch_group_count must be at least 1, got 0"),
    (lambda: lax_conv(1, "SAME", precision="best"), ValueError, "conv_general_dilated: precision must be None"),
    (lambda: lax_conv(1, "SAME", preferred_element_type=jnp.bfloat16), TypeError, "conv_general_dilated: preferred_element_type must be a dtype of floats no narrower than float32, got bfloat16"),
    (lambda: lax_conv(1, "SAME", preferred_element_type=jnp.int32), TypeError, "preferred_element_type must be a dtype of floats no narrower than float32, got int32"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME_LOWER"), ValueError, "conv_transpose: padding must be pairs of integers where lhs is dilated, got 'SAME_LOWER' for a dilation of (2, 2)"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME_LOWER", use_consistent_padding=True), ValueError, "conv_transpose: padding must be \"SAME\", \"VALID\", or one (low, high) pair of integers per spatial axis (2), got 'SAME_LOWER'"),
    (lambda: interop.conv_transpose(X, K, (2,), "SAME"), ValueError, "conv_transpose: strides must be an integer or one per spatial axis (2), got (2,)"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", transpose_kernel=1), TypeError, "conv_transpose: transpose_kernel must be True or False, got 1"),
    (lambda: interop.conv_transpose(X, K, (2, 2), "SAME", use_consistent_padding=1), TypeError, "conv_transpose: use_consistent_padding must be True or False, got 1"),
    (lambda: interop.conv_transpose(X[..., :3], K, (2, 2), "SAME"), ValueError, "conv_transpose: rhs must have as many input channels as lhs has per group, got 4 for 3 channels in 1 group"),
    (lambda: interop.max_pool(X, 2), ValueError, "max_pool: window_shape must hold one integer per spatial axis, 1 to 3 of them, got 2"),
    (lambda: interop.min_pool(X, ()), ValueError, "min_pool: window_shape must hold one integer per spatial axis, 1 to 3 of them, got ()"),
    (lambda: interop.avg_pool(LOGITS, (2, 2)), ValueError, "avg_pool: inputs must have 3 axes at least (space as window_shape has it, channels), got shape (3, 5)"),
    (lambda: interop.max_pool(X, (2, 2), (2,)), ValueError, "max_pool: strides must be an integer or one per spatial axis (2), got (2,)"),
    (lambda: interop.max_pool(X, (2, 2), padding=1), ValueError, "max_pool: padding must be \"SAME\""),
    (lambda: interop.max_pool(X, (7, 2)), ValueError, "max_pool: window must not be larger than the padded map, got an extent of 7 on a map of 6"),
    (lambda: interop.avg_pool(X, (2, 2), count_include_pad=None), TypeError, "avg_pool: count_include_pad must be True or False, got None"),
    # initialisers
    (lambda: initializers.dirac(0), ValueError, "dirac: groups must be at least 1, got 0"),
    (lambda: initializers.dirac(2.0), TypeError, "dirac: groups must be an integer, got 2.0"),
    (lambda: initializers.dirac(1, 0), TypeError, "dirac: rest must be an initializer, got 0"),
    (lambda: initializers.dirac(3)(KEY, (3, 3, 4, 8)), ValueError, "dirac: groups must divide the output channels of shape, got 3 for (3, 3, 4, 8)"),
    (lambda: initializers.dirac()(KEY, (4, 8)), ValueError, "dirac: shape must have 3, 4 or 5 entries (1 to 3 of space, channels in, channels out), got (4, 8)"),
    (lambda: initializers.patch_whitening(X.astype(jnp.uint8)), TypeError, "patch_whitening: images must hold floating-point numbers, got dtype uint8"),
    (lambda: initializers.patch_whitening(LOGITS), ValueError, "patch_whitening: images must have 3, 4 or 5 axes"),
    (lambda: jax.jit(initializers.patch_whitening)(X), TypeError, "patch_whitening: images must be known when the kernel is drawn, got a traced array"),
    (lambda: initializers.patch_whitening(X, epsilon=0), ValueError, "patch_whitening: epsilon must be finite and above 0, got 0"),
    (lambda: initializers.patch_whitening(X)(KEY, (2, 2, 3, 8)), ValueError, "patch_whitening: shape must have the spatial axes and the channels of the images, got (2, 2, 3, 8) for images of (2, 6, 6, 4)"),
    (lambda: initializers.patch_whitening(X)(KEY, (2, 4, 8)), ValueError, "patch_whitening: shape must have the spatial axes and the channels of the images, got (2, 4, 8)"),
    (lambda: initializers.patch_whitening(X)(KEY, (2, 7, 4, 8)), ValueError, "patch_whitening: shape must have a window that fits into the images, got (2, 7, 4, 8) for images of (2, 6, 6, 4)"),
    (lambda: initializers.patch_whitening(X)(KEY, (2, 2, 4, 34)), ValueError, "patch_whitening: shape must have an even number of filters, at most 32, two for each of the window's 16 elements, got 34"),
    (lambda: initializers.patch_whitening(X)(KEY, (2, 2, 4, 5)), ValueError, "got 5"),
    (lambda: layers.Conv(4, 2, groups=2, kernel_init=initializers.patch_whitening(X)).init(KEY, (6, 6, 4)), ValueError, "patch_whitening: shape must have the spatial axes and the channels of the images, got (2, 2, 2, 4)"),
    # networks
    (lambda: layers.Embedding(0, 3).init(KEY, (8,)), ValueError, "Embedding: vocabulary must be at least 1, got 0"),
    (lambda: layers.Embedding(3, 0).init(KEY, (8,)), ValueError, "Embedding: features must be at least 1, got 0"),
    (lambda: layers.SpatialDropout(1.5), ValueError, "SpatialDropout: rate must lie in [0, 1], got 1.5"),
    (lambda: layers.DropBlock(-1, 3), ValueError, "DropBlock: rate must lie in [0, 1], got -1"),
    (lambda: layers.DropBlock(0.5, 3).apply({}, {}, X, train=True), ValueError, "key must be a key of jax.random in training with dropout, got None"),
    (lambda: layers.Maxout(3).init(KEY, (4, 4, 4)), ValueError, "maxout: pieces must divide the channels of x, got 3"),
    (lambda: models.lenet5().init(KEY, (8, 8, 1)), ValueError, "kernel must not be larger than the padded map, got an extent of 5 on a map of 2"),
    (lambda: models.lenet5().init(0, (32, 32, 1)), TypeError, "init: key must be one key of jax.random"),
    (lambda: models.lenet5().apply({}, {}, jnp.ones((1, 32, 32, 1))), ValueError, "apply: params must hold what init returned for this network, got no 'kernel' among []"),
    (lambda: layers.serial(), ValueError, "serial: layers must be one at least, got none"),
    (lambda: layers.serial(jc.relu), TypeError, "serial: function1 must be a layer"),
    (lambda: layers.residual(layers.Conv(3, 3)).init(KEY, (8, 8, 1)), ValueError, "residual: branches must have outputs of one shape, got"),
    (lambda: layers.concatenated(), ValueError, "concatenated: layers must be one at least, got none"),
    (lambda: layers.heads(a=1), TypeError, "heads: a must be a layer, got 1"),
    (lambda: layers.serial(layers.Flatten(), flatten1=layers.Flatten()), ValueError, "serial: layers must have names of their own, got ['flatten1', 'flatten1']"),
    (lambda: jc.pad_channels([1.0]), TypeError, "pad_channels: x must be an array, got list"),
    (lambda: jc.pad_channels(jnp.float32(1)), ValueError, "pad_channels: x must have channels, got shape ()"),
    (lambda: jc.pad_channels(X, -1), ValueError, "pad_channels: before must be at least 0, got -1"),
    (lambda: jc.pad_channels(X, after=1.5), TypeError, "pad_channels: after must be an integer, got 1.5"),
    (lambda: jc.crop_channels(X > 0), TypeError, "crop_channels: x must hold floating-point numbers, got dtype bool"),
    (lambda: jc.crop_channels(X, before=-1), ValueError, "crop_channels: before must be at least 0, got -1"),
    (lambda: jc.crop_channels(X, after="1"), TypeError, "crop_channels: after must be an integer, got '1'"),
    (lambda: jc.crop_channels(X, 1, 3), ValueError, "crop_channels: before and after must leave a channel of x, got 1 and 3 for 4"),
    (lambda: jc.scale_channels("x", B), TypeError, "scale_channels: x must be an array, got str"),
    (lambda: jc.scale_channels(X, None), TypeError, "scale_channels: scale must be an array, got None"),
    (lambda: jc.scale_channels(X, B), ValueError, "scale_channels: scale must have shape (4,), got (8,)"),
    (lambda: jc.scale_channels(X, B[:4], B), ValueError, "scale_channels: bias must have shape (4,), got (8,)"),
    (lambda: jc.scale_channels(X, B[:4].astype(jnp.float16)), TypeError, "scale_channels: scale must have the dtype of x, float32, got float16"),
    (lambda: layers.Scale("2"), TypeError, "Scale: factor must be a number, got '2'"),
    (lambda: layers.Scale(float("nan")), ValueError, "Scale: factor must be finite, got nan"),
    (lambda: layers.Subsample(0).init(KEY, (4, 4)), ValueError, "subsample: rate must be at least 1, got 0"),
    (lambda: layers.PadChannels(-1).init(KEY, (4, 4)), ValueError, "pad_channels: before must be at least 0, got -1"),
    (lambda: models.vgg6(0), ValueError, "vgg6: classes must be at least 1, got 0"),
    (lambda: models.vgg6(hidden=0), ValueError, "vgg6: hidden must be at least 1, got 0"),
    (lambda: models.fast_mnist(True), TypeError, "fast_mnist: classes must be an integer, got True"),
    (lambda: models.alexnet(-1), ValueError, "alexnet: classes must be at least 1, got -1"),
    (lambda: models.alexnet(widths=(96, 256)), ValueError, "alexnet: widths must be five numbers of maps, got (96, 256)"),
    (lambda: models.alexnet(widths=(1, 2, 3, 4, 0)), ValueError, "alexnet: widths must be at least 1, got 0"),
    (lambda: models.alexnet(hidden=1.5), TypeError, "alexnet: hidden must be an integer, got 1.5"),
    (lambda: models.small_alexnet("10"), TypeError, "small_alexnet: classes must be an integer, got '10'"),
    (lambda: models.resnet(21), ValueError, "resnet: depth must be 6n + 2, as 20, 56 or 110, got 21"),
    (lambda: models.resnet(2), ValueError, "resnet: depth must be 6n + 2, as 20, 56 or 110, got 2"),
    (lambda: models.resnet(classes=0), ValueError, "resnet: classes must be at least 1, got 0"),
    (lambda: models.resnet(width=0), ValueError, "resnet: width must be at least 1, got 0"),
    (lambda: models.resnet(shortcut="C"), ValueError, "resnet: shortcut must be one of A, B, got 'C'"),
    (lambda: models.mobilenet(blocks=[(8,)]), ValueError, "mobilenet: blocks must be an integer or one per spatial axis (2), got (8,)"),
    (lambda: models.lenet5("1989"), ValueError, "lenet5: flavour must be one of relu, 1998, paper, got '1989'"),
    (lambda: models.accurate_mnist(0), ValueError, "accurate_mnist: classes must be at least 1, got 0"),
    (lambda: models.densenet(99), ValueError, "densenet: depth must be 6n + 4, as 40 or 100, got 99"),
    (lambda: models.densenet(4), ValueError, "densenet: depth must be 6n + 4, as 40 or 100, got 4"),
    (lambda: models.densenet(classes=0), ValueError, "densenet: classes must be at least 1, got 0"),
    (lambda: models.densenet(growth=0), ValueError, "densenet: growth must be at least 1, got 0"),
    (lambda: models.densenet(compression=0), ValueError, "densenet: compression must be finite and above 0, got 0"),
    (lambda: models.densenet(compression=1.5), ValueError, "densenet: compression must lie in [0, 1], got 1.5"),
    (lambda: models.resnet_imagenet(19), ValueError, "resnet_imagenet: depth must be one of 18, 34, 50, 101, got 19"),
    (lambda: models.resnet_imagenet(classes=0), ValueError, "resnet_imagenet: classes must be at least 1, got 0"),
    (lambda: models.resnet_imagenet(width=0), ValueError, "resnet_imagenet: width must be at least 1, got 0"),
    (lambda: models.resnet_imagenet(stages=(1, 0)), ValueError, "resnet_imagenet: stages must be at least 1, got 0"),
    (lambda: models.airbench94(0), ValueError, "airbench94: classes must be at least 1, got 0"),
    (lambda: models.airbench94(widths=(1, 2)), ValueError, "airbench94: widths must be three numbers of maps, got (1, 2)"),
    (lambda: models.airbench94(widths=(1, 2, 0)), ValueError, "airbench94: widths must be at least 1, got 0"),
    (lambda: models.conv_pool_dense(0), ValueError, "conv_pool_dense: outputs must be at least 1, got 0"),
    (lambda: models.conv_pool_dense(features=()), ValueError, "conv_pool_dense: features must be one number of maps at least, got none"),
    (lambda: models.conv_pool_dense(features=(0,)), ValueError, "conv_pool_dense: features must be at least 1, got 0"),
    (lambda: models.conv_pool_dense(window=0), ValueError, "conv_pool_dense: window must be at least 1, got 0"),
    (lambda: models.conv_dense(0), ValueError, "conv_dense: outputs must be at least 1, got 0"),
    (lambda: models.conv_dense(features=(0,)), ValueError, "conv_dense: features must be at least 1, got 0"),
    (lambda: models.conv_dense(window=0), ValueError, "conv_dense: window must be at least 1, got 0"),
    (lambda: models.conv_dense(stride=0), ValueError, "conv_dense: stride must be at least 1, got 0"),
    (lambda: models.gormley_cnn(0), ValueError, "gormley_cnn: classes must be at least 1, got 0"),
    (lambda: models.gormley_cnn(features=(1, 2, 3)), ValueError, "gormley_cnn: features must be two numbers of maps, got (1, 2, 3)"),
    (lambda: models.gormley_cnn(features=(0, 2)), ValueError, "gormley_cnn: features must be at least 1, got 0"),
    (lambda: models.ray_cnn(0), ValueError, "ray_cnn: window must be at least 1, got 0"),
    (lambda: models.ray_cnn(pool=0), ValueError, "ray_cnn: pool must be at least 1, got 0"),
    (lambda: models.logistic_regression(0), ValueError, "logistic_regression: outputs must be at least 1, got 0"),
    (lambda: models.mlp(4, 0), ValueError, "mlp: widths must be at least 1, got 0"),
    (lambda: models.mlp(outputs=0), ValueError, "mlp: outputs must be at least 1, got 0"),
    (lambda: models.mlp(3, activation=jnp.sin), TypeError, "mlp: activation must be a public operation of jaxcnn"),
    (lambda: models.mobilenet(0), ValueError, "mobilenet: classes must be at least 1, got 0"),
    (lambda: models.mobilenet(width=0), ValueError, "mobilenet: width must be finite and above 0, got 0"),
    (lambda: models.mobilenet(width="1"), TypeError, "mobilenet: width must be a number, got '1'"),
    (lambda: models.mobilenet(stem_stride=0), ValueError, "mobilenet: stem_stride must be at least 1, got 0"),
    (lambda: layers.Dropout(0.5).apply({}, {}, X, train=True), ValueError, "key must be a key of jax.random in training with dropout, got None"),
    (lambda: layers.Dropout(2.0), ValueError, "Dropout: rate must lie in [0, 1], got 2.0"),
    (lambda: layers.Conv(0, 3).init(KEY, (8, 8, 1)), ValueError, "Conv: features must be at least 1, got 0"),
    (lambda: layers.Conv(4, 3, groups=0).init(KEY, (8, 8, 4)), ValueError, "Conv: groups must be at least 1, got 0"),
    (lambda: layers.ConvTranspose(4, 2, groups=0).init(KEY, (8, 8, 4)), ValueError, "ConvTranspose: groups must be at least 1, got 0"),
    (lambda: layers.ConvTranspose(3, 2, groups=2, use_bias=False).init(KEY, (8, 8, 4)), ValueError, "ConvTranspose: groups must divide features, got 2 for 3"),
    (lambda: layers.Activation(partial(jc.leaky_relu, slope=0.2)), TypeError, "Activation: op must be an operation of jaxcnn, with its keyword arguments in settings"),
    (lambda: layers.BatchNorm(1.5), ValueError, "BatchNorm: momentum must lie in [0, 1], got 1.5"),
    (lambda: layers.BatchNorm(epsilon=0).init(KEY, (4,)), ValueError, "epsilon must be finite and above 0, got 0"),
    (lambda: layers.BatchNorm(use_scale=False, use_bias=False).apply({}, {}, X), ValueError, "apply: state must hold what init returned for this network, got no 'mean' among []"),
    (lambda: layers.BatchNorm(use_scale=False, use_bias=False, unbiased=True).apply({}, {"mean": B, "variance": B}, B[None], train=True), ValueError, "BatchNorm: x must hold 2 elements per channel at least for an unbiased variance, got shape (1, 8)"),
    (lambda: layers.LayerNorm((0, 1)).init(KEY, (4,)), ValueError, "LayerNorm: axes must leave out the batch axis, got (0, 1) for (1, 4)"),
    (lambda: layers.LayerNorm(1).init(KEY, (4, 4)), ValueError, "LayerNorm: axes must be the last ones, as -1 or (-2, -1), got 1 for shape (1, 4, 4)"),
    (lambda: layers.RMSNorm((0, 1), use_scale=False).init(KEY, (4,)), ValueError, "RMSNorm: axes must leave out the batch axis, got (0, 1) for (1, 4)"),
    (lambda: layers.GroupNorm(3).init(KEY, (4, 4)), ValueError, "group_norm: groups must divide the channels, got 3 for 4"),
    (lambda: layers.LocalResponseNorm(size=0).init(KEY, (4,)), ValueError, "local_response_norm: size must be at least 1, got 0"),
    (lambda: layers.Activation(jnp.sin), TypeError, "Activation: op must be a public operation of jaxcnn"),
    (lambda: jc.autodiff_twin(jnp.sin), TypeError, "autodiff_twin: thing, if no rule and no network, must be a public operation of jaxcnn"),
    (lambda: gradcheck.check_gradients(jc.relu), ValueError, "args must be one array at least, got none"),
    (lambda: gradcheck.check_gradients(jc.relu, jnp.arange(3)), TypeError, "check_gradients: args[0] must hold floating-point numbers, got dtype int64"),
]  # fmt: skip


# One wrong value per argument that many operations share, and what is said of it.
WRONG = {
    **dict.fromkeys(
        ("x", "kernel", "bias", "delta", "weight", "logits", "predictions", "log_predictions"),
        ([1.0], TypeError, "must be an array, got list"),
    ),
    **dict.fromkeys(
        (
            "stride",
            "dilation",
            "input_dilation",
            "groups",
            "window",
            "rate",
            "input_size",
            "kernel_size",
        ),
        (0, ValueError, "must be at least 1, got 0"),
    ),
    "padding": (1.5, TypeError, "must be an integer, got 1.5"),
    **dict.fromkeys(
        ("ceil_mode", "count_include_pad", "average"),
        (1, TypeError, "must be True or False, got 1"),
    ),
    "switches": (X, TypeError, "must hold integers, got dtype float32"),
    "mode": (
        "mirror",
        ValueError,
        "must be one of zeros, reflect, replicate, circular, got 'mirror'",
    ),
    "reduction": ("max", ValueError, "must be one of mean, sum, none, got 'max'"),
    "axis": (2, ValueError, "must lie in [-2, 2) for shape (3, 5), got 2"),
}
CONV = {"x": X, "kernel": K, "bias": B}
DEPTHWISE = {"x": X, "kernel": jnp.ones((3, 3, 1, 4), jnp.float32), "bias": B[:4]}
TABLE_CONV = {
    "x": X,
    "weights": jnp.ones((3, 3, 4), jnp.float32),
    "bias": B[:2],
    "table": ((0, 1), (1, 3)),
}
DELTA = jnp.ones((2, 3, 3, 4), jnp.float32)
SWITCHES = jnp.zeros((2, 3, 3, 4), jnp.uint8)
POOLING = ("x", "window", "stride", "padding", "dilation", "ceil_mode")
GEOMETRY = ("stride", "padding", "dilation")
# Operation, arguments that are right, and the names of those to be put in wrong.
SHARED = [
    (jc.conv, CONV, ("x", "kernel", "bias", *GEOMETRY, "input_dilation", "groups")),
    (jc.true_conv, CONV, ("x", "kernel", "bias", *GEOMETRY, "input_dilation", "groups")),
    (jc.depthwise_conv, DEPTHWISE, ("x", "kernel", "bias", *GEOMETRY)),
    (jc.table_conv, TABLE_CONV, ("x", "bias", *GEOMETRY)),
    (jc.conv_transpose, {"x": X, "kernel": K[..., :4]}, ("x", "kernel", "bias", *GEOMETRY, "groups")),
    (jc.conv_input_grad, {"delta": X, "kernel": K[..., :4], "input_size": (8, 8)}, ("delta", "kernel", "input_size", *GEOMETRY, "input_dilation", "groups")),
    (jc.conv_kernel_grad, {"x": X, "delta": X, "kernel_size": (1, 1)}, ("x", "delta", "kernel_size", *GEOMETRY, "input_dilation", "groups")),
    (jc.pad, {"x": X, "padding": 1}, ("x", "padding", "mode")),
    (jc.fold_back, {"delta": X, "padding": 1}, ("delta", "padding", "mode")),
    (jc.dilate, {"x": X, "rate": 2}, ("x", "rate")),
    (jc.subsample, {"x": X, "rate": 2}, ("x", "rate")),
    *((op, {"x": X, "window": 2}, POOLING) for op in (jc.max_pool, jc.max_pool_with_switches, jc.sum_pool, jc.lp_pool)),
    (jc.avg_pool, {"x": X, "window": 2}, (*POOLING, "count_include_pad")),
    (jc.sum_pool_input_grad, {"delta": DELTA, "window": 2, "input_size": (6, 6)}, ("delta", "input_size", *POOLING[1:])),
    (jc.gather_at_switches, {"x": X, "switches": SWITCHES, "window": 2}, ("switches", *POOLING)),
    (jc.scatter_at_switches, {"delta": DELTA, "switches": SWITCHES, "window": 2, "input_size": (6, 6)}, ("delta", "switches", "input_size", *POOLING[1:])),
    (jc.max_unpool, {"x": DELTA, "switches": SWITCHES, "window": 2, "input_size": (6, 6)}, ("switches", "input_size", *POOLING)),
    (jc.patches, {"x": X, "window": 2}, ("x", "window", *GEOMETRY)),
    (jc.fold, {"delta": X, "window": 2, "input_size": (7, 7)}, ("delta", "window", "input_size", *GEOMETRY)),
    (jc.dense, {"x": LOGITS, "weight": LOGITS.T}, ("x", "weight", "bias")),
    (jc.dense_input_grad, {"delta": LOGITS, "weight": LOGITS}, ("delta", "weight")),
    (jc.dense_weight_grad, {"x": LOGITS, "delta": LOGITS}, ("x", "delta")),
    (jc.upsample, {"x": X, "size": 2}, ("x",)),
    (jc.unflatten, {"x": LOGITS, "shape": (5,)}, ("x",)),
    (jc.split, {"x": X, "sizes": (2, 2)}, ("x",)),
    (jc.maxout, {"x": X, "pieces": 2}, ("x",)),
    (jc.dropout, {"x": X, "key": KEY, "rate": 0.5}, ("x",)),
    *((op, {"x": LOGITS}, ("x",)) for op in (jc.sigmoid, jc.tanh, jc.layer_norm)),
    *((op, {"x": LOGITS}, ("x", "axis")) for op in (jc.softmax, jc.log_softmax)),
    (jc.local_response_norm, {"x": X}, ("x", "average")),
    *((op, {"logits": LOGITS, "targets": LOGITS}, ("logits", "reduction")) for op in (jc.sigmoid_squared_error, jc.sigmoid_binary_cross_entropy)),
    *((op, {"predictions": LOGITS, "targets": LOGITS}, ("predictions",)) for op in REGRESSIONS[:-1]),
    (jc.kl_divergence, {"log_predictions": LOGITS, "targets": LOGITS}, ("log_predictions",)),
]  # fmt: skip
TABLE += [
    (
        lambda op=op, given={**right, name: WRONG[name][0]}: op(**given),
        WRONG[name][1],
        f"{op.__name__}: {name} {WRONG[name][2]}",
    )
    for op, right, names in SHARED
    for name in names
]


@pytest.mark.parametrize(("op", "right"), [row[:2] for row in SHARED])
def test_what_is_called_right_is_right(op, right):
    """So what is wrong about a row of the shared ones is the one argument put in wrong."""
    jax.eval_shape(lambda: op(**right))


def test_every_argument_of_every_operation_has_a_row():
    said = set()
    for call, kind, _ in TABLE:
        with pytest.raises(kind) as caught:
            call()
        said |= set(re.findall(r"^(\w+: \w+)", str(caught.value)))
    missing = [
        f"{name}: {argument}"
        for name, op in vars(jc).items()
        if inspect.isfunction(op) and "rule" in inspect.signature(op).parameters
        for argument in inspect.signature(op).parameters
        if argument != "rule" and f"{name}: {argument}" not in said
    ]
    assert not missing


@pytest.mark.parametrize(("call", "kind", "sentence"), TABLE, ids=[row[2][:60] for row in TABLE])
def test_bad_input(call, kind, sentence):
    with pytest.raises(kind, match=re.escape(sentence)) as caught:
        call()
    message = str(caught.value)
    assert re.match(r"\w+: ", message)
    assert "\n" not in message


def test_errors_of_a_layer_name_the_layer():
    with pytest.raises(ValueError, match="kernel must not be larger") as caught:
        models.lenet5().init(KEY, (8, 8, 1))
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
