"""Signs of other scripts and of typesetting in the plain signs that numbers and expressions are read from."""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import unicodedata
from functools import lru_cache

_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ", "0123456789+-=()nix", strict=True))
_SUB = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙₘₖₐₑₒₓᵢⱼ", "0123456789+-=()nmkaeoxij", strict=True))
_RAISED, _LOWERED = re.compile(f"[{''.join(_SUPER)}]+"), re.compile(f"[{''.join(_SUB)}]+")
_FRACTION_SIGN = re.compile(r"(?<=\d)\s*([¼-¾⅐-⅞↉])|([¼-¾⅐-⅞↉])")
_SIGNS = str.maketrans(
    {
        "−": "-", "‐": "-", "‑": "-", "–": "-", "⁄": "/", "∕": "/", "÷": "/", "º": "°", "˚": "°", "℃": "°C",
        "℉": "°F", "٫": ".", "٬": ",", "．": ".", "。": ".", "｡": ".", "∶": ":", "　": " ", "⋅": "·", "∙": "·",
        "•": "·",
        "✕": "×", "✖": "×", "➗": "/", "﹣": "-", "＄": "$", "￥": "¥", "￡": "£", "µ": "μ", "′": "'", "’": "'",
    }
)  # fmt: skip


def _fraction(match: re.Match[str]) -> str:
    sign = match[1] or match[2]
    return (" " if match[1] else "") + unicodedata.normalize("NFKC", sign).replace("⁄", "/")


@lru_cache(maxsize=65536)
def plain(text: str) -> str:
    """`text` with raised and lowered digits as ^{…} and _{…}, ½ as 1/2, and digits, letters and signs of other widths,
    scripts and alphabets of mathematics as the usual ones."""
    if text.isascii():
        return text
    text = _FRACTION_SIGN.sub(_fraction, text)
    text = _RAISED.sub(lambda m: "^{" + "".join(_SUPER[c] for c in m[0]) + "}", text)
    text = _LOWERED.sub(lambda m: "_{" + "".join(_SUB[c] for c in m[0]) + "}", text)
    return "".join(_plain_sign(c) for c in text.translate(_SIGNS))


def _plain_sign(c: str) -> str:
    if c.isascii():
        return c
    category, code = unicodedata.category(c), ord(c)
    if category == "Nd":
        return str(unicodedata.decimal(c))
    if category == "Cf":  # marks of direction, joiners: nothing to read
        return ""
    if 0xFF01 <= code <= 0xFF5E or 0x1D400 <= code <= 0x1D7FF:
        return unicodedata.normalize("NFKC", c)
    return c


def words(text: str) -> list[str]:
    """The words of a vocabulary that is written as a text."""
    return text.split()


def group_end(text: str, start: int) -> int:
    """The place after the bracket that closes the one at `start`; -1 where none does."""
    opening = text[start]
    closing = {"(": ")", "{": "}", "[": "]"}[opening]
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place + 1
    return -1
