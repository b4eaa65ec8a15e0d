"""What a form is told of the program that it stands in: it decides on speed, never on values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax

# Whether a backward pass follows, for which the result is stored.
kept = jax.make_user_context(default_value=False)


class Hints(NamedTuple):
    """All hints there are."""

    kept: bool


def current() -> Hints:
    """Those of the function that is being traced."""
    return Hints(kept.value)


@contextmanager
def given(hints: Hints) -> Iterator[None]:
    """Trace with these hints."""
    with kept(hints.kept):
        yield
