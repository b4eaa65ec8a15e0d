"""Docstrings as Markdown: prose, code and formulas, arguments as a list."""

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from docs.prose import clauses, pieces


def escaped(prose: str) -> str:
    """Prose with nothing in it that Markdown would read as its own."""
    return re.sub(r"([\\*_\[\]<>#$~])", r"\\\1", prose)


def sentence(text: str, pages: Mapping[str, str] | None = None) -> str:
    """Prose, code and formulas on one line; code that has a page is linked to it.

    pages: from a name to the page that explains it, relative to the page that is written.
    """
    return _marked(pieces(" ".join(text.split())), pages)


def formula(text: str) -> str:
    """A formula that words hold together, on one line."""
    return _marked(clauses(text))


def _marked(pieces: Iterable[tuple[str, str]], pages: Mapping[str, str] | None = None) -> str:
    parts = []
    for kind, part in pieces:
        if kind == "math":
            parts.append(f"{{math}}`{part}`")
        elif kind == "code":
            name = part.removeprefix("jaxcnn.")
            link = (pages or {}).get(name)
            parts.append(f"[`{part}`]({link})" if link else f"`{part}`")
        else:
            parts.append(escaped(part))
    return "".join(parts)


def sections(thing: Any) -> dict[str, str]:
    """A docstring's parts by name: "" what comes first, "Args", "Raises", "Returns"."""
    text = inspect.getdoc(thing) or ""
    found = re.split(r"\n\n?(Args|Raises|Returns):\n", "\n" + text)
    return {"": found[0].strip(), **dict(zip(found[1::2], found[2::2], strict=True))}


def entries(block: str) -> list[tuple[str, str]]:
    """The name and the explanation of every argument of an "Args" block."""
    block = inspect.cleandoc("\n" + block)
    found = re.split(r"^(\S[^:\n]*(?::[^\s:][^:\n]*)?): ", block, flags=re.MULTILINE)
    return list(zip(found[1::2], (" ".join(t.split()) for t in found[2::2]), strict=True))


def listed(block: str, pages: Mapping[str, str] | None = None) -> str:
    """An "Args" or a "Raises" block as a list."""
    return "\n".join(
        f"- {', '.join(f'`{n.strip()}`' for n in name.split(','))}: {sentence(text, pages)}"
        for name, text in entries(block)
    )


def paragraphs(text: str, pages: Mapping[str, str] | None = None) -> str:
    """Paragraphs of a docstring; indented ones are code."""
    out = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            code = inspect.cleandoc("\n" + paragraph)
            out.append(f"```{_language(code)}\n{code}\n```")
        else:
            out.append(sentence(paragraph, pages))
    return "\n\n".join(out)


def _language(code: str) -> str:
    """Sketches with an ellipsis or an arrow in them are no Python."""
    try:
        ast.parse(code)
    except SyntaxError:
        return "text"
    return "python"


def signature_of(thing: Any, name: str) -> str:
    """As the file has it, its name as one calls it; of a dataclass its fields."""
    thing = inspect.unwrap(thing)
    if isinstance(thing, type):
        return f"{name}{_fields(thing)}"
    lines = inspect.getsource(thing).splitlines()
    (node,) = ast.parse(inspect.cleandoc("\n" + "\n".join(lines))).body
    if not isinstance(node, ast.FunctionDef):
        return name
    first = node.lineno - 1
    text = inspect.cleandoc("\n" + "\n".join(lines[first : node.body[0].lineno - 1]))
    text = re.sub(r"\s*# .*", "", text).rstrip().removesuffix(":")
    return re.sub(r"^def \w+", name, text)


def _fields(kind: type) -> str:
    """The arguments that make a value of a class, a line each."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return ""
    shown = []
    for parameter in parameters:
        default = parameter.default
        value = getattr(default, "__name__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(default))
        shown.append(parameter.name if default is parameter.empty else f"{parameter.name}={value}")
    line = f"({', '.join(shown)})"
    return line if len(line) < 70 else "(\n" + "".join(f"    {part},\n" for part in shown) + ")"
