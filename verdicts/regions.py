"""Inequalities joined by "or" and "and", and sets by a condition, as the set of numbers that they describe. Runs in the
worker of verdicts/expressions.py."""

import re
from collections.abc import Callable
from typing import Any

from sympy import And, Intersection, Interval, S, Set, Symbol, Union, oo
from sympy.core.relational import Eq, Relational

_JOINED = re.compile(
    r"\\(?:text|mathrm|textrm|mbox)\s*\{\s*(?P<told>or|and)\s*\}|\\(?P<sign>lor|vee|land|wedge)(?![a-zA-Z])|"
    r"(?<![a-zA-Z\\])(?P<word>or|and)(?![a-zA-Z])"
)
_BUILT = re.compile(r"\\?\{\s*[a-zA-Z]\s*(?:\||\\mid(?![a-zA-Z])|:)\s*(?P<condition>.*?)\s*\\?\}", re.S)
_ANY = {"or": "or", "lor": "or", "vee": "or", "and": "and", "land": "and", "wedge": "and"}

Region = tuple[Set, Symbol | None]


def is_joined(latex: str) -> bool:
    """Whether a text may join inequalities, or give a set by a condition."""
    return bool(_JOINED.search(latex) or _BUILT.fullmatch(latex))


def region(latex: str, read: Callable[[str], Any]) -> Region | None:
    """The numbers that a text describes, and the letter that it has for them; None if it describes no such set.

    Statements joined by "or" that are all equations are a list of solutions, and none.
    """
    built = _BUILT.fullmatch(latex)
    text = built["condition"] if built else latex
    joints = {_ANY[next(name for name in match.groups() if name)] for match in _JOINED.finditer(text)}
    if len(joints) > 1:
        return None
    parts = [read(part.strip()) for part in re.split(_NO_GROUPS, text)]
    if len(parts) == 1 and isinstance(parts[0], Set):
        return None if built else (parts[0], None)
    letters = {letter for part in parts for letter in getattr(part, "free_symbols", ())}
    if len(letters) != 1 or not all(_is_statement(part) for part in parts):
        return None
    if all(isinstance(part, Eq) for part in parts):
        return None
    sets = [part.as_set() for part in parts]
    return (Intersection if joints == {"and"} else Union)(*sets), letters.pop()


_NO_GROUPS = re.compile(re.sub(r"\?P<\w+>", "?:", _JOINED.pattern))


def _is_statement(part: Any) -> bool:
    return isinstance(part, Relational) or (
        isinstance(part, And) and all(isinstance(inner, Relational) for inner in part.args)
    )


def _bounded(numbers: Set) -> Any:
    """The set with the real numbers as an interval, which sympy can take numbers from."""
    return numbers.xreplace({S.Reals: Interval(-oo, oo)})


def same_region(one: Region, other: Region) -> bool:
    """Whether two texts describe the same numbers, by the same letter where both have one."""
    (described, letter), (meant, other_letter) = one, other
    left, right = (_bounded(numbers) for numbers in (described, meant))
    if letter is not None and other_letter is not None and letter != other_letter:
        return False
    return left == right or bool(left.is_subset(right) and right.is_subset(left))
