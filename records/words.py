"""What a word is in any script: letters folded for comparing, and the scripts that put no blanks between words.

Search, duplicates and decontamination see texts through this module. Where a script writes no blanks, its characters
stand in for words: each with the marks that belong to it.
"""

# ruff: noqa: RUF001 - tables, and signs that look alike are meant

import sys
import unicodedata

import polars as pl
import regex

HAN, KANA = r"\p{Han}\p{Bopomofo}", r"\p{Hiragana}\p{Katakana}ー"
SOUTH_EAST_ASIAN = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}"
UNSPACED = HAN + KANA + SOUTH_EAST_ASIAN
"""The inside of a character class: letters of the scripts without blanks, for Python's `regex` and for polars."""
CHARACTERS_PER_WORD = {HAN: 1.5, KANA: 2.0, SOUTH_EAST_ASIAN: 3.0}
"""About as many characters of these scripts say what one English word says (marks not counted)."""

_LETTERS = {
    "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ς": "σ",
    "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ـ": "",
}  # fmt: skip
"""Letters that are spelled in two ways and have no canonical decomposition. Those of Arabic are the ones that search
engines fold, because writers exchange them freely."""
_DIGITS = {
    c: str(unicodedata.decimal(c)) for c in map(chr, range(128, sys.maxunicode + 1)) if unicodedata.category(c) == "Nd"
}
_TABLE = str.maketrans(_LETTERS | _DIGITS)
_ACCENTS = (
    # Accents and vowel signs that writers leave out. The marks of other scripts are letters: ガ is not カ, й is not и.
    (r"([\p{Latin}\p{Greek}\p{Arabic}\p{Hebrew}\p{Syriac}])\p{M}+", 1),
    (r"(\p{Cyrillic})[\u0300\u0301]", 1),
    (r"([ее])\u0308", 1),
    (r"\p{Cf}", 0),  # joiners, soft hyphens, marks of direction
)
_PATTERNS = [(regex.compile(pattern), rf"\{group}" if group else "") for pattern, group in _ACCENTS]


def folded(text: str) -> str:
    """A text without case, accents and invisible characters, its digits as 0 to 9; what tells words apart stays."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text).lower()
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return unicodedata.normalize("NFKC", text).translate(_TABLE)


def folded_column(text: pl.Expr) -> pl.Expr:
    """`folded` for a column."""
    text = text.str.normalize("NFKD").str.to_lowercase()
    for pattern, group in _ACCENTS:
        text = text.str.replace_all(pattern, f"${{{group}}}" if group else "")
    instead = _LETTERS | _DIGITS
    return text.str.normalize("NFKC").str.replace_many(list(instead), list(instead.values()))


def characters_apart(text: pl.Expr) -> pl.Expr:
    """A column with blanks around every character of a script that has none between its words."""
    return text.str.replace_all(rf"([{UNSPACED}]\p{{M}}*)", " ${1} ")


def worth(words: pl.Expr) -> pl.Expr:
    """About how many English words would say what a column's words do; they stand between single blanks, and those of
    scripts without blanks are characters."""
    count = words.str.count_matches(" ").cast(pl.Float64) + 1
    for script, each in CHARACTERS_PER_WORD.items():
        count = count - words.str.count_matches(rf"(?:^| )[{script}]") * (1 - 1 / each)
    return count
