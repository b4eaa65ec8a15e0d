"""The wheel, in an environment with nothing else: what it holds, and that it works."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, TOOLS = SETTINGS["project"], SETTINGS["tool"]
UNREACHABLE = r"connection|No matching distribution|Temporary failure|timed out"
TRIED = """
import sys
from importlib.metadata import distributions
import jax, jax.numpy as jnp, jaxcnn
assert "site-packages" in jaxcnn.__file__
x, kernel = jnp.arange(16.0).reshape(1, 4, 4, 1), jnp.ones((2, 2, 1, 1))
gradient = jax.jit(jax.grad(lambda kernel: jaxcnn.conv(x, kernel).sum()))(kernel)
assert gradient[0, 0, 0, 0] == 45, gradient
net = jaxcnn.models.lenet5()
params, state = net.init(jax.random.key(0), (32, 32, 1))
assert net.apply(params, state, jnp.ones((1, 32, 32, 1)))[0].shape == (1, 10)
print(" ".join(sorted(d.metadata["Name"] for d in distributions())))
"""


def run(*command, cwd):
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder
    )
    if built.returncode and re.search(UNREACHABLE, built.stderr, re.IGNORECASE):
        pytest.skip("no package index can be reached")
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_the_library_and_nothing_else(wheel):
    assert wheel.name == f"jaxcnn-{PROJECT['version']}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"jaxcnn", f"jaxcnn-{PROJECT['version']}.dist-info"}
    sources = {str(path.relative_to(ROOT)) for path in ROOT.glob("jaxcnn/**/*.py")}
    assert sources <= names
    assert any(name.endswith("/LICENSE") for name in names)


def test_it_works_where_nothing_else_is_installed(wheel, tmp_path):
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty/bin/python"
    same = [f"{name}=={version(name)}" for name in ("jax", "jaxlib", "numpy")]
    installed = run(python, "-m", "pip", "install", "-q", wheel, *same, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    tried = run(python, "-c", TRIED, cwd=tmp_path)
    assert tried.returncode == 0, tried.stderr
    there = set(tried.stdout.split())
    assert {"jax", "jaxlib", "jaxtyping", "jaxcnn"} <= there
    assert not there & {"flax", "optax", "torch", "matplotlib", "pytest"}
    checked = run(python, "-m", "jaxcnn.gradcheck", "--ops", "relu", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_source_distribution_holds_what_the_tests_read():
    """Besides pyproject.toml, which it always holds."""
    included = TOOLS["hatch"]["build"]["targets"]["sdist"]["include"]
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")]
    found = {top for text in texts for top in re.findall(r"\bROOT / \"([\w.-]+)", text)}
    assert found
    assert found - {"pyproject.toml"} <= set(included)
    assert all((ROOT / name).exists() for name in included)


def test_all_say_the_same_version():
    changelog, citation = (ROOT / "CHANGELOG.md").read_text(), (ROOT / "CITATION.cff").read_text()
    number, date = re.findall(r"^## (\d+\.\d+\.\d+), (\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)[
        0
    ]
    assert number == PROJECT["version"]
    assert f"\nversion: {number}\n" in citation
    assert f"\ndate-released: {date}\n" in citation


def test_every_hook_and_every_job_runs_what_ci_runs():
    hooks, ci = (ROOT / ".pre-commit-config.yaml").read_text(), (ROOT / ".ci/run").read_text()
    (lint,) = re.findall(r"lint, format, types\"\n((?: +\S+/bin/.*\n)+)", ci)
    commands = [line.strip().removesuffix(" .") for line in lint.splitlines()]
    assert commands == re.findall(r"entry: (.*)", hooks)
    jobs = (ROOT / ".github/workflows/ci.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', jobs) == re.findall(
        r"Python :: (3\.\d+)", str(PROJECT["classifiers"])
    )
    assert "bash .ci/run python${{ matrix.python }}" in jobs
