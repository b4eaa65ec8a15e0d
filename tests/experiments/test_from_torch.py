"""Weights of PyTorch come in: what went out as a module comes back, and nothing is left over."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.command_line.options import UserError
from experiments.peers import from_torch
from jaxcnn import layers, models

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from experiments.peers.to_torch import to_images, translate  # noqa: E402

NETWORKS = {
    "lenet5": (models.lenet5(), (32, 32, 1)),  # flattens maps: the dense layer's rows move
    "resnet": (models.resnet_imagenet(18, 5, width=4, stages=(1, 2)), (32, 32, 3)),
    "bottlenecks": (models.resnet_imagenet(50, 5, width=4, stages=(1, 2)), (32, 32, 3)),
    "vgg": (models.vgg(11, 5, batch_norm=True, width=2, hidden=4), (32, 32, 3)),
    "densenet 121": (models.densenet_imagenet(121, 5, growth=4, stages=(1, 2)), (32, 32, 3)),
    "densenet": (models.densenet(10, 5, growth=4), (16, 16, 3)),
}


def drawn(net, shape):
    params, state = net.init(jax.random.key(0), shape)
    generator = np.random.default_rng(0)
    return jax.tree.map(
        lambda a: generator.uniform(0.5, 1.5, a.shape).astype(np.float32), (params, state)
    )


def tensors_of(net, shape):
    params, state = drawn(net, shape)
    module = translate(net, params, state, shape).module.eval()
    return module, {name: t.contiguous().numpy() for name, t in module.state_dict().items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_module_comes_back(name):
    net, shape = NETWORKS[name]
    module, tensors = tensors_of(net, shape)
    params, state = from_torch.load(net, shape, tensors)
    jax.tree.map(np.testing.assert_array_equal, (params, state), drawn(net, shape))
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    expected = module(to_images(x)).detach().numpy()
    found = net.apply(params, state, jnp.asarray(x))[0]
    assert np.abs(np.asarray(found) - expected).max() < 1e-5 * np.abs(expected).max()


def test_layers_are_found_by_name_where_their_order_does_not_tell():
    net = layers.serial(a=layers.Dense(3), b=layers.Dense(3))
    tensors = {
        f"{module}.{name}": np.full(shape, number, np.float32)
        for number, module in enumerate(("head", "trunk"))
        for name, shape in (("weight", (3, 3)), ("bias", (3,)))
    }
    params, _ = from_torch.load(net, (3,), tensors, {"a": "trunk"})
    assert params["a"]["bias"][0] == 1
    assert params["b"]["bias"][0] == 0


def test_whatever_does_not_fit_is_named():
    net, shape = NETWORKS["resnet"]
    _, tensors = tensors_of(net, shape)
    first, *_, last = tensors
    wrong = {
        "has the shape (4, 3, 7, 6), kernel of the layer": {
            **tensors, first: tensors[first][..., :6]
        },
        "The network has no layer for extra": {**tensors, "extra.weight": np.ones(3)},
        "The weights end before the layer output": {
            k: v for k, v in tensors.items() if not k.startswith(last.rpartition(".")[0])
        },
        "the module output holds weight": {k: v for k, v in tensors.items() if k != last},
    }  # fmt: skip
    for sentence, given in wrong.items():
        with pytest.raises(UserError) as error:
            from_torch.load(net, shape, given)
        assert sentence in str(error.value)
    for names, sentence in (
        ({"nothing": "output"}, "names must be of layers with numbers, got nothing."),
        ({"output": "nothing"}, "The weights hold no module nothing, which names asks for."),
    ):
        with pytest.raises(UserError) as error:
            from_torch.load(net, shape, tensors, names)
        assert str(error.value) == sentence


def test_files(tmp_path):
    from safetensors.numpy import save_file

    net, shape = NETWORKS["lenet5"]
    module, tensors = tensors_of(net, shape)
    torch.save({"state_dict": module.state_dict()}, tmp_path / "a.pth")
    save_file(tensors, tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        found = from_torch.read(tmp_path / name)
        jax.tree.map(np.testing.assert_array_equal, found, tensors)
    torch.save({"weights": Path("x")}, tmp_path / "b.pt")  # more than tensors: never built
    (tmp_path / "c.safetensors").write_bytes(b"nothing")
    (tmp_path / "d.pt").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "e.pt")
    for name, sentence in (
        ("b.pt", "is no state_dict that can be read: it is damaged, or holds more than tensors."),
        ("c.safetensors", "is no safetensors file that can be read"),
        ("d.pt", "is no state_dict that can be read"),
        ("e.pt", "holds no state_dict"),
        ("f.pt", "is no file"),
    ):
        with pytest.raises(UserError) as error:
            from_torch.read(tmp_path / name)
        assert sentence in str(error.value)
