"""The layout shows the architecture: imports go one way, rules are adjacent, nothing is missing."""

import ast
import dataclasses
import inspect
import re
import typing
from importlib import import_module
from pathlib import Path

import jax
import pytest
from mutation import all_mutants

import jaxcnn
from jaxcnn import interop, layers, ops
from jaxcnn.lowering import thresholds
from jaxcnn.rules import custom_rule
from jaxcnn.twins import TWINS

ROOT = Path(__file__).parent.parent
# A module may import from what stands to its right, and from its own group.
ORDER = [
    "experiments", "cases", "page", "models", "attribution", "interop", "backprop", "layers",
    "initializers", "rewriting", "drop-ins", "gradcheck", "twins", "swapping", "ops", "entry",
    "explanation", "rules", "primitive", "mapped", "tangents", "lowering", "compilation", "hints",
    "geometry", "pictures", "check",
]  # fmt: skip
MODULES = sorted(ROOT.glob("jaxcnn/**/*.py")) + sorted(ROOT.glob("experiments/**/*.py"))


def group_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] == "experiments":
        return "experiments"
    if parts[:2] == ["jaxcnn", "gradcheck"] and parts[2:3] in (["cases"], ["__main__"]):
        return "cases"  # of all operations, and imported on demand
    if parts[:2] == ["jaxcnn", "interop"] and parts[2:3] in (["arguments"], ["conv"], ["pool"]):
        return "drop-ins"  # functions; what else is in that folder knows of networks
    return parts[1] if parts[0] == "jaxcnn" and len(parts) > 1 else None


def imported(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        yield from imported_by(node)


def imported_by(node: ast.AST):
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        if node.module != "jaxcnn.interop":
            yield node.module
        if node.module in ("jaxcnn", "jaxcnn.ops", "jaxcnn.lowering", "jaxcnn.interop"):
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path):
    here = group_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if here not in ORDER:
        return
    for module in imported(path):
        there = group_of(module)
        if there in ORDER:
            assert ORDER.index(there) >= ORDER.index(here), f"{path.name} imports {module}"


def test_twins_share_nothing_with_what_they_are_compared_with():
    """A fault of the lowering would be on both sides."""
    for path in ROOT.glob("jaxcnn/twins/*.py"):
        assert not {m for m in imported(path) if m.startswith("jaxcnn.lowering")}, path.name


def test_scripts_stand_at_the_top_and_what_they_share_in_packages():
    scripts = {path.stem for path in ROOT.glob("experiments/*.py")} - {"__init__"}
    for name in scripts:
        assert f"python -m experiments.{name}" in (ROOT / f"experiments/{name}.py").read_text()
    for path in ROOT.glob("experiments/*/*.py"):
        used = {f"experiments.{name}" for name in scripts} & set(imported(path))
        assert not used, f"{path.relative_to(ROOT)} imports a script: {used}"
        assert "\nQuestion:" not in f"\n{ast.get_docstring(ast.parse(path.read_text()))}", path
    described = (ROOT / "experiments/README.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)\.py`", described, re.MULTILINE))
    assert rows == scripts
    for path in ROOT.glob("experiments/*/__init__.py"):
        assert f"| `{path.parent.name}/` |" in described


def test_the_library_depends_on_jax_and_jaxtyping_only():
    allowed = {"jax", "jaxlib", "jaxtyping", "numpy", "jaxcnn"}
    # By the folder whose business it is, inside functions; or in modules imported by such.
    extra = {"onnx": {"onnx", "google"}, "native": {"llvmlite"}, "weights": {"torch"}}
    import sys

    for path in sorted(ROOT.glob("jaxcnn/**/*.py")):
        for module in imported(path):
            top = module.split(".")[0]
            known = top in allowed or top in sys.stdlib_module_names
            assert known or top in extra.get(path.parent.name, ()), f"{path.name}: {module}"
        for node in ast.parse(path.read_text()).body:
            for module in imported_by(node):
                assert module.split(".")[0] not in {"onnx", "google", "torch"}, (
                    f"{path.name} at once"
                )


def rules():
    return [rule for rule in TWINS if isinstance(rule, custom_rule)]


def test_every_rule_has_a_twin():
    modules = [import_module(f"jaxcnn.ops.{path.stem}") for path in ROOT.glob("jaxcnn/ops/*.py")]
    found = {r for module in modules for r in vars(module).values() if isinstance(r, custom_rule)}
    assert found == set(rules()) == set(TWINS)


def test_every_operation_has_a_public_name():
    modules = [import_module(f"jaxcnn.ops.{path.stem}") for path in ROOT.glob("jaxcnn/ops/*.py")]
    found = {f for module in modules for f in vars(module).values() if inspect.isfunction(f)}
    told = {f.__name__ for f in found if "Source: " in (f.__doc__ or "")}
    assert told == {op.__name__ for op in public()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.__name__)
def test_a_rule_has_both_modes(rule):
    assert all(map(callable, (rule.fwd, rule.bwd, rule.tangent)))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.__name__)
def test_a_rule_that_is_written_out_stands_together(rule):
    """function, _fwd, _bwd, perhaps _tangent, then at once what registers them."""
    name = rule.__name__
    stem = "_" + name.removesuffix("_map")
    source = Path(inspect.getfile(rule.__wrapped__)).read_text()
    if f"def {stem}_fwd(" not in source:
        return  # of a kind
    block = r"\([^\n]*\n(?:    [^\n]*\n|\n(?=    ))*\n\n"
    pattern = (
        rf"\ndef {name}\(.*?\n\n\ndef {stem}_fwd{block}def {stem}_bwd{block}"
        rf"(?:def {stem}_tangent{block})?{name}\.defvjp\(\s*{stem}_fwd, {stem}_bwd\s*\)\n"
    )
    assert re.search(pattern, source, re.DOTALL)


def public():
    return [
        op
        for op in vars(jaxcnn).values()
        if inspect.isfunction(op) and "rule" in inspect.signature(op).parameters
    ]


def drop_ins():
    functions = [f for name, f in vars(interop).items() if inspect.isfunction(f) and name[0] != "_"]
    return [f for f in functions if group_of(f.__module__) == "drop-ins"]


@pytest.mark.parametrize("op", public() + drop_ins(), ids=lambda op: op.__name__)
def test_public_docstrings_give_equation_backward_source_and_arguments(op):
    text = inspect.getdoc(op) or ""
    assert " = " in text.splitlines()[0]
    assert "Backward" in text
    assert text.count("Source:") == 1
    entries = re.findall(r"^    ([\w, ]+): ", text.partition("Args:")[2], re.MULTILINE)
    named = {name for entry in entries for name in entry.split(", ")}
    settings = {name for name, hint in typing.get_type_hints(op).items() if not is_array(hint)}
    assert settings - SAID_ONCE <= named, settings - SAID_ONCE - named


# Settings that `jaxcnn.ops` explains for all operations. What an array is, its shape says.
SAID_ONCE = {"rule", "reduction", "return"}


def is_array(hint) -> bool:
    return any(hasattr(part, "dim_str") for part in parts_of(hint))


def raises(node) -> bool:
    """Whether it raises errors of its own, or looks at the values of an array to do so."""
    return any(isinstance(part, ast.Raise) for part in ast.walk(node)) or bool(called(node) & LOOK)


def called(node) -> set[str]:
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    return {ast.unparse(function).split(".")[-1] for function in calls}


# Functions that look at the values of an array to raise an error.
LOOK = {"concrete_range", "_places", "_check_classes"}


def test_what_looks_at_values_is_called_by_operations():
    assert not LOOK - set().union(*(called(ast.parse(inspect.getsource(op))) for op in public()))


@pytest.mark.parametrize("op", public() + drop_ins(), ids=lambda op: op.__name__)
def test_public_docstrings_name_the_errors_that_are_their_own(op):
    """Those that every operation raises are said once, in `jaxcnn.ops`."""
    text = inspect.getdoc(op) or ""
    if op in drop_ins() or raises(ast.parse(inspect.getsource(op))):
        assert "Raises:" in text
    assert all(
        word in (ops.__doc__ or "") for word in ("TypeError", "ValueError", "`rule`", "`reduction`")
    )


def parts_of(annotation):
    """An annotation and all that it is made of."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from parts_of(part)


# A pytree of arrays of any shapes.
TREES = {"weight_decay: params", "weight_decay_map: params"}


@pytest.mark.parametrize("op", public() + rules() + drop_ins(), ids=lambda op: op.__name__)
def test_signatures_give_the_shape_of_every_array(op):
    """As `help` shows them with the docstring: Float[Array, "n h w c"], never a bare Array."""
    annotations = typing.get_type_hints(getattr(op, "__wrapped__", op))
    assert annotations.keys() == {*inspect.signature(op).parameters, "return"}
    for name, annotation in annotations.items():
        parts = list(parts_of(annotation))
        assert jax.Array not in parts, name
        shaped = any(hasattr(part, "dim_str") for part in parts)
        assert shaped or name != "return"
    first, *_ = annotations
    if f"{op.__name__}: {first}" not in TREES:
        assert any(hasattr(part, "dim_str") for part in parts_of(annotations[first])), first


def test_there_are_many_mutants_for_every_family():
    """60 deliberately wrong rules at least, and some for every file of operations."""
    mutants = all_mutants()
    names = {(mutant.name, mutant.of_tangent) for mutant in mutants}
    assert len(names) == len(mutants) >= 60
    files = {inspect.getfile(inspect.unwrap(op)) for op in public()}
    assert {inspect.getfile(inspect.unwrap(mutant.case.op)) for mutant in mutants} == files


def test_every_operation_with_a_formula_of_its_own_has_a_mutant():
    """That of a linear map or a selection is another rule, and tested as the adjoint."""
    owing = {op for op in public() if ops.rule_of(op).kind in ("slope", "loss", "written out")}
    caught = {mutant.case.rule for mutant in all_mutants()}
    assert not [op.__name__ for op in owing if ops.rule_of(op) not in caught]


def test_files_stay_readable():
    for path in MODULES:
        most = 300 if path.relative_to(ROOT).parts[0] == "jaxcnn" else 320
        assert len(path.read_text().splitlines()) <= most, path
    for path in (*ROOT.glob("tests/**/*.py"), *ROOT.glob("tests/**/*.txt")):
        assert max(map(len, path.read_text().splitlines()), default=0) <= 120, path


def test_all_thresholds_between_forms_are_in_one_file():
    """Each is used, and none stands beside the form that it is about."""
    names = [n for n, t in vars(thresholds).items() if isinstance(t, thresholds.Threshold)]
    assert len(names) > 30
    texts = [
        path.read_text()
        for name in ("convolution/*", "pooling/*", "kernels")
        for path in ROOT.glob(f"jaxcnn/lowering/{name}.py")
    ]
    for name in names:
        assert any(len(re.findall(rf"\b{name}\b", text)) > 1 for text in texts), name
    assert not [n for text in texts for n in re.findall(r"^[A-Z_, ]+ = -?\d.*", text, re.M)]


def test_a_layer_is_one_class_with_its_fields_in_view():
    kinds = [kind for kind in vars(layers).values() if isinstance(kind, type)]
    leaves = [kind for kind in kinds if issubclass(kind, layers.Leaf) and kind is not layers.Leaf]
    assert len(leaves) > 30
    for kind in leaves:
        assert kind.__mro__[1] is layers.Leaf, kind
        assert {field.name for field in dataclasses.fields(kind)} <= set(kind.__annotations__)


def test_tests_of_the_library_import_no_experiments():
    """Those that need both, be it through docs, stand in tests/experiments."""

    def reached(path: Path, seen: set[Path]):
        for module in () if path in seen else set(imported(path)):
            yield module
            beside = ROOT / f"{module.replace('.', '/')}.py"
            if module.startswith("docs.") and beside.exists():
                yield from reached(beside, seen | {path})

    for path in ROOT.glob("tests/**/*.py"):
        if "experiments" not in path.relative_to(ROOT / "tests").parts:
            found = reached(path, set())
            assert not [m for m in found if m.split(".")[0] == "experiments"], path.name
