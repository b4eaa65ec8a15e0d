"""The worked examples: each number by hand, through the rules, by JAX, by differences."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import walkthrough
from experiments.worked import EXAMPLES, lines
from experiments.worked.steps import PLAIN, evaluate


@pytest.fixture(scope="module")
def tables():
    return {name: lines(example) for name, example in EXAMPLES.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_number_is_that_of_the_rules_and_of_jax(name, tables):
    for line in (*tables[name][0], *tables[name][1]):
        np.testing.assert_allclose(line.by_jax, line.by_hand, rtol=1e-13, atol=1e-15)
        assert line.by_jax.shape == line.by_hand.shape
        if EXAMPLES[name].with_rules:
            np.testing.assert_allclose(line.by_rules, line.by_hand, rtol=1e-13, atol=1e-15)


def test_there_are_261_numbers_in_11_examples(tables):
    """As the script's header says."""
    assert len(tables) == 11
    found = [line for both in tables.values() for part in both for line in part]
    assert sum(np.size(line.by_hand) for line in found) == 261


# What the lectures print, and what can be counted on paper.
PRINTED = {
    ("quiz1", "x"): 1208.38,
    ("quiz1", "z"): 809.71,
    ("ray-relu", "x"): [[0, 3], [0, 4]],
    ("ray-max-pool", "x"): [[0, 0, 3, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 4]],
    ("ray-conv", "K"): [[7, 0, 3], [2, -3, 0]],
    ("ray-network", "K"): [[2, 0], [0, 7]],
    ("huang", "y"): [0.5, -2, 4.25, -4.5, 1],
    ("logistic", "a"): 1 - 0.71095,  # t − y
    ("hidden1", "b"): 1 - 0.66551,
}


@pytest.mark.parametrize(("name", "quantity"), PRINTED)
def test_derivatives_are_those_on_paper(name, quantity, tables):
    (line,) = [line for line in tables[name][1] if line.quantity == quantity]
    np.testing.assert_allclose(line.by_hand, PRINTED[name, quantity], rtol=0, atol=6e-3)


def test_quiz_1_is_answer_e(tables):
    found = {line.quantity: round(float(line.by_hand)) for line in tables["quiz1"][1]}
    assert (found["x"], found["z"]) == (1208, 810)


@pytest.mark.parametrize("name", ["cosine", "hidden1"])
def test_central_differences_agree(name):
    """Gormley's finite differences, in every element of what is given."""
    example = EXAMPLES[name]
    _, derivatives = evaluate(example, PLAIN)
    for key, value in example.arrays.items():
        for index in np.ndindex(value.shape):
            results = []
            for step in (1e-6, -1e-6):
                moved = {k: np.array(v) for k, v in example.arrays.items()}
                moved[key][index] += step
                given = {k: jnp.asarray(v) for k, v in moved.items()}
                results.append(float(example.run(lambda name, value: value, PLAIN, given)))
            slope = (results[0] - results[1]) / 2e-6
            assert slope == pytest.approx(float(np.asarray(derivatives[key])[index]), abs=1e-8)


def test_the_tables_are_printed_with_their_formulas(capsys):
    assert walkthrough.main(["--only", "quiz1", "ray-conv"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"dy/dx = dy/da · z \+ dy/db · 1/x\s*│ 1208.38\s*│ –\s*│ 1208.38", text)
    assert re.search(
        r"δI = pad\(δJ\) ⋆ flip\(K\)\s*│  1  2  2 -5 │  1  2  2 -5 │  1  2  2 -5", text
    )
    assert text.splitlines()[-1].startswith("37 numbers, by hand and by machine, differ by")


def test_a_disagreement_ends_with_exit_code_1(monkeypatch):
    monkeypatch.setattr(PLAIN, "relu", lambda x: jnp.abs(x))
    assert walkthrough.main(["--only", "ray-relu"]) == 1
    monkeypatch.setattr(PLAIN, "relu", lambda x: x * jnp.nan)
    assert walkthrough.main(["--only", "ray-relu"]) == 1


def test_an_unknown_example_is_refused(capsys):
    assert walkthrough.main(["--only", "quiz3"]) == 2
    assert "hidden1, quiz2" in capsys.readouterr().err
