"""Differences from other frameworks, as a page and as a section of every rule's page."""

from importlib.metadata import PackageNotFoundError, version

from docs.differences import BY_HAND, DIFFERENCES, PACKAGES, Difference, differences_of
from docs.operations import ROOT
from docs.text import escaped


def differences_page() -> str:
    """One table; who behaves as we do is there, too."""
    rows = []
    for row in DIFFERENCES:
        links = ", ".join(f"[{name}](rules/{name}.md)" for name in row.rules)
        cells = (
            _prose(row.what),
            _prose(row.jaxcnn),
            "; ".join(map(_prose, _told(row))),
            f"{links}; {_test_of(row.key)}",
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    hand = ", ".join(f"{name} {release}" for name, release in BY_HAND.items())
    return (
        "# Differences from other frameworks\n\nWhere the same words mean other numbers. Every row "
        "is run by its test with whatever frameworks are installed; it fails when one of them "
        f"changes. When this page was made there were {_installed()}. No extra of jaxcnn "
        f"installs {escaped(hand)}: what is told of them, marked *not tested here*, was run "
        "by hand with these releases from PyPI.\n\n"
        "| what | jaxcnn | others | rules; test |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def elsewhere(name: str) -> str:
    """What others do where they do not what an operation does."""
    rows = differences_of(name)
    if not rows:
        return (
            "## In other frameworks\n\n"
            "No row of the table of [differences](../differences.md) is about it."
        )
    lines = []
    for row in rows:
        lines.append(f"- {_prose(row.what)}\n  - here {_prose(row.jaxcnn)}")
        lines.extend(f"  - {_prose(other)}" for other in _told(row))
    return (
        "## In other frameworks\n\n" + "\n".join(lines) + "\n\nAll of them: [](../differences.md)."
    )


def _told(row: Difference) -> list[str]:
    """Who does what, with the release of those that no test asks."""
    shown = {name: f"{name} {release} (not tested here)" for name, release in BY_HAND.items()}
    return [f"{shown.get(name, name)}: {what}" for name, what in row.others.items()]


def _prose(text: str) -> str:
    """Escaped, but for code."""
    parts = text.split("`")
    return "`".join(part if i % 2 else escaped(part) for i, part in enumerate(parts))


def _installed() -> str:
    """The releases of the others here, and which are missing."""
    found = []
    for name, package in PACKAGES.items():
        try:
            found.append(f"{name} {escaped(version(package))}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _test_of(key: str) -> str:
    """A link to the test of a row."""
    for path in sorted((ROOT / "tests").glob("test_differences*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        if f"def test_{key}():" in lines:
            line = lines.index(f"def test_{key}():") + 1
            return f"{{test}}`{path.relative_to(ROOT)}:{line} test_{key}`"
    raise ValueError(f"{key}: no test_{key} is in tests/test_differences*.py")
