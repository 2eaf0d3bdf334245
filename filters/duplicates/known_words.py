"""Which words are words: what tells a slip of the pen (bicylce) from another thing (boats, boots).

The dictionaries are those of pyspellchecker. A text is read by the one that knows most of its words; one in a language
without a dictionary has no known words, and what looks like a slip there is taken for one.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache, lru_cache

import polars as pl
import regex

from filters.question_text import is_foreign
from records.words import folded_column

LANGUAGES = {
    "Latin": ("en", "de", "fr", "es", "it", "pt", "nl"),
    "Cyrillic": ("ru",),
    "Arabic": ("ar", "fa"),
}
"""The languages of the dictionaries by script, the likeliest first."""
READ = 0.5
"""The share of a text's words from which a dictionary is the one of its language, without asking the others."""
_SCRIPT = regex.compile(r"(\p{Latin})|(\p{Cyrillic})|(\p{Arabic})")


@cache
def _words(language: str) -> frozenset[str]:
    from spellchecker import SpellChecker

    words = pl.Series("word", list(SpellChecker(language=language).word_frequency.dictionary))
    foreign = is_foreign(words)
    changed = words.filter(foreign).to_frame().select(folded_column(pl.col("word")))["word"]
    return frozenset(words.filter(~foreign)).union(changed)


@lru_cache(maxsize=4096)
def _known(text: tuple[str, ...]) -> frozenset[str]:
    """The words of a text that the dictionary of its language has."""
    found: frozenset[str] = frozenset()
    asked = frozenset(word for word in text if word.isalpha())
    match = _SCRIPT.search(" ".join(sorted(asked)))
    for language in LANGUAGES[list(LANGUAGES)[match.lastindex - 1]] if match and match.lastindex else ():
        known = asked & _words(language)
        if len(known) > len(found):
            found = known
        if len(found) >= READ * len(asked):
            break
    return found


def same_but_for_slips(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether no word of one text stands in place of another known word of the other, forms with and without -s aside.

    Args:
        one, other: the words of two texts that are near each other.
    """
    front = 0
    while front < min(len(one), len(other)) and one[front] == other[front]:
        front += 1
    back = 0
    while back < min(len(one), len(other)) - front and one[-1 - back] == other[-1 - back]:
        back += 1
    ours, theirs = one[front : len(one) - back], other[front : len(other) - back]
    replaced: list[tuple[str, str]] = []
    if len(ours) == len(theirs):
        replaced = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    else:
        for what, i, i_end, j, j_end in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
            if what == "replace":
                replaced += zip(ours[i:i_end], theirs[j:j_end], strict=False)
    if not replaced:
        return True
    in_one, in_other = _known(tuple(one)), _known(tuple(other))
    return not any(a in in_one and b in in_other and not _inflected(a, b) for a, b in replaced)


def _inflected(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long in (short + "s", short + "es")
