"""What a rule is told of the program that it stands in: what is fast, how precise products are, and
which forms of computing are asked for.

Contexts of JAX: part of what `jax.jit` caches by. A rule remembers them from where it was called,
since XLA's program is made elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import jax

# Whether the program's compiler options make a CPU's convolutions fast: `jaxcnn.jit` says so.
fast_convolutions = jax.make_user_context(default_value=False)
# The names of the forms by which convolutions and poolings are computed, the first that can be.
forms = jax.make_user_context(default_value=())
# Whether kernels made for a problem may compute it, where there are any.
kernels = jax.make_user_context(default_value=True)
# Who is told of every choice of a form, a function of its map, its table and its problem.
noted = jax.make_user_context(default_value=None)


class Hints(NamedTuple):
    """All hints there are."""

    fast_convolutions: bool
    matmul_precision: str | None = None
    """What `jax.default_matmul_precision` says."""
    forms: tuple[str, ...] = ()
    """What `jaxcnn.forms` says."""
    kernels: bool = True


def current() -> Hints:
    """Those of the function that is being traced."""
    precision = getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009 - not typed
    return Hints(fast_convolutions.value, precision, forms.value, kernels.value)


@contextmanager
def given(hints: Hints) -> Iterator[None]:
    """Trace with these hints."""
    precision = jax.default_matmul_precision(hints.matmul_precision)
    with (
        fast_convolutions(hints.fast_convolutions),
        forms(hints.forms),
        kernels(hints.kernels),
        precision,
    ):
        yield
