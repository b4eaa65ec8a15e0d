"""Networks as data: a layer is an operation with its static settings, a network a tree of layers.

What one does with the value are interpreters over it: `init` draws the parameters, `apply` runs it,
`summary` describes it, `jaxcnn.autodiff_twin` swaps its rules for plain operations. Parameters and
state are nested dicts under the names of the layers; a layer without any does not appear in them.

    net = serial(c1=Conv(6, 5), relu1=Activation(relu), s2=MaxPool(2), flatten=Flatten(), f3=Dense(10))
    params, state = net.init(jax.random.key(0), (28, 28, 1))
    logits, state = net.apply(params, state, images)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.nn import initializers
from jax.typing import DTypeLike

from jaxcnn import check, ops
from jaxcnn.geometry import Padding
from jaxcnn.ops.activation import relu
from jaxcnn.ops.conv import conv, conv_map
from jaxcnn.ops.dense import dense, dense_map
from jaxcnn.ops.dropout import dropout, dropout_map
from jaxcnn.ops.max_pool import max_pool, max_pool_map
from jaxcnn.ops.shape import flatten, flatten_map
from jaxcnn.ops.sum_pool import avg_pool, avg_pool_map

Tree = dict[str, Any]
Initializer = Callable[..., Array]
Rule = Callable[..., Any]

# He et al. 2015: the variance 2/fan_in keeps the scale of the activations through rectifiers.
he_normal: Initializer = initializers.he_normal()
zeros: Initializer = initializers.zeros


class Parameter(NamedTuple):
    """What `init` needs to draw one parameter."""

    shape: tuple[int, ...]
    initializer: Initializer


class Window(NamedTuple):
    """What a layer looks at: the extent of its window and its stride, one or one per axis."""

    extent: int | Sequence[int]
    stride: int | Sequence[int]


SAME_PLACE = Window(1, 1)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A node of a network. One signature for all, leaves and combinators alike."""

    def init(
        self, key: Array, input_shape: Sequence[int], *, dtype: DTypeLike = jnp.float32
    ) -> tuple[Tree, Tree]:
        """Draw the parameters and the state, for examples of the given shape (no batch axis).

        Raises:
            TypeError: key is no key.
            ValueError: a layer does not fit the shape that reaches it; a note names the layer.
        """
        check.key("init", "key", key)
        shape = check.per_axis("init", "input_shape", tuple(input_shape), len(input_shape))
        params, state, _ = self._build(key, shape, dtype)
        return params, state

    def apply(
        self, params: Tree, state: Tree, x: Array, *, key: Array | None = None, train: bool = False
    ) -> tuple[Array, Tree]:
        """Run the network on a batch: the output and the new state.

        Args:
            params: as `init` drew them, or trained.
            state: as `init` made it, or as the last `apply` returned it.
            x: examples of the shape given to `init`, after a batch axis.
            key: a key of jax.random, needed in training by layers that draw random numbers.
            train: whether this is a training pass (dropout drops, statistics are those of the batch).

        Raises:
            TypeError, ValueError: as the operations do; a note names the layer.
        """
        raise NotImplementedError

    def _build(
        self, key: Array, shape: tuple[int, ...], dtype: DTypeLike
    ) -> tuple[Tree, Tree, tuple[int, ...]]:
        """Parameters, state, and the shape of one example of the output."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Leaf(Layer):
    """A layer that applies one operation. Subclasses name the operation and its static settings."""

    rule: Rule

    @property
    def kind(self) -> str:
        """The word that the summary shows, and that names the layer unless it is given a name."""
        return type(self).__name__.lower()

    def parameters(self, shape: tuple[int, ...]) -> dict[str, Parameter]:
        """The parameters for inputs of the given shape; none unless a subclass says otherwise."""
        del shape
        return {}

    def window(self) -> Window | None:
        """What one output element looks at: the same place by default; None is everything."""
        return SAME_PLACE

    def call(self, params: Tree, x: Array, *, key: Array | None, train: bool, rule: Rule) -> Array:
        """Apply the operation with the given rule."""
        raise NotImplementedError

    def apply(
        self, params: Tree, state: Tree, x: Array, *, key: Array | None = None, train: bool = False
    ) -> tuple[Array, Tree]:  # noqa: D102
        return self.call(params, x, key=key, train=train, rule=self.rule), state

    def _build(self, key, shape, dtype):
        wanted = self.parameters(shape)
        keys = jax.random.split(key, max(len(wanted), 1))
        params = {
            name: parameter.initializer(k, parameter.shape, dtype)
            for k, (name, parameter) in zip(keys, wanted.items(), strict=False)
        }
        x = jax.ShapeDtypeStruct((1, *shape), dtype)
        y, state = jax.eval_shape(lambda params, x: self.apply(params, {}, x), params, x)
        return params, state, y.shape[1:]


@dataclass(frozen=True)
class Conv(Leaf):
    """y = x ⋆ k + b, with `features` output channels; see `jaxcnn.conv`."""

    features: int
    window_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: Padding = "VALID"
    dilation: int | Sequence[int] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = he_normal
    bias_init: Initializer = zeros
    rule: Rule = field(default=conv_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        axes = len(shape) - 1
        window = check.per_axis("Conv", "window_size", self.window_size, axes)
        features = check.integer("Conv", "features", self.features, minimum=1)
        kernel = (*window, shape[-1] // self.groups, features)
        bias = {"bias": Parameter((features,), self.bias_init)} if self.use_bias else {}
        return {"kernel": Parameter(kernel, self.kernel_init), **bias}

    def window(self):  # noqa: D102
        if isinstance(self.dilation, int) and isinstance(self.window_size, int):
            return Window((self.window_size - 1) * self.dilation + 1, self.stride)
        axes = max(
            len(size) for size in (self.window_size, self.dilation) if not isinstance(size, int)
        )
        window = check.per_axis("Conv", "window_size", self.window_size, axes)
        dilation = check.per_axis("Conv", "dilation", self.dilation, axes)
        extent = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        return Window(extent, self.stride)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return conv(
            x,
            _take(params, "kernel"),
            _take(params, "bias") if self.use_bias else None,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            rule=rule,
        )


@dataclass(frozen=True)
class MaxPool(Leaf):
    """y = the maximum over every window; see `jaxcnn.max_pool`."""

    window_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: Padding = "VALID"
    rule: Rule = field(default=max_pool_map, kw_only=True)

    def window(self):  # noqa: D102
        return Window(self.window_size, self.window_size if self.stride is None else self.stride)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return max_pool(x, self.window_size, stride=self.stride, padding=self.padding, rule=rule)


@dataclass(frozen=True)
class AvgPool(Leaf):
    """y = the average over every window; see `jaxcnn.avg_pool`."""

    window_size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    padding: Padding = "VALID"
    count_include_pad: bool = True
    rule: Rule = field(default=avg_pool_map, kw_only=True)

    def window(self):  # noqa: D102
        return Window(self.window_size, self.window_size if self.stride is None else self.stride)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return avg_pool(
            x,
            self.window_size,
            stride=self.stride,
            padding=self.padding,
            count_include_pad=self.count_include_pad,
            rule=rule,
        )


@dataclass(frozen=True)
class Dense(Leaf):
    """y = x W + b, with `features` outputs; see `jaxcnn.dense`."""

    features: int
    use_bias: bool = True
    weight_init: Initializer = he_normal
    bias_init: Initializer = zeros
    rule: Rule = field(default=dense_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        features = check.integer("Dense", "features", self.features, minimum=1)
        bias = {"bias": Parameter((features,), self.bias_init)} if self.use_bias else {}
        return {"weight": Parameter((shape[-1], features), self.weight_init), **bias}

    def window(self):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        bias = _take(params, "bias") if self.use_bias else None
        return dense(x, _take(params, "weight"), bias, rule=rule)


@dataclass(frozen=True)
class Flatten(Leaf):
    """y = x with all axes but the batch made one; see `jaxcnn.flatten`."""

    rule: Rule = field(default=flatten_map, kw_only=True)

    def window(self):  # noqa: D102
        return None

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return flatten(x, rule=rule)


@dataclass(frozen=True)
class Activation(Leaf):
    """y = f(x) for an operation without parameters, such as `jaxcnn.relu` or `jaxcnn.tanh`."""

    op: Callable[..., Array] = relu
    rule: Rule = field(default=None, kw_only=True)  # type: ignore[assignment]  # the op's own

    def __post_init__(self):
        if self.rule is None:
            object.__setattr__(self, "rule", ops.rule_of(self.op))

    @property
    def kind(self):  # noqa: D102
        return self.op.__name__

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return self.op(x, rule=rule)


@dataclass(frozen=True)
class Dropout(Leaf):
    """y = x • mask / (1 − p) in training, y = x otherwise; see `jaxcnn.dropout`."""

    rate: float = 0.5
    rule: Rule = field(default=dropout_map, kw_only=True)

    def __post_init__(self):
        check.probability("Dropout", "rate", self.rate)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        if not train or self.rate == 0:
            return x
        if key is None:
            raise ValueError("apply: key must be a key of jax.random in training with dropout, got None")
        return dropout(x, key, self.rate, rule=rule)


@dataclass(frozen=True)
class Serial(Layer):
    """Layers one after the other, each under its name; made by `serial`."""

    children: tuple[tuple[str, Layer], ...]

    def apply(self, params, state, x, *, key=None, train=False):  # noqa: D102
        new_state = {}
        for position, (name, layer) in enumerate(self.children):
            child_key = None if key is None else jax.random.fold_in(key, position)
            with _named(name):
                x, child_state = layer.apply(
                    params.get(name, {}), state.get(name, {}), x, key=child_key, train=train
                )
            if child_state:
                new_state[name] = child_state
        return x, new_state

    def _build(self, key, shape, dtype):
        params, state = {}, {}
        for position, (name, layer) in enumerate(self.children):
            with _named(name):
                child = layer._build(jax.random.fold_in(key, position), shape, dtype)
            child_params, child_state, shape = child
            if child_params:
                params[name] = child_params
            if child_state:
                state[name] = child_state
        return params, state, shape


def serial(*layers: Layer, **named: Layer) -> Serial:
    """Layers one after the other.

    Args:
        layers: named after their kind and number: conv1, relu1, maxpool1, conv2, …
        named: under the names given, after those without one.

    Raises:
        TypeError: an argument is no layer.
        ValueError: there is none.
    """
    children: list[tuple[str, Layer]] = []
    counts: dict[str, int] = {}
    for layer in layers:
        kind = layer.kind if isinstance(layer, Leaf) else type(layer).__name__.lower()
        counts[kind] = counts.get(kind, 0) + 1
        children.append((f"{kind}{counts[kind]}", layer))
    children += named.items()
    if not children:
        raise ValueError("serial: layers must be one at least, got none")
    for name, layer in children:
        if not isinstance(layer, Layer):
            raise TypeError(f"serial: {name} must be a layer, got {layer!r}")
    return Serial(tuple(children))


class Row(NamedTuple):
    """One line of the summary: the receptive field is None where an output sees the whole input."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    receptive_field: tuple[int, ...] | None


def rows(net: Layer, input_shape: Sequence[int]) -> list[Row]:
    """Name, kind, output shape, number of parameters and receptive field of every layer.

    The receptive field grows by (extent − 1) · jump, the jump by the stride; paddings do not count.
    """
    axes = len(input_shape) - 1
    seen: tuple[int, ...] | None = (1,) * axes
    jump = (1,) * axes
    shape = tuple(input_shape)
    found = []
    for name, leaf in _leaves(net):
        with _named(name):
            params, shape = _abstract(leaf, shape)
        window = leaf.window()
        if window is None or seen is None:
            seen = None
        elif window != SAME_PLACE:
            extent, stride = (check.per_axis("summary", "window", w, axes) for w in window)
            seen = tuple(s + (e - 1) * j for s, e, j in zip(seen, extent, jump, strict=True))
            jump = tuple(j * s for j, s in zip(jump, stride, strict=True))
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        found.append(Row(name, leaf.kind, shape, count, seen))
    return found


def summary(net: Layer, input_shape: Sequence[int]) -> str:
    """A table for people: layer, output shape, parameters, receptive field; the total below.

    Raises:
        ValueError: a layer does not fit the shape that reaches it; a note names the layer.
    """
    table = rows(net, input_shape)
    cells = [("layer", "operation", "output shape", "parameters", "receptive field")]
    cells.append(("input", "", _times(input_shape), "", ""))
    for row in table:
        seen = "whole input" if row.receptive_field is None else _times(row.receptive_field)
        count = f"{row.parameters:,}" if row.parameters else ""
        cells.append((row.name, row.kind, _times(row.output_shape), count, seen))
    cells.append(("total", "", "", f"{sum(row.parameters for row in table):,}", ""))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        "  ".join(
            cell.rjust(width) if column == 3 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _leaves(net: Layer, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf in order, under its path."""
    match net:
        case Leaf():
            yield prefix or net.kind, net
        case Serial(children):
            for name, layer in children:
                yield from _leaves(layer, f"{prefix}/{name}" if prefix else name)
        case _:
            raise TypeError(f"summary: net must be a layer of jaxcnn.layers, got {net!r}")


def _abstract(net: Layer, shape: tuple[int, ...]) -> tuple[Tree, tuple[int, ...]]:
    """The shapes of the parameters and of an output, without drawing or computing anything."""
    output = []

    def build(key):
        params, _, output_shape = net._build(key, shape, jnp.float32)
        output.append(output_shape)
        return params

    params = jax.eval_shape(build, jax.random.key(0))
    return params, output[0]


def _times(shape: Sequence[int]) -> str:
    return " × ".join(str(size) for size in shape)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add to an error the name of the layer that it came from."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(f"in layer {name}")
        raise


def _take(params: Tree, name: str) -> Array:
    if name not in params:
        raise ValueError(
            f"apply: params must hold what init returned for this network, "
            f"got no {name!r} among {sorted(params)}"
        )
    return params[name]
