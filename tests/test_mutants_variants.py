"""Wrong relatives of the convolution and wrong paddings, each caught."""

# pyright: reportOptionalCall=false, reportIndexIssue=false

from dataclasses import replace

import jax.numpy as jnp
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import conv, conv_transpose, conv_variants, pad, table_conv

TABLE = ((0, 1), (1, 2), (0, 2))
TRUE = Case(jc.true_conv, {"x": (1, 6, 5, 2), "kernel": (3, 3, 2, 2), "bias": (2,)})
TABLED = Case(
    jc.table_conv, {"x": (1, 5, 6, 3), "weights": (3, 2, 6), "bias": (3,)}, {"table": TABLE}
)
TRANSPOSE = Case(
    jc.conv_transpose,
    {"x": (2, 3, 3, 3), "kernel": (3, 3, 3, 3), "bias": (3,)},
    {"stride": 2, "padding": 1, "output_padding": 1},
)
REFLECT = Case(jc.pad, {"x": (1, 4, 5, 2)}, {"padding": ((1, 2), (2, 0)), "mode": "reflect"})
CIRCULAR = Case(jc.pad, {"x": (1, 4, 5, 2)}, {"padding": ((1, 2), (2, 0)), "mode": "circular"})
FOLD = Case(
    jc.fold_back, {"delta": (1, 7, 6, 2)}, {"padding": ((1, 2), (2, 0)), "mode": "replicate"}
)
SPREAD = Case(jc.conv, {"x": (1, 4, 4, 2), "kernel": (3, 3, 2, 2)}, {"input_dilation": 2})

true, tabled, transposed = (
    conv_variants.true_conv_map,
    table_conv.table_conv_map,
    conv_transpose.conv_transpose_map,
)
input_grad, kernel_grad = conv.conv_input_grad_map, conv.conv_kernel_grad_map


def flip(kernel):
    return jnp.flip(kernel, range(kernel.ndim - 2))


def cut(p, m, s, r, d):
    """The edges are cut off instead of folded back."""
    return (pad.fold_back_map(d, p, "zeros", s),)


MUTANTS = [
    Mutant("true conv: ∂x as for the correlation", TRUE, lambda g, r, d: (input_grad(d, r[1], g), *true.bwd(g, r, d)[1:])),
    Mutant("true conv: ∂k not turned back", TRUE, lambda g, r, d: (true.bwd(g, r, d)[0], kernel_grad(r[0], d, g), true.bwd(g, r, d)[2])),
    Mutant("true conv: order 2 forgets x and k", TRUE, frozen(true, "residuals"), 2),
    Mutant("table: M for its transpose", TABLED, lambda g, t, r, d: (input_grad(d, jnp.swapaxes(table_conv.connect_map(r[1], t, 3), -1, -2), g), *tabled.bwd(g, t, r, d)[1:])),
    Mutant("table: weights in another order", TABLED, changed(tabled, lambda x, w, b: (x, jnp.roll(w, 1, -1), b))),
    Mutant("table: every map reads every map", TABLED, lambda g, t, r, d: (input_grad(d, jnp.broadcast_to(r[1].sum(-1)[..., None, None], (3, 2, 3, 3)), g), *tabled.bwd(g, t, r, d)[1:])),
    Mutant("table: ∂b averaged", TABLED, changed(tabled, lambda x, w, b: (x, w, b / 15))),
    Mutant("transposed: ∂x flipped", TRANSPOSE, lambda g, r, d: (conv.conv_map(d, flip(r[1]), None, g), *transposed.bwd(g, r, d)[1:])),
    Mutant("transposed: ∂k with its channels swapped", TRANSPOSE, changed(transposed, lambda x, k, b: (x, jnp.swapaxes(k, -1, -2), b))),
    Mutant("transposed: ∂k flipped", TRANSPOSE, changed(transposed, lambda x, k, b: (x, flip(k), b))),
    Mutant("transposed: padding off by one", TRANSPOSE, lambda g, r, d: transposed.bwd(replace(g, padding=((0, 1), (0, 1))), r, d)),
    Mutant("transposed: order 2 forgets δ", TRANSPOSE, frozen(transposed, "delta"), 2),
    Mutant("input dilation forgotten in ∂k", SPREAD, lambda g, r, d: (conv.conv_map.bwd(g, r, d)[0], conv.conv_map.bwd(g, r, d)[1].at[::2].set(0), None)),
    Mutant("reflect: the edges cut off", REFLECT, cut),
    Mutant("circular: the edges cut off", CIRCULAR, cut),
    Mutant("reflect: folded back as if replicated", REFLECT, lambda p, m, s, r, d: (pad.fold_back_map(d, p, "replicate", s),)),
    Mutant("circular: folded back as if reflected", CIRCULAR, lambda p, m, s, r, d: (pad.fold_back_map(d, p, "reflect", s),)),
    Mutant("fold back: edges without gradient", FOLD, lambda p, m, s, r, d: (pad.pad_map(d, p, "zeros", s),)),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
