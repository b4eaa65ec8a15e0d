"""What there is to say of every operation, read off its docstring, its rule and its tests."""

import ast
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jaxcnn
from docs.text import sections
from jaxcnn.gradcheck.cases import CASES
from jaxcnn.ops import is_operation, rule_of
from jaxcnn.twins import TWINS

ROOT = Path(__file__).parent.parent
SYMBOLS = {
    "kernel": "k", "weight": "W", "weights": "w", "bias": "b", "delta": "δ", "table": "T",
    "scale": "γ", "logits": "u", "parts": "x_i", "slope": "s",
}  # fmt: skip
DOT = "\u0307"


@dataclass(frozen=True)
class Place:
    """A stretch of a file."""

    path: str
    first: int
    last: int
    name: str = ""


@dataclass(frozen=True)
class Operation:
    """A public operation and its rule."""

    op: Callable[..., Any]

    @property
    def name(self) -> str:
        """As it is called."""
        return self.op.__name__

    @property
    def rule(self) -> Any:
        """The map that it applies."""
        return rule_of(self.op)

    @cached_property
    def parts(self) -> dict[str, str]:
        """Of its docstring."""
        return sections(self.op)

    @property
    def forward(self) -> str:
        """y = …"""
        return " ".join(self.parts[""].split("\n\n")[0].split())

    @cached_property
    def _backward_and_source(self) -> tuple[str, str]:
        pattern = r"Backward, (?:with )?(.*?)\n\s*Source: (.*?)(?:\n\n|$)"
        found = re.search(pattern, self.parts[""], re.DOTALL)
        if found is None:
            raise ValueError(f"{self.name}: docstring must have 'Backward, with …' and 'Source: …'")
        backward, source = (" ".join(part.split()) for part in found.groups())
        return backward, source

    @property
    def given(self) -> str:
        """What the backward formulas are given: δ = ∂L/∂y."""
        return self._backward_and_source[0].partition(": ")[0]

    @property
    def backward(self) -> list[str]:
        """∂x = …, a gradient or a remark each."""
        text = self._backward_and_source[0].partition(": ")[2]
        return re.split(r"[,;] (?=∂\w+ =|∂\w+\[|∂\w_)", text)

    @property
    def source(self) -> str:
        """Author, title, place."""
        return self._backward_and_source[1]

    @property
    def tangent(self) -> str:
        """ẏ = …: of the rule's kind, or as a tangent that is written out says it."""
        kind, result = self.rule.kind, "E" if self.forward.startswith("E") else "y"
        dot = f"{result}{DOT}"
        if kind == "slope":
            text = self.backward[0].replace("δ", f"x{DOT}").replace("g_", f"x{DOT}_")
            return re.sub(r"∂x", f"y{DOT}", text)
        if kind == "loss":
            symbols = dict.fromkeys(re.findall(r"∂([\w])(?= =)", self._backward_and_source[0]))
            if self.forward.count("(u)"):
                return f"{dot} = Σ δ u{DOT} + Σ ∂t t{DOT}"
            return f"{dot} = " + " + ".join(f"Σ ∂{s} {s}{DOT}" for s in symbols)
        if kind == "selection":
            return f"{dot} = gather(x{DOT}) at the same places"
        if kind in ("linear", "product"):
            return self._linear(dot)
        return self.rule.tangent.__doc__ or ""

    def _linear(self, dot: str) -> str:
        """The map itself, with each argument in which it is linear moved in turn."""
        names = [
            name
            for i, name in enumerate(inspect.signature(self.rule.fun).parameters)
            if i not in self.rule.nondiff_argnums
        ]
        symbols = [SYMBOLS.get(name, name[0]) for name in names]
        shown = self.rule.linear  # other arguments, such as a mask, go without saying
        more = ""
        if self.rule.kind == "product" and "bias" in names:
            more = f" + {'β' if 'scale' in names else 'b'}{DOT}"
        terms = []
        for moved in shown:
            given = [s[0] + DOT * (i == moved) + s[1:] for i, s in enumerate(symbols) if i in shown]
            terms.append(f"{self.name}({', '.join(given)})")
        return f"{dot} = {' + '.join(terms)}{more}"

    @cached_property
    def code(self) -> Place:
        """The public function, and its rule where it stands before it."""
        path = inspect.getfile(inspect.unwrap(self.op))
        start, end = _lines(Path(path), self.name)
        rule = self._rule
        if rule.path == str(Path(path).relative_to(ROOT)) and 0 < start - rule.first < 90:
            start = rule.first
        return Place(str(Path(path).relative_to(ROOT)), start, end)

    @property
    def _rule(self) -> Place:
        path = Path(inspect.getfile(self.rule.fun))
        first, last = _lines(path, self.rule.fun.__name__)
        end = last
        for node in _parsed(path).body:  # its passes, and what registers them
            if node.lineno > last and self.rule.fun.__name__.removesuffix("_map") in ast.unparse(
                node
            ):
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    break
                end = node.end_lineno or end
            elif node.lineno > last:
                break
        return Place(str(path.relative_to(ROOT)), first, end)

    @property
    def rule_code(self) -> Place | None:
        """The rule, where it does not stand before the public function."""
        rule = self._rule
        near = rule.path == self.code.path and self.code.first <= rule.first <= self.code.last
        return None if near else rule

    @property
    def twin(self) -> Place:
        """What it is compared with."""
        for path in sorted((ROOT / "jaxcnn/twins").glob("*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for i, line in enumerate(lines, 1):
                if re.search(rf"\b{self.rule.fun.__name__}: ", line):
                    named = getattr(inspect.unwrap(TWINS[self.rule]), "__name__", "")
                    first, last = _lines(path, named)
                    return Place(
                        str(path.relative_to(ROOT)), *((first, last) if last > 1 else (i, i))
                    )
        raise ValueError(f"{self.name}: no twin is in jaxcnn/twins")

    @property
    def cases(self) -> list[str]:
        """At which arguments it is checked."""
        return [case.name for case in CASES if case.op is self.op]

    @property
    def mutants(self) -> list[str]:
        """Deliberately wrong versions of its rule, all of which the checks catch."""
        return [name for op, name in _mutants() if op == self.name]

    @property
    def tests(self) -> list[Place]:
        """Test functions that call it."""
        return _calls().get(self.name, [])


def operations() -> list[Operation]:
    """All of them, in the order of the library's contents."""
    return [Operation(value) for value in vars(jaxcnn).values() if is_operation(value)]


def _lines(path: Path, name: str) -> tuple[int, int]:
    for node in _parsed(path).body:
        if getattr(node, "name", "") == name and isinstance(node, ast.FunctionDef):
            return min(
                [node.lineno, *(d.lineno for d in node.decorator_list)]
            ), node.end_lineno or 0
    return 1, 1


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _calls() -> dict[str, list[Place]]:
    """By the name of an operation, the tests that call it by `jc.name(…)` or `jaxcnn.name(…)`."""
    found: dict[str, list[Place]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in _parsed(path).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                place = Place(
                    str(path.relative_to(ROOT)), node.lineno, node.end_lineno or 0, node.name
                )
                names = {
                    part.attr
                    for part in ast.walk(node)
                    if isinstance(part, ast.Attribute)
                    and ast.unparse(part.value) in ("jc", "jaxcnn")
                }
                for name in names:
                    found.setdefault(name, []).append(place)
    return found


@cache
def _mutants() -> list[tuple[str, str]]:
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from mutation import all_mutants

        return [(mutant.case.op.__name__, mutant.name) for mutant in all_mutants()]
    finally:
        sys.path.pop(0)
