"""What the translators share: shapes, windows, and the sentence about a layer that is unknown."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn.geometry import Geometry, parse_geometry
from jaxcnn.layers import Layer, Leaf

# A name per level of the network, and that of the parameter.
Path = tuple[str, ...]


def output_shape(layer: Leaf, shape: Sequence[int]) -> tuple[int, ...]:
    """Of one example, for a leaf that reads examples of the given shape."""
    params, state = jax.eval_shape(lambda key: layer.init(key, shape), jax.random.key(0))
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    return jax.eval_shape(layer.apply, params, state, x)[0].shape[1:]


def geometry_of(layer: Any, shape: Sequence[int]) -> Geometry:
    """How the window of a convolution or of a pooling slides over maps of this shape."""
    *size, _ = shape
    window = layer.window_size
    stride = window if layer.stride is None else layer.stride
    return parse_geometry(
        "translate",
        size,
        (window,) * len(size) if isinstance(window, int) else tuple(window),
        stride=stride,
        padding=layer.padding,
        dilation=layer.dilation,
        input_dilation=getattr(layer, "input_dilation", 1),
        ceil_mode=getattr(layer, "ceil_mode", False),
    )


def unknown(layer: Layer, peer: str) -> NotImplementedError:
    """The one sentence about a layer without a translation."""
    kind = layer.kind if isinstance(layer, Leaf) else layer
    return NotImplementedError(
        f"translate: layer must be one that {peer} has a translation for, "
        f"got {type(layer).__name__} ({kind})"
    )
