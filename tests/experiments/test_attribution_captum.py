"""Every method that Captum has, on the same weights in float64, to 1e-6 of its largest number.

What Captum 0.9 refuses, or gets wrong, is named here with what it says; `test_attribution` has the
sums that must come out for those networks as well.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn import attribution, layers, models

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
attr = pytest.importorskip("captum.attr", reason="captum is not installed (extra: torch)")

from captum.attr._utils import lrp_rules  # noqa: E402

from experiments.peers.to_torch import to_images, translate  # noqa: E402

# It warns of the hooks that it sets, and of gradients that it turns on.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")

NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1), "c3"),
    "fast_mnist": (models.fast_mnist(), (28, 28, 1), "conv2"),
    "resnet": (models.resnet(8, width=4), (16, 16, 3), "stem/conv1"),
}
CLASS = 3


def moved(tree, key):
    """Every parameter off its place, that no bias is zero and no scale one."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(key), len(leaves))
    noise = (
        0.05 * jax.random.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)
    )
    return jax.tree.unflatten(structure, [a + b for a, b in zip(leaves, noise, strict=True)])


class Case:
    """A network, its parameters, images as dark as light, and the same in PyTorch."""

    def __init__(self, name):
        self.net, self.shape, self.layer = NETWORKS[name]
        params, state = self.net.init(jax.random.key(0), self.shape, dtype=jnp.float64)
        self.params, self.state = moved(params, 1), state
        self.x = jax.random.uniform(jax.random.key(2), (2, *self.shape), jnp.float64)
        self.baseline = jax.random.uniform(jax.random.key(3), (2, *self.shape), jnp.float64)

    def ours(self, method, *args, **settings):
        def run(x):
            return method(self.net, self.params, self.state, x, *args, CLASS, **settings)

        return np.asarray(jax.jit(run)(self.x))

    def module(self):
        module = translate(self.net, self.params, self.state, self.shape).module
        return module.eval()

    def images(self):
        """A new tensor: some of Captum's methods leave hooks on those that they were given."""
        return to_images(self.x).requires_grad_()


@pytest.fixture(scope="module", params=NETWORKS)
def case(request):
    return Case(request.param)


def agree(ours, theirs):
    theirs = theirs.detach().numpy()
    theirs = np.moveaxis(theirs, 1, -1) if theirs.ndim == 4 else theirs
    ours = ours.reshape(theirs.shape)
    assert np.abs(theirs).max() > 0
    assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()


def test_saliency(case):
    agree(
        case.ours(attribution.saliency),
        attr.Saliency(case.module()).attribute(case.images(), target=CLASS),
    )


def test_gradient_times_input(case):
    agree(
        case.ours(attribution.gradient_times_input),
        attr.InputXGradient(case.module()).attribute(case.images(), target=CLASS),
    )


def test_integrated_gradients(case):
    baseline = to_images(case.baseline)
    theirs = attr.IntegratedGradients(case.module()).attribute(
        case.images(), baseline, target=CLASS, n_steps=20
    )
    agree(case.ours(attribution.integrated_gradients, baseline=case.baseline, steps=20), theirs)


def test_guided_backprop(case):
    theirs = attr.GuidedBackprop(case.module()).attribute(case.images(), target=CLASS)
    agree(case.ours(attribution.guided_backprop), theirs)


def test_deconvolution(case):
    theirs = attr.Deconvolution(case.module()).attribute(case.images(), target=CLASS)
    agree(case.ours(attribution.deconvolution), theirs)


@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam(case, relu):
    module = case.module()
    layer = module.get_submodule(case.layer.replace("/", "."))
    theirs = attr.LayerGradCam(module, layer).attribute(
        case.images(), target=CLASS, relu_attributions=relu
    )
    agree(case.ours(attribution.grad_cam, case.layer, relu=relu), theirs)


def test_occlusion(case):
    channels = case.shape[-1]
    theirs = attr.Occlusion(case.module()).attribute(
        case.images(), (channels, 5, 4), (channels, 3, 4), target=CLASS, baselines=0.3
    )
    agree(case.ours(attribution.occlusion, window=(5, 4), stride=(3, 4), baseline=0.3), theirs)


def test_smooth_grad(case, monkeypatch):
    """With the noise that ours draws put into the place of theirs."""
    keys = jax.random.split(jax.random.key(4), 6)
    noise = jnp.stack([jax.random.normal(k, case.x.shape, case.x.dtype) for k in keys], 1)
    spread = case.x.max((1, 2, 3)) - case.x.min((1, 2, 3))
    noise = noise * 0.1 * spread[:, None, None, None, None]
    drawn = to_images(noise.reshape(-1, *case.shape))
    monkeypatch.setattr(torch, "normal", lambda mean, deviation: drawn)
    theirs = attr.NoiseTunnel(attr.Saliency(case.module())).attribute(
        case.images(), nt_type="smoothgrad", nt_samples=6, target=CLASS, abs=False
    )
    found = case.ours(attribution.smooth_grad, key=jax.random.key(4), samples=6, noise=0.1)
    agree(found, theirs)


# Methods whose rules Captum has for modules, not for what is done between them ------------------


def apart(module):
    """Something around every pooling: beside a rectifier DeepLift would lose one of the two."""

    class Times(torch.nn.Module):
        def forward(self, x):
            return x * 1

    parts = []
    for child in module.children():
        parts += [Times(), child, Times()] if isinstance(child, torch.nn.MaxPool2d) else [child]
    return torch.nn.Sequential(*parts).eval()


def test_deep_lift(case):
    theirs = attr.DeepLift(apart(case.module())).attribute(
        case.images(), to_images(case.baseline), target=CLASS
    )
    agree(case.ours(attribution.deep_lift, baseline=case.baseline), theirs)


@pytest.mark.parametrize("name", ["lenet5", "fast_mnist"])
def test_captums_deep_lift_loses_a_pooling_beside_a_rectifier(name):
    """So it is not compared with Captum as it stands: its sums are not complete."""
    case = Case(name)
    _, lost = attr.DeepLift(case.module()).attribute(
        case.images(), to_images(case.baseline), target=CLASS, return_convergence_delta=True
    )
    assert lost.abs().max() > 1e-2


def ruled(module, rule):
    """With that rule for products, and one for what Captum has none for."""
    for child in module.modules():
        if isinstance(child, torch.nn.Conv2d | torch.nn.Linear):
            child.rule = rule()
        elif isinstance(child, torch.nn.Flatten):
            child.rule = lrp_rules.EpsilonRule()
    return module


@pytest.mark.parametrize("name", ["lenet5", "fast_mnist"])
@pytest.mark.parametrize("epsilon", [1e-9, 0.1])
def test_lrp_epsilon(name, epsilon):
    case = Case(name)
    module = ruled(case.module(), lambda: lrp_rules.EpsilonRule(epsilon))
    theirs = attr.LRP(module).attribute(case.images(), target=CLASS)
    agree(case.ours(attribution.lrp, epsilon=epsilon), theirs)


@pytest.mark.parametrize("name", ["lenet5", "fast_mnist"])
def test_lrp_z_plus(name):
    """Without biases: with them, Captum counts a negative one among what is positive."""
    case = Case(name)
    module = ruled(case.module(), lambda: lrp_rules.Alpha1_Beta0_Rule(set_bias_to_zero=True))
    theirs = attr.LRP(module).attribute(case.images(), target=CLASS)
    agree(case.ours(attribution.lrp, rule="z+", biases=False), theirs)


REFUSED = {
    "flatten": (layers.Flatten(), "Flatten'> has no rule defined"),
    "identity": (layers.Identity(), "Identity'> has no rule defined"),
    "gelu": (layers.Activation(jc.gelu), "GELU'> has no rule defined"),
    "subsample": (layers.Subsample(2), "Subsample'> has no rule defined"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_captums_lrp_refuses(kind):
    """Ours takes it, and conserves: `test_attribution` has the sums."""
    layer, sentence = REFUSED[kind]
    net = layers.serial(layers.Conv(2, 3), layer)
    params, state = net.init(jax.random.key(0), (8, 8, 1))
    module = translate(net, params, state, (8, 8, 1)).module
    with pytest.raises(TypeError, match=sentence):
        attr.LRP(module).attribute(torch.ones(1, 1, 8, 8), target=0)


# The same of modules alone, with the shape of what each takes.
REFUSED_ALONE = {
    "LeakyReLU": (torch.nn.LeakyReLU(), (2, 4)),
    "PReLU": (torch.nn.PReLU(), (2, 4)),
    "SiLU": (torch.nn.SiLU(), (2, 4)),
    "AdaptiveMaxPool2d": (torch.nn.AdaptiveMaxPool2d(1), (2, 1, 4, 4)),
    "Conv1d": (torch.nn.Conv1d(1, 2, 3), (2, 1, 4)),
    "BatchNorm1d": (torch.nn.BatchNorm1d(4), (2, 4)),
}


@pytest.mark.parametrize("kind", REFUSED_ALONE)
def test_what_captums_lrp_refuses_by_itself(kind):
    module, shape = REFUSED_ALONE[kind]
    with pytest.raises(TypeError, match=f"{kind}'> has no rule defined"):
        attr.LRP(torch.nn.Sequential(module).eval()).attribute(torch.ones(shape), target=0)


def test_captums_deep_lift_fails_at_a_dilated_pooling():
    """It unpools without the dilation, which is too small a map."""
    module = torch.nn.Sequential(
        torch.nn.MaxPool2d(2, 1, dilation=2), torch.nn.Flatten(), torch.nn.Linear(9, 3)
    ).eval()
    x = torch.linspace(0, 1, 25).reshape(1, 1, 5, 5)
    with pytest.raises(ValueError, match="invalid output_size"):
        attr.DeepLift(module).attribute(x, 1 - x, target=0)


def test_captums_lrp_refuses_a_residual_network():
    """Whatever is said of its products and rectifiers; of other sums see below."""
    module = ruled(Case("resnet").module(), lrp_rules.EpsilonRule)
    with pytest.raises(TypeError, match="Identity'> has no rule defined"):
        attr.LRP(module).attribute(Case("resnet").images(), target=CLASS)


def test_captums_lrp_counts_a_sum_of_branches_twice():
    """What is added is no module: both branches get all of the relevance, and the sum grows."""
    net = layers.serial(
        layers.residual(layers.Conv(2, 3, padding=1), shortcut=layers.Conv(2, 1)),
        layers.Activation(jc.relu), layers.GlobalAvgPool(), layers.Dense(3),
    )  # fmt: skip
    params, state = net.init(jax.random.key(0), (8, 8, 2), dtype=jnp.float64)
    module = translate(net, params, state, (8, 8, 2)).module
    ruled(module, lrp_rules.EpsilonRule)
    x = jax.random.uniform(jax.random.key(1), (2, 8, 8, 2), jnp.float64)
    _, lost = attr.LRP(module).attribute(
        to_images(x).requires_grad_(), target=0, return_convergence_delta=True
    )
    assert lost.abs().max() > 1e-2
    u = net.apply(params, state, x)[0][:, 0]
    found = attribution.lrp(net, params, state, x, 0, epsilon=1e-9)
    np.testing.assert_allclose(found.sum((1, 2, 3)), u, atol=1e-6)
