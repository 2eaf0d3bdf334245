"""The words that a text is found by: of documents as they are indexed, and of a query as it is looked for.

- Case, accents and a plural s do not count; combining marks that are letters (ガ, हि, ไม้) do.
- Where a script has no blanks, runs of up to two characters are the words (three in katakana, Thai and their like), and
  a query is looked for by its longest ones.
- A number is one word with and without separators, and an abbreviation with and without points.
- Words of no meaning are indexed, but a query has them only where they are a name: where it has nothing else (The Who),
  or where they are written as one ("the singer of The Who"). A word in capitals is also indexed as an abbreviation, so
  that WHO is not who; a title of such words alone is also a word of its own.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

from collections.abc import Iterator
from functools import lru_cache

import regex

from records.words import HAN, SOUTH_EAST_ASIAN, UNSPACED, folded

LONGEST = 64
"""Characters of a word that count: a longer one is found by its beginning."""
_STOP_WORDS = """
a an and are as at be by did do does for from give had has have how i in into is it its list many me much name of on or
please such tell that the their them then there these they this to was were what when where which who whom whose why
will with
"""
STOP = frozenset(_STOP_WORDS.split())
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_\u00ad\u200c\u200d]--[{UNSPACED}]]"
_PIECE = regex.compile(
    rf"""(?V1)(?<![\p{{L}}\p{{M}}\p{{N}}])(?P<points>(?:\p{{L}}\.){{2,}}(?:\p{{L}}(?![\p{{L}}\p{{M}}]))?)
    |(?P<number>\p{{Nd}}+(?:[.,'’٬٫\u2009\u202f\u00a0]\p{{Nd}}+)+)(?![\p{{L}}\p{{N}}])
    |(?P<characters>[{UNSPACED}][{UNSPACED}\p{{M}}]*)
    |(?P<word>{_LETTER}+(?:['’]{_LETTER}+)*)""",
    regex.VERBOSE,
)
_SCRIPTS = regex.compile(
    rf"(?P<two>[{HAN}]+|\p{{Hiragana}}+)|(?P<three>[\p{{Katakana}}ー]+|(?:[{SOUTH_EAST_ASIAN}]\p{{M}}*)+)"
)
_CHARACTER = regex.compile(r"\X")
_GROUPS = regex.compile(
    r"\d{1,3}(?:[,'’٬\u2009\u202f\u00a0]\d{2,3})*[,'’٬\u2009\u202f\u00a0]\d{3}(?:[.٫]\d+)?|\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?"
)
_ELISION = regex.compile(r"(?:qu|[cdjlmnst])['’](?=..)", regex.IGNORECASE)
_SAME = {"usa": "us"}
"""An abbreviation that is written in two ways."""


def stem(word: str) -> str:
    """An English word without the s of the plural."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def abbreviation(word: str) -> str:
    """The indexed word for letters in capitals."""
    return f"^{folded(word)}"


def title_of(words: list[str]) -> str:
    """The indexed word for a title that is nothing but words of no meaning."""
    return f"={' '.join(words)}"


def _number(text: str) -> str:
    text = folded(text)
    if not _GROUPS.fullmatch(text):
        return text
    if text.count(".") > 1:
        text = text.replace(".", "").replace(",", ".")
    return regex.sub(r"[^\d.٫]", "", text).replace("٫", ".")


@lru_cache(maxsize=1 << 17)
def _of_word(word: str) -> tuple[str, ...]:
    """The indexed words of one written word."""
    plain = word
    if "'" in word or "’" in word:
        plain = regex.sub(r"['’](?:[sS]$)?", "", _ELISION.sub("", word, count=1) if _ELISION.match(word) else word)
    plain = folded(plain)[:LONGEST]
    if not plain:
        return ()
    found = [stem(plain)]
    if 2 <= len(word) <= 5 and word.isupper() and word.isalpha():
        found.append(abbreviation(word))
        if plain in _SAME:
            found += [_SAME[plain], f"^{_SAME[plain]}"]
    return tuple(found)


def _grams(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Start, length in characters, the most that there is of it, and the folded text of each run of characters."""
    for run in _SCRIPTS.finditer(text):
        characters = [(run.start() + c.start(), folded(c[0])) for c in _CHARACTER.finditer(run[0])]
        most = min(2 if run["two"] else 3, len(characters))
        for place, (start, _) in enumerate(characters):
            for size in range(1, min(most, len(characters) - place) + 1):
                yield start, size, most, "".join(c for _, c in characters[place : place + size])


def placed(text: str) -> Iterator[tuple[int, str]]:
    """The words that a text is indexed by, and where in it each begins."""
    for piece in _PIECE.finditer(text):
        kind, start, written = piece.lastgroup, piece.start(), piece.group()
        if kind == "characters":
            for place, _, _, gram in _grams(written):
                yield start + place, gram
        elif kind == "number":
            yield start, _number(written)
        else:
            if kind == "points":
                written = written.replace(".", "")
            for word in _of_word(written[: 4 * LONGEST]):
                yield start, word


def tokens(text: str) -> list[str]:
    """The words that a text is indexed by."""
    return [word for _, word in placed(text)]


def title_tokens(title: str) -> list[str]:
    """The words that a title is indexed by."""
    words = tokens(title)
    plain = [folded(word) for word in regex.findall(r"\w+", regex.sub(r"\s*\(.*\)\s*$", "", title))]
    return [*words, title_of(plain)] if plain and all(word in STOP for word in plain) else words


def query_tokens(query: str) -> list[list[str]]:
    """The words that a query is looked for by; each as the forms of which the first that is indexed is taken."""
    found: list[list[str]] = []
    light: list[list[str]] = []
    run: list[regex.Match[str]] = []
    shouted = query.isupper() and len(query.split()) > 2

    def end_of_name() -> None:
        """Take the words of no meaning, written with capitals, that have come together, if they are a name."""
        capitals = [piece for piece in run if piece[0].isupper() and len(piece[0]) > 1 and not shouted]
        if len(run) > 1 or (run and run[0].start() > 0) or capitals:
            found.append([title_of([folded(piece[0]) for piece in run])])
            found.extend([abbreviation(p[0]), folded(p[0])] if p in capitals else [folded(p[0])] for p in run)
        run.clear()

    for piece in _PIECE.finditer(query):
        plain = folded(piece[0])
        if piece["word"] and plain in STOP:
            light.append([plain])
            if piece[0][0].isupper() and not shouted:
                run.append(piece)
                continue
        end_of_name()
        if piece["characters"]:
            grams = list(_grams(piece[0]))
            found += [[gram] for _, size, most, gram in grams if size == most]
        elif piece["number"]:
            found.append([_number(piece[0])])
        elif plain not in STOP:
            written = piece[0] if piece["word"] else piece[0].replace(".", "")
            found += [[word] for word in _of_word(written[: 4 * LONGEST])]
    end_of_name()
    if light and not found:
        found = [[title_of([word for [word] in light])], *light]
    kana = [words for words in found if not regex.fullmatch(r"\p{Hiragana}", words[0])]  # particles, mostly
    return kana or found
