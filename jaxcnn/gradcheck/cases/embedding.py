"""Embedding and its adjoint; fewer rows than ids, so that some repeat and some are not used."""

from functools import partial

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case, label_array

_linear = partial(Case, multilinear=True)

CASES: list[Case] = [
    _linear(jc.embedding, {"table": (4, 3)}, fixed={"ids": label_array(4, (2, 5))}),
    _linear(jc.embedding, {"table": (1, 1)}, fixed={"ids": label_array(1, (3,))}),
    _linear(jc.embedding, {"table": (5, 2)}, fixed={"ids": label_array(5, ())}),
    _linear(
        jc.embedding_table_grad,
        {"delta": (2, 5, 3)},
        {"vocabulary": 4},
        {"ids": label_array(4, (2, 5))},
    ),
]

LARGE: list[Case] = [
    _linear(jc.embedding, {"table": (10_000, 128)}, fixed={"ids": label_array(10_000, (64, 56))}),
    _linear(
        jc.embedding_table_grad,
        {"delta": (64, 56, 128)},
        {"vocabulary": 10_000},
        {"ids": label_array(10_000, (64, 56))},
    ),
]
