"""report.html: one file with its pictures in it, readable from top to bottom, without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1d2530; --faint: #5d6875; --line: #dde2e8; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .3rem; padding-top: 1.2rem;
     border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .2rem; }
p { max-width: 44rem; margin: .4rem 0; }
code.formula { display: block; width: fit-content; max-width: 100%; white-space: pre-line;
  font: 15px/1.6 "STIX Two Math", "Cambria Math", ui-serif, Georgia, serif;
  background: #f4f6f9; border-left: 3px solid #0072b2; padding: .35rem .8rem; margin: .5rem 0; }
figure { margin: .6rem 0; overflow-x: auto; }
img { max-width: 100%; height: auto; }
small, .faint { color: var(--faint); }
"""


@dataclass(frozen=True)
class Section:
    """A heading, a few sentences, the formula, and pictures (name, what it shows, PNG)."""

    title: str
    text: str
    formula: str = ""
    pictures: Sequence[tuple[str, str, bytes]] = ()
    level: int = 2


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The whole file."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        f'<h1>{escape(title)}</h1><p class="faint">{escape(introduction)}</p>',
    ]
    for section in sections:
        parts.append(f"<section><h{section.level}>{escape(section.title)}</h{section.level}>")
        if section.text:
            parts.append(f"<p>{escape(section.text)}</p>")
        if section.formula:
            parts.append(f'<code class="formula">{escape(section.formula)}</code>')
        for _, description, image in section.pictures:
            encoded = base64.b64encode(image).decode("ascii")
            parts.append(
                f'<figure><img alt="{escape(description)}" '
                f'src="data:image/png;base64,{encoded}"></figure>'
            )
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>", ""])
