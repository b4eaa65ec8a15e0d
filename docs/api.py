"""Signatures and docstrings of everything public that is no operation."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import jaxcnn
from docs.operations import operations
from docs.text import escaped, listed, paragraphs, sections, sentence, signature_of
from jaxcnn.ops import is_operation

MODULES = {
    name: getattr(jaxcnn, name)
    for name in re.findall(
        r"^from jaxcnn import (\w+) as \1$", inspect.getsource(jaxcnn), re.MULTILINE
    )
}


def api_pages() -> dict[str, str]:
    """A page for the top of the library and one for every module."""
    links = {operation.name: f"../rules/{operation.name}.md" for operation in operations()}
    pages = {
        f"api/{name}.md": _page(f"jaxcnn.{name}", module, links) for name, module in MODULES.items()
    }
    names = "\n".join(f"api/{name}" for name in ["jaxcnn", *MODULES])
    pages["api/jaxcnn.md"] = _page("jaxcnn", jaxcnn, links)
    pages["api.md"] = (
        "# API\n\nOperations have pages of their own: [](rules.md). "
        "Everything else that is public, by module:\n\n"
        + "\n".join(f"- [](api/{name}.md)" for name in ["jaxcnn", *MODULES])
        + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    )
    return pages


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module offers: what it defines or passes on, but other modules and operations."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", "").startswith("jaxcnn")
        if name[0] != "_" and own and not inspect.ismodule(value) and not is_operation(value):
            made_here = value.__module__ == module.__name__
            passed_on = getattr(module, "__file__", "").endswith("__init__.py")
            if callable(value) and (made_here or passed_on) and hasattr(value, "__name__"):
                yield name, value


def _page(title: str, module: ModuleType, links: dict[str, str]) -> str:
    first, *rest = (inspect.getdoc(module) or "").split("\n\n")
    parts = [f"# {title}", paragraphs(first, links), *(paragraphs(p, links) for p in rest)]
    parts += [_entry(title, name, value, links) for name, value in public(module)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _entry(module: str, name: str, value: Any, links: dict[str, str]) -> str:
    doc = sections(value)
    try:
        shown = signature_of(value, f"{module}.{name}")
    except (TypeError, ValueError):
        shown = f"{module}.{name}"
    parts = [f"## {escaped(name)}", f"```python\n{shown}\n```", paragraphs(doc[""], links)]
    for title in ("Args", "Returns", "Raises"):
        if title in doc:
            text = inspect.cleandoc("\n" + doc[title])
            shown_text = listed(text, links) or paragraphs(text, links)
            parts.append(shown_text if title == "Args" else f"{title}:\n\n{shown_text}")
    methods = [
        f"- `{name}{inspect.signature(method)}`: {sentence(sections(method)[''], links)}"
        for name, method in (vars(value).items() if isinstance(value, type) else ())
        if name[0] != "_" and inspect.isfunction(method) and method.__doc__
    ]
    parts.append("\n".join(methods))
    if is_dataclass(value) and isinstance(value, type) and "Args" not in doc:
        names = ", ".join(f"`{field.name}`" for field in fields(value) if field.init)
        parts.append(f"Fields: {names}." if names else "")
    return "\n\n".join(part for part in parts if part)
