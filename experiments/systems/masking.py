"""Words and signs of a text, and names of packages taken out of it, in whatever spelling.

Signs count as words do, since what a text is can show in how it is set: Kim 2014 takes them so too.
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
NUMBER = "0"  # every number: a version would give its package away

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

_TOKEN = re.compile(
    r"(?P<word>[A-Za-z]+(?:_[A-Za-z]+)*)|(?P<number>\d+)|(?P<sign>[^\w\s])(?P=sign)*"
)
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


def tokens_of(text: str, names: Names | None = None) -> list[str]:
    """Words in lower case, signs, and numbers, which are all the same.

    Of a row of equal signs three count: the lines under headings are of all lengths. Words that
    name a package become one and the same word.
    """
    if names is not None:
        text = names.spellings.sub(f" {MASK} ", text)
    tokens = [
        NUMBER if match["number"] else match[0][:3] if match["sign"] else match[0]
        for match in _TOKEN.finditer(text)
    ]
    hidden = {word for word in set(words_of(tokens)) if names is not None and names.hide(word)}
    return [MASK if token in hidden else token.lower() for token in tokens]


def words_of(tokens: Sequence[str]) -> list[str]:
    """Those that are words."""
    return [token for token in tokens if token[0].isalpha()]
