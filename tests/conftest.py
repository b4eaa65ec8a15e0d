"""Strict throughout: float64, no silent promotion of dtypes or ranks, warnings are errors."""

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# The suite compiles thousands of small programs and runs each once or twice: without XLA's
# optimisations that takes a third of the time. Tests of whole networks ask for them.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def optimised():
    """XLA's optimisations as users have them."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
