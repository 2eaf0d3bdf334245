"""The verdict by rules: the one that curates the data, rewards the training and scores the evaluation.

The rules, by answer type (an alias of the question counts like its answer; wrappers such as \\boxed{}, $…$, **…**,
quotes and "the answer is" are taken off first; an answer of 300 characters or more is wrong):

- number: read as an exact fraction. Thousands separators, a currency sign, "million", percent, fractions, mixed
  numbers and scientific notation are read. A unit in the answer is ignored when the gold answer has none; two units
  must agree. A whole gold number must be met exactly. Otherwise the answer must lie within 1e-4 of it, relatively; one
  with as many decimals as the gold or more must also round to it, and may then lie further off when the gold has two
  decimals or more ("0.3333" meets "0.33"). Where one of the two is a percentage, both 50 and 0.5 meet 50 %.
- expression: equal as mathematics, by math-verify (verdicts/expressions.py).
- choice: the letter, or the text of the choice, or both when they agree.
- boolean: yes/no/true/false, also as the first word before a comma or full stop.
- short_text: equal after normalising case, diacritics, articles and punctuation. Never a substring.
- set: the same elements in any order, as often; elements are numbers or short texts.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from importlib.metadata import version

from records.identity import content_hash
from records.question import Question
from verdicts.numbers import MAX_CHARS, parse_number, same_number


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and which rule said so."""

    correct: bool
    how: str


VERSION = 1
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


def judged_with(answer_type: str, aliases: list[str]) -> str:
    """Fingerprint of all that a verdict depends on beyond an answer and the question's own identity.

    An answer whose stored verdict has another fingerprint is judged again, which costs no model call.
    """
    return content_hash([_verifier(), answer_type, aliases])


_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "&": " and "}
)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """`text` in the form in which short texts are compared; signs and points within numbers stay."""
    text = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS)).casefold()
    text = "".join(c for c in text if not unicodedata.combining(c)).translate(_LETTERS)
    text = re.sub(r"(?<!\w)[−–-](?=\.?\d)", "\0", text)  # a minus sign, kept below
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"\b([^\W\d])\.(?=[^\W\d]\b|\s|$)", r"\1", text)  # d.c. -> dc
    text = re.sub(r"['’‘ʻʼ`´]", "", text)
    kept = []
    for position, c in enumerate(text):
        inside = 0 < position < len(text) - 1 and text[position - 1].isdigit() and text[position + 1].isdigit()
        if (c in "./:" and inside) or not unicodedata.category(c).startswith(("P", "Z", "Cc")) or c == "\0":
            kept.append(c)
        else:
            kept.append(" ")
    joined = "".join(kept).replace("\0", "-")
    without = " ".join(_ARTICLES.sub(" ", joined).split())
    return without or " ".join(joined.split())


_PREFIX = re.compile(
    r"(?:so,?\s+|therefore,?\s+)?(?:the\s+)?(?:(?:final|correct|right)\s+)?answer\s*(?:is\b\s*:?|:)\s*", re.I
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


def _unwrap(text: str) -> str:
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


def _judge_number(answer: str, golds: list[str]) -> Verdict:
    number = parse_number(answer)
    parsed = [parse_number(gold) for gold in golds]
    if number is None:
        same = any(normalise(answer) == normalise(g) for g, p in zip(golds, parsed, strict=True) if p is None)
        return Verdict(same, "same_text" if same else "not_a_number")
    return Verdict(any(p is not None and same_number(number, p) for p in parsed), "number")


_YES, _NO = {"yes", "true", "y"}, {"no", "false", "n"}


def _boolean(text: str) -> bool | None:
    words = normalise(text).split()
    first = re.match(r"\s*(yes|no|true|false)\s*[,.;:!]", text, re.I)
    if len(words) == 1 or (first and not (set(words[1:]) & (_YES | _NO | {"not"}))):
        return True if words[0] in _YES else False if words[0] in _NO else None
    return None


def _judge_boolean(answer: str, golds: list[str]) -> Verdict:
    value = _boolean(answer)
    if value is None:
        return Verdict(False, "not_a_boolean")
    return Verdict(value in [_boolean(gold) for gold in golds], "boolean")


_LETTER = re.compile(r"(?:(?:option|choice|letter)\s+)?[(\[]?([A-Za-z])[)\].:]*\s*", re.I)
_LETTER_AND_TEXT = re.compile(
    r"(?:(?:option|choice|letter)\s+)?[(\[]?([A-Za-z])(?:[)\].:]+\s*|\s+-\s+)(\S.*)", re.I | re.S
)


def _choice(text: str, choices: list[str]) -> tuple[int | None, str]:
    """Which choice a text names, and how; None with the reason when it names none."""
    names = [normalise(choice) for choice in choices]
    if match := _LETTER.fullmatch(text):
        position = ord(match[1].upper()) - ord("A")
        if position < len(choices):
            return position, "letter"
    if normalise(text) in names and normalise(text):
        return names.index(normalise(text)), "choice_text"
    number = parse_number(text)
    if number is not None:
        for position, choice in enumerate(choices):
            other = parse_number(choice)
            if other is not None and (other.value, other.percent) == (number.value, number.percent):
                return position, "choice_number"
    if match := _LETTER_AND_TEXT.fullmatch(text):
        position = ord(match[1].upper()) - ord("A")
        if position < len(choices):
            agrees = normalise(match[2]) == names[position]
            return (position, "letter_and_text") if agrees else (None, "letter_and_text_differ")
    return None, "not_a_choice"


def _judge_choice(answer: str, golds: list[str], choices: list[str]) -> Verdict:
    given, how = _choice(answer, choices)
    if given is None:
        return Verdict(False, how)
    for gold in golds:
        right, _ = _choice(gold, choices)
        if right is not None and normalise(choices[right]) == normalise(choices[given]):
            return Verdict(True, how)
    return Verdict(False, how)


def _judge_short_text(answer: str, golds: list[str]) -> Verdict:
    given = normalise(answer)
    if not given:  # nothing but punctuation
        return Verdict(any(answer.strip() == gold.strip() for gold in golds), "short_text")
    return Verdict(any(given == normalise(gold) for gold in golds), "short_text")


def _elements(text: str, products: bool) -> list[str | Fraction]:
    """The elements of a set as written; `products` also splits at signs of multiplication."""
    text = re.sub(r"^\s*\\?[\[{(]|\\?[\]})]\s*$", "", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text) if not re.search(r"\d,\d{1,2}(?!\d)|\d,\d{4}", text) else text
    text = re.sub(r"\\(?:times|cdot)", "×", text)
    split = r"[,;\n&]|\band\b" + (r"|[×*·x]" if products else "")
    elements: list[str | Fraction] = []
    for part in re.split(split, text):
        number = parse_number(part.strip().strip("'\"“”"))
        name = normalise(part)
        if number is not None:
            elements.append(number.value)
        elif name:
            elements.append(name)
    return sorted(elements, key=lambda e: (isinstance(e, str), e))


def _judge_set(answer: str, golds: list[str]) -> Verdict:
    for gold in golds:
        products = "×" in gold
        wanted = _elements(gold, products)
        if wanted and _elements(answer, products) == wanted:
            return Verdict(True, "set")
    return Verdict(False, "set")


def judge(answer: str | None, question: Question) -> Verdict:
    """Whether `answer` answers `question` right. Pure; never raises; bounded in time (see verdicts/expressions.py).

    Args:
        answer: the final answer alone, not the reasoning before it; None when there is none.
    """
    if answer is None or not answer.strip():
        return Verdict(False, "no_answer")
    if len(answer) >= MAX_CHARS:
        return Verdict(False, "too_long")
    given = _unwrap(answer)
    golds = [_unwrap(gold) for gold in (question.answer, *question.aliases) if gold.strip()]
    if not given:
        return Verdict(False, "no_answer")
    if question.answer_type == "number":
        return _judge_number(given, golds)
    if question.answer_type == "boolean":
        return _judge_boolean(given, golds)
    if question.answer_type == "choice":
        return _judge_choice(given, golds, question.choices)
    if question.answer_type == "set":
        return _judge_set(given, golds)
    if question.answer_type == "expression":
        from verdicts.expressions import equal

        outcomes = [equal(given, gold) for gold in golds]
        best = next((how for right, how in outcomes if right), outcomes[0][1] if outcomes else "expression")
        return Verdict(any(right for right, _ in outcomes), best)
    return _judge_short_text(given, golds)
