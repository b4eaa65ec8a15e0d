"""Maxout, the activation that takes several channels for one."""

from dataclasses import dataclass, field

from jaxcnn.layers.base import Leaf, Rule
from jaxcnn.layers.settings import Count
from jaxcnn.ops.maxout import maxout, maxout_map


@dataclass(frozen=True)
class Maxout(Leaf):
    """y = the largest of every `pieces` neighbouring channels; see `jaxcnn.maxout`."""

    pieces: Count = 2
    rule: Rule = field(default=maxout_map, kw_only=True)

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return maxout(x, self.pieces, rule=rule)
