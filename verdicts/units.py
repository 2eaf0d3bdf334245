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

DIMENSION = tuple[tuple[str, Fraction], ...]


@dataclass(frozen=True)
class Measure:
    """A unit of measurement as a multiple of base units, with the distance of its zero from theirs."""

    base: DIMENSION
    factor: Fraction
    zero: Fraction = Fraction(0)


_DOLLARS = frozenset({"USD", "AUD", "CAD", "HKD", "NZD", "SGD", "TWD"})
_MONEY: dict[str, frozenset[str] | str] = {
    "$": _DOLLARS, "dollar": _DOLLARS, "buck": _DOLLARS, "us$": "USD", "usd": "USD", "us dollar": "USD", "美元": "USD",
    "a$": "AUD", "aud": "AUD", "c$": "CAD", "cad": "CAD", "hk$": "HKD", "hkd": "HKD", "港元": "HKD", "nt$": "TWD",
    "s$": "SGD", "sgd": "SGD", "€": "EUR", "eur": "EUR", "euro": "EUR", "欧元": "EUR", "£": "GBP", "gbp": "GBP",
    "british pound": "GBP", "pound sterling": "GBP", "英镑": "GBP", "¥": frozenset({"JPY", "CNY"}), "jpy": "JPY",
    "yen": "JPY", "円": "JPY", "日元": "JPY", "cny": "CNY", "rmb": "CNY", "yuan": "CNY", "renminbi": "CNY",
    "元": frozenset({"CNY", "TWD", "HKD", "USD"}), "人民币": "CNY", "₹": "INR", "rs": "INR", "inr": "INR",
    "rupee": "INR", "₩": "KRW", "krw": "KRW", "won": "KRW", "원": "KRW", "chf": "CHF", "swiss franc": "CHF",
}  # fmt: skip
_CENTS = {"cent": _DOLLARS | {"EUR"}, "¢": _DOLLARS, "eurocent": frozenset({"EUR"}), "pence": frozenset({"GBP"})}
# Words after a number that are no name of what is counted: they join, bound, multiply or continue it.
_NO_NAME = frozenset(
    "or and to of not x vs versus minus plus times over by than per-cent mod modulo pi sqrt root squared cubed square "
    "cube factorial choose dozen dozens hundred hundreds thousand thousands million millions billion billions trillion "
    "trillions half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh eighth eighths "
    "ninth tenth tenths hundredth hundredths thousandth thousandths point infinity inf log sin cos tan exp if when where "
    "but is are was were be because so then from through until between above below under at least most about up theta "
    "alpha beta gamma delta lambda sigma omega epsilon phi psi remainder rem off unless except for with without either "
    "neither nor maybe perhaps unknown none no yes it there this that as fold divided multiplied added subtracted equals "
    "equal greater double twice triple score gross mil lakh lakhs crore crores out".split()
)
_NO_NAME_SIGNS = frozenset("十百千万亿兆萬億半多余几分之点到至或和与及加减乘除约以上下左右倍成折个百분만억천반또")
_COUNTERS = re.compile(r"[个個本只張张名位块]")
_AFTER = re.compile(
    r"\s+(?:in (?:total|all|length|width|height|area|volume|weight)|altogether|old|long|tall|high|wide|deep|thick|away|"
    r"ago|apart|approximately|approx|exactly|per se)$"
)
_SYMBOLS = frozenset("mgshlLAVWJNKCF")
"""Units of one letter; any other letter is a variable."""
_SHORT = frozenset("ft in yd mi lb oz hr yr ha Pa Hz eV cc Wh Ah kn nmi rad deg min sec mol bar gal mph atm cal kph".split())
_PREFIXED = frozenset("m g l L s W V A J N Pa Hz eV B mol Ω ohm cal Wh F H bar bit byte T t".split())
_PREFIXES = frozenset({"k", "c", "m", "d", "n", "μ", "u", "M", "G", "T", "h", "p"})
_SPELLED = {
    "℃": "degC", "celsius": "degC", "centigrade": "degC", "fahrenheit": "degF", "kelvins": "kelvin", "kms": "km",
    "kgs": "kg", "cms": "cm", "mms": "mm", "mls": "ml", "kmh": "kph", "kmph": "kph", "mtr": "meter", "tonnes": "tonne",
    "米": "m", "厘米": "cm", "公分": "cm", "毫米": "mm", "分米": "dm", "千米": "km", "公里": "km", "千克": "kg",
    "公斤": "kg", "克": "g", "毫克": "mg", "吨": "tonne", "升": "l", "毫升": "ml", "小时": "hour", "時間": "hour",
    "分钟": "minute", "秒": "second", "秒钟": "second", "天": "day", "周": "week", "年": "year", "岁": "year",
    "摄氏度": "degC", "华氏度": "degF", "牛顿": "newton", "焦耳": "joule", "瓦": "watt", "伏": "volt",
}  # fmt: skip
_DEGREES = ("degree", "degC", "degF")
_AMBIGUOUS = {
    "°": _DEGREES, "degree": _DEGREES, "degrees": _DEGREES, "deg": _DEGREES, "度": _DEGREES, "C": ("C", "degC"),
    "F": ("F", "degF"),
}  # fmt: skip
_PHRASES = {
    "nautical mile": "nautical_mile", "light year": "light_year", "light*year": "light_year", "watt hour": "watt_hour",
    "fl oz": "fluid_ounce", "fluid ounce": "fluid_ounce", "metric ton": "metric_ton",
}  # fmt: skip
_POWER = re.compile(r"([^\W\d_]+|°|Ω)\s*(?:\^\s*\{?\s*(-?\d)\s*\}?|\*\*\s*(-?\d)|(?<=m)([23])|(?<=t)([23]))?")


@cache
def _registry() -> Any:
    import pint  # read when the first unit is: it takes half a second

    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


def _known(name: str) -> bool:
    """Whether pint's reading of a name is one that people mean by it."""
    if len(name) == 1:
        return name in _SYMBOLS or name == "Ω"
    readings = [r for r in _registry().parse_unit_name(name, case_sensitive=True) if not (r[0] and r[2])]
    if not readings:
        return False
    if len(name) > 3 or name in _SHORT or name.removesuffix("s") in _SHORT:
        return True
    # A short name is a usual prefix before a usual symbol, or a whole word such as "day" and "cup".
    prefixed = any(name == prefix + symbol for prefix in _PREFIXES for symbol in _PREFIXED)
    return prefixed or (len(name) == 3 and not readings[0][0] and name.islower())


@lru_cache(maxsize=4096)
def _named(name: str) -> tuple[Measure, ...]:
    """The measures that one name may stand for."""
    if name in _AMBIGUOUS:
        return tuple(m for meaning in _AMBIGUOUS[name] for m in _measure(meaning))
    if name.lower() in _NO_NAME:
        return ()
    for spelled in (name, name.lower()):
        wanted = _SPELLED.get(spelled, spelled)
        if wanted in _SPELLED.values() or _known(wanted):
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
    text = re.sub(r"(?i)(?:\bper\b|\\div|每)", "/", text).replace("\\cdot", "*").replace("\\times", "*").replace("·", "*")
    text = re.sub(r"(?i)\b(?:square|sq)\b\.?\s*([^\W\d_]+)|平方([^\W\d_]+)", r"\1\2^2", text)
    text = re.sub(r"(?i)\b(?:cubic|cu)\b\.?\s*([^\W\d_]+)|立方([^\W\d_]+)", r"\1\2^3", text)
    text = re.sub(r"(?i)([^\W\d_]+)\s+(squared|cubed)\b", lambda m: m[1] + "^" + "23"[m[2].lower() == "cubed"], text)
    text = re.sub(r"(?<=\w)-(?=[^\W\d])", "*", text).strip()
    if text.lower().removesuffix("s") in _PHRASES:
        return _measure(_PHRASES[text.lower().removesuffix("s")])
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
    if attached and text in ("st", "nd", "rd", "th"):
        return ""
    if len(text) > 40:
        return None
    if measures(text):
        return text
    words = re.split(r"[\s-]+", text.lower())
    if any(word in _NO_NAME for word in words) or len(words) > 3:
        return None
    if words[-1] in ("a.m", "am", "p.m", "pm"):
        return words[-1].replace(".", "")
    return _name(words, text, attached)


def _name(words: list[str], text: str, attached: bool) -> str | None:
    letters = text.replace(" ", "").replace("-", "").replace("'", "")
    if not letters.isalpha() and not all(unicodedata.category(c)[0] in "LM" for c in letters):
        return None
    spaced = any(unicodedata.name(c, "").startswith(("LATIN", "CYRILLIC", "GREEK")) for c in letters)
    if not spaced:  # scripts that write what is counted at the number
        kept = _COUNTERS.sub("", letters)
        return None if set(kept) & _NO_NAME_SIGNS or len(letters) > 8 else kept
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
        if name in _MONEY:
            codes = _MONEY[name]
            return (frozenset({codes}) if isinstance(codes, str) else codes), Fraction(1)
        if name in _CENTS:
            return _CENTS[name], Fraction(1, 100)
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
