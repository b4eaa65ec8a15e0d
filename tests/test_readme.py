"""The README keeps its promises: short, two commands, lines that run, the rule as it is.

And what all documents have in common: links that hold, words that are spelled.
"""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from docs.results import with_speed
from jaxcnn.ops import conv

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    (*ROOT.glob("*.md"), *ROOT.glob("experiments/*.md"), *ROOT.glob("findings/*.md"))
)


def fences(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_quick_start_is_exactly_two_commands_of_one_line():
    commands = fences("sh")
    assert len(commands) == 2
    for command in commands:
        assert len(command.strip().splitlines()) == 1
        assert not command.startswith("#")
        assert "venv" in command
        assert "pip install" in command
    assert "-m experiments.train" in commands[0]
    assert "-m pytest" in commands[1]
    assert README.index("## Quick start") < README.index("```sh")


def test_it_is_short_and_has_no_long_table():
    assert len(README.encode()) <= 10_000
    tables = re.findall(r"(?:^\|.*\n)+", README, re.MULTILINE)
    assert len(tables) == 2
    assert max(table.count("\n") for table in tables) <= 12


def test_the_table_of_speed_is_that_of_the_record():
    assert with_speed(README) == README


def test_the_ten_lines_run():
    (source,) = [block for block in fences("python") if "models.lenet5" in block]
    scope = {}
    exec(compile(source, "README.md", "exec"), scope)
    images = np.ones((2, 32, 32, 1), np.float32)
    gradients = scope["gradients"](scope["params"], images, np.array([3, 7]))
    assert jax.tree.map(np.shape, gradients) == jax.tree.map(np.shape, scope["params"])


def test_the_lines_for_flax_run():
    pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")
    (source,) = [block for block in fences("python") if "with_rules" in block]
    scope = {}
    with jax.numpy_dtype_promotion("standard"):  # Flax promotes dtypes
        exec(compile(source, "README.md", "exec"), scope)
        found = scope["loss"].explain(scope["conv"], scope["images"])
    assert scope["gradients"].kernel.shape == (3, 3, 1, 8)
    assert np.isfinite(scope["gradients"].kernel[...]).all()
    assert [one.by for one in found] == ["conv", "max_pool"]


def without_annotations(node):
    """What it says to Python and to readers, of a function without decorators and annotations."""
    if not isinstance(node, ast.FunctionDef):
        return ast.dump(node)
    return node.name, [a.arg for a in node.args.args], [ast.dump(n) for n in node.body]


def test_the_rule_shown_is_the_rule_in_the_file():
    """Function, residuals, backward pass, registration, in names that need no explanation."""
    (shown,) = [block for block in fences("python") if "_conv_bwd" in block]
    tree = ast.parse(shown)
    there = [without_annotations(node) for node in ast.parse(inspect.getsource(conv)).body]
    assert [type(node).__name__ for node in tree.body] == ["FunctionDef"] * 3 + ["Expr"] * 2
    assert all(without_annotations(node) in there for node in tree.body)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own = {"conv_map", "_conv_fwd", "_conv_bwd", "y", "delta_bias"} | arguments
    others = {"conv_input_grad_map", "conv_kernel_grad_map"}  # which the text below explains
    assert names - own - others == {"partial", "custom_rule", "product", "lowering", "jnp", "range"}


# Those of the site have a test of their own, with what is made of them.
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not re.match(r"https?:", target):
            assert (path.parent / target).exists(), target


def test_words_are_spelled():
    """In all documents, and in docstrings and comments, of the tests too."""
    pytest.importorskip("codespell_lib", reason="codespell is not installed (extra: docs)")
    files = [*DOCUMENTS, ROOT / "docs", ROOT / "jaxcnn", ROOT / "experiments", ROOT / "tests"]
    command = [sys.executable, "-m", "codespell_lib", "--skip", "*.ipynb,*.js,*.json", *files]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == ""


def test_every_finding_has_one_line():
    """Which names versions that the script installs."""
    rows = (ROOT / "findings/README.md").read_text(encoding="utf-8").splitlines()
    found = dict(re.findall(r"^- \[\w+\]\((\w+\.sh)\): (.*\.)$", "\n".join(rows), re.MULTILINE))
    assert set(found) == {path.name for path in ROOT.glob("findings/*.sh")}
    assert sum(row != "" for row in rows[rows.index("", 2) :]) == len(found)
    for name, said in found.items():
        versions = re.findall(r"\d+\.\d+\.\d+", said)
        script = (ROOT / "findings" / name).read_text(encoding="utf-8")
        assert versions
        assert all(f"=={version}" in script for version in versions), name
