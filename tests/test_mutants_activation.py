"""Wrong activations, each caught."""

# pyright: reportArgumentType=false

# pyright: reportOptionalCall=false

import jax.numpy as jnp
import numpy as np
import pytest
from mutation import Mutant, assert_caught, changed, frozen

import jaxcnn as jc
from jaxcnn.gradcheck.cases.activation import stretched
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import maxout, rectifiers, smooth
from jaxcnn.ops.activation import sigmoid_map, tanh_map
from jaxcnn.ops.elementary import normal_cdf, normal_pdf


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
SOFTPLUS, SILU, MISH = case(jc.softplus), case(jc.silu), case(jc.mish)
GELU, EXACT = case(jc.gelu, approximate=True), case(jc.gelu, approximate=False)
MAXOUT = Case(jc.maxout, {"x": (3, 6)}, {"pieces": 3}, draw={"x": ties})
KINK = {"x": (2, 2)}

MUTANTS = [
    Mutant("relu6: open above", RELU6, lambda between, d: (jnp.where(between | (d > 0), d, 0),)),
    Mutant("relu6: passes at 0 and 6", Case(jc.relu6, KINK, draw={"x": at(0, 6)}), lambda between, d: (d,)),
    Mutant("relu6: divided by 6", RELU6, changed(rectifiers.relu6_map, lambda x: (x / 6,))),
    Mutant("leaky relu: 0 on the left", LEAKY, lambda s, positive, d: (jnp.where(positive, d, 0),)),
    Mutant("leaky relu: the slope on the right", LEAKY, lambda s, positive, d: (jnp.where(positive, s * d, d),)),
    Mutant("leaky relu: the slope at 0", Case(jc.leaky_relu, KINK, draw={"x": at(0)}), lambda s, positive, d: (s * d,)),
    Mutant("elu: y for α eˣ", ELU, lambda a, x, d: (jnp.where(x > 0, d, d * a * jnp.expm1(x)),)),
    Mutant("elu: eˣ for α eˣ", ELU, lambda a, x, d: (jnp.where(x > 0, d, d * jnp.exp(x)),)),
    Mutant("elu: 1 at 0", Case(jc.elu, KINK, {"alpha": 0.3}, draw={"x": at(0)}), lambda a, x, d: (d,)),
    Mutant("elu: order 2 takes x for a constant", ELU, frozen(rectifiers.elu_map, "residuals"), 2),
    Mutant("selu: λ forgotten on the right", SELU, lambda x, d: (jnp.where(x > 0, d, rectifiers.selu_map.bwd(x, d)[0]),)),
    Mutant("selu: λ forgotten on the left", SELU, lambda x, d: (jnp.where(x > 0, d * rectifiers.SELU_SCALE, d * rectifiers.SELU_ALPHA * jnp.exp(x)),)),
    Mutant("selu: order 2 takes x for a constant", SELU, frozen(rectifiers.selu_map, "residuals"), 2),
    Mutant("hard sigmoid: 1 for 1/6", HARD_SIGMOID, changed(rectifiers.hard_sigmoid_map, lambda x: (6 * x,))),
    Mutant("hard sigmoid: open on both sides", HARD_SIGMOID, lambda between, d: (d / 6,)),
    Mutant("hard tanh: closed at ±1", Case(jc.hard_tanh, KINK, draw={"x": at(-1, 1)}), lambda between, d: (0 * d,)),
    Mutant("hard tanh: open on both sides", HARD_TANH, lambda between, d: (d,)),
    Mutant("hard swish: x/6 forgotten", HARD_SWISH, lambda x, d: (d * rectifiers.hard_sigmoid_map(x),)),
    Mutant("hard swish: x/6 everywhere", HARD_SWISH, lambda x, d: (d * (rectifiers.hard_sigmoid_map(x) + x / 6),)),
    Mutant("hard swish: order 2 takes x for a constant", HARD_SWISH, frozen(rectifiers.hard_swish_map, "residuals"), 2),
    Mutant("softplus: sigmoid(−x)", SOFTPLUS, lambda x, d: (d * sigmoid_map(-x),)),
    Mutant("softplus: order 2 takes x for a constant", SOFTPLUS, frozen(smooth.softplus_map, "residuals"), 2),
    Mutant("silu: only sigmoid", SILU, lambda x, d: (d * sigmoid_map(x),)),
    Mutant("silu: y(1 − y)", SILU, lambda x, d: (d * (sigmoid_map(x) + smooth.silu_map(x) * (1 - smooth.silu_map(x))),)),
    Mutant("silu: order 2 forgets δ", SILU, frozen(smooth.silu_map, "delta"), 2),
    Mutant("mish: only t", MISH, lambda x, d: (d * tanh_map(smooth.softplus_map(x)),)),
    Mutant("mish: sigmoid forgotten", MISH, lambda x, d: (d * (tanh_map(smooth.softplus_map(x)) + x * (1 - tanh_map(smooth.softplus_map(x)) ** 2)),)),
    Mutant("mish: order 2 takes x for a constant", MISH, frozen(smooth.mish_map, "residuals"), 2),
    Mutant("gelu: exact for approximate", GELU, lambda a, x, d: smooth.gelu_map.bwd(False, x, d)),
    Mutant("gelu: approximate for exact", EXACT, lambda a, x, d: smooth.gelu_map.bwd(True, x, d)),
    Mutant("gelu: only Φ", EXACT, lambda a, x, d: (d * normal_cdf(x),)),
    Mutant("gelu: φ without x", EXACT, lambda a, x, d: (d * (normal_cdf(x) + normal_pdf(x)),)),
    Mutant("gelu: order 2 takes x for a constant", GELU, frozen(smooth.gelu_map, "residuals"), 2),
    Mutant("maxout: every maximal piece", MAXOUT, lambda k, c, d: (jnp.repeat(d, k, -1),)),
    Mutant("maxout: the first piece", MAXOUT, lambda k, c, d: maxout.maxout_map.bwd(k, 0 * c, d)),
    Mutant("maxout: order 2 forgets δ", MAXOUT, frozen(maxout.maxout_map, "delta"), 2),
]  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_rule_is_caught(mutant: Mutant):
    assert_caught(mutant)
