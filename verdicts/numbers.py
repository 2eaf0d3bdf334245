"""Numbers as people and models write them, read exactly."""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from verdicts.compounds import in_one_unit, scaled
from verdicts.notation import plain, words
from verdicts.units import conversions, money, unit_of
from verdicts.vocabulary import SCALES, SIGN_SCALES

MAX_CHARS = 300
"""A text this long or longer is not a short answer, whatever it contains."""
MAX_EXPONENT = 400
MAX_BITS = 4096
"""Size of the largest power that is worked out."""
RELATIVE_TOLERANCE = Fraction(1, 10_000)


@dataclass(frozen=True)
class Number:
    """A number as written: its value, its unit ("" for none), whether a percent sign stood there, and how exact it is.

    `decimals` is the number of digits after the point; None for whole numbers and fractions, which are exact.
    `currency` is the word or sign of a currency, "" for none.
    """

    value: Fraction
    unit: str = ""
    percent: bool = False
    decimals: int | None = None
    currency: str = ""


_LETTER_SCALES = {"K": 3, "M": 6, "B": 9}
"""Scales by letters of this case; K behind a blank is the kelvin."""
_MONEY_SCALES = {"K": 3, "M": 6, "m": 6, "MM": 6, "mm": 6, "B": 9, "b": 9, "T": 12, "t": 12, "tn": 12}
"""Scales behind an amount of money."""
_SMALL = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
WORDS = {word: value for value, word in enumerate(_SMALL)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
"""Small numbers in words."""
_ABOUT = (
    r"about|approximately|approx\.?|roughly|around|circa|ca\.|exactly|only|just|nearly|almost|a total of|\\approx|"
    r"\\sim|"
    r"≈|~|约为|大约|约|共|一共|总共|正好|等于"
)
_PREFIX = re.compile(rf"(?i)^(?:(?:{_ABOUT})\s*|(?:no\.|number|#|№|\\#)\s*(?=\d))")
_NEGATIVE = re.compile(r"(?i)^(?:minus|negative|负|負)\s*(?=[\d.$\\])")
_EQUALS = re.compile(r"(.{0,60}?[^\s<>!≠≤≥:±])\s*(?:=|≈|≃|\\approx(?![a-z])|\\simeq)\s*([^=≈].*)", re.S)
_MONEY_BEFORE = re.compile(r"(?i)^([-+]?)\s*((?:US|HK|NT|[ACS])?\\?[$]|[€£¥₹₩₽₫₺₪₱฿₦¢]|Rs\.?|[A-Z]{3})\s*(?=[-+.\d])")
_DIGITS = r"(?:\d{1,3}(?:[,'\u202f\u00a0\u2009 ]\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}|\d+)"
_EXPONENT = r"\s*(?:[eE]|(?:[x×*·]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*[{(]?)\s*(?P<exponent>[+-]?\d{1,6})[)}]?"
_FRAC = (
    r"\\[dtc]?frac\s*(?:\{\s*(?P<top_tex>-?\d+)\s*\}|(?P<top1_tex>\d))\s*"
    r"(?:\{\s*(?P<bottom_tex>-?\d+)\s*\}|(?P<bottom1_tex>\d))"
)
_POWER = (
    r"(?P<base>\d+(?:\.\d+)?)\s*(?:\^|\*\*)\s*"
    r"(?:\{\s*(?P<power>[+-]?\d{1,4})\s*\}|\(\s*(?P<power2>[+-]?\d{1,4})\s*\)|(?P<power1>[+-]?\d{1,4}))"
)
_VALUE = re.compile(
    r"(?P<sign>[+-])?\s*(?:"
    r"(?:(?P<mixed>\d+)\s+)?(?P<top>\d+)\s*/\s*(?P<bottom>\d+)(?![\d.,]*\d)"
    rf"|(?:(?P<mixed_tex>\d+)\s*)?{_FRAC}"
    rf"|{_POWER}"
    rf"|(?P<whole>{_DIGITS})?(?:\.(?P<decimals>\d+)|\.(?!\d))?(?:{_EXPONENT})?)"
)
_PERCENT = re.compile(r"(?i)(?:\\?%|percentage points?\b|percentage\b|percent\b|per cent\b|pct\b|٪|％)\s*")
_PERMILLE = re.compile(r"(?i)(?:‰|per mille\b|per mil\b|permille\b)\s*")


def _cleaned(text: str) -> str:
    """The text without typesetting, signs of other scripts, and what is said before a number."""
    text = plain(text).strip()
    if text.count("$") == 2:  # mathematics within a text, not money
        text = re.sub(r"\$([^$]+)\$", r"\1", text)
    text = re.sub(r"\\!|(?<=\d)\\[,;: ](?=\d{3})", "", text)
    text = re.sub(r"\\[,;:> ]|\\q?quad\b|\\left\b|\\right\b|\\displaystyle\b|(?<!\\)~(?=.)(?<!^~)", " ", text)
    text = text.replace("\\$", "$").replace("{,}", ",").replace("\\#", "#")
    text = re.sub(r"\\(?:text|mathrm|textrm|textbf|mathbf|mbox|operatorname|rm)\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b", "°", text).removesuffix("\\").strip(" \t\n")
    return re.sub(r"^\{([^{}]*)\}$", r"\1", text).strip()


def _stripped(text: str) -> str:
    """The text without a name and an equals sign, "about" and their like before the number."""
    for _ in range(4):
        before = text
        if match := _EQUALS.fullmatch(text):
            if re.search(r"[,;]|\b(?:or|and)\b|\d\s*$.*\\pm", match[1]):
                return text
            text = match[2].strip()
        text = re.sub(r"^[=≈]\s*", "", text)
        text = _NEGATIVE.sub("-", _PREFIX.sub("", text, count=1), count=1)
        if text == before:
            break
    return text


def _value(match: re.Match[str]) -> tuple[Fraction, int | None] | None:
    """The value that the digits have, without sign, and its decimals."""
    part = match.groupdict()
    top = part["top"] or part["top_tex"] or part["top1_tex"]
    if top is not None:
        bottom = int(part["bottom"] or part["bottom_tex"] or part["bottom1_tex"])
        whole = int(part["mixed"] or part["mixed_tex"] or 0)
        return None if bottom == 0 else (Fraction(int(top), bottom) + whole, None)
    if part["base"] is not None:
        base, power = Fraction(part["base"]), int(part["power"] or part["power1"] or part["power2"])
        size = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(power)
        return None if size > MAX_BITS or (base == 0 and power < 0) else (base**power, None)
    if part["whole"] is None and part["decimals"] is None:
        return None
    exponent, after = int(part["exponent"] or 0), part["decimals"]
    if abs(exponent) > MAX_EXPONENT:
        return None
    value = Fraction(int(re.sub(r"\D", "", part["whole"] or "0") + (after or "")), 10 ** len(after or ""))
    decimals = max(0, len(after or "") - exponent) if after is not None or exponent < 0 else None
    return value * Fraction(10) ** exponent, decimals


def _in_words(text: str) -> int | None:
    """A small number in words: "five", "forty-two"."""
    said = text.lower().replace("-", " ").split()
    values = [WORDS.get(word, -1) for word in said]
    if len(values) == 1 and values[0] >= 0:
        return values[0]
    if len(values) == 2 and values[0] >= 20 and 0 < values[1] < 10:
        return values[0] + values[1]
    return None


def _scaled(rest: str, attached: bool, amount: bool) -> tuple[str, int, Fraction]:
    """What is left behind words and signs that multiply, the power of ten they make, and any other factor."""
    power, factor = 0, Fraction(1)
    while rest:
        sign = rest[0]
        if sign in SIGN_SCALES:
            power, rest, attached = power + SIGN_SCALES[sign], rest[1:], True
            continue
        word = re.match(r"-?([^\W\d_]+)\.?(?!\w)", rest)
        if word is None:
            break
        name = word[1]
        lower = name.lower()
        known = SCALES.get(lower, SCALES.get(lower.removesuffix("s"))) if name != "K" else None
        if known is None and (amount or (name in _LETTER_SCALES and (attached or name != "K"))):
            known = (_MONEY_SCALES if amount else _LETTER_SCALES).get(name)
        if lower in ("dozen", "dozens"):
            factor, known = factor * 12, 0
        if known is None:
            break
        power, rest, attached = power + known, rest[word.end() :].strip(), False
    return rest, power, factor


def _currency(rest: str) -> tuple[str, str]:
    """The currency behind a number, and the text behind it."""
    behind = rest.split()
    for count in (2, 1):
        name = " ".join(behind[:count]).rstrip(",")
        if len(behind) >= count and money(name) and not name.lower().startswith("pound"):
            return name, " ".join(behind[count:])
    sign = re.match(r"[$€£¥₹₩₽¢元円원]", rest)
    return (sign[0], rest[1:].strip()) if sign else ("", rest)


def _unit(rest: str, attached: bool) -> str | None:
    if match := re.fullmatch(r"([^()]*)\(([^()\d]*)\)", rest):  # a unit in brackets, or said twice
        outer, inner = match[1].strip(), match[2].strip()
        if re.fullmatch(rf"(?i)(?:{_ABOUT})", inner) or (outer and unit_of(inner) is not None):
            rest = outer
        elif not outer:
            return unit_of(re.sub(r"^in ", "", inner))
    return unit_of(rest.replace("{", "").replace("}", ""), attached)


def _compound(text: str, currency: str) -> Number | None:
    """A number that is written as a sum of parts."""
    if (quantity := in_one_unit(text)) is not None and not currency:
        return Number(*quantity)
    if (found := scaled(text)) is None:
        return None
    behind, rest = _currency(found[1])
    unit = _unit(rest, attached=False)
    return None if unit is None else Number(found[0], unit, currency=currency or behind)


def _read_number(text: str) -> Number | None:
    text = _stripped(_cleaned(text))
    said = re.fullmatch(r"(.*\d[^()]*?)\s*\(([A-Za-z -]+)\)\.?", text)
    in_words = _in_words(said[2]) if said else None
    if said and in_words is not None:
        text = said[1]
    currency = ""
    before = _MONEY_BEFORE.match(text)
    if before and money(before[2].replace("\\", "")):
        currency, text = before[2].replace("\\", ""), before[1] + text[before.end() :]
    match = _VALUE.match(text)
    read = _value(match) if match else None
    if match is None or read is None:
        return None
    value, decimals = read
    rest = text[match.end() :]
    attached, rest = not rest[:1].isspace(), rest.strip()
    percent = permille = False
    if found := _PERCENT.match(rest):
        percent, rest, attached = True, rest[found.end() :], False
    elif found := _PERMILLE.match(rest):
        permille, rest, attached = True, rest[found.end() :], False
    rest, power, factor = _scaled(rest, attached, bool(currency))
    if power or factor != 1:
        attached = False
    behind, rest = _currency(rest)
    unit = _unit(rest, attached and not behind)
    if unit is None:
        return _compound(text, currency)
    power -= 3 * permille
    value *= Fraction(10) ** power * factor * (-1 if match["sign"] == "-" else 1)
    if decimals is not None:
        decimals = max(0, decimals - power) if decimals > power else None
    elif power < 0:
        decimals = -power
    if in_words is not None and in_words != value:
        return None
    return Number(value, unit, percent, decimals, currency or behind)


@lru_cache(maxsize=65536)
def parse_number(text: str) -> Number | None:
    """The number that the whole of `text` is; None if it is not a number. Never raises."""
    if not text or len(text) >= MAX_CHARS or not any(c.isdecimal() or c in "½⅓⅔¼¾⅛⅜⅝⅞⅕⅖⅗⅘⅙⅚" for c in text):
        return None
    if text.isascii() and text.isdigit():
        return Number(Fraction(int(text)))
    try:
        return _read_number(text)
    except (ValueError, ArithmeticError):  # digits of other scripts that int() refuses, and their like
        return None


def gold_units(answer: Number, gold: Number, units: bool = True) -> list[Fraction]:
    """The values of an answer in the unit and the currency of the gold; none where they differ. A unit or a currency
    that only one of the two has is ignored, and all are without `units`."""
    value = answer.value
    if not units:
        return [value]
    if answer.currency and gold.currency:
        given, wanted = money(answer.currency), money(gold.currency)
        if given is None or wanted is None or not given[0] & wanted[0]:
            return []
        value = value * given[1] / wanted[1]
    if not answer.unit or not gold.unit:
        return [value]
    ways = conversions(answer.unit, gold.unit)
    return [value * factor + more for factor, more in ways or ()]


def same_number(answer: Number, gold: Number, tolerance: Fraction | None = None, units: bool = True) -> bool:
    """Whether an answer meets a gold number, by the rule in verdicts/rules.py.

    Args:
        tolerance: how far it may lie from it, relatively, where a field's own rule says so.
        units: whether two units must agree.
    """
    for value in gold_units(answer, gold, units):
        candidates = [value]
        if answer.percent != gold.percent:
            candidates.append(value / 100 if answer.percent else value * 100)
        if any(_close(v, answer.decimals if v == answer.value else None, gold) for v in candidates):
            return True
        if tolerance is not None and any(abs(v - gold.value) <= tolerance * abs(gold.value) for v in candidates):
            return True
    return False


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
