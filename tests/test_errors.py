# pyright: reportArgumentType=false, reportCallIssue=false
# The wrong types are the point here.
"""Bad input gets one sentence that names the argument and both values, before any tracing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import gradcheck, layers, models

X = jnp.ones((2, 6, 6, 4), jnp.float32)
K = jnp.ones((3, 3, 4, 8), jnp.float32)
B = jnp.ones((8,), jnp.float32)
LOGITS = jnp.ones((3, 5), jnp.float32)
LABELS = jnp.array([0, 1, 2])
KEY = jax.random.key(0)
REGRESSIONS = (jc.squared_error, jc.absolute_error, jc.huber, jc.smooth_l1, jc.kl_divergence)

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
    # networks
    (lambda: layers.Embedding(0, 3).init(KEY, (8,)), ValueError, "Embedding: vocabulary must be at least 1, got 0"),
    (lambda: layers.Embedding(3, 0).init(KEY, (8,)), ValueError, "Embedding: features must be at least 1, got 0"),
    (lambda: layers.SpatialDropout(1.5), ValueError, "SpatialDropout: rate must lie in [0, 1], got 1.5"),
    (lambda: layers.DropBlock(-1, 3), ValueError, "DropBlock: rate must lie in [0, 1], got -1"),
    (lambda: layers.DropBlock(0.5, 3).apply({}, {}, X, train=True), ValueError, "key must be a key of jax.random in training with dropout, got None"),
    (lambda: layers.Maxout(3).init(KEY, (4, 4, 4)), ValueError, "maxout: pieces must divide the channels of x, got 3"),
    (lambda: models.lenet5("1989"), ValueError, "lenet5: flavour must be one of relu, 1998, got '1989'"),
    (lambda: models.lenet5().init(KEY, (8, 8, 1)), ValueError, "kernel must not be larger than the padded map, got an extent of 5 on a map of 2"),
    (lambda: models.lenet5().init(0, (32, 32, 1)), TypeError, "init: key must be one key of jax.random"),
    (lambda: models.lenet5().apply({}, {}, jnp.ones((1, 32, 32, 1))), ValueError, "apply: params must hold what init returned for this network, got no 'kernel' among []"),
    (lambda: layers.serial(), ValueError, "serial: layers must be one at least, got none"),
    (lambda: layers.serial(jc.relu), TypeError, "serial: function1 must be a layer"),
    (lambda: layers.Dropout(0.5).apply({}, {}, X, train=True), ValueError, "key must be a key of jax.random in training with dropout, got None"),
    (lambda: layers.Dropout(2.0), ValueError, "Dropout: rate must lie in [0, 1], got 2.0"),
    (lambda: layers.Conv(0, 3).init(KEY, (8, 8, 1)), ValueError, "Conv: features must be at least 1, got 0"),
    (lambda: layers.Activation(jnp.sin), TypeError, "rule_of: op must be a public operation of jaxcnn"),
    (lambda: jc.autodiff_twin(jnp.sin), TypeError, "rule_of: op must be a public operation of jaxcnn"),
    (lambda: gradcheck.check_gradients(jc.relu), ValueError, "args must be one array at least, got none"),
    (lambda: gradcheck.check_gradients(jc.relu, jnp.arange(3)), TypeError, "args[0] must hold floats, got dtype int64"),
]  # fmt: skip


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
