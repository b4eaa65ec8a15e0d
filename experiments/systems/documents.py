"""Documents with a class each: docstrings of installed packages, or news and reviews by TFDS.

Docstrings are read from the source files, which are parsed and not run. They are split by file:
what a test document stands beside in its file is not among the training documents. Names that would
give the package away are masked.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.options import UserError

PACKAGES = ("numpy", "scipy", "matplotlib", "sklearn", "pandas", "jax")
TFDS = {"ag_news_subset": ("title", "description"), "imdb_reviews": ("text",)}

# What packages are called, besides their names: a word that holds one of these is masked.
ALIASES = {
    "numpy": ("np",),
    "scipy": ("sp",),
    "matplotlib": ("mpl", "plt", "pyplot"),
    "sklearn": ("scikit", "scikits"),
    "pandas": ("pd",),
    "jax": ("jnp",),
}
MASK = "package"
SPLIT = 1998  # which files are for testing is part of the experiment, whatever --seed is
SHORTEST = 20  # words: less says little
PADDING, UNKNOWN = 0, 1


class Documents(NamedTuple):
    """Words of each document, and its class."""

    words: list[list[str]]
    labels: np.ndarray


class Corpus(NamedTuple):
    """What to learn from, what to be judged by, and the names of the classes."""

    train: Documents
    test: Documents
    classes: tuple[str, ...]


def docstrings(packages: Sequence[str], train: int, test: int) -> Corpus:
    """So many docstrings of each package, `test` of them from files of their own.

    Raises:
        UserError: a package is not installed, or has too few docstrings.
    """
    parts: dict[str, list[tuple[list[str], int]]] = {"test": [], "train": []}
    masked = masked_words(packages)
    for label, package in enumerate(packages):
        files = iter(_source_files(package))
        for part, count in (("test", test), ("train", train)):
            found: list[list[str]] = []
            while len(found) < count and (path := next(files, None)) is not None:
                found += _docstrings_of(path, masked)
            if len(found) < count:
                raise UserError(
                    f"{package} has {len(found)} docstrings left for the {part} documents, "
                    f"expected {count} (of {SHORTEST} words at least)."
                )
            parts[part] += ((words, label) for words in found[:count])
    return Corpus(_documents(parts["train"]), _documents(parts["test"]), tuple(packages))


def _source_files(package: str) -> list[Path]:
    """In a fixed, shuffled order; tests are left out."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"--packages must be installed packages, {package} is not.")
    root = Path(spec.origin).parent
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if not {"tests", "_tests", "test", "testing"} & set(path.relative_to(root).parts)
    ]
    return [files[i] for i in np.random.default_rng(SPLIT).permutation(len(files))]


def _docstrings_of(path: Path, masked: re.Pattern[str]) -> Iterator[list[str]]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # templates that are no Python yet
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            words = words_of(ast.get_docstring(node) or "", masked)
            if len(words) >= SHORTEST:
                yield words


def masked_words(packages: Sequence[str]) -> re.Pattern[str]:
    """What matches a word that names one of the packages."""
    names = "|".join(rf"\w*{re.escape(package)}\w*" for package in packages)
    aliases = [alias for package in packages for alias in ALIASES.get(package, ())]
    return re.compile("|".join([names, *aliases]))


def words_of(text: str, masked: re.Pattern[str] | None = None) -> list[str]:
    """Lower-case words; those that name a package become one and the same word."""
    words = re.findall(r"[a-z]+(?:_[a-z]+)*", text.lower())
    if masked is None:
        return words
    return [MASK if masked.fullmatch(word) else word for word in words]


def _documents(pairs: Sequence[tuple[list[str], int]]) -> Documents:
    return Documents([words for words, _ in pairs], np.array([c for _, c in pairs], np.int32))


# TFDS ---------------------------------------------------------------------------------------------


def from_tfds(name: str, data_dir: Path | None) -> Corpus:
    """A prepared set of TFDS in its array_record format.

    Raises:
        UserError: it is not prepared in the folder.
    """
    import tensorflow_datasets as tfds

    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    builder: Any
    try:
        builder = tfds.builder(
            name, data_dir=None if folder is None else str(folder), file_format="array_record"
        )
        prepared = builder.is_prepared()
    except Exception as error:  # such as a folder prepared in another file format
        raise UserError(f"TFDS cannot use {name}: {str(error).splitlines()[0]}.") from error
    if not prepared:
        raise UserError(
            f"The data set {name} is not prepared in {builder.data_path}: set --data-dir or "
            "TFDS_DATA_DIR to a folder of prepared TFDS data (array_record)."
        )

    def read(split: str) -> Documents:
        examples = builder.as_data_source(split)
        pairs = []
        for example in examples:
            text = " ".join(_decoded(example[field]) for field in TFDS[name])
            pairs.append((words_of(text), int(example["label"])))
        return _documents(pairs)

    classes = tuple(builder.info.features["label"].names)
    return Corpus(read("train"), read("test"), classes)


def _decoded(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


# Numbers ------------------------------------------------------------------------------------------


def vocabulary(documents: Documents, size: int) -> dict[str, int]:
    """The most frequent words with their ids, from 2 on; of equals the first in the alphabet."""
    counts = Counter(word for words in documents.words for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: 2 + i for i, word in enumerate(ranked[: size - 2])}


def ids_of(documents: Documents, ids: dict[str, int], length: int) -> np.ndarray:
    """The first `length` words of each document as ids; 0 fills up, 1 is a word not known."""
    numbers = np.full((len(documents.words), length), PADDING, np.int32)
    for row, words in zip(numbers, documents.words, strict=True):
        known = [ids.get(word, UNKNOWN) for word in words[:length]]
        row[: len(known)] = known
    return numbers
