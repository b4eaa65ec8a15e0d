"""PyTorch's embedding as an oracle of its own."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from test_against_torch import compare, normal  # noqa: E402

IDS = np.array([[2, 0, 2], [1, 2, 4]])


def test_embedding():
    compare(
        lambda table: jc.embedding(jnp.asarray(IDS[0]), table),
        lambda table: torch.nn.functional.embedding(torch.tensor(IDS[0]), table),
        [normal(0, (5, 3))],
        ["plain"],
    )


def test_its_adjoint():
    compare(
        lambda delta: jc.embedding_table_grad(jnp.asarray(IDS.ravel()), delta, vocabulary=5),
        lambda delta: torch.zeros(5, 3, dtype=torch.float64).index_add(
            0, torch.tensor(IDS.ravel()), delta
        ),
        [normal(0, (6, 3))],
        ["plain"],
    )
