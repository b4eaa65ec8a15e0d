"""The page on adding an operation, followed to the letter in a copy of the tree."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/adding.md").read_text(encoding="utf-8")
# Its number, the file, what is said, and the lines that go into the file.
STEPS = re.findall(
    r"^\*\*(\d)\. [^*]+\*\*, in `([^`]+)`(.*?)^```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)
ASKS = {number: re.findall(r"`(test_\w+)`", said) for number, _, said, _ in STEPS}


def test_an_activation_takes_seven_files_and_40_lines():
    assert [number for number, *_ in STEPS] == list("1234567")
    assert len({path for _, path, *_ in STEPS}) <= 7
    assert sum(len(lines.splitlines()) for *_, lines in STEPS) <= 40


def put(path: Path, lines: str) -> None:
    """Imports below the last one, rows at the end of the file's table, all else at its end."""
    text = path.read_text(encoding="utf-8")
    imports = "".join(re.findall(r"^from .*\n", lines, re.MULTILINE))
    last = [found.end() for found in re.finditer(r"^from .*\n", text, re.MULTILINE)][-1:] or [0]
    text = text[: last[0]] + imports + text[last[0] :]
    lines = lines.removeprefix(imports)
    if lines.endswith(",\n") and (table := re.search(r"^[\]}]", text, re.MULTILINE)):
        text = text[: table.start()] + textwrap.indent(lines, "    ") + text[table.start() :]
    else:
        text += lines
    path.write_text(text, encoding="utf-8")


@pytest.mark.full
def test_who_follows_the_page_is_led_from_step_to_step(tmp_path):
    """After each step the page's selection of tests fails by the one that asks for the next."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "runs"))
    (command,) = re.findall(r"^python (-m pytest .*)$", PAGE, re.MULTILINE)

    def selection() -> tuple[int, str]:
        run = f"'{sys.executable}' {command} -p no:cacheprovider"
        found = subprocess.run(run, shell=True, cwd=copy, capture_output=True, text=True)
        return found.returncode, found.stdout

    for number, path, _, lines in STEPS:
        if ASKS[number]:
            failed, told = selection()
            assert failed == 1, told
            for test in ASKS[number]:
                assert f"::{test}" in told, told
        put(copy / path, lines)
    failed, told = selection()
    assert failed == 0, told
    assert "::test" not in told
