"""Question: which rules are there, what do they say, and where does each come from?

Command:  python -m experiments.rule_table            prints the README's table
          python -m experiments.rule_table --write    puts it into README.md
Result:   layer | formula forward | formula backward | source | file, for every public operation,
          read off the docstrings; a test keeps the README's copy the same.
"""

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jaxcnn
from experiments.command_line import program

ROOT = Path(__file__).parent.parent
START, END = "<!-- rule table -->\n", "<!-- end of the rule table -->"


def public_operations() -> list[Callable[..., Any]]:
    """Every public function of jaxcnn that applies a rule, in the order of its contents."""
    return [
        value
        for value in vars(jaxcnn).values()
        if inspect.isfunction(value) and "rule" in inspect.signature(value).parameters
    ]


def row_of(op: Callable[..., Any]) -> str:
    """One line of the table, from a docstring that says: equation; Backward, …; Source: …"""
    text = inspect.getdoc(op) or ""
    forward = text.split("\n\n")[0]
    found = re.search(r"Backward, (?:with )?(.*?)\n\s*Source: (.*?)(?:\n\n|$)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{op.__name__}: docstring must have 'Backward, with …' and 'Source: …'")
    path = Path(inspect.getfile(inspect.unwrap(op))).relative_to(ROOT)
    cells = [f"`{op.__name__}`", forward, *found.groups(), f"[{path.name}]({path})"]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def table() -> str:
    """The whole table in Markdown."""
    head = "| layer | formula forward | formula backward | source | file |\n|---|---|---|---|---|"
    return "\n".join([head, *map(row_of, public_operations())]) + "\n"


def with_table(readme: str) -> str:
    """The README with the table between its two markers."""
    before, rest = readme.split(START)
    return before + START + table() + END + rest.split(END)[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.rule_table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    if parser.parse_args(arguments).write:
        path = ROOT / "README.md"
        path.write_text(with_table(path.read_text()))
        print(path)
    else:
        print(table(), end="")
    return 0


if __name__ == "__main__":
    program.run(main)
