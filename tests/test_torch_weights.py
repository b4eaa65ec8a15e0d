"""Weights of PyTorch come in: logits are PyTorch's, and nothing is left over on either side.

`torch_networks` has the names of torchvision and timm: a script compared all names and shapes of
the full networks with those packages' own, torchvision 0.29.1 and timm 1.0.31. `test_torchvision`
compares torchvision's logits.
"""

import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import layers, models
from jaxcnn.interop import from_torch

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
import torch_networks as theirs  # noqa: E402
from torch import nn  # noqa: E402

VGG11 = (1, 1, 2, 2, 2)
WIDTHS = (3, 4, 6, 4, 3)
ROWS = ((1, 16, 1, 1), (2, 24, 2, 2), (3, 24, 2, 1))  # the last stage begins without a stride
CASES = {
    "resnet18": (
        models.resnet_imagenet(18, 5, width=4, stages=(1, 2)),
        lambda: theirs.ResNet((1, 2), 4, 5, bottleneck=False),
        (33, 32, 3),
    ),
    "resnet50": (
        models.resnet_imagenet(50, 5, width=4, stages=(1, 2)),
        lambda: theirs.ResNet((1, 2), 4, 5, bottleneck=True),
        (33, 32, 3),
    ),
    "vgg11": (
        models.vgg(11, 5, width=2, hidden=4),
        lambda: theirs.Vgg(VGG11, 2, 4, 5, norm=False, side=2),
        (64, 64, 3),
    ),
    "vgg16": (
        models.vgg(16, 5, width=2, hidden=4),
        lambda: theirs.Vgg((2, 2, 3, 3, 3), 2, 4, 5, norm=False, side=2),
        (64, 64, 3),
    ),
    "vgg11_bn": (
        models.vgg(11, 5, batch_norm=True, width=2, hidden=4),
        lambda: theirs.Vgg(VGG11, 2, 4, 5, norm=True, side=2),
        (64, 64, 3),
    ),
    "timm vgg11": (
        models.vgg(11, 5, width=2, hidden=4),
        lambda: theirs.Vgg(VGG11, 2, 4, 5, norm=False, side=2, timm=True),
        (64, 64, 3),
    ),
    "alexnet": (
        models.alexnet_2014(5, widths=WIDTHS, hidden=8),
        lambda: theirs.AlexNet(WIDTHS, 8, 5, side=2),
        (95, 95, 3),
    ),
    "densenet121": (
        models.densenet_imagenet(121, 5, growth=4, stages=(1, 2)),
        lambda: theirs.DenseNet((1, 2), 4, 5),
        (33, 32, 3),
    ),
    "timm mobilenetv1": (
        models.mobilenet(
            5, width=0.125, stem_stride=2, blocks=((64, 1), (64, 1), (96, 2), (96, 1)), clipped=True
        ),
        lambda: theirs.MobileNet(4, [[(8, 1), (8, 1)], [(12, 2), (12, 1)]], 5),
        (17, 16, 3),
    ),
    "mobilenet_v2": (
        models.mobilenet_v2(5, stages=ROWS),
        lambda: theirs.MobileNetV2(32, ROWS, 1280, 5),
        (17, 16, 3),
    ),
    "lenet5": (models.lenet5(), theirs.LeNet, (32, 32, 1)),
}


def drawn(module):
    """With random weights and statistics, in evaluation."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            wide = tensor[0].numel() if tensor.ndim > 1 else 16
            tensor.normal_(0, 1.5 * wide**-0.5, generator=generator)
            tensor += tensor.ndim == 1 and name.endswith("weight")  # of norms
    return module.to(torch.float32).eval()


def logits(module, x):
    with torch.no_grad():
        images = torch.from_numpy(np.array(x))
        found = module(images.movedim(-1, 1) if x.ndim > 2 else images)
        return (found.movedim(1, -1) if found.ndim > 2 else found).numpy()


def agree(net, module, shape, params, state):
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    expected = logits(module, x)
    found = jax.jit(lambda *args: net.apply(*args)[0])(params, state, jnp.asarray(x))
    error = np.abs(np.asarray(found) - expected).max()
    assert error <= 1e-5 * max(1, np.abs(expected).max())


def alphabetical(module):
    return dict(sorted(module.state_dict().items()))


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_pytorch(name):
    """By name: a file of safetensors holds its tensors in the order of the alphabet."""
    net, make, shape = CASES[name]
    module = drawn(make())
    params, state = from_torch(net, alphabetical(module), shape)
    drawn_here = jax.eval_shape(lambda key: net.init(key, shape), jax.random.key(0))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), (params, state)) == jax.tree.map(
        lambda a: (a.shape, a.dtype), drawn_here
    )
    agree(net, module, shape, params, state)


def test_the_files_of_a_densenet_are_older_than_its_modules():
    """torchvision renames them as it loads them: norm.1 → norm1."""
    net, make, shape = CASES["densenet121"]
    tensors = alphabetical(make())
    older = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(?=[12]\.)", r"\1.", key): tensor
        for key, tensor in tensors.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    given = from_torch(net, tensors, shape)
    jax.tree.map(np.testing.assert_array_equal, from_torch(net, older, shape), given)


@pytest.mark.parametrize("name", CASES)
def test_where_no_name_is_known_the_order_tells(name):
    net, make, shape = CASES[name]
    tensors = make().state_dict()
    renamed = {"x" + key.replace(".", "_", key.count(".") - 1): t for key, t in tensors.items()}
    given = from_torch(net, tensors, shape)
    jax.tree.map(np.testing.assert_array_equal, from_torch(net, renamed, shape), given)


KINDS = {
    "flattened maps that are no squares": (
        layers.serial(layers.Conv(2, 2), layers.Flatten(), layers.BatchNorm(), layers.PReLU(),
                      layers.Dropout(), layers.Dense(3), layers.Dense(2)),
        lambda: nn.Sequential(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.BatchNorm1d(40), nn.PReLU(40),
                              nn.Dropout(), nn.Linear(40, 3), nn.Linear(3, 2)),
        (5, 6, 3),
    ),
    "a transposed convolution in groups": (
        layers.serial(layers.ConvTranspose(4, (2, 3), 2, groups=2), layers.GroupNorm(groups=2)),
        lambda: nn.Sequential(nn.ConvTranspose2d(6, 4, (2, 3), 2, groups=2), nn.GroupNorm(2, 4)),
        (4, 3, 6),
    ),
    "a convolution of mathematics": (
        layers.serial(layers.TrueConv(2, (2, 3)), layers.PReLU(shared=True)),
        lambda: nn.Sequential(nn.Conv2d(3, 2, (2, 3)), nn.PReLU()),
        (5, 6, 3),
    ),
    "channels with filters of their own": (
        layers.serial(layers.DepthwiseConv((2, 3), 2), layers.Conv(4, 1, groups=2)),
        lambda: nn.Sequential(nn.Conv2d(4, 8, (2, 3), groups=4), nn.Conv2d(8, 4, 1, groups=2)),
        (5, 6, 4),
    ),
    "three axes": (
        layers.serial(layers.Conv(2, (2, 3, 1)), layers.Flatten(), layers.Dense(3)),
        lambda: nn.Sequential(nn.Conv3d(3, 2, (2, 3, 1)), nn.Flatten(), nn.Linear(144, 3)),
        (4, 5, 8, 3),
    ),
    "a norm of all axes": (
        layers.serial(layers.LayerNorm(axes=(-3, -2, -1)), layers.Conv(2, 2, use_bias=False)),
        lambda: nn.Sequential(nn.LayerNorm([3, 4, 5]), nn.Conv2d(3, 2, 2, bias=False)),
        (4, 5, 3),
    ),
    "rows": (
        layers.serial(layers.Dense(4), layers.RMSNorm(epsilon=1e-5), layers.Dense(2, False)),
        lambda: nn.Sequential(nn.Linear(3, 4), nn.RMSNorm(4, 1e-5), nn.Linear(4, 2, bias=False)),
        (3,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer_is_brought_into_our_layout(name):
    net, make, shape = KINDS[name]
    module = drawn(make())
    agree(net, module, shape, *from_torch(net, alphabetical(module), shape))


def forms(module, folder):
    """A `state_dict`, and what becomes of it, by whether its order is still that of the modules."""
    from safetensors.torch import load_file, save_file

    tensors = module.state_dict()
    save_file(tensors, folder / "a.safetensors")
    torch.save(tensors, folder / "a.pt")
    torch.save({"state_dict": tensors}, folder / "b.pt")
    by_name = load_file(folder / "a.safetensors")
    torch.save(by_name, folder / "c.pt")
    # As older versions of torch take a prefix off.
    renamed = module.state_dict()
    for name in sorted(renamed):
        renamed.move_to_end(name)
    kept = tensors, folder / "a.pt", folder / "b.pt"
    return kept, (by_name, folder / "a.safetensors", folder / "c.pt", renamed)


def flat_sequential(count, classes=4):
    """Modules of which none is a layer of ours stand between."""
    blocks = [(nn.Conv2d(3, 3, 1, bias=False), nn.Identity(), nn.ReLU()) for _ in range(count)]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes, bias=False)
    return nn.Sequential(*[module for block in blocks for module in block], *head)


class Parts(nn.Module):
    """Weights alone, whose names stand in the order of the alphabet where the two parts do."""

    def __init__(self, first="features", last="head"):
        super().__init__()
        conv = partial(nn.Conv2d, 3, 3, 1, bias=False)
        self.parts = first, last
        self.add_module(first, nn.Sequential(conv(), nn.Identity(), nn.ReLU(), conv(), nn.ReLU()))
        flat = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.add_module(last, nn.Sequential(*flat, nn.Linear(3, 3, bias=False)))

    def forward(self, x):
        for part in self.parts:
            x = getattr(self, part)(x)
        return x


def convs_and_dense(count, classes=4):
    convs = [(layers.Conv(3, 1, use_bias=False), layers.Activation()) for _ in range(count)]
    head = layers.GlobalAvgPool(), layers.Dense(classes, use_bias=False)
    return layers.serial(*[layer for pair in convs for layer in pair], *head)


@pytest.mark.parametrize("count", [1, 5])
def test_numbers_tell_the_order_of_modules(count, tmp_path):
    """Whatever that of the tensors is: by the alphabet 12 stands before 3."""
    net, module = convs_and_dense(count), drawn(flat_sequential(count))
    kept, sorted_ones = forms(module, tmp_path)
    for given in (*kept, *sorted_ones, dict(reversed(kept[0].items()))):
        agree(net, module, (4, 5, 3), *from_torch(net, given, (4, 5, 3)))
        with pytest.raises(ValueError, match=re.escape(
            "weights must have the shape (2, 3) for dense1/weight of net, "
            f"got (4, 3) in {3 * count + 2}.weight"
        )):  # fmt: skip
            from_torch(convs_and_dense(count, 2), given, (4, 5, 3))
    with pytest.raises(ValueError, match=f"got none for {3 * count + 2}"):
        from_torch(layers.serial(**dict(net.children[:-1])), sorted_ones[0], (4, 5, 3))


@pytest.mark.parametrize("names", [("features", "head"), ("features", "classifier")])
def test_other_names_stand_as_torch_made_them_or_are_refused(names, tmp_path):
    net, module = convs_and_dense(2, 3), drawn(Parts(*names))
    kept, sorted_ones = forms(module, tmp_path)
    for given in kept:
        agree(net, module, (4, 5, 3), *from_torch(net, given, (4, 5, 3)))
    if list(names) == sorted(names):
        *sorted_ones, renamed = sorted_ones  # torch's notes say that its order is theirs
        agree(net, module, (4, 5, 3), *from_torch(net, renamed, (4, 5, 3)))
    for given in sorted_ones:
        for some in (None, {"conv1": "features.0"}):  # the others' order is no better known
            with pytest.raises(ValueError, match=r"names must say .* does not tell it, as"):
                from_torch(net, given, (4, 5, 3), names=some)
        found = from_torch(net, given, (4, 5, 3), names={"dense1": f"{names[1]}.2"})
        agree(net, module, (4, 5, 3), *found)


def test_a_file_of_safetensors_is_ordered_by_dtype_first(tmp_path):
    """Its order is neither the modules' nor the alphabet's."""
    net = layers.serial(*[layers.Dense(3, use_bias=False)] * 3)
    module = nn.Sequential()
    for name, dtype in (("c", torch.float32), ("b", torch.float64), ("a", torch.float32)):
        module.add_module(name, nn.Linear(3, 3, bias=False, dtype=dtype))
    kept, (by_name, file, *_) = forms(module, tmp_path)
    for given in kept:
        params, _ = from_torch(net, given, (3,))
        np.testing.assert_array_equal(params["dense1"]["weight"].T, kept[0]["c.weight"])
    for given in (by_name, file, alphabetical(module)):
        with pytest.raises(ValueError, match="names must say which module each layer is"):
            from_torch(net, given, (3,))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 2, 2), nn.Conv2d(3, 4, 3), nn.Linear(88, 5)

    def forward(self, x):
        return self.fc(torch.cat([self.a(x).flatten(1), self.b(x).flatten(1)], 1))


def test_maps_that_are_flattened_side_by_side():
    net = layers.serial(
        layers.concatenated(
            a=layers.serial(layers.Conv(2, 2), layers.Flatten()),
            b=layers.serial(layers.Conv(4, 3), layers.Flatten()),
        ),
        layers.Dense(5),
    )
    module = drawn(Branches())
    agree(net, module, (5, 6, 3), *from_torch(net, module.state_dict(), (5, 6, 3)))


def test_an_embedding_comes_in():
    net = layers.serial(layers.Embedding(7, 3), layers.Conv(2, 2))
    module = drawn(nn.Sequential(nn.Embedding(7, 3), nn.Conv1d(3, 2, 2)))
    params, _ = from_torch(net, module.state_dict(), (5,))
    rows = module.state_dict()["0.weight"].numpy()
    np.testing.assert_array_equal(params["embedding1"]["table"], rows)


def test_what_pytorch_orders_otherwise_is_refused():
    dense = layers.Dense(4)
    for net, shape, said in (
        (models.lenet5("paper"), (32, 32, 1), "ScaleChannels (s2/scalechannels1)"),
        (layers.serial(dense, layers.Unflatten((2, 2))), (3,), "Unflatten (unflatten1)"),
        (layers.serial(layers.Flatten(), layers.Maxout(2), dense), (2, 2, 2), "Maxout (maxout1)"),
    ):
        with pytest.raises(TypeError, match="whose numbers PyTorch orders alike") as error:
            from_torch(net, {"a.weight": np.ones(3)}, shape)
        assert str(error.value).endswith(f"got {said}")


def test_layers_are_found_by_the_names_given():
    net = layers.serial(a=layers.Dense(3), b=layers.Dense(3))
    tensors = {
        f"{module}.{name}": np.full(shape, number, np.float32)
        for number, module in enumerate(("head", "trunk"))
        for name, shape in (("weight", (3, 3)), ("bias", (3,)))
    }
    params, _ = from_torch(net, tensors, (3,), names={"a": "trunk"})
    assert (params["a"]["bias"][0], params["b"]["bias"][0]) == (1, 0)
    with pytest.raises(ValueError, match="names must give each layer a module of its own"):
        from_torch(net, dict(list(tensors.items())[:2]), (3,), names={"a": "head", "b": "head"})


def test_whatever_does_not_fit_is_named():
    net, make, shape = CASES["resnet18"]
    tensors = make().state_dict()
    first, *_, last = tensors
    without = {name: tensor for name, tensor in tensors.items() if name != last}
    wrong = {
        "weights must have the shape (4, 3, 7, 7) for stem/conv1/kernel of net, "
        "got (4, 3, 7, 6) in conv1.weight": {**tensors, first: tensors[first][..., :6]},
        "net must have a layer for each module of weights, got none for extra": {
            **tensors, "extra.weight": np.ones(3)
        },
        "weights must hold a module for the layer output, got none among": {
            "x" + name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")
        },
        "weights must hold a module fc for the layer output, got none among": {
            name: tensors[name] for name in sorted(tensors) if not name.startswith("fc.")
        },
        "weights must hold bias, weight for the layer output, got weight in the module fc": without,
        "weights must be arrays of floating-point numbers, got an array of shape (5,) under "
        "fc.bias": {**without, last: torch.ones(5, dtype=torch.int8)},
        "names must say which module each layer is, since the names of tensors are of no scheme "
        "that is known here": {"a" + name: tensors[name] for name in sorted(tensors)},
    }  # fmt: skip
    for sentence, given in wrong.items():
        with pytest.raises((TypeError, ValueError)) as error:
            from_torch(net, given, shape)
        assert sentence in str(error.value)
    for names, sentence in (
        ({"nothing": "output"}, "names must be of layers that hold numbers, got nothing where"),
        ({"output": "nothing"}, "weights must hold a module nothing for the layer output"),
    ):
        with pytest.raises(ValueError, match=sentence):
            from_torch(net, tensors, shape, names=names)


def test_what_scripts_put_around_a_state_dict_is_taken_off():
    net, make, shape = CASES["lenet5"]
    tensors = make().state_dict()
    expected = from_torch(net, tensors, shape)
    parallel = {f"module.{name}": tensor for name, tensor in tensors.items()}
    for given in ({"epoch": 3, "state_dict": tensors}, {"model": parallel}):
        jax.tree.map(np.testing.assert_array_equal, from_torch(net, given, shape), expected)


def test_half_precision_comes_in_and_float64_on_request():
    net, make, shape = CASES["lenet5"]
    for dtype in (torch.float16, torch.bfloat16):
        tensors = make().to(dtype).state_dict()
        params, _ = from_torch(net, tensors, shape)
        assert params["c1"]["bias"].dtype == jnp.float32
        expected = tensors["conv1.bias"].float().numpy()
        np.testing.assert_array_equal(params["c1"]["bias"], expected)
    params, _ = from_torch(net, make().state_dict(), shape, dtype=jnp.float64)
    assert params["c1"]["bias"].dtype == jnp.float64


def test_files(tmp_path):
    from safetensors.torch import save_file

    net, make, shape = CASES["resnet18"]
    module = make()
    tensors = module.state_dict()
    torch.save({"state_dict": tensors}, tmp_path / "a.pth")
    torch.save(tensors, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(tensors, tmp_path / "a.safetensors")
    expected = from_torch(net, tensors, shape)
    for name in ("a.pth", "old.pt", "a.safetensors"):
        found = from_torch(net, str(tmp_path / name), shape)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    torch.save({"weights": Path("x")}, tmp_path / "b.pt")  # more than tensors: never built
    (tmp_path / "d.pt").write_bytes(b"nothing")
    torch.save([1, 2], tmp_path / "e.pt")
    for name, sentence in (
        ("b.pt", "which is damaged or holds more (UnpicklingError)"),
        ("d.pt", "which is damaged or holds more"),
        ("e.pt", "which holds list"),
        ("f.pt", "got no file at"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            from_torch(net, tmp_path / name, shape)


def test_without_torch_a_sentence_says_what_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "a.pt").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="a file of safetensors where torch is not installed"):
        from_torch(models.lenet5(), tmp_path / "a.pt", (32, 32, 1))


def test_a_packed_file_is_not_unpacked(tmp_path):
    """Torch packs nothing; a megabyte of zeros packed into a kilobyte was made by others."""
    import zipfile

    torch.save({"a.weight": torch.zeros(1 << 18)}, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as whole,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in whole.infolist():
            packed.writestr(part.filename, whole.read(part))
    with pytest.raises(ValueError, match=re.escape("damaged or holds more (ValueError)")):
        from_torch(models.lenet5(), tmp_path / "b.pt", (32, 32, 1))
