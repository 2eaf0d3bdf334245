"""What is shown of a document: the few words of it that tell most about a query.

A long document is cut into passages when it is indexed, and each has its place in an index of its own. So a query reads
one passage of it, however long it is. What counts as a word here is a piece of text between blanks, or a part of one
that is longer than PIECE characters, or two characters of a script without blanks: a number of words is a limit of
characters too.
"""

# ruff: noqa: RUF001 - tables, and signs that look alike are meant

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator

import regex

from records.words import UNSPACED
from rollouts.tools._search_words import placed

PASSAGE = 2000
"""The most characters of a passage."""
LONG = 4 * PASSAGE
"""Characters of a document from which it is cut into passages."""
PIECE = 24
"""The most characters of a piece that counts as one word."""
TITLE = 200
"""The most characters that are shown of a title."""
_DATA = regex.compile(r"data:[\w.+/;=-]{0,100};base64,[A-Za-z0-9+/=_-]+")
_END = regex.compile(r"\s|(?<=[。！？।។၊။])")
_PIECE = regex.compile(rf"(?V1)(?:[{UNSPACED}]\p{{M}}*){{1,2}}|[[\S]--[{UNSPACED}]]{{1,{PIECE}}}")


def readable(text: str) -> str:
    """A text without the bytes of files that are written into it."""
    return _DATA.sub("[data]", text) if "base64," in text else text


def passages(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of the passages of a text: each ends after a blank or a sentence where there is one."""
    start = 0
    while start < len(text):
        end = min(start + PASSAGE, len(text))
        if end < len(text):
            breaks = [match.end() for match in _END.finditer(text, start + PASSAGE // 2, end)]
            end = breaks[-1] if breaks else end
        yield start, end
        start = end


def window(text: str, weights: dict[str, float], words: int) -> tuple[str, bool, bool]:
    """The part of `words` words of a text that has most weight, with single blanks, and whether something of the text
    is left out before and behind it.

    Args:
        weights: how much each word of the query tells.
    """
    pieces = [(match.start(), match.end()) for match in _PIECE.finditer(text)]
    start, end = 0, len(pieces)
    if len(pieces) > words:
        starts = [begin for begin, _ in pieces]
        found: list[list[str]] = [[] for _ in pieces]
        for place, word in placed(text):
            if word in weights:
                found[max(0, bisect_right(starts, place) - 1)].append(word)
        start = best_window(found, weights, words)
        end = start + words
    shown = text[pieces[start][0] : pieces[end - 1][1]] if pieces else ""
    return " ".join(shown.split()), start > 0, end < len(pieces)


def best_window(found: list[list[str]], weights: dict[str, float], size: int) -> int:
    """The start of the window of `size` positions with the most weight. A word counts fully once and a tenth when it is
    repeated. The first match lies in the first third of the window where possible, so that what follows it is shown."""
    counts: Counter[str] = Counter()
    score, best, best_start = 0.0, -1.0, 0
    for position, words in enumerate(found):
        for word in words:
            score += weights[word] * (0.1 if counts[word] else 1.0)
            counts[word] += 1
        if position >= size:
            for word in found[position - size]:
                counts[word] -= 1
                score -= weights[word] * (0.1 if counts[word] else 1.0)
        if score > best + 1e-9:
            best, best_start = score, max(0, position - size + 1)
    # The window found ends at its last match; slide it on, as long as no match falls out at its start.
    first = next((i for i in range(best_start, min(best_start + size, len(found))) if found[i]), best_start)
    return max(0, min(max(best_start, first - size // 3), len(found) - size))
