"""What the documentation answers to a new reader's five questions is so."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from docs import forms, tables
from docs.operations import operations
from docs.pages import rule_page
from experiments.command_line.presets import PRESETS
from jaxcnn.lowering import native

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_depthwise_convolution_of_equinox_is_computed_by_the_rules_and_kernels():
    pytest.importorskip("equinox", reason="equinox is not installed (extra: peers)")
    page = (DOCS / "tutorials/your_model.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n([^`]*groups=16.*?)```", page, re.DOTALL)
    scope: dict = {}
    shown = program.replace("gradients = ", "f = ").replace("(conv, jnp", "\nx = (jnp")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        jax.config.update("jax_enable_x64", False)
        try:
            exec(compile(shown, "your_model.md", "exec"), scope)
            (replaced,) = scope["loss"].explain(scope["conv"], scope["x"])
            found = jaxcnn.explain_forms(scope["f"], scope["conv"], scope["x"], backward=False)
        finally:
            jax.config.update("jax_enable_x64", True)
    assert replaced.by == "conv"
    assert {choice.map for choice in found} >= {"correlation", "kernel gradient"}
    expected = "depthwise" if native.obstacle() else "native"
    assert {choice.form.name for choice in found} == {expected}


def test_of_equal_maxima_the_first_receives_delta():
    x = np.zeros((1, 2, 4, 1))
    gradient = jax.grad(lambda x: jaxcnn.max_pool(x, 2).sum())(jnp.asarray(x))
    assert gradient[0, ..., 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    operation = next(o for o in operations() if o.name == "max_pool")
    assert "at the first maximum of each window" in rule_page(operation)


def test_a_layers_form_is_told_as_it_is_chosen_with_what_was_measured_beside_it():
    page = forms.forms_page()
    layer, types = forms.LAYERS["3×3, 16 channels"]
    _, _, section = page.partition("### 3×3, 16 channels\n")
    for jit in (jax.jit, jaxcnn.jit):
        told, _, section = section.partition("\n```\n")
        assert told.endswith(str(jaxcnn.explain_forms(jit(layer), *types)))
    lines = {line["row"]: line for line in tables.record("forms")["forms"]}
    for threshold in forms.numbers.__dict__.values():
        if isinstance(threshold, forms.numbers.Threshold):
            for row in (threshold.below, threshold.above):
                measured = lines.get(row)
                assert f"`{row}` {'**' if measured else 'not measured'}" in page


def test_the_command_beside_an_accuracy_is_one_that_there_is():
    for run in tables.record("trainings")["runs"]:
        assert run["preset"].split()[0] in PRESETS
