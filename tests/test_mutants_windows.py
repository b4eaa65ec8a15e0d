"""Wrong norms, dilated, rounded-up, global and adaptive poolings, patches: each caught."""

# pyright: reportOptionalCall=false, reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false, reportArgumentType=false
# A custom_vjp has no result type that pyright could see.

from dataclasses import replace

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen, with_geometry

import jaxcnn as jc
from jaxcnn.geometry import AdaptiveGeometry
from jaxcnn.gradcheck.cases.case import Case, switch_array
from jaxcnn.lowering import pool as lowering
from jaxcnn.lowering.sums import upsample
from jaxcnn.ops import adaptive_pool as adaptive
from jaxcnn.ops import lp_pool, max_pool, patches, switches
from jaxcnn.ops import sum_pool as sums

max_map, avg_map, lp_map = max_pool.max_pool_map, sums.avg_pool_map, lp_pool.lp_pool_map
FAR = {"window": 2, "stride": 2, "dilation": 2, "padding": 1}
UP = {"window": 3, "stride": 2, "padding": (0, 1), "ceil_mode": True}


def pool(op, size, **settings):
    return Case(op, {"x": size}, settings, kinked=True)


def levels(generator, size):
    """Few different numbers: many ties."""
    return generator.integers(0, 2, size)


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


def without_dilation(geometry):
    return replace(geometry, dilation=(1,) * geometry.axes)


def lp_without_own_norm(geometry, p, residuals, delta):
    """|x|ᵖ⁻¹ δ, the y¹⁻ᵖ left out."""
    x, _ = residuals
    spread = sums.sum_pool_input_grad_map(delta, geometry)
    return (jnp.sign(x) * jnp.abs(x) ** (p - 1) * spread,)


def lp_with_the_mean_norm(geometry, p, residuals, delta):
    """Every window divided by the same y."""
    x, y = residuals
    spread = sums.sum_pool_input_grad_map(delta, geometry)
    return (jnp.sign(x) * (jnp.abs(x) / y.mean()) ** (p - 1) * spread,)


def all_ties_of_the_whole(geometry, s, delta):
    x = WHOLE_MAX.arrays()[0]
    return (jnp.where(x == x.max((1, 2), keepdims=True), delta, 0.0),)


def last_of_the_whole(geometry, s, delta):
    x = WHOLE_MAX.arrays()[0]
    _, flipped = lowering.max_with_switches(jnp.flip(x, (1, 2)), geometry)
    last = jnp.array(geometry.taps - 1, flipped.dtype) - flipped
    return (lowering.scatter_at_switches(delta, last, geometry),)


def equal_windows(geometry, _, delta):
    """Windows without overlap: the floor of both ends."""
    h = [a // b for a, b in zip(geometry.input, geometry.output, strict=True)]
    spread = upsample(delta / (h[0] * h[1]), tuple(h))
    rest = [(0, a - b) for a, b in zip(geometry.input, spread.shape[1:-1], strict=True)]
    return (jnp.pad(spread, [(0, 0), *rest, (0, 0)]),)


def adjoint_of_the_turned_map(geometry, _, delta):
    """Windows counted from the other end."""
    back = adaptive.adaptive_avg_pool_input_grad_map(jnp.roll(delta, 1, (1, 2)), geometry)
    return (jnp.roll(back, -2, 1),)


def one_share_per_element(geometry, positions, delta):
    """`=` for `+=`: of the windows that chose an element, the last one decides."""
    flat = jnp.zeros((delta.shape[0], 35, delta.shape[-1]))
    for i in range(positions.shape[1]):
        for j in range(positions.shape[2]):
            at = jnp.arange(35, dtype=jnp.int32)[None, :, None] == positions[:, i, j][:, None]
            flat = jnp.where(at, delta[:, i, j][:, None], flat)
    return (flat.reshape(delta.shape[0], 7, 5, -1),)


def transposed_positions(geometry, positions, delta):
    """Places in column-major order: right on a square map only."""
    h, w = geometry.input
    turned = AdaptiveGeometry((w, h), geometry.output[::-1])
    moved = positions % w * h + positions // w
    back = adaptive.scatter_at_positions_map(
        delta.transpose(0, 2, 1, 3), moved.transpose(0, 2, 1, 3), turned
    )
    return (jnp.roll(back.transpose(0, 2, 1, 3), 1, 1),)


def next_tap(geometry, s, delta):
    return (
        switches.gather_at_switches_map(delta, (s + jnp.uint8(1)) % jnp.uint8(4), geometry),
        None,
    )


def channels_first(geometry, _, delta):
    """Rows read in PyTorch's order, c kh kw."""
    c = delta.shape[-1] // geometry.taps
    turned = jnp.swapaxes(delta.reshape(*delta.shape[:-1], c, geometry.taps), -1, -2)
    return (patches.fold_map(turned.reshape(delta.shape), geometry),)


def divided_by_the_overlap(geometry, _, delta):
    counts = patches.fold_map(jnp.ones_like(delta), geometry)
    return (patches.fold_map(delta, geometry) / jnp.maximum(counts, 1),)


MUTANTS = [
    Mutant("dilated maximum: scattered as though not dilated", DILATED, with_geometry(max_map, without_dilation)),
    Mutant("dilated maximum: taps mixed up", DILATED, lambda g, s, d: max_map.bwd(g, (s + jnp.uint8(1)) % jnp.uint8(4), d)),
    Mutant("dilated sum: spread as though not dilated", DILATED_SUM, with_geometry(sums.sum_pool_map, without_dilation)),
    Mutant("dilated spread: summed one row off", SPREAD, lambda g, r, d: (sums.sum_pool_map(jnp.roll(d, 1, 1), g),)),
    Mutant("dilated gather: scattered as though not dilated", GATHER, with_geometry(switches.gather_at_switches_map, without_dilation)),
    Mutant("rounded-up maximum: the window that overhangs left out", CEILED, lambda g, s, d: max_map.bwd(g, s, d.at[:, -1].set(0))),
    Mutant("rounded-up average: the overhang counted", CEILED_AVG, lambda g, p, r, d: (sums.sum_pool_input_grad_map(d / g.taps, g),)),
    Mutant("rounded-up average: the overhang taken for padding", CEILED_AVG, lambda g, p, r, d: avg_map.bwd(replace(g, overhang=()), p, r, d)),
    Mutant("rounded-up average: padding counted though left out", CEILED_MAP_ONLY, lambda g, p, r, d: avg_map.bwd(g, True, r, d)),
    Mutant("norm: y¹⁻ᵖ forgotten", NORM, lp_without_own_norm),
    Mutant("norm: one y for all windows", NORM, lp_with_the_mean_norm),
    Mutant("norm: the sign forgotten", NORM, lambda g, p, r, d: lp_map.bwd(g, p, (jnp.abs(r[0]), r[1]), d)),
    Mutant("norm: the power of another p", NORM, lambda g, p, r, d: lp_map.bwd(g, p + 1, r, d)),
    Mutant("norm: p times too much", NORM_15, changed(lp_map, lambda x: (1.5 * x,))),
    Mutant("norm: right at order 1, y and x taken for constants", NORM, frozen(lp_map, "residuals"), 2),
    Mutant("whole maximum: all ties receive the gradient", WHOLE_MAX, all_ties_of_the_whole),
    Mutant("whole maximum: the last of the ties wins", WHOLE_MAX, last_of_the_whole),
    Mutant("whole average: not divided", WHOLE_AVG, changed(avg_map, lambda x: (12 * x,))),
    Mutant("whole average: divided twice", WHOLE_AVG, changed(avg_map, lambda x: (x / 12,))),
    Mutant("adaptive average: windows of equal size", FITTED_AVG, equal_windows),
    Mutant("adaptive average: windows out of order", FITTED_AVG, adjoint_of_the_turned_map),
    Mutant("adaptive average: right at order 1 only", FITTED_AVG, frozen(adaptive.adaptive_avg_pool_map, "delta"), 2),
    Mutant("adaptive maximum: = for += at overlaps", FITTED_MAX, one_share_per_element),
    Mutant("adaptive maximum: positions in column-major order", FITTED_MAX, transposed_positions),
    Mutant("adaptive maximum: the window's average", FITTED_TIES, lambda g, s, d: (adaptive.adaptive_avg_pool_input_grad_map(d, g),)),
    Mutant("unpooling: gathered one tap off", BACK, next_tap),
    Mutant("unpooling: summed instead of gathered", BACK, lambda g, s, d: (sums.sum_pool_map(d, g), None)),
    Mutant("patches: rows read channels first", PATCHES, channels_first),
    Mutant("patches: overlaps averaged", PATCHES, divided_by_the_overlap),
    Mutant("patches: folded as though not dilated", PATCHES, with_geometry(patches.patches_map, without_dilation)),
    Mutant("fold: the taps reversed", FOLD, changed(patches.fold_map, lambda d: (jnp.flip(d, -1),))),
    Mutant("fold: right at order 1 only", FOLD, frozen(patches.fold_map, "delta"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
