"""Embedding, its adjoint and its layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import layers
from jaxcnn.gradcheck import adjoint_error, relative_error
from jaxcnn.layers import Activation, Conv, Dense, Embedding, Flatten, serial

KEY = jax.random.key(0)
IDS = jnp.array([[2, 0, 2], [1, 2, 4]])


def normal(seed, shape, dtype=jnp.float64):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


def test_repeated_ids_add_up_and_unused_rows_get_nothing():
    delta = jnp.arange(12.0).reshape(2, 3, 2)
    expected = np.zeros((5, 2))
    for place in np.ndindex(2, 3):
        expected[IDS[place]] += delta[place]
    assert np.array_equal(jc.embedding_table_grad(IDS, delta, vocabulary=5), expected)
    pull = jax.vjp(lambda table: jc.embedding(IDS, table), normal(0, (5, 2)))[1]
    assert np.array_equal(pull(delta)[0], expected)
    assert not expected[3].any()


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int32, jnp.int64])
def test_the_two_are_adjoint(dtype):
    ids = IDS.astype(dtype)
    error = adjoint_error(
        lambda table: jc.embedding(ids, table),
        lambda delta: jc.embedding_table_grad(ids, delta, vocabulary=5),
        normal(0, (5, 4)),
        normal(1, (2, 3, 4)),
    )
    assert error < 1e-12


def test_a_traced_id_outside_gives_a_row_of_nan_and_no_gradient():
    table = normal(0, (3, 2))
    for far in (3, 2**32 + 1, -(2**63)):  # JAX takes the last 32 bits for an index
        rows_of_nan(table, jnp.array([1, far, -1, 0]))


def rows_of_nan(table, ids):
    y, delta = jax.jit(
        lambda ids, table: (
            jc.embedding(ids, table),
            jax.vjp(lambda table: jc.embedding(ids, table), table)[1](jnp.ones((4, 2)))[0],
        )
    )(ids, table)
    assert np.array_equal(np.isnan(y).all(-1), [False, True, True, False])
    assert np.array_equal(y[jnp.array([0, 3])], table[jnp.array([1, 0])])
    assert np.array_equal(delta, [[1, 1], [1, 1], [0, 0]])


def test_explicit_back_propagation_reaches_the_table():
    net = serial(Embedding(7, 3), Flatten(), Dense(2))
    params, state = net.init(jax.random.key(0), (4,), dtype=jnp.float64)
    ids, labels = jnp.array([[0, 1, 1, 6], [2, 2, 5, 0]]), jnp.array([0, 1])
    found = jc.backprop(net, params, state, ids, labels, jc.softmax_cross_entropy)

    def loss(params):
        return jc.softmax_cross_entropy(net.apply(params, state, ids)[0], labels)

    error, where = relative_error(found.gradients, jax.grad(loss)(params))
    assert error < 1e-12, where
    assert found.input_delta is None


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8])
def test_ids_of_one_byte_with_more_rows_than_it_counts(dtype):
    table, ids = normal(0, (300, 2)), jnp.array([3, 100, 3], dtype)
    y, pull = jax.vjp(lambda table: jc.embedding(ids, table), table)
    assert np.array_equal(y, table[ids.astype(jnp.int32)])
    assert np.array_equal(np.flatnonzero(pull(jnp.ones((3, 2)))[0].sum(1)), [3, 100])


def test_many_equal_ids_in_half_precision():
    """4096 ones: bfloat16 counts to 256 only."""
    ids = jnp.zeros(4096, jnp.int32)
    z = jc.embedding_table_grad(ids, jnp.ones((4096, 1), jnp.bfloat16), vocabulary=2)
    assert z.dtype == jnp.bfloat16
    assert np.array_equal(z.astype(jnp.float32), [[4096], [0]])


def test_a_network_that_reads_ids():
    net = serial(Embedding(10, 4), Conv(3, 2), Activation(jc.gelu), Flatten(), head=Dense(2))
    params, state = net.init(KEY, (7,))
    assert params["embedding1"]["table"].shape == (10, 4)
    ids = jnp.array([[0, 3, 3, 9, 1, 0, 2]])

    def loss(net):
        return lambda p: net.apply(p, state, ids)[0].sum()

    ours = jax.jit(jax.value_and_grad(loss(net)))(params)
    theirs = jax.jit(jax.value_and_grad(loss(jc.autodiff_twin(net))))(params)
    error, where = jc.gradcheck.relative_error(ours, theirs)
    assert error < 1e-6, where


def test_the_summary_of_a_network_that_reads_ids():
    net = serial(Embedding(10, 4), Conv(3, 2), Conv(3, 3, stride=2))
    rows = layers.rows(net, (9,))
    assert [row.output_shape for row in rows] == [(9, 4), (8, 3), (3, 3)]
    assert [row.parameters for row in rows] == [40, 27, 30]
    assert [row.receptive_field for row in rows] == [(1,), (2,), (4,)]


def test_init_of_an_embedding_is_a_function_of_the_key_and_has_its_dtype():
    draw = [Embedding(5, 2).init(jax.random.key(k), (3,), dtype=jnp.bfloat16)[0] for k in (0, 0, 1)]
    tables = [params["table"] for params in draw]
    assert tables[0].dtype == jnp.bfloat16
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])
