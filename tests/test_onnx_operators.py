"""Operators of ONNX of which its wheel has no test, against onnxruntime or their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_files import model, session  # noqa: E402

from jaxcnn.interop import from_onnx  # noqa: E402
from jaxcnn.interop.onnx.table import TABLE  # noqa: E402


def runs(node, x, tensors=None, opset=18):
    """What a graph of one node makes of x, here, and the model."""
    kinds = {name: 0 for name in node[2] if name}  # which a shape inference of the runtime finds
    made = model([node], {"x": (x.dtype, x.shape)}, kinds, tensors, opset)
    found = jax.jit(from_onnx(made).apply)(from_onnx(made).params, x)
    return list(map(np.asarray, found if isinstance(found, tuple) else (found,))), made


def as_onnxruntime(node, x, tensors=None, opset=18, tolerance=1e-5):
    found, made = runs(node, x, tensors, opset)
    for value in made.graph.output:
        value.ClearField("type")
    for y, right in zip(found, session(made).run(None, {"x": x}), strict=True):
        assert (y.shape, y.dtype) == (right.shape, right.dtype)
        wide = np.float64 if jnp.issubdtype(y.dtype, jnp.floating) else y.dtype
        np.testing.assert_allclose(y.astype(wide), right.astype(wide), tolerance, tolerance)


DRAW = np.random.default_rng(0)
MAPS = DRAW.standard_normal((2, 3, 7, 6), np.float32)
LINE = np.array([-5, -3, -1, 0, 1, 2, 3, 7])
ROWS = MAPS[..., 0]  # of (2, 3, 7)


@pytest.mark.parametrize(
    "how",
    [
        {"strides": [2, 2], "output_padding": [1, 0], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 3], "output_padding": [1, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [5, 5], "output_padding": [3, 4], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 2], "output_padding": [1, 1], "auto_pad": "VALID"},
        {"strides": [2, 2], "output_padding": [1, 1], "output_shape": [14, 12],
         "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "output_padding": [1, 1], "output_shape": [14, 13]},
    ],
)  # fmt: skip
def test_an_output_padding_is_cropped_too(how):
    kernel = {"k": np.random.default_rng(1).standard_normal((3, 4, 3, 3), np.float32)}
    as_onnxruntime(("ConvTranspose", ["x", "k"], ["y"], how), MAPS, kernel)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_integers_are_resized_as_floats_and_rounded(dtype, mode):
    """As the evaluator has it, at the ends of the dtype too: onnxruntime drops the fraction."""
    ends = np.iinfo(np.int8 if dtype != np.uint8 else dtype)
    x = np.random.default_rng(2).choice([ends.min, ends.max, 7, 100], (1, 2, 5, 6)).astype(dtype)
    node = ("Resize", ["x", "", "s"], ["y"], {"mode": mode})
    tensors = {"s": np.array([1, 1, 2, 0.5], np.float32)}
    (y,), made = runs(node, x, tensors)
    (right,) = ReferenceEvaluator(made).run(None, {"x": x})
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, right)
    assert np.ptp(y.astype(int)) > 50


def test_integers_are_upsampled_as_floats():
    x, tensors = (
        np.array([[[[0, 100], [200, 40]]]], np.uint8),
        {"s": np.array([1, 1, 1, 2], np.float32)},
    )
    (y,), _ = runs(("Upsample", ["x", "s"], ["y"], {"mode": "linear"}), x, tensors, 9)
    np.testing.assert_array_equal(y, [[[[0, 50, 100, 100], [200, 120, 40, 40]]]])


@pytest.mark.parametrize("size", [(1, 1, 7), (2, 3, 7), (1, 3, 1), (3, 7), (3, 1), (1,), ()])
@pytest.mark.parametrize("kind", ["LayerNormalization", "RMSNormalization"])
def test_parameters_of_a_norm_broadcast(kind, size):
    """By the definition: onnxruntime took only some of these sizes in 1.23."""
    draw, more = np.random.default_rng(3), kind[0] == "L"
    names = ["s", "b"][: 1 + more]
    tensors = {name: draw.standard_normal(size).astype(np.float32) for name in names}
    (y,), _ = runs((kind, ["x", *names], ["y"], {}), ROWS, tensors, 18 if more else 23)
    wide = ROWS.astype(float)
    wide = wide - wide.mean(-1, keepdims=True) if more else wide
    right = wide / np.sqrt((wide**2).mean(-1, keepdims=True) + 1e-5)
    right = right * tensors["s"] + tensors.get("b", 0)
    np.testing.assert_allclose(y, right, 1e-5, 1e-5)


def test_statistics_of_halves_are_floats():
    x, tensors = (20 * ROWS).astype(np.float16), {"s": np.ones(7, np.float16)}
    (y, mean, _), _ = runs(("LayerNormalization", ["x", "s"], ["y", "m", "v"], {}), x, tensors, 17)
    assert (y.dtype, mean.dtype) == (np.float16, np.float32)
    node = ("LayerNormalization", ["x", "s"], ["y", "m", "v"], {})
    as_onnxruntime(node, x, tensors, tolerance=1e-3)
    np.testing.assert_allclose(mean, x.astype(float).mean(-1, keepdims=True), 1e-5, 1e-5)


@pytest.mark.parametrize("opset", [18, 20, 21])
def test_a_group_norm_that_its_schema_calls_deprecated(opset):
    count = 3 if opset < 21 else 6
    x = MAPS.reshape(2, 6, 7, 3)
    tensors = {name: np.float32(np.arange(count) + i) for i, name in enumerate("sb")}
    node = ("GroupNormalization", ["x", "s", "b"], ["y"], {"num_groups": 3})
    as_onnxruntime(node, x, tensors, opset, 1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_places_of_the_largest_bytes(dtype):
    x = np.random.default_rng(4).integers(-100, 100, (2, 3, 5, 6)).astype(dtype)
    how = {"kernel_shape": [3, 2], "pads": [1, 1, 1, 1]}
    as_onnxruntime(("MaxPool", ["x"], ["y", "i"], how), x)
    as_onnxruntime(("MaxPool", ["x"], ["y"], how), x)


FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


@pytest.mark.parametrize("step", [1, 2, 7, -1, -2, -7])
def test_starts_and_ends_of_a_slice_are_clamped(step):
    """As the definition has it; onnxruntime, going back, takes an end of 2⁶³ − 1 for no end."""
    x, edges = np.arange(6.0, dtype=np.float32), (FIRST, -10, -7, -6, -5, -1, 0, 1, 5, 6, 7, LAST)
    made = model([("Slice", ["x", "a", "b", "c", "d"], ["y"], {})],
                 {"x": (np.float32, [6]), "a": (np.int64, [1]), "b": (np.int64, [1])}, {"y": 1},
                 {"c": np.array([0]), "d": np.array([step])})  # fmt: skip
    of = session(made)
    for start in edges:
        for end in edges:
            at = {"a": np.array([start]), "b": np.array([end])}
            apply, params = from_onnx(made, constants=at)
            low = min(max(start + 6 * (start < 0), 0), 6 if step > 0 else 5)
            high = min(max(end + 6 * (end < 0), 0 if step > 0 else -1), 6 if step > 0 else 5)
            right = x[list(range(low, high, step))]
            np.testing.assert_array_equal(apply(params, x), right, f"{start}, {end}")
            if step > 0 or end < LAST:
                np.testing.assert_array_equal(of.run(None, {"x": x, **at})[0], right)


def test_the_bounds_of_a_clip_are_those_of_its_dtype():
    x = np.array([1e40, -1e40, 1e38, 3.6e38])
    for high in (1e39, 3.5e38, np.finfo(np.float64).max):
        as_onnxruntime(("Clip", ["x", "", "h"], ["y"], {}), x, {"h": np.float64(high)})
        as_onnxruntime(("Clip", ["x", "h"], ["y"], {}), x, {"h": np.float64(-high)})
    ends = {"low": np.float16(0), "high": np.finfo(np.float16).max}
    made = model([("Clip", ["x", "low", "high"], ["y"], {})], {"x": (np.float16, [2])}, {"y": 10},
                 ends)  # fmt: skip
    apply, params = from_onnx(made)
    assert "relu" in str(jax.make_jaxpr(apply)(params, np.zeros(2, np.float16)))


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("Elu", {"alpha": -1.5}), ("Celu", {"alpha": -1.5}),
        ("Selu", {"alpha": -1.0, "gamma": 2.0}),
        ("Shrink", {"lambd": -0.5, "bias": 0.3}), ("Shrink", {"lambd": -1.5, "bias": 0.0}),
    ],
)  # fmt: skip
def test_activations_of_numbers_that_no_rule_has(kind, how):
    x = np.array([-3, -1, -0.3, 0, 0.2, 1, 4], np.float32)
    as_onnxruntime((kind, ["x"], ["y"], how), x)
    apply, params = from_onnx(model([(kind, ["x"], ["y"], how)], {"x": (np.float32, [None])},
                                    {"y": 1}))  # fmt: skip
    slope = jax.grad(lambda x: apply(params, x).sum())(np.array([-3.0, 200]))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_activations_of_integers(dtype):
    for how in ({"lambd": 1.5, "bias": 0.3}, {"lambd": -1.5, "bias": 0.0}):
        as_onnxruntime(("Shrink", ["x"], ["y"], how), LINE.astype(dtype))
    if dtype in (np.int32, np.int64):
        as_onnxruntime(
            ("PRelu", ["x", "s"], ["y"], {}), LINE.astype(dtype), {"s": np.array([3], dtype)}
        )


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("kind", [kind for kind in TABLE if kind.startswith("Reduce")])
def test_reductions_of_integers_are_integers(kind, dtype):
    """Where the evaluator has none: onnxruntime, rounded towards zero."""
    x = np.array([[1, 4, 2, 9], [3, 3, -1, 0]], dtype)
    as_onnxruntime((kind, ["x", "a"], ["y"], {"keepdims": 0}), x, {"a": np.array([1])})


def test_the_largest_terms_of_a_sum_are_not_all_of_it():
    """log(e⁴ + e⁴ + e³ + …) is above 5; onnxruntime drops what is below the largest."""
    (y,), _ = runs(("ReduceLogSumExp", ["x"], ["y"], {}), np.array([4, 4, 3, 3]))
    assert (y.dtype, y.item()) == (np.int64, 5)


@pytest.mark.parametrize(
    ("how", "tensors", "outputs", "right"),
    [
        ({"num_outputs": 3}, {}, ["a", "b", ""], [[0, 1, 2], [3, 4, 5]]),
        ({"num_outputs": 4}, {}, ["a", "", ""], [[0, 1, 2]]),
        ({"num_outputs": 4}, {}, ["a", "", "", "b"], [[0, 1, 2], []]),
        ({}, {"s": np.array([2, 3, 4])}, ["a", "b", ""], [[0, 1], [2, 3, 4]]),
        ({}, {"s": np.array([2, 3, 4])}, ["a", "", "b"], [[0, 1], [5, 6, 7, 8]]),
    ],
)
def test_parts_that_nothing_reads_are_counted(how, tensors, outputs, right):
    found, _ = runs(("Split", ["x", *tensors], outputs, how), np.arange(9), tensors)
    assert [y.tolist() for y in found] == right


def test_there_are_no_more_parts_than_are_counted():
    with pytest.raises(ValueError, match="num_outputs must be at least its 2 outputs, got 1"):
        runs(("Split", ["x"], ["a", "b"], {"num_outputs": 1}), np.arange(9))
