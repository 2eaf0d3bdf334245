"""The rules by which benchmarks compare answers, for sources that are to be judged as their field does it.

The rules of verdicts/rules.py decide wherever a question names none. Where a field's own metric differs from them, a
source may ask for it (`answer_rule`), and its questions carry the name:

- chartqa: relaxed accuracy (Masry et al. 2022, arXiv 2203.10244, section 5): a number within 5 % of the gold one is
  right, whole or not, and units do not count; texts are equal but for case.
- math: as the grader of MATH (Hendrycks et al. 2021, arXiv 2103.03874) strips them, units do not count.
- squad: exact match (Rajpurkar et al. 2016, arXiv 1606.05250, section 6.1): texts are equal without case, articles and
  ASCII punctuation, wherever that stands; accents count.
- vqa: the evaluation of VQA (Antol et al. 2015, arXiv 1505.00468): texts are equal without case, articles, punctuation
  and apostrophes, with numbers from none to ten in words or digits; accents count.
"""

# ruff: noqa: RUF001 - signs that look alike are what this module is about

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from records.question import AnswerRule
from verdicts.notation import words
from verdicts.texts import same_text


@dataclass(frozen=True)
class MetricRule:
    """What a benchmark's metric does otherwise than verdicts/rules.py."""

    tolerance: Fraction | None = None
    """How far a number may lie from the gold one, relatively; None: as verdicts/rules.py says."""
    units: bool = True
    """Whether two units must agree."""
    text: Callable[[str], str] | None = None
    """The form in which texts are compared; None: as verdicts/texts.py says."""

    def same_text(self, one: str, other: str) -> bool:
        """Whether two short texts are the same, and neither is empty."""
        if self.text is None:
            return same_text(one, other)
        form = self.text(one)
        return bool(form) and form == self.text(other)


_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_VQA_NUMBERS = {
    word: str(n) for n, word in enumerate(words("zero one two three four five six seven eight nine ten"))
} | {"none": "0"}
_POINT = re.compile(r"(?<!\d)\.|\.(?!\d)")


def _chartqa(text: str) -> str:
    return " ".join(text.lower().split())


def _squad(text: str) -> str:
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(_ARTICLES.sub(" ", bare).split())


def _vqa(text: str) -> str:
    text = re.sub(r"['’`´]", "", text.lower())
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"[;/\[\]\"{}()=+\\_\-><@,?!]", " ", _POINT.sub("", text))
    said = (_VQA_NUMBERS.get(word, word) for word in text.split())
    return " ".join(word for word in said if word not in ("a", "an", "the"))


METRIC_RULES: dict[AnswerRule, MetricRule] = {
    "": MetricRule(),
    "chartqa": MetricRule(tolerance=Fraction(1, 20), units=False, text=_chartqa),
    "math": MetricRule(units=False),
    "squad": MetricRule(text=_squad),
    "vqa": MetricRule(text=_vqa),
}
