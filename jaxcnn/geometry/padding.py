"""Padding, in any of its spellings: words, an integer, or one entry per axis of space."""

from collections.abc import Sequence
from typing import Any

from jaxcnn import check
from jaxcnn.sizes import larger

Padding = str | int | Sequence[int | tuple[int, int]]

_WORDS = ("SAME", "SAME_LOWER", "VALID", "FULL", "CAUSAL")


def parse_padding(
    op: str, padding: Any, axes: int, *, words: bool = False, minimum: int | None = None
) -> tuple[tuple[int, int], ...]:
    """(low, high) per spatial axis, from numbers; `words`: whether a message offers those too."""
    if not isinstance(padding, (Sequence, str)):
        amount = check.integer(op, "padding", padding, minimum=minimum)
        return ((amount, amount),) * axes
    pairs = None
    if check.is_sequence(padding) and len(padding) == axes:
        pairs = [entry if check.is_sequence(entry) else (entry, entry) for entry in padding]
    if pairs is None or any(len(pair) != 2 for pair in pairs):
        spelled = "".join(f'"{word}", ' for word in _WORDS) if words else ""
        raise ValueError(
            f"{op}: padding must be {spelled}an integer, or one entry per spatial axis ({axes}), "
            f"each an integer or a (low, high) pair, got {check.shown(padding)}"
        )
    low_high = [check.integers(op, "padding", pair, minimum=minimum) for pair in pairs]
    return tuple((low, high) for low, high in low_high)


def check_padding(
    op: str, name: str, value: Any, *, words: bool = True, minimum: int | None = None
) -> None:
    """Raise unless this can be a padding, however many axes there are."""
    del name
    if not (words and isinstance(value, str) and value.upper() in _WORDS):
        axes = len(value) if check.is_sequence(value) and 1 <= len(value) <= 3 else 1
        parse_padding(op, value, axes, words=words, minimum=minimum)


def pads_of(
    op: str, padding: Any, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """(low, high) per spatial axis, from any of the accepted spellings."""
    match padding.upper() if isinstance(padding, str) else None:
        case "VALID":
            return ((0, 0),) * len(size)
        case "FULL":
            return tuple((e - 1, e - 1) for e in extent)
        case "CAUSAL":
            # No output sees what comes after it, along any axis.
            return tuple((e - 1, 0) for e in extent)
        case "SAME" | "SAME_LOWER" as word:
            # The output has ceil(h / stride) elements; an odd zero goes to the end for SAME.
            total = [
                larger((-(-h // s) - 1) * s + e - h, 0)
                for h, e, s in zip(size, extent, stride, strict=True)
            ]
            less, more = [t // 2 for t in total], [t - t // 2 for t in total]
            low, high = (less, more) if word == "SAME" else (more, less)
            return tuple(zip(low, high, strict=True))
    return parse_padding(op, padding, len(size), words=True)


def follows_size(padding: Any) -> bool:
    """Whether the amount of padding depends on the size of the map."""
    return isinstance(padding, str) and padding.upper().startswith("SAME")
