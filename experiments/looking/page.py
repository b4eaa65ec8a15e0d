"""report.html: one file with its pictures in it, readable from top to bottom, without a network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #1d2530; --faint: #5d6875; --line: #dde2e8; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 80rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 0 0 .3rem; }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
p { max-width: 44rem; margin: .4rem 0; }
section { margin: 1.6rem 0; padding-top: 1.2rem; border-top: 1px solid var(--line); }
code.formula { display: block; width: fit-content; max-width: 100%; white-space: pre-line;
  box-sizing: border-box;
  font: 15px/1.6 "STIX Two Math", "Cambria Math", ui-serif, Georgia, serif;
  background: #f4f6f9; border-left: 3px solid #0072b2; padding: .35rem .8rem; margin: .5rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: flex-start; }
figure { margin: 0; width: min(100%, 26rem); }
img { width: 100%; height: auto; display: block; }
small, .faint, figcaption { color: var(--faint); }
figcaption { font-size: .85rem; }
@media (min-width: 62rem) {
  section.shown { display: grid; grid-template-columns: minmax(14rem, 1fr) minmax(0, 54rem);
                  gap: 1.5rem; }
}
"""


Picture = tuple[str, str, bytes]  # name, what it shows, PNG


@dataclass(frozen=True)
class Section:
    """A heading, a few sentences, the formula, and pictures."""

    title: str
    text: str
    formula: str = ""
    pictures: Sequence[Picture] = ()
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
        kind = ' class="shown"' if section.pictures else ""
        parts.append(f"<section{kind}><div>")
        parts.append(f"<h{section.level}>{escape(section.title)}</h{section.level}>")
        if section.text:
            parts.append(f"<p>{escape(section.text)}</p>")
        if section.formula:
            parts.append(f'<code class="formula">{escape(section.formula)}</code>')
        parts.append("</div>")
        if section.pictures:
            parts += ['<div class="pictures">', *map(_figure, section.pictures), "</div>"]
        parts.append("</section>")
    return "\n".join([*parts, "</body></html>", ""])


def _figure(picture: Picture) -> str:
    _, description, image = picture
    encoded = base64.b64encode(image).decode("ascii")
    text = escape(description)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{encoded}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
