"""The notebooks as pages: what they say and the code to be run, without its results."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent / "notebooks"
LINE = (
    "{{download}}`This page is a notebook <{name}>`, whose exercises check themselves: "
    "run it in a copy of the repository, from `docs/notebooks`."
)


def notebook_pages() -> dict[str, str]:
    """Every notebook in Markdown, by the name of its page."""
    paths = sorted(FOLDER.glob("*.ipynb"))
    return {f"notebooks/{path.stem}.md": notebook_page(path) for path in paths}


def notebook_page(path: Path) -> str:
    """The cells one after the other, below the title where the file is to be had."""
    title, *cells = map(_shown, json.loads(path.read_text(encoding="utf-8"))["cells"])
    heading, _, text = title.partition("\n")
    return "\n\n".join([heading, LINE.format(name=path.name), text, *cells, ""])


def _shown(cell: dict) -> str:
    text = "".join(cell["source"])
    return f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
