"""PyTorch's losses as an oracle of their own; where its reductions mean another thing, so said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(4)
torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from test_against_torch import compare, normal  # noqa: E402

F = torch.nn.functional
LABELS = np.array([3, 0, 2, 0, 1])
REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignored", [None, 0])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_labels(reduction, smoothing, ignored, weighted):
    weights = np.array([0.3, 1.7, 0.9, 2.0]) if weighted else None
    compare(
        lambda u: jc.softmax_cross_entropy(
            u,
            jnp.asarray(LABELS),
            class_weights=None if weights is None else jnp.asarray(weights),
            label_smoothing=smoothing,
            ignore_index=ignored,
            reduction=reduction,
        ),
        lambda u: F.cross_entropy(
            u,
            torch.tensor(LABELS),
            weight=None if weights is None else torch.tensor(weights),
            label_smoothing=smoothing,
            ignore_index=-100 if ignored is None else ignored,
            reduction=reduction,
        ),
        [normal(0, (5, 4))],
        ["plain"],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_of_distributions_with_weights(reduction, smoothing):
    compare(
        lambda u, t, w: jc.softmax_cross_entropy(
            u, t, class_weights=w, label_smoothing=smoothing, reduction=reduction
        ),
        lambda u, t, w: F.cross_entropy(
            u, t, weight=w, label_smoothing=smoothing, reduction=reduction
        ),
        [normal(0, (5, 4)), jc.softmax(normal(1, (5, 4))), jc.softmax(normal(2, (4,)))],
        ["plain"] * 3,
    )


def test_the_mean_over_no_example():
    u = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(u, torch.tensor([1, 1]), ignore_index=1)
    loss.backward()
    ours = jc.softmax_cross_entropy(jnp.zeros((2, 3)), jnp.array([1, 1]), ignore_index=1)
    assert np.isnan(ours)
    assert torch.isnan(loss)
    assert not u.grad.any()


# Ours, PyTorch's, and what a "sum" of PyTorch's has to be multiplied by.
PAIRS = {
    "squared": (jc.squared_error, F.mse_loss, 0.5),
    "absolute": (jc.absolute_error, F.l1_loss, 1.0),
    "huber": (
        lambda y, t, **kw: jc.huber(y, t, delta=0.6, **kw),
        lambda y, t, **kw: F.huber_loss(y, t, delta=0.6, **kw),
        1.0,
    ),
    "smooth l1": (
        lambda y, t, **kw: jc.smooth_l1(y, t, beta=0.6, **kw),
        lambda y, t, **kw: F.smooth_l1_loss(y, t, beta=0.6, **kw),
        1.0,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_regressions(name, reduction):
    ours, theirs, factor = PAIRS[name]
    outputs = 3
    each = {
        # A mean over examples of sums over outputs is the mean over all, times the outputs.
        "mean": lambda y, t: theirs(y, t, reduction="mean") * (outputs * factor),
        "sum": lambda y, t: theirs(y, t, reduction="sum") * factor,
        "none": lambda y, t: theirs(y, t, reduction="none").sum(-1) * factor,
    }
    compare(
        lambda y, t: ours(y, t, reduction=reduction),
        each[reduction],
        [normal(0, (5, outputs)), normal(1, (5, outputs))],
        ["plain", "plain"],
    )


def test_the_documented_difference_of_the_absolute_error():
    y = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    F.l1_loss(y, torch.zeros(1, 1, dtype=torch.float64)).backward()
    assert y.grad.item() == 0


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_kl_divergence(reduction):
    def theirs(y, t):
        if reduction == "none":
            return F.kl_div(y, t, reduction="none").sum(-1)
        return F.kl_div(y, t, reduction="batchmean" if reduction == "mean" else reduction)

    compare(
        lambda y, t: jc.kl_divergence(y, t, reduction=reduction),
        theirs,
        [jc.log_softmax(normal(0, (5, 4))), jc.softmax(normal(1, (5, 4)))],
        ["plain", "plain"],
    )


def test_weight_decay_is_that_of_sgd():
    w = torch.tensor(np.asarray(normal(0, (3, 2))), requires_grad=True)
    before = w.detach().clone()
    w.grad = torch.zeros_like(w)
    torch.optim.SGD([w], lr=0.1, weight_decay=0.02).step()
    delta = np.asarray(jax.grad(lambda w: jc.weight_decay(w, 0.02))(normal(0, (3, 2))))
    assert np.allclose(before.numpy() - 0.1 * delta, w.detach(), rtol=0, atol=1e-15)
