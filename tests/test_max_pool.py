"""What is special about a maximum: ties, overlaps, NaN, infinities, many taps."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import equations

import jaxcnn as jc


def gradient(x, delta=None, **settings):
    @jax.jit
    def backward(x):
        y, pull = jax.vjp(lambda x: jc.max_pool(x, **settings), x)
        return pull(jnp.ones_like(y) if delta is None else delta)[0]

    return backward(x)


def test_exactly_one_element_per_window_on_a_constant_map():
    delta = gradient(jnp.zeros((2, 6, 6, 3)), window=2)
    blocks = delta.reshape(2, 3, 2, 3, 2, 3)
    assert (blocks[:, :, 0, :, 0] == 1).all()
    assert delta.sum() == 2 * 9 * 3


def test_the_first_maximum_in_row_major_order_wins():
    window = jnp.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])[None, :, :, None]
    assert np.argwhere(gradient(window, window=(2, 3))[0, :, :, 0]).tolist() == [[0, 1]]


def test_ties_agree_with_jax_on_an_image_of_flat_parts():
    x = jax.random.randint(jax.random.key(0), (2, 11, 11, 2), 0, 3).astype(jnp.float64)
    for settings in (
        {"window": 2},
        {"window": 3, "stride": 2},
        {"window": 3, "stride": 1, "padding": 1},
    ):
        y, pull = jax.vjp(partial(jc.autodiff_twin(jc.max_pool), **settings), x)
        delta = jax.random.normal(jax.random.key(1), y.shape, y.dtype)
        assert np.allclose(gradient(x, delta, **settings), pull(delta)[0], rtol=0, atol=1e-14)


def test_overlapping_windows_add_up():
    x = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(1.0)
    delta = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    assert gradient(x, delta, window=3, stride=1)[0, 2, 2, 0] == 45


def test_rows_that_no_window_reaches_get_nothing():
    delta = gradient(jnp.ones((1, 7, 7, 1)), window=2)
    assert (delta[0, 6] == 0).all()
    assert (delta[0, :, 6] == 0).all()


@pytest.mark.parametrize("settings", [{"window": 2}, {"window": 3, "stride": 1, "padding": 1}])
def test_a_nan_is_the_maximum_and_takes_the_gradient(settings: dict[str, Any]):
    x = jnp.arange(16.0).reshape(1, 4, 4, 1).at[0, 1, 2, 0].set(jnp.nan)
    y, switches = jc.max_pool_with_switches(x, **settings)
    plain = jc.max_pool(x, **settings)
    assert np.array_equal(y, plain, equal_nan=True)
    assert np.isnan(y).any()
    assert gradient(x, **settings)[0, 1, 2, 0] == int(np.isnan(y).sum())
    assert np.array_equal(jc.gather_at_switches(x, switches, **settings), y, equal_nan=True)


def test_padding_is_never_chosen_even_among_infinities():
    x = jnp.full((1, 4, 4, 1), -jnp.inf)
    settings: dict[str, Any] = {"window": 3, "stride": 2, "padding": 1}
    y, _ = jc.max_pool_with_switches(x, **settings)
    assert np.isneginf(y).all()
    assert gradient(x, **settings).sum() == y.size


def test_a_window_of_more_than_256_elements():
    x = jax.random.normal(jax.random.key(0), (1, 20, 20, 2), jnp.float64)
    y, switches = jc.max_pool_with_switches(x, 20)
    assert switches.dtype == jnp.uint16
    flat = x.reshape(400, 2)
    assert np.array_equal(switches[0, 0, 0], flat.argmax(0))
    expected = np.zeros((400, 2))
    expected[np.asarray(flat.argmax(0)), [0, 1]] = 1
    assert np.array_equal(gradient(x, window=20).reshape(400, 2), expected)
    assert np.array_equal(y[0, 0, 0], flat.max(0))


def test_a_pass_without_a_gradient_computes_no_switches():
    program = jax.make_jaxpr(lambda x: jc.max_pool(x, 2))(jnp.ones((1, 4, 4, 1)))
    found = list(equations(program.jaxpr))
    assert "reduce_window_max" in {eqn.primitive.name for eqn in found}
    assert jnp.uint8 not in {result.aval.dtype for eqn in found for result in eqn.outvars}
