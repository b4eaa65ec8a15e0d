"""Vectors for other frameworks: read as the documentation reads them, they are PyTorch's too."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments import vectors

TEXT = (Path(vectors.__file__).parent.parent / "docs/programs.md").read_text(encoding="utf-8")
OPS = "conv,depthwise_conv,relu,softmax_cross_entropy,concatenate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors")
    assert vectors.main(["--ops", OPS, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def cases(folder):
    (source,) = re.findall(r"```python\n(.*?def read_vectors.*?)```", TEXT, re.DOTALL)
    assert len(source.splitlines()) <= 20
    scope = {}
    exec(compile(source, "programs.md", "exec"), scope)
    return scope["read_vectors"](folder)


def test_every_case_has_its_arrays(cases):
    assert {case["operation"] for case in cases} == set(OPS.split(","))
    for case in cases:
        arrays = case["arrays"]
        for name in case["inputs"]:
            shapes = {arrays[f"{what}.{name}"].shape for what in ("input", "direction", "gradient")}
            assert len(shapes) == 1
            assert (f"second.{name}" in arrays) != case["on_kinks"]
        assert arrays["value"].shape == arrays["cotangent"].shape == arrays["tangent"].shape
        # One pairing both ways: ⟨δ, ẏ⟩ = ⟨∂x, ẋ⟩.
        moved = np.vdot(arrays["cotangent"], arrays["tangent"])
        pulled = sum(
            np.vdot(arrays[f"gradient.{name}"], arrays[f"direction.{name}"])
            for name in case["inputs"]
        )
        assert moved == pytest.approx(pulled, rel=1e-11, abs=1e-12)


def test_the_same_bytes_every_time(tmp_path):
    for name in ("a", "b"):
        assert vectors.main(["--ops", "relu,concatenate", "--out", str(tmp_path / name)]) == 0
    for file in ("index.json", "vectors.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_vectors_that_show_published_kinds_of_bugs_are_there(cases):
    (text,) = re.findall(r"Three kinds of bug.*?(?:\n\n|\Z)", TEXT, re.DOTALL)
    named = re.findall(r"`(.*?)`", text.replace("\n", " "))
    assert len(named) == 3
    assert set(named) <= {case["name"] for case in cases}


def test_pytorch_has_the_same_numbers(cases):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    seen = 0
    for case in cases:
        settings = case["settings"]
        plain = {"stride", "dilation", "groups", "padding"}
        if case["operation"] not in ("conv", "depthwise_conv") or set(settings) - plain:
            continue
        if not isinstance(settings.get("padding", 0), int):
            continue
        arrays = {k: torch.tensor(a.copy()) for k, a in case["arrays"].items()}
        axes = arrays["input.x"].ndim - 2
        given = [arrays[f"input.{n}"].requires_grad_() for n in case["inputs"]]
        groups = settings.get("groups", 1)
        if case["operation"] == "depthwise_conv":
            groups = given[0].shape[-1]
        numbers = {k: settings[k] for k in plain - {"groups"} if k in settings}

        x, kernel, *bias = given
        y = getattr(torch.nn.functional, f"conv{axes}d")(
            x.movedim(-1, 1), kernel.movedim((-1, -2), (0, 1)), *bias, groups=groups, **numbers
        ).movedim(1, -1)
        assert np.allclose(y.detach(), arrays["value"], rtol=0, atol=1e-11)
        gradients = torch.autograd.grad(y, given, arrays["cotangent"], create_graph=True)
        # How they move along a direction, as the gradient of their products with it.
        dots = [arrays[f"direction.{n}"] for n in case["inputs"]]
        product = sum((g * d).sum() for g, d in zip(gradients, dots, strict=True))
        seconds = torch.autograd.grad(product, given, allow_unused=True)
        for name, gradient, second in zip(case["inputs"], gradients, seconds, strict=True):
            assert np.allclose(gradient.detach(), arrays[f"gradient.{name}"], rtol=0, atol=1e-11)
            expected = arrays[f"second.{name}"]
            second = torch.zeros_like(expected) if second is None else second
            assert np.allclose(second, expected, rtol=0, atol=1e-11)
        seen += 1
    assert seen >= 10


def test_an_unknown_operation_and_a_folder_that_is_none(tmp_path, capsys):
    assert vectors.main(["--ops", "conv,foo", "--out", str(tmp_path)]) == 2
    assert "--ops must be names of operations, got foo" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert vectors.main(["--ops", "relu", "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written to" in capsys.readouterr().err
