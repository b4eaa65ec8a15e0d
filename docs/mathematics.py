"""Formulas as docstrings write them, in Unicode, to MathML, which every browser draws by itself.

A docstring says prose and formulas in one sentence: `pieces` tells them apart, `mathml` reads one
formula. Letters side by side are a product, a name of several letters is a function, `_` and `^`
take what follows, a slash between two factors is a fraction, and `Σ_{…}` and `√(…)` are what they
look like.
"""

import re
import unicodedata
from collections.abc import Iterator
from html import escape

# Names of several letters that are one symbol.
NAMES = {
    "full", "dilate", "rot180", "upsample", "mean", "max", "min", "sign", "softmax", "sigmoid",
    "tanh", "ln", "exp", "log", "sin", "cos", "erf", "softplus", "scatter", "gather", "fold",
    "patches", "count", "mask", "size", "relu", "pad", "flip", "conv", "linear", "kh", "kw",
    "loss", "pool", "KL",
}  # fmt: skip
POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿᵖᵀˣᵃᵇᵏˢᵗ", "0123456789+−npTxabkst", strict=True))
INDICES = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙₓ", "0123456789+−ijknx", strict=True))
DOT = "\u0307"
ACCENTS = {"\u0302": "^", "\u0307": "˙", "\u0308": "¨", "\u0304": "¯"}
RELATIONS = "=<>≤≥≈≠∈≡←↦→:"
OPERATORS = "+−-·•⋆∗*⊙×±" + RELATIONS + ",;…∘"
BIG = {"Σ": "∑", "Π": "∏", "∫": "∫"}
CLOSING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⌊": "⌋", "⌈": "⌉"}
FRACTIONS = {"½": ("1", "2"), "¼": ("1", "4"), "⅓": ("1", "3")}
_SIGNS = set("∂δΣΠ∫√⋆•∗⟨⟩∈≤≥≠≈Φφγβμσεαλζωθηℓ½ΩΔ∞" + "".join(POWERS) + "".join(INDICES))


# Names that also stand without brackets, or as words in prose: their neighbours decide.
_BARE = {"ln", "tanh", "exp", "sin", "cos", "sign", "sigmoid", "mask", "size", "dt", "count"}
_SIDES = set("=+−·•⋆∗<>≤≥∈/")


# Prose and formulas -------------------------------------------------------------------------------


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """("prose" | "code" | "math", …) in order; together they are the text."""
    for i, part in enumerate(re.split(r"`([^`]*)`", text)):
        if i % 2:
            yield "code", part
        else:
            yield from _prose_and_math(part)


def _prose_and_math(text: str) -> Iterator[tuple[str, str]]:
    words = re.findall(r"\s+|[^\s]+", text)
    kinds = _kinds(words)
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
        yield "math", formula
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
        if opened and kinds[i] in ("between", "blank"):
            kinds[i] = "math"
        opened = opened + word if kinds[i] == "math" else ""
        if _closed(opened):
            opened = ""
    for i, word in enumerate(words):
        if word.isspace() and kinds[i] == "blank":
            sides = {kinds[j] for j in (i - 1, i + 1) if 0 <= j < len(words)}
            ended = i > 0 and re.search(r"[;:.,]$", words[i - 1])
            kinds[i] = "math" if sides == {"math"} and not ended else "prose"
    return ["prose" if kind == "between" else kind for kind in kinds]


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
    if re.search(r"[(\[^|·−/=<>+]", core) and not names and len(core) > 1:
        return "math"
    return "prose"


_SPACE = '<mspace width="0.17em"/>'
_THIN = f"{_SPACE}</mrow>"


# One formula --------------------------------------------------------------------------------------


def mathml(formula: str, *, block: bool = False) -> str:
    """The formula as a `<math>` element, with its own text as annotation."""
    display = ' display="block"' if block else ""
    body = "".join(_Reader(formula).row())
    note = f'<annotation encoding="text/plain">{escape(formula, quote=False)}</annotation>'
    return f"<math{display}><semantics><mrow>{body}</mrow>{note}</semantics></math>"


def _mo(sign: str, inside: str = "") -> str:
    """An operator; brackets grow with what is inside, if that is tall."""
    tight = ' lspace="0" rspace="0"' if sign in "|" else ""
    stretchy = "" if "<mfrac" in inside or "<munder" in inside else ' stretchy="false"'
    return f"<mo{tight}{stretchy}>{escape(sign)}</mo>"


class _Reader:
    """Reads a formula from left to right."""

    def __init__(self, text: str):
        self.text, self.at = unicodedata.normalize("NFC", text), 0

    def row(self, end: str = "") -> list[str]:
        """Factors up to the closing bracket `end`, or to the end of the formula."""
        parts: list[str] = []
        spaced = False
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == end:
                self.at += 1
                return parts
            if char.isspace():
                self.at += 1
                spaced = True
                continue
            if char == "/" and parts and self.text[self.at + 1 :].strip():
                self.at += 1
                below = _bare(self.below())
                parts.append(f"<mfrac>{_bare(parts.pop())}{below}</mfrac>")
            else:
                beside = bool(parts) and not parts[-1].startswith(("<mo>", "<mo "))
                new = self.factor()
                apart = spaced or re.match(r"<mrow><mi>\w\w", new)
                if (
                    beside
                    and apart
                    and not parts[-1].endswith(_THIN)
                    and not new.startswith(("<mo>", "<mo "))
                ):
                    new = f"<mrow>{_SPACE}{new}</mrow>"
                parts.append(new)
            spaced = False
        return parts

    def below(self) -> str:
        """What stands under a fraction: a factor, or a sum with its first term."""
        self.blank()
        summed = self.text[self.at] in BIG
        first = self.factor()
        self.blank()
        more = summed and self.at < len(self.text) and self.text[self.at] not in OPERATORS + ")"
        return f"<mrow>{first}{self.factor()}</mrow>" if more else first

    def blank(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def factor(self) -> str:
        """An atom with what stands above and below it."""
        big = self.text[self.at] in BIG
        lettered = self.text[self.at].isalpha()
        base, lower, upper = self.atom(), "", ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if lettered and char.isdecimal() and not lower:
                self.at += 1
                lower = f"<mn>{char}</mn>"
            elif char in INDICES:
                lower += _token(self.taken(INDICES))
            elif char in POWERS:
                upper += _token(self.taken(POWERS))
            elif char == "_":
                self.at += 1
                lower += self.script()
            elif char == "^":
                self.at += 1
                upper += self.script()
            elif char in "′'":
                self.at += 1
                upper += "<mo>′</mo>"
            else:
                break
        low, high = f"<mrow>{lower}</mrow>", f"<mrow>{upper}</mrow>"
        if lower and upper:
            return f"<msubsup>{base}{low}{high}</msubsup>"
        if lower:
            tag = "munder" if big or base in ("<mi>max</mi>", "<mi>min</mi>") else "msub"
            return f"<{tag}>{base}{low}</{tag}>"
        return f"<msup>{base}{high}</msup>" if upper else base

    def taken(self, table: dict[str, str]) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in table:
            self.at += 1
        return "".join(table[c] for c in self.text[start : self.at])

    def script(self) -> str:
        """What follows _ or ^: a bracket, or signs, letters and digits without a blank."""
        if self.text[self.at : self.at + 1] in ("{", "("):
            end = CLOSING[self.text[self.at]]
            self.at += 1
            return "".join(self.row(end))
        found = re.match(r"[−-]?\|[^|]*\||[−-]?[\w∞]+", self.text[self.at :])
        if found is None:
            return ""
        run = re.split("[" + "".join(POWERS) + "]", found[0])[0]
        self.at += len(run)
        return "".join(_Reader(run).row())

    def atom(self) -> str:
        """The smallest thing that stands by itself."""
        text, char = self.text, self.text[self.at]
        if char in CLOSING and char != "{":
            self.at += 1
            inner = "".join(self.row(CLOSING[char]))
            sides = (_mo(side, inner) for side in (char, CLOSING[char]))
            return f"<mrow>{next(sides)}<mrow>{inner}</mrow>{next(sides)}</mrow>"
        if char == "|" and "|" in text[self.at + 1 :]:
            self.at += 1
            return f"<mrow>{_mo('|')}<mrow>{''.join(self.row('|'))}</mrow>{_mo('|')}</mrow>"
        if char == "√":
            self.at += 1
            self.blank()
            return f"<msqrt>{_bare(self.factor())}</msqrt>"
        if char == "∂":
            self.at += 1
            of = self.factor() if self.at < len(text) and not text[self.at].isspace() else ""
            return f"<mrow><mo>∂</mo>{of}</mrow>"
        if char in FRACTIONS:
            self.at += 1
            above, below = FRACTIONS[char]
            return f"<mfrac><mn>{above}</mn><mn>{below}</mn></mfrac>"
        found = re.match(r"d(\w)/d(\w[0-9₀-₉ᵢⱼₖ]?)", text[self.at :])
        if found:
            self.at += len(found[0])
            above, below = (_token(part) for part in found.groups())
            return f"<mfrac><mrow><mi>d</mi>{above}</mrow><mrow><mi>d</mi>{below}</mrow></mfrac>"
        found = re.match(r"\d+(?:\.\d+)?(?:e−?\d+)?", text[self.at :])
        if found:
            self.at += len(found[0])
            return f"<mn>{found[0]}</mn>"
        return self.letters()

    def letters(self) -> str:
        """A name, a letter with its accent, or an operator."""
        found = re.match(r"[A-Za-z][A-Za-z0-9_]*", self.text[self.at :])
        name = found[0] if found else ""
        called = self.text[self.at + len(name) : self.at + len(name) + 1] == "("
        while name and name not in NAMES and "_" in name and not (called and len(name) > 4):
            name, called = name.rpartition("_")[0], False
        if name in NAMES or (called and len(name) > 2):
            self.at += len(name)
            if self.text[self.at : self.at + 1] == "(":
                return f"<mrow><mi>{name}</mi>{self.factor()}</mrow>"
            if self.text[self.at : self.at + 1] in ("_", "^", "′"):
                return f"<mi>{name}</mi>"
            return f"<mrow><mi>{name}</mi>{_THIN}"
        if len(name) > 3 or name in ("if", "or", "and"):
            self.at += len(name)
            return f"<mtext>&#160;{name}&#160;</mtext>"
        if self.text.startswith("+=", self.at):
            self.at += 2
            return "<mo>+=</mo>"
        char = self.text[self.at]
        self.at += 1
        if char in BIG:
            return f"<mo>{BIG[char]}</mo>"
        accent = self.text[self.at : self.at + 1]
        split = unicodedata.normalize("NFD", char + (accent if accent in ACCENTS else ""))
        if split[1:] == DOT:
            self.at += len(accent) if accent == DOT else 0
            both = unicodedata.normalize("NFC", split)
            return f'<mi mathvariant="normal" class="dotted">{both}</mi>'
        if accent in ACCENTS:
            self.at += 1
            return f"<mover accent='true'><mi>{char}</mi><mo>{ACCENTS[accent]}</mo></mover>"
        if len(split) == 2 and split[1] in ACCENTS:
            return f"<mover accent='true'><mi>{split[0]}</mi><mo>{ACCENTS[split[1]]}</mo></mover>"
        return f"<mi>{char}</mi>" if char.isalpha() else _mo(char)


def _token(run: str) -> str:
    return "".join(_Reader(run).row())


def _bare(part: str) -> str:
    """A factor without the brackets around all of it, which a fraction or a root makes idle."""
    part = re.sub(rf"^<mrow>{_SPACE}(.*)</mrow>$", r"\1", part)
    found = re.fullmatch(r"<mrow><mo[^>]*>\(</mo>(<mrow>.*</mrow>)<mo[^>]*>\)</mo></mrow>", part)
    return found[1] if found and _one(found[1]) else part


def _one(part: str) -> bool:
    """Whether the first element of the text is all of it."""
    depth = 0
    for found in re.finditer(r"<(/?)[a-z]+[^>]*?(/?)>", part):
        depth += -1 if found[1] else 0 if found[2] else 1
        if depth == 0:
            return found.end() == len(part)
    return False
