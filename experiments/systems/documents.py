"""Documents with a class each: paragraphs of docstrings, or news and reviews by TFDS.

Docstrings of installed packages are read from the source files, which are parsed and not run; each
of their paragraphs is a document. They are split by file: what a test document stands beside in its
file is not among the training documents. Of documents that say nearly the same, in one package or
in two, one is kept, so that none is both trained on and tested on. Tests, and code that a package
carries but others wrote, are left out. Names that would give the package away are masked. Signs
and numbers count as words; "words" means them too.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.command_line.options import UserError
from experiments.data.loading import prepared
from experiments.runs.folder import package_version
from experiments.systems.duplicates import Distinct
from experiments.systems.masking import Names, names_of, tokens_of, words_of

PACKAGES = ("numpy", "scipy", "matplotlib", "sklearn", "pandas", "jax")
TFDS = {"ag_news_subset": ("title", "description"), "imdb_reviews": ("text",)}

ORDER = 1998  # of the files, in which they are read
OF_A_FILE = 40
SHORTEST = 10  # words: less says little
PADDING, UNKNOWN = 0, 1
TESTS = {"tests", "_tests", "test", "testing"}
VENDORED = {
    "_vendor", "vendor", "_vendored", "vendored", "extern", "_extern", "external", "_external",
    "externals", "third_party",
    # Under names of their own, in scipy and sklearn:
    "array_api_compat", "array_api_extra", "cobyqa", "pyprima",
}  # fmt: skip


_EMPTY_LINE = re.compile(r"\n\s*\n")


class Documents(NamedTuple):
    """Words and signs of each document, and its class."""

    words: list[list[str]]
    labels: np.ndarray


class Corpus(NamedTuple):
    """What to learn from, what to be judged by, and the names of the classes."""

    train: Documents
    test: Documents
    classes: tuple[str, ...]


class Collection(NamedTuple):
    """For each package its files, for each of them its paragraphs, no two nearly the same."""

    packages: tuple[str, ...]
    files: list[list[list[list[str]]]]


def collect(packages: Sequence[str], enough: int) -> Collection:
    """Paragraphs of each package, file by file, until there are enough or no more.

    Raises:
        UserError: a package is not installed.
    """
    names, distinct = names_of(packages), Distinct()
    collected = []
    for package in packages:
        files: list[list[list[str]]] = []
        for path in _source_files(package):
            if sum(map(len, files)) >= enough:
                break
            files.append(
                [tokens for tokens in _paragraphs_of(path, names) if distinct.add(words_of(tokens))]
            )
        collected.append(files)
    return Collection(tuple(packages), collected)


def divide(collection: Collection, train: int, test: int, split: int) -> Corpus:
    """`test` paragraphs of each package to be judged by, at most `train` others to learn from.

    No file is on both sides. One gives `OF_A_FILE` to the test at most, so that the test does not
    depend on a few files.

    Raises:
        UserError: a package has too few paragraphs.
    """
    tests: list[tuple[list[str], int]] = []
    trains: list[tuple[list[str], int]] = []
    for label, (package, files) in enumerate(zip(*collection, strict=True)):
        shuffled = np.random.default_rng([split, label]).permutation(len(files)).tolist()
        found: list[list[str]] = []
        while shuffled and len(found) < test:
            found += files[shuffled.pop()][:OF_A_FILE]
        rest = [words for file in shuffled for words in files[file]]
        if len(found) < test or not rest:
            have = sum(map(len, files))
            raise UserError(
                f"{package} has {have} paragraphs (of {SHORTEST} words at least, no two nearly "
                f"the same), too few for {test} test documents and others to learn from."
            )
        tests += ((words, label) for words in found[:test])
        trains += ((words, label) for words in rest[:train])
    return Corpus(_documents(trains), _documents(tests), collection.packages)


def versions_of(packages: Sequence[str]) -> dict[str, str | None]:
    """Of the installed packages; None where no distribution says that it holds the package."""
    distributions = metadata.packages_distributions()
    return {
        package: package_version(distributions.get(package, [package])[0]) for package in packages
    }


def _source_files(package: str) -> list[Path]:
    """In a fixed, shuffled order; tests and other people's code are left out."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a name with dots whose first part is no package
        spec = None
    # A module of one file lies beside everything else that is installed.
    if spec is None or spec.origin is None or not spec.submodule_search_locations:
        raise UserError(f"--packages must be installed packages, {package} is not.")
    root = Path(spec.origin).parent
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if not (TESTS | VENDORED) & set(path.relative_to(root).parts)
    ]
    return [files[i] for i in np.random.default_rng(ORDER).permutation(len(files))]


def _paragraphs_of(path: Path, names: Names) -> Iterator[list[str]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # templates that are no Python yet
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in _EMPTY_LINE.split(ast.get_docstring(node) or ""):
                tokens = tokens_of(paragraph, names)
                if len(words_of(tokens)) >= SHORTEST:
                    yield tokens


def _documents(pairs: Sequence[tuple[list[str], int]]) -> Documents:
    return Documents([words for words, _ in pairs], np.array([c for _, c in pairs], np.int32))


# TFDS ---------------------------------------------------------------------------------------------


def from_tfds(name: str, data_dir: Path | None, manual_dir: Path | None, length: int) -> Corpus:
    """A set that TFDS has prepared, or prepares now; the first `length` words of each text.

    No more is kept than these words, and each word once: 50,000 reviews fit in 50 MB.

    Raises:
        UserError: it is not prepared and cannot be.
    """
    builder = prepared(name, data_dir, manual_dir)

    def read(split: str) -> Documents:
        pairs = []
        for example in builder.as_data_source(split):
            text = " ".join(_decoded(example[field]) for field in TFDS[name])
            words = [sys.intern(word) for word in tokens_of(text)[:length]]
            pairs.append((words, int(example["label"])))
        return _documents(pairs)

    classes = tuple(builder.info.features["label"].names)
    return Corpus(read("train"), read("test"), classes)


def _decoded(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


# Numbers ------------------------------------------------------------------------------------------


def vocabulary(documents: Documents, size: int, length: int) -> dict[str, int]:
    """The words most frequent among the first `length` of each document, with ids from 2 on.

    Of equally frequent ones the first in the alphabet comes first.
    """
    counts = Counter(word for words in documents.words for word in words[:length])
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: 2 + i for i, word in enumerate(ranked[: size - 2])}


def ids_of(documents: Documents, ids: dict[str, int], length: int) -> np.ndarray:
    """The first `length` words of each document as ids; 0 fills up, 1 is a word not known."""
    numbers = np.full((len(documents.words), length), PADDING, np.int32)
    for row, words in zip(numbers, documents.words, strict=True):
        known = [ids.get(word, UNKNOWN) for word in words[:length]]
        row[: len(known)] = known
    return numbers
