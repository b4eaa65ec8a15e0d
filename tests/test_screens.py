"""One operation, one screen: a rule and its public function are short, and say things once."""

import ast
import inspect
import re
import tokenize
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


def parsed(function):
    return ast.parse(Path(inspect.getfile(inspect.unwrap(function))).read_text()).body


def lines_of(node) -> tuple[int, int]:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)]), node.end_lineno


def block_of(name: str, body) -> list[ast.stmt]:
    """A function, or a rule with its passes, its tangent and what registers them."""
    stem = "_" + name.removesuffix("_map")
    names = {name, f"{stem}_fwd", f"{stem}_bwd", f"{stem}_tangent"}
    return [
        node
        for node in body
        if getattr(node, "name", "") in names
        or (isinstance(node, ast.Expr) and re.search(rf"\b{name}\b", ast.unparse(node)))
    ]


def reached(function, others: set[str]) -> list[ast.stmt]:
    """What its file defines and it needs, itself included, without what others are."""
    body = parsed(function)
    defined = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)} - others
    names, nodes = [function.__name__], []
    while names:
        for node in block_of(names.pop(), body):
            nodes.append(node)
            used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} & defined
            names += used
            defined -= used
    return nodes


def span(op):
    """The lines of the rule, of the public function, and of what both need of their files.

    With the two empty ones before each function. Other operations have a screen of their own.
    """
    rule = rule_of(op)
    others = {f.__name__ for other in public() for f in (other, rule_of(other))}
    nodes = {
        (inspect.getfile(f), node.lineno): node
        for f in map(inspect.unwrap, (rule.__wrapped__, op))
        for node in reached(f, others)
    }
    return sum(
        lines_of(node)[1] - lines_of(node)[0] + 1 + 2 * hasattr(node, "body")
        for node in nodes.values()
    )


# Operations that are longer than a screen, and how much at most.
LONG = {
    "softmax_cross_entropy": 258, "table_conv": 173, "local_response_norm": 145, "batch_norm": 143,
}  # fmt: skip


def test_an_operation_fits_a_screen():
    spans = {op.__name__: span(op) for op in public()}
    assert all(lines <= LONG.get(name, 110) for name, lines in spans.items()), spans
    assert sum(lines <= 60 for lines in spans.values()) >= 65, spans


def test_files_of_operations_stay_short():
    """4,500 lines for the 76 operations that there were then, and 40 for each one added since."""
    sizes = {path.name: len(path.read_text().splitlines()) for path in OPS}
    assert max(sizes.values()) <= 300, sizes
    most = 4500 + 40 * (len(public()) - 76)
    assert sum(sizes.values()) <= most, (sum(sizes.values()), most)


def docstrings(path):
    """Of the functions and classes of a file, public operations left out."""
    names = {op.__name__ for op in public()}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name not in names:
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.__name__)
def test_a_formula_is_said_once(rule):
    """By the public function; or, where no operation applies the rule, by the rule."""
    said = rule.__wrapped__.__doc__ or ""
    if rule in map(rule_of, public()):
        assert not re.match(r"[yzEVw](_\w+|\[\w\]+\])?(, \w+)? = ", said)
        assert "∂L/∂" not in said
    else:
        assert " = " in said.splitlines()[0]


def test_a_long_gradient_is_said_once():
    """Others of its family refer to it; those of the convolutions are short enough to repeat."""
    gradient = r"∂\w = \S*\((?:[^()]|\([^()]*\))*\)"
    texts = [" ".join((op.__doc__ or "").split()) for op in public()]
    found = [part for text in texts for part in re.findall(gradient, text) if len(part) > 35]
    assert len(found) == len(set(found)) > 0, found


def sources(path) -> set[str]:
    """The authors that the operations of a file name."""
    named = [op for op in public() if inspect.getfile(inspect.unwrap(op)) == str(path)]
    found = [re.search(r'Source: ([^"\d]*)', op.__doc__ or "") for op in named]
    return {word for one in found if one for word in re.findall(r"[A-Z][a-zé]+", one[1])}


@pytest.mark.parametrize("path", OPS, ids=lambda path: path.stem)
def test_a_source_is_named_once(path):
    """By the public function; a rule's docstring or a comment in the same file does not again."""
    with path.open("rb") as file:
        tokens = tokenize.tokenize(file.readline)
        comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    for said in (*docstrings(path), *comments):
        assert not sources(path) & set(re.findall(r"[A-Z][a-zé]+", said)), said


# What `jaxcnn.ops` says that every operation raises. Values can only be looked at where concrete.
ANYWHERE = (
    r"(do|does) not fit$|fit together|(shapes|axes|dtypes) differ|no matrix|no (spatial )?axis"
    r"|is negative|is (below|above) \d|outside [\[(]"
)


@pytest.mark.parametrize("op", public(), ids=lambda op: op.__name__)
def test_errors_that_all_operations_raise_are_said_once(op):
    raised = " ".join((op.__doc__ or "").partition("Raises:")[2].split())
    for clause in re.split(r", or |, (?!\d)|; |\. ", raised.removesuffix(".")):
        assert "concrete" in clause or not re.search(ANYWHERE, clause), clause


@pytest.mark.parametrize("op", public(), ids=lambda op: op.__name__)
def test_an_operation_names_its_source(op):
    assert (op.__doc__ or "").count("Source:") == 1


def another_rule(node, named) -> str | None:
    """The rule, if all that a backward pass does is to apply one to what it is given.

    Residuals may be unpacked before. Of what is made on the way, such as other settings, the
    transpose is no rule with the same arguments.
    """
    before, value = [], getattr(node, "body", None)
    if isinstance(node, ast.FunctionDef):
        (*before, last) = node.body
        value = last.value if isinstance(last, ast.Return) else None
    if isinstance(value, ast.Tuple) and len(value.elts) == 1:
        (value,) = value.elts
    unpacked = all(isinstance(s, ast.Assign) and isinstance(s.value, ast.Name) for s in before)
    if not unpacked or not isinstance(value, ast.Call) or ast.unparse(value.func) not in named:
        return None
    given = all(isinstance(argument, ast.Name | ast.Starred) for argument in value.args)
    return ast.unparse(value.func) if given else None


def said_otherwise(text: str) -> list[str]:
    """Rules of a file that apply another one backward, and do not say so by `adjoints`."""
    body = ast.parse(text).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    found = []
    for node in body:
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        call = node.value
        if re.fullmatch(r"linear|\w+\.defvjp", ast.unparse(call.func)):
            backward = functions.get(ast.unparse(call.args[-1]), call.args[-1])
            if another_rule(backward, {rule.__name__ for rule in rules()}):
                found.append(ast.unparse(call))
    return found


@pytest.mark.parametrize("path", OPS, ids=lambda path: path.stem)
def test_a_backward_pass_that_is_another_rule_is_said_by_adjoints(path):
    """Or by `selection`, where a choice is made on the way."""
    assert not said_otherwise(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "linear(pad_map, lambda pads, d: fold_back_map(d, pads))",
        "def _f_bwd(pads, _, d):\n    return (fold_back_map(d, pads),)\nf.defvjp(_f_fwd, _f_bwd)",
        "def _f_bwd(r, d):\n    (mask,) = r\n    return gate_map(d, mask)\nlinear(f, _f_bwd)",
    ],
)
def test_one_that_is_said_otherwise_is_found(text):
    assert said_otherwise(text)


def registered():
    """Every map that a file of operations calls linear, and the one called its adjoint, if any."""
    for path in OPS:
        module = import_module(f"jaxcnn.ops.{path.stem}")
        for node in ast.parse(path.read_text()).body:
            call = node.value if isinstance(node, ast.Expr) else None
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("adjoints", "linear"):
                f, g = (getattr(module, ast.unparse(name), None) for name in call.args)
                argument = sum(ast.literal_eval(keyword.value) for keyword in call.keywords)
                yield pytest.param(f, g if g in rules() else None, argument, id=ast.unparse(call))


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
    """⟨f(x), y⟩ = ⟨x, g(y)⟩; where g is no rule, it is the backward pass."""
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
        if g is None:
            (back,) = f.bwd(*settings, [], y)
        else:
            back = g(*g.arguments(settings, arrays))
        right, _ = inner(x, back)
    assert abs(left - right) < 1e-12 * size
