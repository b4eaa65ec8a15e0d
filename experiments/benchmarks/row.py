"""What a row of the benchmark is: an operation at a shape, a network at a batch, or the peak."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

PARTS = ("forward", "input_grad", "kernel_grad", "all")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """What every row has."""

    name: str
    group: str
    part: str
    """forward; input_grad or kernel_grad alone; all: forward and every gradient. Of a network: all
    is a training step, product one of the loss's Hessian and a vector."""
    pairs: int | None = None
    """At most so many pairs, where one of the peers is too slow for more."""
    only: tuple[str, ...] | None = None
    """The peers that the row is for; all by default."""

    @property
    def batch(self) -> int | None:
        """How many images a call works on, where that is worth comparing."""
        return None


@dataclass(frozen=True)
class OperationRow(Row):
    """One operation of jaxcnn at one set of arguments."""

    op: str = ""
    shapes: tuple[Shape, ...] = ()
    """Of the arrays to differentiate by, in the operation's order."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    classes: int = 0
    """For losses: integer labels below this number are the last argument."""
    form: str = ""
    """The form that the peer of that name is to compute it by."""
    default: bool = False
    """Whether the form, and the plain one, have XLA's default options."""
    kind: Literal["operation", "eager", "foreign"] = "operation"
    """eager: called outside `jit`, and compared with the plain expression. foreign: a function of
    others', in which `with_rules` puts the rules."""


@dataclass(frozen=True)
class NetworkRow(Row):
    """A training step of a network: loss, gradients, update with momentum; or a scan of them.

    By its part also inference, or a Hessian-vector product.
    """

    network: str = ""
    images: Shape = ()
    """n h w c."""
    steps: int = 0
    """Within one program, on data that stays on the device; 0: a single step, not in a scan."""
    compile: bool = False
    """Whether compile time and residuals are measured too."""

    @property
    def batch(self) -> int | None:
        """How many images a call works on."""
        return self.images[0] * max(self.steps, 1)


@dataclass(frozen=True)
class PeakRow(Row):
    """A large square matmul: the peak that fractions refer to."""

    size: int = 2048


def expand(
    family: str,
    op: str,
    shapes: Sequence[Shape],
    settings: Mapping[str, Any] | None = None,
    *,
    group: str | None = None,
    parts: Sequence[str] = ("forward", "all"),
    label: str | None = None,
    classes: int = 0,
    pairs: int | None = None,
) -> Iterator[OperationRow]:
    """One operation at one set of arguments: a row for each part."""
    for part in parts:
        label = label or "x".join(map(str, shapes[0]))
        yield OperationRow(
            name=f"{family}/{label}/{part}",
            group=group or family,
            part=part,
            op=op,
            shapes=tuple(shapes),
            settings=settings or {},
            classes=classes,
            pairs=pairs,
        )


def convolution(
    family: str,
    x: Shape,
    window: Shape,
    channels: int,
    *,
    op: str = "conv",
    group: str | None = None,
    pairs: int | None = None,
    **settings: Any,
) -> Iterator[OperationRow]:
    """A convolution of maps x to so many channels; all four parts."""
    c = x[-1]
    usual = c // settings.get("groups", 1)
    inputs = {"depthwise_conv": 1, "conv_transpose": channels}.get(op) or usual
    outputs = c if op == "conv_transpose" else channels
    details = "".join(
        f"-{short}{settings[name]}"
        for name, short in (("stride", "s"), ("dilation", "d"), ("groups", "g"))
        if name in settings
    )
    label = f"{'x'.join(map(str, x))}-to-{channels}-{'x'.join(map(str, window))}{details}"
    shapes = (x, (*window, inputs, outputs))
    return expand(family, op, shapes, settings, group=group, parts=PARTS, label=label, pairs=pairs)


def training(name: str, network: str, images: Shape, *, group: str, **more: Any) -> NetworkRow:
    """A training step of a network, or a scan of them."""
    return NetworkRow(name, group, "all", network=network, images=images, **more)
