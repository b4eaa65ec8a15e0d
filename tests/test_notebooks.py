"""The notebooks run as they are stored, where gradcheck finds every mistake, and solved."""

import ast
import contextlib
import io
import json
import re
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parent.parent / "docs/notebooks"
NOTEBOOKS = {
    "convolution": [
        "your ∂bias is that of a wrong rule which the tests know as “∂b: of one example”",
        "your ∂kernel is that of a wrong rule which the tests know as “∂k: flipped”",
        "your ∂x is that of a wrong rule which the tests know as “∂x: no rot180”",
        "your ∂x is that of a wrong rule which the tests know as “∂x: no zeros for the stride”",
    ],
    "rule": [
        "your ∂x is that of a wrong rule which the tests know as “sigmoid: y for y(1 − y)”",
        "your tangent is that of a wrong rule which the tests know as “softmax: the sum forgotten”",
        "your ∂x is that of a wrong rule which the tests know as “all ties receive the gradient”",
        "which the tests know as “softplus: order 2 takes x for a constant”",
    ],
    "model": [
        "your ∂x is that of a wrong rule which the tests know as “relu: passes at 0”",
        "this is the deconvolution of Zeiler and Fergus",
        "this is gradient × input",
    ],
}
each = pytest.mark.parametrize("name", NOTEBOOKS)
FENCE = re.compile(
    r"<details><summary>A solution</summary>\n\n```python\n(.*?)```\n\n</details>", re.S
)


def tagged(cell, tag):
    return tag in cell["metadata"].get("tags", ())


def programs(name, solved):
    """The code of every cell, with the solution below it in the place of an attempt, or not."""
    path = FOLDER / f"{name}.ipynb"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for n, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        if solved and tagged(cell, "exercise"):
            below = next(c for c in cells[n:] if c["cell_type"] == "markdown")
            (code,) = FENCE.findall("".join(below["source"]))
        yield code, cell


def printed(code, scope):
    """What a notebook shows below the cell: what is printed, and the value of a last expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(compile(tree, "cell", "exec"), scope)
        value = (
            None
            if last is None
            else eval(compile(ast.Expression(last.value), "cell", "eval"), scope)
        )
    if value is not None:
        html = getattr(value, "_repr_html_", None)
        shown.write(html() if html else repr(value))
    return shown.getvalue()


def run(name, solved, monkeypatch):
    """What the cells that check something show."""
    if name == "model":
        pytest.importorskip("flax.nnx", reason="flax is not installed (extra: peers)")
    monkeypatch.syspath_prepend(str(FOLDER))
    scope = {"__name__": "__main__"}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        shown = [(printed(code, scope), cell) for code, cell in programs(name, solved)]
    return [text for text, cell in shown if tagged(cell, "check")]


@each
def test_every_mistake_is_found_and_named(name, monkeypatch):
    shown = "\n".join(run(name, False, monkeypatch))
    assert "FAILED" in shown
    for sentence in NOTEBOOKS[name]:
        assert sentence in shown


@each
def test_the_solutions_pass_every_check(name, monkeypatch):
    for text in run(name, True, monkeypatch):
        assert "ok: " in text
        assert "FAILED" not in text
        assert "Hint:" not in text


def test_every_notebook_is_run_and_is_stored_without_results():
    paths = list(FOLDER.glob("*.ipynb"))
    assert {path.stem for path in paths} == set(NOTEBOOKS)
    for path in paths:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert len(cells) <= 25
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
