"""The embedding: the layer whose input is numbers of rows, not maps."""

from dataclasses import dataclass, field

import jax
from jax.nn import initializers

from jaxcnn.layers.base import Initializer, Leaf, Parameter, Rule, take
from jaxcnn.layers.settings import Count
from jaxcnn.ops.embedding import embedding, embedding_map

standard_normal: Initializer = initializers.normal(1.0)


@dataclass(frozen=True)
class Embedding(Leaf):
    """y = T[ids], one axis of `features` after those of the ids; see `jaxcnn.embedding`."""

    parameter_names = ("table",)

    vocabulary: Count
    features: Count
    table_init: Initializer = standard_normal
    rule: Rule = field(default=embedding_map, kw_only=True)

    def parameters(self, shape):  # noqa: D102
        return {"table": Parameter((self.vocabulary, self.features), self.table_init)}

    def call(self, params, x, *, key, train, rule):  # noqa: D102
        return embedding(x, take(params, "table"), rule=rule)

    def _build(self, key, shape, dtype):
        # Not by a trial run, as for other leaves: what comes in are integers.
        (key,) = jax.random.split(key, 1)
        table = self.parameters(shape)["table"]
        params = {"table": table.initializer(key, table.shape, dtype)}
        return params, {}, (*shape, self.features)
