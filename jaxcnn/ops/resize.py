"""Maps given another size, and the adjoint of that.

Along every axis an element of the result lies at a place between elements of the map, and is one of
them or a weighted sum of those around it: a linear map, axis by axis.
"""

from collections.abc import Sequence
from functools import partial

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxcnn import check, entry
from jaxcnn.geometry import PerAxis, ResizeGeometry, Scale, parse_resize_geometry
from jaxcnn.lowering import resize as lowering
from jaxcnn.rules import Function, adjoints, custom_rule


@partial(custom_rule, nondiff_argnums=(1,))
def resize_map(x: Float[Array, "n *hw c"], geometry: ResizeGeometry) -> Float[Array, "n *pq c"]:
    return lowering.resized(x, geometry)


@entry.operation
def resize(
    x: Float[ArrayLike, "n *hw c"], size: PerAxis | None = None,
    *, scale: Scale | None = None, method: str = "nearest", coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor", rule: Function = resize_map,
) -> Float[Array, "n *pq c"]:  # fmt: skip
    """y[i] = Σ w_ij x[j]: the element of x nearest to the place of i, or an interpolation.

    Backward, with δ = ∂L/∂y: ∂x[j] = Σ w_ij δ[i], which is `resize_input_grad`.
    Source: Keys 1981, "Cubic Convolution Interpolation for Digital Image Processing"; the places
    and their roundings are those of ONNX's operator Resize.

    Args:
        size: p of the result; one for all spatial axes or one per axis.
        scale: s instead, one or one per axis; then p = ⌊h s⌋. Without it s is p / h.
        method: "nearest", "linear" or "cubic", with a = −0.75; none smooths a map that shrinks.
        coordinates: the place of i: "half_pixel" (i + ½) / s − ½, as all but "nearest" in PyTorch
            with `align_corners=False`; "pytorch_half_pixel" the same, but 0 for a result of one
            element; "align_corners" i (h − 1) / (p − 1); "asymmetric" i / s. Beyond the edge the
            edge is repeated.
        rounding: of that place, for the nearest: "round_prefer_floor", "round_prefer_ceil",
            "floor", "ceil". PyTorch's "nearest" is asymmetric with "floor", its "nearest-exact"
            half_pixel with "round_prefer_ceil".

    Raises:
        ValueError: size and scale are both given, or neither is, or no element would be left.
    """
    x = check.maps("resize", "x", x)
    settings = (size, scale, method, coordinates, rounding)
    return rule(x, parse_resize_geometry("resize", x.shape[1:-1], *settings))


@partial(custom_rule, nondiff_argnums=(1,))
def resize_input_grad_map(
    delta: Float[Array, "n *pq c"], geometry: ResizeGeometry
) -> Float[Array, "n *hw c"]:
    return lowering.resized_input_grad(delta, geometry)


adjoints(resize_map, resize_input_grad_map)


@entry.operation
def resize_input_grad(
    delta: Float[ArrayLike, "n *pq c"], input_size: Sequence[int] | int,
    *, scale: Scale | None = None, method: str = "nearest", coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor", rule: Function = resize_input_grad_map,
) -> Float[Array, "n *hw c"]:  # fmt: skip
    """z[j] = Σ w_ij δ[i]: the adjoint of `resize`.

    Backward, with ζ = ∂L/∂z: ∂δ[i] = Σ w_ij ζ[j], which is `resize`.
    Source: the transpose of `resize`.

    Args:
        delta: of the size that `resize` gave the maps.
        input_size: h of what `resize` was given; one for all spatial axes or one per axis.
        scale, method, coordinates, rounding: what it was given; its size is that of delta.
    """
    op = "resize_input_grad"
    delta = check.maps(op, "delta", delta)
    input_size = check.per_axis(op, "input_size", input_size, delta.ndim - 2)
    size = delta.shape[1:-1] if scale is None else None
    geometry = parse_resize_geometry(op, input_size, size, scale, method, coordinates, rounding)
    check.shape(op, "delta", delta, (delta.shape[0], *geometry.output, delta.shape[-1]))
    return rule(delta, geometry)
