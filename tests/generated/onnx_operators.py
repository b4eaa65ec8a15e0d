"""ONNX's operators for generated cases, computed by the reference evaluator of the onnx package."""

from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import jaxcnn as jc
from generated import STRATEGIES, conv
from generated.geometry import amounts
from generated.peer import fixed_arguments
from generated.pool import flat_positions
from generated.windows import shuffled
from jaxcnn.geometry import Geometry, parse_geometry, parse_pool_geometry
from jaxcnn.gradcheck.cases.case import Case


def evaluate(operator: str, arrays: list[Any], outputs: int = 1, **attributes: Any) -> list[Any]:
    """The results of one operator; an array that is None is left out."""
    given = {f"x{i}": np.asarray(a) for i, a in enumerate(arrays) if a is not None}
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(operator, names, results, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in given.items()
    ]
    declared = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in results]
    graph = helper.make_graph([node], operator, inputs, declared)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    return list(ReferenceEvaluator(model).run(None, given))


def first(x: Any) -> np.ndarray:
    """Channels first: n h w c → n c h w."""
    return np.moveaxis(np.asarray(x), -1, 1)


def last(x: Any) -> np.ndarray:
    """Channels last."""
    return np.moveaxis(x, 1, -1)


def ours(case: Case) -> Any:
    """The operation's value at the case's arrays."""
    return jax.jit(case.function())(*case.arrays())


def named(case: Case) -> dict[str, Any]:
    """The case's arrays by name."""
    return dict(zip(case.shapes, case.arrays(), strict=True))


def same(found: Any, expected: Any) -> None:
    assert np.shape(found) == np.shape(expected)
    assert np.allclose(found, expected, rtol=0, atol=1e-12)


def pads_of(pairs) -> list[int]:
    """ONNX's order of paddings: all that are in front first."""
    return [low for low, _ in pairs] + [high for _, high in pairs]


def convolution(case: Case) -> None:
    arrays, options = named(case), case.settings
    kernel = arrays["kernel"]
    geometry = parse_geometry(
        "", arrays["x"].shape[1:-1], kernel.shape[:-2], stride=options["stride"],
        padding=options["padding"], dilation=options["dilation"],
    )  # fmt: skip
    auto = {"SAME": "SAME_UPPER", "SAME_LOWER": "SAME_LOWER", "VALID": "VALID"}
    word = auto.get(str(options["padding"]).upper())
    padding: dict[str, Any] = {"auto_pad": word} if word else {"pads": pads_of(geometry.padding)}
    (y,) = evaluate(
        "Conv",
        [first(arrays["x"]), np.moveaxis(kernel, (-1, -2), (0, 1)), arrays.get("bias")],
        strides=geometry.stride, dilations=geometry.dilation, group=options["groups"], **padding,
    )  # fmt: skip
    same(ours(case), last(y))


def transposed_convolution(case: Case) -> None:
    arrays, options = named(case), case.settings
    x, kernel = arrays["x"], arrays["kernel"]
    axes = x.ndim - 2
    stride, dilation, output_padding = (
        np.broadcast_to(options[name], axes).tolist()
        for name in ("stride", "dilation", "output_padding")
    )
    extent = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:-2], dilation, strict=True)]
    padding: dict[str, Any] = {"auto_pad": "SAME_LOWER"}
    if options["padding"] in ("SAME", "same"):
        padding["auto_pad"] = "SAME_UPPER"
    elif options["padding"] != "SAME_LOWER":
        padding = {"pads": pads_of(amounts(options["padding"], extent))}
    (y,) = evaluate(
        "ConvTranspose",
        [first(x), np.moveaxis(kernel, (-1, -2), (0, 1)), arrays.get("bias")],
        strides=stride, dilations=dilation, output_padding=output_padding, group=1, **padding,
    )  # fmt: skip
    same(ours(case), last(y))


def known_transposition(case: Case) -> bool:
    """No groups, no amounts below 0, and none that "SAME" makes the evaluator take below 0."""
    options = case.settings
    extent = (np.array(case.shapes["kernel"][:-2]) - 1) * options["dilation"] + 1
    if str(options["padding"]).upper().startswith("SAME"):
        return options["groups"] == 1 and bool(np.all(extent >= options["stride"]))
    return options["groups"] == 1 and not_negative(case)


def not_negative(case: Case) -> bool:
    """Whether every amount of padding is at least 0."""
    padding = case.settings["padding"]
    entries = padding if isinstance(padding, tuple) else (padding,)
    return isinstance(padding, str) or all(np.min(entry) >= 0 for entry in entries)


def pool_geometry(case: Case) -> Geometry:
    options = {"stride": None, "ceil_mode": False, **case.settings}
    for name in ("p", "count_include_pad"):
        options.pop(name, None)
    return parse_pool_geometry("", case.shapes["x"][1:-1], **options)


def pool_attributes(case: Case) -> dict[str, Any]:
    geometry = pool_geometry(case)
    return {
        "kernel_shape": geometry.window,
        "strides": geometry.stride,
        "dilations": geometry.dilation,
        "pads": pads_of(geometry.counted_padding),
        "ceil_mode": int(case.settings.get("ceil_mode", False)),
    }


def max_pooling(case: Case) -> None:
    geometry, x = pool_geometry(case), named(case)["x"]
    indexed = set(geometry.stride) | set(geometry.dilation) != {1}
    results = evaluate("MaxPool", [first(x)], 1 + indexed, **pool_attributes(case))
    y, switches = jax.jit(lambda x: jc.max_pool_with_switches(x, **case.settings))(x)
    same(y, last(results[0]))
    if indexed:
        # Flat places on all maps, one after the other, from places in the windows.
        low = tuple(low for low, _ in geometry.padding)
        places = flat_positions(
            switches, geometry.input, geometry.window, geometry.stride, low, geometry.dilation
        )
        maps = np.arange(x.shape[0] * x.shape[-1]).reshape(x.shape[0], x.shape[-1])
        maps = maps.reshape(x.shape[0], *[1] * geometry.axes, x.shape[-1])
        assert np.array_equal(places + maps * np.prod(geometry.input), last(results[1]))


def average_pooling(case: Case) -> None:
    counted = int(case.settings.get("count_include_pad", True))
    x = first(named(case)["x"])
    (y,) = evaluate("AveragePool", [x], count_include_pad=counted, **pool_attributes(case))
    same(ours(case), last(y))


def norm_pooling(case: Case) -> None:
    (y,) = evaluate(
        "LpPool", [first(named(case)["x"])], p=case.settings["p"], **pool_attributes(case)
    )
    same(ours(case), last(y))


def local_response(case: Case) -> None:
    """An even window has one channel more above than below; Krizhevsky's, as PyTorch's, below."""
    options = {"size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75, **case.settings}
    x = named(case)["x"]
    (y,) = evaluate(
        "LRN", [first(x)], size=options["size"], bias=options["k"], alpha=options["alpha"],
        beta=options["beta"],
    )  # fmt: skip
    flip = slice(None, None, -1 if options["size"] % 2 == 0 else 1)
    mine = jax.jit(lambda x: jc.local_response_norm(x, **options, average=True))(x[..., flip])
    # Attributes are float32 in ONNX.
    assert np.allclose(mine[..., flip], last(y), rtol=0, atol=1e-6)


def normalisation(case: Case) -> None:
    arrays, epsilon = named(case), case.settings.get("epsilon", 1e-5)
    c = arrays["x"].shape[-1]
    scale, bias = arrays.get("scale", np.ones(c)), arrays.get("bias", np.zeros(c))
    x, attributes = first(arrays["x"]), {"epsilon": epsilon}
    if case.op is jc.instance_norm:
        (y,) = evaluate("InstanceNormalization", [x, scale, bias], **attributes)
    elif case.op is jc.batch_norm_inference:
        given = fixed_arguments(case)
        statistics = [given["mean"], given["variance"]]
        (y,) = evaluate("BatchNormalization", [x, scale, bias, *statistics], **attributes)
    else:
        # A momentum of 0 makes the running statistics those of the batch.
        y, *statistics = evaluate(
            "BatchNormalization", [x, scale, bias, np.zeros(c), np.ones(c)], 3,
            training_mode=1, momentum=0.0, **attributes,
        )  # fmt: skip
        _, *computed = jax.jit(lambda arrays: jc.batch_norm(**arrays, **case.settings))(arrays)
        for mine, theirs in zip(computed, statistics, strict=True):
            same(mine, theirs)
    found = ours(case)
    # Attributes are float32 in ONNX: that of ε, which matters where the variance is small.
    assert np.allclose(found, last(y), rtol=0, atol=1e-6)


def shuffling(case: Case) -> None:
    x, block = named(case)["x"], case.settings["block"]
    block = block if isinstance(block, int) else block[0]
    if case.op is jc.pixel_shuffle:
        (y,) = evaluate("DepthToSpace", [first(x)], blocksize=block, mode=case.settings["order"])
    else:
        (y,) = evaluate("SpaceToDepth", [first(x)], blocksize=block)
    same(ours(case), last(y))


def square(case: Case) -> bool:
    """ONNX has one block for both axes."""
    return len(np.unique(case.settings["block"])) == 1


def resizing(case: Case) -> None:
    x, size = first(named(case)["x"]), case.settings["size"]
    size = [size] * (x.ndim - 2) if isinstance(size, int) else size
    (y,) = evaluate(
        "Resize", [x, None, None, np.array([*x.shape[:2], *size])],
        mode=case.settings["method"], nearest_mode=case.settings["rounding"],
        coordinate_transformation_mode=case.settings["coordinates"],
    )  # fmt: skip
    # The evaluator has the weights of its cubics in float32; their sum is off by 1e-6.
    error = 1e-5 if case.settings["method"] == "cubic" else 1e-12
    assert np.allclose(ours(case), last(y), rtol=0, atol=error)


def known_places(case: Case) -> bool:
    """A scale that is no quotient of the sizes is read otherwise by the evaluator; and the one
    element of a result it puts at −½, where the definition of pytorch_half_pixel and onnxruntime
    have 0.
    """
    one = 1 in np.ravel(case.settings.get("size", ()))
    unknown = one and case.settings["coordinates"] == "pytorch_half_pixel"
    return "size" in case.settings and not unknown


def slopes(case: Case) -> None:
    x, slope = named(case).values()
    same(ours(case), evaluate("PRelu", [x, slope])[0])


def cross_entropy(case: Case) -> None:
    arrays, labels = named(case), fixed_arguments(case)["targets"].astype(np.int64)
    attributes = {"reduction": case.settings.get("reduction", "mean")}
    if case.settings.get("ignore_index") is not None:
        attributes["ignore_index"] = case.settings["ignore_index"]
    given = [first(arrays["logits"]), labels, arrays.get("class_weights")]
    given = given if given[-1] is not None else given[:2]
    (y,) = evaluate("SoftmaxCrossEntropyLoss", given, **attributes)
    same(ours(case), y)


def moved_or_unpadded(case: Case) -> bool:
    geometry = pool_geometry(case)
    moved = set(geometry.stride) | set(geometry.dilation) != {1}
    return moved or not any(map(any, geometry.padding))


def unsmoothed(case: Case) -> bool:
    return "targets" in case.fixed and not case.settings.get("label_smoothing", 0)


def whole_power(case: Case) -> bool:
    """The exponent is an integer in ONNX, and an overhang weighs more in the evaluator."""
    return isinstance(case.settings["p"], int) and not pool_geometry(case).overhang


@st.composite
def as_many_channels_as_examples(draw) -> Case:
    """Maps of two axes; the evaluator takes the one number for the other."""
    case = draw(STRATEGIES["local_response_norm"])
    n, h, w = draw(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)))
    settings = {name: value for name, value in case.settings.items() if name != "average"}
    return Case(jc.local_response_norm, {"x": (n, h, w, n)}, settings)


OPERATORS = {
    "DepthToSpace": (shuffled(jc.pixel_shuffle, 2, 2).filter(square), shuffling),
    "SpaceToDepth": (shuffled(jc.pixel_unshuffle, 2, 2, ("DCR",)).filter(square), shuffling),
    "Resize": (STRATEGIES["resize"].filter(known_places), resizing),
    "PRelu": (STRATEGIES["prelu"], slopes),
    "Conv": (
        conv.convolutions(jc.conv, input_dilated=False).filter(not_negative),
        convolution,
    ),
    "ConvTranspose": (
        STRATEGIES["conv_transpose"].filter(known_transposition),
        transposed_convolution,
    ),
    "MaxPool": (STRATEGIES["max_pool"].filter(moved_or_unpadded), max_pooling),
    "AveragePool": (
        STRATEGIES["avg_pool"].filter(
            lambda case: max(pool_geometry(case).overhang, default=0) < 2
        ),
        average_pooling,
    ),
    "LpPool": (STRATEGIES["lp_pool"].filter(whole_power), norm_pooling),
    "LRN": (as_many_channels_as_examples(), local_response),
    "BatchNormalization": (
        st.one_of(
            STRATEGIES["batch_norm_inference"],
            STRATEGIES["batch_norm"].filter(lambda case: case.output == 0),
        ),
        normalisation,
    ),
    "InstanceNormalization": (STRATEGIES["instance_norm"], normalisation),
    "SoftmaxCrossEntropyLoss": (
        STRATEGIES["softmax_cross_entropy"].filter(unsmoothed),
        cross_entropy,
    ),
}
