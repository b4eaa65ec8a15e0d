"""What every layer is: a frozen value with `init` and `apply`; a leaf applies one operation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from reprlib import Repr
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxcnn import check
from jaxcnn.layers.settings import check_settings
from jaxcnn.lowering.precision import accumulator

Tree = dict[str, Any]
Initializer = Callable[..., Array]
Rule = Callable[..., Any]


class Parameter(NamedTuple):
    """What `init` needs to draw one parameter, or one entry of the state."""

    shape: tuple[int, ...]
    initializer: Initializer


class Window(NamedTuple):
    """What a layer looks at: the extent of its window and its stride, one or one per axis.

    A fraction where windows differ: r neighbours see ⌈(r − 1)·stride + extent⌉ elements at most.
    """

    extent: int | Sequence[int | Fraction]
    stride: int | Sequence[int | Fraction]


SAME_PLACE = Window(1, 1)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A node of a network. One signature for all, leaves and combinators alike."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Before `dataclass` puts its own there, which prints every field and addresses.
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = cls.__repr__

    def _repr_html_(self) -> str:
        """For notebooks: every layer with its settings."""
        from jaxcnn.layers.summary import outline  # which reads this module

        return outline(self)

    def init(
        self, key: Array, input_shape: Sequence[int], *, dtype: DTypeLike = jnp.float32
    ) -> tuple[Tree, Tree]:
        """Draw the parameters and the state, for examples of the given shape (no batch axis).

        Raises:
            TypeError: key is no key, or dtype none of floats.
            ValueError: a layer does not fit the shape that reaches it; a note names the layer.
        """
        check.key("init", "key", key)
        check.float_dtype("init", "dtype", dtype)
        shape = check.integers("init", "input_shape", input_shape)
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
            train: whether this is a training pass: dropout drops, statistics are the batch's.

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
    """A layer that applies one operation. Subclasses name the operation and its static settings.

    A rule's arguments are the input, then the layer's parameters in the order of `parameter_names`
    (None for one that the layer does without), then whatever else it needs; where a name is None,
    the argument is a constant of the layer, and the gradient that the rule has for it is not used.
    One without state says in `call` what it does; one with state names it in `states` and says in
    `run` what it does and how the state goes on. Where the input goes through another operation
    first, `first` names it: one rule after the other, each with a backward pass of its own.
    """

    parameter_names: ClassVar[tuple[str | None, ...]] = ()

    rule: Rule

    def __post_init__(self) -> None:
        check_settings(self, fields(self))

    def __repr__(self) -> str:
        """As the layer is made; settings with their usual values are left out."""
        settings = [f for f in fields(self) if getattr(self, f.name) != f.default]
        settings.sort(key=lambda f: f.default is not MISSING)
        said = [
            _spelt(getattr(self, f.name))
            if f.default is MISSING
            else f"{f.name}={_spelt(getattr(self, f.name))}"
            for f in settings
        ]
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def kind(self) -> str:
        """The word that the summary shows, and that names the layer unless it is given a name."""
        return type(self).__name__.lower()

    def parameters(self, shape: tuple[int, ...]) -> dict[str, Parameter]:
        """The parameters for inputs of the given shape; none unless a subclass says otherwise."""
        del shape
        return {}

    def states(self, shape: tuple[int, ...]) -> dict[str, Parameter]:
        """The state for inputs of the given shape; none unless a subclass says otherwise.

        State holds sums and averages: where parameters are in half precision it is in float32.
        """
        del shape
        return {}

    def rule_for(self, train: bool) -> Rule:
        """The rule that a pass applies, in training or not."""
        del train
        return self.rule

    def first(self, x: Any) -> "Leaf | None":
        """A leaf without parameters or state that x goes through first; none unless said so."""
        del x
        return None

    def window(self, shape: tuple[int, ...]) -> Window | None:
        """What one output element looks at in an input of that shape; None is everything."""
        del shape
        return SAME_PLACE

    def call(self, params: Tree, x: Array, *, key: Array | None, train: bool, rule: Rule) -> Array:
        """Apply the operation with the given rule."""
        raise NotImplementedError

    def run(
        self, params: Tree, state: Tree, x: Array, *, key: Array | None, train: bool, rule: Rule
    ) -> tuple[Array, Tree]:
        """Apply the operation with the given rule: the output and the new state."""
        return self.call(params, x, key=key, train=train, rule=rule), state

    def apply(
        self, params: Tree, state: Tree, x: Array, *, key: Array | None = None, train: bool = False
    ) -> tuple[Array, Tree]:
        """Run the operation: see `Layer.apply`."""
        check_pass("apply", params, state, key, train)
        first = self.first(x)
        if first is not None:
            x, _ = first.apply({}, {}, x)
        return self.run(params, state, x, key=key, train=train, rule=self.rule_for(train))

    def _build(self, key, shape, dtype):
        params = _draw(key, self.parameters(shape), dtype)
        state = _draw(jax.random.fold_in(key, 1), self.states(shape), accumulator(dtype))
        x = jax.ShapeDtypeStruct((1, *shape), dtype)
        y, _ = jax.eval_shape(self.apply, params, state, x)
        return params, state, y.shape[1:]


_SHORT = Repr()


def _spelt(value: Any) -> str:
    """A setting in one line; a function by its name, or by that of the function that made it."""
    if callable(value):
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
        return str(name).partition(".<locals>")[0] if name else type(value).__name__
    return _SHORT.repr(value)


def _draw(key: Array, wanted: dict[str, Parameter], dtype: DTypeLike) -> Tree:
    keys = jax.random.split(key, max(len(wanted), 1))
    return {
        name: parameter.initializer(k, parameter.shape, dtype)
        for k, (name, parameter) in zip(keys, wanted.items(), strict=False)
    }


def check_pass(op: str, params: Any, state: Any, key: Any, train: Any) -> None:
    """Raise unless these are parameters and a state as `init` returns them, a key, a bool."""
    for name, tree in (("params", params), ("state", state)):
        if not isinstance(tree, Mapping):
            raise TypeError(
                f"{op}: {name} must be a dict, as init returns it, got {type(tree).__name__}"
            )
    if key is not None:
        check.key(op, "key", key)
    check.boolean(op, "train", train)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Add to an error the name of the layer that it came from."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(f"in layer {name}")
        raise


def per_axis(layer: Leaf, name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """A setting of the layer along every spatial axis of examples of that shape."""
    return check.per_axis(type(layer).__name__, name, getattr(layer, name), len(shape) - 1)


def extents(layer: Leaf, shape: Sequence[int]) -> tuple[int, ...]:
    """How far a layer's window reaches per axis: `window_size` elements, `dilation` apart."""
    sizes = (per_axis(layer, name, shape) for name in ("window_size", "dilation"))
    return tuple((k - 1) * d + 1 for k, d in zip(*sizes, strict=True))


def wanted(layer: Any, params: Tree) -> list[Any]:
    """The layer's parameters in order; None for a scale or a bias that it does without."""
    return [
        take(params, name) if getattr(layer, f"use_{name}", True) else None
        for name in layer.parameter_names
    ]


def take(tree: Tree, name: str, what: str = "params") -> Array:
    """The parameter of that name, or the entry of the state."""
    if name not in tree:
        raise ValueError(
            f"apply: {what} must hold what init returned for this network, "
            f"got no {name!r} among {sorted(tree)}"
        )
    return tree[name]
