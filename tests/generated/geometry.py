"""Strategies for windows on maps: sizes, steps, distances, and paddings in every spelling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy], Any]
Size = tuple[int, ...]


def each(axes: int, low: int, high: int) -> st.SearchStrategy[Size]:
    """One integer per axis."""
    return st.tuples(*[st.integers(low, high)] * axes)


def spelled(draw: Draw, values: Size) -> int | Size:
    """The values, or a single one where all are alike."""
    return values[0] if len(set(values)) == 1 and draw(st.booleans()) else values


@dataclass(frozen=True)
class Windows:
    """A map's size and the settings of windows that fit on it."""

    size: Size
    window: Size
    stride: Size
    dilation: Size
    input_dilation: Size
    pads: tuple[tuple[int, int], ...] | None
    """(low, high) per axis, or None where the size decides ("SAME")."""
    settings: dict[str, Any]
    """stride, padding and dilation, as a caller would spell them."""

    @property
    def extent(self) -> Size:
        """The window's size with its dilation."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.window, self.dilation, strict=True))


WORDS = ("VALID", "SAME", "SAME_LOWER", "FULL", "CAUSAL", "same")


def amounts(padding: Any, extent: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
    """What a padding means, as (low, high) per axis; None where the size decides ("SAME")."""
    match padding:
        case "VALID":
            return tuple((0, 0) for _ in extent)
        case "FULL":
            return tuple((e - 1, e - 1) for e in extent)
        case "CAUSAL":
            return tuple((e - 1, 0) for e in extent)
        case str():
            return None
        case int():
            return ((padding, padding),) * len(extent)
    return tuple(entry if isinstance(entry, tuple) else (entry, entry) for entry in padding)


KINDS = ("entries", "entries", "integer", "symmetric", "word", "word")


def paddings(
    draw: Draw, low: int, high: Sequence[int], kinds: Sequence[str] = KINDS
) -> str | int | tuple[int | tuple[int, int], ...]:
    """A padding as a caller spells it, with amounts from `low` to `high` of each axis."""
    kind = draw(st.sampled_from(kinds))
    if kind == "word":
        return draw(st.sampled_from(WORDS))
    if kind == "integer":
        return draw(st.integers(low, min(high)))
    entries: list[int | tuple[int, int]] = []
    for most in high:
        both = st.integers(low, most)
        first = draw(both)
        alike = kind == "symmetric" or draw(st.booleans())
        entries.append(first if alike else (first, draw(both)))
    return tuple(entries)


def windows(
    draw: Draw,
    *,
    dimensions: int | None = None,
    negative: bool = False,
    narrow: bool = False,
    input_dilated: bool = False,
    dilated: bool = True,
    symmetric: bool = False,
) -> Windows:
    """Windows with at least one place on their map.

    `narrow` pads by less than the window; `symmetric` by one number per axis, and at most by half
    the window's taps, as other frameworks do.
    """
    axes: int = draw(st.integers(1, 3)) if dimensions is None else dimensions
    window = draw(each(axes, 1, (4, 3, 2)[axes - 1]))
    dilation = draw(each(axes, 1, (3, 3, 2)[axes - 1])) if dilated else (1,) * axes
    apart = st.sampled_from((1, 1, 1, 2, 3)) if input_dilated else st.just(1)
    input_dilation = draw(st.tuples(*[apart] * axes))
    stride = draw(each(axes, 1, (4, 3, 3)[axes - 1]))
    extent = tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True))
    most = [e - 1 if narrow else e for e in extent]
    if symmetric:
        padding = paddings(draw, 0, [k // 2 for k in window], ("integer", "symmetric"))
    else:
        most = [e - 1 if narrow else e for e in extent]
        padding = paddings(draw, -2 if negative else 0, most)
    pads = amounts(padding, extent)
    size = []
    for axis in range(axes):
        low, high = pads[axis] if pads is not None else (extent[axis] - 1, 0)
        needed = max(extent[axis] - low - high, 1)
        least = -(-(needed - 1) // input_dilation[axis]) + 1
        size.append(least + draw(st.integers(0, (6, 4, 2)[axes - 1])))
    settings = {"stride": spelled(draw, stride), "padding": padding}
    if dilated:
        settings["dilation"] = spelled(draw, dilation)
    if input_dilated:
        settings["input_dilation"] = spelled(draw, input_dilation)
    return Windows(tuple(size), window, stride, dilation, input_dilation, pads, settings)
