"""PyTorch's activations, norms and losses for generated cases."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import torch
import torch.nn.functional as F  # noqa: N812

import jaxcnn as jc
from generated import STRATEGIES
from generated.activation import between_kinks
from generated.loss import LIMITS
from generated.peer import Peer
from jaxcnn.gradcheck.cases.case import Case, apart, distribution


def of(op, draw) -> st.SearchStrategy[Case]:
    """The cases of an operation whose numbers are drawn in one way."""
    return STRATEGIES[op.__name__].filter(lambda case: draw in case.draw.values())


def elementwise(theirs, *options: tuple[str, Any]) -> Callable[[Case], Callable[..., Any]]:
    """A function of x and of settings with these names and defaults."""
    return lambda case: lambda x: theirs(x, *(case.settings.get(*option) for option in options))


def maxout(case: Case) -> Callable[..., Any]:
    return lambda x: x.reshape(*x.shape[:-1], -1, case.settings["pieces"]).amax(-1)


ACTIVATIONS = {
    jc.relu: elementwise(F.relu),
    jc.relu6: elementwise(F.relu6),
    jc.leaky_relu: elementwise(F.leaky_relu, ("slope", 0.01)),
    jc.elu: elementwise(F.elu, ("alpha", 1.0)),
    jc.celu: elementwise(F.celu, ("alpha", 1.0)),
    jc.selu: elementwise(F.selu),
    jc.thresholded_relu: elementwise(lambda x, a: F.threshold(x, a, 0), ("alpha", 1.0)),
    jc.hard_shrink: elementwise(F.hardshrink, ("threshold", 0.5)),
    jc.softsign: elementwise(F.softsign),
    jc.erf: elementwise(torch.erf),
    jc.hard_tanh: elementwise(F.hardtanh),
    jc.hard_swish: elementwise(F.hardswish),
    jc.gelu: elementwise(
        lambda x, tanh: F.gelu(x, approximate="tanh" if tanh else "none"), ("approximate", False)
    ),
    jc.silu: elementwise(F.silu),
    jc.mish: elementwise(F.mish),
    jc.softplus: elementwise(F.softplus),
    jc.sigmoid: elementwise(torch.sigmoid),
    jc.tanh: elementwise(torch.tanh),
}


def batch_norm(case: Case) -> Callable[..., Any]:
    epsilon = case.settings.get("epsilon", 1e-5)
    return lambda x, scale=None, bias=None: F.batch_norm(
        x, None, None, scale, bias, training=True, eps=epsilon
    )


def batch_norm_inference(case: Case) -> Callable[..., Any]:
    epsilon = case.settings.get("epsilon", 1e-5)
    return lambda x, mean, variance, scale=None, bias=None: F.batch_norm(
        x, mean, variance, scale, bias, eps=epsilon
    )


def last_axes(theirs, default: float) -> Callable[[Case], Callable[..., Any]]:
    """Layer norm and RMS norm."""

    def of_case(case: Case) -> Callable[..., Any]:
        axes = case.settings.get("axes", -1)
        size = case.shapes["x"][min(axes) if isinstance(axes, tuple) else axes :]
        epsilon = case.settings.get("epsilon", default)
        return lambda x, **parameters: theirs(x, size, **renamed(parameters), eps=epsilon)

    return of_case


def renamed(parameters: dict[str, Any]) -> dict[str, Any]:
    """PyTorch calls a scale a weight."""
    return {"weight" if name == "scale" else name: array for name, array in parameters.items()}


def group_norm(case: Case) -> Callable[..., Any]:
    groups, epsilon = case.settings["groups"], case.settings.get("epsilon", 1e-5)

    def function(x, scale=None, bias=None):
        # With one of them alone PyTorch 2.13 cannot differentiate.
        if scale is None and bias is not None:
            scale = torch.ones_like(bias)
        if bias is None and scale is not None:
            bias = torch.zeros_like(scale)
        return F.group_norm(x, groups, scale, bias, epsilon)

    return function


def instance_norm(case: Case) -> Callable[..., Any]:
    epsilon = case.settings.get("epsilon", 1e-5)
    return lambda x, scale=None, bias=None: F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


def local_response_norm(case: Case) -> Callable[..., Any]:
    """PyTorch divides alpha by the size always: the mean over the window."""
    options = {"size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75, "average": False, **case.settings}
    scale = 1 if options.pop("average") else options["size"]
    options["alpha"] = options["alpha"] * scale
    return lambda x: F.local_response_norm(x, **options)


def several(case: Case) -> bool:
    """Whether there are several numbers to normalise, without which PyTorch refuses."""
    x = case.shapes["x"]
    if case.op is jc.batch_norm:
        return math.prod(x[:-1]) > 1 and case.output == 0
    groups = case.settings.get("groups", x[-1])
    return math.prod(x[1:]) > groups


def cross_entropy(case: Case) -> Callable[..., Any]:
    options = {"label_smoothing": 0.0, "reduction": "mean", **case.settings}
    if options.setdefault("ignore_index", -100) is None:
        options["ignore_index"] = -100

    def function(logits, targets, class_weights=None):
        targets = targets if targets.is_floating_point() else targets.long()
        return F.cross_entropy(logits, targets, weight=class_weights, **options)

    return function


def per_output(theirs, factor: float) -> Callable[[Case], Callable[..., Any]]:
    """Losses that PyTorch has for each output: added up here for each example."""

    def of_case(case: Case) -> Callable[..., Any]:
        options = {name: value for name, value in case.settings.items() if name in LIMITS.values()}
        reduce = {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}[
            case.settings.get("reduction", "mean")
        ]

        def function(targets, **outputs):
            (y,) = outputs.values()
            return reduce(theirs(y, targets, reduction="none", **options).sum(-1) * factor)

        return function

    return of_case


NORMS = {
    "batch_norm": Peer(STRATEGIES["batch_norm"].filter(several), batch_norm),
    "batch_norm_inference": Peer(STRATEGIES["batch_norm_inference"], batch_norm_inference),
    "layer_norm": Peer(STRATEGIES["layer_norm"], last_axes(F.layer_norm, 1e-5), "plain"),
    "rms_norm": Peer(STRATEGIES["rms_norm"], last_axes(F.rms_norm, 1e-6), "plain"),
    "group_norm": Peer(STRATEGIES["group_norm"].filter(several), group_norm),
    "instance_norm": Peer(STRATEGIES["instance_norm"].filter(several), instance_norm),
    "local_response_norm": Peer(
        STRATEGIES["local_response_norm"].filter(lambda case: len(case.shapes["x"]) > 2),
        local_response_norm,
    ),
}

LOSSES = {
    "softmax_cross_entropy": Peer(
        STRATEGIES["softmax_cross_entropy"],
        cross_entropy,
        # With labels PyTorch has no gradient in the weights.
        constant=lambda case: (
            [n for n in case.shapes if n == "class_weights" and "targets" in case.fixed]
        ),
    ),
    **{
        op.__name__: Peer(STRATEGIES[op.__name__], per_output(theirs, factor), "plain")
        for op, theirs, factor in (
            (jc.sigmoid_binary_cross_entropy, F.binary_cross_entropy_with_logits, 1.0),
            (jc.squared_error, F.mse_loss, 0.5),
            (jc.absolute_error, F.l1_loss, 1.0),
            (jc.huber, F.huber_loss, 1.0),
            (jc.smooth_l1, F.smooth_l1_loss, 1.0),
        )
    },
    # A probability of 0 makes PyTorch's gradient in the targets NaN.
    "kl_divergence": Peer(of(jc.kl_divergence, distribution), per_output(F.kl_div, 1.0), "plain"),
}


def prelu(case: Case) -> Callable[..., Any]:
    """PyTorch has a slope per channel, or one."""
    return lambda x, slope: torch.where(x >= 0, x, slope * x)


ELEMENTS = {
    "prelu": Peer(of(jc.prelu, between_kinks), prelu, "plain"),
    **{op.__name__: Peer(of(op, between_kinks), f, "plain") for op, f in ACTIVATIONS.items()},
    "maxout": Peer(of(jc.maxout, apart), maxout, "plain"),
    **{
        op.__name__: Peer(STRATEGIES[op.__name__], elementwise(theirs, ("axis", -1)), "plain")
        for op, theirs in ((jc.softmax, torch.softmax), (jc.log_softmax, torch.log_softmax))
    },
}
