"""Layers that drop elements, maps or squares in training, and do nothing otherwise."""

from dataclasses import dataclass, field

from jaxcnn.layers.base import Leaf, Rule
from jaxcnn.layers.settings import PerAxis, Share
from jaxcnn.ops.drop_block import drop_block, drop_block_map
from jaxcnn.ops.dropout import dropout, dropout_map, spatial_dropout, spatial_dropout_map


@dataclass(frozen=True)
class Dropout(Leaf):
    """y = x • mask / (1 − p) in training, y = x otherwise; see `jaxcnn.dropout`."""

    rate: Share = 0.5
    rule: Rule = field(default=dropout_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        if not train or self.rate == 0:
            return x
        return dropout(x, _key(key), self.rate, rule=rule)


@dataclass(frozen=True)
class SpatialDropout(Leaf):
    """y = x • mask / (1 − p), whole maps at a time, in training; see `jaxcnn.spatial_dropout`."""

    rate: Share = 0.5
    rule: Rule = field(default=spatial_dropout_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        if not train or self.rate == 0:
            return x
        return spatial_dropout(x, _key(key), self.rate, rule=rule)


@dataclass(frozen=True)
class DropBlock(Leaf):
    """y = x • M count(M) / Σ M, M zero on squares, in training; see `jaxcnn.drop_block`."""

    rate: Share = 0.1
    block: PerAxis = 7
    rule: Rule = field(default=drop_block_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        if not train or self.rate == 0:
            return x
        return drop_block(x, _key(key), self.rate, self.block, rule=rule)


def _key(key):
    if key is None:
        raise ValueError(
            "apply: key must be a key of jax.random in training with dropout, got None"
        )
    return key
