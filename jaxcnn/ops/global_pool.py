"""Global pooling: a pooling whose window is the map, by the same rules.

The window covers every element once, so the lowering reduces whole axes and no program grows with
the size of the map.
"""

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry
from jaxcnn.ops.max_pool import max_pool_map
from jaxcnn.ops.sum_pool import avg_pool_map
from jaxcnn.rules import Function


@entry.operation
def global_max_pool(
    x: Float[ArrayLike, "n *hw c"], *, keepdims: bool = False, rule: Function = max_pool_map
) -> Float[Array, "n *one c"]:
    """y = max_i x[i], the maximum of the whole map, each channel by itself (max over time).

    Backward, with δ = ∂L/∂y: ∂x = M(x) δ, M one at the first maximum in row-major order, which is
    a NaN where there is one.
    Source: Huang and Quan, 7.3 (max pooling), on a window as large as the map.

    Args:
        keepdims: whether y keeps the axes of space, with one element each.
    """
    return _of_the_whole("global_max_pool", x, keepdims, rule)


@entry.operation
def global_avg_pool(
    x: Float[ArrayLike, "n *hw c"], *, keepdims: bool = False, rule: Function = avg_pool_map
) -> Float[Array, "n *one c"]:
    """y = 1/size Σ_i x[i], the mean of the whole map, each channel by itself.

    Backward, with δ = ∂L/∂y: ∂x = δ / size at every place.
    Source: Lin, Chen & Yan 2014, "Network In Network", 3.2; Huang, "Average pooling layer".

    Args:
        keepdims: whether y keeps the axes of space, with one element each.
    """
    return _of_the_whole("global_avg_pool", x, keepdims, rule, True)


def _of_the_whole(op: str, x: ArrayLike, keepdims: bool, rule: Function, *settings: bool) -> Array:
    array = check.maps(op, "x", x)
    keepdims = check.boolean(op, "keepdims", keepdims)
    size = array.shape[1:-1]
    y = rule(array, Geometry.tiles(size, size), *settings)
    return y if keepdims else y.reshape(array.shape[0], array.shape[-1])
