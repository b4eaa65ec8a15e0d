"""Words of a text, and names of packages taken out of them, in whatever spelling they stand there.

A name is found in three ways, so that a class cannot be read off it:

1. the package's name anywhere in a word: jaxlib, numpydoc, matplotlibrc;
2. an alias as a whole word or as a part of one, between underscores or humps: np.zeros,
   mpl_toolkits, MplDeprecation;
3. a spelling of several words: scikit-learn, "scikit learn".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MASK = "package"

# An alias is here because it stands for the package itself, for a module of it under the name that
# everybody imports it by, or for something that is named after it.
ALIASES = {
    "numpy": (
        "np",  # import numpy as np
        "npy", "npz",  # its file formats, and npy_intp in its C names
        "nep",  # its enhancement proposals
    ),
    "scipy": ("sp",),  # import scipy as sp
    "matplotlib": (
        "mpl", "mplot",  # import matplotlib as mpl, mpl_toolkits.mplot3d
        "plt", "pyplot",  # import matplotlib.pyplot as plt
        "pylab",
    ),
    "sklearn": ("scikit", "scikits", "skl"),
    "pandas": ("pd",),  # import pandas as pd
    "jax": (
        "jnp", "jsp",  # import jax.numpy as jnp, jax.scipy as jsp
        "lax",  # from jax import lax
        "jep",  # its enhancement proposals
    ),
}  # fmt: skip
SPELLINGS = {"sklearn": (r"sci-?kits?[\s_.-]*learn",)}

_WORD = re.compile(r"[A-Za-z]+(?:_[A-Za-z]+)*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NOTHING = r"(?!)"


class Names(NamedTuple):
    """What is to be masked: names within words, parts of words, and spellings of several words."""

    packages: tuple[str, ...]
    aliases: frozenset[str]
    spellings: re.Pattern[str]

    def hide(self, word: str) -> bool:
        """Whether the word, as it was written, names one of the packages."""
        if any(package in word.lower() for package in self.packages):
            return True
        parts = {part.lower() for part in _PART.findall(word)}
        return word.lower() in self.aliases or not self.aliases.isdisjoint(parts)


def names_of(packages: Sequence[str]) -> Names:
    """Everything that names one of these packages."""
    spellings = [spelling for package in packages for spelling in SPELLINGS.get(package, ())]
    return Names(
        tuple(package.lower() for package in packages),
        frozenset(alias for package in packages for alias in ALIASES.get(package, ())),
        re.compile("|".join(spellings) or _NOTHING, re.IGNORECASE),
    )


def words_of(text: str, names: Names | None = None) -> list[str]:
    """Lower-case words; those that name a package become one and the same word."""
    if names is None:
        return _WORD.findall(text.lower())
    words = _WORD.findall(names.spellings.sub(f" {MASK} ", text))
    shown = {word: MASK if names.hide(word) else word.lower() for word in set(words)}
    return [shown[word] for word in words]
