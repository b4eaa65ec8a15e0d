"""What every page is made of: one HTML file with its style, its scripts and its data in it."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_COMMON = ("painting.js", "view.js", "panel.js")


def shell(
    title: str, introduction: str, source: Path, data: Mapping[str, Any], also: Sequence[Path] = ()
) -> str:
    """The file, whose numbers come from `makeSource(data)` in the script `source`.

    Args:
        title: what stands above everything.
        introduction: a few sentences below it.
        source: a script that defines makeSource; view.js says what it returns.
        data: what makeSource is given, as JSON has it.
        also: scripts that come before that one.
    """
    scripts = [*(_HERE / name for name in _COMMON), *also, source]
    parts = {
        "TITLE": escape(title),
        "INTRODUCTION": escape(introduction),
        "STYLE": _text(_HERE / "style.css"),
        # Within a script only this could end it, or begin a comment.
        "DATA": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "SCRIPTS": "\n".join(map(_text, scripts)),
    }
    before, *rest = _text(_HERE / "page.html").split("{{")
    filled = [before]
    for piece in rest:
        name, _, after = piece.partition("}}")
        filled += [parts[name], after]
    return "".join(filled)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
