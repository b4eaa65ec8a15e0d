"""What was found in a program, and what became of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array


class Left(Exception):  # noqa: N818 - no error: an answer
    """An operation stays as it is; the message says why."""


def floats(*arrays: Array) -> None:
    """Leave what no rule has: other numbers than floats, or none."""
    for a in arrays:
        if not jnp.issubdtype(a.dtype, jnp.floating):
            raise Left(f"{a.dtype}, rules have floats")
        if a.size == 0:
            raise Left("it is empty")


@dataclass(frozen=True)
class Found:
    """One operation of the program."""

    operation: str
    """The name of its primitive, such as conv_general_dilated."""
    shapes: tuple[tuple[int, ...], ...]
    """Of its operands."""
    inside: tuple[str, ...]
    """The calls it stands in, from without, such as ("jit train_step", "scan")."""
    by: str | None
    """The operation of ours that computes it; None where it stays as it is."""
    reason: str
    """Why it stays; empty where it does not."""

    def __str__(self) -> str:
        each = ", ".join("×".join(map(str, shape)) or "scalar" for shape in self.shapes)
        shapes = f" ({each})" if each else ""
        where = f" in {' > '.join(self.inside)}" if self.inside else ""
        became = f"by {self.by}" if self.by else f"as it is: {self.reason}"
        return f"{self.operation}{shapes}{where}: {became}"


class Explanation(Sequence[Found]):
    """All that was found, in the order of the program; printed, a line for each."""

    def __init__(self, found: Sequence[Found]):
        self._found = tuple(found)

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)

    @property
    def replaced(self) -> tuple[Found, ...]:
        """What our rules compute."""
        return tuple(found for found in self if found.by)

    @property
    def left(self) -> tuple[Found, ...]:
        """What stays as it is."""
        return tuple(found for found in self if not found.by)

    def __str__(self) -> str:
        if not self:
            return "nothing that a rule could compute"
        lines = Counter(map(str, self))
        return "\n".join(f"{n} × {line}" if n > 1 else line for line, n in lines.items())

    __repr__ = __str__
