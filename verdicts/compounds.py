"""Numbers that are written as a sum of parts: 5 ft 6 in, 1 h 30 min, 5万3千, 2 million 300 thousand.

The parts go down, and each is less than one of what the part before it counts. Anything else ("3 apples 2 pears", "5 m
3 m", "5万3") is no sum.
"""

import re
from fractions import Fraction

from verdicts.units import conversions, unit_of
from verdicts.vocabulary import SCALES, SIGN_SCALES

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_JOINT = re.compile(r"\s*,?\s*(?:and\s+|&\s*|零(?=\d))?")
_PART = re.compile(
    rf"(?P<number>{_NUMBER})(?P<space>\s*)(?P<unit>[^\d\s,;:+*/^=<>()-][^\d,;:+*^=<>()]*?)(?=\s*,?\s*(?:and\s+|&\s*)?\d|$)"
)
_SCALED = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<scale>[十百千仟万萬亿億兆백천만억조]+|[A-Za-z]+)")
_MOST_PARTS = 4
MAX_POWER = 1000
"""A power of ten that no word stands for."""


def in_one_unit(text: str) -> tuple[Fraction, str] | None:
    """The value of a compound quantity in the unit of its first part, and that unit; None if it is not one."""
    parts: list[tuple[Fraction, str]] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None or len(parts) == _MOST_PARTS:
            return None
        unit = unit_of(match["unit"].strip(), attached=not match["space"])
        if not unit:
            return None
        parts.append((_number(match["number"]), unit))
        place = _after(text, match.end())
    if len(parts) < 2:
        return None
    total, first = Fraction(0), parts[0][1]
    before: Fraction | None = None
    for value, unit in parts:
        ways = [factor for factor, more in conversions(unit, first) or () if not more]
        smaller = [factor for factor in ways if before is None or (factor < before and value * factor < before)]
        if not smaller:
            return None
        before = smaller[0]
        total += value * before
    return total, first


def _powers(scale: str) -> tuple[int, int] | None:
    """The powers of ten that a word or signs stand for: of their part alone, and of all since the last such power
    (3千5百万 is 3500 times 10,000)."""
    if scale[0] in SIGN_SCALES:
        known = [SIGN_SCALES[sign] for sign in scale]
        return sum(power for power in known if power < 4), sum(power for power in known if power >= 4)
    power = SCALES.get(scale.lower(), SCALES.get(scale.lower().removesuffix("s"))) if len(scale) > 1 else None
    return None if power is None else (power, 0) if power < 3 else (0, power)


def scaled(text: str) -> tuple[Fraction, str] | None:
    """The value of a number in parts with words or signs that multiply, and what stands behind it; None if it is not
    one."""
    total, section = Fraction(0), Fraction(0)
    small = large = MAX_POWER
    place = parts = 0
    while match := _SCALED.match(text, place):
        found = _powers(match["scale"])
        if found is None:
            break
        value = _number(match["number"]) * 10 ** found[0]
        section += value
        if found[0] >= small or (parts and value >= 10 ** min(small, large)):
            return None
        small = found[0]
        if found[1]:
            if found[1] >= large:
                return None
            total, section, small, large = total + section * 10 ** found[1], Fraction(0), MAX_POWER, found[1]
        parts, place = parts + 1, _after(text, match.end())
    return (total + section, text[place:].strip()) if parts > 1 else None


def _after(text: str, place: int) -> int:
    match = _JOINT.match(text, place)
    return match.end() if match else place


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))
