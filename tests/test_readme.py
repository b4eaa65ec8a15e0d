"""The README keeps its promises: short, two commands, lines that run, the rule as it is."""

import ast
import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from docs.results import with_speed
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


def without_docstring(node):
    """What it says to Python, of a function without decorators and annotations."""
    if not isinstance(node, ast.FunctionDef):
        return ast.dump(node)
    start = 1 if ast.get_docstring(node) else 0
    return node.name, [a.arg for a in node.args.args], [ast.dump(n) for n in node.body[start:]]


def test_the_rule_shown_is_the_rule_in_the_file():
    """Function, residuals, backward pass, registration, in names that need no explanation."""
    (shown,) = [block for block in fences("python") if "_conv_bwd" in block]
    tree = ast.parse(shown)
    there = [without_docstring(node) for node in ast.parse(inspect.getsource(conv)).body]
    assert [type(node).__name__ for node in tree.body] == ["FunctionDef"] * 3 + ["Expr"] * 2
    assert all(without_docstring(node) in there for node in tree.body)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own = {"conv_map", "_conv_fwd", "_conv_bwd", "y", "delta_bias"} | arguments
    others = {"conv_input_grad_map", "conv_kernel_grad_map"}  # which the text below explains
    assert names - own - others == {"partial", "custom_rule", "product", "lowering", "jnp", "range"}


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (root / target).exists(), target
