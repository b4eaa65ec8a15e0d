"""Wrong relatives of the convolution and wrong paddings."""

from dataclasses import replace

import jax.numpy as jnp
from mutants.conv import flip
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops.conv import conv_input_grad_map as input_grad
from jaxcnn.ops.conv import conv_kernel_grad_map as kernel_grad
from jaxcnn.ops.conv import conv_map
from jaxcnn.ops.table_conv import connected

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


MUTANTS = [
    wrong("true conv: ∂x as for the correlation", TRUE,
        x=lambda delta, kernel, geometry: input_grad(delta, kernel, geometry)),
    wrong("true conv: ∂k not turned back", TRUE, kernel=lambda x, delta, geometry: kernel_grad(x, delta, geometry)),
    forgets("true conv: order 2 forgets x and k", TRUE, "x", "kernel"),
    wrong("table: M for its transpose", TABLED,
        x=lambda delta, weights, geometry, table: input_grad(delta,
        jnp.swapaxes(connected(weights, table, 3), -1, -2), geometry)),
    wrong("table: weights in another order", TABLED, weights=lambda right: jnp.roll(right, 1, -1)),
    wrong("table: every map reads every map", TABLED,
        x=lambda delta, weights, geometry: input_grad(delta,
        jnp.broadcast_to(weights.sum(-1)[..., None, None], (3, 2, 3, 3)), geometry)),
    wrong("table: ∂b averaged", TABLED, bias=lambda right: right / 15),
    wrong("transposed: ∂x flipped", TRANSPOSE,
        x=lambda delta, kernel, geometry: conv_map(delta, flip(kernel), None, geometry)),
    wrong("transposed: ∂k with its channels swapped", TRANSPOSE, kernel=lambda right: jnp.swapaxes(right, -1, -2)),
    wrong("transposed: ∂k flipped", TRANSPOSE, kernel=flip),
    given("transposed: padding off by one", TRANSPOSE, geometry=lambda right: replace(right, padding=((0, 1), (0, 1)))),
    forgets("transposed: order 2 forgets δ", TRANSPOSE, "delta"),
    wrong("input dilation forgotten in ∂k", SPREAD, kernel=lambda right: right.at[::2].set(0)),
    given("reflect: the edges cut off", REFLECT, mode=lambda: "zeros"),
    given("circular: the edges cut off", CIRCULAR, mode=lambda: "zeros"),
    given("reflect: folded back as if replicated", REFLECT, mode=lambda: "replicate"),
    given("circular: folded back as if reflected", CIRCULAR, mode=lambda: "reflect"),
    given("fold back: edges without gradient", FOLD, mode=lambda: "zeros"),
]  # fmt: skip
