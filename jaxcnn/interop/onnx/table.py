"""The table of operators, and what a node of a graph is: an operator with its attributes.

An operator is a function of its node and the values that the node reads. It says up to which
version of ONNX's operator set it was written, which rules it applies, which of its inputs are
settings that must be known beforehand, and how it wants its maps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from jaxcnn import check
from jaxcnn.interop.onnx.values import Maps, aligned, channels_last, is_float, known, plain
from jaxcnn.ops import rule_of
from jaxcnn.sizes import known as known_sizes

LARGEST = 2**31
"""So many elements an array may have whose size a file states without holding its numbers."""

CONSTANTS = 2**28
"""So many all constants together that are computed when a file is read: of 8 bytes each they are as
large as a file itself may be.
"""


class Operator(NamedTuple):
    """What the table says of an operator."""

    run: Callable[..., Any]
    newest: int
    """The last version of the operator that `run` was written for."""
    uses: tuple[Callable[..., Any], ...]
    """The operations of jaxcnn whose rules it applies."""
    settings: tuple[int, ...]
    """The inputs that must be known beforehand."""
    layout: str
    """file: axes as in the file. maps: the first input, and results of its rank, channels last.
    each: element by element, in either. own: the function sees to it.
    """


TABLE: dict[str, Operator] = {}

REFUSALS = (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError, MemoryError)


def operator(
    kind: str,
    newest: int,
    *uses: Callable[..., Any],
    settings: Sequence[int] = (),
    layout: str = "file",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table."""

    def enter(run: Callable[..., Any]) -> Callable[..., Any]:
        TABLE[kind] = Operator(run, newest, uses, tuple(settings), layout)
        return run

    return enter


@dataclass(frozen=True, eq=False)
class Node:
    """A node of a graph."""

    kind: str
    name: str
    version: int
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rules: tuple[Callable[..., Any], ...]
    """Those that it applies, in the order of the table."""
    room: int | None = None
    """How many elements are left for constants, where the node computes some."""

    def of(self, op: Callable[..., Any]) -> Callable[..., Any]:
        """An operation of jaxcnn with this node's rule for it."""
        return partial(op, rule=self.rules[TABLE[self.kind].uses.index(op)])

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute, or what it is by default."""
        return self.attributes.get(attribute, default)

    def fail(self, message: str) -> ValueError:
        """The error about this node."""
        return ValueError(f"from_onnx: node {self.name!r} ({self.kind}): {message}")

    def integers(self, what: str, value: Any) -> list[int]:
        """Numbers known beforehand, such as axes or sizes."""
        if isinstance(value, (Array, Maps)):
            raise self.fail(
                f"{what} must be known before the program runs, and depends on an input of the "
                f"graph; from_onnx(…, constants={{name: value}}) fixes one"
            )
        return [size if not known_sizes(size) else int(size) for size in np.ravel(value)]

    def axes(self, value: Any, rank: int) -> tuple[int, ...]:
        """Axes, counted from the front."""
        axes = self.integers("axes", value)
        if any(not -rank <= axis < rank for axis in axes):
            raise self.fail(f"axes must lie in [{-rank}, {rank}), got {axes}")
        return tuple(axis % rank for axis in axes)

    def claim(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that the file states, if an array of it is no larger than may be asked for."""
        sizes, most = tuple(shape), LARGEST if self.room is None else self.room
        numbers = [int(size) for size in sizes if known_sizes(size)]
        if min(numbers, default=0) < 0 or prod(numbers) > most:
            of = "" if self.room is None else f", what is left of {CONSTANTS:,} for constants"
            raise self.fail(f"an array must have 0 to {most:,} elements{of}, got shape {sizes}")
        return sizes

    def broadcast(self, *shapes: Sequence[int]) -> list[int]:
        """About the shape that these broadcast to, claimed where it is larger than each of them."""
        rank = max(map(len, shapes), default=0)
        numbers = [
            [1] * (rank - len(shape)) + [size if known_sizes(size) else 1 for size in shape]
            for shape in shapes
        ]
        whole = [max(sizes) for sizes in zip(*numbers, strict=True)]
        if prod(whole) > max(map(prod, numbers), default=1):
            self.claim(whole)
        return whole

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        """The values that the node makes of those that it reads."""
        try:
            with np.errstate(all="ignore"):
                found = self._laid_out(TABLE[self.kind], self._of_one_dtype(values))
        except REFUSALS as error:
            if str(error).startswith("from_onnx: node"):
                raise
            raise self.fail(f"{error}") from error
        return found if isinstance(found, tuple) else (found,)

    def _of_one_dtype(self, values: Sequence[Any]) -> list[Any]:
        """The values, with numbers of the file in the dtype of the floats that they meet."""
        met = [value.dtype for value in values if not known(value) and is_float(value)]
        settings = TABLE[self.kind].settings
        return [
            value.astype(met[0])
            if met and i not in settings and known(value) and is_float(value)
            else value
            for i, value in enumerate(values)
        ]

    def _laid_out(self, entry: Operator, values: Sequence[Any]) -> Any:
        match entry.layout:
            case "own":
                return entry.run(self, *values)
            case "maps":
                first, *rest = values
                if first.ndim < 2:
                    raise self.fail(f"its input must have a batch and channels, got {first.shape}")
                found = entry.run(self, channels_last(first), *map(plain, rest))
                return (
                    tuple(_maps(y, first.ndim) for y in found)
                    if isinstance(found, tuple)
                    else _maps(found, first.ndim)
                )
            case "each":
                return self._each(entry, values)
        return entry.run(self, *map(plain, values))

    def _each(self, entry: Operator, values: Sequence[Any]) -> Any:
        broadcast = [v is not None and i not in entry.settings for i, v in enumerate(values)]
        met = [value for value, meets in zip(values, broadcast, strict=True) if meets]
        rank = max((value.ndim for value in met), default=0)
        # Maps of fewer axes than the others broadcast in the file's layout.
        met = [v if isinstance(v, Maps) and v.ndim == rank else plain(v) for v in met]
        last = any(isinstance(value, Maps) for value in met)
        self.broadcast(*(value.shape for value in met))
        met = aligned(met, rank)
        if last:
            met = [channels_last(value) if value.ndim else value for value in met]
        present = iter(met)
        pairs = zip(values, broadcast, strict=True)
        y = entry.run(self, *(next(present) if meets else value for value, meets in pairs))
        return Maps(y) if last else y


def _maps(value: Any, rank: int) -> Any:
    return Maps(value) if value is not None and 3 <= rank == value.ndim else value


def rules_of(kind: str) -> tuple[Callable[..., Any], ...]:
    """The hand-written rules that an operator applies."""
    return tuple(rule_of(op) for op in TABLE[kind].uses)


def words(node: Node, name: str, default: str, choices: Sequence[str]) -> str:
    """An attribute that is one of some words."""
    value = node.get(name, default)
    if value not in choices:
        raise node.fail(f"{name} must be one of {', '.join(choices)}, got {check.shown(value)}")
    return value
