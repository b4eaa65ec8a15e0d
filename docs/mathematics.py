"""Formulas as docstrings write them, in Unicode, to MathML, which every browser draws by itself.

`docs.prose` tells formulas and prose apart, `mathml` reads one formula. Letters side by side are a
product, a name of several letters is a function, `_` and `^` take what follows, a slash between two
factors is a fraction, and `Σ_{…}` and `√(…)` are what they look like.
"""

import re
import unicodedata
from html import escape

# Names of several letters that are one symbol.
NAMES = {
    "full", "dilate", "rot180", "upsample", "mean", "max", "min", "sign", "softmax", "sigmoid",
    "tanh", "ln", "exp", "log", "sin", "cos", "erf", "softplus", "scatter", "gather", "fold",
    "patches", "count", "mask", "size", "relu", "pad", "flip", "conv", "linear", "kh", "kw",
    "loss", "pool", "KL",
}  # fmt: skip
POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁱⁿᵖᵀˣᵃᵇᵏˢᵗ", "0123456789+−()inpTxabkst", strict=True))
INDICES = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₖₙₓ", "0123456789+−ijknx", strict=True))
DOT = "\u0307"
ACCENTS = {"\u0302": "^", "\u0307": "˙", "\u0308": "¨", "\u0304": "¯"}
RELATIONS = "=<>≤≥≈≠∈≡←↦→:"
OPERATORS = "+−-·•⋆∗*⊙×±" + RELATIONS + ",;…∘"
BIG = {"Σ": "∑", "Π": "∏", "∫": "∫"}
CLOSING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⌊": "⌋", "⌈": "⌉"}
FRACTIONS = {"½": ("1", "2"), "¼": ("1", "4"), "⅓": ("1", "3")}

_SPACE = '<mspace width="0.17em"/>'
_THIN = f"{_SPACE}</mrow>"


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
