"""The leaves: each names one operation of jaxcnn and holds its static settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from jax import Array
from jax.nn import initializers

from jaxcnn import check, ops
from jaxcnn.layers.base import SAME_PLACE, Initializer, Leaf, Parameter, Rule, wanted
from jaxcnn.layers.settings import Count
from jaxcnn.ops.activation import relu
from jaxcnn.ops.dense import dense, dense_map
from jaxcnn.ops.rectifiers import prelu, prelu_map
from jaxcnn.ops.shape import flatten, flatten_map

# He et al. 2015: the variance 2/fan_in keeps the scale of the activations through rectifiers.
he_normal: Initializer = initializers.he_normal()
zeros: Initializer = initializers.zeros
quarter: Initializer = initializers.constant(0.25)  # He et al. 2015, section 2.1


@dataclass(frozen=True)
class Dense(Leaf):
    """y = x W + b, with `features` outputs; see `jaxcnn.dense`."""

    parameter_names = ("weight", "bias")

    features: Count
    use_bias: bool = True
    weight_init: Initializer = he_normal
    bias_init: Initializer = zeros
    rule: Rule = field(default=dense_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        bias = {"bias": Parameter((self.features,), self.bias_init)} if self.use_bias else {}
        return {"weight": Parameter((shape[-1], self.features), self.weight_init), **bias}

    def window(self, shape):  # noqa: D102
        return None if len(shape) == 1 else SAME_PLACE

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return dense(x, *wanted(self, params), rule=rule)


@dataclass(frozen=True)
class Flatten(Leaf):
    """y = x with all axes but the batch made one; see `jaxcnn.flatten`."""

    rule: Rule = field(default=flatten_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return flatten(x, rule=rule)


@dataclass(frozen=True)
class Activation(Leaf):
    """y = f(x) for an operation without parameters, such as `jaxcnn.relu` or `jaxcnn.tanh`.

    `settings` are its keyword arguments: `Activation(jaxcnn.leaky_relu, {"slope": 0.2})`.
    """

    op: Callable[..., Array] = relu
    settings: Mapping[str, Any] | tuple[tuple[str, Any], ...] = ()
    rule: Rule = field(default=None, kw_only=True)  # type: ignore[assignment]  # the op's own

    def __post_init__(self):
        if not hasattr(self.op, "__name__"):
            raise TypeError(
                f"Activation: op must be an operation of jaxcnn, with its keyword arguments in "
                f"settings, got {check.shown(self.op)}"
            )
        wanted = ops.rule_of(self.op, "Activation: op")
        # As a tuple, so that equal layers are equal and can be hashed.
        object.__setattr__(self, "settings", tuple(sorted(self._named_settings().items())))
        if self.rule is None:
            object.__setattr__(self, "rule", wanted)
        super().__post_init__()

    def _named_settings(self) -> dict[str, Any]:
        """The settings as a dict, if it is one of keyword arguments that the operation has."""
        taken = list(signature(self.op).parameters)[1:]
        try:
            settings = dict(self.settings)
        except (TypeError, ValueError):
            settings = {"": None}
        if not settings.keys() <= set(taken) - {"rule"}:
            raise TypeError(
                f"Activation: settings must be a dict of keyword arguments of {self.kind}, "
                f"{', '.join(name for name in taken if name != 'rule') or 'which has none'}, "
                f"got {check.shown(self.settings)}"
            )
        return settings

    def __repr__(self):
        settings = f", {dict(self.settings)}" if self.settings else ""
        rule = "" if self.rule is ops.rule_of(self.op) else f", rule={self.rule.__name__}"
        return f"Activation({self.op.__name__}{settings}{rule})"

    @property
    def kind(self):  # noqa: D102
        return self.op.__name__

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return self.op(x, **dict(self.settings), rule=rule)


@dataclass(frozen=True)
class PReLU(Leaf):
    """y = x where x ≥ 0, else s x, with s to learn, per channel or shared; see `jaxcnn.prelu`."""

    parameter_names = ("slope",)

    shared: bool = False
    slope_init: Initializer = quarter
    rule: Rule = field(default=prelu_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        return {"slope": Parameter(() if self.shared else shape[-1:], self.slope_init)}

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return prelu(x, *wanted(self, params), rule=rule)
