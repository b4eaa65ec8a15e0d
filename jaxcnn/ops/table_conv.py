"""A convolution by a table of connections: every output map reads a selection of input maps."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import Geometry, Padding, PerAxis, Precision, parse_geometry
from jaxcnn.lowering.places import where_finite
from jaxcnn.lowering.sharding import declared, vary_together
from jaxcnn.ops.conv import conv_input_grad_map, conv_kernel_grad_map, conv_map
from jaxcnn.rules import Function, custom_rule, product

Table = tuple[tuple[int, ...], ...]


@partial(custom_rule, nondiff_argnums=(3, 4))
def table_conv_map(
    x: Float[Array, "n *hw c"], weights: Float[Array, "*k m"], bias: Float[Array, " d"] | None,
    geometry: Geometry, table: Table,
) -> Float[Array, "n *pq d"]:  # fmt: skip
    sources, targets = _ends(table)

    def whole(x, weights):
        return conv_map(x, connected(weights, table, x.shape[-1]), None, geometry)

    def apart(x, weights):
        by_one = _by_connection(geometry, table)
        each: Array = conv_map(_selected(x, sources), weights[..., None, :], None, by_one)
        return _sum_per_map(each, targets, len(table))

    y: Array = where_finite(x, whole, apart, x, weights)
    return y if bias is None else y + jnp.broadcast_to(bias, y.shape)


def _table_conv_bwd(geometry, table, residuals, delta):
    x, weights, bias = residuals
    delta_bias = None if bias is None else delta.sum(range(delta.ndim - 1))
    return (
        table_conv_input_grad_map(delta, weights, geometry, table, x.shape[-1]),
        table_conv_kernel_grad_map(x, delta, geometry, table),
        delta_bias,
    )


product(table_conv_map, _table_conv_bwd, bias=True)


@entry.operation
def table_conv(
    x: Float[ArrayLike, "n *hw c"], weights: Float[ArrayLike, "*k m"],
    bias: Float[ArrayLike, " d"] | None = None,
    *, table: Sequence[Sequence[int]], stride: PerAxis = 1, padding: Padding = "VALID",
    dilation: PerAxis = 1, precision: Precision = None, rule: Function = table_conv_map,
) -> Float[Array, "n *pq d"]:  # fmt: skip
    """y_d = Σ_{c ∈ M_d} x_c ⋆ w_cd + b_d: a convolution in which output d reads a selection M_d.

    Backward, with δ = ∂L/∂y: ∂x_c = Σ_{d ∈ N_c} full(δ_d, rot180(w_cd)), ∂w_cd = x_c ⋆ dilate(δ_d),
    ∂b_d = Σδ_d, where N_c are the outputs that read map c.
    Source: Huang, "Combination of multiple feature maps"; LeCun et al. 1998, table I.

    Args:
        weights: window by connections, in the order of the table: the kernels that exist.
        table: for every output map the input maps that it reads.
        stride, padding, dilation, precision: as in `conv`.

    Raises:
        ValueError: the table does not fit the maps or the weights.
    """
    op = "table_conv"
    x = check.maps(op, "x", x)
    weights = check.float_array(op, "weights", weights, like=("x", x))
    check.rank(op, "weights", weights, x.ndim - 1, "space as x has it, connections")
    connections = check_table(op, table)
    for d, inputs in enumerate(connections):
        outside = [c for c in inputs if not 0 <= c < x.shape[-1]]
        if outside or len(set(inputs)) < len(inputs):
            raise ValueError(
                f"{op}: table must name for every output different maps in [0, {x.shape[-1]}), "
                f"got {inputs} for output {d}"
            )
    count = sum(map(len, connections))
    if weights.shape[-1] != count:
        raise ValueError(
            f"{op}: weights must have one kernel per connection of the table, {count}, "
            f"got {weights.shape[-1]}"
        )
    bias = check.parameter(op, "bias", bias, ("x", x), (len(connections),))
    geometry = parse_geometry(
        op, x.shape[1:-1], weights.shape[:-1], stride=stride, padding=padding, dilation=dilation,
        precision=check.precision(op, precision),
    )  # fmt: skip
    return rule(*vary_together(x, weights, bias), geometry, connections)


def check_table(op: str, table: Any) -> tuple[tuple[int, ...], ...]:
    """The table of connections as tuples: for every output the inputs that it reads, if any."""
    rows = table if check.is_sequence(table) else (None,)
    sequences = all(map(check.is_sequence, rows))
    if not sequences or not rows or not all(rows):
        raise (ValueError if sequences else TypeError)(
            f"{op}: table must name for every output the maps that it reads, as ((0, 1), (1, 2)), "
            f"got {check.shown(table)}"
        )
    return tuple(check.integers(op, "table", inputs, minimum=0) for inputs in rows)


@partial(custom_rule, nondiff_argnums=(2, 3, 4))
def table_conv_input_grad_map(
    delta: Float[Array, "n *pq d"], weights: Float[Array, "*k m"], geometry: Geometry, table: Table,
    channels: int,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z_c = Σ_{d ∈ N_c} full(δ_d, rot180(w_cd)).  With ζ = ∂L/∂z:  ∂δ_d = Σ_{c ∈ M_d} ζ_c ⋆ w_cd.

    ∂w_cd = ζ_c ⋆ dilate(δ_d): the same form with ζ where x was.
    """
    sources, targets = _ends(table)

    def whole(delta, weights):
        return conv_input_grad_map(delta, connected(weights, table, channels), geometry)

    def apart(delta, weights):
        each = _selected(delta, targets), weights[..., None, :], _by_connection(geometry, table)
        return _sum_per_map(conv_input_grad_map(*each), sources, channels)

    return where_finite(delta, whole, apart, delta, weights)


def _table_conv_input_grad_bwd(geometry, table, channels, residuals, zeta):
    delta, weights = residuals
    return (
        table_conv_map(zeta, weights, None, geometry, table),
        table_conv_kernel_grad_map(zeta, delta, geometry, table),
    )


product(table_conv_input_grad_map, _table_conv_input_grad_bwd)


@partial(custom_rule, nondiff_argnums=(2, 3))
def table_conv_kernel_grad_map(
    x: Float[Array, "n *hw c"], delta: Float[Array, "n *pq d"], geometry: Geometry, table: Table
) -> Float[Array, "*k m"]:
    """v_cd = x_c ⋆ dilate(δ_d).  With ω = ∂L/∂v:  ∂x_c = Σ_{d ∈ N_c} full(δ_d, rot180(ω_cd)).

    ∂δ_d = Σ_{c ∈ M_d} x_c ⋆ ω_cd: the same form with ω where the weights were.
    """
    sources, targets = _ends(table)
    return conv_kernel_grad_map(x, delta, geometry)[..., sources, targets]


def _table_conv_kernel_grad_bwd(geometry, table, residuals, omega):
    x, delta = residuals
    return (
        table_conv_input_grad_map(delta, omega, geometry, table, x.shape[-1]),
        table_conv_map(x, omega, None, geometry, table),
    )


product(table_conv_kernel_grad_map, _table_conv_kernel_grad_bwd)


def connected(weights: Array, table: Table, channels: int) -> Array:
    """k[c, d] = w[m] for connection m = (c, d), else 0."""
    sources, targets = _ends(table)

    def kernel(weights: Array) -> Array:
        zeros = jnp.zeros((*weights.shape[:-1], channels, len(table)), weights.dtype)
        return zeros.at[..., sources, targets].set(weights)

    return declared(kernel, lambda w: (*w[:-1], None, None), weights)


# As one convolution it has zeros where nothing is connected, and 0 · ∞ is NaN: maps that are not
# finite are convolved connection by connection.


def _by_connection(geometry: Geometry, table: Table) -> Geometry:
    return replace(geometry, groups=sum(map(len, table)))


def _selected(maps: Array, index: np.ndarray) -> Array:
    return jnp.concatenate([maps[..., i : i + 1] for i in index], -1)


def _sum_per_map(each: Array, index: np.ndarray, count: int) -> Array:
    """Σ of the connections that belong to each of `count` maps."""
    none = jnp.zeros_like(each[..., 0])
    sums = [sum((each[..., m] for m in np.flatnonzero(index == i)), none) for i in range(count)]
    return jnp.stack(sums, -1)


def _ends(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """The input map and the output map of every connection, output by output."""
    pairs = [(c, d) for d, inputs in enumerate(table) for c in inputs]
    sources, targets = zip(*pairs, strict=True)
    return np.array(sources), np.array(targets)
