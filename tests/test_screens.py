"""One operation, one screen: a rule and its public function are short, and say things once."""

import ast
import inspect
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from test_architecture import public, rules

from jaxcnn.geometry import AdaptiveGeometry
from jaxcnn.gradcheck.cases import FIRST
from jaxcnn.ops import adaptive_pool, rule_of

OPS = sorted((Path(__file__).parent.parent / "jaxcnn/ops").glob("*.py"))
NAMES = "Huang|Gormley|Quan|Gwardys|Ray|LeCun|He et al|[12][089][0-9][0-9]"


def parsed(function):
    return ast.parse(Path(inspect.getfile(inspect.unwrap(function))).read_text()).body


def lines_of(node) -> tuple[int, int]:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)]), node.end_lineno


def block_of(rule) -> tuple[int, int]:
    """The first and the last line of a rule: function, passes, tangent and what registers them."""
    body = parsed(rule.__wrapped__)
    (at,) = [i for i, n in enumerate(body) if getattr(n, "name", "") == rule.__name__]
    start, end = lines_of(body[at])
    stem = "_" + rule.__name__.removesuffix("_map")
    for node in body[at + 1 :]:
        if isinstance(node, ast.FunctionDef):
            if node.name not in {f"{stem}_fwd", f"{stem}_bwd", f"{stem}_tangent"}:
                break
        elif not re.search(rf"\b{rule.__name__}\b", ast.unparse(node)):
            break
        end = node.end_lineno or end
    return start, end


def span(op):
    """From the rule's decorator to the end of the public function, helpers in between included.

    Where another operation's rule is applied, that rule and the public function.
    """
    rule = rule_of(op)
    sharing = [other for other in public() if rule_of(other) is rule]
    (node,) = [n for n in parsed(op) if getattr(n, "name", "") == op.__name__]
    start, end = lines_of(node)
    first, last = block_of(rule)
    if inspect.getfile(inspect.unwrap(op)) == inspect.getfile(rule.__wrapped__) and all(
        start <= lines_of(n)[0] or lines_of(n)[0] < first
        for n in parsed(op)
        if getattr(n, "name", "") in {other.__name__ for other in sharing}
    ):
        return end - first + 1
    return (last - first + 1) + (end - start + 1)


def test_an_operation_fits_a_screen():
    spans = {op.__name__: span(op) for op in public()}
    assert max(spans.values()) <= 110, spans
    assert sum(lines <= 60 for lines in spans.values()) >= 65, spans


def test_files_of_operations_stay_short():
    """4,500 lines for the 76 operations that there were then, and 40 for each one added since."""
    sizes = {path.name: len(path.read_text().splitlines()) for path in OPS}
    assert max(sizes.values()) <= 300, sizes
    most = 4500 + 40 * (len(public()) - 76)
    assert sum(sizes.values()) <= most, (sum(sizes.values()), most)


@pytest.mark.parametrize("op", public(), ids=lambda op: op.__name__)
def test_a_formula_and_its_source_are_said_once(op):
    """The rule says the map; the public function the backward pass and where both come from."""
    text = inspect.getdoc(op) or ""
    said = inspect.getdoc(rule_of(op)) or ""
    assert text.count("Source:") == 1
    assert "∂L/∂" not in said
    assert not re.search(NAMES, said)


def only_call(node):
    """The name of the function, if all that this one does is to return a call of it."""
    (*before, last) = node.body
    value = last.value if isinstance(last, ast.Return) else None
    if isinstance(value, ast.Tuple) and len(value.elts) == 1:
        (value,) = value.elts
    if before or not isinstance(value, ast.Call):
        return None
    return ast.unparse(value.func)


def test_a_backward_pass_that_is_another_rule_is_said_by_adjoints():
    """Only of maps that are linear can it be; where a choice is made on the way it is not."""
    named = {rule.__name__: rule for rule in rules()}
    found = {}
    for path in OPS:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_bwd"):
                called = only_call(node)
                if called in named:
                    stem = node.name.removeprefix("_").removesuffix("_bwd")
                    found[named.get(f"{stem}_map") or named[stem]] = called
    for rule in found:
        (op, *_) = [op for op in public() if rule_of(op) is rule]
        case = FIRST[op]
        f, (x,) = case.function(), case.arrays()
        (y,) = case.arrays(seed=2)
        assert not jnp.allclose(f(x + y), f(x) + f(y)), f"{rule.__name__} is linear: adjoints"
    assert len(found) < 5


def registered():
    """Every pair of maps that a file of operations calls each other's adjoint."""
    for path in OPS:
        module = import_module(f"jaxcnn.ops.{path.stem}")
        for node in ast.parse(path.read_text()).body:
            call = node.value if isinstance(node, ast.Expr) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "adjoints":
                pair = [getattr(module, ast.unparse(name)) for name in call.args]
                argument = sum(ast.literal_eval(keyword.value) for keyword in call.keywords)
                yield pytest.param(*pair, argument, id=ast.unparse(call))


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


SIZES = AdaptiveGeometry((5, 4), (2, 3))


def positions(x):
    return adaptive_pool.adaptive_max_pool_with_positions_map(x, SIZES)[1], SIZES


# What no public operation is called with.
INSIDE = {
    "gate_map": lambda: (normal(0, 3, 4), normal(1, 3, 4) > 0),
    "gather_at_positions_map": lambda: (normal(0, 2, 5, 4, 3), *positions(normal(0, 2, 5, 4, 3))),
}


def at_its_first_case(rule):
    """The arguments with which an operation calls its rule at its first case, if it is any's."""
    for op in public():
        if rule_of(op) is rule:
            calls = []

            def spy(*args, calls=calls):
                calls.append(args)
                return rule(*args)

            case = FIRST[op]
            replace(case, settings={**case.settings, "rule": spy}).function()(*case.arrays())
            return calls[0]
    raise LookupError(rule.__name__)


def inner(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    products = [a * b for a, b in pairs]
    return sum(p.sum() for p in products), sum(abs(p).sum() for p in products)


@pytest.mark.parametrize(("f", "g", "argument"), list(registered()))
def test_registered_adjoints_are_each_others_transpose(f, g, argument):
    """⟨f(x), y⟩ = ⟨x, g(y)⟩."""
    if f.__name__ == "mean_across_map":
        x, y = normal(0, 5, 3), normal(1, 5, 3)
        over = jax.vmap(lambda x: f(x, "places"), axis_name="places")
        left, size = inner(over(x), y)
        right, _ = inner(x, over(y))
    else:
        if f not in map(rule_of, public()) and f.__name__ not in INSIDE:
            f, g = g, f
        args = INSIDE[f.__name__]() if f.__name__ in INSIDE else at_its_first_case(f)
        arrays = f.without_settings(args)
        settings = [args[i] for i in f.nondiff_argnums]
        x, z = arrays[argument], f(*args)
        y = jax.tree.map(lambda a: normal(3, *a.shape), z)
        arrays[argument] = y
        left, size = inner(z, y)
        right, _ = inner(x, g(*g.arguments(settings, arrays)))
    assert abs(left - right) < 1e-12 * size
