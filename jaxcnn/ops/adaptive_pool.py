"""Adaptive pooling: windows made to give an output of a certain size, whatever the input's.

Window i of p on a map of h reaches from floor(i·h/p) up to but not including ceil((i+1)·h/p), as in
PyTorch: windows differ in size and may overlap. The average is linear and has an adjoint with a
name. The maximum chooses *positions* on the map, since there is no common window to count taps in;
once they are fixed, it is linear too: gather and scatter at the positions.
"""

from functools import partial
from typing import Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxcnn import check, entry
from jaxcnn.geometry import AdaptiveGeometry, PerAxis
from jaxcnn.lowering.pooling import adaptive as lowering
from jaxcnn.rules import Function, adjoints, custom_rule, selection


@partial(custom_rule, nondiff_argnums=(1,))
def adaptive_avg_pool_map(
    x: Float[Array, "n *hw c"], geometry: AdaptiveGeometry
) -> Float[Array, "n *pq c"]:
    return lowering.avg(x, geometry)


@entry.operation
def adaptive_avg_pool(
    x: Float[ArrayLike, "n *hw c"], output_size: PerAxis, *, rule: Function = adaptive_avg_pool_map
) -> Float[Array, "n *pq c"]:
    """y[i] = 1/|W_i| Σ_{a ∈ W_i} x[a], with windows W_i that give an output of the given size.

    Backward, with δ = ∂L/∂y: ∂x[a] = Σ 1/|W_i| δ[i] over the windows W_i that hold a.
    Source: Huang, "Average pooling layer"; He et al. 2014, "Spatial Pyramid Pooling",
    appendix A (the windows).

    Args:
        output_size: p of the result; one for all spatial axes or one per axis. Window i reaches
            from floor(i·h/p) up to but not including ceil((i+1)·h/p).
    """
    return rule(*_parse("adaptive_avg_pool", x, output_size))


@partial(custom_rule, nondiff_argnums=(1,))
def adaptive_avg_pool_input_grad_map(
    delta: Float[Array, "n *pq c"], geometry: AdaptiveGeometry
) -> Float[Array, "n *hw c"]:
    """z = δ / size at each place of its window, adding up.  With ζ = ∂L/∂z:  ∂δ = Σ ζ / size.

    The transpose of the average.
    """
    return lowering.avg_input_grad(delta, geometry)


adjoints(adaptive_avg_pool_map, adaptive_avg_pool_input_grad_map)


@partial(custom_rule, nondiff_argnums=(2,))
def gather_at_positions_map(
    x: Float[Array, "n *hw c"], positions: Int[Array, "n *pq c"], geometry: AdaptiveGeometry
) -> Float[Array, "n *pq c"]:
    """y = the element of the map at each position.  With δ = ∂L/∂y:  ∂x = scatter(δ).

    Linear in x.
    """
    return lowering.gather_at_positions(x, positions)


@partial(custom_rule, nondiff_argnums=(2,))
def scatter_at_positions_map(
    delta: Float[Array, "n *pq c"], positions: Int[Array, "n *pq c"], geometry: AdaptiveGeometry
) -> Float[Array, "n *hw c"]:
    """z = every δ at its position, adding up.  With ζ = ∂L/∂z:  ∂δ = gather(ζ).

    Linear in δ, the transpose of the gather. Each position lies in the window of its δ.
    """
    return lowering.scatter_at_positions(delta, positions, geometry)


adjoints(gather_at_positions_map, scatter_at_positions_map)


@partial(custom_rule, nondiff_argnums=(1,))
def adaptive_max_pool_with_positions_map(
    x: Float[Array, "n *hw c"], geometry: AdaptiveGeometry
) -> tuple[Float[Array, "n *pq c"], Int[Array, "n *pq c"]]:
    """y, s = max over the window and where it lies.  With δ = ∂L/∂y:  ∂x = scatter(δ); s has none.

    Quan, 7.3 (keeping track of the location of the max).
    """
    return lowering.max_with_positions(x, geometry)


@partial(custom_rule, nondiff_argnums=(1,))
def adaptive_max_pool_map(
    x: Float[Array, "n *hw c"], geometry: AdaptiveGeometry
) -> Float[Array, "n *pq c"]:
    return lowering.max_with_positions(x, geometry)[0]


selection(
    adaptive_max_pool_with_positions_map,
    scatter_at_positions_map,
    gather_at_positions_map,
    adaptive_max_pool_map,
)


@entry.operation
def adaptive_max_pool(
    x: Float[ArrayLike, "n *hw c"], output_size: PerAxis, *, rule: Function = adaptive_max_pool_map
) -> Float[Array, "n *pq c"]:
    """y[i] = max_{a ∈ W_i} x[a], with windows W_i that give an output of the given size.

    Backward, with δ = ∂L/∂y: ∂x[a] = Σ δ[i] over the windows whose first maximum, in row-major
    order, is at a; a NaN is the maximum.
    Source: Huang, "Max pooling layer"; He et al. 2014, "Spatial Pyramid Pooling",
    appendix A (the windows).

    Args:
        output_size: as in `adaptive_avg_pool`.
    """
    return rule(*_parse("adaptive_max_pool", x, output_size))


def _parse(op: str, x: ArrayLike, output_size: Any) -> tuple[Array, AdaptiveGeometry]:
    array = check.maps(op, "x", x)
    size = check.per_axis(op, "output_size", output_size, array.ndim - 2)
    check.known_sizes(op, "output_size", (*array.shape[1:-1], *size))
    return array, AdaptiveGeometry(array.shape[1:-1], size)
