"""The README keeps its promises: two commands, the table of all rules, the rule as it is."""

import ast
import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.rule_table import public_operations, table
from jaxcnn.ops import conv

README = (Path(__file__).parent.parent / "README.md").read_text()


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


def test_the_table_lists_every_rule_as_its_docstring_has_it():
    assert table() in README
    for op in public_operations():
        assert f"| `{op.__name__}` |" in README


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


def test_the_rule_shown_is_the_rule_in_the_file():
    (shown,) = [block for block in fences("python") if "_conv_bwd" in block]
    source = inspect.getsource(conv)
    for wanted in ast.parse(shown).body:
        if isinstance(wanted, ast.FunctionDef):
            (real,) = [
                node
                for node in ast.parse(source).body
                if isinstance(node, ast.FunctionDef) and node.name == wanted.name
            ]
            start = 1 if ast.get_docstring(real) else 0
            assert [ast.dump(node) for node in real.body[start:]] == [
                ast.dump(node) for node in wanted.body[start:]
            ]


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (root / target).exists(), target
