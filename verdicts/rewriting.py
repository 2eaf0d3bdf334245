"""Other ways of writing a gold, which a right answer may come in: whoever wants to know whether a gold can be met by
more than its own text has them judged. Wrappers, blanks and case are no other way.
"""

import re
from fractions import Fraction

from verdicts.expressions import is_plain, writings
from verdicts.latex import in_one_form
from verdicts.numbers import parse_number
from verdicts.sets import parts

MAX_WRITTEN = 60
"""The longest number that is written another way."""
_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


def rewritten(gold: str, answer_type: str) -> tuple[str, ...] | None:
    """Ways of writing a gold (unwrapped) that differ from it in structure; None for a gold that is simple enough to be
    met without a question: words, names, plain numbers. Empty where there is no other way.

    Raises:
        RuntimeError: the worker that reads expressions cannot be started.
    """
    if answer_type == "number":
        return _numbers(gold)
    if answer_type == "set":
        return _sets(gold)
    if answer_type == "expression":
        return None if is_plain(gold) else writings(gold)
    return None


def _numbers(gold: str) -> tuple[str, ...] | None:
    number = parse_number(gold)
    if number is None:
        return ()
    value, sign = number.value, "%" if number.percent else f" {number.unit}" if number.unit else ""
    if len(str(value.numerator)) + len(str(value.denominator)) > MAX_WRITTEN or re.fullmatch(r"-?\d+(\.\d+)?", gold):
        return None
    top, bottom = value.numerator, value.denominator
    found = [f"{top}/{bottom}{sign}", f"{2 * top}/{2 * bottom}{sign}", f"\\frac{{{3 * top}}}{{{3 * bottom}}}{sign}"]
    decimal = Fraction(round(value * 10**12), 10**12)
    if decimal == value:
        found.append(f"{int(value * 10**12)}e-12{sign}")
    return tuple(found)


def _sets(gold: str) -> tuple[str, ...] | None:
    elements = parts(gold)
    if len(elements) < 2:
        return None
    ordered = parts(gold, whole=True) != elements
    turned, moved = (elements, elements) if ordered else (elements[::-1], [*elements[1:], elements[0]])
    return ("; ".join(turned), " and ".join(moved), "\n".join(turned))


def shape(gold: str) -> str:
    """An expression with other numbers and letters in the places of its own. Golds of one shape can be checked alike,
    so that one question answers for all of them; numbers of four digits and more stay, since their size may matter."""
    primes, letters = iter(_PRIMES), {}

    def number(match: re.Match[str]) -> str:
        return match[0] if len(match[0]) > 3 or match[0] in ("0", "1") else str(next(primes, 2))

    def letter(match: re.Match[str]) -> str:
        c = match[0]
        return c if c in "eidfE" else letters.setdefault(c, "xyzabcknmpqrst"[len(letters) % 14])

    text = re.sub(r"\d+", number, in_one_form(gold))
    return re.sub(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])", letter, text)
