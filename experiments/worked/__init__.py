"""The worked examples of the lectures, in the order in which one would read them."""

from experiments.worked.chain_rule import COSINE, QUIZ_1
from experiments.worked.convolution import GWARDYS, HUANG, RAY_CONV
from experiments.worked.layers import RAY_MAX_POOL, RAY_NETWORK, RAY_RELU
from experiments.worked.networks import CASE_1, CASE_2, QUIZ_2
from experiments.worked.steps import Example as Example
from experiments.worked.steps import Line as Line
from experiments.worked.steps import lines as lines

_ALL = (
    COSINE, QUIZ_1, CASE_1, CASE_2, QUIZ_2,
    HUANG, RAY_CONV, GWARDYS, RAY_RELU, RAY_MAX_POOL, RAY_NETWORK,
)  # fmt: skip
EXAMPLES = {example.key: example for example in _ALL}
