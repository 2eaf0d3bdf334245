"""Other ways of writing an expression, as a computer algebra system prints it: for finding golds that no verdict could
be sure about. Runs in the worker of verdicts/expressions.py.

Wrappers, blanks and case are no other way; order, the form of fractions, roots and powers, a bound as an interval are.
"""

import re
from typing import Any

from sympy import (
    Basic,
    Expr,
    FiniteSet,
    Interval,
    Matrix,
    Tuple,
    expand,
    factor,
    latex,
    together,
)
from sympy.core.relational import Relational
from sympy.matrices import MatrixBase
from sympy.printing import sstr

from verdicts.comparing import is_complex, read
from verdicts.latex import canonical, to_latex

ENOUGH = 6
"""So many writings are made at most."""
MAX_TERMS = 12
"""An expression with more parts is not multiplied out or factored."""
_BOUNDS, _TURNED_BOUNDS = (r"\leq", "<"), (r"\geq", ">")


def writings(gold: str, found: list[str]) -> list[str]:
    """Append ways of writing `gold` to `found`, cheap ones first, and return it; none if it is not read at all."""
    ours = to_latex(gold)[0]
    seen = {canonical(ours)}
    value = read(ours, not is_complex(ours))
    if value is None:
        return found
    for text in _ways(value, ours):
        form = canonical(to_latex(text)[0]) if text else ""
        if form and form not in seen and len(text) < 300:
            seen.add(form)
            found.append(text)
        if len(found) >= ENOUGH:
            break
    return found


def _ways(value: Any, ours: str) -> Any:
    if isinstance(value, Relational):
        yield from _of_relation(value)
    elif isinstance(value, Interval):
        yield from _of_interval(value)
    elif isinstance(value, FiniteSet | Tuple):
        yield from _of_elements(value)
    elif isinstance(value, MatrixBase):
        yield from _of_matrix(value)
    elif isinstance(value, Expr):
        yield from _of_term(value)
    else:
        yield from _of_parts(value)
    yield from _halved(ours)
    if isinstance(value, Expr):
        yield f"{ours}+1-1"
        yield f"\\frac{{2 \\cdot ({ours})}}{{2}}"
        yield f"0-(-1) \\cdot ({ours})"


def _printed(value: Any) -> str:
    return latex(value)


def _of_term(value: Any) -> Any:
    yield _printed(value)
    yield sstr(value)
    yield latex(value, order="rev-lex")
    yield latex(value, fold_short_frac=True, root_notation=False)
    if len(list(_walk(value))) <= MAX_TERMS * 2:
        for form in (expand, together, factor):
            yield latex(form(value))


def _walk(value: Any) -> Any:
    stack = [value]
    while stack:
        part = stack.pop()
        yield part
        stack += [inner for inner in getattr(part, "args", ()) if isinstance(inner, Basic)]


def _terms(values: list[Any]) -> Any:
    """Ways of writing a list of terms, one after another in each."""
    yield [_printed(v) for v in values]
    yield [sstr(v) if isinstance(v, Expr) else _printed(v) for v in values]
    yield [latex(v, order="rev-lex") for v in values]
    yield [f"\\frac{{2 \\cdot ({_printed(v)})}}{{2}}" if _plain(v) else _printed(v) for v in values]
    yield [f"{_printed(v)}+1-1" if _plain(v) else _printed(v) for v in values]
    yield [f"1+{_printed(v)}-1" if _plain(v) else _printed(v) for v in values]


def _plain(value: Any) -> bool:
    return isinstance(value, Expr) and value.is_finite is not False


def _of_relation(value: Any) -> Any:
    signs = {"==": "=", "!=": r"\neq", "<": "<", ">": ">", "<=": r"\leq", ">=": r"\geq"}
    turned = {"<": ">", ">": "<", r"\leq": r"\geq", r"\geq": r"\leq"}
    sign = signs[value.rel_op]
    for left, right in _terms([value.lhs, value.rhs]):
        yield f"{left} {sign} {right}"
        yield f"{right} {turned.get(sign, sign)} {left}"


def _of_interval(value: Any) -> Any:
    opening, closing = "[("[bool(value.left_open)], "])"[bool(value.right_open)]
    below, above = _BOUNDS[bool(value.left_open)], _BOUNDS[bool(value.right_open)]
    for start, end in _terms([value.start, value.end]):
        yield f"{opening}{start}, {end}{closing}"
        left = "" if value.start.is_infinite else f"{start} {below} "
        right = "" if value.end.is_infinite else f" {above} {end}"
        if left or right:
            yield f"{left}x{right}"


def _of_elements(value: Any) -> Any:
    unordered = isinstance(value, FiniteSet)
    opening, closing = (r"\{", r"\}") if unordered else ("(", ")")
    for texts in _terms(list(value.args)):
        yield opening + ", ".join(texts) + closing
        if unordered:
            yield opening + ", ".join(reversed(texts)) + closing


def _of_matrix(value: Any) -> Any:
    rows, columns = value.shape
    for texts in _terms(list(value)):
        lines = [" & ".join(texts[row * columns : (row + 1) * columns]) for row in range(rows)]
        yield r"\begin{bmatrix}" + r" \\ ".join(lines) + r"\end{bmatrix}"
    yield latex(Matrix(value), mat_str="pmatrix", mat_delim="")


def _halved(ours: str) -> Any:
    """Every whole number of a text, one after another, as a fraction."""
    for match in list(re.finditer(r"(?<![\w.{^\\])\d+(?![\w.}])", ours))[:3]:
        yield f"{ours[: match.start()]}\\frac{{{2 * int(match[0])}}}{{2}}{ours[match.end() :]}"


def _of_parts(value: Any) -> Any:
    """Ways of writing a union, an intersection or several statements at once: their parts in another order."""
    name = type(value).__name__
    joints = {"Union": r" \cup ", "Intersection": r" \cap ", "Or": r" \text{ or } ", "And": ", "}
    if name not in joints:
        return
    parts = list(value.args)
    if name == "And" and len(value.free_symbols) == 1:
        yield from _of_interval_if_one(value)
    if all(isinstance(part, Interval | FiniteSet) for part in parts):
        for order in (parts, parts[::-1]):
            for way in range(3):
                texts = [list(_ways(part, ""))[way * 2] for part in order]
                yield joints[name].join(texts)


def _of_interval_if_one(value: Any) -> Any:
    """The interval that several bounds on one variable make, and the bounds from the other side."""
    interval = value.as_set()
    if isinstance(interval, Interval):
        yield from _of_interval(interval)
        if interval.start.is_finite and interval.end.is_finite:
            signs = [_TURNED_BOUNDS[bool(open_)] for open_ in (interval.right_open, interval.left_open)]
            name = next(iter(value.free_symbols))
            yield f"{_printed(interval.end)} {signs[0]} {_printed(name)} {signs[1]} {_printed(interval.start)}"
