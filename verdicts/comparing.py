"""What the worker of verdicts/expressions.py does: parse two expressions, and compare them. Imported by it alone.

Numbers are compared relatively, to 40 digits if both are exact, to 2e-6 if one is a decimal; all else by math-verify,
to as many digits as the smallest number among them needs.
"""

import math
import re
import sys
from functools import lru_cache
from typing import Any

from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy import (
    Basic,
    Eq,
    Expr,
    FiniteSet,
    Float,
    Integer,
    N,
    Rational,
    Symbol,
    Tuple,
    Unequality,
    factorial,
    simplify,
)
from sympy.core.numbers import Integer as IntegerNumber

from verdicts.latex import canonical, to_latex
from verdicts.regions import is_joined, region, same_region

MAX_BITS = 500_000
"""Size of the largest whole number that a power or a factorial is worked out to."""
MAX_FACTORIAL = 30_000
DIGITS = 50
EXACT, DECIMAL = 1e-40, 2e-6
# Units are taken off before (verdicts/latex.py); math-verify would take the c of \\frac{a}{b}c for one.
_NORMALIZATION = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
_IMAGINARY = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")


class TooBigError(Exception):
    """A number would have to be worked out that has more than MAX_BITS."""


def bound_arithmetic() -> None:
    """Have sympy raise TooBigError instead of working out a huge power or factorial of numbers. What stays a formula,
    such as (n+1)! or x^{2^n}, is not concerned."""
    sys.set_int_max_str_digits(0)

    def guarded(power: Any) -> Any:
        def bounded(self: Any, exponent: Any) -> Any:
            if isinstance(exponent, Rational):
                bits = max(abs(int(self.p)).bit_length(), int(self.q).bit_length())
                bits = bits if abs(self.p) > 1 or self.q > 1 else 0
                if abs(exponent) * bits > MAX_BITS:
                    raise TooBigError
            return power(self, exponent)

        return bounded

    IntegerNumber._eval_power = guarded(IntegerNumber._eval_power)
    Rational._eval_power = guarded(Rational._eval_power)
    work_out = factorial.eval.__func__

    def bounded_factorial(cls: Any, n: Any) -> Any:
        if isinstance(n, Integer) and n > MAX_FACTORIAL:
            raise TooBigError
        return work_out(cls, n)

    factorial.eval = classmethod(bounded_factorial)  # pyright: ignore[reportAttributeAccessIssue]


def is_complex(latex: str) -> bool:
    """Whether an expression has the imaginary unit, or speaks of matrices: then no letter is a real number."""
    return bool(_IMAGINARY.search(latex)) or should_treat_as_complex(latex)


@lru_cache(maxsize=256)
def read(latex: str, real: bool) -> Any:
    """The expression that LaTeX in our form stands for; None if it stands for none."""
    try:
        return latex2sympy(
            normalize_latex(latex, _NORMALIZATION), is_real=real, convert_degrees=False, normalization_config=None
        )
    except (TooBigError, MemoryError):
        raise
    except Exception:  # whatever the grammar does not know
        return None


def _value(number: Any) -> Any:
    try:
        value = N(number, DIGITS)
        return value if value.is_number and value.is_finite else None
    except (TypeError, ValueError, AttributeError):  # a form that sympy does not evaluate
        return None


def same_value(one: Any, other: Any) -> bool | None:
    """Whether two numbers are equal, relatively; None if that cannot be seen from their digits."""
    left, right = _value(one), _value(other)
    if left is None or right is None:
        return None
    largest = max(abs(left), abs(right))
    if largest == 0:
        return True
    decimal = one.has(Float) or other.has(Float)
    return bool(abs(left - right) <= (DECIMAL if decimal else EXACT) * largest)


def _is_number(expression: Any) -> bool:
    return isinstance(expression, Expr) and expression.is_number and expression.is_finite is not False


def _rounding(*expressions: Any) -> int:
    """The decimals that the smallest number within the expressions needs."""
    smallest = 1.0
    for expression in expressions:
        if not isinstance(expression, Basic):
            continue
        walk = [expression]
        while walk:
            part = walk.pop()
            if _is_number(part):
                size = abs(N(part, 5))
                if size.is_number and 0 < size < smallest:
                    smallest = max(float(size), 1e-300)
            else:
                walk += [inner for inner in getattr(part, "args", ()) if isinstance(inner, Basic)]
    return 6 - math.floor(math.log10(smallest))


def compare_parsed(answer: Any, gold: Any) -> bool:
    """Whether two parsed expressions are equal."""
    if _is_number(answer) and _is_number(gold):
        same = same_value(answer, gold)
        if same is not None:
            return same
    if isinstance(answer, Tuple | FiniteSet) and type(answer) is type(gold) and len(answer.args) == len(gold.args):
        return _same_elements(list(answer.args), list(gold.args), isinstance(gold, Tuple))
    if isinstance(answer, Unequality) and isinstance(gold, Unequality):
        return compare_parsed(Eq(answer.lhs, answer.rhs, evaluate=False), Eq(gold.lhs, gold.rhs, evaluate=False))
    if isinstance(gold, Symbol) and isinstance(answer, Expr) and not isinstance(answer, Symbol):
        # math-verify compares a letter with nothing but a letter
        return bool(simplify(answer - gold) == 0)
    decimals = _rounding(answer, gold)
    return bool(
        verify(
            [gold], [answer], float_rounding=decimals, numeric_precision=9 + decimals, allow_set_relation_comp=True,
            timeout_seconds=None,
        )
    )  # fmt: skip


def _same_elements(answers: list[Any], golds: list[Any], ordered: bool) -> bool:
    """Whether the elements of two tuples, or of two sets, are equal."""
    if ordered:
        return all(compare_parsed(answer, gold) for answer, gold in zip(answers, golds, strict=True))
    for answer in answers:  # equality of expressions is transitive, up to rounding: the first that is equal will do
        place = next((place for place, gold in enumerate(golds) if compare_parsed(answer, gold)), None)
        if place is None:
            return False
        del golds[place]
    return True


def _operands(latex: str) -> list[str]:
    """The operands of one sort of commuting sign, in order, behind that sign."""
    for sign in ("\\cup", "\\cap"):
        parts = latex.split(sign)
        if len(parts) > 1:
            return [sign, *sorted(map(canonical, parts))]
    return [canonical(latex)]


def compare(answer: str, gold: str) -> tuple[bool, str]:
    """Whether two texts are equal as expressions, and how that was found."""
    given, wanted = to_latex(answer)[0], to_latex(gold)[0]
    real = not is_complex(given) and not is_complex(wanted)
    if is_joined(given) or is_joined(wanted):
        described, meant = (region(text, lambda part: read(part, real=True)) for text in (given, wanted))
        if described is not None and meant is not None:
            return same_region(described, meant), "expression"
    left, right = read(given, real), read(wanted, real)
    if left is None or right is None:
        # What the parser does not know, such as unions of named sets, is the same text up to order.
        same = _operands(given) == _operands(wanted)
        return same, "same_text" if same else "not_an_expression"
    return compare_parsed(left, right), "expression"
