"""The verdict by rules: the one that curates the data, rewards the training and scores the evaluation.

The rules, by answer type (an alias of the question counts like its answer; wrappers such as \\boxed{}, $…$, **…**,
quotes and "the answer is" are taken off first; an answer of 300 characters or more is wrong):

- number: read as an exact fraction. Thousands separators, a currency, percent, fractions, mixed numbers, powers,
  scientific notation, sums of parts ("5 ft 6 in", "5万3千"), digits of other scripts, what is said before ("x =",
  "about") and words that multiply (million, dozen, k, M, 万, 亿) are read. Behind the number may stand a unit, or what
  is counted; it is ignored where the other answer has none, two must be the same quantity (5 m is 500 cm; benchmarks of
  physics convert, MATH and ChartQA drop units), and money is never converted. What multiplies, bounds or continues is
  no unit: "2π", "3-2", "5±2" are not numbers. A whole gold number must be met exactly. Otherwise the answer must lie
  within 1e-4 of it, relatively (ChartQA takes 5 %); one with as many decimals as the gold or more must also round to
  it, and may then lie further off when the gold has two decimals or more ("0.3333" meets "0.33"). Where one of the two
  is a percentage, 50 and 0.5 both meet 50%.
- expression: equal as mathematics, by math-verify (verdicts/expressions.py); names of figures and words are compared as
  such, two units must agree.
- choice: the letter, or the text of the choice, or both when they agree.
- boolean: yes/no/true/false, also as the first word of a sentence that does not take it back (verdicts/booleans.py).
- short_text: equal after normalising case, accents, articles and punctuation (verdicts/texts.py). Never a substring.
- set: the same elements in any order, as often; elements are numbers, short texts, expressions, or pairs and other
  brackets of which the order counts (verdicts/sets.py).

A source may have its answers compared as a benchmark's own metric does it (verdicts/metrics.py).
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version

from records.identity import content_hash
from records.question import AnswerRule, Question
from verdicts.booleans import boolean
from verdicts.metrics import METRIC_RULES, MetricRule
from verdicts.numbers import MAX_CHARS, Number, gold_units, parse_number, same_number
from verdicts.texts import normalise, same_text


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and which rule said so."""

    correct: bool
    how: str


VERSION = 2
"""The version of the rules; tests/verdicts/golden.json holds verdicts of each. Count it up when a verdict changes.

A hash of the sources would have every stored answer judged again for a changed comment."""
IDENTITIES = {1: "05aa0c1831754f7ab2002d1fee84293c"}
"""The identity of a version in the fingerprints of stored verdicts. Those of version 1 were made when it was a hash of
the sources, with math-verify MATH_VERIFY."""
MATH_VERIFY = "0.9.0"


@cache
def _verifier() -> str:
    """Fingerprint of this verifier: the version of its rules, and that of math-verify."""
    identity, installed = IDENTITIES.get(VERSION, str(VERSION)), version("math-verify")
    return identity if VERSION == 1 and installed == MATH_VERIFY else content_hash([identity, installed])


def judged_with(answer_type: str, aliases: list[str], answer_rule: AnswerRule = "") -> str:
    """Fingerprint of all that a verdict depends on beyond an answer and the question's own identity.

    An answer whose stored verdict has another fingerprint is judged again, which costs no model call.
    """
    return content_hash([_verifier(), answer_type, aliases, *([answer_rule] if answer_rule else [])])


_PREFIX = re.compile(
    r"(?:\*\*|__)?(?:so,?\s+|therefore,?\s+)?(?:the\s+)?(?:(?:final|correct|right)\s+)?answer\s*"
    r"(?:is\b\s*:?|[:：](?:\*\*|__)?|(?:\*\*|__)[:：])\s*|(?:最终)?(?:正确)?(?:答案?|结果|答え)\s*(?:是|为|[:：])\s*[:：]?\s*",
    re.I,
)
_PAIRS = [
    ("**", "**"),
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("`", "`"),
    ('"', '"'),
    ("“", "”"),
    ("'", "'"),
]


@lru_cache(maxsize=65536)
def unwrap(text: str) -> str:
    """The answer without what models like to put around it."""
    for _ in range(6):
        before, text = text, text.strip()
        text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
        boxed = re.fullmatch(r"\\(?:boxed|fbox|text|mathrm|textbf|mathbf)\s*\{(.*)\}\.?", text, re.S)
        if boxed and _balanced(boxed[1]):
            text = boxed[1]
        for left, right in _PAIRS:
            inner = text.removesuffix(".") if text.endswith(right + ".") else text
            if len(inner) > len(left) + len(right) and inner.startswith(left) and inner.endswith(right):
                inner = inner[len(left) : -len(right)]
                if left not in inner and right not in inner:
                    text = inner
        if text == before:
            break
    return text.strip()


def _balanced(text: str) -> bool:
    depth = 0
    for c in text:
        depth += (c == "{") - (c == "}")
        if depth < 0:
            return False
    return depth == 0


def _judge_number(answer: str, golds: list[str], rule: MetricRule) -> Verdict:
    number = parse_number(answer)
    parsed = [parse_number(gold) for gold in golds]
    if number is None:  # "three mice" is 3 mice as a text; "three" alone is no number, by design
        worded = re.fullmatch(r"[^\W\d]+(?: [^\W\d]+)+", answer) is not None
        same = any(rule.same_text(answer, g) for g, p in zip(golds, parsed, strict=True) if p is None or worded)
        return Verdict(same, "same_text" if same else "not_a_number")
    same = any(p is not None and same_number(number, p, rule.tolerance, rule.units) for p in parsed)
    return Verdict(same, "number")


def _judge_boolean(answer: str, golds: list[str]) -> Verdict:
    value = boolean(answer)
    if value is None:
        return Verdict(False, "not_a_boolean")
    return Verdict(value in [boolean(gold) for gold in golds], "boolean")


_LETTER = re.compile(r"(?:(?:option|choice|letter)\s+)?[(\[]?([A-Za-z])[)\].:]*\s*", re.I)
_LETTER_AND_TEXT = re.compile(
    r"(?:(?:option|choice|letter)\s+)?[(\[]?([A-Za-z])(?:[)\].:]+\s*|\s+-\s+)(\S.*)", re.I | re.S
)


def _same_value(one: Number, other: Number | None) -> bool:
    """Whether two numbers are exactly the same."""
    return other is not None and other.percent == one.percent and other.value in gold_units(one, other)


def _choice(text: str, choices: list[str]) -> tuple[int | None, str]:
    """Which choice a text names, and how; None with the reason when it names none."""
    if match := _LETTER.fullmatch(text):
        position = ord(match[1].upper()) - ord("A")
        if position < len(choices):
            return position, "letter"
    named = [position for position, choice in enumerate(choices) if same_text(text, choice)]
    if named:
        return named[0], "choice_text"
    number = parse_number(text)
    if number is not None:
        meant = [position for position, choice in enumerate(choices) if _same_value(number, parse_number(choice))]
        if len(meant) == 1:  # "5" says nothing where 5 m and 5 cm are to choose from
            return meant[0], "choice_number"
    if match := _LETTER_AND_TEXT.fullmatch(text):
        position = ord(match[1].upper()) - ord("A")
        if position < len(choices):
            agrees = same_text(match[2], choices[position])
            return (position, "letter_and_text") if agrees else (None, "letter_and_text_differ")
    return None, "not_a_choice"


def _judge_choice(answer: str, golds: list[str], choices: list[str]) -> Verdict:
    given, how = _choice(answer, choices)
    if given is None:
        return Verdict(False, how)
    for gold in golds:
        right, _ = _choice(gold, choices)
        if right is not None and (right == given or same_text(choices[right], choices[given])):
            return Verdict(True, how)
    return Verdict(False, how)


def _judge_short_text(answer: str, golds: list[str], rule: MetricRule) -> Verdict:
    if not normalise(answer):  # nothing but punctuation
        return Verdict(any(answer.strip() == gold.strip() for gold in golds), "short_text")
    return Verdict(any(rule.same_text(answer, gold) for gold in golds), "short_text")


def _judge_set(answer: str, golds: list[str]) -> Verdict:
    from verdicts.sets import same_set

    return Verdict(any(same_set(answer, gold) for gold in golds), "set")


def judge(answer: str | None, question: Question) -> Verdict:
    """Whether `answer` answers `question` right. Pure; never raises; bounded in time (see verdicts/expressions.py).

    Args:
        answer: the final answer alone, not the reasoning before it; None when there is none.
    """
    if answer is None or not answer.strip():
        return Verdict(False, "no_answer")
    if len(answer) >= MAX_CHARS:
        return Verdict(False, "too_long")
    given = unwrap(answer)
    golds = [unwrap(gold) for gold in (question.answer, *question.aliases) if gold.strip()]
    if not given:
        return Verdict(False, "no_answer")
    rule = METRIC_RULES[question.answer_rule]
    if question.answer_type == "number":
        return _judge_number(given, golds, rule)
    if question.answer_type == "boolean":
        return _judge_boolean(given, golds)
    if question.answer_type == "choice":
        return _judge_choice(given, golds, question.choices)
    if question.answer_type == "set":
        return _judge_set(given, golds)
    if question.answer_type == "expression":
        from verdicts.expressions import equal

        outcomes = [equal(given, gold, rule.units) for gold in golds]
        best = next((how for right, how in outcomes if right), outcomes[0][1] if outcomes else "expression")
        return Verdict(any(right for right, _ in outcomes), best)
    return _judge_short_text(given, golds, rule)
