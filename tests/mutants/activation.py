"""Wrong activations."""

import jax.numpy as jnp
import numpy as np
from mutation import forgets, given, wrong

import jaxcnn as jc
from jaxcnn.gradcheck.cases.activation import stretched
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops.elementary import normal_cdf, normal_pdf
from jaxcnn.ops.rectifiers import SELU_SCALE


def case(op, **settings):
    return Case(op, {"x": (3, 4, 2)}, settings, draw={"x": stretched})


def ties(generator, size):
    return generator.integers(0, 3, size)


def at(*places):
    """Only these places, for what happens at a kink."""
    return lambda generator, size: np.resize(np.array(places, float), size)


RELU6, LEAKY, ELU, SELU = (
    case(jc.relu6),
    case(jc.leaky_relu),
    case(jc.elu, alpha=0.3),
    case(jc.selu),
)
HARD_SIGMOID, HARD_TANH, HARD_SWISH = case(jc.hard_sigmoid), case(jc.hard_tanh), case(jc.hard_swish)
CELU, SOFTSIGN, ERF = case(jc.celu, alpha=0.3), case(jc.softsign), case(jc.erf)
THRESHOLDED, HARD, SHRUNK = (
    case(jc.thresholded_relu),
    case(jc.hard_shrink, threshold=1.5),
    case(jc.soft_shrink, threshold=1.5, bias=0.25),
)
SOFTPLUS, SILU, MISH = case(jc.softplus), case(jc.silu), case(jc.mish)
GELU, EXACT = case(jc.gelu, approximate=True), case(jc.gelu, approximate=False)
MAXOUT = Case(jc.maxout, {"x": (3, 6)}, {"pieces": 3}, draw={"x": ties})
KINK = {"x": (2, 2)}
PRELU = Case(jc.prelu, {"x": (3, 4, 2), "slope": (2,)}, kinked=True)
AT_0 = Case(jc.prelu, {**KINK, "slope": (2, 2)}, draw={"x": at(0)})

MUTANTS = [
    wrong("relu6: open above", RELU6, x=lambda between, delta: jnp.where(between | (delta > 0), delta, 0)),
    wrong("relu6: passes at 0 and 6", Case(jc.relu6, KINK, draw={"x": at(0, 6)}), x=lambda delta: delta),
    wrong("relu6: divided by 6", RELU6, x=lambda right: right / 6),
    wrong("leaky relu: 0 on the left", LEAKY, x=lambda positive, delta: jnp.where(positive, delta, 0)),
    wrong("leaky relu: the slope on the right", LEAKY,
        x=lambda slope, positive, delta: jnp.where(positive, slope * delta, delta)),
    wrong("leaky relu: the slope at 0", Case(jc.leaky_relu, KINK, draw={"x": at(0)}),
        x=lambda slope, delta: slope * delta),
    wrong("prelu: 0 on the left", PRELU, x=lambda x, delta: jnp.where(x >= 0, delta, 0)),
    wrong("prelu: the slope at 0", AT_0, x=lambda slope, delta: slope * delta),
    wrong("prelu: ∂s over all x", PRELU, slope=lambda x, delta: (x * delta).sum((0, 1))),
    wrong("prelu: ∂s of one slope for all", PRELU, slope=lambda right: jnp.full_like(right, right.sum())),
    wrong("prelu: ∂s averaged", PRELU, slope=lambda right: right / 12),
    forgets("prelu: order 2 forgets x and s", PRELU, "residuals"),
    wrong("elu: y for α eˣ", ELU, x=lambda alpha, x, delta: jnp.where(x > 0, delta, delta * alpha * jnp.expm1(x))),
    given("elu: eˣ for α eˣ", ELU, alpha=lambda: 1.0),
    wrong("elu: 1 at 0", Case(jc.elu, KINK, {"alpha": 0.3}, draw={"x": at(0)}), x=lambda delta: delta),
    forgets("elu: order 2 takes x for a constant", ELU, "x"),
    wrong("celu: α e^(x/α)", CELU, x=lambda right, alpha, x: jnp.where(x > 0, right, alpha * right)),
    wrong("celu: eˣ for e^(x/α)", CELU, x=lambda x, delta: jnp.where(x > 0, delta, delta * jnp.exp(x))),
    forgets("celu: order 2 takes x for a constant", CELU, "x"),
    given("thresholded relu: another threshold", THRESHOLDED, alpha=lambda: 0.0),
    wrong("thresholded relu: less the threshold", THRESHOLDED,
        x=lambda right, alpha: jnp.where(right == 0, 0, right - alpha)),
    wrong("thresholded relu: passes at α", Case(jc.thresholded_relu, KINK, draw={"x": at(1)}), x=lambda delta: delta),
    wrong("hard shrink: only the right", HARD, x=lambda right, x: jnp.where(x > 0, right, 0)),
    given("hard shrink: another threshold", HARD, threshold=lambda: 0.5),
    wrong("hard shrink: turned on the left", HARD, x=lambda right, x: jnp.where(x > 0, right, -right)),
    given("soft shrink: the bias for the threshold", SHRUNK, threshold=lambda bias: bias),
    wrong("soft shrink: open", SHRUNK, x=lambda delta: delta),
    wrong("soft shrink: passes at λ", Case(jc.soft_shrink, KINK, draw={"x": at(-0.5, 0.5)}), x=lambda delta: delta),
    wrong("softsign: not squared", SOFTSIGN, x=lambda x, delta: delta / (1 + jnp.abs(x))),
    wrong("softsign: x for |x|", SOFTSIGN, x=lambda x, delta: delta / (1 + x) ** 2),
    forgets("softsign: order 2 takes x for a constant", SOFTSIGN, "x"),
    wrong("erf: Φ's slope", ERF, x=lambda x, delta: delta * normal_pdf(x)),
    wrong("erf: 2/√π forgotten", ERF, x=lambda x, delta: delta * jnp.exp(-x * x)),
    forgets("erf: order 2 takes x for a constant", ERF, "x"),
    wrong("selu: λ forgotten on the right", SELU, x=lambda right, x, delta: jnp.where(x > 0, delta, right)),
    wrong("selu: λ forgotten on the left", SELU, x=lambda right, x: jnp.where(x > 0, right, right / SELU_SCALE)),
    forgets("selu: order 2 takes x for a constant", SELU, "x"),
    wrong("hard sigmoid: 1 for 1/6", HARD_SIGMOID, x=lambda right: 6 * right),
    wrong("hard sigmoid: open on both sides", HARD_SIGMOID, x=lambda delta: delta / 6),
    wrong("hard tanh: closed at ±1", Case(jc.hard_tanh, KINK, draw={"x": at(-1, 1)}), x=lambda right: 0 * right),
    wrong("hard tanh: open on both sides", HARD_TANH, x=lambda delta: delta),
    wrong("hard swish: x/6 forgotten", HARD_SWISH, x=lambda x, delta: delta * jc.hard_sigmoid(x)),
    wrong("hard swish: x/6 everywhere", HARD_SWISH, x=lambda x, delta: delta * (jc.hard_sigmoid(x) + x / 6)),
    forgets("hard swish: order 2 takes x for a constant", HARD_SWISH, "x"),
    wrong("softplus: sigmoid(−x)", SOFTPLUS, x=lambda x, delta: delta * jc.sigmoid(-x)),
    wrong("squareplus: ½ forgotten", case(jc.squareplus), x=lambda right: 2 * right),
    given("squareplus: the b of the default", case(jc.squareplus, b=0.5), b=lambda: 4.0),
    forgets("softplus: order 2 takes x for a constant", SOFTPLUS, "x"),
    wrong("silu: only sigmoid", SILU, x=lambda x, delta: delta * jc.sigmoid(x)),
    wrong("silu: y(1 − y)", SILU, x=lambda x, delta: delta * (jc.sigmoid(x) + jc.silu(x) * (1 - jc.silu(x)))),
    forgets("silu: order 2 forgets δ", SILU, "delta"),
    wrong("mish: only t", MISH, x=lambda x, delta: delta * jc.tanh(jc.softplus(x))),
    wrong("mish: sigmoid forgotten", MISH,
        x=lambda x, delta: delta * (jc.tanh(jc.softplus(x)) + x * (1 - jc.tanh(jc.softplus(x)) ** 2))),
    forgets("mish: order 2 takes x for a constant", MISH, "x"),
    given("gelu: exact for approximate", GELU, approximate=lambda: False),
    given("gelu: approximate for exact", EXACT, approximate=lambda: True),
    wrong("gelu: only Φ", EXACT, x=lambda x, delta: delta * normal_cdf(x)),
    wrong("gelu: φ without x", EXACT, x=lambda x, delta: delta * (normal_cdf(x) + normal_pdf(x))),
    forgets("gelu: order 2 takes x for a constant", GELU, "x"),
    wrong("maxout: every maximal piece", MAXOUT, x=lambda pieces, delta: jnp.repeat(delta, pieces, -1)),
    given("maxout: the first piece", MAXOUT, chosen=lambda right: jnp.zeros_like(right).at[..., 0].set(True)),
    forgets("maxout: order 2 forgets δ", MAXOUT, "delta"),
]  # fmt: skip
