"""Build the site: `python -m docs.build [FOLDER]`, by default build/docs; warnings are errors.

It needs the extra `docs`. Pages that are generated and those written by hand are put together in
FOLDER/source; open FOLDER/html/index.html, which needs no server and no connection.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write_sources(folder: Path) -> None:
    """All pages in Markdown, and what Sphinx needs beside them."""
    import jax

    from docs import comparison, pages
    from docs.api import api_pages
    from docs.examples import examples_page
    from docs.forms import forms_page
    from docs.notebook_pages import notebook_pages
    from docs.operations import operations
    from docs.results import results_page
    from docs.tables import with_records

    # Small programs, each run once: compiling them is all that takes time.
    jax.config.update("jax_disable_most_optimizations", True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "records")
    )
    shutil.copytree(ROOT / "experiments/pictures", folder / "pictures")
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        + (ROOT / "docs/conf.py").read_text(encoding="utf-8")
    )
    generated = {
        "rules.md": pages.rules_page(),
        "sources.md": pages.sources_page(),
        "differences.md": comparison.differences_page(),
        "results.md": results_page(),
        "programs.md": with_records((ROOT / "docs/programs.md").read_text(encoding="utf-8")),
        "fast.md": forms_page(),
        "tutorials/backpropagation.md": examples_page(),
        **{f"rules/{o.name}.md": pages.rule_page(o) for o in operations()},
        **notebook_pages(),
        **api_pages(),
    }
    for name, text in generated.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def build(folder: Path) -> int:
    """Write the sources and have Sphinx make HTML of them; Sphinx's exit code."""
    from sphinx.cmd.build import main as sphinx

    from docs.extension import write_code

    write_sources(folder / "source")
    options = ["-W", "--keep-going", "-q", "-b", "html"]
    code = sphinx([*options, str(folder / "source"), str(folder / "html")])
    if code == 0:
        files = [p for part in ("jaxcnn", "tests") for p in (ROOT / part).rglob("*.py")]
        write_code(ROOT, sorted(files), folder / "html")
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Build it and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m docs.build", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build/docs")
    folder = parser.parse_args(arguments).folder.resolve()
    code = build(folder)
    if code == 0:
        print(folder / "html/index.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
