"""What a file of ONNX may ask for: sizes are looked at before arrays are made or nodes written out.

Bounds are lowered here, so that what is refused would do no harm.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
from onnx import helper, numpy_helper  # noqa: E402
from onnx_files import arrays_of, model  # noqa: E402
from test_onnx_in import DEPARTURES, OTHER_NUMBERS, computed, everyday, refused  # noqa: E402

from jaxcnn.interop import from_onnx  # noqa: E402
from jaxcnn.interop.onnx import graph, inlining, norms, table  # noqa: E402

FLOAT = np.float32
PADS, WIDE = [20] * 4, {"kernel_shape": [21, 21], "pads": [20] * 4}
# With maps x of (1, 2, 4, 4); no tensor is as large as the result.
ASKING = [
    (("Conv", ["x", "w"], ["y"], {"pads": PADS}), {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("Conv", ["x", "w"], ["y"], {"pads": PADS, "strides": [40, 40]}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("Conv", ["x", "w"], ["y"], {"dilations": [20, 20], "auto_pad": "SAME_UPPER"}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("Conv", ["x", "w"], ["y"], {}), {"w": np.ones((80, 2, 1, 1), FLOAT)}),
    (("ConvTranspose", ["x", "w"], ["y"], {"strides": [9, 9]}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("ConvTranspose", ["x", "w"], ["y"], {"dilations": [20, 20], "pads": [18] * 4}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("ConvTranspose", ["x", "w"], ["y"], {"output_padding": PADS[:2]}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("ConvTranspose", ["x", "w"], ["y"], {"output_shape": [30, 30]}),
     {"w": np.ones((2, 2, 3, 3), FLOAT)}),
    (("MaxPool", ["x"], ["y"], WIDE), {}),
    (("AveragePool", ["x"], ["y"], WIDE), {}),
    (("LpPool", ["x"], ["y"], WIDE), {}),
    (("LpPool", ["x"], ["y"], {**WIDE, "strides": [40, 40]}), {}),
    (("Concat", ["x"] * 40, ["y"], {"axis": 1}), {}),
    (("Concat", ["x"] * 40, ["y"], {"axis": 0}), {}),
    (("Add", ["x", "t"], ["y"], {}), {"t": np.ones((40, 1, 1, 1), FLOAT)}),
    (("Sum", ["x", "t", "t"], ["y"], {}), {"t": np.ones((40, 1, 1, 1, 1), FLOAT)}),
    (("Where", ["c", "x", "t"], ["y"], {}),
     {"c": np.ones(4, bool), "t": np.ones((40, 1, 1, 1), FLOAT)}),
    (("MatMul", ["x", "t"], ["y"], {}), {"t": np.ones((4, 200), FLOAT)}),
    (("MatMul", ["x", "t"], ["y"], {}), {"t": np.ones((40, 1, 4, 4), FLOAT)}),
    (("Gemm", ["t", "u"], ["y"], {}), {"t": np.ones((40, 1), FLOAT), "u": np.ones((1, 40), FLOAT)}),
    (("Gather", ["x", "i"], ["y"], {"axis": 1}), {"i": np.zeros(80, int)}),
    (("GatherND", ["x", "i"], ["y"], {}), {"i": np.zeros((80, 1), int)}),
    (("Pad", ["x", "i"], ["y"], {}), {"i": np.array([0, 0, 20, 20] * 2)}),
    (("Pad", ["x", "i"], ["y"], {}), {"i": np.array([0, 0, 0, 500, 0, 0, 0, -3])}),
    (("Tile", ["x", "i"], ["y"], {}), {"i": np.array([1, 1, 9, 9])}),
    (("Expand", ["x", "i"], ["y"], {}), {"i": np.array([80, 1, 1, 1])}),
    (("Resize", ["x", "", "", "i"], ["y"], {}), {"i": np.array([1, 2, 40, 40])}),
    (("Resize", ["x", "", "", "i"], ["y"], {}), {"i": np.array([2000, 2, 0, 4])}),
    (("Resize", ["x", "", "s"], ["y"], {"mode": "linear", "antialias": 1}),
     {"s": np.array([1, 1, 1e-3, 1], FLOAT)}),
    (("ReduceSum", ["e", "i"], ["y"], {}), {"e": np.ones((40, 40, 0), int), "i": np.array([2])}),
    (("ReduceMax", ["e", "i"], ["y"], {"keepdims": 0}),
     {"e": np.ones((40, 0, 40), int), "i": np.array([1])}),
    (("ConstantOfShape", ["i"], ["y"], {}), {"i": np.array([1001])}),
]  # fmt: skip


@pytest.mark.parametrize(("node", "tensors"), ASKING)
def test_a_result_is_measured_before_it_is_made(node, tensors, monkeypatch):
    """The same node runs where so much may be asked for."""
    made = model([node], {"x": (FLOAT, [1, 2, 4, 4])}, {"y": 1}, tensors)
    x = jnp.ones((1, 2, 4, 4), FLOAT)
    apply, params = from_onnx(made)
    jax.eval_shape(apply, params, x)
    monkeypatch.setattr(table, "LARGEST", 1000)
    monkeypatch.setattr(graph, "CONSTANTS", 1000)
    with pytest.raises(ValueError, match="an array must have 0 to 1,000 elements") as caught:
        jax.eval_shape(*from_onnx(made), x)
    assert str(caught.value).startswith(f"from_onnx: node 'y' ({node[0]}): ")


def test_no_operator_makes_more_than_it_may(monkeypatch):
    """Of every one a test of the wheel, with as much to be had as its inputs are large."""
    refusals, larger = 0, []
    for case in everyday():
        arrays = arrays_of(case.data_sets[0][0])
        most = max([1, *(np.size(array) for array in arrays)])
        monkeypatch.setattr(table, "LARGEST", most)
        monkeypatch.setattr(graph, "CONSTANTS", most)
        try:
            apply, params, inputs = computed(case, arrays)
            found = jax.eval_shape(apply, params, *inputs)
        except ValueError as error:
            if "elements" in str(error):
                refusals += 1
            elif OTHER_NUMBERS not in str(error) and case.name not in DEPARTURES:
                raise
        else:
            larger += [case.name for y in jax.tree.leaves(found) if y.size > most]
    assert refusals > 10
    # Its numbers stand in the file.
    assert set(larger) == {"test_constant"}


def test_constants_share_what_they_may_be(monkeypatch):
    """Each of these sums is small enough, and so is each alone that a later one is made of."""
    nodes = [("Add", [f"a{i}"] * 2, [f"a{i + 1}"], {}) for i in range(5)]
    made = model([*nodes, ("Add", ["x", "a5"], ["y"], {})], {"x": (np.int64, [100])}, {"y": 7},
                 {"a0": np.arange(100)})  # fmt: skip
    apply, params = from_onnx(made)
    np.testing.assert_array_equal(apply(params, jnp.zeros(100, int)), 32 * np.arange(100))
    monkeypatch.setattr(graph, "CONSTANTS", 450)
    refused(made, r"node 'a5' \(Add\): constants must have 450 elements at most, all together")


def test_constants_that_double_end_where_they_are_too_many():
    nodes = [("Concat", [f"a{i}"] * 2, [f"a{i + 1}"], {"axis": 0}) for i in range(24)]
    made = model(nodes, {}, {"a24": 7}, {"a0": np.zeros(1, int)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "CONSTANTS", 1000)
        refused(made, r"node 'a9' \(Concat\): an array must have 0 to 490 elements, what is left")


def test_numbers_of_the_file_are_no_constants_that_are_computed(monkeypatch):
    monkeypatch.setattr(graph, "CONSTANTS", 10)
    value = numpy_helper.from_array(np.arange(100))
    nodes = [("Constant", [], ["c"], {"value": value}), ("Add", ["x", "c"], ["y"], {})]
    apply, params = from_onnx(model(nodes, {"x": (np.int64, [100])}, {"y": 7}))
    np.testing.assert_array_equal(apply(params, jnp.zeros(100, int)), np.arange(100))


def test_what_is_there_may_be_computed_with(monkeypatch):
    """The bound is on what a file asks for, not on what its user gives."""
    made = model([("Add", ["x", "b"], ["y"], {})], {"x": (FLOAT, [None, 10])}, {"y": 1},
                 {"b": np.ones(10, FLOAT)})  # fmt: skip
    apply, params = from_onnx(made)
    monkeypatch.setattr(table, "LARGEST", 100)
    assert apply(params, jnp.ones((20, 10), FLOAT)).shape == (20, 10)


def test_a_machine_with_too_little_memory_names_the_node(monkeypatch):
    def none(*_):
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setitem(table.TABLE, "Neg", table.TABLE["Neg"]._replace(run=none))
    made = model([("Neg", ["t"], ["y"], {})], {}, {"y": 7}, {"t": np.ones(2, int)})
    refused(made, r"node 'y' \(Neg\): Unable to allocate 1 GiB")


@pytest.mark.parametrize("size", [norms.WIDEST + 1, 2**40])
def test_windows_of_channels_are_not_endless(size):
    made = model([("LRN", ["x"], ["y"], {"size": size})], {"x": (FLOAT, [1, 2, 4, 4])}, {"y": 1})
    apply, params = from_onnx(made)
    with pytest.raises(ValueError, match=f"node 'y' .LRN.: size must be at most 1024, got {size}"):
        apply(params, jnp.ones((1, 2, 4, 4), FLOAT))


# Functions of a model -----------------------------------------------------------------------------


def with_functions(bodies):
    """A model that calls the last of some functions: what each calls, twice over."""
    made = model([("Relu", ["x"], ["r"], {})], {"x": (FLOAT, [2])}, {"y": 1})
    sets = [helper.make_opsetid("", 22), helper.make_opsetid("mine", 1)]
    for name, inner in bodies.items():
        domain = "" if inner == "Neg" else "mine"
        nodes = [helper.make_node(inner, [a], [b], domain=domain) for a, b in ("at", "tb")]
        made.functions.append(helper.make_function("mine", name, ["a"], ["b"], nodes, sets))
    made.opset_import.append(sets[1])
    made.graph.node.append(helper.make_node(name, ["r"], ["y"], name="top", domain="mine"))
    return made


def doubling(count):
    return {f"F{i}": f"F{i - 1}" if i else "Neg" for i in range(count)}


def test_functions_within_functions_are_counted_before_they_are_written_out(monkeypatch):
    apply, _ = from_onnx(with_functions(doubling(4)))
    assert len(apply.nodes) == 1 + 2**4
    monkeypatch.setattr(inlining, "NODES", 2**4)
    refused(with_functions(doubling(4)), "must come to 16 nodes .* got 17 and")
    monkeypatch.undo()
    monkeypatch.setattr(inlining, "BYTES", 100)
    refused(with_functions(doubling(4)), "and 100 bytes at most")
    monkeypatch.undo()
    refused(with_functions(doubling(30)), "got 1,073,741,825 and")


@pytest.mark.parametrize(
    "bodies",
    [
        {"F": "F"}, {"F": "G", "G": "F"}, {"F": "F", "G": "Neg"},
        doubling(inlining.DEEPEST + 2),
        dict(reversed(doubling(inlining.DEEPEST + 2).items())),
    ],
)  # fmt: skip
def test_functions_that_never_end_or_nest_too_deep_are_refused(bodies):
    """In whatever order they stand, and whether or not anything calls them."""
    refused(with_functions(bodies), r"node 't' \([FG][0-9]*\): functions must not call themselves")


def test_functions_that_the_package_refuses_get_one_sentence(monkeypatch):
    def broken(_):
        raise onnx.checker.ValidationError("no\ngood")

    monkeypatch.setattr("onnx.inliner.inline_local_functions", broken)
    refused(with_functions(doubling(1)), "the model's functions cannot be read: no good")
