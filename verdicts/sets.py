"""Sets: the same elements in any order, as often.

A comma within brackets belongs to the element: (1, 2), (3, 4) are two pairs, and the order within a pair counts. A
gold that is wholly in round brackets, or four numbers in square ones (a box), is one such ordered element; any other
brackets around the whole are those of the set. Elements meet as numbers with their units, as short texts, or as
expressions.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from verdicts.expressions import equal
from verdicts.latex import canonical, to_latex
from verdicts.notation import plain
from verdicts.numbers import Number, parse_number, same_number
from verdicts.texts import normalise, same_text

MAX_EXPRESSIONS = 3
"""So many elements are at most compared as expressions, each with each: a comparison may take seconds."""
_SEPARATOR = re.compile(r"\s*(?:[,;\n&，；、]|\b(?:and|or)\b|(?<=[^\W\d_a-zA-Z])\s*[和与及]\s*(?=[^\W\d_a-zA-Z]))\s*")
_PRODUCT = re.compile(r"\s*[×*·x]\s*")
_OPEN, _CLOSE = "([{", ")]}"
_MATHEMATICS = re.compile(r"[\\^√π∞=]|\d\s*[a-z]\b|\bsqrt\b|\bpi\b|[a-z]\s*[+*/]")


class Ordered(tuple[object, ...]):
    """Elements of which the order counts."""


class Unordered(tuple[object, ...]):
    """Elements of which the order does not count."""


def _tidy(text: str) -> str:
    text = re.sub(r"\\(?:left|right|big|Big)\s*(?=[\\()\[\]{}.|])", "", text.strip())
    text = text.replace("\\{", "{").replace("\\}", "}").replace("\\langle", "(").replace("\\rangle", ")")
    text = re.sub(r"\\(?:times|cdot)(?![a-zA-Z])", "×", text)
    return re.sub(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}", r"\1", text)


def _whole(text: str) -> str | None:
    """The bracket that encloses the whole text, if one does."""
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return None
    depth = 0
    for place, c in enumerate(text):
        depth += (c in _OPEN) - (c in _CLOSE)
        if depth == 0:
            return text[0] if place == len(text) - 1 else None
    return None


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    """The parts between separators that are within no brackets, without empty ones."""
    parts, start, depth, place = [], 0, 0, 0
    while place < len(text):
        if text[place] in _OPEN:
            depth += 1
        elif text[place] in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and (found := separator.match(text, place)) and found.end() > place:
            parts.append(text[start:place])
            start = place = found.end()
            continue
        place += 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip(" '\"“”.")]


def _thousands(text: str) -> list[str]:
    """The ways a comma between digits can be meant: as a separator of elements, or of thousands."""
    if not re.search(r"\d,\d{3}(?!\d)", text) or re.search(r"\d,\d{1,2}(?!\d)|\d,\d{4}", text):
        return [text]
    glued = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    if re.search(r"\d,[\s~]|;|\band\b|\bor\b", text) or re.search(r",0\d\d", text):
        return [glued]  # other separators are there, or an element would begin with a zero
    return [text, glued]


def _element(text: str) -> object:
    bracket = _whole(text)
    if bracket is not None and (inner := _split(text[1:-1], _SEPARATOR)):
        if len(inner) > 1:
            return (Unordered if bracket == "{" else Ordered)(_element(part) for part in inner)
        if bracket == "{":
            return _element(inner[0])
    bare = text.strip().strip("'\"“”")
    return parse_number(bare) or bare


@lru_cache(maxsize=16384)
def readings(text: str, products: bool = False, inside: bool = True) -> tuple[Unordered, ...]:
    """The ways the elements of a set can be read.

    Args:
        products: signs of multiplication also separate ("2 × 2 × 5").
        inside: brackets around the whole are those of the set, whichever they are; else as for a gold.
    """
    text = _tidy(plain(text)).removesuffix(".").strip()
    found = []
    for variant in _thousands(text):
        bracket = _whole(variant)
        body = variant[1:-1] if bracket and (inside or not _one(variant, bracket)) else variant
        parts = _split(body, _SEPARATOR)
        if len(parts) == 1 and _whole(parts[0]) and inside and bracket:
            parts = _split(parts[0][1:-1], _SEPARATOR)
        if products:
            parts = [piece for part in parts for piece in _split(part, _PRODUCT)]
        found.append(Unordered(_element(part) for part in parts))
    return tuple(found)


def parts(text: str, whole: bool = False) -> list[str]:
    """The elements of a set as they are written; with `whole`, an ordered element in brackets is one."""
    text = _tidy(plain(text)).removesuffix(".").strip()
    bracket = _whole(text)
    if bracket and whole and _one(text, bracket):
        return [text]
    return _split(text[1:-1] if bracket else text, _SEPARATOR)


def _one(text: str, bracket: str) -> bool:
    """Whether brackets around a whole gold make it one element of which the order counts."""
    if bracket == "{":
        return False
    parts = _split(text[1:-1], _SEPARATOR)
    if len(parts) < 2 or any(_whole(part) for part in parts):
        return False
    return bracket == "(" or (len(parts) == 4 and all(parse_number(part) for part in parts))


def _same(one: object, other: object) -> bool:
    """Whether two elements are the same without asking about mathematics."""
    if isinstance(one, Number) and isinstance(other, Number):
        return same_number(one, other)
    if isinstance(one, str) and isinstance(other, str):
        if _mathematics(one) or _mathematics(other):  # signs count, which texts do without
            return canonical(to_latex(one)[0]) == canonical(to_latex(other)[0])
        return same_text(one, other) or (not normalise(one) and one.strip() == other.strip())
    if isinstance(one, Unordered) and isinstance(other, Unordered):
        return _matched(one, other, _same)
    if isinstance(one, Ordered) and isinstance(other, Ordered):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return False


def _matched(ones: Sequence[object], others: Sequence[object], same: Callable[[object, object], bool]) -> bool:
    """Whether the elements can be put in pairs that are the same."""
    if len(ones) != len(others):
        return False
    owner: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for other in range(len(others)):
            if other not in tried and same(ones[one], others[other]):
                tried.add(other)
                if other not in owner or place(owner[other], tried):
                    owner[other] = one
                    return True
        return False

    return all(place(one, set()) for one in range(len(ones)))


def _left_over(ones: Sequence[object], others: Sequence[object]) -> tuple[list[object], list[object]]:
    """The elements that find no equal without mathematics."""
    rest = list(others)
    left = []
    for one in ones:
        found = next((place for place, other in enumerate(rest) if _same(one, other)), None)
        if found is None:
            left.append(one)
        else:
            del rest[found]
    return left, rest


def same_set(answer: str, gold: str) -> bool:
    """Whether an answer has the elements of a gold set."""
    products = "×" in _tidy(gold)
    for wanted in readings(gold, products, False):
        for given in readings(answer, products):
            if wanted and _meets(given, wanted):
                return True
    return False


def _meets(given: Sequence[object], wanted: Sequence[object]) -> bool:
    if len(wanted) == 1 and isinstance(wanted[0], Ordered):
        return len(given) == len(wanted[0]) and all(
            _same(a, b) or _as_expressions(a, b) for a, b in zip(given, wanted[0], strict=True)
        )
    if len(given) != len(wanted):
        return False
    if _matched(given, wanted, _same):
        return True
    left, rest = _left_over(given, wanted)
    return len(left) <= MAX_EXPRESSIONS and _matched(left, rest, _as_expressions)


def _as_expressions(one: object, other: object) -> bool:
    if not _mathematics(one) or not _mathematics(other) or (isinstance(one, Number) and isinstance(other, Number)):
        return False
    return equal(_written(one), _written(other))[0]


def _mathematics(element: object) -> bool:
    return isinstance(element, Number) or (isinstance(element, str) and _MATHEMATICS.search(element) is not None)


def _written(element: object) -> str:
    return str(element.value) if isinstance(element, Number) else str(element)
