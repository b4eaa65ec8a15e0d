"""What shares a mean and a variance: the static setting in which the norms differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxcnn import check
from jaxcnn.lowering import dense, rows
from jaxcnn.lowering.precision import widen
from jaxcnn.lowering.sharding import vary_together
from jaxcnn.lowering.statistics import AxisName, scaled_epsilon
from jaxcnn.ops.across import mean_across_map
from jaxcnn.rules import arithmetic

weighted_sum_map = arithmetic(dense.weighted_sum, dense.weighted_sum_by_elements, linear=(0, 1))


@dataclass(frozen=True)
class Sharing:
    """Which elements of x share a mean and a variance.

    Those along `axes`, counted after the channels have been split into `groups`, if there are any;
    and those at all places of the mapped axis `axis_name`. γ and β run along the last axes of x.
    """

    axes: tuple[int, ...]
    epsilon: float
    groups: int | None = None
    axis_name: AxisName | None = None

    def split(self, x: Array) -> Array:
        """… c → … g c/g where there are groups, in the dtype of sums."""
        wide = widen(x)
        if self.groups is None:
            return wide
        return wide.reshape(*x.shape[:-1], self.groups, x.shape[-1] // self.groups)

    def sum(self, x: Array) -> Array:
        """The sum over such elements; the axes stay, with one element each."""
        return x.sum(self.axes, keepdims=True)

    def mean(self, x: Array) -> Array:
        """The mean over such elements; the axes stay, with one element each."""
        return self.share(self.sum(x), x)

    def with_epsilon(self, variance: Array, inverse: Array) -> Array:
        """σ² + ε in the unit u, for σ² of x/u and `inverse` 1/u."""
        return variance + scaled_epsilon(self.epsilon, inverse)

    def share(self, total: Array, x: Array) -> Array:
        """A sum over such elements of x, divided by their number; the mean over all places."""
        mean = total * (1 / math.prod(x.shape[axis] for axis in self.axes))
        return mean if self.axis_name is None else mean_across_map(mean, self.axis_name)

    def along(self, parameter: Array, x: Array) -> Array:
        """γ or β at every element of an x that is split."""
        return jnp.broadcast_to(self.split(parameter), x.shape)

    def weighted(self, x: Array, scale: Array | None) -> Array:
        """γ•x, or x where there is no γ."""
        return x if scale is None else x * self.along(scale, x)

    def alike(self, parameter: Array | None, x: Array) -> tuple[int, ...]:
        """The axes of a split x along which elements share statistics, one γ and one β."""
        return tuple(axis for axis in self.axes if axis < self._first_axis(parameter, x))

    def weighted_sum(self, x: Array, scale: Array | None) -> Array:
        """Σ γ•x over elements that share statistics; the axes stay, with one element each."""
        if scale is None or self.groups is not None or self.alike(scale, x):
            return self.sum(self.weighted(x, scale))
        return jnp.expand_dims(weighted_sum_map(x, self.split(scale)), self.axes)

    def in_rows(self, x: Array, scale: Array | None, bias: Array | None) -> bool:
        """Whether such elements are whole rows, which kernels can compute."""
        return self.groups is self.axis_name is None and rows.served(x, self.axes, scale, bias)

    def parameter_grad(self, delta: Array, parameter: Array | None) -> Array | None:
        """Σδ over the elements that share an element of the parameter: the transpose of `along`."""
        if parameter is None:
            return None
        total = delta.sum(range(self._first_axis(parameter, delta)))
        return total.reshape(parameter.shape).astype(parameter.dtype)

    def _first_axis(self, parameter: Array | None, x: Array) -> int:
        """The first of the axes of a split x along which the parameter runs."""
        if parameter is None:
            return x.ndim
        return x.ndim - parameter.ndim - (self.groups is not None)


def check_parameters(
    op: str, x: Array, scale: Any, bias: Any, shape: Sequence[int]
) -> tuple[Array, Array | None, Array | None]:
    """x; and γ and β as arrays of that shape and of x's dtype, or None as they are."""
    scale = check.parameter(op, "scale", scale, ("x", x), shape)
    bias = check.parameter(op, "bias", bias, ("x", x), shape)
    x, scale, bias = vary_together(x, scale, bias)
    return x, scale, bias
