"""Networks of torchvision itself, as its packages build them: logits, and where they differ.

No extra names it, since it wants the very PyTorch that it was built for:

    pip install torchvision
    pytest -n 0 --full -s tests/test_torchvision.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import models
from jaxcnn.interop import from_torch

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
published = pytest.importorskip(
    "torchvision.models", reason="torchvision is not installed; the file's head says how"
)
from test_torch_weights import alphabetical, drawn  # noqa: E402

pytestmark = pytest.mark.full
SHAPE = (224, 224, 3)
NETWORKS = {
    "resnet18": models.resnet_imagenet(18),
    "resnet50": models.resnet_imagenet(50),
    "vgg11": models.vgg(11),
    "vgg11_bn": models.vgg(11, batch_norm=True),
    "alexnet": models.alexnet_2014(),
    "densenet121": models.densenet_imagenet(121),
    "mobilenet_v2": models.mobilenet_v2(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_torchvision(name, optimised):
    """In float64, to 1e-10 of the largest."""
    net, module = NETWORKS[name], drawn(getattr(published, name)()).double()
    params, state = from_torch(net, alphabetical(module), SHAPE, dtype=jnp.float64)
    x = np.random.default_rng(1).normal(size=(1, *SHAPE))
    found = np.asarray(jax.jit(net.apply)(params, state, x)[0])
    with torch.no_grad():
        expected = module(torch.from_numpy(x).movedim(-1, 1)).numpy()
    error = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{name}: {error:.1e}")
    assert error <= 1e-10
