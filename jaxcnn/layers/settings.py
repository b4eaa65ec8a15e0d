"""What a setting of a layer may be: the type, for readers and tools, with its check.

A layer checks its settings when it is made, by what these types say, so that an error names the
layer and its setting. What depends on the input's shape shows when it arrives, in the operation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from jaxcnn import check
from jaxcnn.geometry import (
    COORDINATES,
    METHODS,
    ROUNDINGS,
    Method,
    Padding,
    Precision,
    check_padding,
    check_scale,
)
from jaxcnn.lowering.convolution import check_method
from jaxcnn.lowering.statistics import AxisName
from jaxcnn.ops.pad import MODES
from jaxcnn.ops.shape import ORDERS

Check = Callable[[str, str, Any], Any]


def _or_none(wanted: Check) -> Check:
    return lambda op, name, value: None if value is None else wanted(op, name, value)


def _check_axes(op: str, name: str, value: Any) -> None:
    check.axes(op, name, value)  # as given: -1 is not (-1,) in a message


def _check_precision(op: str, name: str, value: Any) -> None:
    del name
    check.precision(op, value)  # as given: None is read where the operation is called


Count = Annotated[int, partial(check.integer, minimum=1)]
Amount = Annotated[int, partial(check.integer, minimum=0)]
Number = Annotated[float, check.number]
Positive = Annotated[float, check.positive]
Share = Annotated[float, check.probability]
Exponent = Annotated[float, partial(check.number, minimum=1)]
# One for all spatial axes, or one per axis.
PerAxis = Annotated[int | Sequence[int], check.sizes]
Amounts = Annotated[int | Sequence[int], partial(check.sizes, minimum=0)]
Step = Annotated[int | Sequence[int] | None, _or_none(check.sizes)]
MapSize = Annotated[Sequence[int], check.sizes]
Size = Annotated[Sequence[int], check.integers]
Axes = Annotated[int | Sequence[int], _check_axes]
Mapped = Annotated[AxisName | None, _or_none(check.axis_name)]
Mode = Annotated[str, partial(check.choice, choices=MODES)]
Interpolation = Annotated[str, partial(check.choice, choices=METHODS)]
Coordinates = Annotated[str, partial(check.choice, choices=COORDINATES)]
Rounding = Annotated[str, partial(check.choice, choices=ROUNDINGS)]
Scales = Annotated[float | Sequence[float] | None, _or_none(check_scale)]
Order = Annotated[str, partial(check.choice, choices=ORDERS)]
PadAmount = Annotated[Padding, partial(check_padding, words=False, minimum=0)]
PoolPadding = Annotated[Padding, partial(check_padding, minimum=0)]
AnyPadding = Annotated[Padding, check_padding]
Products = Annotated[Precision, _check_precision]
By = Annotated[Method, check_method]


def check_arguments(function: Callable[..., Any], given: dict[str, Any]) -> None:
    """Raise unless every argument of the function is what its annotation says."""
    for name, wanted in function.__annotations__.items():
        if name in given:
            _checked(function.__name__, name, given[name], wanted)


def _checked(op: str, name: str, value: Any, wanted: Any) -> Any:
    """The value in its plain form, if its type knows one."""
    for check_value in getattr(wanted, "__metadata__", ()):
        found = check_value(op, name, value)
        value = value if found is None else found
    return check.boolean(op, name, value) if wanted is bool else value


def check_settings(layer: Any, settings: Sequence[Any]) -> None:
    """Raise unless every field of the layer is what its type says; put in its plain form.

    Two layers are equal, and have a hash, whether a size was a list or an integer of NumPy's.
    """
    op = type(layer).__name__
    for setting in settings:
        name, value = setting.name, getattr(layer, setting.name)
        object.__setattr__(layer, name, _checked(op, name, value, setting.type))
        if name.endswith(("_init", "rule")) and value is not setting.default:
            check.function(op, name, value)
