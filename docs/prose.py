"""Sentences of docstrings: what of them is prose, what code, and what a formula."""

import re
import unicodedata
from collections.abc import Callable, Iterator

from docs.mathematics import CLOSING, INDICES, NAMES, OPERATORS, POWERS

_SIGNS = set("∂δΣΠ∫√⋆•∗⟨⟩∈≤≥≠≈Φφγβμσεαλζωθηℓ½ΩΔ∞" + "".join(POWERS) + "".join(INDICES))
# Names that also stand without brackets, or as words in prose: their neighbours decide.
_BARE = {"ln", "tanh", "exp", "sin", "cos", "sign", "sigmoid", "mask", "size", "dt", "count"}
_SIDES = set("=+−·•⋆∗<>≤≥∈/")


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """("prose" | "code" | "math", …) in order; together they are the text."""
    for i, part in enumerate(re.split(r"`([^`]*)`", text)):
        if i % 2:
            yield "code", part
        else:
            yield from _prose_and_math(part, _kinds)


def clauses(formula: str) -> Iterator[tuple[str, str]]:
    """The same of a formula that words hold together, "∂x = δ at P, else 0": the rest is math."""
    return _prose_and_math(formula, _kinds_in_a_formula)


def _prose_and_math(
    text: str, kinds_of: Callable[[list[str]], list[str]]
) -> Iterator[tuple[str, str]]:
    words = re.findall(r"\s+|[^\s]+", text)
    kinds = kinds_of(words)
    run, kind = "", "prose"
    for word, found in zip(words, kinds, strict=True):
        if found == kind:
            run += word
        else:
            if run:
                yield from _trimmed(kind, run)
            run, kind = word, found
        if kind == "math" and re.search(r"[;:.]$|,$", word) and _closed(run):
            yield from _trimmed(kind, run)  # the end of a clause ends a formula
            run, kind = "", "prose"
    if run:
        yield from _trimmed(kind, run)


def _trimmed(kind: str, run: str) -> Iterator[tuple[str, str]]:
    """Without the punctuation and brackets of the sentence around it."""
    if kind == "prose":
        yield kind, run
        return
    found = re.fullmatch(r"(\s*)(.*?)([\s,;:.]*)", run, re.DOTALL)
    assert found is not None
    before, formula, after = found.groups()
    while formula and not _closed(formula) and formula[0] in "([":
        before, formula = before + formula[0], formula[1:]
    while formula and formula[-1] in ")]" and not _closed(formula):
        formula, after = formula[:-1], formula[-1] + after
    if before:
        yield "prose", before
    if formula:
        yield "math" if _closed(formula) else "prose", formula
    if after:
        yield "prose", after


def _closed(text: str) -> bool:
    return all(text.count(a) == text.count(b) for a, b in CLOSING.items())


def _kinds(words: list[str]) -> list[str]:
    """Of every word, by itself and by its neighbours: blanks, articles and operators."""
    kinds = [_kind(word) for word in words]

    def near(i: int) -> list[int]:
        return [j for j in (i - 2, i + 2) if 0 <= j < len(words)]

    for i, word in enumerate(words):
        beside = any({words[j][0], words[j][-1]} & _SIDES for j in near(i))
        before_a_word = i + 2 < len(words) and kinds[i + 2] == "prose"
        if word in ("a", "A", "I") and (before_a_word or not beside):
            kinds[i] = "prose"  # an article
    for i in [*range(len(words)), *reversed(range(len(words)))]:
        if kinds[i] == "between" and any(kinds[j] == "math" for j in near(i)):
            kinds[i] = "math"
    opened = ""
    for i, word in enumerate(words):
        # In the brackets of a function all is mathematics; in those of a sentence operators are.
        if opened and (kinds[i] in ("between", "blank") or re.search(r"[^\W\d]\(", opened)):
            kinds[i] = "math"
        opened = opened + word if kinds[i] == "math" else ""
        if _closed(opened):
            opened = ""
    return _with_blanks(words, ["prose" if kind == "between" else kind for kind in kinds])


def _kinds_in_a_formula(words: list[str]) -> list[str]:
    """Words of several letters are prose, but for names, and in brackets all is mathematics."""
    kinds, opened = [], ""
    for word in words:
        core, opened = word.strip(",;:"), opened + word
        spoken = opened == word and re.fullmatch(r"[A-Za-z]{2,}", core) and core not in NAMES
        opened = "" if _closed(opened) else opened
        blank = word.isspace() and not opened
        kinds.append("blank" if blank else "prose" if spoken else "math")
    return _with_blanks(words, kinds)


def _with_blanks(words: list[str], kinds: list[str]) -> list[str]:
    """A blank belongs to a formula if both sides do, and no clause ends before it."""
    for i, word in enumerate(words):
        if word.isspace() and kinds[i] == "blank":
            sides = {kinds[j] for j in (i - 1, i + 1) if 0 <= j < len(words)}
            ended = i > 0 and re.search(r"[;:.,]$", words[i - 1])
            kinds[i] = "math" if sides == {"math"} and not ended else "prose"
    return kinds


def _kind(word: str) -> str:
    if word.isspace():
        return "blank"
    core = word.strip("()[]{},;:.")
    if set(core) <= set(OPERATORS + "/…") or re.fullmatch(r"−?[\d.]+|\d+\)?[·/]?\d*", core):
        return "between"
    if core in _BARE and word[-1] not in ";:.":
        return "between"
    if '"' in word or "://" in word or not re.search(r"[^\W\d]|[²½∞]", core):
        return "prose"
    core = re.sub(r"[a-z][a-z0-9_]{2,}(?=\()", "F", core)  # whatever is applied to something
    names = {part for part in re.findall(r"[A-Za-z]+", core) if len(part) > 2} - NAMES
    if set(core) & _SIGNS or any(
        unicodedata.combining(c) for c in unicodedata.normalize("NFD", core)
    ):
        return "prose" if names and "∂" not in core else "math"
    if re.fullmatch(r"[A-Za-z]|[A-Za-z]+_[a-z0-9]{1,3}|[A-Za-z]′", core) and not names:
        return "math"
    if re.search(r"[({\[^|·−/=<>+]", core) and not names and len(core) > 1:
        return "math"
    return "prose"
