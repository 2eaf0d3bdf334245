"""Numbers as people and models write them, read exactly."""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_CHARS = 300
"""A text this long or longer is not a short answer, whatever it contains."""
MAX_EXPONENT = 400
RELATIVE_TOLERANCE = Fraction(1, 10_000)


@dataclass(frozen=True)
class Number:
    """A number as written: its value, its unit ("" for none), whether a percent sign stood there, and how exact it is.

    `decimals` is the number of digits after the point; None for whole numbers and fractions, which are exact.
    """

    value: Fraction
    unit: str = ""
    percent: bool = False
    decimals: int | None = None


_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_UNITS = {
    "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "centimeter": "cm", "centimetre": "cm",
    "square km": "sqkm", "sq km": "sqkm", "km2": "sqkm", "km²": "sqkm", "square kilometer": "sqkm",
    "square kilometre": "sqkm", "kilogram": "kg", "gram": "g", "year": "year", "yr": "year", "hour": "h", "hr": "h",
    "minute": "min", "second": "s", "sec": "s", "°": "degree", "deg": "degree",
}  # fmt: skip
_NO_UNIT = {"or", "and", "to", "of", "not", "x", "vs", "minus", "plus", "times", "over", "by", "than"}
_DIGITS = r"(?:\d{1,3}(?:[,'\u202f\u00a0 ]\d{3})+|\d+)"
_PLAIN = rf"(?P<whole>{_DIGITS})?(?:\.(?P<decimals>\d+)|\.)?(?:\s*(?:[eE]|(?:[x×*·]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{{?)\s*(?P<exponent>[+-]?\d{{1,6}})\}}?)?"  # noqa: E501
_NUMBER = re.compile(
    r"(?P<sign>[+-])?\s*[$€£¥]?\s*(?:"
    r"(?:(?P<mixed>\d+)\s+)?(?P<top>\d+)\s*/\s*(?P<bottom>\d+)"
    r"|(?:(?P<mixed_tex>\d+)\s*)?\\[dt]?frac\s*\{\s*(?P<top_tex>-?\d+)\s*\}\s*\{\s*(?P<bottom_tex>\d+)\s*\}"
    rf"|{_PLAIN})"
    r"\s*(?P<percent>\\?%|percent\b|per cent\b)?\s*(?P<unit>[^\d+*/=<>^_\\(){}\[\],;:!?%]*[²³2]?)\s*[.]?"
)


def _read_number(text: str) -> Number | None:
    text = text.replace("−", "-").replace("–", "-").replace("\\,", "").replace("{,}", ",").strip()
    text = re.sub(r"\\(?:text|mathrm)\s*\{([^{}]*)\}", r" \1", text)
    text = re.sub(r"^\\?[A-Za-z]\s*(?:=|≈|\\approx)\s*|^[=≈~]\s*", "", text).removesuffix("\\").strip()
    text = re.sub(r"\^\s*\{?\\circ\}?", "°", text)
    # A currency sign before the minus sign.
    text = re.sub(r"^([$€£¥])\s*-", r"-\1", text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    decimals: int | None = None
    top, bottom = part["top"] or part["top_tex"], part["bottom"] or part["bottom_tex"]
    if top is not None:
        if int(bottom) == 0:
            return None
        value = Fraction(int(top), int(bottom))
        mixed = part["mixed"] or part["mixed_tex"]
        if mixed is not None:
            value += int(mixed)
    else:
        if part["whole"] is None and part["decimals"] is None:
            return None
        exponent = int(part["exponent"] or 0)
        if abs(exponent) > MAX_EXPONENT:
            return None
        whole = re.sub(r"\D", "", part["whole"] or "0")
        value = Fraction(int(whole + (part["decimals"] or "")), 10 ** len(part["decimals"] or ""))
        value *= Fraction(10) ** exponent
        if part["decimals"] is not None or exponent < 0:
            decimals = max(0, len(part["decimals"] or "") - exponent)
    if part["sign"] == "-":
        value = -value
    words = (part["unit"] or "").strip().lower().replace("square ", "square_").split()
    if words and words[0] in _SCALES:
        power = _SCALES[words.pop(0)]
        value *= 10**power
        decimals = None if decimals is None or decimals <= power else decimals - power
    if len(words) > 3 or any(word in _NO_UNIT for word in words):
        return None
    unit = " ".join(words).replace("square_", "square ").strip(" .")
    unit = _UNITS.get(unit, _UNITS.get(unit.removesuffix("s"), unit.removesuffix("s")))
    return Number(value, unit, part["percent"] is not None, decimals)


@lru_cache(maxsize=65536)
def parse_number(text: str) -> Number | None:
    """The number that the whole of `text` is; None if it is not a number. Never raises."""
    if not text or len(text) >= MAX_CHARS or not any(c.isdigit() for c in text):
        return None
    try:
        return _read_number(text)
    except (ValueError, ArithmeticError):  # digits of other scripts that int() refuses, and their like
        return None


def same_number(answer: Number, gold: Number) -> bool:
    """Whether an answer meets a gold number, by the rule in verdicts/rules.py."""
    if answer.unit and gold.unit and answer.unit != gold.unit:
        return False
    if answer.percent == gold.percent:
        candidates = [answer.value]
    else:
        candidates = [answer.value, answer.value / 100 if answer.percent else answer.value * 100]
    return any(_close(value, answer.decimals if value == answer.value else None, gold) for value in candidates)


def _close(value: Fraction, decimals: int | None, gold: Number) -> bool:
    if value == gold.value:
        return True
    off = abs(value - gold.value)
    if gold.value.denominator == 1 and gold.decimals is None:
        return False
    if gold.decimals is not None and decimals is not None and decimals >= gold.decimals:
        rounds = off * 2 <= Fraction(1, 10**gold.decimals)
        return rounds and (gold.decimals >= 2 or off <= RELATIVE_TOLERANCE * abs(gold.value))
    return off <= RELATIVE_TOLERANCE * abs(gold.value)
