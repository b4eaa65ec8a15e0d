"""Vectors for other frameworks: read as the documentation reads them, they are PyTorch's too."""

import inspect
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import vectors
from jaxcnn.gradcheck.cases import CASES

TEXT = (Path(vectors.__file__).parent.parent / "docs/programs.md").read_text(encoding="utf-8")
THERE = "conv,depthwise_conv,relu,softmax_cross_entropy,conv_kernel_grad,max_unpool"
OPS = THERE + ",concatenate"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors")
    assert vectors.main(["--ops", OPS, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def cases(folder):
    return read(folder)


def read(folder):
    """By the reader of the documentation."""
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


# What PyTorch has not, defines otherwise or is off at: operation → which cases.
NOT_THERE = {
    "conv": lambda case: "input_dilation" in case.settings,
    **dict.fromkeys(
        ("max_pool", "max_pool_with_switches"),
        lambda case: case.settings.get("padding", 1) != 1,  # by half a window, evenly
    ),
    "avg_pool": lambda case: {"padding", "ceil_mode"} & set(case.settings),
    "patches": lambda case: len(case.shapes["x"]) != 4 or "dilation" in case.settings,
    "fold": lambda case: len(case.shapes["delta"]) != 4,
    "local_response_norm": lambda case: len(case.shapes["x"]) < 3,
    "celu": lambda case: case.settings["alpha"] == 0.3,  # its gradient is right to float32 only
}
NORMS = {"batch_norm", "batch_norm_inference", "layer_norm"}
OURS = {"rule", "method", "precision"}  # settings


def peers_of_vectors():
    """PyTorch's function for every operation that it has."""
    from generated import peers, torch_cases

    return peers.PEERS | torch_cases.PEERS


def compare_with_pytorch(cases):
    """How often, by operation, values, gradients and how these move are PyTorch's."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    from generated import torch_cases
    from test_against_torch import from_torch, to_torch
    from test_generated_torch import layout_of_argument, layout_of_result

    peers, seen = peers_of_vectors(), Counter()
    for found in cases:
        name, arrays, case = found["operation"], found["arrays"], CASES[found["number"]]
        if name not in peers or case.on_kinks or NOT_THERE.get(name, lambda _: False)(case):
            continue
        case = replace(case, settings={**defaults(case.op), **case.settings})
        if torch_cases.WITHOUT.get(name, lambda _: False)(case):
            continue
        peer = peers[name]
        last = "kernel" if name == "conv_kernel_grad" else layout_of_result(case, peer)
        lasts = {n: layout_of_argument(case, peer, n) for n in found["inputs"]}
        given = {n: to_torch(arrays[f"input.{n}"], lasts[n]) for n in lasts}
        fixed = {n: torch.tensor(arrays[f"fixed.{n}"]) for n in case.fixed}
        for n in peer.constant(case):
            fixed[n] = given.pop(n).detach()
        y = peer.function(case)(**given, **fixed)
        close(from_torch(y, last), arrays["value"], found["name"])
        delta = to_torch(arrays["cotangent"], last).detach()
        gradients = torch.autograd.grad(y, [*given.values()], delta, create_graph=True)
        for n, gradient in zip(given, gradients, strict=True):
            close(from_torch(gradient, lasts[n]), arrays[f"gradient.{n}"], found["name"])
        seen[name] += 1
        if len(given) < len(lasts) or (len({"scale", "bias"} & {*given}) == 1 and name in NORMS):
            continue  # PyTorch has no second derivative of a norm with one of both
        # How they move along a direction, as the gradient of their products with it.
        dots = [to_torch(arrays[f"direction.{n}"], lasts[n]).detach() for n in given]
        product = torch.stack([(g * d).sum() for g, d in zip(gradients, dots, strict=True)]).sum()
        if product.requires_grad:
            seconds = torch.autograd.grad(product, [*given.values()], allow_unused=True)
            for (n, x), second in zip(given.items(), seconds, strict=True):
                second = torch.zeros_like(x) if second is None else second + torch.zeros_like(x)
                close(from_torch(second, lasts[n]), arrays[f"second.{n}"], found["name"])
    return seen


def defaults(op):
    """Settings that the functions of PyTorch want to be told."""
    given = inspect.signature(op).parameters
    return {
        n: p.default
        for n, p in given.items()
        if p.default not in (None, p.empty) and p.kind is p.KEYWORD_ONLY and n not in OURS
    }


def close(mine, expected, name):
    np.testing.assert_allclose(mine, expected, 0, 1e-11, err_msg=name)


def test_pytorch_has_the_same_numbers(cases):
    seen = compare_with_pytorch(cases)
    assert set(seen) == set(THERE.split(","))


def test_a_value_without_axes_has_none(cases):
    means = [case for case in cases if case["settings"].get("reduction") == "mean"]
    assert {case["arrays"]["value"].shape for case in means} == {()}


@pytest.mark.full
def test_pytorch_reproduces_all_that_it_defines(tmp_path):
    assert vectors.main(["--out", str(tmp_path)]) == 0
    seen = compare_with_pytorch(read(tmp_path))
    print(f"{sum(seen.values())} vectors of {len(seen)} operations")
    assert {*seen} == {*peers_of_vectors()}
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2e6


def test_an_unknown_operation_and_a_folder_that_is_none(tmp_path, capsys):
    assert vectors.main(["--ops", "conv,foo", "--out", str(tmp_path)]) == 2
    assert "--ops must be names of operations, got foo" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert vectors.main(["--ops", "relu", "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written to" in capsys.readouterr().err
