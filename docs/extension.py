"""What Sphinx does not do by itself: formulas as MathML, links to files of the project."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docutils import nodes

from docs.mathematics import mathml


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer of formulas and the two roles."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.add_role("source", _source)
    app.add_role("test", _test)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: Any) -> None:
    writer.body.append(f'<div class="display">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def _source(
    role: str, raw: str, text: str, lineno: int, inliner: Any, *_: Any
) -> tuple[Sequence[Any], list[Any]]:
    """`path:line`: the file as the site shows it, at a line."""
    return [_link(text, text.removesuffix(":1"), inliner)], []


def _test(
    role: str, raw: str, text: str, lineno: int, inliner: Any, *more: Any
) -> tuple[Sequence[Any], list[Any]]:
    """`path:line name`: a test function by its name."""
    del role, raw, lineno, more
    place, _, name = text.partition(" ")
    return [_link(place, name.removeprefix("test_").replace("_", " "), inliner)], []


def _link(place: str, label: str, inliner: Any) -> Any:
    path, _, line = place.partition(":")
    page = inliner.document.settings.env.docname
    uri = f"{'../' * page.count('/')}code/{path}.html" + (
        f"#L-{line}" if line not in ("", "1") else ""
    )
    link = nodes.reference("", "", internal=False, refuri=uri)
    link["classes"].append("file")
    link += nodes.literal(label, label) if "." in label else nodes.Text(label)
    return link


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{path}</title><style>
body {{ margin: 1rem; font: 14px/1.4 monospace; background: #fff; color: #222; }}
a {{ color: inherit; text-decoration: none; }} a.home {{ text-decoration: underline; }}
pre {{ overflow-x: auto; }} .linenos {{ opacity: .5; padding-right: 1em; user-select: none; }}
:target {{ background: #ff08; }}
{light}
@media (prefers-color-scheme: dark) {{ body {{ background: #1a1c1e; color: #ddd; }} {dark} }}
</style></head><body><p><a class="home" href="{home}index.html">jaxcnn</a> / {path}</p>
{told}{code}</body></html>
"""


def write_code(root: Path, paths: Sequence[Path], folder: Path) -> None:
    """Every file as a page with numbered lines, below `folder`/code; links to what shows it."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer, TextLexer

    pages = _pages_of_files()
    styles = [
        HtmlFormatter(style=style).get_style_defs(".highlight").replace("background: #f8f8f8", "")
        for style in ("tango", "monokai")
    ]
    for path in paths:
        relative = path.relative_to(root)
        lexer = PythonLexer() if path.suffix == ".py" else TextLexer()
        formatter = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
        code = highlight(path.read_text(encoding="utf-8"), lexer, formatter)
        home = "../" * len(relative.parts)
        told = ", ".join(
            f'<a class="home" href="{home}{page}">{html.escape(name)}</a>'
            for page, name in pages.get(str(relative), {}).items()
        )
        page = PAGE.format(
            path=html.escape(str(relative)), light=styles[0], dark=styles[1], code=code,
            home=home, told=f"<p>see {told}</p>\n" if told else "",
        )  # fmt: skip
        target = folder / "code" / f"{relative}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")


def _pages_of_files() -> dict[str, dict[str, str]]:
    """For every file the pages that show or name something of it, each with what it is about."""
    from docs.operations import operations
    from docs.sources import formulas

    found: dict[str, dict[str, str]] = {}
    for operation in operations():
        places = [operation.code, operation.twin, *operation.tests]
        places += [operation.rule_code] if operation.rule_code else []
        for place in places:
            found.setdefault(place.path, {})[f"rules/{operation.name}.html"] = operation.name
    for anchor, source, formula in formulas():
        path, place = formula.test.partition("::")[0], f'{source.author}, "{formula.place}"'
        found.setdefault(path, {})[f"sources.html#{anchor}"] = place
    return found
