"""Wrong normalisations, each caught."""

# pyright: reportOptionalCall=false

from dataclasses import replace

import pytest
from mutation import Mutant, assert_caught, changed, findings_of, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.gradcheck.cases.norm import affine, statistics
from jaxcnn.ops import batch_norm, local_response, norm, rms_norm
from jaxcnn.ops.elementary import power
from jaxcnn.rules import custom_rule

BATCH = Case(jc.batch_norm, affine((3, 2, 3, 4), (4,)), {"epsilon": 0.1}, output=0)
LAYER = Case(jc.layer_norm, affine((3, 4, 5), (5,)))
WHOLE = Case(jc.layer_norm, affine((2, 3, 2, 4), (3, 2, 4)), {"axes": (-3, -2, -1)})
GROUP = Case(jc.group_norm, affine((2, 3, 2, 6), (6,)), {"groups": 2})
INSTANCE = Case(jc.instance_norm, affine((2, 3, 4, 3), (3,)))
RMS = Case(jc.rms_norm, {"x": (3, 5), "scale": (5,)})
INFERENCE = Case(jc.batch_norm_inference, affine((4, 3, 2), (2,)), fixed=statistics(2))
LRN = Case(jc.local_response_norm, {"x": (2, 3, 7)}, {"alpha": 0.5})
EVEN = Case(jc.local_response_norm, {"x": (2, 3, 7)}, {"alpha": 0.5, "size": 4})
core, rms, lrn = norm.normalise_map, rms_norm.rms_norm_map, local_response.local_response_norm_map
inference = batch_norm.batch_norm_inference_map


def delta_x(formula):
    """The right backward pass but for ∂x = formula(sharing, r, x̂, δ, γ), before any reshaping."""

    def backward(sharing, residuals, deltas):
        x, mean, variance, inverse, scale, _ = residuals
        r = power(sharing.with_epsilon(variance, inverse), -0.5)
        normalised = (sharing.split(x) * inverse - mean) * r
        delta = sharing.split(deltas[0])
        wrong = formula(sharing, r, normalised, delta, sharing.along(scale, delta))
        return wrong.reshape(x.shape), *core.bwd(sharing, residuals, deltas)[1:]

    return backward


def delta_scale(formula):
    """The right backward pass but for ∂γ = Σ formula(x, x̂, x − μ, δ)."""

    def backward(sharing, residuals, deltas):
        x, mean, variance, inverse, scale, _ = residuals
        r = power(sharing.with_epsilon(variance, inverse), -0.5)
        x = sharing.split(x) * inverse
        terms = formula(x, (x - mean) * r, x - mean, sharing.split(deltas[0]))
        right_x, _, right_bias = core.bwd(sharing, residuals, deltas)
        return right_x, sharing.parameter_grad(terms, scale), right_bias

    return backward


def with_sharing(**changes):
    """The right backward pass with other axes."""
    return lambda sharing, *rest: core.bwd(replace(sharing, **changes), *rest)


def rms_delta_x(formula):
    def backward(sharing, residuals, deltas):
        x, mean_square, inverse, scale = residuals
        r = power(sharing.with_epsilon(mean_square, inverse), -0.5)
        x = x * inverse
        g = deltas[0] * sharing.along(scale, x)
        return formula(sharing, r, x * r, g), rms.bwd(sharing, residuals, deltas)[1]

    return backward


def lrn_delta_x(formula):
    """∂x = formula(x, δ, s, window, settings) with window(v, below, above)."""

    def backward(size, k, alpha, beta, x, delta):
        below, above = size // 2, (size - 1) // 2
        window = local_response.channel_sum_map
        s = k + alpha * window(x * x, below, above)

        def mirrored(values):
            return window(values, above, below)

        return (formula(x, delta, s, mirrored, alpha, beta),)

    return backward


def not_mirrored(size, k, alpha, beta, x, delta):
    below, above = size // 2, (size - 1) // 2
    window = local_response.channel_sum_map
    s = k + alpha * window(x * x, below, above)
    shared = window(delta * x * s ** (-beta - 1), below, above)
    return (delta * s**-beta - 2 * alpha * beta * x * shared,)


MUTANTS = [
    Mutant("batch norm: mean(g) forgotten", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - n * s.mean(c * d * n)))),
    Mutant("batch norm: x̂ mean(g x̂) forgotten", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - s.mean(c * d)))),
    Mutant("batch norm: statistics taken for constants", BATCH, delta_x(lambda s, r, n, d, c: r * c * d)),
    Mutant("batch norm: r forgotten", BATCH, delta_x(lambda s, r, n, d, c: c * d - s.mean(c * d) - n * s.mean(c * d * n))),
    Mutant("batch norm: r squared", BATCH, delta_x(lambda s, r, n, d, c: r * r * (c * d - s.mean(c * d) - n * s.mean(c * d * n)))),
    Mutant("batch norm: γ forgotten", BATCH, delta_x(lambda s, r, n, d, c: r * (d - s.mean(d) - n * s.mean(d * n)))),
    Mutant("batch norm: γ squared", BATCH, delta_x(lambda s, r, n, d, c: c * c * r * (d - s.mean(d) - n * s.mean(d * n)))),
    Mutant("batch norm: + for − before the x̂ term", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - s.mean(c * d) + n * s.mean(c * d * n)))),
    Mutant("batch norm: x̂ inside the mean only", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - s.mean(c * d) - s.mean(c * d * n)))),
    Mutant("batch norm: as if the variance were divided by n − 1", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - s.mean(c * d) - n * s.mean(c * d * n) * 18 / 17))),
    Mutant("batch norm: sums for means", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - 18 * s.mean(c * d) - 18 * n * s.mean(c * d * n)))),
    Mutant("batch norm: means of the backward pass over space only", BATCH, delta_x(lambda s, r, n, d, c: r * (c * d - replace(s, axes=(1, 2)).mean(c * d) - n * replace(s, axes=(1, 2)).mean(c * d * n)))),
    Mutant("batch norm: another epsilon", BATCH, with_sharing(epsilon=0.2)),
    Mutant("batch norm: ∂γ without x̂", BATCH, delta_scale(lambda x, n, m, d: d)),
    Mutant("batch norm: ∂γ with x", BATCH, delta_scale(lambda x, n, m, d: d * x)),
    Mutant("batch norm: ∂γ without r", BATCH, delta_scale(lambda x, n, m, d: d * m)),
    Mutant("batch norm: ∂γ and ∂β averaged", BATCH, changed(core, lambda x, c, b: (x, c / 18, b / 18))),
    Mutant("batch norm: ∂γ and ∂β exchanged", BATCH, changed(core, lambda x, c, b: (x, b, c))),
    Mutant("batch norm: order 2 takes the residuals for constants", BATCH, frozen(core, "residuals"), 2),
    Mutant("batch norm: order 2 takes δ for a constant", BATCH, frozen(core, "delta"), 2),
    Mutant("layer norm: γ taken out of the means", LAYER, delta_x(lambda s, r, n, d, c: c * r * (d - s.mean(d) - n * s.mean(d * n)))),
    Mutant("layer norm: the means of the next axis", LAYER, delta_x(lambda s, r, n, d, c: r * (c * d - d.mean(1, keepdims=True) - n * s.mean(c * d * n)))),
    Mutant("layer norm: as if the statistics were of the last axis only", WHOLE, delta_x(lambda s, r, n, d, c: r * (c * d - replace(s, axes=(3,)).mean(c * d) - n * replace(s, axes=(3,)).mean(c * d * n)))),
    Mutant("group norm: γ taken out of the means", GROUP, delta_x(lambda s, r, n, d, c: c * r * (d - s.mean(d) - n * s.mean(d * n)))),
    Mutant("group norm: as if each channel were a group", GROUP, delta_x(lambda s, r, n, d, c: r * (c * d - replace(s, axes=(1, 2)).mean(c * d) - n * replace(s, axes=(1, 2)).mean(c * d * n)))),
    Mutant("instance norm: as if over the batch too", INSTANCE, delta_x(lambda s, r, n, d, c: r * (c * d - replace(s, axes=(0, 1, 2)).mean(c * d) - n * s.mean(c * d * n)))),
    Mutant("instance norm: ∂β of the first example", INSTANCE, lambda s, r, d: (*core.bwd(s, r, d)[:2], d[0][0].sum((0, 1)))),
    Mutant("rms norm: the mean removed", RMS, rms_delta_x(lambda s, r, n, g: r * (g - s.mean(g) - n * s.mean(g * n)))),
    Mutant("rms norm: the x̂ term forgotten", RMS, rms_delta_x(lambda s, r, n, g: r * g)),
    Mutant("rms norm: twice the x̂ term", RMS, rms_delta_x(lambda s, r, n, g: r * (g - 2 * n * s.mean(g * n)))),
    Mutant("rms norm: ∂γ without x̂", RMS, lambda s, r, d: (rms.bwd(s, r, d)[0], d[0].sum(0))),
    Mutant("inference: as in training", INFERENCE, changed(inference, lambda x, c, b, m, v: (x - x.mean((0, 1), keepdims=True), c, b, m, v))),
    Mutant("inference: r forgotten", INFERENCE, lambda e, r, d: inference.bwd(e, (*r[:4], r[4] / r[4]), d)),
    Mutant("inference: μ forgotten in ∂γ", INFERENCE, lambda e, r, d: inference.bwd(e, (*r[:3], 0 * r[3], r[4]), d)),
    Mutant("inference: γ forgotten", INFERENCE, lambda e, r, d: inference.bwd(e, (r[0], r[1] / r[1], *r[2:]), d)),
    Mutant("local response: window not mirrored", EVEN, not_mirrored),
    Mutant("local response: factor 2 missing", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - a * b * x * window(d * x * s ** (-b - 1)))),
    Mutant("local response: α missing", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * b * x * window(d * x * s ** (-b - 1)))),
    Mutant("local response: β missing", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * a * x * window(d * x * s ** (-b - 1)))),
    Mutant("local response: the neighbours forgotten", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b)),
    Mutant("local response: only the channel itself", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * a * b * x * d * x * s ** (-b - 1))),
    Mutant("local response: x_i for x_j", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * a * b * x * x * window(d * s ** (-b - 1)))),
    Mutant("local response: s_i for s_j", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * a * b * x * s ** (-b - 1) * window(d * x))),
    Mutant("local response: −β for −β − 1", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b - 2 * a * b * x * window(d * x * s**-b))),
    Mutant("local response: + for −", LRN, lrn_delta_x(lambda x, d, s, window, a, b: d * s**-b + 2 * a * b * x * window(d * x * s ** (-b - 1)))),
    Mutant("local response: order 2 takes x for a constant", LRN, frozen(lrn, "residuals"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)


# At order 2 a rule's own results are differentiated as well: μ, σ² or mean(x²), which the backward
# pass takes from there. Here the forward pass calls the wrong rule too, or it would not be seen.
STATISTICS = [
    ("μ forgotten", BATCH, 1, 0.0),
    ("σ² forgotten", BATCH, 2, 0.0),
    ("σ² without its 2", BATCH, 2, 0.5),
    ("σ² forgotten in layer norm", LAYER, 2, 0.0),
    ("σ² of a group forgotten", GROUP, 2, 0.0),
    ("mean(x²) forgotten", RMS, 1, 0.0),
    ("mean(x²) without its 2", RMS, 1, 0.5),
]


@pytest.mark.parametrize(
    ("name", "case", "which", "factor"), STATISTICS, ids=[row[0] for row in STATISTICS]
)
def test_a_wrong_derivative_of_the_statistics_is_caught_at_order_2(name, case, which, factor):
    right = case.rule

    def backward(sharing, residuals, deltas):
        deltas = [factor * d if i == which else d for i, d in enumerate(deltas)]
        return right.bwd(sharing, residuals, deltas)

    def forward(*args):
        results = wrong(*args)
        return results, (args[0], *results[1:], *args[1:-1])

    wrong = custom_rule(right.fun, nondiff_argnums=right.nondiff_argnums)
    wrong.defvjp(forward, backward)
    *before, last = findings_of(case, wrong, 2)
    assert all(finding.passed for finding in before)
    assert not last.passed
    wrong.defvjp(forward, right.bwd)
    assert all(finding.passed for finding in findings_of(case, wrong, 2))


@pytest.mark.parametrize(
    ("name", "case", "which", "factor"), STATISTICS, ids=[row[0] for row in STATISTICS]
)
def test_a_wrong_tangent_of_the_statistics_is_caught_at_order_2(name, case, which, factor):
    right = case.rule

    def tangent(*args):
        return [factor * d if i == which else d for i, d in enumerate(right.tangent(*args))]

    def forward(*args):
        results = wrong(*args)
        return results, (args[0], *results[1:], *args[1:-1])

    wrong = custom_rule(right.fun, nondiff_argnums=right.nondiff_argnums)
    wrong.defvjp(forward, right.bwd)
    wrong.defjvp(tangent)
    failed = {f.check[:13] for f in findings_of(case, wrong, 2, modes="both") if not f.passed}
    assert failed
    assert failed <= {f"derivative {word}" for word in ("ff", "fr", "rf")}
