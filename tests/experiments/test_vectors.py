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


def by_loops(case, bug=None):
    """∂L/∂x and ∂L/∂k of a convolution, product by product, as they are or with a bug."""
    arrays, settings = case["arrays"], case["settings"]
    x, kernel, delta = (arrays[name] for name in ("input.x", "input.kernel", "cotangent"))
    stride, low = settings.get("stride", 1), settings.get("padding", 0)
    of_x, of_kernel = np.zeros_like(x), np.zeros_like(kernel)
    height, width, depth, _ = kernel.shape
    groups = x.shape[-1] // depth
    for p, q, d in np.ndindex(*delta.shape[1:]):
        group = d // (delta.shape[-1] // groups)
        for a, b, c in np.ndindex(height, width, depth):
            i, j = (k * settings.get("dilation", 1) - low for k in (a, b))
            at = p * stride + i, q * stride + j, group * depth + c
            if bug == "groups are mixed":
                at = *at[:2], c * groups + group
            if 0 <= at[0] < x.shape[1] and 0 <= at[1] < x.shape[2]:
                of_kernel[a, b, c, d] += x[:, *at] @ delta[:, p, q, d]
                if bug == "the stride is forgotten":
                    at = max(p + i, 0), max(q + j, 0), at[2]
                of_x[:, *at] += kernel[a, b, c, d] * delta[:, p, q, d]
    if bug == "height and width are exchanged":
        of_kernel = of_kernel.swapaxes(0, 1).reshape(kernel.shape)
    return of_x, of_kernel


def test_published_bugs_are_caught_by_the_vectors_that_the_documentation_names(cases):
    (text,) = re.findall(r"Three bugs that were published.*", TEXT, re.DOTALL)
    named = re.findall(r"`(\w+ [0-9].*?)`", text)
    by_name = {case["name"]: case for case in cases}
    bugs = "groups are mixed", "the stride is forgotten", "height and width are exchanged"
    for name, bug in zip(named, bugs, strict=True):
        arrays = by_name[name]["arrays"]
        right = [arrays[f"gradient.{given}"] for given in ("x", "kernel")]
        for mine, expected in zip(by_loops(by_name[name]), right, strict=True):
            np.testing.assert_allclose(mine, expected, 0, 1e-12)
        wrong = by_loops(by_name[name], bug)
        assert max(abs(a - b).max() for a, b in zip(wrong, right, strict=True)) > 0.1


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
