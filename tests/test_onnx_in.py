"""Graphs of ONNX as functions on the rules: values by the wheel's own tests, derivatives by twins.

The wheel of `onnx` has tests of single operators, and of what other operators are made of. All of
them whose operators are known here are run, every day one of each operator:

    pytest -n 2 --full tests/test_onnx_in.py
"""

from functools import cache
from itertools import groupby

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_files import arrays_of, model, session, single_operators  # noqa: E402

import jaxcnn as jc  # noqa: E402
from jaxcnn.interop import from_onnx  # noqa: E402
from jaxcnn.interop.onnx import reading  # noqa: E402
from jaxcnn.interop.onnx.graph import _settings  # noqa: E402
from jaxcnn.interop.onnx.reading import read  # noqa: E402
from jaxcnn.interop.onnx.table import TABLE  # noqa: E402

RANDOM = "a mask is drawn, which an imported graph does not do"
NO_TENSOR = "its input is a sequence or an optional value, no tensor"
HALF = "as near as half precision is, not within 1e-3: sums are rounded in another order"
# What of the wheel's tests does not pass, and why.
DEPARTURES = {
    **dict.fromkeys(
        ("test_training_dropout", "test_training_dropout_mask", "test_training_dropout_default",
         "test_training_dropout_default_mask"), RANDOM,
    ),
    **dict.fromkeys(("test_identity_sequence", "test_identity_opt"), NO_TENSOR),
    **dict.fromkeys(
        ("test_resize_downsample_scales_linear_align_corners",
         "test_resize_downsample_scales_cubic_align_corners"),
        "the scale makes no whole size, and the data take the length of the result to be no whole "
        "number; the definition, and onnxruntime, take what it is",
    ),
    "test_maxunpool_export_with_output_shape":
        "the data count the indices in a map smaller than output_shape; MaxPool, whose indices "
        "they are, and onnxruntime count them in that of the shape",
    **dict.fromkeys(
        (f"test_attention_{name}_expanded" for name in (
            "4d_causal_bf16", "4d_causal_fp16", "4d_padded_kv_bf16", "4d_causal_padded_kv_bf16",
            "4d_attn_mask_causal_bf16", "3d_causal_bf16")), HALF,
    ),
}  # fmt: skip
LARGE, CONSTANTS = "0 to 2,147,483,648 elements, got", "0 to 268,435,456 elements, what is left"
OTHER_NUMBERS = "must hold numbers of a common kind"  # eight bits and fewer, text


def known():
    """The tests whose operators are all in the table."""
    return [
        case for case in single_operators()
        if {node.op_type for node in case.model.graph.node} <= set(TABLE)
    ]  # fmt: skip


def everyday():
    """One test of each operator."""
    single = [case for case in known() if len(case.model.graph.node) == 1]

    def kind(case):
        return case.model.graph.node[0].op_type

    return [next(cases) for _, cases in groupby(sorted(single, key=kind), kind)]


def computed(case, arrays, dtype=None):
    """The graph of a test, its parameters, and the inputs that are not settings."""
    named = dict(zip((given.name for given in case.model.graph.input), arrays, strict=True))
    settings = _settings(read(case.model))
    fixed = {name: array for name, array in named.items() if name in settings}
    apply, params = from_onnx(case.model, constants=fixed)
    return apply, params, [named[given.name] for given in apply.inputs]


def compare(case):
    for arrays, expected in case.data_sets:
        apply, params, inputs = computed(case, arrays_of(arrays))
        found = jax.jit(apply)(params, *inputs)
        found = found if isinstance(found, tuple) else (found,)
        for y, right in zip(found, arrays_of(expected), strict=True):
            assert y.shape == right.shape
            assert y.dtype == right.dtype
            wide = (np.float64,) if jnp.issubdtype(y.dtype, jnp.floating) else (y.dtype,)
            np.testing.assert_allclose(
                np.asarray(y).astype(*wide), right.astype(*wide), case.rtol, case.atol or 1e-7
            )


@pytest.mark.parametrize("part", range(4))
def test_single_operators(part, request):
    cases = known() if request.config.getoption("full") else everyday()
    wrong, right = {}, 0
    for case in cases[part::4]:
        try:
            compare(case)
            right += 1
        except Exception as error:
            if OTHER_NUMBERS not in str(error):
                wrong[case.name] = str(error)
    assert {name: text for name, text in wrong.items() if name not in DEPARTURES} == {}
    assert right > 20
    named = {case.name for case in cases[part::4]} & set(DEPARTURES)
    assert named <= set(wrong), "these pass by now"


@pytest.mark.parametrize(
    "name", [name for name in DEPARTURES if "resize" in name or "maxunpool" in name]
)
def test_where_the_data_depart_from_the_definition_we_agree_with_onnxruntime(name):
    (case,) = [case for case in single_operators() if case.name == name]
    ((arrays, _),) = case.data_sets
    apply, params, inputs = computed(case, arrays)
    runtime = session(case.model)
    names = [given.name for given in runtime.get_inputs()]
    (right,) = runtime.run(None, dict(zip(names, arrays, strict=True)))
    np.testing.assert_allclose(apply(params, *inputs), right, 1e-5, 1e-6)


# Derivatives --------------------------------------------------------------------------------------


@cache
def on_floats():
    """A test of each operator, of floats."""
    found = {}
    for case in known():
        node, *more = case.model.graph.node
        kinds = [given.type.tensor_type.elem_type for given in case.model.graph.input]
        if not more and kinds[:1] == [TensorProto.FLOAT]:
            found.setdefault(node.op_type, case)
    return found


@pytest.mark.sampled(16)
@pytest.mark.parametrize("kind", [kind for kind, entry in TABLE.items() if entry.uses])
def test_derivatives_are_those_of_the_twin(kind):
    """In float64, of a graph of float32: numbers of the file take the dtype that they meet."""
    case = on_floats().get(kind)
    if case is None:
        assert kind == "GlobalLpPool"  # of which the wheel has no test
        return
    apply, params, inputs = computed(case, arrays_of(case.data_sets[0][0]))
    inputs = [
        jax.random.normal(jax.random.key(i), x.shape, jnp.float64) if x.dtype == np.float32 else x
        for i, x in enumerate(map(jnp.asarray, inputs))
    ]
    if kind == "BatchNormalization":
        inputs[-1] = jnp.abs(inputs[-1])  # the variance
    floats = [i for i, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]

    def of(graph):
        def f(*given):
            every = list(inputs)
            for i, x in zip(floats, given, strict=True):
                every[i] = x
            found = graph(params, *every)
            return found[0] if isinstance(found, tuple) else found

        return f

    given = [inputs[i] for i in floats]
    mine, twin = of(apply), of(jc.autodiff_twin(apply))
    y = jax.eval_shape(mine, *given)
    delta = jax.random.normal(jax.random.key(9), y.shape, y.dtype)
    dots = [jax.random.normal(jax.random.key(8 + i), x.shape, x.dtype) for i, x in enumerate(given)]

    @jax.jit
    def derivatives(given):
        return [(jax.vjp(f, *given)[1](delta), jax.jvp(f, given, dots)) for f in (mine, twin)]

    for left, right in zip(*map(jax.tree.leaves, derivatives(given)), strict=True):
        np.testing.assert_allclose(left, right, 1e-10, 1e-10 * np.abs(right).max())


def test_a_global_norm():
    made = model([("GlobalLpPool", ["x"], ["y"], {"p": 3})],
                 {"x": (np.float32, [None, 2, 5, 4])}, {"y": 1})  # fmt: skip
    apply, params = from_onnx(made)
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 4))
    right = (abs(x) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)
    np.testing.assert_allclose(apply(params, x), right, 1e-12)


# What a graph is ----------------------------------------------------------------------------------


def small(batch=1):
    """Convolution, ReLU, a reshape that holds the batch, and a dense layer."""
    draw = np.random.default_rng(0)
    tensors = {
        "kernel": draw.standard_normal((4, 3, 3, 3), np.float32),
        "bias": draw.standard_normal(4, np.float32),
        "shape": np.array([batch, 4 * 2 * 3]),
        "weight": draw.standard_normal((24, 5), np.float32),
    }
    nodes = [
        ("Conv", ["x", "kernel", "bias"], ["c"], {"strides": [2, 2], "pads": [0, 1, 0, 1]}),
        ("Relu", ["c"], ["r"], {}),
        ("Reshape", ["r", "shape"], ["f"], {}),
        ("MatMul", ["f", "weight"], ["y"], {}),
    ]
    return model(nodes, {"x": (np.float32, [batch, 3, 6, 6])}, {"y": 1}, tensors), tensors


def by_hand(tensors, x):
    x = jnp.moveaxis(x, 1, -1)
    kernel = jnp.moveaxis(tensors["kernel"], (0, 1), (-1, -2))
    y = jc.relu(jc.conv(x, kernel, tensors["bias"], stride=2, padding=((0, 0), (1, 1))))
    return jc.dense(jnp.moveaxis(y, -1, 1).reshape(len(y), -1), tensors["weight"])


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_batch_is_free(batch):
    """A file that was written for one of 2 too, whose reshape holds it."""
    for written in (1, 2):
        made, tensors = small(written)
        apply, params = from_onnx(made.SerializeToString())
        assert params.keys() == {"kernel", "bias", "weight"}
        x = np.random.default_rng(1).standard_normal((batch, 3, 6, 6), np.float32)
        np.testing.assert_allclose(apply(params, x), by_hand(tensors, x), 1e-5, 1e-6)


def test_a_graph_exports_with_a_free_batch():
    apply, params = from_onnx(small()[0])
    params = jax.tree.map(lambda a: a.astype(jnp.float64), params)
    n, *_ = export.symbolic_shape("n")
    x = jax.ShapeDtypeStruct((n, 3, 6, 6), jnp.float64)
    run = export.export(jax.jit(lambda x: apply(params, x)))(x)
    x = jnp.ones((3, 3, 6, 6))
    np.testing.assert_allclose(run.call(x), apply(params, x), 1e-12)


def test_maps_stay_as_the_rules_have_them():
    """Between operators that want channels last nothing is transposed."""
    nodes = [
        ("Conv", ["x", "k"], ["a"], {"pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["a", "v", "v", "v", "v"], ["b"], {}),
        ("Relu", ["b"], ["c"], {}),
        ("Concat", ["c", "a"], ["d"], {"axis": 1}),
        ("MaxPool", ["d"], ["e"], {"kernel_shape": [2, 2]}),
        ("Add", ["e", "e"], ["f"], {}),
        ("GlobalAveragePool", ["f"], ["y"], {}),
    ]
    tensors = {"k": np.ones((3, 3, 3, 3), np.float32), "v": np.ones(3, np.float32)}
    made = model(nodes, {"x": (np.float32, [None, 3, 8, 8])}, {"y": 1}, tensors)
    apply, params = from_onnx(made)
    x = jnp.ones((2, 3, 8, 8), jnp.float32)
    text = str(jax.make_jaxpr(apply)(params, x))
    assert text.count("transpose[") == 3  # of the input, the kernel and the output


@pytest.mark.parametrize("shape", [(), (1,)])
def test_bounds_are_settings_beside_maps_too(shape):
    """Of one number in any form, as some exporters write a scalar."""
    nodes = [("Conv", ["x", "k"], ["c"], {}), ("Clip", ["c", "low", "high"], ["y"], {})]
    bounds = {name: np.full(shape, b, np.float32) for name, b in (("low", 0), ("high", 6))}
    tensors = {"k": np.full((1, 1, 1, 1), 2, np.float32), **bounds}
    apply, params = from_onnx(model(nodes, {"x": (np.float32, [None, 1, 1, 3])}, {"y": 1}, tensors))
    assert params.keys() == {"k"}
    y = jax.jit(apply)(params, np.array([[[[-1, 2, 4]]]], np.float32))
    np.testing.assert_array_equal(y, [[[[0, 4, 6]]]])


def test_maps_of_fewer_axes_broadcast_as_the_file_has_them():
    nodes = [("Conv", ["a", "k"], ["c"], {}), ("Conv", ["b", "l"], ["d"], {}),
             ("Add", ["c", "d"], ["y"], {})]  # fmt: skip
    tensors = {"k": np.ones((1, 1, 1, 1), np.float32), "l": np.eye(4, dtype=np.float32)[..., None]}
    inputs = {"a": (np.float32, [None, 1, 4, 5]), "b": (np.float32, [None, 4, 5])}
    apply, params = from_onnx(model(nodes, inputs, {"y": 1}, tensors))
    draw = np.random.default_rng(0)
    a, b = (draw.integers(9, size=size).astype(np.float32) for size in ((2, 1, 4, 5), (2, 4, 5)))
    np.testing.assert_array_equal(apply(params, a, b), a + b)


def test_shapes_are_computed_beforehand():
    """x.reshape(x.shape[0], −1), as exporters write it."""
    nodes = [
        ("Shape", ["x"], ["s"], {}),
        ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
        ("Unsqueeze", ["n", "axes"], ["u"], {}),
        ("Concat", ["u", "rest"], ["t"], {"axis": 0}),
        ("Reshape", ["x", "t"], ["y"], {}),
    ]
    tensors = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
    apply, params = from_onnx(model(nodes, {"x": (np.float32, ["n", 3, 2])}, {"y": 1}, tensors))
    assert not params
    assert jax.jit(apply)(params, jnp.ones((4, 3, 2))).shape == (4, 6)
    n, *_ = export.symbolic_shape("n")
    given = jax.ShapeDtypeStruct((n, 3, 2), jnp.float32)
    assert export.export(jax.jit(lambda x: apply(params, x)))(given).out_avals[0].shape == (n, 6)


def test_local_functions_are_read():
    body = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 22)],
    )  # fmt: skip
    made = model([("Relu", ["x"], ["r"], {})], {"x": (np.float32, [2])}, {"y": 1})
    made.functions.append(body)
    made.opset_import.append(helper.make_opsetid("mine", 1))
    made.graph.node.append(helper.make_node("Twice", ["r"], ["y"], domain="mine"))
    apply, params = from_onnx(made)
    np.testing.assert_array_equal(apply(params, jnp.array([-1.0, 3.0])), [0, 6])


# Files that are refused ---------------------------------------------------------------------------


def refused(made, sentence, **settings):
    with pytest.raises(ValueError, match=sentence) as caught:
        from_onnx(made, **settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("from_onnx: ")


def one(kind, domain="", opset=22, inputs=("x",), **attributes):
    made = model([], {"x": (np.float32, [2, 3])}, {"y": 1}, opset=opset)
    made.graph.node.append(
        helper.make_node(kind, inputs, ["y"], name="mine", domain=domain, **attributes)
    )
    return made


QUANTISED = [
    *((kind, "") for kind in (
        "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv",
        "QLinearMatMul", "ConvInteger", "MatMulInteger")),
    *((kind, "com.microsoft") for kind in (
        "QLinearAdd", "QLinearGlobalAveragePool", "MatMulNBits", "QAttention", "MatMulFpQ4",
        "MatMulBnb4", "DynamicQuantizeLSTM", "GatherBlockQuantized")),
]  # fmt: skip


def test_no_operator_that_is_known_is_taken_for_a_quantised_one():
    assert not [kind for kind in TABLE if reading.QUANTISED.search(kind)]


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (one("NonMaxSuppression", inputs=("x", "x")), r"node 'mine' \(NonMaxSuppression\)"),
        (one("Oddity"), r"node 'mine' \(Oddity\): the operator is not known in version 22"),
        (one("Gelu", domain="com.microsoft"), "operators of 'com.microsoft' are not known"),
        *((one(kind, domain), "quantised operators are not read") for kind, domain in QUANTISED),
        (one("Add", opset=6, inputs=("x", "x")), r"version 6 of the operator is too old"),
        (one("Relu", opset=999),
         r"node 'mine' \(Relu\): the operator set must be of version 1 to .*, the newest .* 999"),
        (one("Upsample", inputs=("x", "x")), "has it no more"),
        (one("Relu", inputs=()), "it must have 1 to 1 inputs, got 0"),
        (one("Relu", inputs=("",)), "its first 1 inputs must be given"),
        (one("Relu", inputs=("z",)), "it reads 'z', which nothing before it makes"),
        (one("Relu", alpha=1.0), "the attribute 'alpha' must be one of its operator"),
        (one("LeakyRelu", alpha="x"), "the attribute 'alpha' must be FLOAT, got STRING"),
        (one("Cast", to=TensorProto.STRING), "must hold numbers of a common kind, got type STRING"),
        (one("Concat"), "must have the attribute 'axis'"),
        (model([], {"x": (np.float32, [2])}, {"y": 1}), "gives 'y', which no node makes"),
        (model([], {"x": (np.float32, [2])}, {}), "has no output"),
        (b"no model at all", "source must be a file of ONNX"),
        (b"", "source must be a model of ONNX"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_gets_one_sentence(made, sentence):
    refused(made, sentence)


def test_the_newest_version_of_an_operator_is_known_or_refused(monkeypatch):
    monkeypatch.setitem(TABLE, "Relu", TABLE["Relu"]._replace(newest=13))
    refused(one("Relu"), "version 14 of the operator is not known, only those up to 13")


@pytest.mark.parametrize(
    ("node", "tensors", "sentence"),
    [
        (("ConstantOfShape", ["s"], ["y"], {}), {"s": [2**20] * 3}, CONSTANTS),
        (("Expand", ["x", "s"], ["y"], {}), {"s": [2**40, 3]}, LARGE),
        (("Tile", ["x", "s"], ["y"], {}), {"s": [2**33, 1]}, LARGE),
        (("Pad", ["x", "s"], ["y"], {}), {"s": [0, 2**40, 0, 0]}, LARGE),
        (("Resize", ["x", "", "", "s"], ["y"], {}), {"s": [2, 2**33]}, LARGE),
        (("Range", ["a", "b", "c"], ["y"], {}),
         {"a": 0, "b": 2**50, "c": 1}, CONSTANTS),
        (("Reshape", ["x", "s"], ["y"], {}), {"s": [4, 4]}, r"\(Reshape\): .*reshape"),
        (("Transpose", ["x"], ["y"], {"perm": [0, 0]}), {}, "perm must order 2 axes"),
        (("Squeeze", ["x", "s"], ["y"], {}), {"s": [5]}, r"axes must lie in \[-2, 2\), got \[5\]"),
        (("Conv", ["x", "w"], ["y"], {}), {"w": np.ones((2, 3, 1, 1), np.float32)}, "Conv"),
    ],
)  # fmt: skip
def test_what_a_node_cannot_compute_names_it(node, tensors, sentence):
    """When the file is read, or when the sizes of x are known: before memory is asked for."""
    made = model([node], {"x": (np.float32, [2, 3])}, {"y": 1}, tensors)

    def run():
        apply, params = from_onnx(made)
        apply(params, jnp.ones((2, 3), jnp.float32))

    with pytest.raises(ValueError, match=sentence) as caught:
        run()
    assert str(caught.value).startswith(f"from_onnx: node 'y' ({node[0]}): ")


def test_a_shape_that_depends_on_an_input_is_asked_for():
    made = model([("Reshape", ["x", "s"], ["y"], {})],
                 {"x": (np.float32, [2, 3]), "s": (np.int64, [1])}, {"y": 1})  # fmt: skip
    apply, params = from_onnx(made)
    with pytest.raises(ValueError, match="shape must be known before the program runs"):
        apply(params, jnp.ones((2, 3), jnp.float32), jnp.array([6]))
    apply, params = from_onnx(made, constants={"s": np.array([6])})
    assert apply(params, jnp.ones((2, 3), jnp.float32)).shape == (6,)


def test_inputs_that_do_not_fit():
    apply, params = from_onnx(small()[0])
    x = jnp.ones((2, 3, 6, 6), jnp.float32)
    with pytest.raises(ValueError, match=r"x must have shape \(1, 3, 6, 6\), got \(2, 3, 6, 5\)"):
        apply(params, x[..., 1:])
    with pytest.raises(TypeError, match="x must be of float32, got int32"):
        apply(params, x.astype(jnp.int32))
    with pytest.raises(TypeError, match="inputs must be x, got 2"):
        apply(params, x, x)
    with pytest.raises(ValueError, match="params must hold 'kernel'"):
        apply({}, x)


# Tensors ------------------------------------------------------------------------------------------


def with_tensor(**fields):
    made = model([("Add", ["x", "t"], ["y"], {})], {"x": (np.float32, [2, 3])}, {"y": 1})
    proto = made.graph.initializer.add(name="t", data_type=TensorProto.FLOAT, dims=[2, 3])
    for name, value in fields.items():
        if name == "dims":
            proto.dims[:] = value
        else:
            setattr(proto, name, value)
    return made, proto


def test_a_tensor_holds_what_its_shape_says():
    refused(with_tensor(raw_data=b"1234")[0], r"'t' of shape \(2, 3\) must hold 24 bytes, got 4")
    refused(with_tensor(dims=[2**40, 2**40], raw_data=b"")[0], "must hold .* bytes, got 0")
    refused(with_tensor(dims=[-1, 3], raw_data=b"")[0], "of sizes from 0 on")
    refused(with_tensor()[0], r"must hold 6, got 0")
    refused(with_tensor(data_type=TensorProto.FLOAT8E5M2, raw_data=b"1" * 6)[0], OTHER_NUMBERS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint8", "bool"])
def test_tensors_of_every_kind(dtype):
    array = np.array([[1, 0, 3]]).astype(jnp.dtype(dtype))
    proto = numpy_helper.from_array(array, "t")
    made = model([("Concat", ["t", "t"], ["y"], {"axis": 0})], {}, {"y": proto.data_type})
    made.graph.initializer.append(proto)
    apply, params = from_onnx(made)
    y = apply(params)
    assert y.dtype == array.dtype
    np.testing.assert_array_equal(np.asarray(y), np.concatenate([array, array]))


def outside(folder, location, size=24, **more):
    made, proto = with_tensor(data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "length": size, **more}.items():
        proto.external_data.add(key=key, value=str(value))
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_data_beside_the_model_are_read(tmp_path):
    data = np.arange(10, dtype="<f4").tobytes()
    (tmp_path / "data.bin").write_bytes(data)
    apply, params = from_onnx(outside(tmp_path, "data.bin", offset=8))
    np.testing.assert_array_equal(params["t"], np.arange(2, 8).reshape(2, 3))
    assert apply(params, jnp.zeros((2, 3), jnp.float32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("location", "more", "sentence"),
    [
        ("/etc/passwd", {}, "must lie beside the model, got '/etc/passwd'"),
        ("../secret.bin", {}, "must lie beside the model"),
        ("inner/../../secret.bin", {}, "must lie beside the model"),
        ("link.bin", {}, "must lie beside the model"),
        ("missing.bin", {}, "which is no file"),
        ("", {}, "which is no file"),
        ("short.bin", {}, "must be 24 bytes of 'short.bin', which has 8"),
        ("data.bin", {"offset": -8}, "must be 24 bytes"),
        ("data.bin", {"offset": 2**62}, "must be 24 bytes"),
        ("data.bin", {"offset": "odd"}, "an offset that is a number"),
        ("data.bin", {"length": 2**50}, "must be 24 bytes"),
    ],
)
def test_data_from_elsewhere_are_refused(tmp_path, location, more, sentence):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"1" * 24)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(b"1" * 8)
    (folder / "data.bin").write_bytes(b"1" * 40)
    refused(outside(folder, location, **more), sentence)


def test_bytes_have_no_folder(tmp_path):
    refused(outside(tmp_path, "data.bin").read_bytes(), "give the path of the model's file")
