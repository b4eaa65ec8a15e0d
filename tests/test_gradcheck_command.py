"""`python -m jaxcnn.gradcheck`: a line per operation; codes that tell right, off and refused."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import pytest

import jaxcnn
from jaxcnn.gradcheck import __main__ as command
from jaxcnn.gradcheck.cases.case import Case
from jaxcnn.ops import rule_of
from jaxcnn.rules import custom_rule


def test_right_rules_get_a_line_each_and_the_code_0(capsys):
    assert command.main(["--ops", "dense,tanh", "--platform", "cpu"]) == 0
    header, columns, *rows, end = capsys.readouterr().out.splitlines()
    assert f"jax {jax.__version__}" in header
    assert "cpu" in header
    assert "float64" in header
    assert columns.split() == ["value", "reverse", "forward", "second", "differences", "seconds"]
    assert [row.split()[0] for row in rows] == ["dense", "tanh"]
    for row in rows:
        *exact, differences, _ = map(float, row.split()[1:])
        assert max(exact) < 1e-10
        assert differences < 1e-6
    assert end == "off: 0 of 2 operations"


def test_float32_has_tolerances_of_its_own(capsys):
    assert command.main(["--ops", "conv,softmax", "--dtype", "float32"]) == 0
    header, *_ = capsys.readouterr().out.splitlines()
    assert header.endswith("float32")


@dataclass(frozen=True)
class Other(Case):
    """The case of an operation that, unlike its twin, takes another rule."""

    other: Any = None

    def function(self, *, twin: bool = False, seed: int = 1):
        return super().function(twin=True, seed=seed) if twin else partial(self.op, rule=self.other)


def examined(rule, capsys, monkeypatch):
    """The exit code and the lines about tanh with that rule, about relu, and the last one."""
    other = Other(jaxcnn.tanh, {"x": (2, 3)}, other=rule)
    monkeypatch.setitem(command.FIRST, jaxcnn.tanh, other)
    code = command.main(["--ops", "tanh,relu"])
    return code, *capsys.readouterr().out.splitlines()[-3:]


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_wrong_rule_is_named_with_its_worst_finding_and_the_code_is_1(mode, capsys, monkeypatch):
    right = rule_of(jaxcnn.tanh)
    wrong = custom_rule(right.fun, nondiff_argnums=right.nondiff_argnums)
    wrong.defvjp(right.fwd, right.bwd)
    wrong.tangent = right.tangent
    if mode == "reverse":
        wrong.defvjp(right.fwd, lambda *args: tuple(2 * gradient for gradient in right.bwd(*args)))
    else:
        wrong.tangent = lambda *args: 2 * right.tangent(*args)
    code, tanh, relu, end = examined(wrong, capsys, monkeypatch)
    assert code == 1
    assert "FAILED" in tanh
    assert "FAILED" not in relu
    assert end.startswith("off: 1 of 2 operations, worst tanh: FAILED: ")
    assert tanh.endswith(end.partition("tanh: ")[2])


def test_what_a_device_refuses_is_one_operation_off(capsys, monkeypatch):
    def refuses(x):
        raise NotImplementedError("no tanh here\nand a long trace")

    code, tanh, relu, end = examined(refuses, capsys, monkeypatch)
    assert code == 1
    assert tanh.endswith("NotImplementedError: no tanh here")
    assert "FAILED" not in relu
    assert end.endswith("NotImplementedError: no tanh here")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ops", "conv,sine"], "--ops must be names of .*; got 'sine'"),
        (["--ops", ""], "--ops must be names of .*; got ''"),
        (["--platform", "abacus"], "--platform must be one that JAX finds here, got abacus"),
    ],
)
def test_what_is_unknown_is_refused_in_one_sentence(arguments, told, capsys):
    assert command.main(arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    (line,) = captured.err.splitlines()
    assert re.match(told, line)
