"""What may stand behind the digits of a number: units of measurement, currencies, and names of what is counted.

Units, their abbreviations and their spelled forms are pint's (https://pint.readthedocs.io). Two numbers with units are
equal when they are the same quantity: 5 m is 500 cm, as in benchmarks of physics; money is never converted. What is
counted ("5 apples") is a name. Anything else is no unit: a letter that may be a variable, a constant, a word that
multiplies, bounds or continues.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from verdicts.vocabulary import (
    AMBIGUOUS,
    CENTS,
    MARKS,
    MONEY,
    NO_NAME,
    NO_NAME_SIGNS,
    PHRASES,
    PREFIXED,
    PREFIXES,
    SHORT,
    SPELLED,
    SYMBOLS,
)

DIMENSION = tuple[tuple[str, Fraction], ...]


@dataclass(frozen=True)
class Measure:
    """A unit of measurement as a multiple of base units, with the distance of its zero from theirs."""

    base: DIMENSION
    factor: Fraction
    zero: Fraction = Fraction(0)


_COUNTERS = re.compile(r"[个個本只張张名位块]")
_AFTER = re.compile(
    r"\s+(?:in (?:total|all|length|width|height|area|volume|weight)|altogether|old|long|tall|high|wide|deep|thick|away|"
    r"ago|apart|approximately|approx|exactly|per se)$"
)
_POWER = re.compile(r"([^\W\d_]+|°|Ω)\s*(?:\^\s*\{?\s*(-?\d)\s*\}?|\*\*\s*(-?\d)|(?<=m)([23])|(?<=t)([23]))?")


@cache
def _registry() -> Any:
    import pint  # read when the first unit is: it takes half a second

    exact: Any = Fraction  # which its types do not know of
    return pint.UnitRegistry(non_int_type=exact, cache_folder=None)


def _known(name: str) -> bool:
    """Whether pint's reading of a name is one that people mean by it."""
    if len(name) == 1:
        return name in SYMBOLS or name == "Ω"
    readings = [r for r in _registry().parse_unit_name(name, case_sensitive=True) if not (r[0] and r[2])]
    if not readings:
        return False
    if len(name) > 3 or name in SHORT or name.removesuffix("s") in SHORT:
        return True
    # A short name is a usual prefix before a usual symbol, or a whole word such as "day" and "cup".
    prefixed = any(name == prefix + symbol for prefix in PREFIXES for symbol in PREFIXED)
    return prefixed or (len(name) == 3 and not readings[0][0] and name.islower())


@lru_cache(maxsize=4096)
def _named(name: str) -> tuple[Measure, ...]:
    """The measures that one name may stand for."""
    if name in AMBIGUOUS:
        return tuple(m for meaning in AMBIGUOUS[name] for m in _measure(meaning))
    if name.lower() in NO_NAME:
        return ()
    for spelled in (name, name.lower()):
        wanted = SPELLED.get(spelled, spelled)
        if wanted in SPELLED.values() or _known(wanted):
            return _measure(wanted)
    return ()


def _measure(name: str) -> tuple[Measure, ...]:
    registry = _registry()
    one = registry.Quantity(Fraction(1), name).to_root_units()
    zero = registry.Quantity(Fraction(0), name).to_root_units().magnitude
    base = tuple(sorted((str(unit), Fraction(power)) for unit, power in one.unit_items()))
    if not base:  # a mere number, such as percent or decade
        return ()
    factor = Fraction(one.magnitude) - Fraction(zero)
    # Constants such as the size of a degree are given to many digits: none of them matter here.
    return (Measure(base, factor, Fraction(zero)),)


@lru_cache(maxsize=16384)
def measures(unit: str) -> tuple[Measure, ...]:
    """The measures that the text of a unit may stand for ("km/h", "sq ft", "m^2", "degrees Celsius"); none if it names
    no unit of measurement."""
    text = re.sub(r"(?<=[A-Za-z])\.(?=\s|$|/)", "", unit)
    text = re.sub(r"(?i)\b(?:degrees?|deg)\s*(?:c\b|celsius\b)|°\s*c(?:elsius)?\b", "celsius", text)
    text = re.sub(r"(?i)\b(?:degrees?|deg)\s*(?:f\b|fahrenheit\b)|°\s*f(?:ahrenheit)?\b", "fahrenheit", text)
    text = re.sub(r"(?i)(?:\bper\b|\\div|每)", "/", text)
    text = re.sub(r"\\cdot|\\times|·", "*", text)
    text = re.sub(r"(?i)\b(?:square|sq)\b\.?\s*([^\W\d_]+)|平方([^\W\d_]+)", r"\1\2^2", text)
    text = re.sub(r"(?i)\b(?:cubic|cu)\b\.?\s*([^\W\d_]+)|立方([^\W\d_]+)", r"\1\2^3", text)
    text = re.sub(r"(?i)([^\W\d_]+)\s+(squared|cubed)\b", lambda m: m[1] + "^" + "23"[m[2].lower() == "cubed"], text)
    text = re.sub(r"(?<=\w)-(?=[^\W\d])", "*", text).strip()
    if text.lower().removesuffix("s") in PHRASES:
        return _measure(PHRASES[text.lower().removesuffix("s")])
    found: list[Measure] = [Measure((), Fraction(1))]
    place, sign = 0, 1
    while place < len(text):
        if text[place] in " */":
            sign = -1 if text[place] == "/" else sign if text[place] == " " else 1
            place += 1
            continue
        match = _POWER.match(text, place)
        if match is None:
            return ()
        power = int(next((g for g in match.groups()[1:] if g), "1")) * sign
        sign, place = 1, match.end()
        found = [_product(one, other, power) for one in found for other in _named(match[1])]
    return tuple(found) if found and found[0].base else ()


def _product(one: Measure, other: Measure, power: int) -> Measure:
    base = dict(one.base)
    for name, exponent in other.base:
        base[name] = base.get(name, Fraction(0)) + exponent * power
    kept = tuple(sorted((name, exponent) for name, exponent in base.items() if exponent))
    alone = not one.base and power == 1
    return Measure(kept, one.factor * other.factor**power, other.zero if alone else Fraction(0))


@lru_cache(maxsize=65536)
def unit_of(text: str, attached: bool = False) -> str | None:
    """The unit or name of what is counted that `text` is, in one form; "" for what says nothing ("units"), None for
    what is neither.

    Args:
        attached: no blank stood between the number and the text.
    """
    text = " ".join(text.split()).strip(" .")
    text = _AFTER.sub("", f" {text}").strip(" .")
    if not text or re.fullmatch(r"(?i)(?:square |sq\.? |cubic )?units?(?: squared)?", text):
        return ""
    if attached and text in MARKS:  # 5' and 5" are feet and inches
        return MARKS[text]
    if attached and text in ("st", "nd", "rd", "th"):
        return ""
    if len(text) > 40:
        return None
    if measures(text):
        return text
    words = re.split(r"[\s-]+", text.lower())
    if any(word in NO_NAME for word in words) or len(words) > 3:
        return None
    if words[-1] in ("a.m", "am", "p.m", "pm"):
        return words[-1].replace(".", "")
    return _name(words, text, attached)


def _name(words: list[str], text: str, attached: bool) -> str | None:
    letters = text.replace(" ", "").replace("-", "").replace("'", "")
    if not letters or (not letters.isalpha() and not all(unicodedata.category(c)[0] in "LM" for c in letters)):
        return None
    spaced = any(unicodedata.name(c, "").startswith(("LATIN", "CYRILLIC", "GREEK")) for c in letters)
    if not spaced:  # scripts that write what is counted at the number
        kept = _COUNTERS.sub("", letters)
        return None if set(kept) & NO_NAME_SIGNS or len(letters) > 8 else kept
    if attached or any(unicodedata.name(c, "").startswith("GREEK") for c in letters):
        return None
    if any(len(word) < 3 and not measures(word) for word in words):
        return None
    vowels = re.compile(r"[aeiouyаеёиоуыэюяà-ÿ]")
    if not all(vowels.search(word) or measures(word) for word in words):
        return None
    return " ".join(word.removesuffix("s") for word in words)


@lru_cache(maxsize=4096)
def money(word: str) -> tuple[frozenset[str], Fraction] | None:
    """The currencies that a sign or a word may stand for, and how much of one it is; None where it is no currency."""
    key = word.lower().strip(" .\\").replace("u.s.", "us")
    for name in (key, key.removesuffix("s")):
        if name in MONEY:
            codes = MONEY[name]
            return (frozenset({codes}) if isinstance(codes, str) else codes), Fraction(1)
        if name in CENTS:
            return CENTS[name], Fraction(1, 100)
    if len(key) == 1 and unicodedata.category(key) == "Sc":
        return frozenset({key}), Fraction(1)
    return None


@lru_cache(maxsize=16384)
def conversions(unit: str, other: str) -> tuple[tuple[Fraction, Fraction], ...] | None:
    """How a value in `unit` becomes one in `other`: factors and what is added then; None where the two do not agree."""
    if unit == other or unit.lower() == other.lower():
        return ((Fraction(1), Fraction(0)),)
    ways = [
        (one.factor / two.factor, (one.zero - two.zero) / two.factor)
        for one in measures(unit)
        for two in measures(other)
        if one.base == two.base
    ]
    return tuple(ways) or None
