"""Wrong normalisations."""

from dataclasses import replace

import jax.numpy as jnp
from mutation import called, forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.gradcheck.cases.norm import affine, statistics
from jaxcnn.ops.elementary import power
from jaxcnn.ops.local_response import channel_products_map

BATCH = Case(jc.batch_norm, affine((3, 2, 3, 4), (4,)), {"epsilon": 0.1}, output=0)
LAYER = Case(jc.layer_norm, affine((3, 4, 5), (5,)))
WHOLE = Case(jc.layer_norm, affine((2, 3, 2, 4), (3, 2, 4)), {"axes": (-3, -2, -1)})
GROUP = Case(jc.group_norm, affine((2, 3, 2, 6), (6,)), {"groups": 2})
INSTANCE = Case(jc.instance_norm, affine((2, 3, 4, 3), (3,)))
RMS = Case(jc.rms_norm, {"x": (3, 5), "scale": (5,)})
INFERENCE = Case(jc.batch_norm_inference, affine((4, 3, 2), (2,)), fixed=statistics(2))
LRN = Case(jc.local_response_norm, {"x": (2, 3, 7)}, {"alpha": 0.5})
EVEN = Case(jc.local_response_norm, {"x": (2, 3, 7)}, {"alpha": 0.5, "size": 4})


def of_x(formula):
    """∂x = formula(…) of r, n = x̂, d = δ, c = γ, g = γ•δ, and means over what shares statistics."""

    def delta_x(sharing, x, mean, variance, inverse, scale, delta):
        r = power(sharing.with_epsilon(variance, inverse), -0.5)
        n, d = (sharing.split(x) * inverse - mean) * r, sharing.split(delta[0])
        c = sharing.along(scale, d)

        def mean_over(axes):
            return replace(sharing, axes=axes).mean

        names = {"r": r, "n": n, "d": d, "c": c, "g": c * d, "mean": sharing.mean}
        return called(formula, {**names, "mean_over": mean_over}).reshape(x.shape)

    return delta_x


def of_scale(formula):
    """∂γ = Σ formula(…) of x, n = x̂, m = x − μ, d = δ."""

    def delta_scale(sharing, x, mean, variance, inverse, scale, delta):
        r = power(sharing.with_epsilon(variance, inverse), -0.5)
        x = sharing.split(x) * inverse
        names = {"x": x, "n": (x - mean) * r, "m": x - mean, "d": sharing.split(delta[0])}
        return sharing.parameter_grad(called(formula, names), scale)

    return delta_scale


def of_rms(formula):
    """∂x = formula(…) of r, n = x̂, g = γ•δ, and means over what shares a mean square."""

    def delta_x(sharing, x, mean_square, inverse, scale, delta):
        r = power(sharing.with_epsilon(mean_square, inverse), -0.5)
        x = x * inverse
        names = {"r": r, "n": x * r, "g": delta[0] * sharing.along(scale, x)}
        return called(formula, {**names, "mean": sharing.mean})

    return delta_x


def of_lrn(formula):
    """∂x = formula(…) of x, d = δ, the bracket s, α, β and sums over a window or its mirror."""

    def delta_x(size, k, alpha, beta, x, delta):
        below, above = size // 2, (size - 1) // 2

        def window(values):
            return channel_products_map(jnp.ones_like(x), jnp.ones_like(x), values, below, above)

        def mirrored(values):
            return channel_products_map(jnp.ones_like(x), jnp.ones_like(x), values, above, below)

        names = {"x": x, "d": delta, "s": k + alpha * window(x * x), "a": alpha, "b": beta}
        return called(formula, {**names, "window": window, "mirrored": mirrored})

    return delta_x


def ones(right):
    return jnp.ones_like(right)


def none(right):
    return 0 * right


MUTANTS = [
    wrong("batch norm: mean(g) forgotten", BATCH, x=of_x(lambda r, g, n, mean: r * (g - n * mean(g * n)))),
    wrong("batch norm: x̂ mean(g x̂) forgotten", BATCH, x=of_x(lambda r, g, mean: r * (g - mean(g)))),
    wrong("batch norm: statistics taken for constants", BATCH, x=of_x(lambda r, g: r * g)),
    wrong("batch norm: r forgotten", BATCH, x=of_x(lambda g, n, mean: g - mean(g) - n * mean(g * n))),
    wrong("batch norm: r squared", BATCH, x=of_x(lambda r, g, n, mean: r * r * (g - mean(g) - n * mean(g * n)))),
    wrong("batch norm: γ forgotten", BATCH, x=of_x(lambda r, d, n, mean: r * (d - mean(d) - n * mean(d * n)))),
    wrong("batch norm: γ squared", BATCH, x=of_x(lambda r, d, n, c, mean: c * c * r * (d - mean(d) - n * mean(d * n)))),
    wrong("batch norm: + for − before the x̂ term", BATCH,
        x=of_x(lambda r, g, n, mean: r * (g - mean(g) + n * mean(g * n)))),
    wrong("batch norm: x̂ inside the mean only", BATCH, x=of_x(lambda r, g, n, mean: r * (g - mean(g) - mean(g * n)))),
    wrong("batch norm: as if the variance were divided by n − 1", BATCH,
        x=of_x(lambda r, g, n, mean: r * (g - mean(g) - n * mean(g * n) * 18 / 17))),
    wrong("batch norm: sums for means", BATCH,
        x=of_x(lambda r, g, n, mean: r * (g - 18 * mean(g) - 18 * n * mean(g * n)))),
    wrong("batch norm: means of the backward pass over space only", BATCH,
        x=of_x(lambda r, g, n, mean_over: r * (g - mean_over((1, 2))(g) - n * mean_over((1, 2))(g * n)))),
    given("batch norm: another epsilon", BATCH, sharing=lambda right: replace(right, epsilon=0.2)),
    wrong("batch norm: ∂γ without x̂", BATCH, scale=of_scale(lambda d: d)),
    wrong("batch norm: ∂γ with x", BATCH, scale=of_scale(lambda d, x: d * x)),
    wrong("batch norm: ∂γ without r", BATCH, scale=of_scale(lambda d, m: d * m)),
    wrong("batch norm: ∂γ and ∂β averaged", BATCH, scale=lambda right: right / 18, bias=lambda right: right / 18),
    wrong("batch norm: ∂γ and ∂β exchanged", BATCH, scale=lambda d_bias: d_bias, bias=lambda d_scale: d_scale),
    forgets("batch norm: order 2 takes the residuals for constants", BATCH, "residuals"),
    forgets("batch norm: order 2 takes δ for a constant", BATCH, "delta"),
    wrong("layer norm: γ taken out of the means", LAYER,
        x=of_x(lambda r, d, n, c, mean: c * r * (d - mean(d) - n * mean(d * n)))),
    wrong("layer norm: the means of the next axis", LAYER,
        x=of_x(lambda r, d, g, n, mean: r * (g - d.mean(1, keepdims=True) - n * mean(g * n)))),
    wrong("layer norm: as if the statistics were of the last axis only", WHOLE,
        x=of_x(lambda r, g, n, mean_over: r * (g - mean_over((3,))(g) - n * mean_over((3,))(g * n)))),
    wrong("group norm: γ taken out of the means", GROUP,
        x=of_x(lambda r, d, n, c, mean: c * r * (d - mean(d) - n * mean(d * n)))),
    wrong("group norm: as if each channel were a group", GROUP,
        x=of_x(lambda r, g, n, mean_over: r * (g - mean_over((1, 2))(g) - n * mean_over((1, 2))(g * n)))),
    wrong("instance norm: as if over the batch too", INSTANCE,
        x=of_x(lambda r, g, n, mean, mean_over: r * (g - mean_over((0, 1, 2))(g) - n * mean(g * n)))),
    wrong("instance norm: ∂β of the first example", INSTANCE, bias=lambda delta: delta[0][0].sum((0, 1))),
    wrong("rms norm: the mean removed", RMS, x=of_rms(lambda r, g, n, mean: r * (g - mean(g) - n * mean(g * n)))),
    wrong("rms norm: the x̂ term forgotten", RMS, x=of_rms(lambda r, g: r * g)),
    wrong("rms norm: twice the x̂ term", RMS, x=of_rms(lambda r, g, n, mean: r * (g - 2 * n * mean(g * n)))),
    wrong("rms norm: ∂γ without x̂", RMS, scale=lambda delta: delta[0].sum(0)),
    wrong("inference: as in training", INFERENCE, x=lambda right: right - right.mean((0, 1), keepdims=True)),
    given("inference: r forgotten", INFERENCE, r=ones),
    given("inference: μ forgotten in ∂γ", INFERENCE, mean=none),
    given("inference: γ forgotten", INFERENCE, scale=ones),
    wrong("local response: window not mirrored", EVEN,
        x=of_lrn(lambda x, d, s, window, a, b: d * s**-b - 2 * a * b * x * window(d * x * s ** (-b - 1)))),
    wrong("local response: factor 2 missing", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b - a * b * x * mirrored(d * x * s ** (-b - 1)))),
    wrong("local response: α missing", LRN,
        x=of_lrn(lambda x, d, s, mirrored, b: d * s**-b - 2 * b * x * mirrored(d * x * s ** (-b - 1)))),
    wrong("local response: β missing", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b - 2 * a * x * mirrored(d * x * s ** (-b - 1)))),
    wrong("local response: the neighbours forgotten", LRN, x=of_lrn(lambda d, s, b: d * s**-b)),
    wrong("local response: only the channel itself", LRN,
        x=of_lrn(lambda x, d, s, a, b: d * s**-b - 2 * a * b * x * d * x * s ** (-b - 1))),
    wrong("local response: x_i for x_j", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b - 2 * a * b * x * x * mirrored(d * s ** (-b - 1)))),
    wrong("local response: s_i for s_j", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b - 2 * a * b * x * s ** (-b - 1) * mirrored(d * x))),
    wrong("local response: −β for −β − 1", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b - 2 * a * b * x * mirrored(d * x * s**-b))),
    wrong("local response: + for −", LRN,
        x=of_lrn(lambda x, d, s, mirrored, a, b: d * s**-b + 2 * a * b * x * mirrored(d * x * s ** (-b - 1)))),
    forgets("local response: order 2 takes x for a constant", LRN, "x"),
]  # fmt: skip

# Wrong derivatives of what the rules return beside y: the share of one of these, by this factor.
STATISTICS = {
    "μ forgotten": (BATCH, "mean", 0.0),
    "σ² forgotten": (BATCH, "variance", 0.0),
    "σ² without its 2": (BATCH, "variance", 0.5),
    "σ² forgotten in layer norm": (LAYER, "variance", 0.0),
    "σ² of a group forgotten": (GROUP, "variance", 0.0),
    "mean(x²) forgotten": (RMS, "mean_square", 0.0),
    "mean(x²) without its 2": (RMS, "mean_square", 0.5),
}
