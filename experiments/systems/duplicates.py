"""Texts that say nearly the same: one of them is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

SHINGLE = 4  # words
NEAR = 0.5


def shingles(words: Sequence[str]) -> set[tuple[str, ...]]:
    """All runs of four words; Broder 1997, "On the resemblance and containment of documents"."""
    last = max(1, len(words) - SHINGLE + 1)
    return {tuple(words[i : i + SHINGLE]) for i in range(last)}


class Distinct:
    """Documents of which no two are near-duplicates.

    Two documents are if half of the shingles of either stand in the other: equal ones are, one that
    quotes the other at length is, and so are two that were made from one template.
    """

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._holders: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)

    def add(self, words: Sequence[str]) -> bool:
        """Take the document in, unless it is nearly one of those before it; whether it was."""
        own = shingles(words)
        common: Counter[int] = Counter()
        for shingle in own:
            common.update(self._holders.get(shingle, ()))
        if any(n >= NEAR * min(len(own), self._sizes[other]) for other, n in common.items()):
            return False
        for shingle in own:
            self._holders[shingle].append(len(self._sizes))
        self._sizes.append(len(own))
        return True
