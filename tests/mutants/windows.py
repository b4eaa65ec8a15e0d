"""Wrong norms, dilated, rounded-up, global and adaptive poolings, patches."""

from dataclasses import replace

import jax.numpy as jnp
from mutants.pool import next_tap, of_every_step
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.geometry import AdaptiveGeometry
from jaxcnn.gradcheck.cases.case import Case, levels, switch_array
from jaxcnn.lowering import pooling as lowering
from jaxcnn.lowering.pooling import upsample
from jaxcnn.ops import adaptive_pool as adaptive
from jaxcnn.ops import patches
from jaxcnn.ops.sum_pool import sum_pool_input_grad_map, sum_pool_map

FAR = {"window": 2, "stride": 2, "dilation": 2, "padding": 1}
UP = {"window": 3, "stride": 2, "padding": (0, 1), "ceil_mode": True}


def pool(op, size, **settings):
    return Case(op, {"x": size}, settings, kinked=True)


DILATED = pool(jc.max_pool, (1, 7, 8, 2), **FAR)
CEILED = pool(jc.max_pool, (1, 6, 5, 2), **UP)
CEILED_AVG = pool(jc.avg_pool, (1, 6, 5, 2), **UP)
CEILED_MAP_ONLY = pool(jc.avg_pool, (1, 6, 5, 2), **UP, count_include_pad=False)
DILATED_SUM = pool(jc.sum_pool, (1, 7, 8, 2), **FAR)
SPREAD = Case(jc.sum_pool_input_grad, {"delta": (1, 4, 4, 2)}, {**FAR, "input_size": (7, 8)})
SWITCHES = {"switches": switch_array(4, (1, 4, 4, 2))}
GATHER = Case(jc.gather_at_switches, {"x": (1, 7, 8, 2)}, FAR, SWITCHES)
NORM = pool(jc.lp_pool, (1, 5, 6, 2), window=(2, 3), stride=2, p=3)
NORM_15 = pool(jc.lp_pool, (1, 4, 4, 1), window=2, p=1.5)
WHOLE_MAX = Case(jc.global_max_pool, {"x": (2, 3, 4, 2)}, draw={"x": levels})
WHOLE_AVG = pool(jc.global_avg_pool, (2, 3, 4, 2))
FITTED_AVG = pool(jc.adaptive_avg_pool, (1, 7, 5, 2), output_size=(3, 4))
FITTED_MAX = pool(jc.adaptive_max_pool, (1, 7, 5, 2), output_size=(3, 4))
FITTED_TIES = replace(FITTED_MAX, kinked=False, draw={"x": levels})
BACK = Case(
    jc.max_unpool,
    {"x": (1, 3, 2, 2)},
    {"window": 2},
    {"switches": switch_array(4, (1, 3, 2, 2))},
)
PATCHES = pool(jc.patches, (1, 5, 6, 2), window=(2, 3), stride=(1, 2), padding=1, dilation=(2, 1))
FOLD = Case(
    jc.fold, {"delta": (1, 3, 3, 12)}, {"window": (2, 3), "stride": (1, 2), "input_size": (4, 7)}
)


def undilated(geometry):
    return replace(geometry, dilation=(1,) * geometry.axes)


def lp_without_own_norm(geometry, p, x, delta):
    """|x|ᵖ⁻¹ δ, the y¹⁻ᵖ left out."""
    return jnp.sign(x) * jnp.abs(x) ** (p - 1) * sum_pool_input_grad_map(delta, geometry)


def lp_with_the_mean_norm(geometry, p, x, y, delta):
    """Every window divided by the same y."""
    spread = sum_pool_input_grad_map(delta, geometry)
    return jnp.sign(x) * (jnp.abs(x) / y.mean()) ** (p - 1) * spread


def all_ties_of_the_whole(delta):
    x = WHOLE_MAX.arrays()[0]
    return jnp.where(x == x.max((1, 2), keepdims=True), delta, 0.0)


def last_of_the_whole(geometry, delta):
    _, flipped = lowering.max_with_switches(jnp.flip(WHOLE_MAX.arrays()[0], (1, 2)), geometry)
    last = jnp.array(geometry.taps - 1, flipped.dtype) - flipped
    return lowering.scatter_at_switches(delta, last, geometry)


def equal_windows(geometry, delta):
    """Windows without overlap: the floor of both ends."""
    h = [a // b for a, b in zip(geometry.input, geometry.output, strict=True)]
    spread = upsample(delta / (h[0] * h[1]), tuple(h))
    rest = [(0, a - b) for a, b in zip(geometry.input, spread.shape[1:-1], strict=True)]
    return jnp.pad(spread, [(0, 0), *rest, (0, 0)])


def counted_from_the_other_end(geometry, delta):
    back = adaptive.adaptive_avg_pool_input_grad_map(jnp.roll(delta, 1, (1, 2)), geometry)
    return jnp.roll(back, -2, 1)


def one_share_per_element(positions, delta):
    """`=` for `+=`: of the windows that chose an element, the last one decides."""
    flat = jnp.zeros((delta.shape[0], 35, delta.shape[-1]))
    for i in range(positions.shape[1]):
        for j in range(positions.shape[2]):
            at = jnp.arange(35, dtype=jnp.int32)[None, :, None] == positions[:, i, j][:, None]
            flat = jnp.where(at, delta[:, i, j][:, None], flat)
    return flat.reshape(delta.shape[0], 7, 5, -1)


def column_major_positions(geometry, positions, delta):
    """Places in column-major order: right on a square map only."""
    h, w = geometry.input
    turned = AdaptiveGeometry((w, h), geometry.output[::-1])
    moved = positions % w * h + positions // w
    back = adaptive.scatter_at_positions_map(
        delta.transpose(0, 2, 1, 3), moved.transpose(0, 2, 1, 3), turned
    )
    return jnp.roll(back.transpose(0, 2, 1, 3), 1, 1)


def channels_first(geometry, delta):
    """Rows read in PyTorch's order, c kh kw."""
    c = delta.shape[-1] // geometry.taps
    turned = jnp.swapaxes(delta.reshape(*delta.shape[:-1], c, geometry.taps), -1, -2)
    return turned.reshape(delta.shape)


def divided_by_the_overlap(geometry, right, delta):
    return right / jnp.maximum(patches.fold_map(jnp.ones_like(delta), geometry), 1)


MUTANTS = [
    given("dilated maximum: scattered as though not dilated", DILATED, geometry=undilated),
    given("dilated maximum: taps mixed up", DILATED, switches=of_every_step(next_tap)),
    given("dilated sum: spread as though not dilated", DILATED_SUM, geometry=undilated),
    given("dilated spread: summed one row off", SPREAD, zeta=lambda right: jnp.roll(right, 1, 1)),
    given("dilated gather: scattered as though not dilated", GATHER, geometry=undilated),
    given("rounded-up maximum: the window that overhangs left out", CEILED, delta=lambda right: right.at[:, -1].set(0)),
    wrong("rounded-up average: the overhang counted", CEILED_AVG,
        x=lambda delta, geometry: sum_pool_input_grad_map(delta / geometry.taps, geometry)),
    given("rounded-up average: the overhang taken for padding", CEILED_AVG,
        geometry=lambda right: replace(right, overhang=())),
    given("rounded-up average: padding counted though left out", CEILED_MAP_ONLY, count_include_pad=lambda: True),
    wrong("norm: y¹⁻ᵖ forgotten", NORM, x=lp_without_own_norm),
    wrong("norm: one y for all windows", NORM, x=lp_with_the_mean_norm),
    given("norm: the sign forgotten", NORM, x=lambda right: jnp.abs(right)),
    given("norm: the power of another p", NORM, p=lambda right: right + 1),
    wrong("norm: p times too much", NORM_15, x=lambda right, p: p * right),
    forgets("norm: right at order 1, y and x taken for constants", NORM, "x", "y"),
    wrong("whole maximum: all ties receive the gradient", WHOLE_MAX, x=all_ties_of_the_whole),
    wrong("whole maximum: the last of the ties wins", WHOLE_MAX, x=last_of_the_whole),
    wrong("whole average: not divided", WHOLE_AVG, x=lambda right: 12 * right),
    wrong("whole average: divided twice", WHOLE_AVG, x=lambda right: right / 12),
    wrong("adaptive average: windows of equal size", FITTED_AVG, x=equal_windows),
    wrong("adaptive average: windows out of order", FITTED_AVG, x=counted_from_the_other_end),
    forgets("adaptive average: right at order 1 only", FITTED_AVG, "delta"),
    wrong("adaptive maximum: = for += at overlaps", FITTED_MAX, x=one_share_per_element),
    wrong("adaptive maximum: positions in column-major order", FITTED_MAX, x=column_major_positions),
    wrong("adaptive maximum: the window's average", FITTED_TIES,
        x=lambda delta, geometry: adaptive.adaptive_avg_pool_input_grad_map(delta, geometry)),
    given("unpooling: gathered one tap off", BACK, switches=next_tap),
    wrong("unpooling: summed instead of gathered", BACK, delta=lambda zeta, geometry: sum_pool_map(zeta, geometry)),
    given("patches: rows read channels first", PATCHES, delta=channels_first),
    wrong("patches: overlaps averaged", PATCHES, x=divided_by_the_overlap),
    given("patches: folded as though not dilated", PATCHES, geometry=undilated),
    wrong("fold: the taps reversed", FOLD, delta=lambda right: jnp.flip(right, -1)),
    forgets("fold: right at order 1 only", FOLD, "zeta"),
]  # fmt: skip
