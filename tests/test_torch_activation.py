"""PyTorch's activations as an oracle of their own, away from the kinks where conventions differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(2)


torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from test_against_torch import compare, normal  # noqa: E402

F = torch.nn.functional

PAIRS = {
    "relu6": (jc.relu6, F.relu6),
    "leaky relu": (lambda x: jc.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "elu": (lambda x: jc.elu(x, 0.7), lambda x: F.elu(x, 0.7)),
    "selu": (jc.selu, F.selu),
    "gelu": (jc.gelu, F.gelu),
    "gelu by tanh": (lambda x: jc.gelu(x, True), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (jc.silu, F.silu),
    "mish": (jc.mish, F.mish),
    "softplus": (jc.softplus, F.softplus),
    "softsign": (jc.softsign, F.softsign),
    "erf": (jc.erf, torch.erf),
    # PyTorch 2.13 rounds 1/α to float32 in its backward pass.
    "celu": (lambda x: jc.celu(x, 0.25), lambda x: F.celu(x, 0.25)),
    "thresholded relu": (lambda x: jc.thresholded_relu(x, 0.6), lambda x: F.threshold(x, 0.6, 0)),
    "hard shrink": (lambda x: jc.hard_shrink(x, 0.6), lambda x: F.hardshrink(x, 0.6)),
    "soft shrink": (lambda x: jc.soft_shrink(x, 0.6), lambda x: F.softshrink(x, 0.6)),
    "hard tanh": (jc.hard_tanh, F.hardtanh),
    "hard swish": (jc.hard_swish, F.hardswish),
}


@pytest.mark.parametrize("name", PAIRS)
def test_activations(name):
    ours, theirs = PAIRS[name]
    # PyTorch's softplus is straight from 20 on: normal numbers stay below.
    compare(ours, theirs, [4 * normal(0, (5, 8))], ["plain"])


def test_hard_sigmoid_whose_sixth_is_rounded_to_float32_in_pytorchs_backward_pass():
    x = 4 * normal(0, (5, 8))
    delta = normal(1, x.shape)
    t = torch.tensor(np.asarray(x), requires_grad=True)
    z = F.hardsigmoid(t)
    z.backward(torch.tensor(np.asarray(delta)))
    y, pull = jax.vjp(jc.hard_sigmoid, x)
    assert np.allclose(y, z.detach(), rtol=0, atol=1e-12)
    rounded = float(np.float32(1 / 6)) * 6
    assert np.allclose(pull(delta)[0] * rounded, t.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("slopes", [(5,), ()])
def test_prelu(slopes):
    theirs = lambda x, slope: F.prelu(x, slope.reshape(-1))  # noqa: E731
    compare(jc.prelu, theirs, [normal(0, (2, 3, 4, 5)), normal(1, slopes)], ["channels", "plain"])


KINKS = {
    "relu6": (jc.relu6, F.relu6, [0.0, 6.0]),
    "elu": (jc.elu, F.elu, [0.0]),
    "selu": (jc.selu, F.selu, [0.0]),
    "celu": (jc.celu, F.celu, [0.0]),
    "softsign": (jc.softsign, F.softsign, [0.0]),
    "thresholded relu": (jc.thresholded_relu, lambda x: F.threshold(x, 1, 0), [1.0]),
    "hard shrink": (jc.hard_shrink, F.hardshrink, [-0.5, 0.5]),
    "soft shrink": (jc.soft_shrink, F.softshrink, [-0.5, 0.5]),
    "hard sigmoid": (jc.hard_sigmoid, F.hardsigmoid, [-3.0, 3.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks_where_the_conventions_agree(name):
    ours, theirs, places = KINKS[name]
    compare(ours, theirs, [jnp.array(places)], ["plain"])


def test_maxout():
    def theirs(x):
        split = x.reshape(3, 4, 2)
        return split.gather(-1, split.argmax(-1, keepdim=True))[..., 0]

    compare(lambda x: jc.maxout(x, 2), theirs, [normal(0, (3, 8))], ["plain"])


def test_the_documented_differences_are_there():
    """PyTorch's conventions at the kinks where ours are those of jax.nn."""
    differences = {
        "leaky relu": (0.0, 1.0, 0.2),
        "hard tanh": (1.0, 1.0, 0.0),
    }
    for name, (place, ours, theirs) in differences.items():
        f, g = PAIRS[name]
        x = torch.tensor(place, dtype=torch.float64, requires_grad=True)
        g(x).backward()
        assert np.isclose(float(x.grad), theirs)
        delta = float(jc.gradcheck.jacobian(f, [jnp.array([place])])[0][0, 0])
        assert np.isclose(delta, ours)
