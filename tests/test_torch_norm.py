"""PyTorch's normalisations as an oracle, in float64; skipped by name without torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_against_torch import compare, from_torch, normal, to_torch

import jaxcnn as jc
from jaxcnn import layers

pytestmark = pytest.mark.sampled(2)


torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
functional = torch.nn.functional


@pytest.mark.parametrize("size", [(3, 4, 5, 6), (5, 6), (2, 7, 6), (2, 3, 2, 2, 6)])
def test_batch_norm(size):
    compare(
        lambda x, s, b: jc.batch_norm(x, s, b, epsilon=1e-3)[0],
        lambda x, s, b: functional.batch_norm(x, None, None, s, b, training=True, eps=1e-3),
        [normal(0, size), normal(1, (6,)), normal(2, (6,))],
        ["channels", "plain", "plain"],
    )


def test_batch_norm_in_evaluation():
    mean, variance = normal(3, (6,)), jnp.exp(normal(4, (6,)))
    compare(
        lambda x, s, b: jc.batch_norm_inference(x, s, b, mean, variance),
        lambda x, s, b: functional.batch_norm(
            x, torch.tensor(np.array(mean)), torch.tensor(np.array(variance)), s, b
        ),
        [normal(0, (3, 4, 5, 6)), normal(1, (6,)), normal(2, (6,))],
        ["channels", "plain", "plain"],
    )


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layer_norm(axes):
    size = (2, 3, 4, 5)

    def theirs(x, s, b):
        y = functional.layer_norm(x.movedim(1, -1), size[-axes:], s, b)
        return y.movedim(-1, 1)

    compare(
        lambda x, s, b: jc.layer_norm(x, s, b, axes=range(-axes, 0)),
        theirs,
        [normal(0, size), normal(1, size[-axes:]), normal(2, size[-axes:])],
        ["channels", "plain", "plain"],
    )


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("size", [(3, 4, 5, 6), (5, 7, 6), (2, 2, 2, 3, 6)])
def test_group_norm(size, groups):
    compare(
        lambda x, s, b: jc.group_norm(x, s, b, groups=groups),
        lambda x, s, b: functional.group_norm(x, groups, s, b),
        [normal(0, size), normal(1, (6,)), normal(2, (6,))],
        ["channels", "plain", "plain"],
    )


def test_instance_norm():
    compare(
        jc.instance_norm,
        lambda x, s, b: functional.instance_norm(x, weight=s, bias=b),
        [normal(0, (3, 4, 5, 6)), normal(1, (6,)), normal(2, (6,))],
        ["channels", "plain", "plain"],
    )


def test_rms_norm():
    compare(
        lambda x, s: jc.rms_norm(x, s, epsilon=1e-3),
        lambda x, s: functional.rms_norm(x, (6,), s, eps=1e-3),
        [normal(0, (5, 6)), normal(1, (6,))],
        ["plain", "plain"],
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_local_response_norm(size):
    compare(
        lambda x: jc.local_response_norm(x, size=size, alpha=0.5, k=1.5, average=True),
        lambda x: functional.local_response_norm(x, size, alpha=0.5, beta=0.75, k=1.5),
        [normal(0, (2, 3, 4, 7))],
        ["channels"],
    )


@pytest.mark.parametrize("size", [(4, 3, 5, 6), (5, 6)])
def test_running_statistics_over_several_steps(size):
    ours = layers.BatchNorm(0.8, unbiased=True)
    theirs = (torch.nn.BatchNorm1d if len(size) == 2 else torch.nn.BatchNorm2d)(6, momentum=0.2)
    params, state = ours.init(jax.random.key(0), size[1:], dtype=jnp.float64)
    theirs = theirs.double()
    for step in range(5):
        x = 3 + (step + 1) * normal(step, size)
        y, state = ours.apply(params, state, x, train=True)
        assert np.allclose(y, from_torch(theirs(to_torch(x))), rtol=0, atol=1e-12)
        assert theirs.running_mean is not None
        assert theirs.running_var is not None
        assert np.allclose(state["mean"], theirs.running_mean, rtol=0, atol=1e-12)
        assert np.allclose(state["variance"], theirs.running_var, rtol=0, atol=1e-12)
    y, same = ours.apply(params, state, x)
    assert np.allclose(y, from_torch(theirs.eval()(to_torch(x))), rtol=0, atol=1e-12)
    assert same is state
