"""Records of runs, and numbers and tables made of them."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent / "records"


def record(name: str) -> Any:
    """What docs/records holds under the name."""
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, value: Any) -> None:
    """Into docs/records, a thing in a line, so that changes can be seen."""
    path = RECORDS / f"{name}.json"
    path.write_text(_lines(value) + "\n", encoding="utf-8")
    print(path)


def _lines(value: Any, depth: int = 0) -> str:
    """JSON in which whatever holds nothing but numbers and words stands on one line."""
    inside = value.values() if isinstance(value, dict) else value
    if (
        depth == 2
        or not isinstance(value, dict | list)
        or not any(isinstance(part, dict | list) for part in inside)
    ):
        return json.dumps(value, ensure_ascii=False)
    space = "\n" + " " * (depth + 1)
    if isinstance(value, list):
        parts, ends = [_lines(part, depth + 1) for part in value], "[]"
    else:
        parts = [f"{json.dumps(name)}: {_lines(part, depth + 1)}" for name, part in value.items()]
        ends = "{}"
    return ends[0] + space + ("," + space).join(parts) + space[:-1] + ends[1]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """In Markdown, numbers to the right."""
    rule = "|---|" + ("---:|" if numbers else "---|") * (len(head) - 1)
    lines = ["| " + " | ".join(head) + " |", rule]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value: float) -> str:
    """Three digits at most where there is a fraction."""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.3f}" if value < 0.02 else text


def span(values: Sequence[float]) -> str:
    """The geometric mean, the smallest and the largest."""
    mean, *ends = map(number, values)
    return f"{mean} ({'–'.join(ends)})" if ends else mean


def duration(seconds: float) -> str:
    """In words."""
    if seconds < 90:
        return f"{seconds:g}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}\u00a0min {rest}\u00a0s" if rest else f"{minutes}\u00a0min"


def with_records(text: str) -> str:
    """A page in which `<!-- record: name -->` has become what was measured under that name."""

    def shown(found: re.Match[str]) -> str:
        (about,) = (r for r in (*record("systems"), *record("figures")) if r["name"] == found[1])
        spread = about.get("std", {})
        rows = [
            [what, f"{value:g}" + (f" ± {spread[what]:g}" if spread.get(what) else "")]
            for what, value in about["measured"].items()
        ]
        seeds = f"{about['seeds']} seeds, " if "seeds" in about else ""
        return f"On {seeds}{about['test']}:\n\n{table([about.get('question', ''), ''], rows)}"

    return re.sub(r"<!-- record: (\w+) -->", shown, text)
