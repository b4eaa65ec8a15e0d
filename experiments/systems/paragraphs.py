"""A text with classes that needs no download: paragraphs of docstrings, by the package they are of.

Source files of installed packages are parsed and not run. What would give a class away is taken
out: names of the packages, their tests, code of others that they carry, and paragraphs that were
already seen, in whichever package. A split is by file, so that no test document stood beside a
training document.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

PACKAGES = ("numpy", "scipy", "matplotlib", "sklearn", "pandas", "jax")
OF_A_FILE = 40  # paragraphs, so that a split does not depend on a few long files
SHORTEST = 10  # words: less says little
ORDER = 1998  # of the files, in which they are read
_NAMES = re.compile(
    r"\b\w*(numpy|scipy|matplotlib|pyplot|pylab|sklearn|scikit([\s-]+learn)?|pandas|jax)\w*"
    r"|(?<![a-z])(npy?|npz|plt|mpl|pd|jnp|jsp|lax|sp)(?![a-z])",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"tests?|_?testing|_?(vendor|extern).*|array_api_(compat|extra)|cobyqa|pyprima"
)
_WORD = re.compile(r"[a-z]+|[^\w\s]")  # Kim 2014 takes signs as words, too


class Documents(NamedTuple):
    """Words of each document, its class, and the file that it is from."""

    words: list[tuple[str, ...]]
    labels: np.ndarray
    files: np.ndarray


def words_of(text: str) -> tuple[str, ...]:
    """Words in lower case and signs, without names of packages and without numbers."""
    return tuple(_WORD.findall(_NAMES.sub(" ", text).lower()))


def collect(packages: tuple[str, ...], per_class: int) -> Documents:
    """`per_class` distinct paragraphs of each package, or all that it has, file by file."""
    words: list[tuple[str, ...]] = []
    labels: list[int] = []
    files: list[str] = []
    seen: set[tuple[str, ...]] = set()
    for label, package in enumerate(packages):
        first = len(words)
        for path in _source_files(package):
            if len(words) - first == per_class:
                break
            new = [found for found in dict.fromkeys(_paragraphs(path)) if found not in seen]
            new = new[: min(OF_A_FILE, per_class - len(words) + first)]
            seen.update(new)
            words += new
            labels += [label] * len(new)
            files += [str(path)] * len(new)
    return Documents(words, np.array(labels, np.int32), np.array(files))


def _source_files(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if not any(_FOREIGN.fullmatch(part) for part in path.relative_to(root).parts)
    ]
    return [files[i] for i in np.random.default_rng(ORDER).permutation(len(files))]


def _paragraphs(path: Path) -> Iterator[tuple[str, ...]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:  # templates that are no Python yet
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                found = words_of(paragraph)
                if sum(word.isalpha() for word in found) >= SHORTEST:
                    yield found
