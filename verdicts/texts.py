"""Short texts: the form in which they are compared, and when two are the same.

As in the metrics of SQuAD and VQA, case, punctuation and articles do not count, and the numbers zero to ten may be
words (VQA). Of our own: an accent may be left out of a Latin letter where the word is longer than three letters ("Sao
Paulo", but not "ano" for "año"), never changed for another; dates of one day are one; marks that are part of letters
in other scripts stay (kana, Thai, Cyrillic й); signs that belong to a name stay (C#, A-, 10²).
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import unicodedata
from functools import lru_cache

from verdicts.notation import words

_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "&": " and ", "ё": "е"}
)
_MARKED_LETTERS = {"ø": "o\u0338", "ł": "l\u0335", "đ": "d\u0335", "ð": "d\u0336"}
"""The same letters as signs with a mark, so that another letter in their place is seen."""
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_UNWRITTEN = re.compile("[™®©℠\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u0640\u064b-\u0652\u0670]")
"""Signs of trade, and points of Hebrew and Arabic, which are mostly not written."""
_ARTICLE = re.compile(r"(?:^\W*(?:a|an|the)|(?<!\w)(?:a|an|the|The|THE))(?=\s+\w)", re.UNICODE)
_FIRST_ARTICLE = re.compile(r"^\W*(?:a|an|the)(?=\s+\w)", re.I)
_NUMBERS = {word: str(n) for n, word in enumerate(words("zero one two three four five six seven eight nine ten"))}
_ORDINALS = dict(
    zip(
        words("first second third fourth fifth sixth seventh eighth ninth tenth"),
        words("1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th"),
        strict=True,
    )
)
_MONTHS = words("january february march april may june july august september october november december")
_MONTH = {name[:length]: name for name in _MONTHS for length in (3, len(name))} | {"sept": "september"}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?:({_NAMES})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:\s*,\s*|\s+)(\d{{4}})"
    rf"|(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_NAMES})\.?,?\s+(\d{{4}})"
    r"|(\d{4})-(\d\d)-(\d\d))\b"
)
_DAY = re.compile(
    rf"^(?:({_NAMES})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?|(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_NAMES})\.?)$"
)
SHORT_WORD = 3
"""In a word of as many letters or fewer an accent tells two words apart."""


def _date(match: re.Match[str]) -> str:
    month, day, year, day2, month2, year2, year3, number, day3 = match.groups()
    if number is not None and not 1 <= int(number) <= 12:
        return match[0]
    name = _MONTHS[int(number) - 1] if number is not None else _MONTH[month or month2]
    return f"{int(day or day2 or day3)} {name} {year or year2 or year3}"


def _day(match: re.Match[str]) -> str:
    return f"{int(match[2] or match[3])} {_MONTH[match[1] or match[4]]}"


def _latin(c: str) -> bool:
    return c.isascii() or unicodedata.name(c, "").startswith(("LATIN", "GREEK"))


def _without_accents(text: str) -> str:
    """`text`, decomposed, without the marks of Latin and Greek letters."""
    kept, latin = [], True
    for c in text:
        if unicodedata.combining(c):
            if not latin:
                kept.append(c)
            continue
        latin = _latin(c)
        kept.append(c)
    return "".join(kept)


def _sign_stays(text: str, place: int) -> bool:
    """Whether a sign of punctuation is part of a name or a number there."""
    c, before, after = text[place], text[place - 1 : place], text[place + 1 : place + 2]
    if c in "./:" and before.isdigit() and after.isdigit():
        return True
    if not before.isalnum() or after.isalnum():
        return False
    # C#, F#; grades and blood groups such as A- and AB-, but no hyphen behind a word
    start = re.search(r"\w*$", text[:place])
    return c == "#" or (c == "-" and start is not None and len(start[0]) <= 2 and start[0].isalpha())


def _signs(text: str) -> str:
    kept = []
    for place, c in enumerate(text):
        category = unicodedata.category(c)
        if c == "\0" or not category.startswith(("P", "Z", "Cc")) or _sign_stays(text, place):
            kept.append(c)
        else:
            kept.append(" ")
    return "".join(kept)


def _folded(text: str, accents: bool) -> str:
    text = _RAISED.sub(lambda m: "^" + unicodedata.normalize("NFKD", m[0]).replace("−", "-"), _UNWRITTEN.sub("", text))
    text = re.sub(r"(?<=\d)\s*(?=[¼-¾⅐-⅞])", " ", text)
    with_articles = text
    text = _ARTICLE.sub(" ", _FIRST_ARTICLE.sub(" ", text, count=1))
    if not text.strip():
        text = with_articles
    text = text.casefold()
    if accents:
        text = "".join(_MARKED_LETTERS.get(c, c) for c in text)
    text = unicodedata.normalize("NFKD", text.translate(_LETTERS)).casefold().replace("⁄", "/")
    text = (text if accents else _without_accents(text)).translate(_LETTERS)
    text = re.sub(r"(?<!\w)[−–-](?=\.?\d)", "\0", text)  # a minus sign, kept below
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\b([^\W\d])\.(?=[^\W\d]\b|\s|$)", r"\1", text)  # d.c. -> dc
    text = re.sub(r"['’‘ʻʼ`´]", "", text)
    text = _DATE.sub(_date, text)
    text = " ".join(_signs(text).replace("\0", "-").split())
    text = _DAY.sub(_day, text)
    return " ".join(_NUMBERS.get(word, _ORDINALS.get(word, word)) for word in text.split())


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """`text` in the form in which short texts are compared; signs and points within numbers stay."""
    return _folded(text, accents=False)


@lru_cache(maxsize=65536)
def _accented(text: str) -> str:
    return _folded(text, accents=True)


def _letters(word: str) -> list[str]:
    """Letters with their marks."""
    letters: list[str] = []
    for c in word:
        if letters and unicodedata.combining(c):
            letters[-1] += c
        else:
            letters.append(c)
    return letters


def same_text(one: str, other: str) -> bool:
    """Whether two short texts are the same, and neither is empty."""
    if not normalise(one) or normalise(one) != normalise(other):
        return False
    if (one + other).isascii():
        return True
    first, second = _accented(one), _accented(other)
    if first == second:
        return True
    left, right = _letters(first), _letters(second)
    if len(left) != len(right):
        return True  # a letter that became two, such as æ: the plain forms are what is equal
    if len(left) <= SHORT_WORD:
        return False
    return all(a == b or len(a) == 1 or len(b) == 1 for a, b in zip(left, right, strict=True))
